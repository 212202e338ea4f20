"""Kernel principal components: Gram matrices and their eigenvectors."""

from typing import Any

import numpy as np

from fhemb_xr.typing import Floats


def gram(a: Floats, b: Floats, kernel: str, gamma: float, degree: int, coef0: float) -> Any:
    """Kernel of all pairs of rows, as in scikit-learn: ``(n, p), (m, p) -> (n, m)``."""
    product = a @ b.T
    if kernel == "linear":
        return product
    if kernel == "rbf":
        square = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * product
        return np.exp(-gamma * np.maximum(square, 0))
    inner = gamma * product + coef0
    return inner**degree if kernel == "poly" else np.tanh(inner)


def kernel_components(k_matrix: Floats, k: int) -> tuple[Any, Any, float]:
    """Dual vectors ``(n, k)`` of a Gram matrix, their eigenvalues, and the sum of all.

    Scores are ``gram(x, samples) @ dual`` minus their mean over the samples. Peak memory: two
    Gram matrices.
    """
    from scipy.linalg import eigh

    n = len(k_matrix)
    rows = k_matrix.mean(axis=0)
    centred = k_matrix - rows - rows[:, None] + rows.mean()
    total = float(np.trace(centred))
    rank = min(k, n)
    found, vectors = eigh(centred, subset_by_index=(n - rank, n - 1), check_finite=False)
    found, vectors = found[::-1], vectors[:, ::-1]
    sound = found > 1e-12 * max(found[0], 0)
    values, dual = np.full(k, np.nan), np.zeros((n, k))
    values[:rank] = np.where(sound, found, np.nan)
    dual[:, :rank][:, sound] = vectors[:, sound] / np.sqrt(found[sound])
    return dual, values, total
