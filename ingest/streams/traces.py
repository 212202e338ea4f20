"""Opening physiological traces: records of six kinds, and tables with any clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SourceError, UnknownNameError, nearest
from fhemb_xr.typing import F64
from ingest.streams import (
    acq_records,
    brainvision_records,
    edf_records,
    table_layouts,
    wfdb_records,
)

CHANNEL, TRACE = "channel", "trace"
UNITS_S = table_layouts.UNITS_S
_READERS: tuple[Any, ...] = (edf_records, wfdb_records, acq_records, brainvision_records)


def open_trace(
    file: str | Path,
    channels: str | Sequence[str] | None = None,
    *,
    time: str | None = None,
    time_unit: str = "s",
    rate_hz: float | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    names: Sequence[str] | None = None,
    chunk_s: float = 60.0,
) -> xr.DataArray:
    r"""Open a physiological trace, lazily.

    Only rates, labels and units are taken from the header, no name and no date. Open a result
    of :func:`fhemb_xr.save` with :func:`fhemb_xr.open_result`.

    Parameters
    ----------
    file
        Record ``.bdf``, ``.edf``, ``.hea`` (WFDB), ``.acq`` (Biopac) or ``.vhdr``
        (BrainVision), or a table in text (``.csv``, ``.tsv``, ``.txt``, also ``.gz``). A table
        may start with comments, a preamble and a row of units.
    channels
        A label, or several labels of one rate; by default all. The triggers of a BioSemi are
        the lowest eight bits of its channel ``"Status"``; :func:`fhemb_xr.events` finds the
        codes. Equal labels are numbered from the second on, with a warning.
    time, time_unit
        Column with the clock of a table, even or not, and its unit (``s ms us``). Times in ISO
        8601 and times of the day need no unit. The trace starts at 0.
    rate_hz
        Sampling rate [Hz] of a table without a clock. BIDS (the ``.json`` beside the table),
        Empatica E4 and Qualisys files hold their rate.
    separator, decimal
        Separator of the columns of a table, and decimal point of its numbers; None takes those
        in its first lines.
    names
        Names of the columns of a table without a header; None takes those of BIDS or Empatica,
        otherwise ``column_0``, ``column_1``, ...
    chunk_s
        Length of a chunk of a record [s]; a table and a channel of Biopac are one chunk.

    Returns
    -------
    DataArray
        ``trace(channel, time)``, or ``trace(time)`` if ``channels`` is one label. The values
        are float64 in the units of the file (coordinate ``units``); ``time`` is in s. An even
        clock gives ``attrs["sampling_rate"]``.

    Raises
    ------
    UnknownNameError
        There is no such channel or column; the error (a ``KeyError``) names the nearest ones.
    SourceError
        The file does not exist, is damaged, or has another format than its name says; a clock
        does not increase; a cell is no number; an EDF+ (EDF+D) or a record of WFDB has gaps,
        or no signal.
    ValueError
        The channels have several rates; a table has neither a clock nor a rate, or both; or a
        number is out of range.
    ConfigError
        The library of a record is not installed: ``pip install 'fhemb_xr[physio]'``.

    Notes
    -----
    Memory: a chunk. Tasks: three per channel and chunk. Computes at call: none; the first lines
    and the clock of a table are read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from ingest import open_trace
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "a.csv"
    ...     _ = file.write_text("ms,ppg\n100,0.5\n110,0.7\n125,0.6\n")
    ...     trace = open_trace(file, "ppg", time="ms", time_unit="ms").load()
    >>> trace.time.values.round(3).tolist(), trace.values.tolist()
    ([0.0, 0.01, 0.025], [0.5, 0.7, 0.6])
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise SourceError(f"there is no file {path.name!r}: is the path right?")
    if (reader := _reader(path)) is not None:
        if not (np.isfinite(chunk_s) and chunk_s > 0):
            raise ValueError(f"chunk_s is a positive number of seconds, found {chunk_s!r}")
        out = _record(reader, path, channels, chunk_s)
    else:
        layout = table_layouts.understood(path, separator, decimal, names)
        out = _table(layout, channels, time, time_unit, rate_hz)
    out[schema.TIME].attrs = {"units": "s", "axis": "T"}
    return out.isel({CHANNEL: 0}) if isinstance(channels, str) else out


