"""Hints of the user about a source, and the request of a run.

Hints say what a look at the source cannot show: the type of the numbers in a ``bytea``, the
scale of integers, unusual names of columns. Give them in Python as :class:`Hints`, or in a TOML
file of this form. All keys are optional::

    bytes_dtype = "uint16"   # numbers in bytea: float32 (the default), float64 or uint16
    scale = 0.01             # degrees per unit; needed if cells are integers
    offset = 0.0             # °C of the integer 0
    units = "K"              # unit in files, instead of scale: degC, K, degF, cK, dK
    rate_hz = 25.0           # frames a second; turns timestamps into frame numbers

    [columns]                # role = name; needed for names that are not in this list
    clock = "ts"             # frame_number, frame, frame_no, frame_id, time, t, ts, timestamp
    subject = "who"          # subject, subj, subject_id, subj_id
    session = "evening"      # session, session_id, session_name
    matrix = "face"          # the column of matrices of a tall table
    height = "n_rows"        # height, h, rows, n_rows; for bytea
    width = "n_cols"         # width, w, cols, n_cols; for bytea
    y = "line"               # y, row, i; for a row per pixel
    x = "pixel"              # x, col, column, j
    value = "celsius"        # value, temperature, temp, celsius

    [subjects]               # id = column, if they are not called subj40, subj41, ...
    40 = "anna_face"

In a file of arrays (:mod:`ingest.stacks`) the names are those of its datasets.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fhemb_xr.errors import ConfigError, StoreError, UnknownNameError, nearest
from fhemb_xr.io.encoding import DENSE, FAST, known
from ingest.shards import Subject

_ROLES = ("clock", "subject", "session", "matrix", "height", "width", "y", "x", "value")


@dataclass(frozen=True)
class Hints:
    """Facts about a source that a look at it cannot show."""

    columns: Mapping[str, str] | None = None  # role -> column, e.g. {"clock": "ts"}
    # id -> column of a wide table; personal, as in every class here: in no repr
    subjects: Mapping[str, str] | None = field(default=None, repr=False)
    bytes_dtype: str = "float32"  # dtype in bytea cells: float32, float64 or uint16
    scale: float | None = None  # degrees per unit of integer cells
    offset: float = 0.0
    rate_hz: float | None = None  # turns times into frames; None: the file's rate, or 25
    units: str | None = None  # unit of the numbers in files: degC, K, degF, cK, dK


def subject_ids(names: Sequence[str]) -> list[Subject]:
    """Names as ids: integers if all names are integers, otherwise text.

    Examples
    --------
    >>> subject_ids(["40", "41"]), subject_ids(["40", "anna"])
    ([40, 41], ['40', 'anna'])
    """
    numeric = all(name.isdigit() for name in names)
    return [int(name) for name in names] if numeric else list(names)


def read_hints(path: Path) -> Hints:
    """Read hints from a TOML file; :mod:`ingest.hints` lists its keys.

    Raises
    ------
    ConfigError
        The file does not exist, is no TOML, or has an unknown key or a value of a wrong type.
    """
    try:
        layout = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the layout {str(path)!r}: {error}") from None
    for name, value in layout.items():
        if name not in (known := [f.name for f in fields(Hints)]):
            raise ConfigError(f"{str(path)!r} has {name!r}{nearest(name, known)}")
        table = name in ("columns", "subjects")
        kind: Any = dict if table else str if name in ("bytes_dtype", "units") else (int, float)
        names = value.values() if isinstance(value, dict) else ()
        texts = all(isinstance(v, str) for v in names)
        if not isinstance(value, kind) or isinstance(value, bool) or not texts:
            wanted = "a table of names" if table else "text" if kind is str else "a number"
            raise ConfigError(f"{str(path)!r}: {name} is {wanted}, found {value!r:.60}")
    for role in layout.get("columns", {}):
        if role not in _ROLES:
            raise ConfigError(f"{str(path)!r} has {role!r}{nearest(role, _ROLES)}")
    if not layout.get("rate_hz", 1) > 0:
        raise ConfigError(f"{str(path)!r}: rate_hz is above 0, found {layout['rate_hz']!r}")
    return Hints(**layout)


@dataclass(frozen=True)
class Request:
    """The request of a run; its fields are parameters of :func:`ingest.run.ingest`.

    None (and ``subjects="all"``) leaves a field open: the first run takes the value from the
    source, and a later run from the store.
    """

    subjects: object = field(default="all", repr=False)
    frames: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    resize: tuple[int, int] | None = None
    rate_hz: float | None = None
    title: str | None = None
    threshold: float = 25.0
    float32: bool | None = None
    encoding: str | None = None
    shard_frames: int | None = None

    def __post_init__(self) -> None:
        if self.encoding is not None and known(self.encoding) == DENSE and self.float32:
            raise ValueError(
                "encoding='dense' is of temperatures packed to 16 bits, float32 does not pack "
                "them: choose one of the two"
            )

    def differs_from(self, header: Mapping[str, Any]) -> str:
        """A text about the first field that differs from a store; ``""`` if none differs.

        Parameters
        ----------
        header
            First line of the store's ledger.
        """
        for name, wanted, held in self._compared(header):
            if wanted != held:
                return f"holds the {name} {held!r}, asked for {wanted!r}"
        return ""

    def require_same(self, header: Mapping[str, Any], store: str) -> None:
        """Refuse a request that differs from a store.

        Raises
        ------
        StoreError
            A field differs; the error gives the requested value and the store's.
        """
        if difference := self.differs_from(header):
            raise StoreError(f"{store!r} {difference}: choose another name for another store")

    def _compared(self, header: Mapping[str, Any]) -> list[tuple[str, object, object]]:
        """Name, requested value and store's value of every field that is not open."""
        people = tuple(header["subjects"])
        grid = tuple(header["grid"])
        size = grid if header.get("resized") else None
        compared: list[tuple[str, object, object]] = []
        if not (isinstance(self.subjects, str) and self.subjects == "all"):
            compared.append(("subjects", choose(self.subjects, people), people))
        if self.frames is not None:
            spans = [(s["start"], s["stop"]) for s in header["sessions"]]
            held = (min(start for start, _ in spans), max(stop for _, stop in spans))
            first = header["asked_frames"]  # it may exceed the frames that existed then
            same = list(self.frames) in (list(held), first)
            compared.append(("frames", held if same else tuple(self.frames), held))
        if self.grid is not None:
            compared.append(("grid", tuple(self.grid), grid))
        if self.resize is not None:
            compared.append(("size", tuple(self.resize), size))
        if self.rate_hz is not None:
            compared.append(("rate_hz", float(self.rate_hz), float(header["rate_hz"])))
        if self.float32 is not None:
            compared.append(("float32", self.float32, header["float32"]))
        if self.encoding is not None:
            compared.append(("encoding", self.encoding, header.get("encoding", FAST)))
        return compared


