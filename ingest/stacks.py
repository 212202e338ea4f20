"""Frames in files: stacks ``(time, y, x)`` of NumPy, HDF5, MATLAB or NetCDF, as a source.

A file with stacks called ``subj40``, ``subj41``, ... is one session, named after the file; a
file with a single stack of another name is one person, named by the ``subjNN`` in the file's
name, or by the whole name, in a session named after the folder. A folder is all its files.
Other names stand in the TOML of :mod:`ingest.hints`, where ``{}`` stands for the subject::

    [columns]
    matrix = "people/{}/face"           # the stacks; finds everybody who is there
    clock = "people/{}/frame_number"    # see below
    height = "people/{}/height"         # of each frame, which lies in the upper left of its
    width = "people/{}/width"           # row of the stack; without it the frame fills the row

    [subjects]                          # instead of matrix: id = dataset
    40 = "faces/anna"

Clock: a dataset ``frame_number`` (``frame``, ...) holds numbers of frames, ``time`` (``t``,
``timestamp``, ...) holds times, which become frames by the clock's own rate or the one of the
hints. Without a clock frames are counted 0, 1, ... and the rate is the one of the hints.
Temperatures: °C, or another unit of the hints or of the file; numbers that are no °C of faces
are refused. A frame of nothing but NaN is no face. The first of repeated frames is kept. Rows
may be in any order of the clock. What is passed over in a folder is named in a doubt.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import ConfigError, SourceError, nearest
from fhemb_xr.schema import DEFAULT_RATE_HZ
from fhemb_xr.typing import F64, Bools, Ints
from ingest.files import clocks, formats, units
from ingest.files.contents import Contents, Rows, read
from ingest.hints import Hints, subject_ids
from ingest.shards import Block, Cell, Run, Subject
from ingest.source import Found, Session, Shapes

_NAMED = re.compile(r"subj(?:ect)?_?(\w+)$", re.IGNORECASE)
BATCH_BYTES = 2**23
SAMPLE_FRAMES = 8
"""Frames that are looked at for the unit of the numbers."""


@dataclass(frozen=True, eq=False)
class Stack:
    """One person's frames in one session."""

    session: str
    subject: Subject
    file: Path
    name: str
    shape: tuple[int, ...]
    cell: Cell
    clock: Ints
    sizes: Ints | None  # (n, 2), rows and columns of each frame
    first: Bools  # not a repetition of an earlier row's frame
    seconds: F64 | None = None  # times that are to become frame numbers
    doubts: tuple[str, ...] = ()

    def rows_of(self, start: int, stop: int) -> Bools:
        """Which rows lie in ``[start, stop)``, repeated ones too."""
        return np.asarray((self.clock >= start) & (self.clock < stop))


