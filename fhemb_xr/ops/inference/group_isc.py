"""Inter-subject correlation of a group, or of two, with intervals and tests by people."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.inference import group_isc as kernel
from fhemb_xr.kernels.inference import p_values
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice, require_count, require_share
from fhemb_xr.typing import Ints

SUMMARY, GROUP, PERMUTATION = "summary", "group", "permutation"


def group_isc(
    x: xr.DataArray,
    dim: Hashable = "subject",
    *,
    by: Hashable | None = None,
    n: int = 1000,
    seed: int,
    tail: str = "both",
    alpha: float = 0.05,
) -> xr.Dataset:
    """Mean and median inter-subject correlation of a group, or of two and their difference.

    All of it rests on the values of pairs. People are drawn, exchanged or turned over, and all
    their pairs follow, because pairs that share a person are not independent.

    Parameters
    ----------
    x
        Series along ``time``, chunked in any way. Features and other dimensions are kept.
    dim
        Dimension of the people.
    by
        What is compared. ``None``: one group, with zero. A coordinate of the people with two
        labels: two groups of people. A dimension with two members, such as ``session``: the
        same people twice.
    n
        Number of bootstrap draws, and of permutations.
    seed
        Seed of the draws, from 0 on.
    tail
        Values that count as extreme: ``"greater"``, ``"less"`` or ``"both"``.
    alpha
        Intervals hold ``1 - alpha``.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is, by ``summary`` (``mean``, ``median``) and, with
        ``by``, ``group``: ``isc`` and its bootstrap interval ``low`` to ``high``;
        ``difference`` (first minus second group; of one group ``isc`` itself) and its interval
        ``difference_low`` to ``difference_high``; ``p``; ``null(summary, permutation)``. The
        mean is by Fisher's z. The difference of the same people twice is that of each pair
        first.

    Raises
    ------
    UnknownNameError
        No such tail (a ``KeyError``).
    SchemaError
        If ``x`` has no ``time``, or no ``dim``.
    ValueError
        If ``by`` does not name two groups of two people or more, or a number is out of range.

    Notes
    -----
    =====================  ==============================================================
    ``by``                 null, and when it holds
    =====================  ==============================================================
    ``None``               any person's series is turned over (its sign changes): holds
                           for independent people, also where each drifts alone;
                           not for a shared drift or stimulus, which it finds
    a label                people change groups: holds where groups differ in nothing
    a dimension            each person's part of the difference changes its sign: holds
                           for repeated measures
    =====================  ==============================================================

    Memory per task: all series of one block of the other dimensions, 8 bytes per pair of
    people and 32 per draw. Tasks: one per block, and three per chunk of ``x``. Computes at
    call: the labels of ``by`` where they are lazy, otherwise nothing. Work: ``n`` times the
    number of pairs.

    References
    ----------
    - Chen et al. (2016), NeuroImage 142, 248-259, doi:10.1016/j.neuroimage.2016.05.023.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> x = xr.DataArray(
    ...     rng.normal(size=300) + rng.normal(size=(8, 300)), dims=("subject", "time")
    ... )
    >>> out = fx.group_isc(x.chunk(), n=199, seed=0)
    >>> out.isc.values.round(2).tolist(), float(out.p[0])
    ([0.51, 0.52], 0.005)
    """
    tail = require_choice("tail", tail, p_values.TAILS, synonyms.TAILS)
    schema.require_dims(x, dim, schema.TIME)
    Clock.of(x).require_regular()
    alpha = require_share("alpha", alpha)
    n, seed = require_count("n", n), require_count("seed", seed, 0)
    if not isinstance(by, Hashable):
        raise TypeError(
            f"by is the name of a dimension or a coordinate, found {type(by).__name__}: set "
            f"labels with x.assign_coords(group=({dim!r}, [...])), and give by='group'"
        )
    paired = by is not None and by in x.dims
    groups, labels = _groups(x, dim, by, paired)
    core = [*([by] if paired else []), dim, schema.TIME]
    fields = kernel.fields(max(len(labels), 1), int(n))
    options: dict[str, Any] = {"groups": groups, "paired": paired, "n": int(n)}
    found = apply_kernel(
        kernel.tested,
        rechunked(x, dict.fromkeys(core, -1)).drop_vars(core, errors="ignore"),
        core=[core],
        new={SUMMARY: len(kernel.SUMMARIES), "_cell": fields.size},
        **options,
        seed=int(seed),
        tail=tail,
        alpha=alpha,
    )
    found = found.drop_vars([c for c in found.coords if dim in found[c].dims])
    out = _unpacked(found, fields, labels)
    test = "one group" if by is None else "repeated measures" if paired else "two groups"
    out.attrs = {"test": test, "n": n, "seed": seed, "tail": tail, "alpha": alpha}
    if by is not None:
        out.attrs["by"] = str(by)
    return out


def _groups(
    x: xr.DataArray, dim: Hashable, by: Hashable | None, paired: bool
) -> tuple[Ints | None, list[Any]]:
    """The number of each person's group, and the labels of the two groups."""
    if by is None:
        return None, []
    if paired:
        if by in (dim, schema.TIME) or x.sizes[by] != 2:
            raise ValueError(
                f"by names a dimension of two members, found {by!r} with {x.sizes[by]}: "
                f"select two"
            )
        return None, (x[by].values if by in x.indexes else np.arange(2)).tolist()
    if by not in x.coords or x[by].dims != (dim,):
        known = sorted(str(c) for c in x.coords if x[c].dims == (dim,))
        raise ValueError(
            f"by names a dimension or a coordinate along {dim!r}, found {by!r}: there are the "
            f"dimensions {x.dims} and the coordinates {known}"
        )
    labels, groups, sizes = np.unique(
        np.asarray(x[by]), return_inverse=True, return_counts=True
    )
    if labels.size != 2 or sizes.min() < 2:
        raise ValueError(
            f"by needs two labels of two people or more each, found "
            f"{dict(zip(labels.tolist(), sizes.tolist(), strict=True))} along {by!r}"
        )
    return np.asarray(groups, np.int64), labels.tolist()


_NAMES = {
    "isc": "inter-subject correlation of the group",
    "low": "lower end of the bootstrap interval",
    "high": "upper end of the bootstrap interval",
    "difference": "difference of inter-subject correlation",
    "difference_low": "lower end of the interval of the difference",
    "difference_high": "upper end of the interval of the difference",
    "p": "p-value",
    "null": "difference by chance",
}


def _unpacked(tested: xr.DataArray, fields: Fields, labels: list[Any]) -> xr.Dataset:
    parts = {name: tested.isel(_cell=fields[name]) for name in _NAMES}
    for name in ("isc", "low", "high"):
        groups = parts[name].rename(_cell=GROUP)
        parts[name] = (
            groups.assign_coords({GROUP: labels}) if labels else groups.isel({GROUP: 0})
        )
    parts["null"] = parts["null"].rename(_cell=PERMUTATION)
    out = xr.Dataset(parts)
    for name, text in _NAMES.items():
        out[name].attrs = {"long_name": text, "units": "1"}
    return out.assign_coords({SUMMARY: list(kernel.SUMMARIES)})
