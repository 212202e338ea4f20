"""How well a heart's wave fits a face: a score of one face and one heart alone.

No other face enters a score, and every pair is worked on by itself in the same order; so the
difference of two scores changes its sign, to the last bit, when the faces change places.
"""

from collections.abc import Callable

import numpy as np

from fhemb_xr.typing import F64

_RIDGE = 3.0  # of the median eigenvalue
_BLUR = np.array([0.054, 0.242, 0.399, 0.242, 0.054]) / 0.991  # a Gaussian of one pixel


def subspace(movie: F64) -> F64:
    """The pulse-band courses that neighbouring pixels share: ``(..., f, y, x) -> (..., f, f)``.

    Columns are orthogonal, each as long as a ridge leaves it: of a wave ``w``,
    ``sum((w @ columns)**2)`` is the share explained by regression on the blurred pixels.
    """
    out = np.empty((*movie.shape[:-2], movie.shape[-3]))
    for i in np.ndindex(movie.shape[:-3]):
        flat = _blurred(movie[i]).reshape(movie.shape[-3], -1)
        if not np.isfinite(flat).all():
            out[i] = np.nan
            continue
        power, course = np.linalg.eigh(flat @ flat.T)
        power = np.maximum(power, 0)
        out[i] = course * np.sqrt(power / (power + _RIDGE * np.median(power) + 1e-300))
    return out


def _blurred(x: F64) -> F64:
    for axis in (-1, -2):
        x = np.apply_along_axis(np.convolve, axis, x, _BLUR, mode="same")
    return x


def explained(face: F64, heart: F64) -> F64:
    """Log likelihood ratio of regression: ``(..., f, f), (..., 2, f) -> (...)``."""
    return each_pair(_explained, face, heart)


def _explained(face: F64, heart: F64) -> float:
    share = np.sum((heart @ face) ** 2, axis=-1)
    return float(-0.5 * len(face) * np.mean(np.log1p(-np.minimum(share, 1 - 1e-12))))


def filtered(movie: F64, filters: F64) -> F64:
    """Courses of the learnt spatial filters: ``(..., f, y, x), (k, y, x) -> (..., k, f)``."""
    out = np.empty((*movie.shape[:-3], len(filters), movie.shape[-3]))
    weights = filters.reshape(len(filters), -1)
    for i in np.ndindex(movie.shape[:-3]):
        course = weights @ movie[i].reshape(movie.shape[-3], -1).T
        size = np.linalg.norm(course, axis=-1, keepdims=True)
        out[i] = course / np.where(size > 1e-9, size, np.nan)
    return out


def weighed(face: F64, heart: F64, weights: F64) -> F64:
    """Weighted likenesses: ``(..., k, f), (..., l, f), (1 + k, l) -> (...)``."""
    return each_pair(lambda y, h: float(np.sum(likenesses(y, h) * weights)), face, heart)


def likenesses(face: F64, heart: F64) -> F64:
    """What the regression weighs: ``(k, f), (l, f) -> (1 + k, l)``.

    The correlation of the first course with the wave at each delay, and the squares of all: a
    course of another sign in another person is as good.
    """
    r = face @ heart.T
    return np.concatenate([r[:1], r**2])


def each_pair(score: Callable[[F64, F64], float], face: F64, heart: F64) -> F64:
    """A score of each face and heart, ``(..., a, b), (..., c, d) -> (...)``; NaN for NaN."""
    shape = np.broadcast_shapes(face.shape[:-2], heart.shape[:-2])
    face = np.broadcast_to(face, shape + face.shape[-2:])
    heart = np.broadcast_to(heart, shape + heart.shape[-2:])
    out = np.full(shape, np.nan)
    for i in np.ndindex(shape):
        # laid out alike whatever they are views of, so that sums have one order
        a, b = np.ascontiguousarray(face[i]), np.ascontiguousarray(heart[i])
        if np.isfinite(a).all() and np.isfinite(b).all():
            out[i] = score(a, b)
    return out


def probability(score: F64) -> F64:
    """Of each candidate, from the differences of scores: ``(..., c) -> (..., c)``.

    The terms are sorted before they are summed, so that the order of the candidates does not
    matter to the last bit.
    """
    terms = np.exp(np.clip(score[..., None, :] - score[..., :, None], -700, 700))
    return np.asarray(1 / np.sort(terms, axis=-1).sum(axis=-1))


def learn_filters(movies: F64, hearts: F64, n: int) -> F64:
    """Spatial filters that bring the pulse out: ``(m, f, p), (m, l, f) -> (n, p)``.

    The generalised eigenvectors of the covariance of pixel-by-wave products (of the delay at
    which they are largest on average) against the covariance of the pixels.
    """
    import scipy.linalg

    products = np.einsum("mfp,mlf->mlp", movies, hearts, optimize=True)
    best = int(np.argmax(np.sum(products.mean(axis=0) ** 2, axis=-1)))
    found = products[:, best]
    noise = np.einsum("mfp,mfq->pq", movies, movies, optimize=True)
    noise /= len(movies) * movies.shape[1]
    ridge = 0.1 * np.trace(noise) / len(noise) * np.eye(len(noise))
    signal = found.T @ found / len(found) - noise
    _, vectors = scipy.linalg.eigh(signal, noise + ridge)
    out = vectors.T[: -n - 1 : -1]
    return np.asarray(out * np.where(out @ found.mean(axis=0) < 0, -1, 1)[:, None])


def learn_weights(differences: F64, ridge: float = 1e-4) -> F64:
    """Logistic regression without an intercept: ``(trial, d) -> (d,)``.

    Every row is what the right face has more than the wrong one; swapped trials would add
    nothing.
    """
    from scipy.optimize import minimize

    def loss(w: F64) -> tuple[float, F64]:
        s = differences @ w
        slope = -(differences / (1 + np.exp(np.clip(s, -700, 700)))[:, None]).mean(axis=0)
        return float(np.logaddexp(0, -s).mean() + ridge * w @ w), slope + 2 * ridge * w

    start = np.zeros(differences.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B").x)
