"""The one place where numba is asked to compile."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a loop: no GIL, no threads of its own (dask owns them), no cache on disk.

    A cache shared by the workers of a cluster has crashed them (numba issue 4807).
    """
    compiled: F = numba.njit(function, nogil=True, cache=False, fastmath=False)
    return compiled


def fast_kernel(function: F) -> F:
    """The same for loops whose sums may be reordered, so that the compiler vectorises.

    NaN and infinity keep their meaning: only reassociation and contraction are allowed.
    """
    compiled: F = numba.njit(
        function, nogil=True, cache=False, fastmath={"reassoc", "contract", "nsz"}
    )
    return compiled


def fused_kernel(function: F) -> F:
    """The same where a product and a sum may be rounded once instead of twice, and no more."""
    compiled: F = numba.njit(function, nogil=True, cache=False, fastmath={"contract"})
    return compiled


def inlined_kernel(function: F) -> F:
    """The same for a part of a kernel whose values stay in registers: it is never a call."""
    compiled: F = numba.njit(
        function, nogil=True, cache=False, fastmath={"contract"}, forceinline=True
    )
    return compiled
