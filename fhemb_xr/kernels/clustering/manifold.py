"""Maps of a distance matrix: multidimensional scaling, principal coordinates."""

import numpy as np

from fhemb_xr.kernels.clustering.members import members
from fhemb_xr.typing import F64


def mds(d: F64, n_dims: int) -> F64:
    """Classical scaling of distances: ``(n, n) -> (n, n_dims)``, NaN without data.

    The largest coordinate of each axis is positive. Torgerson (1952), Psychometrika 17,
    401-419, doi:10.1007/BF02288916.
    """
    from scipy.linalg import eigh

    out = np.full((len(d), n_dims), np.nan)
    inside = members(d)
    if not inside.size:
        return out
    square = d[np.ix_(inside, inside)]
    b = _double_centred(-(((square + square.T) / 2) ** 2) / 2)
    values, vectors = eigh(b)
    out[inside] = _axes(values, vectors, n_dims)
    return out


def principal(d: F64, n_dims: int) -> F64:
    """Principal components of the rows as points: ``(n, n) -> (n, n_dims)``."""
    out = np.full((len(d), n_dims), np.nan)
    inside = members(d)
    if not inside.size:
        return out
    rows = d[np.ix_(inside, inside)]
    u, s, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    out[inside] = _axes(s[::-1] ** 2, u[:, ::-1], n_dims)
    return out


def eigenvectors(s: F64, n_dims: int) -> F64:
    """Leading eigenvectors of a similarity, times the roots of their values: as points."""
    out = np.full((len(s), n_dims), np.nan)
    inside = members(s)
    if inside.size:
        square = s[np.ix_(inside, inside)]
        out[inside] = _axes(*np.linalg.eigh((square + square.T) / 2), n_dims)
    return out


def _double_centred(x: F64) -> F64:
    return np.asarray(x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean())


def _axes(values: F64, vectors: F64, n_dims: int) -> F64:
    """Coordinates from eigenpairs in ascending order; axes that are not there are 0."""
    top = values[::-1][:n_dims], vectors[:, ::-1][:, :n_dims]
    axes = top[1] * np.sqrt(np.maximum(top[0], 0))
    largest = np.argmax(np.abs(axes), axis=0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1, 1)
    out = np.zeros((len(axes), n_dims))
    out[:, : axes.shape[1]] = axes
    return out
