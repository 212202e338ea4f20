"""The DWT of series that come block by block: every sample is looked at once.

A coefficient depends on a few rows of the level above it, so what a block must know of those
before it is a few rows of each level, not the thousands of samples that the deepest filter
reaches. A *run* of samples between gaps is first kept as it is, until every level has rows
enough for its extension (:func:`ripe`), then as the last :func:`kept` rows of each level, the
*tails*. Where it ends, its last rows are extended level by level. Coefficients come out in
parts (:class:`Part`), from which :func:`rebuild` makes samples again; a sample depends on
parts of its own block and of those up to :func:`ahead` samples later, and on none before it.

Rows of runs are counted from their begin, or, once they are ripe, from a whole number of steps
of the transform later: channels that differ in nothing else then go together.
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
"""Length of a run whose end is not in sight."""


@dataclass(frozen=True)
class Open:
    """A run of some channels that goes on: its samples ``(t, c)`` or tails ``(J, rows, c)``."""

    columns: Any
    begin: int
    held: Floats


@dataclass(frozen=True)
class Part:
    """Coefficients of a run of some channels that a block adds, stacked ``(rows, c)``.

    Level j has ``counts[j]`` of them from ``firsts[j]`` on; 0 stands for the approximation.
    ``end`` is None where the run goes on after the block; ``goes_on``: it did before it.
    """

    columns: Any
    begin: int
    end: int | None
    goes_on: bool
    firsts: Ints
    counts: Ints
    rows: Floats


def kept(spec: Spec) -> int:
    """Rows of each level that are carried: as many as the longest extension looks at."""
    return int(pywt.Wavelet(spec.wavelet).dec_len) + 2


def ripe(spec: Spec) -> int:
    """Samples after which every level of a run has the rows that are carried."""
    return int(kept(spec) << (spec.levels - 1))


def ahead(spec: Spec) -> int:
    """Samples after a block whose parts its own samples depend on."""
    return max(spec.reach, ripe(spec))


def advanced(
    x: Floats, spec: Spec, begin: int, opened: Sequence[Open], *, last: bool, ignore: bool
) -> tuple[list[Open], list[Part]]:
    """What a block ``(t, c)``, from sample ``begin`` on, adds to the runs that are open.

    ``last``: the series ends with it. ``ignore``: missing samples end no run, and spread.

    Peak memory beside the parts: twice the block of up to 2 KiB of channels; of channels whose
    gaps differ, a copy.
    """
    n, whose = len(x), np.full(x.shape[1], -1)
    for i, one in enumerate(opened):
        whose[one.columns] = i
    found, parts = [], []
    for columns, finite in _alike(x, whose, ignore):
        at = int(whose[columns][0])
        before = None if at < 0 else _of(opened[at], columns)
        spans = gaps.runs(finite, 0)
        if before is not None and (not spans or spans[0][0] > 0):
            spans.insert(0, (0, 0))  # it ended where the block begins
        for lo, hi in spans:
            ended = begin + hi if last or hi < n else None
            rest, part = _extended(x[lo:hi, columns], spec, begin + lo, before, columns, ended)
            parts.append(part)
            found += [rest] if rest else []
            before = None
    return _together(found, x.shape[1]), parts


def _alike(x: Floats, whose: Ints, ignore: bool) -> Iterator[tuple[Any, Bools]]:
    """Channels with the same gaps and the same open run: ``(columns, finite)``."""
    if not x.shape[1]:
        return
    clean = ignore or bool(np.isfinite(x.sum()))
    finite = np.ones((len(x), 1), bool) if clean else np.isfinite(x)
    for columns in gaps.same(finite, whose):
        one = 0 if clean or isinstance(columns, slice) else int(columns[0])
        yield columns, finite[:, one]


def _of(one: Open, columns: Any) -> Open:
    """The run of some of its channels."""
    if isinstance(columns, slice):
        return one
    return Open(columns, one.begin, one.held[..., _places(one.columns, columns)])


def _places(among: Any, columns: Ints) -> Ints:
    """Where sorted columns stand among others."""
    return columns if isinstance(among, slice) else np.searchsorted(among, columns)


def _together(opened: list[Open], n: int) -> list[Open]:
    """Runs that differ in nothing but their channels as one."""
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
    """A run and its next samples: what is open of it then, and the coefficients they add."""
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
    """By level, from samples at 0 to the approximation at 0."""
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
        sizes = held if begins or ends else np.ones_like(held)  # else none is looked at
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
        for c in range(0, n, width):
            some = slice(c, min(c + width, n))
            work = flat[: self.height * (some.stop - c)].reshape(self.height, -1)
            self._put(work, x[:, some], None if tails is None else tails[..., some])
            dwt.onward(
                flat, some.stop - c, self.starts, self.high, self.carried, self.had, self.has,
                self.counts > 0, self.filters, *self.tables, self.begins, self.ends,
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
    free = 2 * pad + 2  # extensions of both ends, and what is one row too many
    ends = np.cumsum(np.r_[held, counts] + free)
    begins = pad + np.r_[0, ends[:-1]]
    return begins[: len(held)], begins[len(held) :], int(ends[-1])


def rebuild(parts: Sequence[Sequence[Part]], spec: Spec, begin: int, out: Floats) -> None:
    """Sums of bands of a block from its parts and later ones, into ``out (group, t, c)``.

    Peak memory: twice the coefficients that a group needs; of channels whose gaps differ, their
    result.
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
    """A group by itself, down to the deepest level that it needs."""
    deepest = depth(bands, spec.level)
    own = tuple(b and deepest - spec.level + b for b in bands)
    return Spec((own,), spec.wavelet, deepest, spec.mode)


def _followed(
    columns: Any, part: Part, later: Sequence[Sequence[Part]], channels: int
) -> Iterator[tuple[Any, list[Part]]]:
    """The parts of a run, for channels that go together in all of them."""
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
