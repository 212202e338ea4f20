"""Faces cut out of a film of a whole scene by a table of boxes, lazily.

A frame of the table is a picture of the film, counted from 0; if the film has numbers of frames
(a dataset ``frame_number``, or names that count), it is such a number. A box that is partly
outside keeps its size, and pixels outside of the picture are missing. A frame without a row, or
with a row of empty cells, has no face. Two boxes of one person in a frame are an error.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F32, Bools, Ints
from ingest.boxes import rules
from ingest.boxes.tables import BoxTable, read_box_table
from ingest.files.stack_lookup import Stack
from ingest.shards import Cell, Run, Subject

CUT = Cell("bytes", np.dtype(np.float32))
"""Encoding of faces that are cut out: °C, with missing pixels outside of the picture."""


@dataclass(frozen=True, eq=False)
class Cut:
    """One person's boxes in a film; the same face as :class:`Stack` to a reader."""

    scene: Stack
    session: str
    subject: Subject = field(repr=False)
    places: NDArray[np.int32]  # picture of each box, in order
    sides: NDArray[np.int16]  # (n, 4): left, top, right, bottom; outside of the picture too

    cell = CUT

    @property
    def file(self) -> Path:
        """File of the film."""
        return self.scene.file

    @property
    def name(self) -> str:
        """Name of the film in its file."""
        return self.scene.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the film."""
        return self.scene.shape

    @property
    def clock(self) -> Ints:
        """Frame number of each box."""
        return np.asarray(self.scene.clock[self.places])

    @property
    def first(self) -> Bools:
        """Whether the picture of a box is the first of its frame."""
        return np.asarray(self.scene.first[self.places])

    @property
    def sizes(self) -> Ints:
        """Rows and columns of each box."""
        left, top, right, bottom = self.sides.T.astype(np.int64)
        return np.stack([bottom - top, right - left], axis=1)

    @property
    def centres(self) -> F32:
        """Centre ``(x, y)`` of each box in the picture [pixel]."""
        left, top, right, bottom = self.sides.T.astype(np.float32)
        return np.stack([(left + right) / 2, (top + bottom) / 2], axis=1)

    def rows_of(self, start: int, stop: int) -> Bools:
        """Mask of the boxes in ``[start, stop)``, with repeated frames."""
        clock = self.clock
        return np.asarray((clock >= start) & (clock < stop))

    def places_of(self, rows: Ints) -> Ints:
        """Pictures of some boxes."""
        return self.places[rows].astype(np.int64)

    def version(self, start: int, stop: int) -> str:
        """A text that differs after the film or the boxes have changed."""
        inside = self.rows_of(start, stop)
        film = self.scene.version_of(self.places[inside])
        digest = hashlib.sha256(self.places[inside].tobytes() + self.sides[inside].tobytes())
        return f"{film}:{digest.hexdigest()[:32]}"

    def runs(self, rows: Ints, pictures: NDArray[Any]) -> Iterator[Run]:
        """Runs of faces of one size in °C, and runs of boxes without a number.

        Parameters
        ----------
        rows
            Places of the boxes in this cut.
        pictures
            Picture of each of these boxes.
        """
        clock, sizes = self.clock[rows], self.sizes[rows]
        for height, width in np.unique(sizes, axis=0):
            same = np.flatnonzero((sizes == (height, width)).all(axis=1))
            out = np.full((len(same), height, width), np.nan, np.float32)
            for face, i in zip(out, same, strict=True):
                _cut(face, pictures[i], self.sides[rows[i]], self.scene.cell)
            empty = np.isnan(out).all(axis=(1, 2))
            if empty.any():
                yield Run(clock[same[empty]], None, "null_cells")
            if not empty.all():
                yield Run(clock[same[~empty]], out[~empty])


def _cut(face: F32, picture: NDArray[Any], sides: NDArray[np.int16], cell: Cell) -> None:
    """Copy the part of a box that is inside the picture."""
    left, top, right, bottom = (int(s) for s in sides)
    lines, columns = picture.shape
    inside = picture[max(top, 0) : min(bottom, lines), max(left, 0) : min(right, columns)]
    y, x = max(-top, 0), max(-left, 0)
    face[y : y + inside.shape[0], x : x + inside.shape[1]] = cell.degrees(inside)


def cuts(
    scenes: Sequence[Stack], table: Any, margin: float
) -> tuple[list[Cut], str, tuple[str, ...]]:
    """The faces of all films, what the table says, and doubts.

    Parameters
    ----------
    scenes
        Films, with frame numbers.
    table
        File or pandas DataFrame; see :mod:`ingest.boxes.tables`.
    margin
        Part of its size by which each box is made larger on each side.

    Raises
    ------
    SourceError
        The table has no box for a film, two boxes of a person in a frame, or sizes below 0.
    """
    if not 0 <= margin <= 2:
        raise SourceError(f"a margin is a part of the box from 0 to 2, found {margin!r}")
    boxes = read_box_table(table)
    films = _films(scenes, boxes)
    doubts, out = list(boxes.doubts), []
    for session, (scene, rows) in films.items():
        made, said = _of_film(scene, session, boxes, rows, margin)
        out += made
        doubts += [d if len(films) == 1 else f"session {session!r}: {d}" for d in said]
    sizes = np.concatenate([c.sizes for c in out])
    low, high = sizes.min(axis=0), sizes.max(axis=0)
    n_people = len({c.subject for c in out})
    extent = f"{low[0]} x {low[1]} to {high[0]} x {high[1]} pixels"
    summary = f"{len(sizes)} of {n_people} people, {extent}"
    return out, summary, tuple(doubts)


def as_films(scenes: Sequence[Stack]) -> list[Stack]:
    """Each film as a session of its own, called after its file."""
    of_file = [s.file.name if s.file.is_dir() else s.file.stem for s in scenes]
    alone = len(set(of_file)) == len(of_file)
    names = of_file if alone else [str(s.subject) for s in scenes]
    return [replace(s, session=n) for s, n in zip(scenes, names, strict=True)]


def _films(scenes: Sequence[Stack], boxes: BoxTable) -> dict[str, tuple[Stack, Bools]]:
    """Film of each session, and the rows of the table that belong to it."""
    names = [s.session for s in scenes]
    if len(scenes) == 1:
        return {names[0]: (scenes[0], np.ones(len(boxes.subjects), bool))}
    if boxes.films is None:
        raise SourceError(
            f"boxes cut {len(scenes)} films ({', '.join(map(repr, names[:5]))}): give one "
            "film, or a column session with these names"
        )
    films = np.array(boxes.films)
    out = {n: (s, films == n) for n, s in zip(names, scenes, strict=True) if (films == n).any()}
    unknown = sorted(set(boxes.films) - set(out))
    if unknown:
        raise SourceError(f"the boxes of session {unknown[0]!r} have no film: found {names}")
    return out


def _of_film(
    scene: Stack, session: str, boxes: BoxTable, rows: Bools, margin: float
) -> tuple[list[Cut], list[str]]:
    import pandas as pd

    who = np.array(boxes.subjects, dtype=object)[rows]
    sides = boxes.sides[rows] * (np.tile(scene.shape[:0:-1], 2) if boxes.fractions else 1.0)
    places, doubts = rules.places(scene, boxes, boxes.frames[rows])
    sides, said = rules.checked(sides, who, margin, scene.shape[1:])
    doubts += said
    kept = (places >= 0) & np.isfinite(sides).all(axis=1)
    codes, people = pd.factorize(who)
    rules.require_one(codes, people, places, boxes.frames[rows])
    if not kept.any():
        raise SourceError(f"no box of the table lies in the film {session!r}")
    out = []
    for k, subject in enumerate(people):
        mine = np.flatnonzero(kept & (codes == k))
        mine = mine[np.argsort(places[mine])]
        if mine.size:
            rectangles = sides[mine].astype(np.int16)
            chosen = places[mine].astype(np.int32)
            out.append(Cut(scene, session, str(subject), chosen, rectangles))
        else:
            doubts.append(f"no box of subject {subject} lies in the film")
    return out, doubts + rules.overlaps(out)
