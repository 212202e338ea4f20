"""What is asked of states, checked; and the series in blocks of people."""

from collections.abc import Hashable

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.states.events import Chain
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice, require_count

ALONE = "fhemb_alone"
"""Dimension of the people where each is analysed alone."""
_LEAST_FEATURES = 3


def ordered(
    x: xr.DataArray, dim: Hashable | None, feature: Hashable, least: int = _LEAST_FEATURES
) -> xr.DataArray:
    """The series as ``(..., dim, time, feature)``, on an even clock."""
    schema.require_dims(x, schema.TIME, feature, *([] if dim is None else [dim]))
    clock = Clock.of(x).require_regular()
    _ = clock.rate_hz  # states are told in seconds
    if x.sizes[feature] < least:
        raise ValueError(
            f"a state is a pattern of {least} features or more, found "
            f"{x.sizes[feature]} along {feature!r}: take several, e.g. scores of a basis"
        )
    lines = x.expand_dims(ALONE) if dim is None else x
    return lines.transpose(..., ALONE if dim is None else dim, schema.TIME, feature)


def chain_of(lines: xr.DataArray, n_states: object, n_iter: object, normalize: str) -> Chain:
    """The states that are asked for, if they are in range."""
    k = require_count("n_states", n_states, 2)
    length = lines.sizes[schema.TIME]
    if 2 * k > length:
        raise ValueError(
            f"a state lasts two moments or more, found n_states={k!r} for {length} moments: "
            "take fewer states, or a longer series"
        )
    how = require_choice("normalize", normalize, ("none", "zscore"), synonyms.NORMALIZATIONS)
    n_features = lines.sizes[lines.dims[-1]]
    budget.check(
        24 * length * (n_features + k),
        f"one person of {length} moments, {n_features} features and {k} states",
        "take fewer features, or means of longer moments, e.g. "
        "x.coarsen(time=25, boundary='trim').mean()",
    )
    return Chain(k, n_features, require_count("n_iter", n_iter, 2), how == "zscore")


def all_in_one(lines: xr.DataArray) -> xr.DataArray:
    """All people of each leading index in one block, if a task may hold them."""
    *lead, dim, time, feature = lines.dims
    one = 8 * int(np.prod([lines.sizes[d] for d in (dim, time, feature)]))
    budget.check(
        4 * one,
        "all series of one null",
        "take fewer features, or means of longer moments, e.g. "
        "x.coarsen(time=25, boundary='trim').mean()",
    )
    return rechunked(lines, dict.fromkeys(lead, 1) | dict.fromkeys((dim, time, feature), -1))
