"""Planning a run: what it would read and write, and every doubt about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fhemb_xr.budget import human
from fhemb_xr.errors import ConfigError, SourceError
from fhemb_xr.schema import DEFAULT_RATE_HZ
from ingest import survey
from ingest.hints import Request, choose, parse_subjects
from ingest.shards import Subject
from ingest.source import Found, Session, Source, count_like

if TYPE_CHECKING:
    from rich.console import Group


LEAST_SPAN, SPARSE = 10**7, 1000
"""Frames of a session that may be empty in any case, and for each row."""

__all__ = ["Plan", "choose", "cut", "parse_subjects", "plan"]


@dataclass(frozen=True)
class Plan:
    """The plan of one ingest: source, people, frames and grid, and every doubt about them."""

    source: str
    layout: str
    cell: str
    positions: str | None
    sessions: tuple[Session, ...]  # cut to the requested frames
    subjects: tuple[Subject, ...] = field(repr=False)
    # frames with a cell, by session and subject
    faces: Mapping[str, Mapping[Subject, int]] = field(repr=False)
    grid: tuple[int, int]
    grid_from: str  # "given", "counted" or "sampled"
    shapes: int  # number of different shapes
    pixels: float  # mean number per frame
    rate_hz: float
    resized: bool = False  # frames are resampled to the grid, not centred on it
    frames_per_s: float | None = None  # reading, decoding and placing, over one connection
    doubts: tuple[str, ...] = field(default=())
    misshapen: tuple[str, ...] = field(default=())  # doubts that strict refuses
    camera: Mapping[str, Any] = field(default_factory=dict)  # settings, e.g. its emissivity
    boxes: str | None = None  # of a table that cuts faces out of films

    @property
    def start(self) -> int:
        """First frame number of the store's time axis."""
        return min(s.start for s in self.sessions)

    @property
    def stop(self) -> int:
        """Frame number after the last one of the time axis."""
        return max(s.stop for s in self.sessions)

    @property
    def n_frames(self) -> int:
        """Length of the time axis."""
        return self.stop - self.start

    @property
    def n_faces(self) -> int:
        """Number of frames with a face, over all people."""
        return sum(n for people in self.faces.values() for n in people.values())

    @property
    def wire_bytes(self) -> int:
        """Bytes that the server will send; an array has a length before each element."""
        each = {"real[][]": 8, "double precision[][]": 12, "smallint[][]": 6, "integer[][]": 8}
        size = each.get(self.cell, 4)
        rows = self.n_frames * len(self.subjects)
        return int(self.n_faces * self.pixels * size + rows * 40)

    @property
    def seconds(self) -> float | None:
        """Duration of the reading at the measured rate, over one connection."""
        return None if self.frames_per_s is None else self.n_faces / self.frames_per_s

    @property
    def array_bytes(self) -> int:
        """Bytes of the recording in memory, as float32."""
        high, wide = self.grid
        return 4 * len(self.sessions) * len(self.subjects) * self.n_frames * high * wide

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        sizes: dict[str, float | None] = {"n_frames": self.n_frames, "n_faces": self.n_faces}
        sizes |= {"wire_bytes": self.wire_bytes, "array_bytes": self.array_bytes}
        sizes |= {"seconds": self.seconds}
        faces = {s: {str(k): n for k, n in people.items()} for s, people in self.faces.items()}
        return asdict(self) | sizes | {"faces": faces}

    def tables(self) -> Group:
        """The plan as tables for a terminal."""
        from rich.console import Group
        from rich.table import Table

        table = Table("name", "value", title=f"ingest from {self.source}", show_header=False)
        for name, value in self._lines():
            table.add_row(name, value)
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
        about = ", ".join(f"{name} {value}" for name, value in self.camera.items())
        lines += [("camera", about)] if about else []
        lines += [("boxes", self.boxes)] if self.boxes else []
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
    """Plan a run: look at a source, and write nothing.

    Parameters
    ----------
    source
        Source of the frames.
    request
        Request of the run; None requests everything that the source has.
    exact
        Whether to read the shape of every frame, and not only of three samples per subject.
        The server unpacks each cell, which takes 14-57 µs.
    timed
        Whether to measure the speed of reading on a sample.
    workers
        Number of connections.
    asked
        Fields of a request: ``plan(source, subjects=[40], frames=(0, 500))``.

    Returns
    -------
    Plan
        The :class:`Plan`.

    Raises
    ------
    SourceError
        The source cannot be read, or has no face in the requested frames.
    UnknownNameError
        A subject is unknown; the error names the nearest ones.
    """
    request = Request(**asked) if request is None else replace(request, **asked)
    count_like(source, (), request.rate_hz)
    found = source.found()
    hertz, assumed = _hertz(found, request.rate_hz)
    people = choose(request.subjects, found.subjects)
    sessions = cut(found, request.frames)
    size = request.resize or request.grid
    with source.readers(max(1, workers)) as readers:
        faces, shapes = survey.faces_and_shapes(readers, sessions, people, exact and not size)
        if not any(n for each in faces.values() for n in each.values()):
            raise SourceError(
                f"{found.name} has no face in the requested frames: choose other frames or "
                "subjects"
            )
        high, wide, odd = survey.largest(shapes)
        speed = survey.speed(readers[0], sessions, faces, (high, wide)) if timed else None
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
        pixels=sum(h * w * n for (h, w), n in survey.matrices(shapes)) / max(total, 1),
        rate_hz=hertz,
        resized=request.resize is not None,
        frames_per_s=speed,
        doubts=(*found.doubts, *assumed, *odd),
        misshapen=tuple(odd),
        camera=found.camera,
        boxes=found.boxes,
    )


def _hertz(found: Found, asked: float | None) -> tuple[float, tuple[str, ...]]:
    """The frame rate [Hz]; and a doubt if it is assumed."""
    if asked is not None and not (np.isfinite(asked) and asked > 0):
        raise ConfigError(f"rate_hz is a positive number of Hz, found {asked!r}")
    counted_hz = found.rate_hz
    if asked is not None and counted_hz is not None and abs(asked / counted_hz - 1) > 1e-3:
        raise SourceError(
            f"asked for {asked:g} Hz, {found.name} counts its frames at {counted_hz:g} Hz: "
            "give the rate to the source, Hints(rate_hz=...), or leave it out"
        )
    if (rate := asked or counted_hz) is not None:
        return rate, ()
    return DEFAULT_RATE_HZ, (
        f"the frame rate is unknown: {DEFAULT_RATE_HZ:g} Hz is assumed; set another one with "
        "--rate (or rate_hz)",
    )


def cut(found: Found, frames: tuple[int, int] | None) -> tuple[Session, ...]:
    """The sessions of a source, cut to an interval of frames.

    Raises
    ------
    SourceError
        No frame is left.
    """
    if frames is None:
        for s in found.sessions:
            if s.stop - s.start > max(LEAST_SPAN, SPARSE * s.rows):
                raise SourceError(
                    f"session {s.name!r} has {s.rows} rows in {s.stop - s.start} frames, from "
                    f"{s.start} on: a time or a frame number is far from all others; correct "
                    "the clock, or choose frames (--frames)"
                )
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
        spans = ", ".join(f"{s.name} [{s.start}, {s.stop})" for s in found.sessions)
        raise SourceError(f"no frames in [{start}, {stop}): the source has {spans}")
    return tuple(kept)


def _compact(subjects: Sequence[object]) -> str:
    """Subjects as text, such as ``40-44, 53``; at most twelve parts."""
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
