"""Features of people over time: the original's ``Embedding``."""

import copy
import functools
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.legacy import families, figures, lagging, logs
from fhemb_xr.legacy.collection import EmbeddingCollection as EmbeddingCollection
from fhemb_xr.legacy.series import Series, labelled, table, without_bins
from fhemb_xr.legacy.subjects import (
    BySubject,
    Subjects,
    counted,
    label,
    native,
    ordered,
    people,
)
from fhemb_xr.legacy.utils.factories import ConcreteEmbFactory
from fhemb_xr.legacy.wdecomp import Wdecomposition
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.ops.frames import feature_names
from fhemb_xr.ops.inference.surrogates import REPLICATE, surrogates
from fhemb_xr.typing import F64

Columns = Mapping[str, int] | Callable[[], Mapping[str, int]]
_log = logs.of("embedding")


class Embedding:
    """Features of people over time, ``(features, time)`` for each.

    Parameters
    ----------
    time_interval
        Frames ``(start, stop)``.
    features_tint
        A matrix ``(features, time)`` for each person.
    features
        Names of the rows.
    subjects
        The people that are kept; all by default.
    temperature_threshold, percentile_intv
        What the features were made with; kept as they are.
    binedges
        Edges ``(bins, 2)`` of the histograms of each person.
    periods, frequencies
        Bands that the features were filtered to.

    Notes
    -----
    ``data`` is the labelled array ``(subject, time, feature)``. It is lazy until a matrix, a
    table or a figure is asked for.
    """

    percentile_intv: float | None
    temperature_threshold: float | None
    time_interval: tuple[int, int]
    basis: xr.Dataset | None
    _told: tuple[Any, Any]
    _kind: str | None
    _bands: str | None
    _edges: Mapping[str, Any] | None

    def __init__(
        self,
        time_interval: tuple[int, int],
        features_tint: Mapping[Any, Any],
        features: Sequence[str] | None = None,
        subjects: Subjects = None,
        temperature_threshold: float = 30,
        percentile_intv: float | None = None,
        binedges: Mapping[Any, Any] | None = None,
        periods: Any = families.ALL,
        frequencies: Any = families.ALL,
    ) -> None:
        matrices = {native(who): matrix for who, matrix in features_tint.items()}
        kept = people("all" if subjects is None else subjects, ordered(matrices))
        data = labelled({i: matrices[i] for i in kept}, features, int(time_interval[0]))
        self._set(Series(data))
        self.time_interval = (int(time_interval[0]), int(time_interval[1]))
        self.temperature_threshold = temperature_threshold
        self.percentile_intv = percentile_intv
        self._told = (frequencies, periods)
        if binedges is not None:
            self._edges = {label(native(who)): edges for who, edges in binedges.items()}

    @classmethod
    def from_data(
        cls,
        data: xr.DataArray | Series,
        columns: Columns | None = None,
        *,
        kind: str | None = None,
        like: "Embedding | None" = None,
        bands: str | None = None,
    ) -> "Embedding":
        """An embedding of a labelled array, with what ``like`` says of itself."""
        out = cls.__new__(cls) if like is None else copy.copy(like)
        vars(out).pop("_where", None)
        out._set(data if isinstance(data, Series) else Series(data), columns)
        if kind is not None:
            out._kind = kind
        if bands is not None:
            out._bands = bands
        return out

    def _set(self, series: Series, columns: Columns | None = None) -> None:
        self._series, self._columns = series, columns
        self._ids = series.data.indexes[schema.SUBJECT].tolist()
        if "_told" not in vars(self):
            frames = series.data.coords.get(schema.FRAME)
            ends = (0, series.data.sizes[schema.TIME])
            if frames is not None and frames.size:
                ends = (int(frames[0]), int(frames[-1]) + 1)
            self.time_interval, self.temperature_threshold = ends, None
            self.percentile_intv = None
            self._told = (families.ALL, families.ALL)
            self._kind = None
            self._bands = None
            self._edges = None
            self.basis = None

    @functools.cached_property
    def _where(self) -> dict[str, int]:
        """Where each feature stands in the series."""
        found = self._columns() if callable(self._columns) else self._columns
        if found is None:
            names = self._series.data.indexes[schema.FEATURE].tolist()
            found = {str(name): place for place, name in enumerate(names)}
        return dict(found)

    @property
    def subjects(self) -> list[str]:
        """Labels of the people, sorted."""
        return [label(i) for i in self._ids]

    @property
    def features(self) -> list[str]:
        """Names, in the order asked for."""
        return list(self._where)

    @property
    def type(self) -> str:
        """The family, such as ``"percentiles_ts"``."""
        return self._kind or families.family(self.features[0])

    @property
    def sr(self) -> float:
        """Frames in a second."""
        return figures.rate(self._series.data)

    @property
    def attrs(self) -> dict[Any, Any]:
        """Attributes of ``data``."""
        own = {} if self._bands is None else {families.BANDS: self._bands}
        return {**self._series.data.attrs, **own}

    @property
    def frequencies(self) -> Any:
        """``"All"``, or the merged intervals that are left [Hz]."""
        found = families.frequencies(self.attrs)
        return self._told[0] if found == families.ALL else found

    @property
    def periods(self) -> Any:
        """``"All"``, or the merged intervals that are left [s]; the endless end is "inf"."""
        found = families.periods(self.attrs)
        return self._told[1] if found == families.ALL else found

    @property
    def data(self) -> xr.DataArray:
        """The labelled array ``(subject, time, feature)``."""
        return self._labelled(self._series.data.sel({schema.SUBJECT: self._ids}))

    def _labelled(self, whole: xr.DataArray) -> xr.DataArray:
        out = whole.isel({schema.FEATURE: list(self._where.values())})
        return out.assign_coords({schema.FEATURE: self.features}).assign_attrs(self.attrs)

    @property
    def features_tint(self) -> BySubject[F64]:
        """A matrix ``(features, time)`` for each person, computed when it is indexed."""
        return BySubject(self._ids, self._matrix)

    def _matrix(self, person: Any) -> F64:
        matrix: F64 = self._series.of([person])[person][list(self._where.values())]
        return matrix

    @property
    def binedges(self) -> Mapping[str, Any]:
        """Edges ``(bins, 2)`` of the histograms of each person.

        Raises
        ------
        AttributeError
            There are no histograms.
        """
        if self._edges is None:
            raise AttributeError(f"{self!r} has no bins")
        return self._edges

    def chosen(self, subjs: Subjects = "all", feature: Any = None) -> xr.DataArray:
        """One feature, or all of them, of some people, in memory.

        It is an array ``(subject, time)``, or ``(subject, time, feature)`` of all features.

        Raises
        ------
        UnknownNameError
            A person or a feature that is not there (a ``KeyError``).
        """
        ids = people(subjs, self._ids)
        whole = self._labelled(self._series.loaded(ids))
        if feature is None:
            return whole
        return whole.sel({schema.FEATURE: self.name(feature)})

    def name(self, feature: Any) -> str:
        """The feature that is meant by a name or a number."""
        names = self.features
        if isinstance(feature, int) and -len(names) <= feature < len(names):
            return names[feature]
        if feature not in names:
            raise unknown_name("feature", feature, names)
        return str(feature)

    def get_ts_subjs(self, args: Any = None) -> Any:
        """Tables with a row per frame from 0 on, and a column ``subjNN`` for each person.

        ``args`` is a name or a number of a feature (the first by default): a table. Or a list
        of these: a table for each.
        """
        _log.debug("table of %s", args)
        if isinstance(args, list | tuple):
            return {self.name(a): self.get_ts_subjs(a) for a in args}
        frame: pd.DataFrame = table(self.chosen(feature=0 if args is None else args))
        return frame

    get_df_ts_subjs = get_ts_subjs

    def project(
        self,
        subjs: Subjects = "all",
        features: Any = None,
        heatmap: Any = None,
        fvector: Any = None,
        fbands: Any = None,
        factory: ConcreteEmbFactory | None = None,
        *,
        wdfactory: ConcreteEmbFactory | None = None,
    ) -> "Embedding":
        """Some people and features; with a ``factory``, filtered to ``fbands``."""
        figures.refuse_cells(heatmap, fvector)
        out = copy.copy(self)
        out._ids = people(subjs, self._ids)
        _log.debug("project %s, features %s, bands %s", counted(out._ids), features, fbands)
        out._where = {n: self._where[n] for n in self._names(features)}
        factory = wdfactory if factory is None else factory
        if factory is None:
            figures.refuse_bands(fbands)
            return out
        bands = out.create_wdecomposition(None, factory)
        filtered: Embedding = bands.create_wreconstruction("all", fbands)
        return filtered

    def _names(self, features: Any) -> list[str]:
        if features is None:
            return self.features
        if {*map(families.family, self.features)} <= {families.VECTOR_TS, families.POSITION_TS}:
            return [
                self.name(f) for f in ([features] if isinstance(features, str) else features)
            ]
        known = [n for n in self.features if n == features] or feature_names.expand(features)
        return [self.name(name) for name in known]

    def create_wdecomposition(
        self, features: Any = None, factory: ConcreteEmbFactory | None = None
    ) -> Wdecomposition:
        """Wavelet bands of some features (all by default)."""
        factory = factory or ConcreteEmbFactory()
        _log.debug("decompose %s by %s", features, factory)
        part = copy.copy(self)
        part._where = {n: self._where[n] for n in self._names(features)}
        return Wdecomposition(part, wavelet=factory.wtype, level=factory.level)

    def bbootstrap(
        self,
        subjs: Subjects = None,
        err_ts: Any = None,
        block_length: float | None = None,
        max_level: int = 8,
        rseed: int | None = None,
    ) -> "Embedding":
        """Blocks of ``block_length`` [s] laid end to end, the same for people and features.

        Without ``block_length``, blocks long enough to keep bands down to ``max_level``. With
        ``err_ts`` (an Embedding of the same people and features) these errors are drawn, and
        added to the series.
        """
        ids = people("all" if subjs is None else subjs, self._ids)
        part = self.data.sel({schema.SUBJECT: ids})
        drawn = part if err_ts is None else err_ts.data.sel({schema.SUBJECT: ids})
        size: dict[str, Any] = (
            {"level": max_level} if block_length is None else {"block_s": block_length}
        )
        seed = secrets.randbelow(2**31) if rseed is None else rseed
        _log.debug("bootstrap by %s, seed %s", size, seed)
        bare = without_bins(drawn)
        out = surrogates(bare, 1, method="block", dim=None, seed=seed, **size)
        out = out.isel({REPLICATE: 0}, drop=True)
        if err_ts is not None:
            out = (out.astype(part.dtype) + part.drop_vars(schema.FEATURE).data).assign_attrs(
                part.attrs
            )
        return Embedding.from_data(out, like=self)

    plot_signal = figures.plot_signal
    visualize_eigenfaces = figures.visualize_eigenfaces
    plot_temperaturebars = figures.plot_temperaturebars
    plot_temperaturehist = figures.plot_temperaturehist
    plot_intvlhist = figures.plot_intvlhist

    def lagged_correlations_df(
        self, twin: int, max_lag: int, step: int, n_jobs: int = 4
    ) -> dict[str, pd.DataFrame]:
        """``{"df": …}``: a row for the start of each window [s], a column for each lag."""
        return {"df": lagging.lagged_table([self], twin, max_lag, step)}

    def plot_lagged_correlations(
        self, twin: int, max_lag: int, step: int, n_jobs: int = 4
    ) -> Any:
        """Correlation in windows of ``twin`` frames, at lags up to ``max_lag`` frames."""
        return lagging.lagged_map([self], twin, max_lag, step)

    def lagged_correlation_graph(
        self, lag: int = 0, twin: int = 50, step: int = 25, max_lag: int = 200, n_jobs: int = 4
    ) -> Any:
        """Correlation at one lag over time, a curve for each person."""
        return lagging.lagged_curves([self], lag, twin, step, max_lag)

    def __repr__(self) -> str:
        return f"Embedding({families.shown(self.features)}, {counted(self._ids)})"
