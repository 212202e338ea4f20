"""Groups by shape: series are alike where one, moved in time, correlates with the other.

Series are z-scored, feature by feature; the distance is ``1 - max NCC``, the largest
cross-correlation over all shifts, of all features together, over the norms of the two.

References
----------
- Paparrizos & Gravano (2015), k-Shape, SIGMOD, 1855-1870, doi:10.1145/2723372.2737793.
"""

import numpy as np

from fhemb_xr.typing import F64, Ints

ROUNDS = 100


def standardised(x: F64) -> F64:
    """Mean 0 and standard deviation 1 along the last axis; a constant series is 0."""
    x = x - x.mean(axis=-1, keepdims=True)
    spread = x.std(axis=-1, keepdims=True)
    return np.asarray(x / np.where(spread > 0, spread, 1))


def nearest_shift(x: F64, y: F64) -> tuple[F64, Ints]:
    """Largest NCC and the shift of ``x`` that gives it: ``(n, f, t), (k, f, t) -> (n, k)``.

    Peak memory: ``64 t`` bytes per series and feature, and ``32 n t`` for one of ``y``.
    """
    from scipy import fft

    t = x.shape[-1]
    size = fft.next_fast_len(2 * t - 1, real=True)
    fx, fy = fft.rfft(x, size), np.conj(fft.rfft(y, size))
    norms = np.linalg.norm(x, axis=(1, 2)), np.linalg.norm(y, axis=(1, 2))
    best, shift = np.zeros((len(x), len(y))), np.zeros((len(x), len(y)), np.int64)
    for j, centre in enumerate(fy):
        cross = fft.irfft((fx * centre).sum(axis=1), size)
        cross = np.concatenate([cross[:, size - t + 1 :], cross[:, :t]], axis=1)
        at = cross.argmax(axis=1)
        scale = norms[0] * norms[1][j]
        best[:, j] = cross[np.arange(len(x)), at] / np.where(scale > 0, scale, np.inf)
        shift[:, j] = t - 1 - at
    return best, shift


def moved(x: F64, shift: Ints) -> F64:
    """Every series later by its own shift, with 0 where it has nothing: ``(n, f, t)``."""
    out, t = np.zeros_like(x), x.shape[-1]
    for to, series, s in zip(out, x, shift.tolist(), strict=True):
        to[:, max(s, 0) : t + min(s, 0)] = series[:, max(-s, 0) : t - max(s, 0)]
    return out


def middle(x: F64, centre: F64) -> F64:
    """Shape that the series have in common: ``(n, f, t), (f, t) -> (f, t)``.

    The series are moved onto ``centre``; the shape maximises the sum of squared correlations,
    the leading right singular vector of the centred series, feature by feature.
    """
    if centre.any():
        x = moved(x, nearest_shift(x, centre[None])[1][:, 0])
    x = standardised(x)
    out = np.empty_like(centre)
    for f in range(x.shape[1]):
        _, _, rows = np.linalg.svd(x[:, f], full_matrices=False)
        out[f] = rows[0] if (x[:, f] @ rows[0]).sum() >= 0 else -rows[0]
    return standardised(out)


def kshape(x: F64, k: int, rng: np.random.Generator, *, restarts: int = 5) -> tuple[Ints, F64]:
    """Groups and their shapes, of some beginnings the best: ``(n, f, t) -> (n,), (k, f, t)``.

    Peak memory: eight times the series.
    """
    x = standardised(x)
    found = [_descend(x, k, rng) for _ in range(restarts)]
    groups, centres, _ = min(found, key=lambda f: f[2])
    return groups, centres


def _descend(x: F64, k: int, rng: np.random.Generator) -> tuple[Ints, F64, float]:
    """From a random beginning, until nobody changes the group."""
    groups = rng.permutation(np.arange(len(x)) % k)
    centres = np.zeros((k, *x.shape[1:]))
    for _ in range(ROUNDS):
        for j in range(k):
            centres[j] = middle(x[groups == j], centres[j])
        alike, _ = nearest_shift(x, centres)
        new = _filled(alike)
        if np.array_equal(new, groups):
            break
        groups = new
    return groups, centres, float((1 - alike[np.arange(len(x)), groups]).sum())


def _filled(alike: F64) -> Ints:
    """The most alike group of each; an empty one gets whom the others suit least."""
    groups = alike.argmax(axis=1)
    for j in range(alike.shape[1]):
        if not (groups == j).any():
            fit = alike[np.arange(len(alike)), groups].astype(np.float64)
            alone = np.bincount(groups, minlength=alike.shape[1])[groups] < 2
            groups[int(np.argmin(np.where(alone, np.inf, fit)))] = j
    return np.asarray(groups, np.int64)
