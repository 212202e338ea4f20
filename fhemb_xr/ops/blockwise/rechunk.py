"""Chunks of an array, and how large blocks may be."""

import math
from collections.abc import Mapping
from typing import Any

import xarray as xr

from fhemb_xr.ops.blockwise.joining import joined

_TARGET = 2**26
"""Bytes of whole people in one block."""


def rechunked(x: xr.DataArray, chunks: int | Mapping[Any, Any]) -> xr.DataArray:
    """``x`` in other chunks where it is lazy, its coordinates as they are.

    ``DataArray.chunk`` makes coordinates lazy as well: the next merge or concat that compares
    them would compute.
    """
    if not x.chunks:
        return x
    data = x.variable.chunk(chunks).data
    whole = joined(x.data, data.chunks)
    return x.copy(deep=False, data=data if whole is None else whole)


def whole_people(lines: xr.DataArray) -> xr.DataArray:
    """``(…, dim, time, feature)`` with whole people in each block, as many as a task holds."""
    *lead, dim, time, feature = lines.dims
    one = 8 * lines.sizes[time] * lines.sizes[feature]
    people = min(max(1, _TARGET // one), lines.sizes[dim])
    return rechunked(lines, dict.fromkeys(lead, 1) | {dim: people, time: -1, feature: -1})


def halved(sizes: Mapping[Any, int], most: int) -> dict[Any, int]:
    """Sizes of a block, the widest halved until their product is at most ``most``."""
    size = dict(sizes)
    while math.prod(size.values()) > most and any(n > 1 for n in size.values()):
        widest = max(size, key=lambda d: size[d])
        size[widest] = (size[widest] + 1) // 2
    return size
