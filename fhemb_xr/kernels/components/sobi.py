"""Components with courses of their own in time: joint diagonalisation of lagged covariances.

White courses that are mixed by a rotation have lagged covariances that one rotation makes
diagonal all together. It is found by plane rotations (Jacobi), each the best for its plane.

References
----------
- Belouchrani, Abed-Meraim, Cardoso & Moulines (1997), IEEE Trans. Signal Process. 45, 434-444,
  doi:10.1109/78.554307.
- Cardoso & Souloumiac (1996), SIAM J. Matrix Anal. Appl. 17, 161-164,
  doi:10.1137/S0895479893259546.
"""

import numpy as np

from fhemb_xr.kernels.components import unmixing
from fhemb_xr.kernels.components.unmixing import Mixture
from fhemb_xr.typing import F64, Floats

SWEEPS = 100
"""Sweeps over all planes at most; ten are usual."""


def finish(found: F64, model: Mixture, tol: float = 1e-9) -> F64:
    """The fit by the moments of all people: ``(q) -> (f)``; ``change`` is the last rotation."""
    made = unmixing.whitened(found, model)
    rank, white = made.rank, made.white[: made.rank]
    fields = model.moments
    pairs = np.maximum(fields.part(found, "pairs"), 1.0)
    lagged = fields.part(found, "lagged") / pairs[:, None, None]
    lagged = (lagged + lagged.transpose(0, 2, 1)) / 2
    rotation, left, change, sweeps = diagonalised(white @ lagged @ white.T, tol)
    return unmixing.fitted(
        rotation @ white, made.covariance, model, rank=rank, change=change,
        rounds=float(sweeps), autocorrelation=np.diagonal(left, axis1=1, axis2=2).T,
    )  # fmt: skip


def diagonalised(matrices: F64, tol: float) -> tuple[F64, F64, float, int]:
    """The rotation ``R`` that makes all ``R C R'`` as diagonal as can be: ``(l, r, r)``.

    Also the matrices that it leaves, the largest sine of the last sweep, and the sweeps.
    Memory: 16 bytes per number of the matrices.
    """
    left = np.array(matrices, np.float64)
    n = left.shape[-1]
    rotation, change, sweeps = np.eye(n), np.inf, 0
    while change > tol and sweeps < SWEEPS:
        change, sweeps = 0.0, sweeps + 1
        for p in range(n - 1):
            for q in range(p + 1, n):
                c, s = _plane(left[:, p, p] - left[:, q, q], 2 * left[:, p, q])
                change = max(change, abs(s))
                if abs(s) > tol:
                    turn = np.array([[c, s], [-s, c]])
                    left[:, [p, q], :] = turn @ left[:, [p, q], :]
                    left[:, :, [p, q]] = left[:, :, [p, q]] @ turn.T
                    rotation[[p, q]] = turn @ rotation[[p, q]]
    return rotation, left, change, sweeps


def _plane(differences: F64, off: F64) -> tuple[float, float]:
    """Cosine and sine of the angle that makes one plane of all matrices diagonal."""
    on = float(differences @ differences - off @ off)
    across = float(2 * differences @ off)
    angle = 0.5 * np.arctan2(across, on + np.hypot(on, across))
    return float(np.cos(angle)), float(np.sin(angle))


def whole(x: Floats, model: Mixture) -> F64:
    """The fit of people who are all there: ``(n, t, d) -> (f)``."""
    return finish(unmixing.moments(x, model), model)
