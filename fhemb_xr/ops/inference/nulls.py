"""The nulls by name, and the options that belong to each."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import require_choice, require_count
from fhemb_xr.ops.option_tables import SURROGATE

NULLS = ("circular", "linear", "swap", "phase", "iaaft")
EXACT = ("circular", "linear", "swap")
"""Nulls of :func:`fhemb_xr.isc` that are complete: every shift, or every stranger."""

_MARGIN = 8  # a margin is this part of the series; measured, see docs/nulls.md


def require_null(what: str, null: str, allowed: tuple[str, ...], **options: Any) -> str:
    """The null that is meant, if every option given is one of its own.

    Raises
    ------
    UnknownNameError
        No such null (a ``KeyError``).
    ValueError
        An option of another null.
    """
    null = require_choice(what, null, allowed, synonyms.NULLS)
    SURROGATE.require_used(null, options)
    return null


def margin_of(x: xr.DataArray, margin_s: float | None) -> int:
    """Samples that series slide to either side; an eighth of the series by default.

    Raises
    ------
    ValueError
        If there is no sample to slide by, or fewer than two are left in the middle.
    """
    schema.require_dims(x, schema.TIME)
    n = x.sizes[schema.TIME]
    margin = n // _MARGIN if margin_s is None else 0
    if margin_s is not None:
        if isinstance(margin_s, bool) or not (np.isfinite(margin_s) and margin_s > 0):
            raise ValueError(f"margin_s is a positive number of seconds, found {margin_s!r}")
        margin = Clock.of(x).samples("margin_s", margin_s)
    if margin < 1 or n - 2 * margin < 2:
        raise ValueError(
            f"a linear shift needs a margin of a sample or more at both ends and two samples "
            f"between them, found {margin} of {n} samples: set margin_s to between 1 and "
            f"{max(n - 2, 0) // 2} samples"
        )
    return margin


def middle(x: xr.DataArray, margin: int) -> xr.DataArray:
    """The samples that stand still while others slide by up to ``margin``."""
    return x.isel({schema.TIME: slice(margin, x.sizes[schema.TIME] - margin)})


def require_seed(null: str, n: int | None, seed: int | None) -> tuple[int, int]:
    """The number of surrogates and their seed, of a null that is drawn.

    Raises
    ------
    ValueError
        If the seed is missing, or one is not a whole number.
    """
    if seed is None:
        raise ValueError(f"null {null!r} is drawn at random, found no seed: give seed=0")
    n = 200 if n is None else n
    return require_count("n", n), require_count("seed", seed, 0)


def shifts_of(
    x: xr.DataArray, null: str, n: int, seed: int | None, margin_s: float | None,
    least: int = 1, beyond: str = "",
) -> RandomShifts:  # fmt: skip
    """The random shifts of a series that is compared with one that stands still.

    ``least`` is the smallest shift in samples, ``beyond`` what it has to be longer than.

    Raises
    ------
    ValueError
        If the seed is missing, or no shift is that long.
    """
    n, seed = require_seed(null, n, seed)
    margin = margin_of(x, margin_s) if null == "linear" else None
    most = x.sizes[schema.TIME] // 2 if margin is None else margin
    if least > most:
        raise ValueError(
            f"a shift is longer than {beyond}, {least} samples or more, found {most} samples "
            "at most: take fewer lags, or a larger margin_s"
        )
    return RandomShifts(n, least, margin, seed)


MEMBER = "fhemb_member"
"""Members of ``dim``, or of ``dim`` and the groups, in one line."""


def across_groups(
    x: xr.DataArray, dim: Hashable, across: Hashable | None
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Series along :data:`MEMBER`, the number of each one's group, and of the person.

    Raises
    ------
    ValueError
        If ``across`` is missing, or names neither a dimension nor a label of each member.
    """
    if across is None:
        raise ValueError(
            "null 'swap' exchanges people of different groups, found no across: name a "
            "dimension, across='session', or a coordinate of the people, across='row'"
        )
    if not isinstance(across, Hashable):
        raise ValueError(f"across names one dimension or coordinate, found {across!r}")
    if across in x.dims and across not in (dim, schema.TIME):
        lines = x.stack({MEMBER: (across, dim)}, create_index=False)
        n_groups, n = x.sizes[across], x.sizes[dim]
        groups, people = np.repeat(np.arange(n_groups), n), np.tile(np.arange(n), n_groups)
    elif across in x.coords and x[across].dims == (dim,):
        lines = x.rename({dim: MEMBER})
        groups = np.unique(np.asarray(x[across]), return_inverse=True)[1]
        people = np.arange(x.sizes[dim])
    else:
        known = sorted(str(c) for c in x.coords if x[c].dims == (dim,))
        raise ValueError(
            f"across names a dimension or a coordinate along {dim!r}, found {across!r}: there "
            f"are the dimensions {x.dims} and the coordinates {known}"
        )
    lines = lines.drop_vars([c for c in lines.coords if MEMBER in lines[c].dims])
    if np.unique(groups).size < 2:
        raise ValueError(f"null 'swap' needs two groups or more along {across!r}, found one")
    return lines, *(xr.DataArray(a, dims=MEMBER) for a in (groups, people))  # type: ignore[return-value]
