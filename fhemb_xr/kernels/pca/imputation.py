"""Gaps of frames, filled by their expected values given the pixels that are seen.

A frame is modelled as a mean, a few orthogonal components with normal scores, and equal noise
(probabilistic principal components). Given the seen pixels o, the expected scores ``s`` solve
``(C_o C_o' + noise / gain) s = C_o d_o``. Because the components are orthonormal, ``C_o C_o'``
is the identity minus the products over the gaps; one matrix product finds these for all frames.

References
----------
- Tipping & Bishop (1999), J. R. Stat. Soc. B 61, 611-622, doi:10.1111/1467-9868.00196.
- Josse & Husson (2012), J. Soc. Fr. Stat. 153(2), 79-99.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels.pca.fit_layout import FitLayout
from fhemb_xr.typing import F64, Floats


def filled(x: Floats, fit: Floats) -> Floats:
    """Gaps filled in frames with a face: ``(t, p), (k + 3, p + 2) -> (t, p)``.

    ``fit`` is of centred pixels that are not scaled.
    Peak memory: 34 bytes per sample of the frames with gaps, plus 8 k² bytes per pixel.
    """
    at = FitLayout.of_plain(fit)
    seen = fit[at.mask, at.pixels] == 1
    finite = np.isfinite(x)
    rows = np.flatnonzero(finite.any(axis=-1) & (~finite & seen).any(axis=-1))
    out = x.copy()
    if not rows.size or not np.isfinite(fit[0, at.variance]):
        return out
    mean, part = fit[at.mean, at.pixels][seen], x[np.ix_(rows, seen)]
    components, ridge = _model(fit, seen)
    d = part - mean
    guess = mean + scores(d, components, ridge) @ components
    out[np.ix_(rows, seen)] = np.where(np.isfinite(d), part, guess)
    return out


def scores(d: Floats, components: Floats, ridge: Floats | None = None) -> F64:
    """Scores of deviations with gaps on orthonormal components: ``(t, p), (k, p) -> (t, k)``.

    Least squares over the pixels that are seen; a ``ridge`` gives components of little variance
    less weight. A component whose pixels are all hidden has the score 0.
    """
    finite = np.isfinite(d)
    out: F64 = np.where(finite, d, 0.0) @ components.T
    rows = np.flatnonzero(~finite.all(axis=-1))
    if not rows.size:
        return out
    k, p = components.shape
    products = (components[:, None] * components[None]).reshape(k * k, p)
    hidden = (~finite[rows]).astype(np.float64) @ products.T
    left = np.eye(k) - hidden.reshape(-1, k, k)
    if ridge is None:
        inverse = np.linalg.pinv(left, rcond=1e-9, hermitian=True)
        out[rows] = (inverse @ out[rows][..., None])[..., 0]
    else:
        out[rows] = np.linalg.solve(left + np.diag(ridge), out[rows][..., None])[..., 0]
    return out


def _model(fit: Floats, seen: Any) -> tuple[Floats, Floats]:
    """Components above the noise, and noise over gain of each."""
    at = FitLayout.of_plain(fit)
    rows = fit[at.components]
    rows = rows[np.isfinite(rows[:, at.variance])]
    variances, shares = rows[:, at.variance], rows[:, at.share]
    total = variances[0] / shares[0] if shares[0] > 0 else 0.0
    left = max(int(seen.sum()) - len(variances), 1)
    noise = max(total - variances.sum(), 0.0) / left
    above = variances > noise
    gain = variances[above] - noise
    return rows[above, at.pixels][:, seen], noise / gain
