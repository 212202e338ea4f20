"""Chunks of an array alone."""

from collections.abc import Mapping
from typing import Any

import xarray as xr


def rechunked(x: xr.DataArray, chunks: int | Mapping[Any, int]) -> xr.DataArray:
    """``x`` in other chunks where it is lazy, its coordinates as they are.

    ``DataArray.chunk`` makes coordinates lazy as well: the next merge or concat that compares
    them would compute.
    """
    return x.copy(deep=False, data=x.variable.chunk(chunks).data) if x.chunks else x
