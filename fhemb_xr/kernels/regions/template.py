"""The face that all faces are registered to, and its regions.

On the unit face, a disc from -1 to 1 across and down, a part is a warm or a cool spot. Warm are
the inner corners of the eyes, the forehead and the mouth; cool are the nose and the cheeks.

References
----------
- Ioannou, Gallese & Merla (2014), Psychophysiology 51, 951-963, doi:10.1111/psyp.12243.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fhemb_xr.typing import F64


class Part(NamedTuple):
    """A part of the unit face: its place, its half widths, and how much warmer it is [K]."""

    across: float
    down: float
    wide: float
    high: float
    warmer: float


PARTS = {
    "nose_tip": Part(0.0, 0.18, 0.16, 0.18, -1.6),
    "forehead": Part(0.0, -0.65, 0.45, 0.18, 0.8),
    "periorbital_l": Part(-0.32, -0.25, 0.15, 0.10, 1.4),
    "periorbital_r": Part(0.32, -0.25, 0.15, 0.10, 1.4),
    "cheek_l": Part(-0.52, 0.22, 0.17, 0.19, -0.3),
    "cheek_r": Part(0.52, 0.22, 0.17, 0.19, -0.3),
    "perioral": Part(0.0, 0.52, 0.28, 0.10, 0.6),
}
PAIRS = {
    "periorbital": ("periorbital_l", "periorbital_r"),
    "cheeks": ("cheek_l", "cheek_r"),
}
"""Regions of two parts."""
EDGE = 0.95
"""Radius of the part of the unit face that is compared."""
_CURVED = 1.5
"""How much cooler the rim is than the middle [K]: it is seen from the side."""


def regions_of() -> list[str]:
    """Names of all regions."""
    return [*PARTS, *PAIRS]


class Grid(NamedTuple):
    """A grid of pixels: its rows and columns."""

    rows: int
    columns: int

    @property
    def half(self) -> float:
        """Half of the longer side, the unit of :meth:`places` [pixel]."""
        return max(self.rows, self.columns) / 2

    @property
    def aspect(self) -> F64:
        """Half widths of the face across and down, in units of :attr:`half`."""
        return np.array([self.columns, self.rows]) / 2 / self.half

    def places(self) -> F64:
        """Centres of the pixels from the middle, across and down, ``(rows, columns, 2)``."""
        v = (np.arange(self.rows) - (self.rows - 1) / 2) / self.half
        u = (np.arange(self.columns) - (self.columns - 1) / 2) / self.half
        return np.stack(np.broadcast_arrays(u[None, :], v[:, None]), axis=-1)


def face(grid: Grid) -> F64:
    """Temperatures of the face about its middle [K], NaN beside it: ``(rows, columns)``."""
    at = grid.places() / grid.aspect
    radius = np.hypot(at[..., 0], at[..., 1])
    warm = sum(part.warmer * _spot(at, part) for part in PARTS.values())
    return np.where(radius <= EDGE, warm - _CURVED * radius**2, np.nan)


def spots(grid: Grid) -> F64:
    """Spots by which the contrast of a face may differ: ``(part, rows, columns)``."""
    at = grid.places() / grid.aspect
    return np.stack([_spot(at, part) for part in PARTS.values()])


def weights(grid: Grid, names: Sequence[str]) -> F64:
    """Weights of the pixels in each region, 1 in its middle: ``(region, rows, columns)``."""
    at = grid.places() / grid.aspect

    def inside(part: Part) -> F64:
        distance = np.sqrt(-np.log(np.maximum(_spot(at, part), 1e-300)))
        return np.clip(1.75 - 1.5 * distance, 0, 1)

    return np.stack([sum(inside(PARTS[p]) for p in PAIRS.get(n, (n,))) for n in names])


def _spot(at: F64, part: Part) -> F64:
    u, v = (at[..., 0] - part.across) / part.wide, (at[..., 1] - part.down) / part.high
    return np.asarray(np.exp(-(u**2) - v**2))
