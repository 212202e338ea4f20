"""Least-squares polynomials of series with gaps, from sums that add over blocks of time."""

import numpy as np

from fhemb_xr.typing import F64, Floats


def basis(n: int, order: int) -> F64:
    """Legendre polynomials over ``n`` samples: ``(n, order + 1)``."""
    at = np.linspace(-1, 1, n) if n > 1 else np.zeros(n)
    return np.asarray(np.polynomial.legendre.legvander(at, order))


def state(x: Floats, polynomials: F64) -> F64:
    """Sums for the fit: ``(..., t), (t, k) -> (..., k * (k + 1))``; NaN are left out.

    Peak memory: 17 bytes per sample.
    """
    seen = np.isfinite(x)
    k = polynomials.shape[1]
    products = (polynomials[:, :, None] * polynomials[:, None]).reshape(-1, k * k)
    gram = seen.astype(np.float64) @ products
    right = np.where(seen, x, 0.0).astype(np.float64) @ polynomials
    return np.concatenate([gram, right], axis=-1)


def finish(sums: F64) -> F64:
    """Coefficients of the fit: ``(..., k * (k + 1)) -> (..., k)``.

    Where there are fewer samples than coefficients, the smallest that fit.
    """
    k = int((np.sqrt(4 * sums.shape[-1] + 1) - 1) / 2)
    gram = sums[..., : k * k].reshape(*sums.shape[:-1], k, k)
    inverse = np.linalg.pinv(gram, rcond=1e-10, hermitian=True)
    return np.asarray((inverse @ sums[..., k * k :, None])[..., 0])


def residual(x: Floats, polynomials: F64, coefficients: F64) -> Floats:
    """The series minus the fit: ``(..., t), (t, k), (..., k) -> (..., t)``, in its dtype."""
    trend = coefficients @ polynomials.T
    return np.asarray(x - trend, dtype=x.dtype)