def choose(spec: object, available: Sequence[Subject]) -> tuple[Subject, ...]:
    """Subjects by the original's grammar, in the order of the source.

    Parameters
    ----------
    spec
        ``"all"``, ids, or inclusive pairs: ``[(40, 44), 53]``.
    available
        Ids in the source.

    Raises
    ------
    UnknownNameError
        A subject is unknown; the error names the nearest ones.

    Examples
    --------
    >>> choose([(40, 42), 53], [40, 41, 42, 43, 53])
    (40, 41, 42, 53)
    """
    if isinstance(spec, str) and spec == "all":
        return tuple(available)
    pair = isinstance(spec, tuple) and len(spec) == 2
    entries = [spec] if pair or not isinstance(spec, list | tuple) else list(spec)
    wanted: set[object] = set()
    for entry in entries:
        chosen = {s for s in available if _matches(s, entry)}
        if not chosen:
            name = entry[0] if isinstance(entry, tuple | list) else entry
            raise UnknownNameError(
                f"no subject {entry!r} in the source{nearest(name, available)}"
            )
        wanted |= chosen
    return tuple(s for s in available if s in wanted)


def _matches(subject: Subject, entry: Any) -> bool:
    if isinstance(entry, tuple | list):
        low, high = entry
        return isinstance(subject, type(low)) and low <= subject <= high
    return bool(subject == entry)


def parse_subjects(text: str) -> object:
    """``"40-44,53"`` as ``[(40, 44), 53]``; names that are not numbers stay text.

    Examples
    --------
    >>> parse_subjects("40-44, 53"), parse_subjects("all"), parse_subjects("anna,b-2")
    ([(40, 44), 53], 'all', ['anna', 'b-2'])
    """
    if text.strip() == "all":
        return "all"
    entries: list[object] = []
    for part in (p.strip() for p in text.split(",")):
        if pair := re.fullmatch(r"(\d+)\s*-\s*(\d+)", part):
            entries.append((int(pair[1]), int(pair[2])))
        elif part:
            entries.append(int(part) if part.isdigit() else part)
    return entries
