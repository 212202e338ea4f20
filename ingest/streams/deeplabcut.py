"""Tables of DeepLabCut, with three or four rows of header."""

from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64

ALONE = "face"
"""Name of the individual in a table of one."""
FRAME = "frame_number"
"""Name that the first column gets here; it has none in the table."""


def is_deeplabcut(path: Path) -> bool:
    """Whether a table starts as DeepLabCut's do."""
    with path.open("rb") as file:
        return file.read(10).lstrip(b'"\xef\xbb\xbf').startswith(b"scorer")


def table(path: Path, rows_read: int | None = None) -> Any:
    """The table as a pandas DataFrame; its columns are (individual, point, coordinate)."""
    import pandas as pd

    with path.open(encoding="utf-8-sig") as file:
        head = [file.readline().split(",")[0].strip().strip('"') for _ in range(4)]
    levels = ["scorer", "individuals", "bodyparts", "coords"]
    rows = [i for i, word in enumerate(head) if word in levels]
    if [head[i] for i in rows] not in (levels, ["scorer", "bodyparts", "coords"]):
        raise SourceError(
            f"{path.name!r} starts as a table of DeepLabCut, but its header is {head}: "
            "expected scorer, individuals (of several animals), bodyparts, coords"
        )
    try:
        out = pd.read_csv(path, header=rows, index_col=0, encoding="utf-8-sig", nrows=rows_read)
    except (ValueError, OSError) as error:
        why = " ".join(str(error).split())
        raise SourceError(f"cannot read {path.name!r}: {why}") from None
    names = [(str(c[1]) if len(rows) == 4 else ALONE, str(c[-2]), str(c[-1])) for c in out]
    out.columns = pd.MultiIndex.from_tuples(names)
    return out


def columns(path: Path) -> dict[str, list[str]]:
    """Names of the columns of each individual, such as ``nose_x``, or ``anna_nose_x``."""
    keys = [*table(path, 1).columns]
    people = list(dict.fromkeys(who for who, *_ in keys))
    prefix = {who: "" if len(people) == 1 else f"{who}_" for who in people}
    return {
        who: [f"{prefix[who]}{point}_{axis}" for w, point, axis in keys if w == who]
        for who in people
    }


def read(path: Path) -> dict[str, F64]:
    """Points of each individual: ``(frame, point, (x, y, likelihood))``.

    Raises
    ------
    SourceError
        The table has an unknown header, or a cell is no number.
    """
    whole = table(path)
    out: dict[str, F64] = {}
    for who in dict.fromkeys(c[0] for c in whole.columns):
        points = list(dict.fromkeys(c[1] for c in whole.columns if c[0] == who))
        places = [(who, p, axis) for p in points for axis in ("x", "y", "likelihood")]
        absent = [p for p in places if p not in whole.columns]
        if absent:
            raise SourceError(f"{path.name!r} has no column {' '.join(absent[0])!r}")
        try:
            values = whole[places].to_numpy(dtype=np.float64)
        except ValueError as error:
            raise SourceError(f"a cell of {path.name!r} is no number: {error}") from None
        out[who] = values.reshape(len(whole), len(points), 3)
    return out
