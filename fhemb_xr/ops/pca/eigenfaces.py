"""Eigenfaces: principal components of pixels, of a recording of any length."""

import json
import math
from typing import Any

import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.ops import background
from fhemb_xr.ops.checks import require_choice, require_count, require_seed
from fhemb_xr.ops.pca import basis as bases
from fhemb_xr.ops.pca import covariance, imputation, kernel_pca, methods, pca_options
from fhemb_xr.ops.pca import recipes as known

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
        sets method, scaler, kernel, gamma and alpha, which cannot be given too.
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
    Dataset
        Dataset, lazy where ``heat`` is: ``mean``, ``scale`` and ``mask`` ``(…, y, x)``,
        ``components(…, component, y, x)`` of unit length inside of the mask and NaN outside,
        ``explained_variance`` (ddof = 1) and ``explained_variance_ratio`` ``(…, component)``.
        The largest absolute loading of a component is positive. Components beyond the number of
        frames or of pixels in the mask are NaN. ``"kernel"`` adds ``samples``, ``dual``,
        ``offset`` and ``origin`` for :func:`project`; its components are the pixels' regression
        on the scores, the best linear inverse for :func:`reconstruct`. ``"sparse"`` adds
        ``projection``, because its components are not orthogonal.

    Raises
    ------
    ValueError
        An option that the method or the kernel does not use; pixels in several chunks; too many
        components.
    UnknownNameError
        An unknown method, scaler, kernel, per, mask or recipe (a ``ValueError`` too).
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
    - Turk & Pentland (1991), J. Cogn. Neurosci. 3, 71-86, doi:10.1162/jocn.1991.3.1.71.
    - Chan, Golub & LeVeque (1983), Am. Stat. 37, 242-247, doi:10.1080/00031305.1983.10483115.
    - Halko, Martinsson & Tropp (2011), SIAM Rev. 53, 217-288, doi:10.1137/090771806.
    - Musco & Musco (2015), Adv. Neural Inf. Process. Syst. 28, 1396-1404,
      doi:10.48550/arXiv.1504.05477.
    - Ross et al. (2008), Int. J. Comput. Vis. 77, 125-141, doi:10.1007/s11263-007-0075-7.
    - Schölkopf, Smola & Müller (1998), Neural Comput. 10, 1299-1319,
      doi:10.1162/089976698300017467.
    - Candès, Li, Ma & Wright (2011), J. ACM 58(3), 11, doi:10.1145/1970392.1970395.
    - Tipping & Bishop (1999), J. R. Stat. Soc. B 61, 611-622, doi:10.1111/1467-9868.00196.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=8, shape=(12, 10))
    >>> basis = ds.fhemb.mask(25).fhemb.pca(3)
    >>> dict(basis["components"].sizes)
    {'subject': 2, 'session': 1, 'component': 3, 'y': 12, 'x': 10}
    """
    chosen = pca_options.chosen(
        recipe, landmarks, method=method, scaler=scaler, kernel=kernel, gamma=gamma,
        degree=degree, coef0=coef0, alpha=alpha,
    )  # fmt: skip
    per = require_choice("per", per, ("subject", "pooled"))
    mask = require_choice("mask", mask, ("intersection", "impute"))
    n_components = require_count("n_components", n_components, 0)
    landmarks = None if landmarks is None else require_count("landmarks", landmarks)
    seed = require_seed(seed)
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
        attrs["recipe"] = known.named(recipe)
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
