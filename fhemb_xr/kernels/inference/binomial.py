"""Wilson's interval of a share."""

import numpy as np


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Interval of a share of ``n`` independent trials, ``z`` standard errors wide."""
    if not n > 0:
        return np.nan, np.nan
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z / scale * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
