"""Eigenfaces: principal components of pixels, of a recording of any length."""

import json
import math
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.pca import imputation as kernel
from fhemb_xr.ops import background
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.pca import basis as bases
from fhemb_xr.ops.pca import covariance, imputation, kernel_pca, methods
from fhemb_xr.ops.pca import recipes as known

METHODS = ("covariance", "randomized", "incremental", "kernel", "sparse", "robust")
SCALERS = ("none", "center", "standard", "robust", "minmax")
_PIXELS = bases.PIXELS


def pca(
    heat: xr.DataArray,
    n_components: int = 10,
    *,
    method: str = "covariance",
    scaler: str = "center",
    per: str = "subject",
    mask: str = "intersection",
    seed: int | None = None,
    recipe: str | None = None,
    kernel: str = "rbf",
    gamma: float | None = None,
    degree: int = 3,
    coef0: float = 1.0,
    landmarks: int | None = None,
    alpha: float = 1.0,
    threshold: float | str | None = "recording",
) -> xr.Dataset:
    """Principal components of the pixels: eigenfaces.

    Frames without a face are left out. Nothing is computed until the result is used.

    Parameters
    ----------
    heat
        Heatmap ``(…, time, y, x)`` [°C] with a NaN background (see :func:`mask`). Chunks along
        time may have any length.
    n_components
        Number of components.
    method
        ``"covariance"``: exact, from the covariance of the pixels, in one pass.
        ``"randomized"``: from products with a few random vectors; faster, and possible for
        grids whose covariance exceeds the budget. If every variance is at least 20 % smaller
        than the one before, the relative error is below 1e-6; for flat spectra it is a few per
        cent. With missing pixels the result may change with the chunks, but by no more than
        this error.
        ``"incremental"``: chunk after chunk, in the order of time.
        ``"kernel"``: principal components of a kernel, see ``kernel`` and ``landmarks``.
        ``"sparse"``: components with few pixels.
        ``"robust"``: components of the low-rank part, after outliers are removed (Candès).
    scaler
        Divisor of each pixel, after its mean is subtracted. ``"none"`` and ``"center"``: 1;
        ``"standard"``: the standard deviation (ddof = 0); ``"robust"``: the interquartile
        range; ``"minmax"``: the range. Principal components are always those of centred
        pixels, as in scikit-learn. A kernel sees the pixels minus 0, mean, mean, median or
        minimum, in the order of the names above.
    per
        ``"subject"``: one basis for each stack (each subject in each session); ``"pooled"``:
        one basis for all stacks together.
    mask
        ``"intersection"``: the pixels that are visible in every frame with a face.
        ``"impute"``: the pixels that are visible in any frame. Gaps of frames with a face are
        filled, first by the pixels' means, then twice by the fitted components
        (expectation-maximisation of a low-rank model). Filled pixels carry no noise, so the
        shares of the total variance are a little too high.
    seed
        Random seed for ``"randomized"``, ``"sparse"`` and ``landmarks``. None: a new random
        seed for every call.
    recipe
        Name of one of the original's thirteen combinations, such as ``"standard_sigmoid"``. It
        sets method, scaler, kernel, gamma and alpha.
    kernel, gamma, degree, coef0
        ``"linear"``, ``"rbf"``, ``"poly"`` or ``"sigmoid"`` and their parameters, as in
        scikit-learn; ``gamma=None``: one over the number of pixels.
    landmarks
        Number of frames, drawn at random, that a kernel compares with (Nyström), in two passes
        over a recording of any length. None: all frames.
    alpha
        Weight of sparseness.
    threshold
        Pixels below it are background [°C], see :func:`mask`. ``"recording"``: what the
        recording says, if it does: ``ds.fhemb.pca(3)`` leaves the background out, as ``embed``
        does. ``None``: no pixel is left out.

    Returns
    -------
    Dataset, lazy where ``heat`` is: ``mean``, ``scale`` and ``mask`` ``(…, y, x)``,
    ``components(…, component, y, x)`` of unit length inside of the mask and NaN outside,
    ``explained_variance`` (ddof = 1) and ``explained_variance_ratio`` ``(…, component)``. The
    largest absolute loading of a component is positive. Components beyond the number of frames
    or of pixels in the mask are NaN. ``"kernel"`` adds ``samples``, ``dual``, ``offset`` and
    ``origin`` for :func:`project`; its components are the pixels' regression on the scores,
    the best linear inverse for :func:`reconstruct`. ``"sparse"`` adds ``projection``, because
    its components are not orthogonal.

    Raises
    ------
    ValueError
        An unknown method, scaler, per or mask; pixels in several chunks; too many components.
    UnknownNameError
        An unknown recipe.
    BudgetError
        The method needs more memory than a task may have; with the bytes and a cure.
    ImportError
        ``"incremental"`` and ``"sparse"`` without scikit-learn.

    Notes
    -----
    With p pixels, n frames of a stack, k components, s landmarks, and bytes of one chunk c:

    ===============  ======  ==============================================
    method           passes  bytes per running task
    ===============  ======  ==============================================
    covariance       1       20 p² to solve; 8 p² + c + 4 500 p to add
    randomized       3       c + 32 p (k + 24); 80 p (k + 24) to merge
    incremental      2       33 per sample of a chunk + 16 p (k + 10)
    sparse, robust   1       64 n p
    kernel           1       8 (4 n² + 5 n p)
    with landmarks   2       8 (4 s² + 5 s p) + c
    ===============  ======  ==============================================

    ``covariance``: one state of the pixels takes 4 p² bytes. Chunks are joined up to a quarter
    of a state. While two tasks run, at most seven states and eight such chunks are in memory,
    for any number of chunks. ``randomized`` needs two passes if k + 14 vectors are as many as
    the pixels.
    For float64 frames add one byte per sample of a chunk, and 28 000 p (``covariance``) or
    6 400 p (``randomized``). ``scaler="robust"``: a task of the first pass holds the stack,
    24 n p. ``mask="impute"`` adds passes before the others: three if the covariance of the
    pixels is within the budget, otherwise seven. Tasks: under five per chunk and pass. Computes
    at call: none.

    float32 frames of 512 pixels and more are multiplied in float32. Rounding then hides
    variances below 1e-6 (``covariance``) or about 1e-8 (``randomized``) of the total;
    ``heat.astype("f8")`` shows them.

    References
    ----------
    Turk & Pentland (1991), J. Cogn. Neurosci. 3, 71-86, doi:10.1162/jocn.1991.3.1.71.
    Chan, Golub & LeVeque (1983), Am. Stat. 37, 242-247, doi:10.1080/00031305.1983.10483115.
    Halko, Martinsson & Tropp (2011), SIAM Rev. 53, 217-288, doi:10.1137/090771806.
    Musco & Musco (2015), Adv. Neural Inf. Process. Syst. 28, 1396-1404,
    doi:10.48550/arXiv.1504.05477.
    Ross et al. (2008), Int. J. Comput. Vis. 77, 125-141, doi:10.1007/s11263-007-0075-7.
    Schölkopf, Smola & Müller (1998), Neural Comput. 10, 1299-1319,
    doi:10.1162/089976698300017467.
    Candès, Li, Ma & Wright (2011), J. ACM 58(3), 11, doi:10.1145/1970392.1970395.
    Tipping & Bishop (1999), J. R. Stat. Soc. B 61, 611-622, doi:10.1111/1467-9868.00196.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=8, shape=(12, 10))
    >>> basis = ds.fhemb.mask(25).fhemb.pca(3)
    >>> dict(basis["components"].sizes)
    {'subject': 2, 'session': 1, 'component': 3, 'y': 12, 'x': 10}
    """
    chosen = {
        "method": method, "scaler": scaler, "kernel": kernel, "gamma": gamma,
        "degree": degree, "coef0": coef0, "alpha": alpha,
        **({} if recipe is None else known.recipe(recipe)),
    }  # fmt: skip
    for name, found, allowed in (
        ("method", chosen["method"], METHODS),
        ("scaler", chosen["scaler"], SCALERS),
        ("kernel", chosen["kernel"], kernel_pca.KERNELS),
        ("per", per, ("subject", "pooled")),
        ("mask", mask, ("intersection", "impute")),
    ):
        _check_choice(name, found, allowed)
    schema.require_dims(heat, schema.TIME, *_PIXELS)
    heat = background.visible(heat, threshold)
    _check_size(heat, n_components, chosen["method"])
    lead = [d for d in heat.dims if d not in (schema.TIME, *_PIXELS)]
    samples = [*(lead if per == "pooled" else []), schema.TIME]
    ordered = heat.transpose(*(d for d in lead if d not in samples), *samples, *_PIXELS)
    data, n_samples = ordered.data, len(samples)
    if mask == "impute":
        data = imputation.imputed(data, n_samples, n_components)
    fit, size = _fit(data, n_samples, n_components, seed, landmarks, chosen)
    dims = (*ordered.dims[: -n_samples - 2], "row", "column")
    keep = {n: c for n, c in ordered.coords.items() if set(c.dims) <= set(dims)}
    attrs = {"scaler": chosen["scaler"], "method": chosen["method"], "pixels": mask}
    if size:
        attrs["kernel"] = json.dumps({n: chosen[n] for n in _OF_KERNEL}, sort_keys=True)
    if recipe is not None:
        attrs["recipe"] = recipe
    return bases.labelled(
        xr.DataArray(fit, dims=dims, coords=keep), heat, n_components, attrs, size
    )


