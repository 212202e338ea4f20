"""Distance or similarity: the one place that tells them apart."""

import numpy as np
import xarray as xr

from fhemb_xr.errors import SchemaError, warn
from fhemb_xr.kernels.pairwise import distances, matrix_scaling, metrics
from fhemb_xr.ops.pairwise.pair_dims import of_matrix, pair_dims

KIND = "kind"
"""Attribute of a scaled relation: ``"distance"`` or ``"similarity"``."""
KINDS = ("distance", "similarity")


def is_similarity(d: xr.DataArray) -> bool:
    """Whether large values of a relation mean that two are alike.

    ``attrs["kind"]`` decides, then ``attrs["metric"]`` together with ``attrs["scale"]``. A
    relation without these attributes is taken for distances.

    Raises
    ------
    SchemaError
        If ``attrs["kind"]`` is neither ``"distance"`` nor ``"similarity"``.
    """
    if KIND in d.attrs:
        if d.attrs[KIND] not in KINDS:
            raise SchemaError(
                f"attrs['kind'] of a relation is one of {KINDS}, found {d.attrs[KIND]!r}"
            )
        return bool(d.attrs[KIND] == KINDS[1])
    similar = d.attrs.get("metric") in metrics.SIMILARITIES
    reversing = d.attrs.get("scale") in matrix_scaling.SIMILARITIES
    return similar != reversing


def as_distance(d: xr.DataArray) -> xr.DataArray:
    """A relation as distances, each matrix in one piece: 0 for equals, never negative.

    Similarities become ``1 - value``. See :func:`fhemb_xr.kernels.pairwise.distances`.

    Raises
    ------
    SchemaError
        If ``d`` is not a relation.
    BudgetError
        If a matrix is larger than the budget of a task.
    """
    similar = is_similarity(d)
    if not similar:
        _warn_of_likeness(d)
    out = of_matrix(distances.distances, d, similar=similar)
    return out.assign_attrs({**d.attrs, KIND: KINDS[0]}).rename(d.name)


def _warn_of_likeness(d: xr.DataArray) -> None:
    """Warn of a matrix in memory, without attributes, that looks like correlations."""
    if d.chunks or {"metric", "scale", KIND} & d.attrs.keys():
        return
    rows, columns = pair_dims(d)
    values = d.transpose(..., rows, columns).variable.to_numpy()
    own = np.einsum("...ii->...i", values)
    own = own[np.isfinite(own)]
    if own.size > 1 and np.allclose(own, 1) and np.nanmax(values) <= 1 + 1e-6:
        warn(
            "the diagonal of this relation is 1, as of a similarity, and it is taken for "
            "distances: say which with .assign_attrs(kind='similarity') or kind='distance'"
        )
