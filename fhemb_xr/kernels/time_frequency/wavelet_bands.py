"""Wavelet bands of stretches of series, run by run, many channels at a time.

Bands are numbered as PyWavelets orders coefficients: 0 is the approximation A_L of the deepest
level L, band b ≥ 1 the detail D_{L+1-b}. Nothing here is compiled until a transform runs.

References
----------
- Mallat (1989), IEEE Trans. Pattern Anal. Mach. Intell. 11, 674-693, doi:10.1109/34.192463.
- Percival & Walden (2000), Wavelet Methods for Time Series Analysis,
  doi:10.1017/CBO9780511841040.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pywt

from fhemb_xr.kernels.time_frequency.gaps import alike, patterns, runs
from fhemb_xr.typing import F32, F64, Bools, Floats, Ints

LOCAL_MODES = (
    "symmetric", "reflect", "zero", "constant", "smooth", "antisymmetric", "antireflect",
)  # fmt: skip
"""Extensions that look only at the end that they extend."""
CIRCULAR_MODES = ("periodic", "periodization")
"""Extensions that look at the other end."""
PADDING = {
    "symmetric": "symmetric",
    "reflect": "reflect",
    "constant": "edge",
    "zero": "constant",
    "periodic": "wrap",
}
"""Extensions of the shift-invariant transform, by numpy's names."""


def depth(bands: Sequence[int], level: int) -> int:
    """The deepest level that these bands need."""
    return max(level if b == 0 else level + 1 - b for b in bands)


def reach(wavelet: str, levels: int) -> int:
    """Samples on either side that an output sample depends on: (F - 1)(2^J - 1)."""
    return int((pywt.Wavelet(wavelet).dec_len - 1) * (2**levels - 1))


@dataclass(frozen=True)
class Spec:
    """A request: sums of bands (``groups``) of one transform."""

    groups: tuple[tuple[int, ...], ...]
    wavelet: str
    level: int
    mode: str
    transform: str = "dwt"

    def __dask_tokenize__(self) -> tuple[object, ...]:
        # without the cached properties, whose presence depends on what was computed before
        return type(self).__name__, *(getattr(self, f.name) for f in fields(self))

    @cached_property
    def levels(self) -> int:
        """The deepest level that is computed."""
        return max(depth(g, self.level) for g in self.groups)

    @cached_property
    def reach(self) -> int:
        """Samples on either side that an output sample depends on."""
        return reach(self.wavelet, self.levels)

    @cached_property
    def step(self) -> int:
        """Samples by which a series can be shifted without a change of the transform."""
        return int(2**self.levels) if self.transform == "dwt" else 1

    @cached_property
    def wants(self) -> Bools:
        """``(group, level + 1)``: at 0 the approximation, at j the detail of level j."""
        out = np.zeros((len(self.groups), self.levels + 1), bool)
        for g, bands in enumerate(self.groups):
            for b in bands:
                out[g, 0 if b == 0 else self.level + 1 - b] = True
        return out


def filtered(x: Floats, spec: Spec, first: int, last: int) -> Floats:
    """Sums of bands of one run without gaps: ``(t, c) -> (group, last - first, c)``.

    Peak memory beside the result, where r is the size of the run for up to 2 KiB of channels:
    ``"dwt"``: ``r``, plus ``r / 2**j`` for each level j whose detail is asked for;
    ``"modwt"``: 2 to 6 times the run of 32 channels.
    """
    out = np.empty((len(spec.groups), last - first, x.shape[1]), x.dtype)
    run = Decimated if spec.transform == "dwt" else _Maximal
    run(spec, len(x), x.dtype)(x, first, last, out)
    return out


