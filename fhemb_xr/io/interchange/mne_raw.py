"""To and from MNE: embeddings as channels of a Raw, its channels as traces."""

import itertools
import json
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.clock import spans as tables
from fhemb_xr.errors import SchemaError, extra, warn

CHANNEL = "channel"
MISSING = "BAD_missing"
_MARK, _UNITS = "fhemb_dims", "units"


def to_mne(x: xr.DataArray, *, spans: Any = None) -> Any:
    """An embedding as a Raw of MNE: a channel for each person and feature.

    MNE's browser, filters and epochs then work on it. Missing samples stay NaN, and are marked
    by annotations ``BAD_missing`` of their channels, which MNE leaves out.

    Parameters
    ----------
    x
        ``(…, time)`` with any of ``subject``, ``session``, ``feature``, ``component``, ``band``
        and an even clock.
    spans
        Spans of time that become annotations: a table of :func:`read_spans`, or a dict of label
        and ``(start, stop)``, in seconds of the clock of ``x``.

    Returns
    -------
    mne.io.RawArray
        :class:`mne.io.RawArray` in float64: channels such as ``"65 mean"``, of type
        ``temperature`` where the unit is °C, else ``misc``. Its first sample is that of ``x``,
        to half a sample.

    Raises
    ------
    SchemaError
        If the clock is uneven, or a channel's name is there twice.
    BudgetError
        If the channels do not fit the budget.
    ImportError
        mne is not installed: ``pip install 'fhemb_xr[mne]'``.

    Notes
    -----
    Memory: the series as float64, twice. Computes at call: one, if lazy.

    References
    ----------
    - Gramfort et al. 2013, MEG and EEG data analysis with MNE-Python.
      https://doi.org/10.3389/fnins.2013.00267
    """
    with extra("mne"):
        import mne
    schema.require_dims(x, schema.TIME)
    clock = Clock.of(x).require_regular()
    budget.check(16 * x.size, "the channels of a Raw", "select people, features or seconds")
    dims = [str(d) for d in x.dims if d != schema.TIME]
    x = x.assign_coords({d: range(x.sizes[d]) for d in dims if d not in x.coords})
    channels = _channels(x, dims)
    info = mne.create_info(_names(x, channels), clock.rate_hz, _kinds(x, dims))
    info["description"] = json.dumps({_MARK: [d for d in dims if x.sizes[d] > 1]})
    values = x.transpose(*dims, schema.TIME).values.reshape(len(channels), clock.n)
    first = round(clock.start_s * clock.rate_hz)
    raw = mne.io.RawArray(values.astype(np.float64), info, first_samp=first, verbose="error")
    _annotate(raw, spans, channels)
    return raw


def from_mne(raw: Any) -> xr.DataArray:
    """The channels of a Raw of MNE as labelled, lazy series.

    Parameters
    ----------
    raw
        :class:`mne.io.Raw` of any format, loaded or not.

    Returns
    -------
    DataArray
        ``trace(channel, time)`` in the units of MNE (V for electrodes), float64, in chunks of a
        minute; of a Raw of :func:`to_mne`: ``(subject, feature, time)`` and whatever it had.
        ``fx.prepare(…, raw.annotations)`` and the figures take its annotations.

    Raises
    ------
    SchemaError
        If this is no Raw of MNE.

    Notes
    -----
    Memory: a minute of all channels. Tasks: one per minute. Computes at call: none.
    """
    import dask.array as da

    if not all(hasattr(raw, n) for n in ("get_data", "ch_names", "first_time", "n_times")):
        raise SchemaError(f"need a Raw of MNE, found {type(raw).__name__}")
    rate = float(raw.info["sfreq"])
    source = _Samples(raw)
    minute = max(1, min(raw.n_times, round(60 * rate)))
    data = da.from_array(source, chunks=(-1, minute), name=False, meta=np.empty((0, 0)))
    trace = xr.DataArray(
        data,
        dims=(CHANNEL, schema.TIME),
        coords={
            CHANNEL: list(raw.ch_names),
            schema.TIME: (
                schema.TIME,
                raw.first_time + np.arange(raw.n_times) / rate,
                {"units": "s", "axis": "T"},
            ),
        },
        name="trace",
        attrs={schema.SAMPLING_RATE: rate},
    )
    return _with_dims(trace, raw.info.get("description"))


