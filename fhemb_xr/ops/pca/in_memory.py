"""Sparse and robust eigenfaces, and the scaled stack that they need in memory."""

from typing import Any

import numpy as np

from fhemb_xr.kernels.pca import fit_layout, robust_pca
from fhemb_xr.kernels.pca import pixel_statistics as kernel

RIDGE = 0.01
"""Ridge of the regression on sparse components; scikit-learn's default."""


def scaled_stack(x: Any, scaler: str) -> tuple[Any, ...]:
    """Scaled frames with a face and pixels of the mask, then: face, mask, origin, scale."""
    pixels = kernel.pixel_state(x)
    seen, who = kernel.inside(pixels), np.isfinite(x).any(axis=-1)
    quartile = kernel.quartiles(x) if scaler == "robust" else np.zeros((3, x.shape[-1]))
    scale = kernel.spread(pixels, scaler, quartile[2] - quartile[0])
    start = origin(pixels, quartile[1], scaler)
    z = ((x[who] - start) / scale)[:, seen].astype(np.float64)
    return z, who, seen, np.where(seen, start, np.nan), scale


def origin(pixels: Any, median: Any, scaler: str) -> Any:
    """What the scaler subtracts from each pixel: ``(6, p) -> (p)``; NaN outside the mask."""
    subtracted = {
        "none": np.zeros(pixels.shape[-1]),
        "robust": median,
        "minmax": pixels[kernel.LOW],
    }.get(scaler, pixels[kernel.MEAN])
    return np.where(kernel.inside(pixels), subtracted, np.nan)


def _fit_stack(x: Any, k: int, scaler: str, fit: Any) -> Any:
    """The fit of centred rows: ``fit(z, k)`` gives components, variances, total, mean."""
    z, _, seen, start, scale = scaled_stack(x, scaler)
    components = np.full((k, x.shape[-1]), np.nan)
    variances, total, mean = np.full(k, np.nan), 0.0, np.full(x.shape[-1], np.nan)
    if len(z) > 1 and seen.any():
        components[:, seen], variances, total, centre = fit(z, k)
        mean[seen] = start[seen] + scale[seen] * centre
    return fit_layout.layout(components, variances, total, seen, mean, scale)


def sparse(x: Any, k: int, scaler: str, alpha: float, seed: Any) -> Any:
    """The sparse fit of one stack, with its weights: ``(t, p) -> (2 k + 3, p + 2)``."""

    def fit(z: Any, k: int) -> Any:
        model = sklearn_decomposition().SparsePCA(k, alpha=alpha, random_state=seed).fit(z)
        scores = model.transform(z)
        order = np.argsort(-scores.var(axis=0), kind="stable")
        scores = scores[:, order] - scores[:, order].mean(axis=0)
        # what a component adds to those before it: they are not orthogonal
        added = np.diagonal(np.linalg.qr(scores)[1]) ** 2 / (len(z) - 1)
        return model.components_[order], _padded(added, k), _variance(z), z.mean(axis=0)

    plain, at = _fit_stack(x, k, scaler, fit), fit_layout.FitLayout(k, x.shape[-1], sparse=True)
    seen = plain[at.mask] == 1
    loadings = np.nan_to_num(plain[at.components, seen])
    out = np.full(at.shape, np.nan)
    out[: at.projection.start] = plain
    # components are not orthogonal: scores are a ridge regression on them, as scikit-learn's
    weights = np.linalg.solve(loadings @ loadings.T + RIDGE * np.eye(k), loadings)
    out[at.projection, seen] = weights
    return out


def robust(x: Any, k: int, scaler: str) -> Any:
    """The fit of the low-rank part of one stack: ``(t, p) -> (k + 3, p + 2)``."""

    def fit(z: Any, k: int) -> Any:
        low = robust_pca.low_rank(z - z.mean(axis=0))
        centre = low.mean(axis=0)
        _, s, v = np.linalg.svd(low - centre, full_matrices=False)
        rank = min(k, len(s), len(z) - 1)
        components = np.full((k, z.shape[1]), np.nan)
        components[:rank] = v[:rank]
        mean = z.mean(axis=0) + centre
        return components, _padded(s[:rank] ** 2 / (len(z) - 1), k), _variance(low), mean

    return _fit_stack(x, k, scaler, fit)


def _variance(z: Any) -> float:
    return float(z.var(axis=0, ddof=1).sum())


def _padded(values: Any, k: int) -> Any:
    out = np.full(k, np.nan)
    out[: len(values)] = values[:k]
    return out


def sklearn_decomposition() -> Any:
    """``sklearn.decomposition``, or an error that says how to install it."""
    try:
        from sklearn import decomposition
    except ImportError as error:
        raise ImportError(
            "this method needs scikit-learn: pip install fhemb_xr[learn]"
        ) from error
    return decomposition
