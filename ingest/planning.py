"""What a run would read and write, and every doubt about it, before anything is written."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fhemb_xr.budget import human
from fhemb_xr.errors import ConfigError, SourceError
from fhemb_xr.io.encoding import LIMITS
from fhemb_xr.schema import DEFAULT_RATE_HZ
from ingest.hints import Request, choose, parse_subjects
from ingest.shards import Block, Subject
from ingest.source import Found, Reader, Session, Shapes, Source, count_like, in_threads

if TYPE_CHECKING:
    from rich.console import Group

SAMPLE_FRAMES = 64
"""Frames in each of three looks at a subject, when shapes are sampled and not counted."""
TIMED_FRAMES, SPARE_PIXELS = 512, 16


__all__ = ["Plan", "choose", "cut", "parse_subjects", "plan"]


@dataclass(frozen=True)
class Plan:
    """One ingest: its source, people, frames and grid, and every doubt about them."""

    source: str
    layout: str
    cell: str
    positions: str | None
    sessions: tuple[Session, ...]  # cut to the frames asked for
    subjects: tuple[Subject, ...]
    faces: Mapping[str, Mapping[Subject, int]]  # frames with a cell, by session and subject
    grid: tuple[int, int]
    grid_from: str  # "given", "counted" or "sampled"
    shapes: int  # how many different ones
    pixels: float  # mean of a frame
    rate_hz: float
    resized: bool = False  # each frame is resampled to the grid, not centred on it
    frames_per_s: float | None = None  # read, decoded and placed, over one connection
    doubts: tuple[str, ...] = field(default=())
    misshapen: tuple[str, ...] = field(default=())  # doubts that strict refuses

    @property
    def start(self) -> int:
        """First frame number of the store's time axis."""
        return min(s.start for s in self.sessions)

    @property
    def stop(self) -> int:
        """One past its last."""
        return max(s.stop for s in self.sessions)

    @property
    def n_frames(self) -> int:
        """Length of the time axis."""
        return self.stop - self.start

    @property
    def n_faces(self) -> int:
        """Frames with a face, of everybody."""
        return sum(n for people in self.faces.values() for n in people.values())

    @property
    def wire_bytes(self) -> int:
        """What the server will send: an array has its length before each element."""
        each = {"real[][]": 8, "double precision[][]": 12, "smallint[][]": 6, "integer[][]": 8}
        size = each.get(self.cell, 4)
        rows = self.n_frames * len(self.subjects)
        return int(self.n_faces * self.pixels * size + rows * 40)

    @property
    def seconds(self) -> float | None:
        """How long the reading takes at the measured rate, over one connection."""
        return None if self.frames_per_s is None else self.n_faces / self.frames_per_s

    @property
    def array_bytes(self) -> int:
        """The recording in memory, as float32."""
        high, wide = self.grid
        return 4 * len(self.sessions) * len(self.subjects) * self.n_frames * high * wide

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        sizes: dict[str, float | None] = {"n_frames": self.n_frames, "n_faces": self.n_faces}
        sizes |= {"wire_bytes": self.wire_bytes, "array_bytes": self.array_bytes}
        sizes |= {"seconds": self.seconds}
        faces = {s: {str(k): n for k, n in people.items()} for s, people in self.faces.items()}
        return asdict(self) | sizes | {"faces": faces}

    def tables(self) -> Group:
        """Everything, for a terminal."""
        from rich.console import Group
        from rich.table import Table

        table = Table("what", "found", title=f"ingest from {self.source}", show_header=False)
        for what, found in self._lines():
            table.add_row(what, found)
        return Group(table, *(f"[yellow]doubt:[/] {d}" for d in self.doubts))

    def _lines(self) -> list[tuple[str, str]]:
        empty = [
            str(s) for s in self.subjects if not any(p.get(s) for p in self.faces.values())
        ]
        seconds = self.n_frames / self.rate_hz
        high, wide = self.grid
        how = "each frame resampled to it" if self.resized else "each frame in its middle"
        lines = [
            ("layout", f"{self.layout}, cells {self.cell}"),
            ("sessions", ", ".join(f"{s.name} [{s.start}, {s.stop})" for s in self.sessions)),
            ("subjects", f"{len(self.subjects)}: {_compact(self.subjects)}"),
            ("without a face", _compact(empty) or "none"),
            ("time", f"{self.n_frames} frames, {seconds:.6g} s at {self.rate_hz:g} Hz"),
            ("grid", f"{high} x {wide} ({self.grid_from}; {self.shapes} shapes; {how})"),
            ("positions", self.positions or "none"),
            ("from the server", f"{human(self.wire_bytes)}, {self.n_faces} frames with a face"),
            ("as an array", human(self.array_bytes)),
        ]
        if self.seconds is not None:
            rate = f"{self.frames_per_s:.0f} frames/s, measured over one connection"
            lines.append(("reading takes", f"{self.seconds:.3g} s at {rate}"))
        return lines


