"""Regions of arrays: bounds along every axis, and the pieces that cover them."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

Region = tuple[slice, ...]


def pieces(spans: Sequence[slice], unit: Sequence[int]) -> Iterator[Region]:
    """Pieces of shape ``unit`` that cover a region."""
    axes = [[slice(a, min(a + u, s.stop)) for a in range(s.start, s.stop, u)]
            for s, u in zip(spans, unit, strict=True)]  # fmt: skip
    return product(*axes)


def spans(region: Any, shape: Sequence[int]) -> Region:
    """Bounds along every axis."""
    return covered(region if isinstance(region, tuple) else (region,), shape)[0]


def covered(keys: tuple[Any, ...], shape: Sequence[int]) -> tuple[Region, tuple[Any, ...]]:
    """Bounds that cover integers and slices, and what is left to index within them."""
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        n = len(shape) - len(keys) + 1
        keys = (*keys[:at], *[slice(None)] * n, *keys[at + 1 :])
    keys = (*keys, *[slice(None)] * (len(shape) - len(keys)))
    bounds: list[slice] = []
    rest: list[Any] = []
    for key, n in zip(keys, shape, strict=True):
        if not isinstance(key, slice):
            i = range(n)[int(key)]  # negative ones too; beyond the end: an IndexError
            bounds.append(slice(i, i + 1))
            rest.append(0)
            continue
        steps = range(*key.indices(n))
        low, high = (min(steps), max(steps) + 1) if steps else (0, 0)
        bounds.append(slice(low, high))
        first, end = steps.start - low, steps.stop - low
        rest.append(
            slice(first, end if end >= 0 else None, steps.step) if steps else slice(0, 0)
        )
    return tuple(bounds), tuple(rest)