class Decimated:
    """The DWT of runs of one length: sizes, filters and extensions ready for the loops."""

    def __init__(self, spec: Spec, n: int, dtype: Any) -> None:
        filters, *self.bank = filter_bank(spec.wavelet, spec.mode, dtype)
        self.filters, taps = filters, filters.shape[1]
        circular = spec.mode == "periodization"
        self.offset = taps // 2 if circular else 1
        sizes = [n]
        for _ in range(spec.levels):
            sizes.append((sizes[-1] + (1 if circular else taps - 1)) // 2)
        self.sizes, self.wants = np.array(sizes), spec.wants
        self.tables = extensions(spec.mode, tuple(sizes), taps, dtype)
        self.wraps = (
            extensions("periodic", tuple(sizes), taps, dtype) if circular else self.tables
        )

    def __call__(self, x: Floats, first: int, last: int, out: Floats) -> None:
        """Sums of bands of rows ``first`` to ``last`` into ``out``."""
        from fhemb_xr.kernels.time_frequency import dwt

        work, width = self.work(x, np.logical_or.reduce(self.wants))
        bank, ends = dwt.Bank(*self.bank), (dwt.Ends(*self.tables), dwt.Ends(*self.wraps))
        analysis, span = (self.filters, self.offset), (first, last)
        for columns, part, into in dwt.pieces(x, out):
            dwt.transform(
                part, width, work, self.sizes, analysis, bank, ends, self.wants, span, into
            )
            if into is not out:
                out[..., columns] = into

    def work(self, x: Floats, wanted: Bools) -> tuple[Floats, int]:
        """The work array of the loops, and the channels that it is for."""
        from fhemb_xr.kernels.time_frequency import dwt

        width = dwt.channels_at_a_time(x.shape[1], x.itemsize)
        rows = dwt.places(self.sizes, self.filters.shape[1], wanted)[2]
        return np.empty(rows * width, x.dtype), width


class _Maximal:
    """The multiresolution of the maximal-overlap DWT: additive, zero-phase, shift-invariant.

    The run is extended once, by the whole reach. The filters of level j have holes of
    ``2**(j - 1) - 1`` samples between their taps (algorithme à trous).
    """

    def __init__(self, spec: Spec, n: int, dtype: Any) -> None:
        w = pywt.Wavelet(spec.wavelet)
        self.filters = (np.array([w.dec_lo, w.dec_hi]) / np.sqrt(2)).astype(dtype)
        self.reach, self.padding, self.wants = spec.reach, PADDING[spec.mode], spec.wants
        kept = int(spec.wants[:, 1:].any(axis=0).sum())
        self.rows = (4 + kept) * (n + 2 * spec.reach)

    def __call__(self, x: Floats, first: int, last: int, out: Floats) -> None:
        from fhemb_xr.kernels.time_frequency import modwt

        ends, n = ((self.reach, self.reach), (0, 0)), len(x) + 2 * self.reach
        work = np.empty(self.rows * min(modwt.WIDTH, x.shape[1]), x.dtype)
        for c in range(0, x.shape[1], modwt.WIDTH):
            part = x[:, c : c + modwt.WIDTH]
            width = part.shape[1]
            longer = np.pad(part, ends, mode=self.padding)  # type: ignore[call-overload]
            work[: n * width] = longer.reshape(-1)
            found = np.empty((len(out), (last - first) * width), x.dtype)
            modwt.transform(
                work, n, width, self.filters, self.wants, self.reach, first, last, found
            )
            out[:, :, c : c + width] = found.reshape(len(out), -1, width)


@lru_cache(maxsize=64)
def filter_bank(wavelet: str, mode: str, dtype: Any) -> tuple[Floats, Floats, Ints]:
    """Filters of the analysis, and those of the synthesis by parity of the sample."""
    w = pywt.Wavelet(wavelet)
    half, rec = w.dec_len // 2, np.array([w.rec_lo, w.rec_hi], dtype)
    poly, shift = np.zeros((2, 2, half), dtype), np.zeros(2, np.int64)
    for odd in (0, 1):
        at = 2 * half - 2 + odd - 2 * np.arange(half)
        if mode == "periodization":  # where both ends join, odd samples may begin a row later
            shift[odd] = -((half - odd) // 2)
            at = odd + half - 1 - 2 * (shift[odd] + np.arange(half))
        poly[:, odd] = rec[:, at]
    backwards = np.array([w.dec_lo[::-1], w.dec_hi[::-1]], dtype)
    return backwards, poly, shift


@lru_cache(maxsize=64)
def extensions(mode: str, sizes: tuple[int, ...], pad: int, dtype: Any) -> tuple[Ints, Floats]:
    """Source rows and weights of the ``pad`` rows before and after each level's run."""
    made = [_extension(mode, n, pad) for n in sizes]
    return np.stack([m[0] for m in made]), np.stack([m[1] for m in made]).astype(dtype)


def _extension(mode: str, n: int, pad: int) -> tuple[Ints, F64]:
    """The rule of PyWavelets for a run of n: three rows and weights for each outer sample."""
    i = np.r_[-pad:0, n : n + pad]
    row, weight = np.zeros((2 * pad, 3), np.int64), np.zeros((2 * pad, 3))
    edge = np.where(i < 0, 0, n - 1)
    period, odd = max(2 * n - 2, 1), (i // n) % 2 == 1
    bounced = np.where(i % period < n, i % period, 2 * n - 2 - i % period)
    mirrored = np.where(odd, n - 1 - i % n, i % n)
    rule: dict[str, Any] = {
        "zero": (edge, 0),
        "constant": (edge, 1),
        "symmetric": (mirrored, 1),
        "antisymmetric": (mirrored, np.where(odd, -1, 1)),
        "periodic": (i % n, 1),
        "periodization": (np.minimum(i % (n + n % 2), n - 1), 1),  # odd: repeats the last
        "reflect": (bounced, 1),
        "smooth": (edge, 1),
        "antireflect": (bounced, np.where(i % period < n, 1, -1)),
    }
    row[:, 0], weight[:, 0] = rule[mode]
    if mode == "smooth" and n > 1:
        steps = np.where(i < 0, -i, i - n + 1)
        row[:, 1], weight[:, 1] = np.where(i < 0, 1, n - 2), -steps
        weight[:, 0] += steps
    if mode == "antireflect" and n > 1:
        turns = 2 * (i // period)
        row[:, 1], weight[:, 1] = n - 1, turns + np.where(i % period < n, 0, 2)
        weight[:, 2] = -turns
    return row, weight


def by_runs(
    x: Floats,
    spec: Spec,
    first: int,
    last: int,
    *,
    longest: int | None,
    start: Ints | None = None,
    whole: bool = True,
) -> Floats:
    """Sums of bands, each run of samples on its own: ``(t, c) -> (group, last - first, c)``.

    Parameters
    ----------
    x
        Stretch of the series: rows ``first`` to ``last`` and the rows that they depend on.
    longest
        Length of the longest gap that is filled and does not end a run. None: NaN is not
        looked for, and spreads.
    start
        Start of the run that contains row ``first - 1``, for each channel, relative to the
        stretch. It is negative if the run began before the stretch; then the run is taken from
        the next whole step of the transform on. None: the start is where the stretch shows it.
    whole
        Whether a mode that joins both ends may see runs that are not the whole series.

    Notes
    -----
    Missing samples stay missing. Channels with the same gaps are filtered together.
    Peak memory: the result, 1 byte per sample for the gaps, and that of :func:`filtered`.
    """
    from fhemb_xr.kernels.time_frequency.gap_filling import bridged

    n, parts = len(x), list(alike(x, longest is None, start, spec.step))
    if len(parts) == 1 and parts[0][1].all() and not parts[0][2]:  # no gap: no copies
        return filtered(x, spec, first, last)
    out = np.full((len(spec.groups), last - first, x.shape[1]), np.nan, x.dtype)
    for columns, finite, began in parts:
        for i, (lo, hi) in enumerate(runs(finite, longest or 0)):
            if not whole and spec.mode in CIRCULAR_MODES and hi - lo < n:
                raise ValueError(
                    f"mode {spec.mode!r} joins both ends of each run, so a series with gaps "
                    "needs time in one chunk: x.chunk(time=-1), or mode='symmetric'"
                )
            late = (began - lo) % spec.step if began is not None and i == 0 else 0
            a, b = max(lo + late, first), min(hi, last)
            if a >= b:
                continue
            part = bridged(x[lo:hi, columns], finite[lo:hi])[late:]
            found = filtered(part, spec, a - lo - late, b - lo - late)
            found[:, ~finite[a:b]] = np.nan
            out[:, a - first : b - first, columns] = found
    return out


def covered(there: Bools, spec: Spec) -> F32:
    """Share of the filter's energy that lies on present samples: ``(t, c) -> (t, c)``."""
    from scipy.signal import oaconvolve

    energy, out = _energy(spec), np.empty(there.shape, np.float32)
    half = len(energy) // 2
    for columns, one in patterns(there):  # one series for all channels with the same gaps
        share = oaconvolve(one.astype(np.float64), energy)[half : half + len(one)]
        out[:, columns] = np.clip(share, 0, 1)[:, None]
    return out


@lru_cache(maxsize=64)
def _energy(spec: Spec) -> F64:
    """Energy of the filter by lag, with sum 1, averaged over at most 64 of its phases."""
    reach, step = spec.reach, spec.step
    phases = np.unique(np.linspace(0, step - 1, min(step, 64)).astype(int))
    before = -(-2 * reach // step) * step  # whole steps keep the phase
    impulses = np.zeros((before + step + 2 * reach, len(phases)))
    impulses[before + phases, np.arange(len(phases))] = 1
    out = filtered(impulses, spec, 0, len(impulses))[0] ** 2
    lags = np.arange(-reach, reach + 1)[:, None]
    energy = np.asarray(out[before + phases + lags, np.arange(len(phases))].mean(axis=1))
    return np.asarray(energy / energy.sum())
