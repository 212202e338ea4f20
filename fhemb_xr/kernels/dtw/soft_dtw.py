"""Soft dynamic time warping: the minimum over paths, smoothed.

Cuturi & Blondel (2017), ICML, PMLR 70, 894-903. The divergence: Blondel, Mensch & Vert (2021),
AISTATS, PMLR 130, 3853-3861.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.dtw import distances
from fhemb_xr.kernels.dtw import pairs as pair_kernels
from fhemb_xr.kernels.dtw.constraints import Constraint, constraint_of
from fhemb_xr.typing import F64, Floats, Ints


def values(
    a: F64,
    b: F64,
    lengths_a: Ints,
    lengths_b: Ints,
    *,
    upper: bool = False,
    gamma: float = 1.0,
    window: float | None = None,
    itakura: float | None = None,
) -> F64:
    """Soft minimum over paths of the summed squares: ``(k, f, t), (l, f, t) -> (k, l)``.

    Series without samples and pairs that no path joins give NaN. Peak memory: twice the
    series, plus 6 samples per sample of the longest.
    """
    out = np.full((len(a), len(b)), np.nan)
    pairs = distances.joinable(lengths_a, lengths_b, upper)
    limits = constraint_of(window, itakura)
    distances.table(_each, a, b, lengths_a, lengths_b, pairs, limits, out, p=float(gamma))
    return out


def divergences(a: F64, b: F64, lengths_a: Ints, lengths_b: Ints, **options: Any) -> F64:
    """Soft-DTW divergence, 0 for equal series: ``(k, f, t), (l, f, t) -> (k, l)``.

    ``sdtw(x, y) - (sdtw(x, x) + sdtw(y, y)) / 2``, with the options of :func:`values`.
    """
    with_self_a, with_self_b = (
        _with_itself(x, n, {**options, "upper": False})
        for x, n in ((a, lengths_a), (b, lengths_b))
    )
    between = values(a, b, lengths_a, lengths_b, **options)
    return np.asarray(between - (with_self_a[:, None] + with_self_b) / 2)


def _with_itself(x: F64, lengths: Ints, options: dict[str, Any]) -> F64:
    """Soft minimum of each series with itself: ``(k, f, t) -> (k,)``."""
    out = np.empty(len(x))
    for i in range(len(x)):
        one, n = x[i : i + 1], lengths[i : i + 1]
        out[i] = values(one, one, n, n, **options)[0, 0]
    return out


@kernel
def _each(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints, constraint: Constraint,
    code: int, p: float, out: Floats,
) -> None:  # fmt: skip
    distances.each(
        pair_kernels.soft, a, b, lengths_a, lengths_b, pairs, constraint, code, p, out
    )