class StackSource:
    """Frames in files of arrays.

    Parameters
    ----------
    path
        A file, or a folder of files.
    hints
        Names of datasets, and the scale of integers.

    Notes
    -----
    Memory: the frame numbers and sizes of everybody, and two batches of 8 MiB for each reader.
    """

    def __init__(self, path: Path | str, *, hints: Hints | None = None) -> None:
        self.path, self.hints = Path(path), hints or Hints()
        self._stacks: dict[tuple[str, Subject], Stack] | None = None

    def found(self) -> Found:
        """Look at the files; see :class:`ingest.source.Source`.

        Raises
        ------
        SourceError
            If there is no stack of frames in them, or two of one person in one session.
        """
        files, passed = self._files()
        stacks = [s for file in files for s in _look(file, self.hints)]
        if not stacks:
            raise SourceError(
                f"no stack of frames (time, y, x) called subjNN in {self.path.name!r}, nor one "
                "alone in a file: name them in the TOML, [columns] matrix or [subjects]"
                + (f"; {_listed(passed)} are of kinds that are not read" if passed else "")
            )
        rate_hz, stacks, dated = _on_one_clock(stacks, self.hints.rate_hz)
        ids = subject_ids([str(s.subject) for s in stacks])
        self._stacks = {}
        for who, stack in zip(ids, stacks, strict=True):
            other = self._stacks.setdefault((stack.session, who), stack)
            if other is not stack:
                raise SourceError(
                    f"subject {who} of session {stack.session!r} is in {other.file.name!r} and "
                    f"in {stack.file.name!r}"
                )
        dtypes = sorted({str(s.cell.dtype) for s in stacks})
        kinds = {str(formats.kind(s.file) or "HDF5") for s in stacks}
        return Found(
            name=self.path.name,
            layout=f"files {'+'.join(sorted(kinds))}",
            cell="+".join(dtypes),
            sessions=tuple(self._sessions()),
            subjects=tuple(sorted(set(ids))),  # of one type
            doubts=(*_of_folder(files, passed, stacks), *dated, *self._doubts()),
            rate_hz=rate_hz,
        )

    @contextmanager
    def readers(self, n: int) -> Iterator[list["StackReader"]]:
        """``n`` readers, each with the files open for itself."""
        if self._stacks is None:
            self.found()
        with ExitStack() as files:
            yield [StackReader(self, files) for _ in range(n)]

    def stack(self, session: str, subject: Subject) -> Stack | None:
        """One person's frames, if there are any."""
        return (self._stacks or {}).get((session, subject))

    def _files(self) -> tuple[list[Path], list[Path]]:
        """Files that are read, and those that are passed over."""
        if self.path.is_file():
            return [self.path], []
        if not self.path.is_dir():
            raise SourceError(f"no file or folder {str(self.path)!r}")
        files = sorted(p for p in self.path.iterdir() if not p.name.startswith("."))
        known = [p for p in files if p.is_file() and formats.kind(p)]
        return known, [p for p in files if p not in known]

    def _sessions(self) -> Iterator[Session]:
        stacks = (self._stacks or {}).values()
        for name in dict.fromkeys(s.session for s in stacks):
            clocks = [s.clock for s in stacks if s.session == name and len(s.clock)]
            if not clocks:
                raise SourceError(f"session {name!r} has no frame: nothing to read")
            low, high = min(c.min() for c in clocks), max(c.max() for c in clocks)
            yield Session(name, int(low), int(high) + 1, max(len(c) for c in clocks))

    def _doubts(self) -> Iterator[str]:
        for (session, who), s in (self._stacks or {}).items():
            twice = int(len(s.clock) - s.first.sum())
            if twice:
                yield f"session {session!r}, subject {who}: {twice} frames are repeated"
            yield from s.doubts
        yield "files hold no positions of faces; they stay missing"


