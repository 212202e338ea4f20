"""Physiological traces in files: BDF and EDF, and tables with an even or an uneven clock."""

import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SourceError, UnknownNameError, nearest
from fhemb_xr.typing import F64
from ingest.files.contents import needed
from ingest.streams import table_layouts

CHANNEL, TRACE = "channel", "trace"
RECORDS = (".bdf", ".edf")
UNITS_S = table_layouts.UNITS_S
_one_at_a_time = threading.Lock()  # edflib refuses a file that is open, and is not thread-safe


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

    Of the header only rates, labels and units are taken: no name, no date. A result of
    :func:`fhemb_xr.save` opens with :func:`fhemb_xr.open_result`.

    Parameters
    ----------
    file
        ``.bdf``, ``.edf``, or a table in text (``.csv``, ``.tsv``, ``.txt``, also ``.gz``).
        Comments, a preamble and a row of units may come first.
    channels
        A label, or several of one rate; by default all. A BioSemi's triggers are its channel
        ``"Status"``, lowest eight bits (:func:`fhemb_xr.events` finds the codes). Equal labels
        are numbered from the second on, with a warning.
    time, time_unit
        Of a table: the column with the clock, even or not, and its unit (``s ms us``). ISO 8601
        moments and times of the day need no unit. The trace starts at 0.
    rate_hz
        Sampling rate [Hz] of a table without a clock. BIDS (the ``.json`` beside the table),
        Empatica E4 and Qualisys tell it themselves.
    separator, decimal
        Sign between the columns of a table, and the decimal point of its numbers; None: those
        that the first lines have.
    names
        Names of the columns of a table without a header; None: those of BIDS or Empatica, else
        ``column_0``, ``column_1``, ...
    chunk_s
        Length of a chunk of a BDF or EDF file [s]; a table is one chunk.

    Returns
    -------
    ``trace(channel, time)``, or ``trace(time)`` where one label was asked for by itself;
    float64 in the units of the file (coordinate ``units``), ``time`` in s; with an even clock
    ``attrs["sampling_rate"]``.

    Raises
    ------
    UnknownNameError
        No such channel or column (a ``KeyError``), with the nearest.
    SourceError
        The file is not there, is damaged or not what its name says; a clock does not increase;
        a cell is no number; an EDF+ has gaps (EDF+D), or annotations and no signal.
    ValueError
        Channels of several rates, a table with neither or both of clock and rate, or a number
        out of range.
    ConfigError
        If pyedflib is not installed: ``pip install 'fhemb_xr[physio]'``.

    Notes
    -----
    Memory: a chunk. Tasks: three per channel and chunk. Computes at call: none; of a table the
    first lines and the clock are read.

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
    if path.suffix.lower() in RECORDS:
        if not (np.isfinite(chunk_s) and chunk_s > 0):
            raise ValueError(f"chunk_s is a positive number of seconds, found {chunk_s!r}")
        out = _record(path, channels, chunk_s)
    else:
        layout = table_layouts.understood(path, separator, decimal, names)
        out = _table(layout, channels, time, time_unit, rate_hz)
    out[schema.TIME].attrs = {"units": "s", "axis": "T"}
    return out.isel({CHANNEL: 0}) if isinstance(channels, str) else out


def open_events(file: str | Path) -> xr.Dataset:
    """Read the annotations of an EDF+ or BDF+ as a table of events.

    Parameters
    ----------
    file
        ``.edf`` or ``.bdf``, with or without signals.

    Returns
    -------
    Dataset along ``event``: ``onset`` [s] from the beginning of the record, ``duration`` [s]
    (NaN where none was noted), ``text``.

    Raises
    ------
    SourceError
        There is no such file, it is damaged, or is no EDF or BDF.
    ConfigError
        If pyedflib is not installed: ``pip install 'fhemb_xr[physio]'``.

    Notes
    -----
    Memory: the annotations. Computes at call: all of them are read.
    """
    path = Path(file).expanduser()
    if path.suffix.lower() not in RECORDS:
        raise SourceError(
            f"annotations are read of {' and '.join(RECORDS)}, found {path.name!r}"
        )
    with _one_at_a_time, _reader(path) as reader:
        onset, duration, text = reader.readAnnotations()
    spans = np.asarray(duration, dtype=np.float64)
    return xr.Dataset(
        {
            "onset": ("event", np.asarray(onset, dtype=np.float64), {"units": "s"}),
            "duration": ("event", np.where(spans < 0, np.nan, spans), {"units": "s"}),
            "text": ("event", np.asarray(text, dtype=str)),
        },
        attrs={"long_name": "annotations"},
    )


