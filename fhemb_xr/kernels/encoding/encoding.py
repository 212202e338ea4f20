"""Encoding models of many series of one stimulus, each beside its own shifts in time."""

from collections.abc import Iterator

import numpy as np

from fhemb_xr.kernels.encoding.ridge import Machine, Model, stretches
from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.typing import F64, Bools, Floats

_TOGETHER, _NUMBERS = 32, 2**20
"""Series whose fits are in memory at a time, and the most samples of them."""


def encoded(
    y: Floats,
    s: Floats,
    *,
    model: Model,
    standardised: bool,
    shifts: RandomShifts | None = None,
) -> F64:
    """The model of each series: ``(..., t), (..., f, t) -> (..., fields)``.

    Leading axes of ``s`` are broadcast to those of ``y``. Series with the same gaps share all
    sums of the stimulus. Memory: ``8 p p`` bytes for each stretch of time and each set learnt
    from, twice ``y`` in float64, and 100 bytes per moment.
    """
    out = np.empty((*y.shape[:-1], model.fields(s.shape[-2]).size))
    lead = s.shape[:-2]
    lead = (1,) * (y.ndim - 1 - len(lead)) + lead
    stimuli = s.reshape((*lead, *s.shape[-2:]))
    for at in np.ndindex(lead):
        where = tuple(i if n > 1 else slice(None) for i, n in zip(at, lead, strict=True))
        series = y[where].reshape(-1, y.shape[-1])
        found = _of_one_stimulus(series, stimuli[at], model, standardised, shifts)
        out[where] = found.reshape(out[where].shape)
    return out


def _of_one_stimulus(
    y: Floats, s: Floats, model: Model, standardised: bool, shifts: RandomShifts | None
) -> F64:
    stimulus, usable, mean, scale = _prepared(s, model, standardised)
    length, edge = usable.size, 0 if shifts is None or shifts.margin is None else shifts.margin
    usable[:edge] = usable[length - edge :] = False
    begin = max(edge, model.lo + model.n_lags - 1)
    cut = stretches(begin, max(min(length - edge, length + model.lo), begin), model)
    by = [0, *(() if shifts is None else shifts.drawn(length))]
    series, means = _centred(y)
    fields = model.fields(len(s))
    out = np.full((len(y), fields.size), np.nan)
    r = np.full((len(by), len(y)), np.nan)
    for rows, jobs in _groups(series, usable, by):
        machine = Machine(stimulus, rows, cut, model)
        step = max(1, min(_TOGETHER, _NUMBERS // length))
        for i in range(0, len(jobs), step):
            k, c = np.transpose(jobs[i : i + step])
            moved = np.empty((len(k), length))
            for row, d, j in zip(moved, k, c, strict=True):
                row[:] = np.where(rows, np.roll(series[j], -by[d]), 0.0)
            found = machine.results(moved)
            r[k, c] = found[:, fields["r"]]
            out[c[k == 0]] = found[k == 0]
    weights = fields.part(out, "weights") / scale
    out[:, fields["weights"]] = weights.reshape(len(y), -1)
    out[:, fields["intercept"]] += means - (weights @ mean).sum(axis=1)
    if shifts is not None:
        out[:, fields["p"]] = p_value(r[0], r[1:].T)
    return out


def _prepared(s: Floats, model: Model, standardised: bool) -> tuple[F64, Bools, F64, F64]:
    """The stimulus about its mean and by its scale, rows that have all lags, mean, scale."""
    there = np.isfinite(s)
    n = np.maximum(there.sum(axis=1, keepdims=True), 1)
    d = np.where(there, s, 0.0).astype(np.float64)
    mean = d.sum(axis=1, keepdims=True) / n
    d = np.where(there, d - mean, 0.0)
    scale = np.sqrt((d * d).sum(axis=1) / n[:, 0]) if standardised else np.ones(len(s))
    flat = scale <= 1e-13 * np.abs(np.where(there, s, 0.0)).max(axis=1, initial=0.0)
    scale = np.where(flat, 1.0, scale)
    d[flat] = 0.0
    missing = np.concatenate([[0], np.cumsum(~there.all(axis=0))])
    last = np.arange(s.shape[1]) - model.lo
    first = last - model.n_lags + 1
    inside = (first >= 0) & (last < s.shape[1])
    lost = missing[np.where(inside, last + 1, 0)] - missing[np.where(inside, first, 0)]
    return d / scale[:, None], inside & (lost == 0), mean[:, 0], scale


def _centred(y: Floats) -> tuple[F64, F64]:
    """Series about their means, and the means; a series that never moves becomes 0."""
    there = np.isfinite(y)
    z = np.where(there, y, 0.0).astype(np.float64, copy=False)
    mean = z.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    largest = np.maximum(z.max(axis=1, initial=0.0), -z.min(axis=1, initial=0.0))
    z -= mean[:, None]  # in place: series are most of the memory
    z[~there] = 0.0
    still = np.maximum(z.max(axis=1, initial=0.0), -z.min(axis=1, initial=0.0))
    z[still <= 1e-13 * largest] = 0.0
    z[~there] = np.nan
    return z, mean


def _groups(
    series: F64, usable: Bools, by: list[int]
) -> Iterator[tuple[Bools, list[tuple[int, int]]]]:
    """Rows that count, with the shifts and series ``(k, c)`` of which just these do."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    for k, shift in enumerate(by):
        for c, there in enumerate(np.isfinite(series)):
            rows = usable if there.all() else usable & np.roll(there, -shift)
            found.setdefault(np.packbits(rows).tobytes(), []).append((k, c))
    for key, jobs in found.items():
        rows = np.unpackbits(np.frombuffer(key, np.uint8), count=usable.size).astype(bool)
        yield rows, jobs
