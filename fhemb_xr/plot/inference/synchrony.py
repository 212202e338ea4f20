"""A tested matrix of pairs: who moves with whom, by more than chance."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.ops.pairwise.similarity import is_similarity
from fhemb_xr.plot import labels, theme
from fhemb_xr.plot.inference import tested
from fhemb_xr.plot.inference.isc import isc
from fhemb_xr.plot.pairwise import linkage, matrices


def synchrony(
    result: xr.Dataset,
    *,
    correction: str = "p_fdr",
    alpha: float | None = None,
    mask: bool = False,
    method: str | None = "average",
    title: str | None = None,
) -> Any:
    """A tested matrix of pairs, with a star on each pair that is significant.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.synchrony`, or of :func:`fhemb_xr.isc` with
        ``how="pairwise"``, of one feature. A result without pairs is drawn by
        ``plot.isc``.
    correction
        p-value that marks what is significant: ``"p_fdr"``, ``"p_fwer"`` or ``"p"``.
    alpha
        Level of significance; by default that of the result.
    mask
        Show only the pairs that are significant, the others grey, instead of stars.
    method
        Linkage of the tree that orders rows and columns; ``None`` keeps the order of the data.
    title
        Instead of the statistic and the null.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of an Image and Points, or an Image.

    Raises
    ------
    SchemaError
        If the Dataset has no tested matrix, or another dimension has more than one entry.
    UnknownNameError
        No such correction (a ``KeyError``).

    Notes
    -----
    Memory: three matrices. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     np.random.default_rng(0).normal(size=(3, 200)), dims=("subject", "time")
    ... )
    >>> result = fx.synchrony(x, "correlation", 99, seed=0)
    >>> figure = result.fhemb.plot.synchrony()
    """
    value = tested.value_of(result, "fx.synchrony or fx.isc")
    if not any(str(d).endswith("_0") for d in value.dims):
        return isc(result, correction=correction, alpha=alpha, title=title)
    alpha = tested.level(result, alpha)
    sure, words = tested.significant(result, correction, alpha)
    matrix, ids = linkage.square(value)
    matrix.attrs.setdefault("metric", _metric(result))
    marks = np.zeros(matrix.shape, bool)
    if sure is not None:
        marks = linkage.square(sure.astype(np.float64))[0].values > 0
    rows = linkage.order(_filled(matrix), method)
    matrix, marks = matrix[rows, rows], marks[np.ix_(rows, rows)]
    shown = matrix.where(xr.DataArray(marks, dims=matrix.dims)) if mask else matrix
    null = str(result.attrs.get("null", result.attrs.get("surrogate", "")))
    note = ("colour: " if mask else "stars: ") + words if words else ""
    heading = title if title is not None else labels.title(
        matrices.scale(matrix), f"null: {null}" if null else "", labels.bands(value.attrs),
        below=note, columns=56,
    )  # fmt: skip
    if mask and not marks.any() and words:
        return theme.empty("no pair is significant", heading, "Subject", "Subject")
    drawn = matrices.relation(shown, method=None, title=heading)
    if mask or not marks.any():
        return drawn
    row, column = np.nonzero(marks)
    size = max(2.0, min(9.0, 160 / len(ids)))
    return drawn * tested.stars(column, row, ["column", "row"], size)


def _metric(result: xr.Dataset) -> str:
    """The statistic; what is tested by :func:`fhemb_xr.isc` is a correlation."""
    name = str(result.attrs.get("statistic", "isc"))
    return "correlation" if name == "isc" else name


def _filled(matrix: xr.DataArray) -> xr.DataArray:
    """The matrix with a value on the diagonal, which no test has, for the tree."""
    values = matrix.values.copy()
    np.fill_diagonal(values, 1.0 if is_similarity(matrix) else 0.0)
    return matrix.copy(data=values)
