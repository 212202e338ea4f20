"""The null of strangers for two inputs: one stands still, the other is exchanged.

What stands still in a group (a session, a performance) is compared with every entry that is
exchanged; strangers are other people of other groups.
"""

from collections.abc import Hashable
from typing import NamedTuple

import xarray as xr

from fhemb_xr.errors import warn
from fhemb_xr.kernels.inference import strangers
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.inference.nulls import MEMBER

_GROUP, _PERSON = "fhemb_group", "fhemb_person"
"""Dimensions of what stands still."""
_FEWEST = 19
"""Strangers of the smallest null with a p of .05."""


class Exchange(NamedTuple):
    """Both inputs of every comparison, and the dimensions of groups and people."""

    still: xr.DataArray
    moving: xr.DataArray
    """With groups and people in one line, :data:`fhemb_xr.ops.inference.nulls.MEMBER`."""
    across: Hashable
    people: Hashable
    n_groups: int
    n_people: int

    @property
    def lead(self) -> dict[str, int]:
        """The dimensions that tell what stands still, and their lengths."""
        return {d: self.still.sizes[d] for d in (_GROUP, _PERSON) if d in self.still.dims}

    @property
    def every(self) -> xr.DataArray:
        """``moving``, once for each entry that stands still."""
        return self.moving.expand_dims(self.lead)


def crossed(
    still: xr.DataArray, moving: xr.DataArray, across: Hashable | None, people: Hashable,
    names: tuple[str, str],
) -> Exchange:  # fmt: skip
    """Each entry of ``still`` beside all of ``moving``; ``names`` are those of the arguments.

    Raises
    ------
    ValueError
        If ``across`` is missing, is no dimension of both, or has one entry; or if ``people`` is
        no dimension of what is exchanged.

    Warns
    -----
    UserWarning
        If there are too few strangers for a p of .05.
    """
    if across is None or across == people or not all(across in x.dims for x in (still, moving)):
        raise ValueError(
            f"null 'swap' exchanges the {names[1]} of different groups, found across="
            f"{across!r}: name a dimension of both {names[0]} and {names[1]}, e.g. "
            f"across='session'; found {still.dims} and {moving.dims}"
        )
    if people not in moving.dims:
        raise ValueError(
            f"people names the dimension of the {names[1]} whose entries are exchanged, found "
            f"people={people!r} and {moving.dims}: name one of these"
        )
    n_groups, n_people = moving.sizes[across], moving.sizes[people]
    if still.sizes[across] != n_groups or n_groups < 2:
        raise ValueError(
            f"null 'swap' needs the same two groups or more in both, found {n_groups} and "
            f"{still.sizes[across]} along {across!r}"
        )
    n_strangers = (n_groups - 1) * (n_people - 1)
    if n_strangers < _FEWEST:
        warn(
            f"{n_groups} groups of {n_people} have {n_strangers} strangers for each: the "
            f"smallest p is 1/{n_strangers + 1}; a p of .05 needs {_FEWEST}"
        )
    line = moving.stack({MEMBER: (across, people)}, create_index=False)
    line = line.drop_vars([c for c in line.coords if MEMBER in line[c].dims])
    names_of = {across: _GROUP} | ({people: _PERSON} if people in still.dims else {})
    there = still.drop_vars([c for c in still.coords if {*still[c].dims} & {*names_of}])
    return Exchange(there.rename(names_of), line, across, people, n_groups, n_people)


def p_values(
    exchange: Exchange, values: xr.DataArray, null: xr.DataArray | None = None
) -> xr.DataArray:
    """Share of strangers with as much or more, ``(…, across, people)``.

    ``values`` are of every comparison; ``null`` those that count as the strangers'.
    """
    core = [*exchange.lead, MEMBER]
    both = [values, values if null is None else null]
    return apply_kernel(
        strangers.exchanged,
        *(rechunked(v, dict.fromkeys(core, -1)) for v in both),
        core=[core, core],
        new={exchange.across: exchange.n_groups, exchange.people: exchange.n_people},
        paired=_PERSON in exchange.lead,
    )
