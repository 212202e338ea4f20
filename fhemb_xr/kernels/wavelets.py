"""Wavelet bands of stretches of series: what is asked, run by run, many channels at a time.

Bands are numbered as PyWavelets orders coefficients: 0 is the approximation A_L of the deepest
level L, band b ≥ 1 the detail D_{L+1-b}. Nothing here is compiled until a transform runs.

References
----------
Mallat (1989), IEEE Trans. Pattern Anal. Mach. Intell. 11, 674-693, doi:10.1109/34.192463.
Percival & Walden (2000), Wavelet Methods for Time Series Analysis,
doi:10.1017/CBO9780511841040.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
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
    """What is asked: sums of bands (``groups``) of one transform."""

    groups: tuple[tuple[int, ...], ...]
    wavelet: str
    level: int
    mode: str
    transform: str = "dwt"

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
        """The transform looks the same when a series is shifted by so many samples."""
        return int(2**self.levels) if self.transform == "dwt" else 1

    @cached_property
    def wants(self) -> NDArray[np.bool_]:
        """``(group, level + 1)``: at 0 the approximation, at j the detail of level j."""
        out = np.zeros((len(self.groups), self.levels + 1), bool)
        for g, bands in enumerate(self.groups):
            for b in bands:
                out[g, 0 if b == 0 else self.level + 1 - b] = True
        return out


def filtered(x: Floats, spec: Spec, first: int, last: int) -> Floats:
    """Sums of bands of one run without gaps: ``(t, c) -> (group, last - first, c)``.

    Peak memory beside the result: for the run of some channels two to six times itself, a few
    MB, whatever the number of channels.
    """
    out = np.empty((len(spec.groups), last - first, x.shape[1]), x.dtype)
    run = _Decimated if spec.transform == "dwt" else _Maximal
    run(spec, len(x), x.dtype)(x, first, last, out)
    return out


class _Decimated:
    """The DWT of runs of one length: sizes, filters and extensions ready for the loops."""

    def __init__(self, spec: Spec, n: int, dtype: Any) -> None:
        filters, self.poly, self.shift = _filter_bank(spec.wavelet, spec.mode, dtype)
        self.filters, taps = filters, filters.shape[1]
        circular = spec.mode == "periodization"
        self.offset = taps // 2 if circular else 1
        sizes = [n]
        for _ in range(spec.levels):
            sizes.append((sizes[-1] + (1 if circular else taps - 1)) // 2)
        self.sizes, self.wants = np.array(sizes), spec.wants
        self.tables = _tables(spec.mode, tuple(sizes), taps, dtype)
        self.wraps = _tables("periodic", tuple(sizes), taps, dtype) if circular else self.tables
        self.rows = int((self.sizes + 2 * taps).sum() * 2)

    def __call__(self, x: Floats, first: int, last: int, out: Floats) -> None:
        from fhemb_xr.kernels import dwt

        dwt.transform(
            x, np.empty(self.rows * dwt.WIDTH, x.dtype), self.sizes, self.filters, self.offset,
            self.poly, self.shift, self.tables, self.wraps, self.wants, first, last, out,
        )  # fmt: skip


class _Maximal:
    """The multiresolution of the maximal-overlap DWT: additive, zero-phase, shift-invariant.

    The run is extended once, by the whole reach; then each level's filters have holes.
    """

    def __init__(self, spec: Spec, n: int, dtype: Any) -> None:
        w = pywt.Wavelet(spec.wavelet)
        self.filters = (np.array([w.dec_lo, w.dec_hi]) / np.sqrt(2)).astype(dtype)
        self.reach, self.padding, self.wants = spec.reach, PADDING[spec.mode], spec.wants
        kept = int(spec.wants[:, 1:].any(axis=0).sum())
        self.rows = (4 + kept) * (n + 2 * spec.reach)

    def __call__(self, x: Floats, first: int, last: int, out: Floats) -> None:
        from fhemb_xr.kernels import modwt

        ends, width = ((self.reach, self.reach), (0, 0)), min(modwt.WIDTH, x.shape[1])
        work = np.empty((self.rows, width), x.dtype)
        for c in range(0, x.shape[1], width):
            part = x[:, c : c + width]
            if part.shape[1] < width:
                work = np.empty((self.rows, part.shape[1]), x.dtype)
            longer = np.pad(part, ends, mode=self.padding)  # type: ignore[call-overload]
            work[: len(longer)] = longer
            found = np.empty((len(out), last - first, part.shape[1]), x.dtype)
            modwt.transform(
                work, len(longer), self.filters, self.wants, self.reach, first, last, found
            )
            out[:, :, c : c + width] = found


@lru_cache(maxsize=64)
def _filter_bank(wavelet: str, mode: str, dtype: Any) -> tuple[Floats, Floats, Ints]:
    """Filters of the analysis, and those of the synthesis by parity of the sample."""
    w = pywt.Wavelet(wavelet)
    half = w.dec_len // 2
    rec = np.array([w.rec_lo, w.rec_hi], dtype)
    poly, shift = np.zeros((2, 2, half), dtype), np.zeros(2, np.int64)
    for odd in (0, 1):
        at = 2 * half - 2 + odd - 2 * np.arange(half)
        if mode == "periodization":
            shift[odd] = -((half - odd) // 2)
            at = odd + half - 1 - 2 * (shift[odd] + np.arange(half))
        poly[:, odd] = rec[:, at]
    backwards = np.array([w.dec_lo[::-1], w.dec_hi[::-1]], dtype)
    return backwards, poly, shift


@lru_cache(maxsize=64)
def _tables(mode: str, sizes: tuple[int, ...], pad: int, dtype: Any) -> tuple[Ints, Floats]:
    """Rows and weights that make the ``pad`` rows before and after each level's run."""
    made = [_extension(mode, n, pad) for n in sizes]
    return np.stack([m[0] for m in made]), np.stack([m[1] for m in made]).astype(dtype)


