"""Finding the stacks of frames in a file: names, clock, sizes and unit of each."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import ConfigError, SourceError, nearest
from fhemb_xr.schema import DEFAULT_RATE_HZ
from fhemb_xr.typing import F64, Bools, Ints
from ingest.files import clocks, formats, units
from ingest.files.contents import Contents, Rows, listed, read
from ingest.hints import Hints
from ingest.shards import Cell, Run, Subject

_NAMED = re.compile(r"subj(?:ect)?_?(\w+)$", re.IGNORECASE)
SAMPLE_FRAMES = 8
"""Number of frames that are read to check the unit of the numbers."""


@dataclass(frozen=True, eq=False)
class Stack:
    """One person's frames in one session."""

    session: str
    subject: Subject = field(repr=False)
    file: Path
    name: str
    shape: tuple[int, ...]
    cell: Cell
    clock: Ints
    sizes: Ints | None  # (n, 2), rows and columns of each frame
    first: Bools  # whether a row is the first of its frame
    seconds: F64 | None = None  # times that become frame numbers
    doubts: tuple[str, ...] = ()
    camera: Mapping[str, Any] = field(default_factory=dict)  # its settings
    parts: tuple[Path, ...] = ()  # file of each row, if each has one

    def rows_of(self, start: int, stop: int) -> Bools:
        """Mask of the rows in ``[start, stop)``, with repeated frames."""
        return np.asarray((self.clock >= start) & (self.clock < stop))

    def places_of(self, rows: Ints) -> Ints:
        """Places of some rows in the array of the file."""
        return rows

    def version(self, start: int, stop: int) -> str:
        """A text that differs after the file has changed, or the files of these frames."""
        rows = np.flatnonzero(self.rows_of(start, stop)) if self.parts else ()
        return self.version_of(rows)

    def version_of(self, rows: Any) -> str:
        """Sizes of the files of some rows, and times of their last changes."""
        if not self.parts:
            status = self.file.stat()
            return f"{status.st_size}:{status.st_mtime_ns}"
        digest = hashlib.sha256()
        for file in (self.parts[i] for i in rows):
            status = file.stat()
            line = f"{file.name}:{status.st_size}:{status.st_mtime_ns};"
            digest.update(line.encode(errors="surrogateescape"))
        return digest.hexdigest()[:32]

    def runs(self, rows: Ints, frames: NDArray[Any]) -> Iterator[Run]:
        """Runs of frames of one shape, and a run of the frames without a face."""
        clock = self.clock[rows]
        kind = frames.dtype.kind
        empty = np.isnan(frames).all(axis=(1, 2)) if kind == "f" else np.zeros(len(rows), bool)
        sizes = (
            np.broadcast_to(frames.shape[1:], (len(rows), 2))
            if self.sizes is None
            else self.sizes[rows]
        )
        empty |= (sizes <= 0).any(axis=1)
        if empty.any():
            yield Run(clock[empty], None, "null_cells")
        for h, w in np.unique(sizes[~empty], axis=0):
            same = ~empty & (sizes == (h, w)).all(axis=1)
            every = slice(None) if same.all() else same  # a slice copies nothing
            yield Run(clock[every], frames[every][:, :h, :w])


def stacks_of(file: Path, hints: Hints) -> list[Stack]:
    """The stacks of a file; a few frames are read to check the unit of the numbers."""
    with formats.opened(file) as contents:
        names, alone = _names(contents, hints, file)
        session = (file.parent.resolve().name or "files") if alone else file.stem
        return [_stack(contents, session, who, file, n, hints) for who, n in names.items()]


