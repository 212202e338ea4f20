"""Named parts along one axis: a task returns one array, and this says what lies where."""

import itertools
import math
from typing import Any

import numpy as np

from fhemb_xr.typing import F64


class Fields:
    """Names, shapes and places of parts that lie end to end.

    Examples
    --------
    >>> rows = Fields(left=(3,), value=(), right=(3,))
    >>> rows.size, rows["left"], rows["value"]
    (7, slice(0, 3, None), 3)
    """

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.shapes = shapes
        ends = [0, *itertools.accumulate(math.prod(s) for s in shapes.values())]
        self.size = ends[-1]
        """Length of the axis."""
        self._slices = {
            name: slice(*place)
            for name, place in zip(shapes, itertools.pairwise(ends), strict=True)
        }

    def __getitem__(self, name: str) -> Any:
        """Place of a part: a slice, or the position of a single number."""
        place = self._slices[name]
        return place if self.shapes[name] else place.start

    def part(self, packed: Any, name: str) -> Any:
        """One part with its shape, a view where numpy can: ``(..., size) -> (..., *shape)``."""
        shape = (*packed.shape[:-1], *self.shapes[name])
        return packed[..., self._slices[name]].reshape(shape)

    def pack(self, **parts: Any) -> F64:
        """All parts end to end, each ``(..., *shape)``: ``(..., size)``."""
        first = next(iter(self.shapes))
        lead = np.shape(parts[first])[: np.ndim(parts[first]) - len(self.shapes[first])]
        packed = np.empty((*lead, self.size))
        for name, place in self._slices.items():
            packed[..., place] = np.reshape(parts[name], (*lead, -1))
        return packed