class _Samples:
    """The samples of a Raw as an array that dask cuts; one thread at a time reads its file."""

    def __init__(self, raw: Any) -> None:
        self.raw, self.shape, self.dtype = raw, (len(raw.ch_names), raw.n_times), np.dtype("f8")
        self.ndim = 2

    def __getitem__(self, key: tuple[slice, slice]) -> Any:
        channels, samples = key
        start, stop, _ = samples.indices(self.shape[1])
        with _LOCK:
            return self.raw.get_data(start=start, stop=stop)[channels]


_LOCK = Lock()


def _channels(x: xr.DataArray, dims: list[str]) -> list[dict[str, Any]]:
    """The labels of each channel by dimension, in the order of ``dims``."""
    labels = [x[d].values.tolist() for d in dims]
    return [dict(zip(dims, one, strict=True)) for one in itertools.product(*labels)]


def _names(x: xr.DataArray, channels: list[dict[str, Any]]) -> list[str]:
    """``"65 mean"``: the labels that differ."""
    shown = [d for d in channels[0] if x.sizes[d] > 1] or [*channels[0]]
    names = [" ".join(str(c[d]) for d in shown) or str(x.name or "signal") for c in channels]
    if len({*names}) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise SchemaError(f"two channels would be called {twice!r}: rename people or features")
    return names


def _kinds(x: xr.DataArray, dims: list[str]) -> list[str]:
    units = x.coords[_UNITS] if _UNITS in x.coords else xr.DataArray(x.attrs.get(_UNITS, ""))
    each = units.broadcast_like(x.isel({schema.TIME: 0}, drop=True)).transpose(*dims)
    return ["temperature" if u == "degC" else "misc" for u in each.values.reshape(-1)]


def _annotate(raw: Any, given: Any, channels: list[dict[str, Any]]) -> None:
    """Put the spans, and what is missing of each channel, into the annotations of a Raw."""
    import mne

    names, rate, origin = raw.ch_names, raw.info["sfreq"], raw.first_time
    out = mne.Annotations([], [], [])
    if given is not None:
        for span in tables.rows(given):
            who = span.get(tables.SUBJECT)
            mine = [n for n, c in zip(names, channels, strict=True)
                    if who is not None and c.get(schema.SUBJECT) == who]  # fmt: skip
            if who is not None and not mine:
                continue  # a person who was not selected
            onset = span[tables.ONSET] - origin
            out.append(onset, span[tables.DURATION], span[tables.LABEL], [mine])
    n_spans = len(out)
    for name, row in zip(names, np.isnan(raw.get_data()), strict=True):
        edges = np.flatnonzero(np.diff(np.r_[False, row, False].astype(np.int8)))
        for start, stop in edges.reshape(-1, 2) / rate:
            out.append(start, stop - start, MISSING, [[name]])
    raw.set_annotations(out, verbose="error")
    if lost := n_spans - sum(d != MISSING for d in raw.annotations.description):
        warn(f"{lost} of {n_spans} spans lie outside the series, and are left out")


def _with_dims(trace: xr.DataArray, description: Any) -> xr.DataArray:
    """The dimensions that :func:`to_mne` put into the channels' names, if it did."""
    try:
        dims = json.loads(description)[_MARK]
    except (TypeError, ValueError, KeyError):
        return trace
    words = [str(n).split(" ") for n in trace[CHANNEL].values]
    if len(dims) < 1 or any(len(w) != len(dims) for w in words):
        return trace
    columns = list(zip(*words, strict=True))
    labels = {d: list(dict.fromkeys(column)) for d, column in zip(dims, columns, strict=True)}
    shape = [len(v) for v in labels.values()]
    if int(np.prod(shape)) != trace.sizes[CHANNEL]:
        return trace
    data = trace.data.reshape(*shape, trace.sizes[schema.TIME])
    typed = {d: [int(v) for v in vs] if all(map(_is_number, vs)) else vs
             for d, vs in labels.items()}  # fmt: skip
    return xr.DataArray(
        data, dims=(*dims, schema.TIME), coords={**typed, schema.TIME: trace[schema.TIME]},
        name=trace.name, attrs=trace.attrs,
    )  # fmt: skip


def _is_number(label: str) -> bool:
    """Whether a label is that of a number: ``65``, and not ``065``."""
    return label.isdecimal() and str(int(label)) == label