def plan(
    source: Source,
    request: Request | None = None,
    *,
    exact: bool = False,
    timed: bool = False,
    workers: int = 2,
    **asked: Any,
) -> Plan:
    """Look at a source and say what a run would do.

    Parameters
    ----------
    source
        Where the frames are.
    request
        What would be asked of the run; None: everything that there is.
    exact
        Look at the shape of every frame (the server unpacks each, 14-57 us a cell) and not
        only at three samples a subject.
    workers
        Connections.
    asked
        Fields of a request, instead of one: ``plan(source, subjects=[40], frames=(0, 500))``.

    Returns
    -------
    The plan; printing it is up to the caller.

    Raises
    ------
    SourceError
        If the source cannot be read, or has no face in what was asked for.
    UnknownNameError
        A subject that is not there, with the nearest ones.
    """
    request = Request(**asked) if request is None else replace(request, **asked)
    count_like(source, (), request.rate_hz)
    found = source.found()
    hertz, assumed = _hertz(found, request.rate_hz)
    people = choose(request.subjects, found.subjects)
    sessions = cut(found, request.frames)
    size = request.resize or request.grid
    with source.readers(max(1, workers)) as readers:
        faces, shapes = _looked(readers, sessions, people, exact and not size)
        if not any(n for each in faces.values() for n in each.values()):
            raise SourceError(
                f"{found.name} has no face in what was asked for: nothing to read"
            )
        high, wide, odd = _largest(shapes)
        speed = _speed(readers[0], sessions, faces, (high, wide)) if timed else None
    total = sum(shapes.values())
    return Plan(
        source=found.name,
        layout=found.layout,
        cell=found.cell,
        positions=found.positions,
        sessions=sessions,
        subjects=people,
        faces=faces,
        grid=size or (high, wide),
        grid_from="given" if size else "counted" if exact else "sampled",
        shapes=len(shapes),
        pixels=sum(h * w * n for (h, w), n in _matrices(shapes)) / max(total, 1),
        rate_hz=hertz,
        resized=request.resize is not None,
        frames_per_s=speed,
        doubts=(*found.doubts, *assumed, *odd),
        misshapen=tuple(odd),
    )


def _hertz(found: Found, asked: float | None) -> tuple[float, tuple[str, ...]]:
    """Frames a second, and a doubt where nobody says how many."""
    if asked is not None and not (np.isfinite(asked) and asked > 0):
        raise ConfigError(f"rate_hz is a positive number of Hz, found {asked!r}")
    own = found.rate_hz
    if asked is not None and own is not None and abs(asked / own - 1) > 1e-3:
        raise SourceError(
            f"asked for {asked:g} Hz, {found.name} has counted its frames at {own:g} Hz: give "
            "the rate to the source, Hints(rate_hz=...), or leave it out"
        )
    if (rate := asked or own) is not None:
        return rate, ()
    return DEFAULT_RATE_HZ, (
        f"nothing tells the rate of the frames: {DEFAULT_RATE_HZ:g} Hz is assumed; --rate (or "
        "rate_hz) says another",
    )


