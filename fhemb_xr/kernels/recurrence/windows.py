"""Recurrence quantification in windows, and beside random shifts."""

from collections.abc import Iterator

import numpy as np

from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.kernels.recurrence.plots import Cut, Plot
from fhemb_xr.typing import F64, Floats


def quantified(x: Floats, y: Floats | None = None, *, plot: Plot, cut: Cut) -> F64:
    """Fields of the plot of each window: ``(..., d, t), (..., d, t) -> (..., w, f)``.

    Memory: ``16 * d * dim + 100`` bytes per sample of one leading index.
    """
    lead, fields = _lead(x, y), plot.fields(2 if plot.joint else 1)
    out = np.empty((*lead, _count(x.shape[-1], cut), fields.size))
    for at, a, b in _pairs(x, y, lead, cut):
        out[at] = _in_windows(a, b, plot, cut, 0)
    return out


def p_values(x: Floats, y: Floats, *, plot: Plot, cut: Cut, shifts: RandomShifts) -> F64:
    """Share of shifts with as much or more: ``(..., d, t), (..., d, t) -> (..., w, k)``.

    ``k``: the measures of a joint plot; or the lags of a cross plot, each beside the highest
    value that a shifted profile has anywhere. The same shifts serve every leading index.
    """
    lead, length = _lead(x, y), x.shape[-1]
    fields = plot.fields(2 if plot.joint else 1)
    part = fields["measures" if plot.joint else "profile"]
    out = np.empty((*lead, _count(length, cut), part.stop - part.start))
    for at, a, b in _pairs(x, y, lead, cut):
        observed = _in_windows(a, b, plot, cut, 0)[:, part]
        null = np.empty(
            (*observed.shape[:-1], observed.shape[-1] if plot.joint else 1, shifts.n)
        )
        for i, (moved, late) in enumerate(_shifted(np.asarray(b), shifts)):
            found = _in_windows(a, moved, plot, cut, late)[:, part]
            null[..., i] = found if plot.joint else _highest(found)
        out[at] = p_value(observed, null)
    return out


def _shifted(b: F64, shifts: RandomShifts) -> Iterator[tuple[F64, int]]:
    """The series of each shift, and by how many samples its windows begin later."""
    for by in shifts.drawn(b.shape[-1]):
        yield (np.roll(b, -by, axis=-1), 0) if shifts.margin is None else (b, by)


def _highest(profiles: F64) -> F64:
    return np.asarray(np.fmax.reduce(profiles, axis=1, keepdims=True))


def _in_windows(a: F64, b: F64 | None, plot: Plot, cut: Cut, late: int) -> F64:
    from fhemb_xr.kernels.recurrence.quantification import quantify  # compiles

    first = cut.edge
    rows = []
    for k in range(_count(a.shape[-1], cut)):
        start = first + k * cut.step
        part = a[:, start : start + cut.width]
        other = None if b is None else b[:, start + late : start + late + cut.width]
        rows.append(quantify(part, other, plot))
    return np.array(rows)


def _count(length: int, cut: Cut) -> int:
    return (length - 2 * cut.edge - cut.width) // cut.step + 1


def _lead(x: Floats, y: Floats | None) -> tuple[int, ...]:
    return np.broadcast_shapes(x.shape[:-2], () if y is None else y.shape[:-2])


def _pairs(
    x: Floats, y: Floats | None, lead: tuple[int, ...], cut: Cut
) -> Iterator[tuple[tuple[int, ...], F64, F64 | None]]:
    """Each pair of series, prepared."""
    both = [np.broadcast_to(s, (*lead, *s.shape[-2:])) for s in (x, y) if s is not None]
    for at in np.ndindex(lead):
        a, *b = (
            standardised(s[at]) if cut.standardised else s[at].astype(np.float64) for s in both
        )
        yield at, a, b[0] if b else None


def standardised(x: Floats) -> F64:
    """Each series minus its mean, by its standard deviation: ``(..., t) -> (..., t)``.

    Missing samples are left out; a series that never moves becomes 0. Memory: 24 bytes per
    sample.
    """
    there = np.isfinite(x)
    n = np.maximum(there.sum(axis=-1, keepdims=True), 1)
    y = np.where(there, x, 0.0)
    d = np.where(there, y - y.sum(axis=-1, keepdims=True) / n, 0.0)
    sd = np.sqrt((d * d).sum(axis=-1, keepdims=True) / n)
    still = sd <= 1e-13 * np.abs(y).max(axis=-1, keepdims=True, initial=0.0)
    return np.where(there, d / np.where(still, 1.0, sd) * ~still, np.nan)