def open_events(file: str | Path) -> xr.Dataset:
    """Read the annotations or markers of a record as a table of events.

    Parameters
    ----------
    file
        Record ``.edf``, ``.bdf``, ``.hea`` (with one file of annotations beside it), ``.acq``
        or ``.vhdr``; or annotations of WFDB (``.atr``, ``.qrs``, ...).

    Returns
    -------
    Dataset
        Dataset along ``event``: ``onset`` [s] from the start of the record, ``duration`` [s]
        (NaN if the file has none), ``text``.

    Raises
    ------
    SourceError
        There is no such file, it is damaged, or it is of no kind that has events.
    ConfigError
        The library of the record is not installed: ``pip install 'fhemb_xr[physio]'``.

    Notes
    -----
    Memory: the events. Computes at call: all of them are read.
    """
    path = Path(file).expanduser()
    wfdb = path.suffix.lower() in wfdb_records.ANNOTATIONS
    reader = wfdb_records if wfdb else _reader(path)
    if reader is None:
        known = [s for r in _READERS for s in r.SUFFIXES] + [*wfdb_records.ANNOTATIONS]
        raise SourceError(
            f"events are read from files of {', '.join(known)}, found {path.name!r}"
        )
    if not path.is_file():
        raise SourceError(f"there is no file {path.name!r}: is the path right?")
    onset, duration, text = reader.events(path)
    return xr.Dataset(
        {
            "onset": ("event", onset, {"units": "s"}),
            "duration": ("event", duration, {"units": "s"}),
            "text": ("event", np.asarray(text, dtype=str)),
        },
        attrs={"long_name": "annotations"},
    )


def _reader(path: Path) -> Any:
    """The module that reads a record, by its suffix; None for tables."""
    suffix = path.suffix.lower()
    return next((r for r in _READERS if suffix in r.SUFFIXES), None)


def _chosen(asked: str | Sequence[str] | None, available: list[str], what: str) -> list[str]:
    if asked is None:
        return available
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names:
        if name not in available:
            raise UnknownNameError(f"no {what} {name!r}{nearest(name, available)}")
    return names


def _record(reader: Any, path: Path, asked: Any, chunk_s: float) -> xr.DataArray:
    import dask.array as da

    header = reader.header(path)
    names = _chosen(asked, list(header), "channel")
    rates = {header[n][1] for n in names}
    if len(rates) > 1:
        listed = ", ".join(f"{n} {header[n][1]:g}" for n in names)
        raise ValueError(f"channels of one trace have one rate, found {listed} Hz: choose some")
    rate_hz, length = rates.pop(), min(header[n][2] for n in names)
    whole = getattr(reader, "WHOLE", False)
    frames = length if whole else max(1, round(chunk_s * rate_hz))
    status = path.stat()
    data = da.blockwise(
        reader.samples, "ct",
        da.from_array(np.array([header[n][0] for n in names]), chunks=1), "c",
        da.arange(length, chunks=frames), "t",
        path=str(path), version=(status.st_mtime_ns, status.st_size),
        dtype="float64", meta=np.empty((0, 0)),
    )  # fmt: skip
    units = [header[n][3] for n in names]
    clock = np.arange(length) / rate_hz
    return _labelled(data, names, units, clock, rate_hz)


def _table(
    layout: table_layouts.Layout, asked: Any, time: str | None, unit: str, rate_hz: float | None
) -> xr.DataArray:
    import dask
    import dask.array as da

    table, path = layout.table, layout.table.path
    columns = edf_records.numbered(layout.names, path.name)
    place = {name: i for i, name in enumerate(columns)}
    if time is None and rate_hz is None:
        rate_hz = layout.rate_hz
    if (time is None) == (rate_hz is None):
        raise ValueError("a table has a clock (time=, a column) or a rate (rate_hz=), not both")
    if unit not in UNITS_S:
        raise ValueError(f"time_unit is one of {', '.join(UNITS_S)}, found {unit!r}")
    if rate_hz is not None and not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ValueError(f"rate_hz is a positive number, found {rate_hz!r}")
    table_layouts.require_rate(layout, rate_hz)
    wanted = _chosen(asked, [c for c in columns if c != time], "column")
    if time is not None:
        clock = place[_chosen(time, columns, "column")[0]]
        seconds = table_layouts.seconds(table, clock, UNITS_S[unit])
    else:
        assert rate_hz is not None
        seconds = np.arange(table_layouts.length(table, place[wanted[0]])) / rate_hz
    status = path.stat()
    values = dask.delayed(_columns, pure=True)(
        table, [place[n] for n in wanted], (status.st_mtime_ns, status.st_size)
    )
    data = da.from_delayed(values, (len(wanted), len(seconds)), np.float64)
    return _labelled(data, wanted, [layout.units[place[n]] for n in wanted], seconds, rate_hz)


def _columns(table: Any, places: list[int], version: Any) -> F64:
    values: F64 = table.read(places)
    return values


def _labelled(
    data: Any, names: list[str], units: list[str], clock: F64, rate_hz: float | None
) -> xr.DataArray:
    out = xr.DataArray(
        data,
        dims=(CHANNEL, schema.TIME),
        coords={CHANNEL: names, "units": (CHANNEL, units), schema.TIME: clock},
        name=TRACE,
        attrs={"long_name": "physiological trace"},
    )
    return out if rate_hz is None else out.assign_attrs({schema.SAMPLING_RATE: float(rate_hz)})