_OF_KERNEL = ("kernel", "gamma", "degree", "coef0")


def _fit(
    data: Any, n: int, k: int, seed: Any, landmarks: int | None, chosen: dict[str, Any]
) -> tuple[Any, int]:
    """The fit, and the number of samples of a kernel's fit."""
    if chosen["method"] == "kernel":
        options = {name: chosen[name] for name in _OF_KERNEL}
        return kernel_pca.fitted(data, n, k, chosen["scaler"], seed, landmarks, options)
    return (
        methods.fitted(data, n, k, chosen["method"], chosen["scaler"], seed, chosen["alpha"]),
        0,
    )


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
    ``scores(…, component)``, float64, lazy where ``heat`` or ``basis`` is. A frame with a NaN
    inside of the basis's mask has NaN scores. With a basis of ``mask="impute"``, it has the
    scores that fit its seen pixels best (least squares); with a kernel or sparse components,
    its gaps are taken as the pixels' means.

    Raises
    ------
    SchemaError
        The grids differ, or ``basis`` is not a basis of :func:`pca`.

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
    whole = dict.fromkeys(_PIXELS, -1)
    impute = basis.attrs.get("pixels") == "impute"
    if of_kernel:
        options: dict[str, Any] = {"options": json.loads(basis.attrs["kernel"])}
        options["impute"] = impute
    else:
        options = {"impute": "mean" if "projection" in basis else "fit"} if impute else {}
    out = apply_kernel(
        kernel_pca.scores if of_kernel else _scores,
        rechunked(heat, whole),
        *parts,
        core=[_PIXELS, *bases.core(parts)],
        new=[schema.COMPONENT],
        **options,
    )
    out.attrs = {"long_name": "score on eigenfaces"}
    if schema.TIME in heat.dims:
        out.attrs |= Clock.of(heat).attrs
    return out.rename("scores")


