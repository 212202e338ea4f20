"""Dynamic time warping of blocks of series, in memory of the shorter series.

:mod:`fhemb_xr.kernels.dtw.sweep` draws the recurrence. Here is what stands around it: which
pairs are computed, by which kernel, and with which buffers.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.dtw import pairs as pair_kernels
from fhemb_xr.kernels.dtw import point_metrics, simd_batch
from fhemb_xr.kernels.dtw.constraints import Constraint, band, constraint_of
from fhemb_xr.kernels.dtw.sweep import BACK, FRONT
from fhemb_xr.typing import Floats, Ints


def padded(x: Floats, lengths: Ints, *, backwards: bool) -> Floats:
    """Series with infinity around them: ``(k, f, t) -> (k, f, FRONT + t + BACK)``."""
    out = np.full((*x.shape[:-1], FRONT + x.shape[-1] + BACK), np.inf, dtype=x.dtype)
    for place, series, n in zip(out, x, lengths, strict=True):
        samples = series[:, :n]
        place[:, FRONT : FRONT + n] = samples[:, ::-1] if backwards else samples
    return out


def distances(
    a: Floats,
    b: Floats,
    lengths_a: Ints,
    lengths_b: Ints,
    *,
    upper: bool = False,
    window: float | None = None,
    itakura: float | None = None,
    local: str = "euclidean",
    p: float = 3.0,
) -> Floats:
    """Warping distances of all pairs: ``(k, f, t), (l, f, t) -> (k, l)``.

    Series without samples and pairs that no path joins give NaN. ``local="euclidean"`` gives
    the root of the summed squares. Any other point metric is summed unchanged.

    Peak memory: ``2 * bytes(a, b) + t * (128 f + 19 itemsize) + 80 * pairs``, where t is the
    length of the longest series.
    """
    code = point_metrics.CODES["rooted" if local == "mahalanobis" else local]
    pairs, limits = joinable(lengths_a, lengths_b, upper), constraint_of(window, itakura)
    out = np.full((len(a), len(b)), np.nan, dtype=a.dtype)
    loop: Any = _each_of_points
    if code <= 1:
        if upper:  # a series has no distance from itself
            np.fill_diagonal(out, np.where(lengths_a > 0, 0, np.nan))
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        pairs = simd_batch.squares(a, b, lengths_a, lengths_b, pairs, limits, out)
        whole = window is None and itakura is None
        loop = _each_univariate if whole else _each_banded
        if a.shape[1] > 1:
            loop = _each_multivariate if whole else _each_banded_multivariate
    if local == "mahalanobis":
        return _scaled(a, b, lengths_a, lengths_b, pairs, limits, out)
    table(loop, a, b, lengths_a, lengths_b, pairs, limits, out, code, p)
    return np.sqrt(out) if local == "euclidean" else out


def _scaled(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints,
    constraint: Constraint, out: Floats,
) -> Floats:  # fmt: skip
    """Mahalanobis distances by the covariance of both series; NaN where it is singular.

    The covariance (ddof 1) is that of all samples of the pair.
    """
    only_pair = np.zeros((1, 2), np.int64)
    for i, j in pairs:
        x, y = a[i, :, : lengths_a[i]], b[j, :, : lengths_b[j]]
        spread = np.atleast_2d(np.cov(np.concatenate([x, y], axis=1)))
        if np.linalg.matrix_rank(spread) < len(spread):
            continue
        root = np.linalg.cholesky(np.linalg.inv(spread)).T  # whitens: distances are Euclidean
        u, v = (np.asarray(root @ series, a.dtype)[None] for series in (x, y))
        n, m, cell = lengths_a[i : i + 1], lengths_b[j : j + 1], out[i : i + 1, j : j + 1]
        table(
            _each_of_points,
            u,
            v,
            n,
            m,
            only_pair,
            constraint,
            cell,
            point_metrics.CODES["rooted"],
        )
    return out


def joinable(lengths_a: Ints, lengths_b: Ints, upper: bool) -> Ints:
    """Pairs of series that have samples: ``-> (k, 2)``; ``upper``: on or above the diagonal."""
    have_samples = (lengths_a[:, None] > 0) & (lengths_b > 0)
    return np.argwhere(np.triu(have_samples) if upper else have_samples)


def table(
    loop: Any,
    a: Floats,
    b: Floats,
    lengths_a: Ints,
    lengths_b: Ints,
    pairs: Ints,
    constraint: Constraint,
    out: Floats,
    code: int = 0,
    p: float = 1.0,
) -> None:
    """Fill ``out`` at ``pairs`` by ``loop``: :func:`each` with a kernel of two series."""
    if len(pairs):
        x = padded(a, lengths_a, backwards=False)
        y = padded(b, lengths_b, backwards=True)
        loop(x, y, lengths_a, lengths_b, pairs, constraint, code, p, out)


@kernel
def each(
    pair: Any,
    a: Floats,
    b: Floats,
    lengths_a: Ints,
    lengths_b: Ints,
    pairs: Ints,
    constraint: Constraint,
    code: int,
    p: float,
    out: Floats,
) -> None:
    """Call a kernel of two series for each pair.

    Only compiled code may call this: the type of ``pair`` is another one in every process, so
    that what Python calls with it is compiled again each time.
    """
    size = max(a.shape[2], b.shape[2])
    buffers = np.empty((7, size), dtype=a.dtype)
    low, high = np.empty(2 * size, np.int64), np.empty(2 * size, np.int64)
    old_n = old_m = 0
    joined = False
    for i, j in pairs:
        n, m = lengths_a[i], lengths_b[j]
        rows, columns = (a[i], b[j]) if n <= m else (b[j], a[i])
        n, m = min(n, m), max(n, m)
        if n != old_n or m != old_m:  # most often, all series have one length
            joined = band(n, m, constraint, low, high)
            old_n, old_m = n, m
        if joined:
            out[i, j] = pair(rows, columns, n, m, low, high, code, p, buffers)


@kernel
def _each_univariate(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints, constraint: Constraint,
    code: int, p: float, out: Floats,
) -> None:  # fmt: skip
    one = pair_kernels.univariate
    each(one, a, b, lengths_a, lengths_b, pairs, constraint, code, p, out)


@kernel
def _each_banded(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints, constraint: Constraint,
    code: int, p: float, out: Floats,
) -> None:  # fmt: skip
    one = pair_kernels.banded
    each(one, a, b, lengths_a, lengths_b, pairs, constraint, code, p, out)


@kernel
def _each_multivariate(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints, constraint: Constraint,
    code: int, p: float, out: Floats,
) -> None:  # fmt: skip
    one = pair_kernels.multivariate
    each(one, a, b, lengths_a, lengths_b, pairs, constraint, code, p, out)


@kernel
def _each_banded_multivariate(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints, constraint: Constraint,
    code: int, p: float, out: Floats,
) -> None:  # fmt: skip
    each(
        pair_kernels.banded_multivariate,
        a,
        b,
        lengths_a,
        lengths_b,
        pairs,
        constraint,
        code,
        p,
        out,
    )


@kernel
def _each_of_points(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints, constraint: Constraint,
    code: int, p: float, out: Floats,
) -> None:  # fmt: skip
    one = pair_kernels.points
    each(one, a, b, lengths_a, lengths_b, pairs, constraint, code, p, out)
