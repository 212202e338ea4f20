"""Spans of time in files: BIDS events, CSV tables, annotations that MNE wrote."""

import os
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

import xarray as xr

from fhemb_xr.clock import spans
from fhemb_xr.errors import SourceError

SEPARATORS = {".tsv": "\t", ".csv": ",", ".txt": ","}
_PERSON = ("subject", "participant_id")


def read_spans(path: str | os.PathLike[str]) -> xr.Dataset:
    r"""Read scenes, arias, claps and other spans of time from a table.

    Parameters
    ----------
    path
        Table ``.tsv`` (events of BIDS), ``.csv`` or ``.txt`` (``annotations.save`` of MNE) with
        the columns ``onset`` [s], ``duration`` [s], and a label: ``label``, ``trial_type``,
        ``description`` or ``text``. A column ``subject`` or ``participant_id`` says whose a
        span is; other columns are passed over.

    Returns
    -------
    Dataset
        Dataset along ``event``: ``onset`` [s], ``duration`` [s] (0 where the table has none),
        ``label``, and ``subject`` if the table has it (of spans of everybody among those of
        single people: NaN, or an empty text); in the order of time. The figures ``signal``,
        ``lagged`` and ``player`` draw it (``spans=``), :func:`prepare` takes it for its
        segments, :func:`to_mne` and :func:`to_bids` keep it.

    Raises
    ------
    SourceError
        There is no such file, or it is no table.
    SchemaError
        A column is missing, or an onset is no number of seconds.

    Notes
    -----
    Memory: the table. Computes at call: the whole table is read.

    Examples
    --------
    >>> import tempfile, pathlib, fhemb_xr as fx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "scenes.tsv"
    ...     _ = file.write_text("onset\tduration\ttrial_type\n400\t12.5\taria\n")
    ...     spans = fx.read_spans(file)
    >>> spans.label.item(), spans.onset.item(), spans.duration.item()
    ('aria', 400.0, 12.5)
    """
    import pandas as pd

    file = Path(path).expanduser()
    separator = SEPARATORS.get(file.suffix.lower())
    if separator is None:
        raise SourceError(
            f"spans are read from {', '.join(SEPARATORS)}, found {file.name!r}: "
            "ingest.open_events reads those of EDF and BDF"
        )
    try:
        text = _without_comments(file.read_text(encoding="utf-8-sig"))
        frame = pd.read_csv(
            StringIO(text), sep=separator, na_values=["n/a"], skipinitialspace=True
        )
    except FileNotFoundError:
        raise SourceError(f"there is no file {file.name!r}: is the path right?") from None
    except (ValueError, OSError) as error:  # pandas' errors of parsing are ValueErrors
        raise SourceError(f"{file.name!r} is no table: {error}") from None
    frame.columns = [str(c).strip().casefold() for c in frame.columns]
    person = next((c for c in _PERSON if c in frame.columns), None)
    if person is not None:
        frame[spans.SUBJECT] = [_subject(v) for v in frame[person]]
    return spans.table(frame)


def _without_comments(text: str) -> str:
    """The table without comments at its top; the last is its header, if MNE wrote it."""
    comments = [*takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True))]
    table = text[len("".join(comments)) :]
    header = comments[-1].lstrip("# ") if comments else ""
    return header + table if spans.ONSET in header else table


def _subject(value: Any) -> Any:
    """``"sub-65"`` → 65; of everybody: as it is."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    word = str(value).removeprefix("sub-")
    return int(word) if word.isdigit() else word
