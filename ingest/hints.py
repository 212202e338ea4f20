"""What the user says of a source where a look at it is not enough.

The type of the numbers in a ``bytea``, the scale of integers, unusual names of columns: from
Python as :class:`Hints`, or from a TOML file of this form, in which every key may be left out::

    bytes_dtype = "uint16"   # numbers in bytea: float32 (the default), float64 or uint16
    scale = 0.01             # of integers: degrees a unit; needed where cells are integers
    offset = 0.0             # of integers: °C of 0
    units = "K"              # of files, instead of scale: degC, K, degF, cK, dK
    rate_hz = 25.0           # frames a second; turns timestamps into frame numbers

    [columns]                # role = name, where it is none of those that are known
    clock = "ts"             # frame_number, frame, frame_no, frame_id, time, t, ts, timestamp
    subject = "who"          # subject, subj, subject_id, subj_id
    session = "evening"      # session, session_id, session_name
    matrix = "face"          # the column of matrices of a tall table
    height = "n_rows"        # height, h, rows, n_rows; of bytea
    width = "n_cols"         # width, w, cols, n_cols; of bytea
    y = "line"               # y, row, i; of a row per pixel
    x = "pixel"              # x, col, column, j
    value = "celsius"        # value, temperature, temp, celsius

    [subjects]               # id = column, where they are not called subj40, subj41, ...
    40 = "anna_face"

In a file of arrays (:mod:`ingest.stacks`) the names are those of its datasets.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fhemb_xr.errors import ConfigError, nearest
from ingest.shards import Subject

_ROLES = ("clock", "subject", "session", "matrix", "height", "width", "y", "x", "value")


@dataclass(frozen=True)
class Hints:
    """What the user says where a look at the table is not enough."""

    columns: Mapping[str, str] | None = None  # role -> column, e.g. {"clock": "ts"}
    subjects: Mapping[str, str] | None = None  # id -> column of a wide table
    bytes_dtype: str = "float32"  # of bytea cells: float32, float64 or uint16
    scale: float | None = None  # of integer cells: degrees per unit
    offset: float = 0.0
    rate_hz: float | None = None  # turns times into frames; None: the file's own, else 25
    units: str | None = None  # of the numbers in files: degC, K, degF, cK, dK


def subject_ids(names: Sequence[str]) -> list[Subject]:
    """Names as ids: numbers, where all of them are numbers.

    Examples
    --------
    >>> subject_ids(["40", "41"]), subject_ids(["40", "anna"])
    ([40, 41], ['40', 'anna'])
    """
    numeric = all(name.isdigit() for name in names)
    return [int(name) for name in names] if numeric else list(names)


def read_hints(path: Path) -> Hints:
    """Hints of a TOML file; its keys stand in :mod:`ingest.hints`.

    Raises
    ------
    ConfigError
        If it is not there, is no TOML, has a key that is not known or a value of another type.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the layout {str(path)!r}: {error}") from None
    for name, value in found.items():
        if name not in (known := [f.name for f in fields(Hints)]):
            raise ConfigError(f"{str(path)!r} has {name!r}{nearest(name, known)}")
        table = name in ("columns", "subjects")
        kind: Any = dict if table else str if name in ("bytes_dtype", "units") else (int, float)
        names = value.values() if isinstance(value, dict) else ()
        texts = all(isinstance(v, str) for v in names)
        if not isinstance(value, kind) or isinstance(value, bool) or not texts:
            wanted = "a table of names" if table else "text" if kind is str else "a number"
            raise ConfigError(f"{str(path)!r}: {name} is {wanted}, found {value!r:.60}")
    for role in found.get("columns", {}):
        if role not in _ROLES:
            raise ConfigError(f"{str(path)!r} has {role!r}{nearest(role, _ROLES)}")
    if not found.get("rate_hz", 1) > 0:
        raise ConfigError(f"{str(path)!r}: rate_hz is above 0, found {found['rate_hz']!r}")
    return Hints(**found)