class StackReader:
    """Reads stacks; see :class:`ingest.source.Reader`."""

    def __init__(self, source: StackSource, files: ExitStack) -> None:
        self._source, self._files = source, files
        self._open: dict[Path, Mapping[str, Rows]] = {}
        self.n_bytes = 0

    def faces(
        self, session: str, subjects: Sequence[Subject], start: int, stop: int
    ) -> dict[Subject, int]:
        """Frames with a row; whether all of it is NaN is seen when it is read."""
        counts: dict[Subject, int] = {}
        for who in subjects:
            stack = self._source.stack(session, who)
            counts[who] = 0 if stack is None else int(stack.rows_of(start, stop).sum())
        return counts

    def shapes(self, session: str, subject: Subject, start: int, stop: int) -> Shapes:
        """How many frames have which shape."""
        stack = self._source.stack(session, subject)
        if stack is None:
            return Counter()
        inside = stack.rows_of(start, stop)
        if stack.sizes is None:
            return Counter({tuple(stack.shape[1:]): int(inside.sum())})
        sizes = stack.sizes[inside]
        seen = sizes[(sizes > 0).all(axis=1)]
        return Counter((int(h), int(w)) for h, w in seen)

    def read(self, block: Block, place: Callable[..., None]) -> None:
        """Fill a block, a batch of rows at a time."""
        stack = self._source.stack(block.session, block.subject)
        block.version = self.version(block.session, block.subject, block.start, block.until)
        if stack is None:
            return
        inside = stack.rows_of(block.start, block.until)
        block.counts.rows += int(inside.sum())
        block.counts.duplicates += int((inside & ~stack.first).sum())
        wanted = np.flatnonzero(inside & stack.first)
        step = max(1, BATCH_BYTES // max(1, int(np.prod(stack.shape[1:])) * 8))
        for a in range(wanted[0], wanted[-1] + 1, step) if wanted.size else ():
            chosen = wanted[(wanted >= a) & (wanted < a + step)]
            if chosen.size:
                span = slice(int(chosen[0]), int(chosen[-1]) + 1)
                frames = self._rows(stack, span)[chosen - chosen[0]]
                self.n_bytes += frames.nbytes
                for run in _runs(stack, chosen, frames):
                    place(run, stack.cell)

    def version(self, session: str, subject: Subject, start: int, stop: int) -> str:
        """Size of the file and when it was written."""
        stack = self._source.stack(session, subject)
        if stack is None:
            return "-"
        status = stack.file.stat()
        return f"{status.st_size}:{status.st_mtime_ns}"

    def cancel(self) -> None:
        """Nothing waits."""

    def reconnect(self) -> None:
        """Nothing is lost."""

    def _rows(self, stack: Stack, span: slice) -> NDArray[Any]:
        if stack.file not in self._open:
            self._open[stack.file] = self._files.enter_context(formats.opened(stack.file))
        return read(self._open[stack.file][stack.name], span, stack.file)


def _runs(stack: Stack, rows: Ints, frames: NDArray[Any]) -> Iterator[Run]:
    """Frames of one shape together; those without a face apart."""
    clock = stack.clock[rows]
    kind = frames.dtype.kind
    empty = np.isnan(frames).all(axis=(1, 2)) if kind == "f" else np.zeros(len(rows), bool)
    sizes = (
        np.broadcast_to(frames.shape[1:], (len(rows), 2))
        if stack.sizes is None
        else stack.sizes[rows]
    )
    empty |= (sizes <= 0).any(axis=1)
    if empty.any():
        yield Run(clock[empty], None, "null_cells")
    for h, w in np.unique(sizes[~empty], axis=0):
        same = ~empty & (sizes == (h, w)).all(axis=1)
        yield Run(clock[same], frames[same][:, :h, :w])


def _listed(files: Sequence[Path], most: int = 5) -> str:
    """The names of some files, for a sentence."""
    more = f" and {len(files) - most} more" if len(files) > most else ""
    return ", ".join(repr(f.name) for f in files[:most]) + more


def _of_folder(
    files: Sequence[Path], passed: Sequence[Path], stacks: Sequence[Stack]
) -> Iterator[str]:
    """Doubts about what is there and not read."""
    if passed:
        yield f"passed over, of kinds that are not read: {_listed(passed)}"
    empty = [f for f in files if all(s.file != f for s in stacks)]
    if empty:
        yield f"passed over, no stack of frames is found in: {_listed(empty)}"


def _on_one_clock(
    stacks: Sequence[Stack], asked_hz: float | None
) -> tuple[float | None, list[Stack], tuple[str, ...]]:
    """The rate of all stacks, their times turned into frame numbers by it, and doubts."""
    timed = [(f"{s.name!r} in {s.file.name!r}", s.seconds) for s in stacks]
    ticking = [(name, seconds) for name, seconds in timed if seconds is not None]
    rate_hz = asked_hz or clocks.common_rate(ticking)
    if not ticking:
        return rate_hz, list(stacks), ()
    doubts: list[str] = []
    without = [s.file for s in stacks if s.seconds is None]
    if without:
        doubts.append(f"no clock beside the frames of {_listed(without)}: counted 0, 1, ...")
    origins: dict[str, float] = {}
    for session in dict.fromkeys(s.session for s in stacks):
        times = [s.seconds for s in stacks if s.session == session and s.seconds is not None]
        starts = [float(t.min()) for t in times if t.size]
        dated = bool(starts) and max(map(abs, starts)) > clocks.CALENDAR_S
        origins[session] = min(starts) if dated else 0.0
        if dated:
            moment = np.datetime64(round(origins[session] * 1e3), "ms")
            doubts.append(f"session {session!r} counts from {moment}, of its first frame")
    hertz = rate_hz or DEFAULT_RATE_HZ
    return hertz, [_counted(s, hertz, origins[s.session]) for s in stacks], tuple(doubts)


def _counted(stack: Stack, rate_hz: float, origin_s: float) -> Stack:
    """A stack whose times have become frame numbers."""
    if stack.seconds is None:
        return stack
    clock = clocks.numbered(stack.seconds, rate_hz, origin_s)
    return replace(stack, clock=clock, first=_firsts(clock))


def _firsts(clock: Ints) -> Bools:
    first = np.zeros(len(clock), bool)
    first[np.unique(clock, return_index=True)[1]] = True
    return first


def _look(file: Path, hints: Hints) -> list[Stack]:
    """The stacks of a file; of their frames a few are read, for the unit of the numbers."""
    with formats.opened(file) as contents:
        names, alone = _names(contents, hints, file)
        session = (file.parent.resolve().name or "files") if alone else file.stem
        return [_stack(contents, session, who, file, n, hints) for who, n in names.items()]


def _names(arrays: Mapping[str, Rows], hints: Hints, file: Path) -> tuple[dict[str, str], bool]:
    """Subject and dataset, and whether the file is one person's."""
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
    # somebody's frames as objects are refused when they are looked at, and not passed over
    stacks += [n for n, a in arrays.items() if a.dtype.hasobject and _NAMED.search(n)]
    named = {m[1]: n for n in stacks if (m := _NAMED.search(n.rpartition("/")[2]))}
    if named and not (len(stacks) == 1 and file.suffix.lower() == ".npy"):
        return named, False
    match = _NAMED.search(file.stem)
    return ({match[1] if match else file.stem: stacks[0]} if len(stacks) == 1 else {}), True


def _stack(
    contents: Contents, session: str, who: str, file: Path, name: str, hints: Hints
) -> Stack:
    a = contents[name]
    if a.dtype.hasobject:
        raise SourceError(f"{name!r} in {file.name!r} holds objects, not numbers")
    if len(a.shape) != 3 or a.dtype.kind not in "fiu":
        raise SourceError(
            f"{name!r} in {file.name!r} is {a.dtype} of shape {tuple(a.shape)}: expected "
            "numbers (time, y, x)"
        )
    n = a.shape[0]
    sizes = _sizes(contents, name, who, hints, file)
    ticks = clocks.clock_of(contents, name, who, n, hints, file)
    clock = np.arange(n) if ticks.frames is None else ticks.frames
    told = contents.units.get(name)
    cell = units.cell(name, np.dtype(a.dtype), hints, told, _sample(a, file))
    doubts = tuple(d for d in (*contents.doubts, ticks.doubt) if d)
    return Stack(
        session, who, file, name, tuple(a.shape), cell, clock, sizes, _firsts(clock),
        ticks.seconds, doubts,
    )  # fmt: skip


def _sample(array: Rows, file: Path) -> NDArray[Any]:
    """A few frames with numbers in them: the first, or else those of the middle or the end."""
    n = array.shape[0]
    for start in sorted({0, max(0, n // 2), max(0, n - SAMPLE_FRAMES)}):
        frames = read(array, slice(start, min(n, start + SAMPLE_FRAMES)), file)
        if np.isfinite(frames).any():
            break
    return frames


def _sizes(contents: Contents, name: str, who: str, hints: Hints, file: Path) -> Ints | None:
    """Rows and columns of each frame, where both are told."""
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
    """An integer for each frame, from the dataset that plays a role; None if there is none."""
    asked = (hints.columns or {}).get(role)
    if asked is not None:
        asked = asked.replace("{}", who)
        if asked not in arrays:
            raise ConfigError(f"no dataset {asked!r} in {file.name!r}{nearest(asked, arrays)}")
        names = (asked,)
    name = next((c for c in names if c in arrays), None)
    if name is None:
        return None
    found = read(arrays[name], slice(None), file)
    if found.shape != (n,) or not (found == np.floor(found)).all():
        raise SourceError(
            f"{name!r} in {file.name!r} is {found.dtype} of shape {found.shape}: expected a "
            f"whole number for each of {n} frames"
        )
    return found.astype(np.int64)
