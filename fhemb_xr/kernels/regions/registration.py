"""Registration of faces to a mean face: inverse compositional, with a contrast of low rank.

A frame that is sampled where the map puts the pixels of the reference is a sum of contrasts (a
constant, the reference itself, a spot for each part of the face) and of the change that a small
movement of the reference would make. Both are fitted together; the movement is taken back from
the map. The products of the columns are those of the reference, without pixels that the frame
lacks. So a step costs one product per pixel and column.

References
----------
- Baker & Matthews (2004), Int. J. Comput. Vis. 56, 221-255,
  doi:10.1023/B:VISI.0000011205.11775.fd.
"""

from typing import Any, NamedTuple

import numpy as np

from fhemb_xr.kernels.regions.template import Grid
from fhemb_xr.typing import F64, Bools, Floats

MOTIONS = {"shift": 2, "similarity": 4, "affine": 6}
"""Free numbers of each kind of map."""
FEWEST = 0.5
"""Share of the reference, or of a region, that a frame has to show."""
_TOGETHER = 64
"""Frames that are float64 at a time."""


class Reference(NamedTuple):
    """A face on a grid, laid out for registration."""

    seen: Bools
    """(rows, columns): pixels that are compared."""
    places: F64
    """(p, 2): where they are."""
    values: F64
    """(p): temperatures about their mean."""
    columns: F64
    """(p, motion + contrast): what a movement changes, then the contrasts."""
    products: F64
    """(q, q): of the columns, with a trace on the diagonal against parts that are hidden."""


def reference(values: F64, spots: F64, motion: str) -> Reference:
    """Lay out a face ``(rows, columns)`` with its spots ``(s, rows, columns)``."""
    grid = Grid(*values.shape)
    seen = np.isfinite(values)
    places = grid.places()[seen]
    across, down = (slope[seen] * grid.half for slope in _slopes(values))
    u, v = places.T
    if motion == "affine":
        moved = [across, across * u, across * v, down, down * u, down * v]
    else:
        moved = [across, down, across * u + down * v, down * u - across * v]
        moved = moved[: MOTIONS[motion]]
    centred = values[seen] - values[seen].mean() if seen.any() else values[seen]
    contrast = [np.ones(centred.size), centred, *spots[:, seen]]
    columns = np.ascontiguousarray(np.stack([*moved, *contrast], axis=-1))
    products = columns.T @ columns
    products[np.diag_indices_from(products)] *= 1 + 1e-6
    products[np.diag_indices_from(products)] += 1e-9
    return Reference(seen, np.ascontiguousarray(places), centred, columns, products)


def _slopes(values: F64) -> tuple[F64, F64]:
    """Change from pixel to pixel across and down, 0 where a neighbour is missing."""
    padded = np.pad(values, 1, constant_values=np.nan)
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    return np.nan_to_num(across), np.nan_to_num(down)


class Registered(NamedTuple):
    """Frames registered to a reference; NaN where that failed."""

    maps: F64
    """(t, 2, 3): column and row of the frame [pixel] for ``(u, v, 1)``."""
    contrast: F64
    """(t, contrast)."""
    residual: F64
    """(t): what the contrasts do not explain, root mean square."""
    total: F64
    """(p): sum of the registered frames, each about its mean."""
    seen: F64
    """(p): number of frames in that sum."""
    sums: F64
    """(t, region, 2): weighted sum of the temperatures, and of the weights that are seen."""


def register(x: Floats, to: Reference, start: F64, motion: str, weights: F64) -> Registered:
    """Register frames ``(t, y, x)`` from one first map; ``weights (r, p)`` are of regions.

    A frame is NaN if it shows less than :data:`FEWEST` of the reference, has no contrast like
    it, or its map leaves the face.

    Peak memory: 64 frames in float64, and the results.
    """
    from fhemb_xr.kernels.regions.sweep import sweep

    n, p, k = len(x), len(to.values), MOTIONS[motion]
    out = Registered(
        np.full((n, 6), np.nan), np.full((n, to.columns.shape[1] - k), np.nan),
        np.full(n, np.nan), np.zeros(p), np.zeros(p), np.zeros((n, len(weights), 2)),
    )  # fmt: skip
    if p > to.columns.shape[1] and np.isfinite(start).all():
        design = to.places, to.values, to.columns, to.products
        for first in range(0, n, _TOGETHER):
            part = slice(first, first + _TOGETHER)
            frames = np.ascontiguousarray(x[part], dtype=np.float64)
            cut: Any = [v[part] for v in (out.maps, out.contrast, out.residual, out.sums)]
            sweep(frames, *design, start.ravel(), weights, (*cut, out.total, out.seen))
    return out._replace(maps=out.maps.reshape(n, 2, 3))


def place(mean: F64, seen: F64, template: F64, spots: F64) -> tuple[F64, F64, float]:
    """Map from the template to a person's mean face, that face there, and how alike they are.

    ``(y, x), (y, x), (rows, columns), (s, rows, columns) -> (2, 3), (rows, columns), r``. The
    first map puts the template into the box of the pixels that are there in half of the frames
    or more; the contrast of the template is fitted to the person's as it goes on.
    """
    nothing = np.full((2, 3), np.nan), np.full(template.shape, np.nan), np.nan
    there = np.isfinite(mean) & (seen >= FEWEST * seen.max()) & (seen > 0)
    if there.sum() < 16:
        return nothing
    grid = Grid(*template.shape)
    face = np.where(there, mean, np.nan)[None]
    box = _box(there, grid)
    shape, best, at, level = template, -1.0, box, mean[there].mean()
    found = np.full_like(template, np.nan)
    for motion in ("shift", "shift", "similarity", "similarity", "similarity"):
        to = reference(shape, spots, motion)
        out = register(face, to, at, motion, np.zeros((0, len(to.values))))
        if not _likely(out.maps[0], box):
            break
        at = out.maps[0]
        fitted = to.columns[:, MOTIONS[motion] :] @ out.contrast[0]
        pixels = np.where(out.seen > 0, out.total, np.nan)
        both = np.isfinite(pixels)
        best = float(np.corrcoef(pixels[both], fitted[both])[0, 1])
        shape, found = np.full_like(template, np.nan), np.full_like(template, np.nan)
        shape[to.seen], found[to.seen] = fitted, level + pixels
    return (at, found, best) if best > 0 else nothing


def _likely(at: F64, box: F64) -> bool:
    """Whether a map is near the box of the face: a shift, size or tilt that a box may have."""
    if not np.isfinite(at).all():
        return False
    half = np.sqrt(box[0, 0] * box[1, 1])
    size = np.sqrt(abs(np.linalg.det(at[:, :2]))) / half
    tilt = np.arctan2(at[1, 0], at[0, 0])
    near = np.abs(at[:, 2] - box[:, 2]).max() < 0.25 * half
    return bool(near and 0.8 < size < 1.25 and abs(tilt) < np.deg2rad(15))


def _box(there: Bools, grid: Grid) -> F64:
    """The map that puts the face into the box of the pixels that are there."""
    out = np.zeros((2, 3))
    for k, axis in enumerate((0, 1)):
        line = np.flatnonzero(there.any(axis=axis))
        out[k, k] = (line[-1] - line[0] + 1) / 2 / grid.aspect[k]
        out[k, 2] = (line[-1] + line[0]) / 2
    return out
