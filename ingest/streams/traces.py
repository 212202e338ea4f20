"""Physiological traces in files: BDF and EDF, and CSV with an even or an uneven clock."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SourceError, UnknownNameError, nearest
from fhemb_xr.typing import F64

CHANNEL, TRACE = "channel", "trace"
RECORDS = (".bdf", ".edf")
UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_one_at_a_time = threading.Lock()  # edflib refuses a file that is open, and is not thread-safe


def open_trace(
    file: str | Path,
    channels: str | Sequence[str] | None = None,
    *,
    time: str | None = None,
    time_unit: str = "s",
    rate_hz: float | None = None,
    separator: str = ",",
    chunk_s: float = 60.0,
) -> xr.DataArray:
    r"""Open a physiological trace, lazily.

    Nothing of the header but rates, labels and units is taken: no name, no date. A result of
    :func:`fhemb_xr.save` opens with :func:`fhemb_xr.open_result`.

    Parameters
    ----------
    file
        ``.bdf``, ``.edf``, or a table with a header line (``.csv``, ``.tsv``, ``.txt``).
    channels
        A label, or several of one rate; by default all. A BioSemi's triggers are its channel
        ``"Status"``, lowest eight bits.
    time, time_unit
        Of a table: the column with the clock, even or not, and its unit (``s ms us``). The
        trace starts at 0.
    rate_hz
        Of a table without a clock [Hz].
    separator
        Of the columns of a table.
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
        The file is not there or not what its name says; or a clock does not increase.
    ValueError
        Channels of several rates, a table with neither or both of clock and rate, or a number
        out of range.
    ImportError
        If pyedflib is not installed: ``pip install 'fhemb_xr[physio]'``.

    Notes
    -----
    Memory: a chunk. Tasks: three per channel and chunk. Computes at call: none; of a table the
    header and the clock are read.

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
        out = _table(path, channels, time, time_unit, rate_hz, separator)
    out[schema.TIME].attrs = {"units": "s", "axis": "T"}
    return out.isel({CHANNEL: 0}) if isinstance(channels, str) else out


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


def _header(path: Path) -> dict[str, tuple[int, float, int, str]]:
    """Place, rate [Hz], samples and unit of each channel by its label."""
    import pyedflib

    with _one_at_a_time:
        try:
            reader = pyedflib.EdfReader(str(path))
        except OSError as error:
            reason = str(error).removeprefix(str(path)).strip(": ")
            raise SourceError(f"{path.name!r} cannot be read ({reason})") from None
        with reader:
            found: dict[str, tuple[int, float, int, str]] = {}
            lengths = reader.getNSamples()
            for i, label in enumerate(reader.getSignalLabels()):
                unit = reader.getPhysicalDimension(i).strip()
                rate_hz = float(reader.getSampleFrequency(i))
                found.setdefault(label.strip(), (i, rate_hz, int(lengths[i]), unit))
    return found


def _samples(channels: Any, places: Any, *, path: str, version: Any) -> F64:
    """``(c,), (t,) -> (c, t)``; the file is closed again, so that others may read it."""
    import pyedflib

    with _one_at_a_time, pyedflib.EdfReader(path) as reader:
        start, n = int(places[0]), len(places)
        return np.stack([reader.readSignal(int(c), start, n) for c in channels])


def _table(
    path: Path, asked: Any, time: str | None, unit: str, rate_hz: float | None, separator: str
) -> xr.DataArray:
    import dask
    import dask.array as da
    import pandas as pd

    if (time is None) == (rate_hz is None):
        raise ValueError("a table has a clock (time=, a column) or a rate (rate_hz=), not both")
    if unit not in UNITS_S:
        raise ValueError(f"time_unit is one of {', '.join(UNITS_S)}, found {unit!r}")
    try:
        columns = [str(c) for c in pd.read_csv(path, sep=separator, nrows=0).columns]
        first = columns[0] if time is None else _chosen(time, columns, "column")[0]
        clock = pd.read_csv(path, sep=separator, usecols=[first])[first]
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SourceError(f"{path.name!r} is not a table ({type(error).__name__})") from None
    names = _chosen(asked, [c for c in columns if c != time], "column")
    if rate_hz is None:
        seconds = _seconds(clock, UNITS_S[unit], path.name)
    elif np.isfinite(rate_hz) and rate_hz > 0:
        seconds = np.arange(len(clock)) / rate_hz
    else:
        raise ValueError(f"rate_hz is a positive number, found {rate_hz!r}")
    status = path.stat()
    values = dask.delayed(_columns, pure=True)(
        str(path), names, separator, (status.st_mtime_ns, status.st_size)
    )
    data = da.from_delayed(values, (len(names), len(clock)), np.float64)
    return _labelled(data, names, [""] * len(names), seconds, rate_hz)


def _columns(path: str, names: list[str], separator: str, version: Any) -> F64:
    import pandas as pd

    table = pd.read_csv(path, sep=separator, usecols=names)[names]
    return np.ascontiguousarray(table.to_numpy(dtype=np.float64, na_value=np.nan).T)


def _seconds(clock: Any, scale: float, name: str) -> F64:
    import pandas as pd

    ticks = pd.to_numeric(clock, errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(ticks))
    if wrong.size:
        raise SourceError(f"the clock of {name!r} has no number in line {wrong[0] + 2}")
    back = np.flatnonzero(np.diff(ticks) <= 0)
    if back.size:
        raise SourceError(
            f"the clock of {name!r} does not increase in line {back[0] + 3}: "
            f"{ticks[back[0]]:g}, then {ticks[back[0] + 1]:g}"
        )
    return np.asarray((ticks - ticks[:1]) * scale)


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
