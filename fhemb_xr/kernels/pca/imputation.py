"""Gaps of frames, filled by what the pixels that are there say about those that are not.

Frames are taken as a mean, a few orthogonal components with normal scores, and equal noise
(probabilistic principal components). Given the pixels seen, the expected scores ``s`` solve
``(C_o C_o' + noise / gain) s = C_o d_o``; since the components are orthonormal, ``C_o C_o'`` is
the identity less the products over the gaps, which one matrix product finds for all frames.

References
----------
Tipping & Bishop (1999), J. R. Stat. Soc. B 61, 611-622, doi:10.1111/1467-9868.00196.
Josse & Husson (2012), J. Soc. Fr. Stat. 153(2), 79-99.
"""

from typing import Any

import numpy as np

from fhemb_xr.typing import F64, Floats


def filled(x: Floats, fit: Floats) -> Floats:
    """Gaps filled in frames with a face: ``(t, p), (k + 3, p + 2) -> (t, p)``.

    ``fit`` is laid out as in :mod:`fhemb_xr.kernels.pca.pixel_statistics`: centred pixels,
    not scaled.
    Peak memory: 34 bytes per sample of the frames with gaps, and 8 k² bytes per pixel.
    """
    k, p = fit.shape[0] - 3, x.shape[-1]
    seen = fit[k + 2, :p] == 1
    finite = np.isfinite(x)
    rows = np.flatnonzero(finite.any(axis=-1) & (~finite & seen).any(axis=-1))
    out = x.copy()
    if not rows.size or not np.isfinite(fit[0, p]):
        return out
    mean, part = fit[k, :p][seen], x[np.ix_(rows, seen)]
    components, ridge = _model(fit, seen)
    d = part - mean
    guess = mean + scores(d, components, ridge) @ components
    out[np.ix_(rows, seen)] = np.where(np.isfinite(d), part, guess)
    return out


def scores(d: Floats, components: Floats, ridge: Floats | None = None) -> F64:
    """Scores of deviations with gaps: ``(t, p), (k, p) -> (t, k)``; of orthonormal components.

    Least squares over the pixels that are there, less weight on components of little variance
    where a ``ridge`` is given. A component that is hidden whole has the score 0.
    """
    finite = np.isfinite(d)
    found: F64 = np.where(finite, d, 0.0) @ components.T
    rows = np.flatnonzero(~finite.all(axis=-1))
    if not rows.size:
        return found
    k, p = components.shape
    products = (components[:, None] * components[None]).reshape(k * k, p)
    hidden = (~finite[rows]).astype(np.float64) @ products.T
    left = np.eye(k) - hidden.reshape(-1, k, k)
    if ridge is None:
        inverse = np.linalg.pinv(left, rcond=1e-9, hermitian=True)
        found[rows] = (inverse @ found[rows][..., None])[..., 0]
    else:
        found[rows] = np.linalg.solve(left + np.diag(ridge), found[rows][..., None])[..., 0]
    return found


def _model(fit: Floats, seen: Any) -> tuple[Floats, Floats]:
    """Components above the noise, and noise over gain of each."""
    k, p = fit.shape[0] - 3, fit.shape[1] - 2
    sound = np.isfinite(fit[:k, p])
    variances, shares = fit[:k, p][sound], fit[:k, p + 1][sound]
    total = variances[0] / shares[0] if shares[0] > 0 else 0.0
    left = max(int(seen.sum()) - len(variances), 1)
    noise = max(total - variances.sum(), 0.0) / left
    above = variances > noise
    gain = variances[above] - noise
    return fit[:k, :p][sound][above][:, seen], noise / gain
