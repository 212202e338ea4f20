"""Runs of samples between gaps: found once for all channels that have the same gaps."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fhemb_xr.typing import Bools, Floats, Ints


def patterns(finite: Bools) -> Iterator[tuple[Any, Bools]]:
    """Channels with the same gaps: ``(columns, finite)``; ``finite`` is that of one channel."""
    for columns in same(finite, np.zeros(finite.shape[1], np.int64)):
        yield columns, finite[:, _one(columns)]


def alike(
    x: Floats, ignore: bool, start: Ints | None, step: int
) -> Iterator[tuple[Any, Bools, int | None]]:
    """Channels with the same gaps and the same start: ``(columns, finite, began)``."""
    began = np.zeros(x.shape[1], np.int64) if start is None else start % step - step
    if start is not None:  # a start inside of the stretch needs no phase
        began = np.where(start < 0, began, 0)
    everything = np.ones(len(x), bool)
    clean = ignore or bool(np.isfinite(x.sum()))  # an overflow only costs the longer way
    if clean and (began == began[:1]).all():
        yield slice(None), everything, _phase(began, 0) if x.shape[1] else None
        return
    finite = everything[:, None] if ignore else np.isfinite(x)
    for columns in same(finite, began):
        one = 0 if ignore else _one(columns)
        yield columns, finite[:, one], _phase(began, _one(columns))


def same(finite: Bools, also: Ints) -> list[Any]:
    """Indices of the channels with the same gaps and the same number; a slice for all."""
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


def runs(finite: Bools, longest: int) -> list[tuple[int, int]]:
    """Starts and ends of runs; gaps of up to ``longest`` samples do not end a run."""
    at = np.flatnonzero(finite)
    if not at.size:
        return []
    ends = np.flatnonzero(np.diff(at) > longest + 1)
    return list(
        zip(at[np.r_[0, ends + 1]].tolist(), (at[np.r_[ends, -1]] + 1).tolist(), strict=True)
    )


def last_run(x: Floats, offset: int, longest: int) -> Ints:
    """First and last sample, and start of the last run: ``(t, c) -> (3, c)``; -1 if none.

    Peak memory: 1 byte per sample if any is missing.
    """
    n, out = len(x), np.full((3, x.shape[1]), -1, np.int64)
    if x.size == 0:
        return out
    if np.isfinite(x.sum()):
        out[:] = np.array([[offset], [offset + n - 1], [offset]])
        return out
    for columns, finite in patterns(np.isfinite(x)):
        found = runs(finite, longest)
        if found:
            state = np.array([found[0][0], found[-1][1] - 1, found[-1][0]]) + offset
            out[:, columns] = state[:, None]
    return out


def merge_runs(before: Ints, after: Ints, longest: int) -> Ints:
    """The last run of two neighbouring stretches together: ``(3, c), (3, c) -> (3, c)``."""
    first, last, begin = np.where(after[0] < 0, before, after)
    both = (before[0] >= 0) & (after[0] >= 0)
    joined = both & (after[2] == after[0]) & (after[0] - before[1] - 1 <= longest)
    return np.stack(
        [np.where(both, before[0], first), last, np.where(joined, before[2], begin)]
    )


CONTEXT = 512
"""Samples on either side that filling a gap uses."""
