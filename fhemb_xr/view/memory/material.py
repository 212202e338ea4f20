"""The things that one viewer shows, and the memory that all its windows share."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.io import provenance
from fhemb_xr.io import recording as stores
from fhemb_xr.io.local.atomic_files import local_path
from fhemb_xr.io.opening import opened
from fhemb_xr.view.memory import proxy, series
from fhemb_xr.view.memory.faces import Faces
from fhemb_xr.view.memory.marks import Marks, place_beside
from fhemb_xr.view.memory.reading import Readers, Signal
from fhemb_xr.view.memory.series import Series

MOST_BYTES = 5 * 2**27
"""Bytes of series that are kept in memory: 640 MiB."""


class Material:
    """A recording, embeddings and results, with the signals that have been read.

    Attributes
    ----------
    recording
        The recording, or None.
    place
        Folder of the recording, if it is a store on this machine.
    series
        Every feature by its name.
    results
        Results with an axis of time, by name: ISC, lags, whatever is no series of people.
    people
        Labels of all people, in the order in which they come.
    extent
        First and last second of all.
    faces
        Faces of the recording, where they may be shown.
    small_faces
        Its small faces, one a second, if they have been made.
    marks
        Spans that readers have marked, and the file that keeps them.
    """

    def __init__(
        self,
        things: Sequence[Any],
        storage_options: Mapping[str, Any] | None = None,
        *,
        spans: str | os.PathLike[str] | None = None,
        faces: bool = False,
    ) -> None:
        self.recording: xr.Dataset | None = None
        self.place: Path | None = None
        self.results: dict[str, xr.DataArray] = {}
        found: list[Series] = []
        arrays: list[tuple[str, xr.DataArray]] = []
        for k, thing in enumerate(things):
            given = _given(thing, storage_options)
            self._take(given, f"{k + 1}", arrays)
            if given is self.recording and isinstance(thing, str | os.PathLike):
                self.place = local_path(thing)
        for name, x in arrays:
            found += series.of_array(x, f"{name}: " if len(arrays) > 1 else "")
        if self.recording is not None and not found:
            found = series.of_recording(self.recording)
        series.require_some(found)
        self.series = {s.name: s for s in found}
        self.people = [*dict.fromkeys(p for s in found for p in s.people)]
        ends = [(s.seconds[0], s.seconds[-1] + 1 / s.rate_hz) for s in found]
        self.extent = (float(min(a for a, _ in ends)), float(max(b for _, b in ends)))
        if faces and self.recording is None:
            raise SchemaError("faces are asked for, and there is no recording: give its store")
        self.faces = Faces(self.recording) if faces and self.recording is not None else None
        small = proxy.found(self.place) if self.faces is not None else None
        self.small_faces = None if small is None else Faces(small)
        path = _beside(things) if spans is None else Path(spans).expanduser()
        self.marks = Marks(path, self.uuid)
        self.readers = Readers()
        self._signals: dict[tuple[str, str], Signal] = {}
        self._lock = threading.Lock()

    def signal(self, name: str, band: str = "") -> Signal:
        """The signal of a feature; older ones are dropped where memory would grow too large."""
        key = (name, band)
        with self._lock:  # a window is built in a thread while the browser starts
            if key not in self._signals:
                source = self.series[name]
                self._signals[key] = Signal(series.in_band(source, band) if band else source)
                self._make_room()
            signal = self._signals.pop(key)
            self._signals[key] = signal  # the latest is last
        return signal

    def close(self) -> None:
        """End the threads, and let go of the series that were read."""
        self.readers.close()
        self._signals.clear()

    @property
    def uuid(self) -> str:
        """``fhemb_uuid`` of the recording, or nothing."""
        attrs = {} if self.recording is None else self.recording.attrs
        return str(attrs.get(provenance.UUID, ""))

    def _make_room(self) -> None:
        held = {key: s.pyramid.nbytes for key, s in self._signals.items()}
        while sum(held.values()) > MOST_BYTES and len(held) > 1:
            oldest = next(iter(held))
            del held[oldest]
            self.readers.forget(self._signals.pop(oldest))

    def _take(self, thing: Any, name: str, arrays: list[tuple[str, xr.DataArray]]) -> None:
        if isinstance(thing, xr.Dataset) and schema.is_like_recording(thing):
            if self.recording is not None:
                raise SchemaError("one viewer shows one recording, found two: view each alone")
            schema.validate(thing)
            self.recording = thing
            return
        parts = [thing] if isinstance(thing, xr.DataArray) else [*thing.data_vars.values()]
        taken = [_sorted_out(x) for x in parts]
        if not any(taken):
            dims = sorted({str(d) for x in parts for d in x.dims})
            raise SchemaError(
                f"nothing to view: need 'time' or 'window', found the dimensions {dims}"
            )
        window_s = thing.attrs.get("window_s")
        about = {} if window_s is None else {"window_s": window_s}
        for kind, x in zip(taken, parts, strict=True):
            title = str(x.name or name)
            if kind == "series":
                shown = title if title != schema.EMBEDDING else name
                known = {n for n, _ in arrays}
                arrays.append((shown if shown not in known else f"{shown} {name}", x))
            elif kind == "result" and title not in ("p", "p_fdr", "p_fwer"):
                shown = title if title not in self.results else f"{title} {name}"
                self.results[shown] = x.assign_attrs({**about, **x.attrs})


def _sorted_out(x: xr.DataArray) -> str:
    """Whether an array is shown as rows of people, as a strip below them, or not at all."""
    if x.dtype.kind not in "biuf":
        return ""
    if schema.WINDOW in x.dims or schema.LAG in x.dims:
        return "result" if schema.WINDOW in x.dims else ""
    if schema.TIME not in x.dims or {schema.Y, schema.X} & {*x.dims}:
        return ""
    pairs = any(str(d).endswith(("_0", "_1")) for d in x.dims)
    return "result" if pairs or schema.SUBJECT not in x.dims else "series"


def _given(thing: Any, storage_options: Mapping[str, Any] | None) -> xr.Dataset | xr.DataArray:
    """What was given, or the store that it names."""
    if isinstance(thing, xr.Dataset | xr.DataArray):
        return thing
    if not isinstance(thing, str | os.PathLike) and not hasattr(thing, "read_only"):
        raise SchemaError(
            "the viewer shows recordings, embeddings and results: a Dataset, a DataArray, or "
            f"the path of a store, found {type(thing).__name__}"
        )
    # without dask a jump reads some frames of a chunk; and dask would import distributed
    ds = opened(thing, {} if _has_client() else None, storage_options)
    return stores.as_recording(ds) if schema.is_like_recording(ds) else stores.as_result(ds)


def _beside(things: Sequence[Any]) -> Path | None:
    """The file of marks beside the first store on this machine; None without one."""
    paths = (local_path(t) for t in things if isinstance(t, str | os.PathLike))
    found = next((p for p in paths if p is not None), None)
    return None if found is None else place_beside(found)


def local_recording(things: Sequence[Any]) -> Path | None:
    """The folder of the first recording among stores; None where none is on this machine."""
    for path in (local_path(t) for t in things if isinstance(t, str | os.PathLike)):
        if path is not None and schema.is_like_recording(opened(path, None)):
            return path
    return None


def _has_client() -> bool:
    from fhemb_xr.budget import session_client

    return session_client() is not None


def seats(recording: xr.Dataset | None) -> dict[Any, tuple[float, float]]:
    """Where people sit: the middle of their places in the camera image, of eight frames."""
    if recording is None or schema.POSITION not in recording:
        return {}
    places = recording[schema.POSITION].isel({schema.SESSION: 0})
    chosen = np.unique(np.linspace(0, places.sizes[schema.TIME] - 1, 8).astype(int))
    values = places.isel({schema.TIME: chosen}).values.astype(np.float64)
    out = {}
    for who, seen in zip(recording[schema.SUBJECT].values.tolist(), values, strict=True):
        seen = seen[np.isfinite(seen).all(axis=-1) & (seen != 0).any(axis=-1)]
        if len(seen):
            out[who] = (float(np.median(seen[:, 0])), float(np.median(seen[:, 1])))
    return out
