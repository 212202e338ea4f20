"""Scores of frames on a basis of eigenfaces, and frames from their scores."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.pca import imputation as kernel
from fhemb_xr.ops import background
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.pca import basis as bases
from fhemb_xr.ops.pca import kernel_pca

_PIXELS = bases.PIXELS
_LINEAR = ("components", "mean", "scale")


def project(
    heat: xr.DataArray, basis: xr.Dataset, *, threshold: float | str | None = "recording"
) -> xr.DataArray:
    """Scores of frames on a basis.

    Parameters
    ----------
    heat
        Heatmap ``(…, y, x)`` [°C] on the grid of the basis; ``y`` and ``x`` in one chunk each.
    basis
        From :func:`pca`, of this recording or another, lazy, loaded or opened from a store.
    threshold
        Pixels below it are background [°C], as in :func:`pca`.

    Returns
    -------
    DataArray
        ``scores(…, component)``, float64, lazy where ``heat`` or ``basis`` is. The scores of a
        frame with a gap (NaN inside the basis's mask) depend on the basis:

        ====================================  =================================================
        basis                                 scores of a frame with gaps
        ====================================  =================================================
        ``mask="intersection"``               NaN
        ``mask="impute"``                     those that fit the visible pixels best
        ``mask="impute"``, kernel or sparse   those of the frame with the pixels' means in gaps
        ====================================  =================================================

    Raises
    ------
    SchemaError
        The grids differ, or ``basis`` does not come from :func:`pca`.

    Notes
    -----
    Memory: 17 bytes per sample of a chunk, and the basis, for each running task. Tasks: one or
    two per chunk. Computes at call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> faces = fx.testing.audience(n_subjects=2, seconds=8, shape=(12, 10)).fhemb.mask(25)
    >>> scores = faces.fhemb.project(fx.pca(faces, 3))
    >>> scores.dims
    ('subject', 'session', 'time', 'component')
    """
    of_kernel = "dual" in basis
    linear = ("projection", *_LINEAR[1:]) if "projection" in basis else _LINEAR
    parts = bases.parts(basis, bases.KERNEL_PARTS if of_kernel else linear)
    bases.check_grid(heat, basis)
    heat = background.visible(heat, threshold)
    bases.check_units(heat, basis)
    impute = basis.attrs.get("pixels") == "impute"
    if of_kernel:
        options: dict[str, Any] = {"options": json.loads(basis.attrs["kernel"])}
        options["impute"] = impute
    else:
        options = {"impute": "mean" if "projection" in basis else "fit"} if impute else {}
    function = kernel_pca.scores if of_kernel else _scores
    out = _through(function, heat, _PIXELS, parts, [schema.COMPONENT], **options)
    return out.assign_attrs(long_name="score on eigenfaces").rename("scores")


def reconstruct(scores: xr.DataArray, basis: xr.Dataset) -> xr.DataArray:
    """Frames from their scores: the mean and the sum of components.

    Parameters
    ----------
    scores
        From :func:`project`, ``(…, component)``.
    basis
        Basis on which they were projected. Its components are chosen by the labels of the
        scores; without labels, the first ones are taken.

    Returns
    -------
    DataArray
        ``heatmap(…, y, x)`` [°C], float64, NaN outside the mask, lazy where ``scores`` or
        ``basis`` is.

    Raises
    ------
    SchemaError
        ``scores`` has no components, or more than the basis; or ``basis`` is not a basis.

    Notes
    -----
    Memory: 8 bytes per pixel of a chunk, and the basis, for each running task. Tasks: one or
    two per chunk. Computes at call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> faces = fx.testing.audience(n_subjects=1, seconds=8, shape=(12, 10)).fhemb.mask(25)
    >>> basis = fx.pca(faces, 5)
    >>> again = faces.fhemb.project(basis).fhemb.reconstruct(basis)
    >>> bool(abs(again - faces).max() < 0.5)
    True
    """
    schema.require_dims(scores, schema.COMPONENT)
    parts = bases.parts(bases.of_scores(basis, scores), _LINEAR)
    out = _through(_frames, scores, [schema.COMPONENT], parts, _PIXELS)
    out = out.assign_attrs(schema.VARIABLES[schema.HEATMAP].attrs)
    return out.rename(schema.HEATMAP)


def _through(
    function: Callable[..., Any],
    x: xr.DataArray,
    core: Sequence[str],
    parts: list[xr.DataArray],
    new: Sequence[str],
    **options: Any,
) -> xr.DataArray:
    """Frames or scores through the parts of a basis, on the clock of ``x``."""
    x = rechunked(x, dict.fromkeys(core, -1))
    out = apply_kernel(function, x, *parts, core=[core, *bases.core(parts)], new=new, **options)
    return out.assign_attrs(Clock.of(x).attrs if schema.TIME in x.dims else {})


def _scores(x: Any, components: Any, mean: Any, scale: Any, impute: str = "") -> Any:
    """``(..., y, x), (..., k, y, x) -> (..., k)``; the mask is where the mean is finite."""
    lead = np.broadcast_shapes(x.shape[:-2], mean.shape[:-2])
    out = np.empty((*lead, components.shape[-3]))
    x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
    missing = len(lead) + 2 - mean.ndim  # leading axes that the basis has not: all share it
    for where in np.ndindex(mean.shape[:-2]):
        # if the basis has length 1 along an axis (time, or a pooled axis), all frames share it
        own = (slice(None) if n == 1 else i for i, n in zip(where, mean.shape, strict=False))
        at = (*(slice(None),) * missing, *own)
        pixels = np.isfinite(mean[where])
        d = (x[at][..., pixels] - mean[where][pixels]) / scale[where][pixels]
        out[at] = _scores_of(d, components[where][:, pixels], impute) if d.size else np.nan
    return out


def _scores_of(d: Any, components: Any, impute: str) -> Any:
    """``(..., p), (k, p) -> (..., k)``; NaN for a frame without a face."""
    sound = np.isfinite(components).all(axis=-1)
    if impute == "fit" and sound.any():
        flat = d.reshape(-1, d.shape[-1])
        found = np.full((len(flat), len(components)), np.nan)
        face = np.isfinite(flat).any(axis=-1)
        found[np.ix_(face, sound)] = kernel.scores(flat[face], components[sound])
        return found.reshape(*d.shape[:-1], -1)
    return (bases.without_gaps(d) if impute else d) @ components.T


def _frames(scores: Any, components: Any, mean: Any, scale: Any) -> Any:
    """``(..., k), (..., k, y, x) -> (..., y, x)``."""
    found = np.einsum("...k,...kyx->...yx", scores, components)
    return found * scale + mean