def reconstruct(scores: xr.DataArray, basis: xr.Dataset) -> xr.DataArray:
    """Frames from their scores: the mean and the sum of components.

    Parameters
    ----------
    scores
        From :func:`project`, ``(…, component)``.
    basis
        Basis on which they were projected; its first components if there are fewer scores.

    Returns
    -------
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
    k = scores.sizes[schema.COMPONENT]
    if k > basis.sizes.get(schema.COMPONENT, 0):
        raise SchemaError(
            f"the scores have {k} components, the basis has "
            f"{basis.sizes.get(schema.COMPONENT, 0)}: give the basis they were projected on"
        )
    parts = bases.parts(basis.isel(component=slice(k)), _LINEAR)
    out = apply_kernel(
        _frames,
        rechunked(scores, {schema.COMPONENT: -1}),
        *parts,
        core=[[schema.COMPONENT], *bases.core(parts)],
        new=_PIXELS,
    )
    out.attrs = {**schema.VARIABLES[schema.HEATMAP].attrs}
    if schema.TIME in scores.dims:
        out.attrs |= Clock.of(scores).attrs
    return out.rename(schema.HEATMAP)


def _check_choice(name: str, found: str, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}, found {found!r}")


def _check_size(heat: xr.DataArray, k: int, method: str) -> None:
    cut = {d: len(heat.variable.chunksizes.get(d, (1,))) for d in _PIXELS}
    if max(cut.values()) > 1:
        raise ValueError(
            f"a frame must be whole in its chunk, found {cut} chunks: heat.chunk(y=-1, x=-1)"
        )
    p = math.prod(heat.sizes[d] for d in _PIXELS)
    most = min(p, heat.sizes[schema.TIME] * math.prod(
        n for d, n in heat.sizes.items() if d not in (schema.TIME, *_PIXELS)
    ))  # fmt: skip
    if not 1 <= k <= most:
        raise ValueError(
            f"n_components is from 1 to {most} (the lesser of frames and pixels), found {k!r}"
        )
    if method == "covariance":
        budget.check(
            covariance.covariance_bytes(p),
            f"the covariance of {p} pixels",
            "method='randomized', or fx.resize(ds, shape) to a smaller grid",
        )


_LINEAR = ("components", "mean", "scale")


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
