"""Names of the original library; of 188 public notebook cells that need it, 28 run with these.

Names and arguments of the original; everything is delegated, nothing is computed here.
Series are always found by their subject's label, never by their position: in the original,
subjects without a face shifted the labels of all that followed.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import ConfigError, SchemaError
from fhemb_xr.io.recording import open_recording
from fhemb_xr.ops import pipeline
from fhemb_xr.ops.frames import selection
from fhemb_xr.ops.pipeline import STATISTICS

Subjects = str | Sequence[Any]
Names = str | Sequence[Any]


@dataclass(frozen=True)
class WaveletFactory:
    """A wavelet and its depth."""

    wtype: str = "db4"
    level: int = 8


def wfactory(wtype: str = "db4", level: int = 8) -> WaveletFactory:
    """The original's name for a wavelet and its depth.

    Examples
    --------
    >>> from fhemb_xr.legacy import wfactory
    >>> wfactory("db4", 8)
    WaveletFactory(wtype='db4', level=8)
    """
    return WaveletFactory(wtype, level)


class Piece:
    """A recording, an interval of frames, some subjects and a threshold.

    Parameters
    ----------
    title
        Title of the recording; it must be the one in the store.
    time_interval
        Half-open interval of frame numbers, ``(start, stop)``.
    subjs
        ``"all"``, an inclusive pair ``(65, 69)``, or a list of ids and pairs.
    temperature_threshold
        Background below this [°C]; by default what the recording says.
    store
        The recording; by default the environment's ``FHEMB_STORE``.

    Raises
    ------
    ConfigError
        No store was given.
    SchemaError
        The store has another title.

    Notes
    -----
    Lazy: pixels are read when something is drawn or asked for its values.
    """

    def __init__(
        self,
        title: str | None = None,
        time_interval: tuple[int, int] | None = None,
        subjs: Subjects = "all",
        temperature_threshold: float | None = None,
        store: Any = None,
    ) -> None:
        store = store or os.environ.get("FHEMB_STORE")
        if store is None:
            raise ConfigError(
                "no recording: give Piece(store=...) or set FHEMB_STORE to its path"
            )
        ds = open_recording(store)
        if title is not None and ds.attrs.get("title") != title:
            raise SchemaError(f"asked for {title!r}, the store holds {ds.attrs.get('title')!r}")
        self._ds = selection.select(ds, subjects=subjs, frames=time_interval)
        self._threshold = (
            "recording" if temperature_threshold is None else temperature_threshold
        )

    @property
    def face_t(self) -> "Datasource":
        """The faces."""
        return Datasource(self._ds, self._threshold)

    def info(self) -> str:
        """Title, frames and subjects, in one line."""
        frames, ids = self._ds.sizes[schema.TIME], self._ds.indexes[schema.SUBJECT].tolist()
        return f"{self._ds.attrs.get('title')}: {frames} frames of subjects {ids}"

    def __repr__(self) -> str:
        return f"Piece({self.info()})"

    def percentiles_face(self, **kwargs: Any) -> "Embedding":
        """Percentiles p0, p5, … p100 of the faces."""
        return self._feature(("p0", "p100"), **kwargs)

    def _feature(
        self,
        name: Any,
        subjs: Subjects = "all",
        factory: WaveletFactory | None = None,
        fbands: Sequence[int] | None = None,
    ) -> "Embedding":
        return self.face_t.project(subjs, [name], fbands=fbands, wdfactory=factory)


def _statistic(name: str) -> Any:
    def method(self: Piece, **kwargs: Any) -> "Embedding":
        return self._feature(name, **kwargs)

    method.__name__ = name
    method.__doc__ = f"The {name} of each face over time: ``subjs``, ``factory``, ``fbands``."
    return method


for _name in STATISTICS:
    setattr(Piece, _name, _statistic(_name))


class Datasource:
    """Faces of a :class:`Piece`."""

    def __init__(self, ds: xr.Dataset, threshold: float | str) -> None:
        self._ds, self._threshold = ds, threshold

    def project(
        self,
        subjs: Subjects = "all",
        features: Names | None = None,
        *,
        fbands: Sequence[int] | None = None,
        pcfactory: Mapping[str, Any] | None = None,
        wdfactory: WaveletFactory | None = None,
    ) -> "Embedding":
        """Features of some subjects, with eigenfaces and bands where asked.

        ``pcfactory`` holds options of :func:`fhemb_xr.pca`, e.g. ``{"scaler": "standard"}``.
        """
        emb = pipeline.embed(
            selection.select(self._ds, subjects=subjs),
            list(STATISTICS) if features is None else features,
            threshold=self._threshold,
            pca=pcfactory,
            wavelet=wdfactory.wtype if wdfactory else None,
            level=wdfactory.level if wdfactory else 8,
            bands=fbands if wdfactory else None,
        )
        return Embedding(emb)


class Embedding:
    """Features over time; ``data`` is the labelled lazy array."""

    def __init__(self, data: xr.DataArray) -> None:
        self.data = data

    @property
    def subjects(self) -> list[Any]:
        """Ids, in the order of the recording."""
        return list(self.data.indexes[schema.SUBJECT])

    @property
    def features(self) -> list[str]:
        """Names, in the order asked for."""
        return list(self.data.indexes[schema.FEATURE])

    def get_ts_subjs(self, feature: str | None = None) -> Any:
        """One feature as a table: a row per frame, a column per subject."""
        one = self.data.sel(feature=self.features[0] if feature is None else feature)
        table = one.squeeze(schema.SESSION, drop=True).transpose(schema.TIME, schema.SUBJECT)
        return table.drop_vars(
            [c for c in table.coords if c not in table.dims], errors="ignore"
        ).to_pandas()

    def plot_signal(self, subjs: Subjects = "all", feature: str | None = None) -> Any:
        """Draw one feature over time, a row per subject, with the band in the title."""
        from fhemb_xr import plot

        if feature is None and len(self.features) > 1:
            raise SchemaError(f"which feature to draw? There are {self.features}")
        one = self.data.sel(feature=self.features[0] if feature is None else feature)
        return plot.signal(selection.select(one, subjects=subjs))

    def __repr__(self) -> str:
        return f"Embedding(features={self.features}, subjects={self.subjects})"
