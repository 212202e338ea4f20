"""Data of a figure: loaded, checked, limited."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import EmptySelectionError, SchemaError, UnknownNameError, nearest
from fhemb_xr.io.local import progress
from fhemb_xr.plot import labels
from fhemb_xr.plot.theme import Labelled
from fhemb_xr.typing import Ints


def loaded(x: Labelled, what: str) -> Labelled:
    """``x`` in memory, where the budget allows.

    Raises
    ------
    BudgetError
        With the sizes, the bytes and the cure.
    """
    require_small(x, what)
    with progress.shown(f"Reading {what}"):
        return x.compute()


def require_small(x: Labelled, what: str) -> None:
    """Check that the budget allows to read all of ``x``, also where little is drawn of it.

    Raises
    ------
    BudgetError
        With the sizes, the bytes and the cure.
    """
    sizes = " × ".join(f"{dim} {n}" for dim, n in x.sizes.items())
    budget.check(
        x.nbytes, f"drawing {what} of {sizes}", "draw less, chosen with .fhemb.select(...)"
    )


def alone(x: Labelled, what: str, *dims: str) -> Labelled:
    """What has only ``dims``: others of one entry are left out.

    Raises
    ------
    SchemaError
        If another dimension has several entries.
    """
    others = [str(d) for d in x.dims if d not in dims]
    if odd := {d: x.sizes[d] for d in others if x.sizes[d] > 1}:
        raise SchemaError(f"{what} is drawn, found {odd} too: choose one with .isel(...)")
    return x.squeeze(others)


def one(x: Labelled, dim: str, asked: object = None) -> Labelled:
    """One entry of a dimension, the first by default; its label stays.

    Raises
    ------
    UnknownNameError
        If it is not there, with the nearest ones.
    """
    if dim not in x.dims:
        if asked is not None and (dim not in x.coords or x[dim].values.tolist() != asked):
            held = f"that of {x[dim].values.tolist()!r}" if dim in x.coords else "of none"
            raise SchemaError(f"asked for {dim} {asked!r}, the data are {held}: leave it out")
        return x
    if not x.sizes[dim]:
        raise EmptySelectionError(f"nothing is left along {dim!r} to draw: select more")
    labels = list(x[dim].values.tolist()) if dim in x.coords else list(range(x.sizes[dim]))
    if asked is not None and asked not in labels:
        raise UnknownNameError(
            f"no {dim} {asked!r} among {len(labels)}{nearest(asked, labels)}"
        )
    return x.isel({dim: 0 if asked is None else labels.index(asked)})


def require(x: xr.DataArray, what: str, *dims: str) -> xr.DataArray:
    """``x`` with exactly ``dims``, in that order; other dimensions of length one are dropped.

    Raises
    ------
    SchemaError
        Naming what is there and what to select.
    """
    schema.require_dims(x, *dims)
    rest = {d: n for d, n in x.sizes.items() if d not in dims}
    many = {d: n for d, n in rest.items() if n != 1}
    if many:
        raise SchemaError(
            f"{what} is drawn over {dims}, found also {many}: choose one of each with .sel(...)"
        )
    return x.isel(dict.fromkeys(rest, 0)).transpose(*dims)


def rows(x: xr.Dataset, what: str, *core: str) -> tuple[xr.Dataset, list[str]]:
    """``x`` by ``row``, the entries of its one dimension beside ``core``, and their names.

    Raises
    ------
    SchemaError
        If two other dimensions have more than one entry.
    """
    many = [str(d) for d, n in x.sizes.items() if n != 1 and d not in core]
    if len(many) > 1:
        raise SchemaError(
            f"{what} is drawn for the entries of one dimension, found "
            f"{ {d: x.sizes[d] for d in many} }: choose one of each other with .sel(...)"
        )
    others = [str(d) for d in x.dims if d not in core]
    dim = (many or others[:1] or [""])[0]
    x = x.isel({d: 0 for d in others if d != dim})
    if not dim:
        return x.expand_dims("row").transpose("row", ...), [labels.name_of(x)]
    if not x.sizes[dim]:
        raise EmptySelectionError(f"nothing is left along {dim!r} to draw: select more")
    names = [f"{dim} {name}" for name in ids(x, dim)]
    x = x.rename({dim: "row"}).drop_vars("row", errors="ignore")
    return x.transpose("row", ...), names


def require_basis(basis: xr.Dataset, name: str) -> None:
    """Check that a Dataset is a basis with the variable ``name``.

    Raises
    ------
    SchemaError
        With what is there.
    """
    if name not in basis or schema.COMPONENT not in basis[name].dims:
        raise SchemaError(
            f"not a basis of fx.pca: no {name!r} over 'component' among "
            f"{sorted(map(str, basis.data_vars))}; make one with fx.pca(heat)"
        )


def variable(x: Any, dims: Sequence[str]) -> Any:
    """The variable of a Dataset that has all of ``dims``; an array as it is.

    Raises
    ------
    SchemaError
        If no variable has them, or several do: all are listed.
    """
    return _chosen(x, lambda v: set(dims) <= set(v.dims), f"over {tuple(dims)}")


def pairs(x: Any) -> Any:
    """The variable of a Dataset that is a matrix of pairs; an array as it is."""
    return _chosen(
        x, lambda v: any(f"{str(d)[:-2]}_1" in v.dims for d in v.dims if str(d)[-2:] == "_0"),
        "a matrix of pairs",
    )  # fmt: skip


def series(x: Any) -> Any:
    """As :func:`variable`, for signals in time; of a recording the mean of each face."""
    if not isinstance(x, xr.Dataset) or schema.HEATMAP not in x:
        return variable(x, (schema.TIME,))
    from fhemb_xr.ops.frames import frame_features

    heat = x[schema.HEATMAP].assign_attrs(x.attrs)
    return frame_features.features(heat, "mean", threshold=x.attrs.get(schema.THRESHOLD))


def _chosen(x: Any, fits: Callable[[xr.DataArray], bool], what: str) -> Any:
    if not isinstance(x, xr.Dataset):
        return x
    fitting = [name for name, v in x.data_vars.items() if fits(v)]
    if "observed" in fitting:
        fitting = ["observed"]
    if len(fitting) != 1:
        there = {str(name): tuple(v.dims) for name, v in x.data_vars.items()}
        raise SchemaError(
            f"a figure of one variable {what} was asked of a Dataset that has "
            f"{len(fitting)} of them: take ds[name].fhemb.plot of one of {there}"
        )
    found = x[fitting[0]]
    return found.assign_attrs({**x.attrs, **found.attrs})


def groups(clusters: xr.DataArray, names: list[str]) -> Ints:
    """Group of each of the ``names``, matched by label where both have labels.

    Raises
    ------
    SchemaError
        If the clusters are not of these members, or of several sessions or windows.
    """
    schema.require_real(clusters)
    many = {d: n for d, n in clusters.sizes.items() if n != 1}
    dim = str(next(iter(many), clusters.dims[-1] if clusters.ndim else ""))
    clusters = loaded(require(clusters, "clusters", dim), "clusters")
    found = dict(zip(ids(clusters, dim), clusters.values.tolist(), strict=True))
    unlabelled = dim not in clusters.coords or names == [str(i) for i in range(len(names))]
    if unlabelled and clusters.size == len(names):
        return np.asarray(clusters.values, dtype=np.int64)
    if absent := [name for name in names if name not in found]:
        raise SchemaError(
            f"clusters of {clusters.size} members do not fit the {len(names)} that are drawn: "
            f"{absent[0]!r} is in no group; make them with fx.clusters of the same relation"
        )
    return np.array([found[name] for name in names], dtype=np.int64)


def span(values: Any, step: float | None = None) -> tuple[float, float]:
    """Outer edges of evenly spaced cells with these centres."""
    v = np.asarray(values, dtype=np.float64)
    width = (
        step
        if step is not None
        else (float(v[-1] - v[0]) / (v.size - 1) if v.size > 1 else 1.0)
    )
    return float(v[0]) - width / 2, float(v[-1]) + width / 2


def symmetric(values: Any) -> tuple[float, float]:
    """Colour limits round zero that hold every value, so that the middle colour is zero."""
    finite = np.abs(values[np.isfinite(values)])
    top = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    return -top, top


def limits(values: Any) -> tuple[float, float]:
    """Colour limits from the smallest to the largest value, never of width zero."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def ids(x: xr.DataArray | xr.Dataset, dim: str = schema.SUBJECT) -> list[str]:
    """Labels along a dimension, as text."""
    found = x[dim].values if dim in x.coords else np.arange(x.sizes[dim])
    return [str(v) for v in found.tolist()]


def only_feature(x: xr.DataArray) -> str:
    """Name of the feature that was chosen of several; ``""`` without one."""
    found = x.coords.get(schema.FEATURE)
    return str(found.item()) if found is not None and found.ndim == 0 else ""
