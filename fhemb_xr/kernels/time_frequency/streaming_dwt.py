"""The DWT of series that come block by block: every sample is looked at once.

A coefficient depends on a few rows of the level above it. So a block needs only a few rows of
each level from the blocks before it, not the thousands of samples that the deepest filter
reaches::

    level 0 (samples)   . . . . . . . t t t | new samples ...
    level 1               .   .   t   t   t | ...                t: tails, kept from before
    level 2                   t   t       t | ...                |: start of the block

A *run* is a stretch of samples between gaps. At first its samples are kept unchanged, until
every level has enough rows for its extension (:func:`ripe`). From then on, only the last
:func:`kept` rows of each level are kept, the *tails*. At the end of a run, the last rows are
extended level by level. Each block adds coefficients (:class:`Part`); :func:`rebuild` makes
samples from them. A sample depends on the parts of its own block and of the blocks up to
:func:`ahead` samples later, and on no part before.

Positions are relative to the start of the run. Once a run is ripe, its origin is moved to a
multiple of the transform's step, so that channels with different starts can share one batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pywt

from fhemb_xr.kernels.time_frequency import gaps, wavelet_coefficients
from fhemb_xr.kernels.time_frequency.wavelet_bands import Spec, depth, extensions, filter_bank
from fhemb_xr.typing import Bools, Floats, Ints

ENDLESS = 2**62
"""Length of a run whose end is not known yet."""


@dataclass(frozen=True)
class Open:
    """A run of some channels that goes on.

    ``held`` has samples ``(t, c)`` or tails ``(J, rows, c)``; ``begin`` is its start, or
    a multiple of the step later.
    """

    columns: Any
    begin: int
    held: Floats


@dataclass(frozen=True)
class Part:
    """Coefficients of a run of some channels that a block adds, stacked ``(rows, c)``.

    Level j has ``counts[j]`` coefficients from number ``firsts[j]`` on; level 0 is the
    approximation. ``end`` is None if the run goes on after the block. ``goes_on`` says whether
    it began before the block.
    """

    columns: Any
    begin: int
    end: int | None
    goes_on: bool
    firsts: Ints
    counts: Ints
    rows: Floats


def kept(spec: Spec) -> int:
    """Rows of each level that are kept: as many as the longest extension uses."""
    return int(pywt.Wavelet(spec.wavelet).dec_len) + 2


def ripe(spec: Spec) -> int:
    """Samples after which every level of a run has the rows that are kept."""
    return int(kept(spec) << (spec.levels - 1))


def ahead(spec: Spec) -> int:
    """Number of samples after a block whose coefficients its own samples depend on."""
    return max(spec.reach, ripe(spec))


def advanced(
    x: Floats, spec: Spec, begin: int, opened: Sequence[Open], *, last: bool, ignore: bool
) -> tuple[list[Open], list[Part]]:
    """The runs that are open after a block ``(t, c)``, and the coefficients that it adds.

    The block begins at sample ``begin``. ``last`` says that the series ends with it. With
    ``ignore``, missing samples end no run, and spread.

    Peak memory beside the parts: twice the block for up to 2 KiB of channels, plus a copy of
    the channels whose gaps differ.
    """
    n, run_of = len(x), np.full(x.shape[1], -1)
    for i, run in enumerate(opened):
        run_of[run.columns] = i
    still_open, parts = [], []
    for columns, finite in _alike(x, run_of, ignore):
        number = int(run_of[columns][0])
        before = None if number < 0 else _of(opened[number], columns)
        spans = gaps.runs(finite, 0)
        if before is not None and (not spans or spans[0][0] > 0):
            spans.insert(0, (0, 0))  # the run ended where the block begins
        for lo, hi in spans:
            ended = begin + hi if last or hi < n else None
            rest, part = _extended(x[lo:hi, columns], spec, begin + lo, before, columns, ended)
            parts.append(part)
            still_open += [rest] if rest else []
            before = None
    return _together(still_open, x.shape[1]), parts


def _alike(x: Floats, run_of: Ints, ignore: bool) -> Iterator[tuple[Any, Bools]]:
    """Channels with the same gaps and the same open run: ``(columns, finite)``."""
    if not x.shape[1]:
        return
    clean = ignore or bool(np.isfinite(x.sum()))
    finite = np.ones((len(x), 1), bool) if clean else np.isfinite(x)
    for columns in gaps.same(finite, run_of):
        one = 0 if clean or isinstance(columns, slice) else int(columns[0])
        yield columns, finite[:, one]


def _of(one: Open, columns: Any) -> Open:
    """The run, for some of its channels."""
    if isinstance(columns, slice):
        return one
    return Open(columns, one.begin, one.held[..., _places(one.columns, columns)])


def _places(among: Any, columns: Ints) -> Ints:
    """Positions of sorted columns among others."""
    return columns if isinstance(among, slice) else np.searchsorted(among, columns)


def _together(opened: list[Open], n: int) -> list[Open]:
    """Runs that differ only in their channels, joined to one."""
    alike: dict[Any, list[Open]] = {}
    for one in opened:
        alike.setdefault((one.begin, one.held.ndim), []).append(one)
    out = []
    for several in alike.values():
        if len(several) == 1:
            out += several
            continue
        columns = np.concatenate([one.columns for one in several])
        order = np.argsort(columns)
        held = np.concatenate([one.held for one in several], axis=-1)[..., order]
        every = len(columns) == n
        out.append(Open(slice(0, n) if every else columns[order], several[0].begin, held))
    return out


def _extended(
    x: Floats, spec: Spec, begin: int, before: Open | None, columns: Any, end: int | None
) -> tuple[Open | None, Part]:
    """Add the next samples to a run: the run if it is still open, and its new coefficients."""
    run, seen, tails, n = begin, 0, None, begin + len(x)
    if before is not None:
        run = before.begin
        if before.held.ndim == 3:
            seen, tails = begin - run, before.held
        else:
            x = np.concatenate([before.held, x])
    j = np.arange(spec.levels + 1)
    had, has = seen >> j, (n - run) >> j
    if end is not None:
        has = np.array(wavelet_coefficients.lengths(n - run, spec.wavelet, spec.levels))
    elif n - run < ripe(spec):
        has = had
    firsts, counts = _stacked(had), np.where(spec.wants.any(axis=0), _stacked(has - had), 0)
    part = Part(columns, run, end, before is not None, firsts, counts, np.empty((0, 0)))
    if end is None and n - run < ripe(spec):
        return Open(columns, run, np.array(x)), part
    stretch = _Stretch(spec, had, has, counts, tails is None, end is not None, x.dtype)
    rows, tails = stretch(x, tails)
    later = (n - run - ripe(spec)) // spec.step * spec.step
    rest = None if tails is None else Open(columns, run + later, tails)
    return rest, replace(part, rows=rows)


def _stacked(counts: Ints) -> Ints:
    """Counts by level: entry 0 changes from the samples to the approximation."""
    return np.concatenate([counts[-1:], counts[1:]])


class _Stretch:
    """The transform of a stretch of a run: sizes, filters and places ready for the loops."""

    def __init__(
        self,
        spec: Spec,
        had: Ints,
        has: Ints,
        counts: Ints,
        begins: bool,
        ends: bool,
        dtype: Any,
    ) -> None:
        self.had, self.has, self.counts, self.begins, self.ends = had, has, counts, begins, ends
        self.carried, self.kept = 0 if begins else kept(spec), kept(spec)
        self.filters = filter_bank(spec.wavelet, spec.mode, dtype)[0]
        taps, held = self.filters.shape[1], self.carried + has - had
        sizes = held if begins or ends else np.ones_like(held)  # otherwise no extension is used
        self.tables = extensions(spec.mode, tuple(sizes.tolist()), taps, dtype)
        self.starts, self.high, self.height = _layout(held, counts, taps)
        self.stops = self.starts + held

    def __call__(self, x: Floats, tails: Floats | None) -> tuple[Floats, Floats | None]:
        """New coefficients, stacked, and new tails."""
        from fhemb_xr.kernels.time_frequency import dwt

        n = x.shape[1]
        rows = np.empty((int(self.counts.sum()), n), x.dtype)
        rest = np.empty((len(self.had) - 1, 0 if self.ends else self.kept, n), x.dtype)
        width = dwt.channels_at_a_time(n, x.itemsize)
        flat = np.empty(self.height * width, x.dtype)
        levels, extension = dwt.Levels(self.starts, self.high, self.has), dwt.Ends(*self.tables)
        for c in range(0, n, width):
            some = slice(c, min(c + width, n))
            work = flat[: self.height * (some.stop - c)].reshape(self.height, -1)
            self._put(work, x[:, some], None if tails is None else tails[..., some])
            dwt.onward(
                flat, some.stop - c, levels, self.carried, self.had, self.has, self.counts > 0,
                self.filters, extension, (self.begins, self.ends),
            )  # fmt: skip
            self._get(work, rows[:, some], rest[..., some])
        return rows, None if self.ends else rest

    def _put(self, work: Floats, x: Floats, tails: Floats | None) -> None:
        work[self.starts[0] + self.carried :][: len(x)] = x
        for start, tail in zip(self.starts, () if tails is None else tails, strict=False):
            work[start:][: self.carried] = tail

    def _get(self, work: Floats, rows: Floats, rest: Floats) -> None:
        at = 0
        for j in np.flatnonzero(self.counts):
            first = self.high[j] if j else self.starts[-1] + self.carried
            n = self.counts[j]
            rows[at : at + n] = work[first : first + n]
            at += n
        for stop, tail in zip(self.stops, rest, strict=False):
            tail[:] = work[stop - len(tail) : stop]


def _layout(held: Ints, counts: Ints, pad: int) -> tuple[Ints, Ints, int]:
    """Where the rows of each level and its new details begin, and the rows in all."""
    free = 2 * pad + 2  # extensions of both ends, and rows that loops over pairs make too many
    ends = np.cumsum(np.r_[held, counts] + free)
    begins = pad + np.r_[0, ends[:-1]]
    return begins[: len(held)], begins[len(held) :], int(ends[-1])


def rebuild(parts: Sequence[Sequence[Part]], spec: Spec, begin: int, out: Floats) -> None:
    """Sums of bands of a block from its own and later parts, into ``out (group, t, c)``.

    Peak memory: twice the coefficients that a group needs, plus the result of the channels
    whose gaps differ.
    """
    out[:] = np.nan
    end, alone = begin + out.shape[1], [_alone(spec, bands) for bands in spec.groups]
    for part in parts[0]:
        a, b = max(begin, part.begin), end if part.end is None else min(end, part.end)
        for columns, chain in _followed(part.columns, part, parts[1:], out.shape[2]):
            for into, one in zip(out, alone if a < b else (), strict=False):
                rows = into[a - begin : b - begin]
                if isinstance(columns, slice):
                    _samples(chain, one, columns, a, b, rows)
                else:
                    rows[:, columns] = _samples(chain, one, columns, a, b)


def _alone(spec: Spec, bands: tuple[int, ...]) -> Spec:
    """The transform for one group alone, down to the deepest level that the group needs."""
    deepest = depth(bands, spec.level)
    own = tuple(b and deepest - spec.level + b for b in bands)
    return Spec((own,), spec.wavelet, deepest, spec.mode)


def _followed(
    columns: Any, part: Part, later: Sequence[Sequence[Part]], channels: int
) -> Iterator[tuple[Any, list[Part]]]:
    """The parts of a run, for channels that share all of them."""
    if part.end is not None or not later:
        yield columns, [part]
        return
    after = [one for one in later[0] if one.goes_on]
    whose = np.full(channels, -1)
    for i, one in enumerate(after):
        whose[one.columns] = i
    own = whose[columns]
    for i in np.unique(own):
        some = columns if (own == i).all() else np.arange(channels)[columns][own == i]
        for found, chain in _followed(some, after[i], later[1:], channels):
            yield found, [part, *chain]


def _samples(
    chain: list[Part], spec: Spec, columns: Any, begin: int, end: int, out: Floats | None = None
) -> Floats:
    """Samples of a run from its parts: ``(end - begin, c)``."""
    zero, last = chain[0].begin, chain[-1].end
    first, stop = begin - zero, end - zero
    n = ENDLESS if last is None else last - zero
    begins, ends = wavelet_coefficients.needed(first, stop, n, spec)
    begins[0], ends[0] = begins[-1], ends[-1]
    rows = [
        piece
        for j in np.flatnonzero(wavelet_coefficients.levels(spec)).tolist()
        for piece in _pieces(chain, j, j or spec.levels, zero, (begins[j], ends[j]), columns)
    ]
    return wavelet_coefficients.synthesised(np.concatenate(rows), spec, first, stop, n, out)


def _pieces(
    chain: list[Part], j: int, level: int, zero: int, span: tuple[int, int], columns: Any
) -> Iterator[Floats]:
    """Coefficients of a level from one number to another, where the run begins at ``zero``."""
    for one in chain:
        first = int(one.firsts[j]) + ((one.begin - zero) >> level)
        a, b = max(span[0], first), min(span[1], first + int(one.counts[j]))
        if a < b:
            row = int(one.counts[:j].sum()) - first
            yield one.rows[row + a : row + b][:, _places(one.columns, columns)]
