"""A fitted model of scikit-learn over a whole recording, block by block."""

import copy
from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice

METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")
_DIMS = {"predict": "output", "transform": schema.COMPONENT}
"""What the columns of a result are called; those of the others are classes."""


def apply_estimator(
    x: xr.DataArray,
    model: Any,
    how: str = "predict",
    *,
    feature: Hashable = "feature",
    missing: str = "skip",
) -> xr.DataArray:
    """What a fitted estimator says of every moment of a recording, lazily and labelled.

    The model is fitted before, to as many moments as memory holds, and then goes over a
    recording of any length. Any object with the methods of scikit-learn will do: a pipeline, a
    grid search, an estimator of dask-ml, CEBRA.

    Parameters
    ----------
    x
        Features of each moment, ``(..., feature)`` in any order and chunks.
    model
        A fitted estimator; it is copied at the call, so fitting it again changes nothing here.
    how
        Its method: ``"predict"``, ``"predict_proba"``, ``"decision_function"``,
        ``"transform"`` or ``"score_samples"``.
    feature
        Dimension of the features.
    missing
        ``"skip"``: a moment without all of its features is not shown to the model, and missing
        in the result. ``"pass"``: it is, for models that deal with it themselves.

    Returns
    -------
    DataArray
        DataArray with the dimensions of ``x`` without ``feature``, lazy where ``x`` is; for
        several columns with ``class`` (labelled by the model's classes), ``component`` (by the
        names that it gives out) or ``output`` as the last one. Numbers are of floating point,
        NaN where a moment is missing; labels that are text stay text, ``""`` where it is.

    Raises
    ------
    SchemaError
        If the features are others than the model was fitted to: in number, or in name if both
        have names. The same names in another order are put in order.
    ValueError
        If the model is not fitted, has no such method, or gives anything but numbers or text.

    Notes
    -----
    Memory per task: a block of ``x`` in float64 at most three times, and what the model takes.
    Tasks: one per block, and two where features are split. Computes at call: none; the model is
    tried on one row of zeros. The model is held once in the graph. scikit-learn sees the rows
    of one block at a time, so its method must treat rows one by one, as all of these do.

    References
    ----------
    - Pedregosa et al. (2011), J. Mach. Learn. Res. 12, 2825-2830.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> from sklearn.linear_model import LogisticRegression
    >>> x = xr.DataArray(np.arange(20.0).reshape(10, 2), dims=("time", "feature"))
    >>> model = LogisticRegression().fit(x.values, np.repeat(["calm", "storm"], 5))
    >>> fx.apply_estimator(x.chunk(time=3), model).values[[0, -1]].tolist()
    ['calm', 'storm']
    >>> fx.apply_estimator(x, model, "predict_proba").sel({"class": "calm"}).round(1)[0].item()
    1.0
    """
    schema.require_dims(x, feature)
    how = require_choice("method of an estimator", how, METHODS)
    missing = require_choice("treatment of missing moments", missing, ("skip", "pass"))
    if not callable(getattr(model, how, None)):
        known = [name for name in METHODS if callable(getattr(model, name, None))]
        raise ValueError(
            f"{type(model).__name__} has no method {how!r}, it has {known or 'none of them'}: "
            "give a fitted estimator of scikit-learn, and how= one of its methods"
        )
    x, names = _matched(x, model, feature)
    one = _tried(model, how, names, x.sizes[feature], np.dtype(x.dtype))
    work = partial(
        _of_block, model=copy.deepcopy(model), how=how, names=names, skip=missing == "skip",
        columns=one.shape[1:], dtype=_dtype(one, model, how),
    )  # fmt: skip
    new = {_dim(how): one.shape[1]} if one.ndim == 2 else {}
    if wrong := [d for d in new if d in x.dims and d != feature]:
        raise SchemaError(
            f"the result has a dimension {wrong[0]!r}, and so has x: x.rename({wrong[0]}=...)"
        )
    lines = rechunked(x, {feature: -1})
    lines = lines.drop_vars([c for c in lines.coords if feature in lines[c].dims])
    out = apply_kernel(work, lines, core=[[feature]], new=new, dtype=_dtype(one, model, how))
    out = out.assign_coords({d: _labels(model, how, n) for d, n in new.items()})
    out.attrs = Clock.of(x).attrs if schema.TIME in x.dims else {}
    return out.assign_attrs(long_name=f"{how} of {type(model).__name__}").rename(how)


