"""A shared response on what it was not fitted to: other moments, other people."""

from collections.abc import Hashable

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.components import srm as kernel
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.components.shared_parts import COMPONENT, courses, described
from fhemb_xr.ops.pairwise.cross_correlation import common_clock
from fhemb_xr.typing import F64

_PARTS = ("weights", "mean", "scale")


def shared_scores(x: xr.DataArray, fit: xr.Dataset) -> xr.DataArray:
    """Courses of people on a shared response, at moments that it was not fitted to.

    Parameters
    ----------
    x
        Series ``(..., dim, time, feature)`` of people who are in ``fit``, in any order and
        chunks.
    fit
        From :func:`shared_response` or, of other people, :func:`shared_weights`.

    Returns
    -------
    DataArray
        ``scores(..., dim, time, component)``, float64, lazy where ``x`` or ``fit`` is. Features
        are scaled by the means and divisors of the fit. NaN where a feature is missing.

    Raises
    ------
    SchemaError
        If ``fit`` is something else, or a person or a feature of ``x`` is not in it.

    Notes
    -----
    Memory: 24 bytes per number of a chunk, and the weights. Tasks: one per chunk. Computes at
    call: none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> values = np.random.default_rng(0).normal(size=(4, 200, 5)) + np.arange(200)[:, None] % 9
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> fit = fx.shared_response(x.isel(time=slice(100)), 1)
    >>> scores = fx.shared_scores(x.isel(time=slice(100, None)), fit)
    >>> float(fx.isc(scores.squeeze()).isc.mean().round(1))
    1.0
    """
    dim, feature = _dims_of(fit)
    schema.require_dims(x, dim, schema.TIME, feature)
    parts = _chosen(fit[[*_PARTS]], x, dim, feature)
    out = courses(rechunked(x, {feature: -1}), parts, dim, feature)
    return out.assign_attrs(
        {"long_name": "course of the person", "units": fit["weights"].attrs.get("units", "1")}
        | Clock.of(x).attrs
    ).rename("scores")


def shared_weights(x: xr.DataArray, fit: xr.Dataset) -> xr.Dataset:
    """Weights of other people, for the shared courses of a fit.

    Parameters
    ----------
    x
        Series ``(..., dim, time, feature)`` of people who saw the same at the same moments.
    fit
        From :func:`shared_response`.

    Returns
    -------
    Dataset
        Dataset for :func:`shared_scores`, float64, lazy where ``x`` or ``fit`` is:
        ``weights(dim, feature, component)``, ``mean``, ``scale`` and ``explained_of(dim,
        component)`` as in ``fit``, which stays as it is.

    Raises
    ------
    SchemaError
        If ``fit`` has no shared courses, or the features are others.
    ValueError
        If the clocks differ.
    BudgetError
        If one person's series are larger than a task may hold.

    Notes
    -----
    Memory: 40 bytes per number of one person. Tasks: one per person, beside those that put the
    series together. Computes at call: none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> values = np.random.default_rng(0).normal(size=(5, 200, 4)) + np.arange(200)[:, None] % 9
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> fit = fx.shared_response(x.isel(subject=slice(4)), 1)
    >>> float(fx.shared_weights(x.isel(subject=[4]), fit).explained_of.round(1).squeeze())
    0.9
    """
    dim, feature = _dims_of(fit)
    if "shared" not in fit:
        raise SchemaError(
            f"need the courses 'shared', found {sorted(map(str, fit))}: give the result of "
            "fx.shared_response"
        )
    schema.require_dims(x, dim, schema.TIME, feature)
    _require_same_moments(x, fit["shared"].assign_attrs(fit.attrs))
    _require_labels(fit, x, feature)
    budget.check(
        40 * x.sizes[schema.TIME] * x.sizes[feature],
        "the series of one person",
        "take fewer features, e.g. scores of a basis, or less time",
    )
    d, k = x.sizes[feature], fit.sizes[COMPONENT]
    fields = Fields(weights=(d, k), mean=(d,), scale=(d,), explained_of=(k,))
    whole = {schema.TIME: -1, feature: -1}
    lines = rechunked(x, dict.fromkeys(x.dims, 1) | whole)
    shared = rechunked(fit["shared"], {schema.TIME: -1})
    packed = apply_kernel(
        _weights,
        lines.drop_vars([schema.TIME, feature], errors="ignore"),
        shared.drop_vars([schema.TIME, COMPONENT], errors="ignore"),
        core=[[schema.TIME, feature], [schema.TIME, COMPONENT]],
        new={"field": fields.size},
        zscore=fit.attrs.get("normalize") == "zscore",
    ).transpose(..., dim, "field")  # fmt: skip
    dims = {"weights": (feature, COMPONENT), "explained_of": (COMPONENT,)}
    out = xr.Dataset(
        {
            n: ((*packed.dims[:-1], *dims.get(n, (feature,))), fields.part(packed.data, n))
            for n in fields.shapes
        },
        coords=packed.coords,
    )
    if feature in x.indexes:
        out = out.assign_coords({feature: x[feature].variable})
    return described(out, x, str(fit.attrs.get("normalize", "none")))


