"""The best warping path through a table of costs that is given as a whole.

For point metrics other than the Euclidean one, and one pair at a time: the table is held.
"""

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.typing import F64, Ints


@kernel
def path(cost: F64) -> Ints:
    """Best path from the first cell to the last: ``(n, m) -> (s, 2)``.

    Peak memory: the table twice.
    """
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(n):
        for j in range(m):
            best = min(total[i, j], total[i, j + 1], total[i + 1, j])
            total[i + 1, j + 1] = cost[i, j] + best
    steps = np.empty((n + m - 1, 2), np.int64)
    i, j, k = n, m, n + m - 1
    while True:
        k -= 1
        steps[k, 0], steps[k, 1] = i - 1, j - 1
        if i == 1 and j == 1:
            break
        across, above, left = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        if across <= above and across <= left:
            i, j = i - 1, j - 1
        elif above <= left:
            i -= 1
        else:
            j -= 1
    return steps[k:]