def _matched(
    x: xr.DataArray, model: Any, feature: Hashable
) -> tuple[xr.DataArray, tuple[str, ...] | None]:
    """``x`` with its features in the order of the model, and their names if it knows them."""
    wanted = getattr(model, "feature_names_in_", None)
    number = getattr(model, "n_features_in_", None)
    names = None if wanted is None else tuple(map(str, wanted))
    if names is not None and feature in x.coords:
        own = [str(name) for name in x[feature].values]
        if sorted(own) != sorted(names):
            less, more = sorted({*names} - {*own}), sorted({*own} - {*names})
            raise SchemaError(
                f"the model was fitted to other features: it needs {less or 'no other'}, and "
                f"does not know {more or 'none'}; select those of the model, "
                f"x.sel({feature}=[...])"
            )
        x = x.isel({feature: [own.index(name) for name in names]}) if own != [*names] else x
    if number is not None and number != x.sizes[feature]:
        raise SchemaError(
            f"the model was fitted to {number} features, found {x.sizes[feature]} along "
            f"{feature!r}: select those of the model, x.sel({feature}=[...])"
        )
    return x, names


def _tried(
    model: Any, how: str, names: tuple[str, ...] | None, n: int, dtype: np.dtype[Any]
) -> np.ndarray[Any, Any]:
    """What the model gives for one row of zeros: its columns and dtype."""
    try:
        found = _called(model, how, names, np.zeros((1, n), dtype))
    except Exception as error:
        raise ValueError(
            f"{type(model).__name__}.{how} refuses a row of {n} features, is it fitted to such "
            f"rows? It says: {error}"
        ) from error
    if found.ndim not in (1, 2) or len(found) != 1 or found.dtype.kind not in "biufUO":
        raise ValueError(
            f"{how} gives a row of numbers or text for each moment, found {found.dtype} "
            f"{found.shape} of {type(model).__name__}: choose another method"
        )
    return found


def _called(
    model: Any, how: str, names: tuple[str, ...] | None, rows: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    given: Any = rows
    if names is not None:  # as it was fitted; without names scikit-learn warns
        import pandas as pd

        given = pd.DataFrame(rows, columns=list(names), copy=False)
    found = getattr(model, how)(given)
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


def _dtype(one: np.ndarray[Any, Any], model: Any, how: str) -> np.dtype[Any]:
    """Of the result: floating point, or text as long as the longest class."""
    if one.dtype.kind in "UO":
        classes = getattr(model, "classes_", one) if how == "predict" else one
        return np.dtype(np.asarray(classes).astype(str).dtype)
    return one.dtype if one.dtype.kind == "f" else np.dtype(np.float64)


def _dim(how: str) -> str:
    return _DIMS.get(how, "class")


def _labels(model: Any, how: str, n: int) -> np.ndarray[Any, Any]:
    """Of the columns: classes, names that the model gives out, or numbers."""
    found: Any = None
    if _dim(how) == "class":
        found = getattr(model, "classes_", None)
    elif how == "transform" and hasattr(model, "get_feature_names_out"):
        try:
            found = model.get_feature_names_out()
        except (AttributeError, ValueError):  # a step of a pipeline has none
            found = None
    if found is None or np.ndim(found) != 1 or len(found) != n:
        return np.arange(n)
    values = np.asarray(found)
    return values.astype(str) if values.dtype.kind == "O" else values


def _of_block(
    x: np.ndarray[Any, Any], *, model: Any, how: str, names: tuple[str, ...] | None, skip: bool,
    columns: tuple[int, ...], dtype: np.dtype[Any],
) -> np.ndarray[Any, Any]:  # fmt: skip
    """``(..., d) -> (...)`` or ``(..., c)``."""
    rows = x.reshape(-1, x.shape[-1])
    there = np.isfinite(rows).all(axis=1) if skip else np.ones(len(rows), bool)
    out = np.full((len(rows), *columns), "" if dtype.kind == "U" else np.nan, dtype)
    if there.any():
        out[there] = _called(model, how, names, rows if there.all() else rows[there])
    return out.reshape(*x.shape[:-1], *columns)
