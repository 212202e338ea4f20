"""Warping of two series: one kernel for each kind of path and of point metric.

They take ``(x, y, n, m, low, high, code, p, buffers)``. What hands them on, or the parts of a
sweep, names them as attributes of their module: numba keeps the compiled code of such a caller,
and not of one that hands on a function of its own module.
"""

from typing import Any

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.dtw import steps, sweep
from fhemb_xr.typing import Floats, Ints


@kernel
def univariate(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """Summed squares along the best path of two series, ``y`` backwards."""
    return sweep.sweep(sweep.all_rows, sweep.univariate, x, y, n, m, low, high, buffers, None)


@kernel
def banded(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """The same inside a band."""
    return sweep.sweep(
        sweep.banded_rows, sweep.univariate, x, y, n, m, low, high, buffers, None
    )


@kernel
def multivariate(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """The same for several features, ``(f, t)``."""
    return sweep.sweep(sweep.all_rows, sweep.multivariate, x, y, n, m, low, high, buffers, None)


@kernel
def banded_multivariate(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """The same for several features inside a band."""
    return sweep.sweep(
        sweep.banded_rows, sweep.multivariate, x, y, n, m, low, high, buffers, None
    )


@kernel
def points(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """Summed distances of any point metric along the best path."""
    return sweep.single_sweep(
        steps.point_costs, steps.least, x, y, n, m, low, high, buffers, (code, p)
    )


@kernel
def soft(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, gamma: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """Soft minimum over all paths of the summed squares."""
    return sweep.single_sweep(
        steps.squares, steps.soft_minimum, x, y, n, m, low, high, buffers, gamma
    )