def cut(found: Found, frames: tuple[int, int] | None) -> tuple[Session, ...]:
    """The sessions of a source, within an interval of frames.

    Raises
    ------
    SourceError
        If nothing is left of them.
    """
    if frames is None:
        return found.sessions
    start, stop = frames
    if not start < stop:
        raise SourceError(f"frames are [start, stop) with start < stop, found {frames!r}")
    kept = []
    for s in found.sessions:
        low, high = max(s.start, start), min(s.stop, stop)
        if low < high:
            kept.append(replace(s, start=low, stop=high))
    if not kept:
        there = ", ".join(f"{s.name} [{s.start}, {s.stop})" for s in found.sessions)
        raise SourceError(f"no frames in [{start}, {stop}): the source has {there}")
    return tuple(kept)


Faces = dict[str, dict[Subject, int]]


def _looked(
    readers: Sequence[Reader],
    sessions: Sequence[Session],
    people: Sequence[Subject],
    exact: bool,
) -> tuple[Faces, Shapes]:
    """Faces and shapes of everybody.

    Shapes that are counted exactly tell the faces too: a compressed table is unpacked once.
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
    """Shapes of each look, one reader a thread."""
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


def _speed(
    reader: Reader,
    sessions: Sequence[Session],
    faces: Mapping[str, Mapping[Subject, int]],
    grid: tuple[int, int],
) -> float | None:
    """Faces a second that one reader gets, of a sample from the person who has most."""
    session = max(sessions, key=lambda s: max(faces[s.name].values()))
    who = max(faces[session.name], key=lambda name: faces[session.name][name])
    middle = (session.start + session.stop - TIMED_FRAMES) // 2
    start, stop = max(session.start, middle), min(session.stop, middle + TIMED_FRAMES)
    high = tuple(n + SPARE_PIXELS for n in grid)  # what the samples of shapes have missed
    heat = np.empty((stop - start, *high), dtype=np.float32)
    block = Block(session.name, who, start, heat, stop)
    begun = time.perf_counter()
    try:
        reader.read(block, lambda run, cell: block.place(run, cell, lambda x: x, LIMITS))
    except SourceError:  # a frame beyond that: what is wrong with it, a run will say
        return None
    took = time.perf_counter() - begun
    return block.counts.faces / took if block.counts.faces else None


def _samples(session: Session) -> list[tuple[int, int]]:
    length = session.stop - session.start
    if length <= 3 * SAMPLE_FRAMES:
        return [(session.start, session.stop)]
    starts = [session.start + int(f * (length - SAMPLE_FRAMES)) for f in (0, 0.5, 1)]
    return [(a, a + SAMPLE_FRAMES) for a in starts]


def _matrices(shapes: Shapes) -> list[tuple[tuple[int, int], int]]:
    return [((s[0], s[1]), n) for s, n in shapes.items() if len(s) == 2 and min(s) > 0]


def _largest(shapes: Shapes) -> tuple[int, int, list[str]]:
    matrices = _matrices(shapes)
    odd = {s: n for s, n in shapes.items() if len(s) != 2 or min(s) <= 0}
    doubts = [
        f"{n} cells of shape {s} are no matrices and stay missing" for s, n in odd.items()
    ]
    high = max((s[0] for s, _ in matrices), default=1)
    wide = max((s[1] for s, _ in matrices), default=1)
    return high, wide, doubts


def _compact(subjects: Sequence[object]) -> str:
    """``40-44, 53`` for a run of numbers and one alone; a list is cut after twelve."""
    parts: list[str] = []
    first = last = None
    for s in [*subjects, None]:
        if isinstance(s, int) and isinstance(last, int) and s == last + 1:
            last = s
            continue
        if last is not None:
            parts.append(str(first) if first == last else f"{first}-{last}")
        first = last = s
    return ", ".join(parts[:12]) + (", ..." if len(parts) > 12 else "")
