"""Frames in files as a source: stacks ``(time, y, x)`` of arrays, films and files of cameras.

================================== =================== ==================================
file                               session             subject
================================== =================== ==================================
stacks ``subj40``, ``subj41``, ... name of the file    names of the stacks
a single stack of another name     name of the folder  ``subjNN`` in the file's name, or
                                                       the whole name
================================== =================== ==================================

A folder stands for all its files, and for its folders in which every file is a frame: such a
folder is one stack, named after the folder. Other names go into the TOML file of
:mod:`ingest.hints`, where ``{}`` stands for the subject::

    [columns]
    matrix = "people/{}/face"           # the stacks; finds all people
    clock = "people/{}/frame_number"    # see below
    height = "people/{}/height"         # size of each frame, which lies in the upper left of
    width = "people/{}/width"           # its row of the stack; default: the whole row

    [subjects]                          # instead of matrix: id = dataset
    40 = "faces/anna"

Clock: a dataset ``frame_number`` (``frame``, ...) holds frame numbers. ``time`` (``t``,
``timestamp``, ...) holds times; the rate of the clock or of the hints turns them into frame
numbers. Without a clock, frames are counted 0, 1, ... at the rate of the hints.

Temperatures are in °C, or in another unit that the hints or the file name. Numbers that cannot
be °C of faces are refused. A frame of only NaN is no face. The first of repeated frames is
kept. Rows may be in any order of the clock. A doubt names the files of a folder that are not
read. :mod:`ingest.files.formats` lists the formats.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import ConfigError, SourceError
from ingest.boxes.cuts import Cut, as_films, cuts
from ingest.files import formats
from ingest.files.contents import Rows, listed, read
from ingest.files.stack_lookup import (
    Stack,
    common_camera,
    of_folder,
    on_one_clock,
    stacks_of,
)
from ingest.hints import Hints, subject_ids
from ingest.shards import Block, Run, Subject
from ingest.source import Found, Session, Shapes

BATCH_BYTES = 2**23
_PART_BYTES = 2**20  # frames that become °C at once: they stay in the second-level cache


class StackSource:
    """Frames in files of arrays.

    Parameters
    ----------
    path
        A file, or a folder of files.
    hints
        Names of datasets, and the scale of integers.
    boxes
        Table that cuts the faces out of films of whole scenes: a file, or a pandas DataFrame
        with the columns ``subject, frame, x, y, width, height`` [pixel]; see
        :mod:`ingest.boxes.tables`. The session is then the name of the file.
    margin
        Part of its size by which each box is made larger on each side.

    Notes
    -----
    Memory: frame numbers and sizes of all people (12 bytes per box) + 16 MiB per reader. With
    boxes, the film is decoded once for each person.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        hints: Hints | None = None,
        boxes: Any = None,
        margin: float = 0.0,
    ) -> None:
        if boxes is None and margin:
            raise ConfigError("margin belongs to boxes, and no table of boxes is given")
        self.path, self.hints = Path(path), hints or Hints()
        self._boxes, self._margin = boxes, margin
        self._stacks: dict[tuple[str, Subject], Stack | Cut] | None = None
        self._origins: dict[str, str] = {}  # times of frame 0 of films whose clocks are dates
        self._stored: dict[str, str] = {}  # those of the store that is filled
        self._rate_hz: float | None = None  # rate of this store

    def found(self) -> Found:
        """Look at the files; see :class:`ingest.source.Source`.

        Raises
        ------
        SourceError
            The files hold no stack of frames, or two stacks of one person in one session.
        """
        files, passed = self._files()
        stacks = [s for file in files for s in stacks_of(file, self.hints)]
        if not stacks:
            raise SourceError(
                f"no stack of frames (time, y, x) called subjNN in {self.path.name!r}, and no "
                "file with a single stack: name the stacks in the TOML, [columns] matrix or "
                "[subjects]"
                + (f"; {listed(passed)} are of kinds that are not read" if passed else "")
            )
        if self._boxes is not None:
            stacks = as_films(stacks)
        counted = on_one_clock(stacks, self.hints.rate_hz or self._rate_hz, self._stored)
        stacks, self._origins = counted.stacks, counted.origins
        about, cut_out = self._named(stacks)
        ids = list(dict.fromkeys(who for _, who in self._stacks or ()))
        dtypes = sorted({str(s.cell.dtype) for s in stacks})
        kinds = {formats.format_of(s.file) for s in stacks}
        camera, unlike = common_camera(stacks)
        return Found(
            name=self.path.name,
            layout=f"files {'+'.join(sorted(kinds))}",
            cell="+".join(dtypes),
            sessions=tuple(self._sessions()),
            subjects=tuple(sorted(ids)),  # of one type
            positions=about and "the centres of the boxes",
            doubts=(
                *of_folder(files, passed, stacks),
                *counted.doubts,
                *unlike,
                *cut_out,
                *self._doubts(stacks),
            ),
            boxes=about,
            rate_hz=counted.rate_hz,
            camera=camera,
        )

    def _named(self, stacks: Sequence[Stack]) -> tuple[str | None, tuple[str, ...]]:
        """Set people's stacks, or their faces in the films; what the boxes say, and doubts."""
        about: str | None = None
        doubts: tuple[str, ...] = ()
        faces: Sequence[Stack | Cut] = stacks
        if self._boxes is not None:
            faces, about, doubts = cuts(stacks, self._boxes, self._margin)
        ids = subject_ids([str(s.subject) for s in faces])
        self._stacks = {}
        for who, stack in zip(ids, faces, strict=True):
            other = self._stacks.setdefault((stack.session, who), stack)
            if other is not stack:
                raise SourceError(
                    f"subject {who} of session {stack.session!r} is in {other.file.name!r} and "
                    f"in {stack.file.name!r}"
                )
        return about, doubts

    def count_like(self, sessions: Sequence[Session], rate_hz: float | None) -> None:
        """Count frames from the origins of a store; see :class:`ingest.source.Timed`."""
        stored = {s.name: s.origin for s in sessions if s.origin}
        rate_hz = rate_hz if stored else None
        if (stored, rate_hz) != (self._stored, self._rate_hz):
            known = stored == self._origins and self._stacks is not None
            self._stored, self._rate_hz = stored, rate_hz
            self._stacks = self._stacks if known else None

    @contextmanager
    def readers(self, n: int) -> Iterator[list["StackReader"]]:
        """Yield ``n`` readers; each opens the files for itself."""
        if self._stacks is None:
            self.found()
        with ExitStack() as files:
            yield [StackReader(self, files) for _ in range(n)]

    def stack(self, session: str, subject: Subject) -> Stack | Cut | None:
        """One person's frames; None if there are none."""
        return (self._stacks or {}).get((session, subject))

    def _files(self) -> tuple[list[Path], list[Path]]:
        """Files that are read, and files that are skipped."""
        if self.path.is_file():
            return [self.path], []
        if not self.path.is_dir():
            raise SourceError(f"no file or folder {str(self.path)!r}")
        return formats.entries(self.path.absolute())

    def _sessions(self) -> Iterator[Session]:
        stacks = (self._stacks or {}).values()
        for name in dict.fromkeys(s.session for s in stacks):
            clocks = [s.clock for s in stacks if s.session == name and len(s.clock)]
            if not clocks:
                raise SourceError(f"session {name!r} has no frame: nothing to read")
            low, high = min(c.min() for c in clocks), max(c.max() for c in clocks)
            origin = self._origins.get(name, "")
            n_rows = max(len(c) for c in clocks)
            yield Session(name, int(low), int(high) + 1, n_rows, origin=origin)

    def _doubts(self, stacks: Sequence[Stack]) -> Iterator[str]:
        for (session, who), s in (self._stacks or {}).items():
            twice = int(len(s.clock) - s.first.sum())
            if twice:
                yield f"session {session!r}, subject {who}: {twice} frames are repeated"
        for stack in stacks:
            yield from stack.doubts
        if self._boxes is None:
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
        """Number of frames with a row; rows of only NaN are found when they are read."""
        counts: dict[Subject, int] = {}
        for who in subjects:
            stack = self._source.stack(session, who)
            counts[who] = 0 if stack is None else int(stack.rows_of(start, stop).sum())
        return counts

    def shapes(self, session: str, subject: Subject, start: int, stop: int) -> Shapes:
        """Number of frames of each shape."""
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
        places = stack.places_of(wanted)
        step = max(1, BATCH_BYTES // max(1, int(np.prod(stack.shape[1:])) * 8))
        for a in range(places[0], places[-1] + 1, step) if wanted.size else ():
            among = (places >= a) & (places < a + step)
            if among.any():
                chosen, there = wanted[among], places[among]
                span = slice(int(there[0]), int(there[-1]) + 1)
                frames = self._rows(stack, span)
                if len(frames) > len(there):
                    frames = frames[there - there[0]]
                self.n_bytes += frames.nbytes
                for run in stack.runs(chosen, frames):
                    for part in run.parts(_PART_BYTES):
                        place(part, stack.cell)
                if isinstance(stack, Cut):
                    block.place_position(
                        Run(stack.clock[chosen], stack.centres[chosen]), stack.cell
                    )

    def version(self, session: str, subject: Subject, start: int, stop: int) -> str:
        """Size of the file and time of its last change; of each file, if each is a frame."""
        stack = self._source.stack(session, subject)
        if stack is None:
            return "-"
        return stack.version(start, stop)

    def cancel(self) -> None:
        """Do nothing: a read of files does not wait."""

    def reconnect(self) -> None:
        """Do nothing: files have no connection to lose."""

    def _rows(self, stack: Stack | Cut, span: slice) -> NDArray[Any]:
        if stack.file not in self._open:
            self._open[stack.file] = self._files.enter_context(formats.opened(stack.file))
        return read(self._open[stack.file][stack.name], span, stack.file)
