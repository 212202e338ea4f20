"""Recurrence quantification: the measures of the lines, and the radius of a wanted rate.

References
----------
- Marwan, Romano, Thiel & Kurths (2007), Phys. Rep. 438, 237-329,
  doi:10.1016/j.physrep.2006.11.001.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels.recurrence import lines
from fhemb_xr.kernels.recurrence.plots import MEASURES, Plot
from fhemb_xr.typing import F64, Floats, Ints

_BINS, _HELD = 2**14, 2**21


def states(x: Floats, dim: int, delay: int) -> F64:
    """Delayed copies as coordinates: ``(d, t) -> (dim * d, t - (dim - 1) * delay)``."""
    n = x.shape[-1] - (dim - 1) * delay
    parts = [x[:, k * delay : k * delay + n] for k in range(dim)]
    out = np.concatenate(parts).astype(np.float64)
    out[~np.isfinite(out)] = np.nan
    return np.ascontiguousarray(out)


def quantify(x: Floats, y: Floats | None, plot: Plot) -> F64:
    """The fields of one plot, end to end: ``(d, t), (d, t) -> (f)``.

    Memory: ``16 * d * dim + 90`` bytes per sample, and 48 MiB where the radius is chosen.
    """
    pair = [states(s, plot.dim, plot.delay) for s in (x, y) if s is not None]
    n = pair[0].shape[1]
    halved = plot.theiler > 0 and (y is None or plot.joint)
    ends = np.array([min(plot.theiler, n) if halved else 1 - n, n])
    limits = _limits(pair, ends, plot)
    other = pair[1] if len(pair) > 1 else np.empty((len(pair[0]), 0))
    of_lag = np.zeros((2, ends[1] - ends[0]), np.int64)
    diagonal, vertical = np.zeros((2, n + 1), np.int64)
    lines.lines(
        pair[0], other, limits, plot.joint, ends, plot.supremum, of_lag, diagonal, vertical
    )
    radii = limits if plot.supremum else np.sqrt(limits)
    fields = plot.fields(radii.size)
    return fields.pack(
        measures=_measures(of_lag, diagonal, vertical, plot.shortest),
        radius=radii,
        profile=_profile(of_lag, ends, plot.max_lag, halved),
    )


def _limits(pair: list[F64], ends: Ints, plot: Plot) -> F64:
    """Largest distance of a recurrence, squared where it is Euclidean, of each own plot."""
    if plot.radius is not None:
        limit = plot.radius if plot.supremum else plot.radius**2
        return np.full(2 if plot.joint else 1, limit)
    plots = [(s, s) for s in pair] if plot.joint or len(pair) == 1 else [(pair[0], pair[1])]
    return np.array([_limit_of_rate(*p, ends, plot.rate, plot.supremum) for p in plots])


def _limit_of_rate(x: F64, y: F64, ends: Ints, rate: float, supremum: bool) -> float:
    """The distance that the wanted share of pairs does not exceed, exactly.

    Distances are counted in bins, then those of one bin are put in order.
    """
    reach = np.fmax(_highest(x), _highest(y)) - np.fmin(-_highest(-x), -_highest(-y))
    high = float(reach.max() if supremum else np.sqrt((reach * reach).sum()))
    if not high > 0:  # nothing moves, or nothing is there
        return 0.0 if high == 0 else np.nan
    low, high = 0.0, high * (1 + 1e-9)
    before, wanted = 0, 0
    for _ in range(4):
        edges, counts = np.linspace(low, high, _BINS + 1), np.zeros(_BINS, np.int64)
        lines.histogram(x, y, ends, supremum, edges, counts)
        if not wanted and not counts.sum():
            return np.nan
        wanted = wanted or max(int(np.ceil(rate * counts.sum())), 1)
        b = int(np.searchsorted(before + np.cumsum(counts), wanted))
        before, low, high = before + int(counts[:b].sum()), edges[b], edges[b + 1]
        if counts[b] <= _HELD or not np.all(np.diff(np.linspace(low, high, _BINS + 1)) > 0):
            break
    found = np.empty(min(int(counts[b]), _HELD))
    k = lines.collect(x, y, ends, supremum, np.array([low, high]), found)
    place = min(wanted - before - 1, k - 1)
    return float(np.partition(found[:k], place)[place])


def _highest(x: F64) -> F64:
    return np.asarray(np.fmax.reduce(x, axis=1))


def _measures(of_lag: Ints, diagonal: Ints, vertical: Ints, shortest: tuple[int, int]) -> F64:
    """:data:`MEASURES`, lengths in samples; NaN where there is nothing to measure."""
    length = np.arange(diagonal.size)
    found, there = (int(n) for n in of_lag.sum(axis=1))
    out = dict.fromkeys(MEASURES, np.nan)
    if there:
        out["RR"] = found / there
    long, tall = (
        np.where(length >= s, h, 0) for h, s in zip((diagonal, vertical), shortest, strict=True)
    )
    if on_any := int((length * diagonal).sum()):
        out["DET"] = int((length * long).sum()) / on_any
        out["LAM"] = int((length * tall).sum()) / int((length * vertical).sum())
    if long.any():
        out["L"] = (length * long).sum() / long.sum()
        out["Lmax"] = np.flatnonzero(long)[-1]
        p = long[long > 0] / long.sum()
        out["ENTR"] = max(0.0, -float((p * np.log(p)).sum()))
    if tall.any():
        out["TT"] = (length * tall).sum() / tall.sum()
    return np.array([*out.values()])


def _profile(of_lag: Ints, ends: Ints, max_lag: int, mirrored: bool) -> F64:
    """Share of recurrences on the diagonals from ``-max_lag`` to ``max_lag``."""
    lags: Any = np.arange(-max_lag, max_lag + 1)
    place = (abs(lags) if mirrored else lags) - ends[0]
    known = (place >= 0) & (place < of_lag.shape[1])
    found, there = of_lag[:, np.where(known, place, 0)] if known.any() else np.zeros((2, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known & (there > 0), found / there, np.nan)
