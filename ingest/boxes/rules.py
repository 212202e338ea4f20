"""Rules for boxes of faces: what is understood, what is a doubt, and what is refused."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64, Ints
from ingest.boxes.tables import BoxTable
from ingest.files.stack_lookup import Stack
from ingest.shards import Subject

_SAMPLED = 200
_LARGEST = 2**15 - 1


class Boxed(Protocol):
    """One person's boxes."""

    @property
    def subject(self) -> Subject:
        """The person."""

    @property
    def places(self) -> NDArray[np.int32]:
        """Picture of each box, in order."""

    @property
    def sides(self) -> NDArray[np.int16]:
        """Left, top, right, bottom of each box."""


def places(scene: Stack, boxes: BoxTable, frames: F64) -> tuple[Ints, list[str]]:
    """Picture of each box, -1 if it is beyond the film; and doubts."""
    if not (np.isfinite(frames).all() and (frames == np.floor(frames)).all()):
        whole = np.isfinite(frames) & (frames == np.floor(frames))
        wrong = int(np.flatnonzero(~whole)[0])
        raise SourceError(
            f"row {wrong + 1} of the table of boxes has the frame {frames[wrong]:g}: expected "
            "a whole number"
        )
    numbers = np.clip(frames, -(2.0**53), 2.0**53).astype(np.int64) - boxes.base
    n = len(scene.clock)
    doubts: list[str] = []
    counted = scene.seconds is None and boxes.base == 0 and not boxes.pictures
    if counted and (scene.clock != np.arange(n)).any():  # the film has numbers of its own
        order = np.argsort(scene.clock, kind="stable")
        at = np.minimum(np.searchsorted(scene.clock[order], numbers), n - 1)
        found = order[at]
        places = np.where(scene.clock[found] == numbers, found, -1)
    else:
        if boxes.base == 0 and numbers.size and (numbers.min(), numbers.max()) == (1, n):
            numbers = numbers - 1
            doubts.append(f"the frames of the boxes are 1 to {n}: they are counted from 1")
        places = np.where((numbers >= 0) & (numbers < n), numbers, -1)
    beyond = int((places < 0).sum())
    if beyond:
        doubts.append(
            f"{beyond} of {len(places)} boxes are at frames that the film does not have; it "
            f"has {n} frames"
        )
    return np.asarray(places, dtype=np.int64), doubts


def checked(
    sides: F64, who: NDArray[Any], margin: float, picture: Sequence[int]
) -> tuple[F64, list[str]]:
    """Boxes as whole pixels, NaN where there is no face; and doubts."""
    sides = np.where(np.isfinite(sides).all(axis=1, keepdims=True), sides, np.nan)
    sizes = sides[:, 2:] - sides[:, :2]
    wrong = np.flatnonzero((sizes < 0).any(axis=1))
    if wrong.size:
        raise SourceError(
            f"row {wrong[0] + 1} of the table, a box of {who[wrong[0]]!r}, has a size below 0: "
            f"{sizes[wrong[0], 0]:g} x {sizes[wrong[0], 1]:g}"
        )
    doubts: list[str] = []
    grown = np.concatenate(
        [sides[:, :2] - margin * sizes, sides[:, 2:] + margin * sizes], axis=1
    )
    whole = np.rint(grown)
    known = np.isfinite(whole).all(axis=1)
    empty = known & (whole[:, 2:] <= whole[:, :2]).any(axis=1)
    none = int((~known).sum() + empty.sum())
    if none:
        doubts.append(f"{none} of {len(sides)} rows of the table have no box: no face there")
    lines, columns = picture
    left, top, right, bottom = whole.T
    with np.errstate(invalid="ignore"):
        out = (right <= 0) | (bottom <= 0) | (left >= columns) | (top >= lines)
        part = (left < 0) | (top < 0) | (right > columns) | (bottom > lines)
    n_out, n_part = int((out & ~empty).sum()), int((part & ~out & ~empty).sum())
    if 2 * n_out > len(sides) - none:
        raise SourceError(
            f"{n_out} of {len(sides)} boxes are outside of the picture of {lines} x {columns} "
            "pixels: are they of another camera, or of another size of the film?"
        )
    if n_out:
        doubts.append(f"{n_out} boxes are outside of the picture: no face there")
    if n_part:
        doubts.append(f"{n_part} boxes are partly outside of the picture: pixels are missing")
    whole[~known | empty | out] = np.nan
    if np.nanmax(np.abs(whole), initial=0) > _LARGEST:
        raise SourceError(f"a box of the table is larger than {_LARGEST} pixels")
    return whole, doubts


def require_one(codes: Ints, people: Any, places: Ints, frames: F64) -> None:
    """Refuse two rows of one person in one frame."""
    inside = np.flatnonzero(places >= 0)
    keys = codes[inside].astype(np.int64) * (2**32) + places[inside]
    order = np.argsort(keys, kind="stable")
    twice = np.flatnonzero(np.diff(keys[order]) == 0)
    if twice.size:
        row = inside[order[twice[0] + 1]]
        raise SourceError(
            f"subject {people[codes[row]]!r} has several boxes in frame {frames[row]:g}: keep "
            "one, or tell people apart in a column subject"
        )


def overlaps(made: Sequence[Boxed]) -> list[str]:
    """A doubt about people whose boxes overlap by more than half, in a sample of frames."""
    if len(made) < 2:
        return []
    every = np.unique(np.concatenate([c.places for c in made]))
    sample = every[np.unique(np.linspace(0, len(every) - 1, _SAMPLED).astype(int))]
    sides = np.full((len(made), len(sample), 4), np.nan, np.float32)
    for k, cut in enumerate(made):
        at = np.minimum(np.searchsorted(cut.places, sample), len(cut.places) - 1)
        there = cut.places[at] == sample
        sides[k, there] = cut.sides[at[there]]
    area = (sides[..., 2:] - sides[..., :2]).prod(axis=-1)
    for k in range(len(made) - 1):
        low = np.maximum(sides[k, :, :2], sides[k + 1 :, :, :2])
        high = np.minimum(sides[k, :, 2:], sides[k + 1 :, :, 2:])
        common = np.clip(high - low, 0, None).prod(axis=-1)
        much = (common > 0.5 * np.fmin(area[k], area[k + 1 :])).sum(axis=1)
        if much.any():
            other = made[k + 1 + int(np.argmax(much))].subject
            return [
                f"the boxes of {made[k].subject!r} and {other!r} overlap by more than half in "
                f"{int(much.max())} of {len(sample)} frames: are they two people?"
            ]
    return []