def _names(arrays: Contents, hints: Hints, file: Path) -> tuple[dict[str, str], bool]:
    """Dataset of each subject, and whether the file holds one person only."""
    if hints.subjects:
        return {str(who): name for who, name in hints.subjects.items() if name in arrays}, False
    template = (hints.columns or {}).get("matrix")
    if template is not None:
        if "{}" not in template:
            return ({file.stem: template} if template in arrays else {}), True
        before, after = map(re.escape, template.split("{}", 1))
        pattern = re.compile(f"{before}([^/]+){after}$")
        matched = ((pattern.match(n), n) for n in arrays)
        return {m[1]: n for m, n in matched if m}, False
    stacks = [n for n, a in arrays.items() if len(a.shape) == 3 and a.dtype.kind in "fiu"]
    # frames stored as objects are not skipped here: they are refused later
    stacks += [n for n, a in arrays.items() if a.dtype.hasobject and _NAMED.search(n)]
    named = {m[1]: n for n in stacks if (m := _NAMED.search(n.rpartition("/")[2]))}
    if len(named) < sum(_NAMED.search(n.rpartition("/")[2]) is not None for n in stacks):
        raise SourceError(
            f"several stacks of {file.name!r} are of one person, found "
            f"{', '.join(stacks[:12])}: name the right ones in the TOML, [subjects]"
        )
    if named and not (len(stacks) == 1 and arrays.alone):
        return named, False
    whole = file.name if file.is_dir() else file.stem
    match = _NAMED.search(whole)
    return ({match[1] if match else whole: stacks[0]} if len(stacks) == 1 else {}), True


def _stack(
    contents: Contents, session: str, who: str, file: Path, name: str, hints: Hints
) -> Stack:
    frames = contents[name]
    if frames.dtype.hasobject:
        raise SourceError(f"{name!r} in {file.name!r} holds objects, not numbers")
    if len(frames.shape) != 3 or frames.dtype.kind not in "fiu":
        raise SourceError(
            f"{name!r} in {file.name!r} is {frames.dtype} of shape {tuple(frames.shape)}: "
            "expected numbers (time, y, x)"
        )
    n = frames.shape[0]
    sizes = _sizes(contents, name, who, hints, file)
    ticks = clocks.clock_of(contents, name, who, n, hints, file)
    clock = np.arange(n) if ticks.frames is None else ticks.frames
    unit = contents.units.get(name)
    sample = _sample(frames, file)
    cell, odd = units.cell(name, np.dtype(frames.dtype), hints, unit, sample)
    doubts = tuple(d for d in (*contents.doubts, ticks.doubt, odd) if d)
    return Stack(
        session, who, file, name, tuple(frames.shape), cell, clock, sizes, _firsts(clock),
        ticks.seconds, doubts, contents.camera, contents.parts,
    )  # fmt: skip


