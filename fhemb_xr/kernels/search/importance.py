"""What a part of the columns adds to the score of the nearest class mean.

Scaling and class means are made column by column. So the squared distance is a sum over parts,
and a model fitted without a part is the sum without it.

References
----------
- Breiman (2001), Mach. Learn. 45, 5-32, doi:10.1023/A:1010933404324.
- Fisher, Rudin & Dominici (2019), All models are wrong, but many are useful, J. Mach. Learn.
  Res. 20, 177.
"""

import numpy as np

from fhemb_xr.kernels.search import centroids
from fhemb_xr.typing import F64, Bools, Ints


def told_right(d: F64, y: Ints) -> Bools:
    """Which samples are nearest to their own class: ``(c, ..., m, s), (m,) -> (..., m, s)``."""
    told = np.where(np.isnan(d), np.inf, d).argmin(axis=0)
    return np.asarray(told == y[:, None])


def exchanges(groups: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Rows exchanged at random within each group: ``(m,) -> (n, m)``."""
    keys = rng.random((n, groups.size))
    mixed = np.argsort(groups + keys, axis=1)  # groups are whole numbers: keys sort within
    out = np.empty_like(mixed)
    out[:, np.argsort(groups, kind="stable")] = mixed
    return np.asarray(out, np.int64)


def without(
    train: F64, y: Ints, test: F64, mixed: Ints | None, n_classes: int
) -> tuple[F64, F64]:
    """Distances of all parts, and of all with one part exchanged or left out.

    ``(f, n, p), (n,), (f, m, p), (r, m) -> (c, m, p), (c, r, m, p)``; ``mixed`` is None: left
    out, ``r = 1``.
    """
    own = centroids.distances(train, y, test, n_classes)
    total = own.sum(axis=-1, keepdims=True)
    rest = (total - own)[:, None]
    return own, rest if mixed is None else rest + own[:, mixed]
