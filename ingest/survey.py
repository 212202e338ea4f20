"""Looking at a source before a run: faces, shapes of frames, speed of reading."""

import threading
import time
from collections.abc import Mapping, Sequence

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.io.encoding import LIMITS
from ingest.shards import Block, Subject
from ingest.source import Reader, Session, Shapes, in_threads

SAMPLE_FRAMES = 64
"""Number of frames in each of three samples of a subject."""
TIMED_FRAMES, SPARE_PIXELS = 512, 16

Faces = dict[str, dict[Subject, int]]


def faces_and_shapes(
    readers: Sequence[Reader],
    sessions: Sequence[Session],
    people: Sequence[Subject],
    exact: bool,
) -> tuple[Faces, Shapes]:
    """Number of faces of each person and session, and number of frames of each shape.

    Exact shapes also give the faces, so that a compressed table is unpacked only once.
    """
    if exact:
        looks = [(s.name, who, s.start, s.stop) for s in sessions for who in people]
        counted = _survey(readers, looks)
        faces: Faces = {s.name: {} for s in sessions}
        for (name, who, *_), shapes in counted.items():
            faces[name][who] = sum(shapes.values())
        return {n: {w: faces[n][w] for w in people} for n in faces}, _summed(counted)
    faces = {s.name: readers[0].faces(s.name, people, s.start, s.stop) for s in sessions}
    looks = [
        (s.name, who, *span)
        for s in sessions
        for who, n in faces[s.name].items()
        if n
        for span in _samples(s)
    ]
    return faces, _summed(_survey(readers, looks))


Look = tuple[str, Subject, int, int]


def _survey(readers: Sequence[Reader], looks: Sequence[Look]) -> dict[Look, Shapes]:
    """Shapes of each look; each reader has a thread."""
    counted: dict[Look, Shapes] = {}
    guard, stop = threading.Lock(), threading.Event()
    left = iter(looks)

    def work(reader: Reader) -> None:
        while not stop.is_set():
            with guard:
                look = next(left, None)
            if look is None:
                return
            shapes = reader.shapes(*look)
            with guard:
                counted[look] = shapes

    in_threads(work, readers, stop)
    return counted


def _summed(counted: Mapping[Look, Shapes]) -> Shapes:
    return sum(counted.values(), Shapes())


def speed(
    reader: Reader,
    sessions: Sequence[Session],
    faces: Mapping[str, Mapping[Subject, int]],
    grid: tuple[int, int],
) -> float | None:
    """Faces per second of one reader, measured on the person with most faces."""
    session = max(sessions, key=lambda s: max(faces[s.name].values()))
    who = max(faces[session.name], key=lambda name: faces[session.name][name])
    middle = (session.start + session.stop - TIMED_FRAMES) // 2
    start, stop = max(session.start, middle), min(session.stop, middle + TIMED_FRAMES)
    high = tuple(n + SPARE_PIXELS for n in grid)  # the samples may have missed larger shapes
    heat = np.empty((stop - start, *high), dtype=np.float32)
    block = Block(session.name, who, start, heat, stop)
    started = time.perf_counter()
    try:
        reader.read(block, lambda run, cell: block.place(run, cell, lambda x: x, LIMITS))
    except SourceError:  # an even larger frame: the run itself will report it
        return None
    seconds = time.perf_counter() - started
    return block.counts.faces / seconds if block.counts.faces else None


def _samples(session: Session) -> list[tuple[int, int]]:
    length = session.stop - session.start
    if length <= 3 * SAMPLE_FRAMES:
        return [(session.start, session.stop)]
    starts = [session.start + int(f * (length - SAMPLE_FRAMES)) for f in (0, 0.5, 1)]
    return [(a, a + SAMPLE_FRAMES) for a in starts]


def matrices(shapes: Shapes) -> list[tuple[tuple[int, int], int]]:
    """Rows, columns and number of the shapes that are matrices."""
    return [((s[0], s[1]), n) for s, n in shapes.items() if len(s) == 2 and min(s) > 0]


def largest(shapes: Shapes) -> tuple[int, int, list[str]]:
    """The largest numbers of rows and columns, and doubts about other shapes."""
    sizes = matrices(shapes)
    odd = {s: n for s, n in shapes.items() if len(s) != 2 or min(s) <= 0}
    doubts = [
        f"{n} cells of shape {s} are no matrices and stay missing" for s, n in odd.items()
    ]
    high = max((s[0] for s, _ in sizes), default=1)
    wide = max((s[1] for s, _ in sizes), default=1)
    return high, wide, doubts