def _chosen(asked: str | Sequence[str] | None, there: list[str], what: str) -> list[str]:
    if asked is None:
        return there
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names:
        if name not in there:
            raise UnknownNameError(f"no {what} {name!r}{nearest(name, there)}")
    return names


def _record(path: Path, asked: Any, chunk_s: float) -> xr.DataArray:
    import dask.array as da

    header = _header(path)
    names = _chosen(asked, list(header), "channel")
    rates = {header[n][1] for n in names}
    if len(rates) > 1:
        found = ", ".join(f"{n} {header[n][1]:g}" for n in names)
        raise ValueError(f"channels of one trace have one rate, found {found} Hz: choose some")
    rate_hz, length = rates.pop(), min(header[n][2] for n in names)
    frames = max(1, round(chunk_s * rate_hz))
    status = path.stat()
    data = da.blockwise(
        _samples, "ct",
        da.from_array(np.array([header[n][0] for n in names]), chunks=1), "c",
        da.arange(length, chunks=frames), "t",
        path=str(path), version=(status.st_mtime_ns, status.st_size),
        dtype="float64", meta=np.empty((0, 0)),
    )  # fmt: skip
    units = [header[n][3] for n in names]
    clock = np.arange(length) / rate_hz
    return _labelled(data, names, units, clock, rate_hz)


def _reader(path: Path) -> Any:
    """An opened record; one with gaps in it is refused."""
    pyedflib = needed("pyedflib", "EDF and BDF files", "physio")
    try:
        with path.open("rb") as file:
            kind = file.read(236)[192:197]
        if kind in (b"EDF+D", b"BDF+D"):
            raise SourceError(
                f"{path.name!r} has gaps in time ({kind.decode()}), which are not read: make "
                f"an {kind[:4].decode()}C or separate files of it, e.g. with EDFbrowser"
            )
        return pyedflib.EdfReader(str(path))
    except SourceError:
        raise
    except OSError as error:
        reason = str(error).removeprefix(str(path)).strip(": ")
        raise SourceError(f"{path.name!r} cannot be read ({reason})") from None


def _header(path: Path) -> dict[str, tuple[int, float, int, str]]:
    """Place, rate [Hz], samples and unit of each channel by its label."""
    with _one_at_a_time, _reader(path) as reader:
        labels = [label.strip() for label in reader.getSignalLabels()]
        if not labels:
            raise SourceError(
                f"{path.name!r} has no signal, only annotations: ingest.open_events reads them"
            )
        lengths = reader.getNSamples()
        return {
            label: (
                i,
                float(reader.getSampleFrequency(i)),
                int(lengths[i]),
                reader.getPhysicalDimension(i).strip(),
            )
            for i, label in enumerate(numbered(labels, path.name))
        }


def numbered(labels: Sequence[str], file: str) -> list[str]:
    """Labels that are all different: the second of a kind gets a ``_2``, with a warning.

    Examples
    --------
    >>> numbered(["ECG", "EMG"], "a.edf")
    ['ECG', 'EMG']
    """
    twice = [label for label, n in Counter(labels).items() if n > 1]
    if not twice:
        return list(labels)
    seen: Counter[str] = Counter()
    out: list[str] = []
    for label in labels:
        seen[label] += 1
        name = label if seen[label] == 1 else f"{label}_{seen[label]}"
        while name in out or (name != label and name in labels):
            name += "_"
        out.append(name)
    warnings.warn(
        f"{file!r} has several channels called {', '.join(map(repr, twice))}: the second is "
        f"now called {out[_second(labels, twice[0])]!r}, and so on",
        UserWarning,
        stacklevel=5,
    )
    return out


def _second(labels: Sequence[str], label: str) -> int:
    return [i for i, other in enumerate(labels) if other == label][1]


def _samples(channels: Any, places: Any, *, path: str, version: Any) -> F64:
    """``(c,), (t,) -> (c, t)``; the file is closed again, so that others may read it."""
    with _one_at_a_time, _reader(Path(path)) as reader:
        start, n = int(places[0]), len(places)
        return np.stack([reader.readSignal(int(c), start, n) for c in channels])


def _table(
    layout: table_layouts.Layout, asked: Any, time: str | None, unit: str, rate_hz: float | None
) -> xr.DataArray:
    import dask
    import dask.array as da

    table, path = layout.table, layout.table.path
    columns = numbered(layout.names, path.name)
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
        at = place[_chosen(time, columns, "column")[0]]
        seconds = table_layouts.seconds(table, at, UNITS_S[unit])
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
