"""A recording, an interval of frames and some people: the original's ``Piece``."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import xarray as xr
import zarr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import ConfigError, SchemaError, warn
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.recording import open_recording
from fhemb_xr.io.remote import places
from fhemb_xr.legacy import logs
from fhemb_xr.legacy.dbms.db import PERCENTILES, Datasource
from fhemb_xr.legacy.embedding import Embedding
from fhemb_xr.legacy.subjects import Subjects, counted, label, native, with_a_face
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.ops.frames import selection
from fhemb_xr.ops.pipeline import STATISTICS

STORE = "FHEMB_STORE"
TABLES = ("face_t", "facebbox_t", "facebbox", "roi_t", "roi")
_USUAL = {
    "temperature_threshold": 25,
    "percentile_interval": 5,
    "normalize_histogram": True,
    "norm_face_size": 1500,
    "sub_roi_width": 5,
    "resize": (40, 60),
}
_noted: set[tuple[str, str]] = set()
_log = logs.of("piece")


class Piece:
    """A recording, an interval of frames, some people and a threshold.

    Parameters
    ----------
    title
        Title of the recording; it must be the one in the store.
    time_interval
        Half-open interval of frame numbers, ``(start, stop)``; all frames by default.
    subjs
        ``"all"``, ids or labels, an inclusive pair ``(65, 69)``, or a list of these. Who has no
        face in the interval is left out.
    temperature_threshold
        Background below this [°C]; by default what the recording says.
    store
        The recording; by default the environment's ``FHEMB_STORE``.
    session
        The session, where the recording has several.

    Raises
    ------
    ConfigError
        No store was given.
    SchemaError
        The store has another title, or several sessions.

    Notes
    -----
    Lazy: pixels are read when something is drawn or asked for its values. Which people have a
    face is read once, from ``height``, when it is first needed.
    """

    def __init__(
        self,
        title: str | None = None,
        time_interval: tuple[int, int] | None = None,
        subjs: Subjects = "all",
        temperature_threshold: float | None = None,
        store: Any = None,
        session: str | None = None,
    ) -> None:
        self._store = _store(store)
        ds = open_recording(self._store)
        if title is not None and ds.attrs.get("title") != title:
            raise SchemaError(f"asked for {title!r}, the store holds {ds.attrs.get('title')!r}")
        self._asked = {"subjects": native(subjs), "frames": time_interval}
        self._session = session
        self._selected = _selected(ds, session, **self._asked)
        self.title = ds.attrs.get("title") if title is None else title
        frames = Clock.of(self._selected).frames
        ends = (int(frames[0]), int(frames[-1]) + 1)
        self.time_interval = ends if time_interval is None else tuple(time_interval)
        self._threshold = (
            "recording" if temperature_threshold is None else temperature_threshold
        )
        self._read: dict[str, Datasource | Embedding] = {}
        _log.debug("%s: frames %s, %s", self.title, self.time_interval, self._asked_for)

    @property
    def _asked_for(self) -> str:
        return counted(self._selected.indexes[schema.SUBJECT])

    @functools.cached_property
    def _ds(self) -> xr.Dataset:
        return with_a_face(self._selected)

    def _datasource(self, name: str) -> Datasource:
        """The faces of one of the original's tables."""
        found = self._read.get(name)
        if not isinstance(found, Datasource):
            ds = self._table(name)
            attributes = self.get_piece_attribute_values(0, "all", store=self._store)
            found = Datasource.from_recording(ds, self._threshold, attributes)
            self._read[name] = found
            _log.debug("%s of %s", name, counted(found.subjects))
        return found

    def _table(self, name: str) -> xr.Dataset:
        """The group of the store with this name; where there is none, the recording."""
        if name == TABLES[0]:
            return self._ds
        other = _group(self._store, name)
        if other is not None:
            return with_a_face(_selected(other, self._session, **self._asked))
        asked = (str(self._store), name)
        if asked not in _noted:
            _noted.add(asked)
            warn(
                f"the store holds one table: {name} gives the same faces as face_t, to compare "
                f"them, save the other table as the group {name!r} of the recording"
            )
        return self._ds

    @property
    def face_t(self) -> Datasource:
        """The faces."""
        return self._datasource("face_t")

    @property
    def facebbox_t(self) -> Datasource:
        """The boxes of the faces."""
        return self._datasource("facebbox_t")

    @property
    def facebbox(self) -> Datasource:
        """The boxes of the faces, by the original's other tracker."""
        return self._datasource("facebbox")

    @property
    def roi_t(self) -> Datasource:
        """The surroundings of the faces."""
        return self._datasource("roi_t")

    @property
    def roi(self) -> Datasource:
        """The surroundings of the faces, by the original's other tracker."""
        return self._datasource("roi")

    @property
    def faceposition_t(self) -> Embedding:
        """Where the faces are in the camera's picture."""
        found = self.face_t.position
        self._read["faceposition_t"] = found
        return found

    def percentiles_face(
        self,
        subjs: Subjects = "all",
        features: Any = None,
        factory: Any = None,
        fbands: Any = None,
    ) -> Embedding:
        """Percentiles p0, p5, … p100 of the faces, or those that are named."""
        names = [PERCENTILES] if features is None else _percentiles(features)
        return self._feature(names, subjs, factory, fbands)

    def _feature(self, names: Any, subjs: Subjects, factory: Any, fbands: Any) -> Embedding:
        out: Embedding = self.face_t.project(subjs, names, fbands=fbands, wdfactory=factory)
        return out

    @classmethod
    def classinfo(cls) -> pd.DataFrame:
        """A table of the recording that the environment names, and what is usual."""
        values = cls.get_piece_attribute_values(0, "all")
        return pd.DataFrame({k: [v] for k, v in values.items()})

    @classmethod
    def get_piece_attribute_values(
        cls,
        idx: int | str = 0,
        attributes: str | Sequence[str] = ("piece",),
        *,
        store: Any = None,
    ) -> dict[str, Any]:
        """What is said of a recording, by the original's names, or ``"all"`` of it.

        ``idx`` is 0 or the title: there is one recording, ``store`` or that of ``FHEMB_STORE``.
        """
        ds = open_recording(_store(store))
        title = ds.attrs.get("title")
        if idx not in (0, title):
            raise unknown_name("piece", idx, [0, title])
        said = {k: ds.attrs[k] for k in _USUAL if k in ds.attrs}
        sessions = ds.indexes[schema.SESSION].tolist()
        found = {
            "piece": title, **_USUAL, **said,
            "db_schema": sessions[0] if len(sessions) == 1 else sessions,
            "number_of_subjects": ds.sizes[schema.SUBJECT],
        }  # fmt: skip
        names = [attributes] if isinstance(attributes, str) else list(attributes)
        names = list(found) if attributes == "all" else names
        if wrong := [n for n in names if n not in found]:
            raise unknown_name("attribute", wrong[0], found)
        return {name: found[name] for name in names}

    def info(self) -> None:
        """Print title, frames, people, threshold, and what was read so far."""
        ids = self._ds.indexes[schema.SUBJECT].tolist()
        start, stop = self.time_interval
        lines = {
            "title": self.title,
            "time interval": f"{start} to {stop}, {self._ds.sizes[schema.TIME]} frames",
            "subjects": ", ".join(map(label, ids)),
            "subjects, compact": _compact(ids),
            "number of subjects": len(ids),
            "temperature threshold": self.face_t._limit,
            "read so far": ", ".join(self._read),
        }
        text = "\n".join(f"{name}: {value}" for name, value in lines.items())
        sys.stdout.write(f"{text}\n")

    def api(self) -> Any:
        """Names of what was read so far."""
        return self._read.keys()

    def __repr__(self) -> str:
        start, stop = self.time_interval
        return f"Piece({self.title!r}, frames {start} to {stop}, {self._asked_for})"