def _extension(mode: str, n: int, pad: int) -> tuple[Ints, NDArray[np.float64]]:
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
        A stretch of the series: rows ``first`` to ``last`` and what they depend on.
    longest
        Gaps of up to so many samples are bridged by a line and do not end a run. None: NaN
        is not looked for, and spreads.
    start
        For each channel the row where the run began that the row before ``first`` belongs to;
        negative where that lies before the stretch. None: where it is seen to begin.
    whole
        Whether a mode that joins both ends may see runs that are not the whole series.

    Notes
    -----
    Missing samples stay missing. Channels with the same gaps are filtered together.
    Peak memory: the result, 1 byte per sample for the gaps, and that of :func:`filtered`.
    """
    n, parts = len(x), list(_alike(x, longest is None, start, spec.step))
    if len(parts) == 1 and parts[0][1].all() and not parts[0][2]:  # no gap: no copies
        return filtered(x, spec, first, last)
    out = np.full((len(spec.groups), last - first, x.shape[1]), np.nan, x.dtype)
    for columns, finite, began in parts:
        for i, (lo, hi) in enumerate(_runs(finite, longest or 0)):
            if not whole and spec.mode in CIRCULAR_MODES and hi - lo < n:
                raise ValueError(
                    f"mode {spec.mode!r} joins both ends of each run, so a series with gaps "
                    "needs time in one chunk: x.chunk(time=-1), or mode='symmetric'"
                )
            if began is not None and i == 0:  # its beginning is out of sight
                lo += (began - lo) % spec.step
            a, b = max(lo, first), min(hi, last)
            if a >= b:
                continue
            part = _bridged(x[lo:hi, columns], finite[lo:hi])
            found = filtered(part, spec, a - lo, b - lo)
            found[:, ~finite[a:b]] = np.nan
            out[:, a - first : b - first, columns] = found
    return out


def _alike(
    x: Floats, ignore: bool, start: Ints | None, step: int
) -> Iterator[tuple[Any, NDArray[np.bool_], int | None]]:
    """Channels with the same gaps and the same begin: ``(columns, finite, began)``."""
    began = np.zeros(x.shape[1], np.int64) if start is None else start % step - step
    if start is not None:  # what is in sight needs no phase
        began = np.where(start < 0, began, 0)
    everything = np.ones(len(x), bool)
    clean = ignore or bool(np.isfinite(x.sum()))  # an overflow only costs the longer way
    if clean and (began == began[:1]).all():
        yield slice(None), everything, _phase(began, 0) if x.shape[1] else None
        return
    finite = everything[:, None] if ignore else np.isfinite(x)
    for columns in _same(finite, began):
        one = 0 if ignore else _one(columns)
        yield columns, finite[:, one], _phase(began, _one(columns))


def _same(finite: NDArray[np.bool_], also: Ints) -> list[Any]:
    """Channels with the same gaps and the same number: their indices, or a slice for all."""
    packed = np.packbits(finite, axis=0)
    key = np.random.default_rng(0).integers(1, 2**63, size=len(packed), dtype=np.uint64)
    sums = np.zeros(finite.shape[1], np.uint64)
    for k, row in zip(key, packed, strict=True):
        sums += k * row  # modulo 2^64: two channels meet by chance once in 10^19
    sums = np.broadcast_to(sums, also.shape)
    order = np.lexsort((also, sums))
    new = (np.diff(sums[order]) != 0) | (np.diff(also[order]) != 0)
    if not new.any():
        return [slice(0, also.size)]
    return np.split(order, np.flatnonzero(new) + 1)


def _one(columns: Any) -> int:
    return 0 if isinstance(columns, slice) else int(columns[0])


def _phase(began: Ints, column: int) -> int | None:
    return int(began[column]) if began[column] < 0 else None


def _runs(finite: NDArray[np.bool_], longest: int) -> list[tuple[int, int]]:
    """Where runs begin and end; gaps of up to ``longest`` samples do not end them."""
    at = np.flatnonzero(finite)
    if not at.size:
        return []
    ends = np.flatnonzero(np.diff(at) > longest + 1)
    return list(
        zip(at[np.r_[0, ends + 1]].tolist(), (at[np.r_[ends, -1]] + 1).tolist(), strict=True)
    )


def _bridged(x: Floats, finite: NDArray[np.bool_]) -> Floats:
    """Missing rows on the line between those on either side: ``(t, c) -> (t, c)``."""
    if finite.all():
        return x
    at, gaps = np.flatnonzero(finite), np.flatnonzero(~finite)
    x = x.copy()
    right = np.searchsorted(at, gaps).clip(max=at.size - 1)
    left = np.searchsorted(at, gaps).clip(min=1) - 1
    low, high = at[left], at[right]
    share = ((gaps - low) / np.maximum(high - low, 1)).astype(x.dtype)[:, None]
    x[gaps] = x[low] + share * (x[high] - x[low])
    return x


def last_run(x: Floats, offset: int, longest: int) -> Ints:
    """First and last sample, and where the last run begins: ``(t, c) -> (3, c)``, -1 for none.

    Peak memory: 1 byte per sample where any is missing.
    """
    n, out = len(x), np.full((3, x.shape[1]), -1, np.int64)
    if x.size == 0:
        return out
    if np.isfinite(x.sum()):
        out[:] = np.array([[offset], [offset + n - 1], [offset]])
        return out
    finite = np.isfinite(x)
    for columns in _same(finite, np.zeros(x.shape[1], np.int64)):
        runs = _runs(finite[:, _one(columns)], longest)
        if runs:
            found = np.array([runs[0][0], runs[-1][1] - 1, runs[-1][0]]) + offset
            out[:, columns] = found[:, None]
    return out


def merge_runs(before: Ints, after: Ints, longest: int) -> Ints:
    """What two neighbouring parts say together: ``(3, c), (3, c) -> (3, c)``."""
    first, last, begin = np.where(after[0] < 0, before, after)
    both = (before[0] >= 0) & (after[0] >= 0)
    joined = both & (after[2] == after[0]) & (after[0] - before[1] - 1 <= longest)
    return np.stack(
        [np.where(both, before[0], first), last, np.where(joined, before[2], begin)]
    )