def _sample(array: Rows, file: Path) -> NDArray[Any]:
    """A few frames with numbers in them, from the start, the middle or the end."""
    n = array.shape[0]
    for start in sorted({0, max(0, n // 2), max(0, n - SAMPLE_FRAMES)}):
        frames = read(array, slice(start, min(n, start + SAMPLE_FRAMES)), file)
        if np.isfinite(frames).any():
            break
    return frames


def _sizes(contents: Contents, name: str, who: str, hints: Hints, file: Path) -> Ints | None:
    """Rows and columns of each frame; None if the file does not hold both."""
    shape = contents[name].shape
    sides = [
        _of_frames(contents, role, (f"{name}_{role}", role), who, shape[0], hints, file)
        for role in ("height", "width")
    ]
    known = [s for s in sides if s is not None]
    sizes = np.stack(known, axis=1) if len(known) == 2 else None
    if sizes is not None and (sizes > shape[1:]).any():
        raise SourceError(
            f"{file.name!r} has frames of up to {tuple(sizes.max(axis=0))} pixels in {name!r}, "
            f"whose rows are {tuple(shape[1:])}"
        )
    return sizes


def _of_frames(
    arrays: Mapping[str, Rows],
    role: str,
    names: Sequence[str],
    who: str,
    n: int,
    hints: Hints,
    file: Path,
) -> Ints | None:
    """The dataset of a role, one integer per frame; None if there is no such dataset."""
    asked = (hints.columns or {}).get(role)
    if asked is not None:
        asked = asked.replace("{}", who)
        if asked not in arrays:
            raise ConfigError(f"no dataset {asked!r} in {file.name!r}{nearest(asked, arrays)}")
        names = (asked,)
    name = next((c for c in names if c in arrays), None)
    if name is None:
        return None
    values = read(arrays[name], slice(None), file)
    if values.shape != (n,) or not (values == np.floor(values)).all():
        raise SourceError(
            f"{name!r} in {file.name!r} is {values.dtype} of shape {values.shape}: expected a "
            f"whole number for each of {n} frames"
        )
    return values.astype(np.int64)


@dataclass(frozen=True)
class Counted:
    """Stacks with frame numbers in place of times."""

    rate_hz: float | None
    stacks: list[Stack]
    origins: dict[str, str]  # time of frame 0 of each session whose clock holds dates
    doubts: tuple[str, ...]


def on_one_clock(
    stacks: Sequence[Stack], asked_hz: float | None, stored: Mapping[str, str] | None = None
) -> Counted:
    """Frame numbers of all stacks by one rate, from one origin in each session.

    Parameters
    ----------
    stacks
        Stacks, with frame numbers or with times.
    asked_hz
        Rate [Hz]; None takes that of the clocks.
    stored
        Origins of a store that is filled; the first frames of the files may have moved since.

    Raises
    ------
    SourceError
        The clocks of a session are not one clock: dates and other times, or dates far apart.
    """
    timed = [(f"{s.name!r} in {s.file.name!r}", s.seconds) for s in stacks]
    ticking = [(name, seconds) for name, seconds in timed if seconds is not None]
    rate_hz = asked_hz or clocks.common_rate(ticking)
    if not ticking:
        return Counted(rate_hz, list(stacks), {}, ())
    doubts: list[str] = []
    without = [s.file for s in stacks if s.seconds is None]
    if without:
        doubts.append(f"the frames of {listed(without)} have no clock: counted 0, 1, ...")
    starts, origins = {}, {}
    for session in dict.fromkeys(s.session for s in stacks):
        of_session = [s for s in stacks if s.session == session]
        spans = {s.file.name: s.seconds for s in of_session if s.seconds is not None}
        starts[session] = 0.0
        first = clocks.first_date(session, spans)
        if first is None:
            continue
        if len(spans) < len({s.file.name for s in of_session}):
            raise SourceError(
                f"in session {session!r}, {listed(without)} have no clock beside files with "
                "dates: put them into separate sessions (folders)"
            )
        known = (stored or {}).get(session)
        starts[session] = first if known is None else clocks.seconds_of(known)
        origins[session] = known or clocks.date_of(first)
        doubts.append(f"session {session!r} counts from its first frame, at {origins[session]}")
    hertz = rate_hz or DEFAULT_RATE_HZ
    if rate_hz is None:
        doubts.append(
            f"the clocks tell no rate: {hertz:g} Hz is assumed; set another one with "
            "--rate (or rate_hz)"
        )
    counted = [_counted(s, hertz, starts[s.session]) for s in stacks]
    return Counted(hertz, counted, origins, tuple(doubts))


def common_camera(stacks: Sequence[Stack]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Settings of the camera that all stacks share, and a doubt about those that differ."""
    settings = [s.camera for s in stacks if s.camera]
    first = dict(settings[0]) if settings else {}
    differing = [n for n in first if any(c.get(n) != first[n] for c in settings)]
    if not differing:
        return first, ()
    values = {n: sorted({str(c.get(n)) for c in settings}) for n in differing}
    said = "; ".join(f"{n} {', '.join(v)}" for n, v in values.items())
    kept = {n: v for n, v in first.items() if n not in differing}
    return kept, (f"the files have different settings of the camera: {said}",)


def _counted(stack: Stack, rate_hz: float, origin_s: float) -> Stack:
    """``stack`` with frame numbers in place of times."""
    if stack.seconds is None:
        return stack
    clock = clocks.numbered(stack.seconds, rate_hz, origin_s)
    return replace(stack, clock=clock, first=_firsts(clock))


def _firsts(clock: Ints) -> Bools:
    first = np.zeros(len(clock), bool)
    first[np.unique(clock, return_index=True)[1]] = True
    return first


def of_folder(
    files: Sequence[Path], passed: Sequence[Path], stacks: Sequence[Stack]
) -> Iterator[str]:
    """Doubts about files that are not read."""
    if passed:
        yield f"skipped, because their kinds are not read: {listed(passed)}"
    empty = [f for f in files if all(s.file != f for s in stacks)]
    if empty:
        yield f"skipped, because they hold no stack of frames: {listed(empty)}"