def _weights(x: F64, shared: F64, *, zscore: bool) -> F64:
    lead = np.broadcast_shapes(x.shape[:-2], shared.shape[:-2])
    x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
    shared = np.broadcast_to(shared, (*lead, *shared.shape[-2:]))
    d, k = x.shape[-1], shared.shape[-1]
    out = np.empty((*lead, d * k + 2 * d + k))
    for at in np.ndindex(lead):
        out[at] = np.concatenate([v.ravel() for v in kernel.against(x[at], shared[at], zscore)])
    return out


def _require_same_moments(x: xr.DataArray, shared: xr.DataArray) -> None:
    if x.sizes[schema.TIME] != shared.sizes[schema.TIME]:
        raise ValueError(
            f"the people have the same moments as the fit, found {x.sizes[schema.TIME]} and "
            f"{shared.sizes[schema.TIME]} samples: select the same span of time"
        )
    if any(Clock.of(a).known_hz is not None for a in (x, shared)):
        common_clock(x, shared)


def _dims_of(fit: xr.Dataset) -> tuple[Hashable, Hashable]:
    """The dimensions of people and features."""
    if not isinstance(fit, xr.Dataset) or {*_PARTS} - {*map(str, fit)}:
        found = sorted(map(str, fit)) if isinstance(fit, xr.Dataset) else type(fit).__name__
        raise SchemaError(
            f"need {sorted(_PARTS)}, found {found}: make it with fx.shared_response"
        )
    dim, feature = fit["scale"].dims[-2:]
    return dim, feature


def _chosen(fit: xr.Dataset, x: xr.DataArray, dim: Hashable, feature: Hashable) -> xr.Dataset:
    """The parts of the people and features of ``x``, in its order."""
    for d in (dim, feature):
        _require_labels(fit, x, d)
        if d in x.indexes and d in fit.indexes:
            fit = fit.sel({d: x[d].values})
    return fit


def _require_labels(fit: xr.Dataset, x: xr.DataArray, d: Hashable) -> None:
    """Refuse entries of ``x`` along ``d`` that the fit has not."""
    if d in x.indexes and d in fit.indexes:
        missing = [v for v in x[d].values.tolist() if v not in fit.indexes[d]]
        if missing:
            raise SchemaError(
                f"the fit has no {d!s} {missing[0]!r}, it has {fit.sizes[d]}: fit it with all, "
                "or, of other people, give fx.shared_weights(x, fit)"
            )
    elif x.sizes[d] != fit.sizes[d]:
        raise SchemaError(
            f"the fit has {fit.sizes[d]} along {d!r}, found {x.sizes[d]}: label both"
        )