def _statistic(name: str) -> Callable[..., Embedding]:
    def method(
        self: Piece, subjs: Subjects = "all", factory: Any = None, fbands: Any = None
    ) -> Embedding:
        return self._feature([name], subjs, factory, fbands)

    method.__name__ = name
    method.__doc__ = f"The {name} of each face over time: ``subjs``, ``factory``, ``fbands``."
    return method


for _name in STATISTICS:
    setattr(Piece, _name, _statistic(_name))


def _store(store: Any) -> Any:
    found = os.environ.get(STORE) if store is None else store
    if not found:
        raise ConfigError(f"no recording: give Piece(store=...) or set {STORE} to its path")
    return found


def _group(store: Any, name: str) -> xr.Dataset | None:
    """The recording in a group of the store, on this machine or at an address; None without."""
    local = atomic_files.local_path(store)
    if local is not None:
        return open_recording(local / name) if (local / name).is_dir() else None
    if not isinstance(store, str):
        return None
    address = f"{store.rstrip('/')}/{name}"
    try:
        zarr.open_group(places.to_read(address), mode="r")
    except FileNotFoundError:
        return None
    return open_recording(address)


def _selected(ds: xr.Dataset, session: str | None, **asked: Any) -> xr.Dataset:
    sessions = ds.indexes[schema.SESSION].tolist()
    if session is None and len(sessions) > 1:
        raise SchemaError(
            f"a Piece is of one session, found {sessions}: add session={sessions[0]!r}"
        )
    return selection.select(ds, sessions=sessions if session is None else session, **asked)


def _percentiles(features: Any) -> Any:
    """Percentiles by number, as in old notebooks, or by name."""
    if isinstance(features, str) or not isinstance(features, Sequence):
        features = [features]
    return [f"p{f:g}" if isinstance(f, int | float) else f for f in features]


def _compact(ids: Sequence[Any]) -> str:
    """Runs of numbers as pairs."""
    out: list[Any] = []
    for i in ids:
        if out and isinstance(i, int) and out[-1][1] == i - 1:
            out[-1] = (out[-1][0], i)
        else:
            out.append((i, i))
    return str([a if a == b else (a, b) for a, b in out])
