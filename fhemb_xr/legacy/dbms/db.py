"""Faces of people: the original's ``Datasource``, by a recording instead of a database."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.legacy import families, figures, logs
from fhemb_xr.legacy.dbms.frames import frames_of, recording_of
from fhemb_xr.legacy.embedding import Embedding, EmbeddingCollection
from fhemb_xr.legacy.series import Series
from fhemb_xr.legacy.subjects import BySubject, Subjects, counted, label, people
from fhemb_xr.legacy.utils.factories import ConcreteEmbFactory, ConcretePcaFactory
from fhemb_xr.ops import background, pipeline
from fhemb_xr.ops.frames import feature_names, frame_features
from fhemb_xr.ops.frames.resizing import resize
from fhemb_xr.ops.pca import eigenfaces
from fhemb_xr.ops.pipeline import STATISTICS
from fhemb_xr.typing import F64

RESIZED = (60, 40)
"""Rows and columns of a resized face."""
PERCENTILES = ("p0", "p100")
_log = logs.of("dbms")


class Datasource:
    """Faces over time; everything is lazy until a matrix or a figure is asked for.

    Parameters
    ----------
    time_interval
        Frames ``(start, stop)``.
    features_tint
        A list of frames ``(H, W)`` for each person; an empty one where there is no face.
    subjects
        The people that are kept; all by default.
    piece_attributes
        What is said of the recording, e.g. ``temperature_threshold``.
    position
        Places of the faces, ``(2, time)`` for each person, or an Embedding of them.
    """

    def __init__(
        self,
        time_interval: tuple[int, int],
        features_tint: Mapping[Any, Sequence[Any]],
        subjects: Subjects = None,
        piece_attributes: Mapping[str, Any] | None = None,
        position: Any = None,
    ) -> None:
        given = dict(piece_attributes or {})
        ds = recording_of(features_tint, int(time_interval[0]), position)
        wanted = people("all" if subjects is None else subjects, ds.indexes[schema.SUBJECT])
        self._set(ds.sel({schema.SUBJECT: wanted}), given.get("temperature_threshold"), given)

    @classmethod
    def from_recording(
        cls, ds: xr.Dataset, threshold: float | str | None, attributes: Mapping[str, Any]
    ) -> Self:
        """The faces of a recording of one session."""
        out = cls.__new__(cls)
        out._set(ds, threshold, dict(attributes))
        return out

    def _set(
        self, ds: xr.Dataset, threshold: float | str | None, attributes: dict[str, Any]
    ) -> None:
        self._ds, self.piece_attributes = ds, attributes
        self._limit = background.chosen(ds, threshold)
        self._ids = ds.indexes[schema.SUBJECT].tolist()

    @property
    def subjects(self) -> list[str]:
        """Labels of the people who have a face, sorted."""
        return [label(i) for i in self._ids]

    @property
    def sr(self) -> float:
        """Frames in a second."""
        return figures.rate(self._heat)

    @property
    def _heat(self) -> xr.DataArray:
        return pipeline.heatmap(self._ds)

    @property
    def _visible(self) -> xr.DataArray:
        return background.visible(self._heat, self._limit)

    @property
    def features_tint(self) -> BySubject[list[NDArray[Any]]]:
        """A list of frames for each person, each of its own size; ``(0, 0)`` where no face."""
        return BySubject(self._ids, lambda i: frames_of(self._ds, self._visible, i))

    @property
    def facesizes_t(self) -> BySubject[NDArray[Any]]:
        """Rows and columns of every frame as it was stored, ``(2, time)``, by person."""

        def sizes(person: Any) -> NDArray[Any]:
            one = self._ds[[schema.HEIGHT, schema.WIDTH]].sel({schema.SUBJECT: person})
            one = one.squeeze(schema.SESSION, drop=True).compute()
            return np.stack([one[schema.HEIGHT].values, one[schema.WIDTH].values])

        return BySubject(self._ids, sizes)

    @property
    def position(self) -> Embedding:
        """Where the faces are: x and y in the camera's picture, ``fp0`` and ``fp1``."""
        if schema.POSITION not in self._ds:
            raise SchemaError("the recording holds no position: ingest the table of positions")
        place = self._ds[schema.POSITION].squeeze(schema.SESSION, drop=True)
        place = place.rename({schema.AXIS: schema.FEATURE})
        place = place.assign_coords({schema.FEATURE: ["fp0", "fp1"]})
        place = place.assign_attrs({schema.SAMPLING_RATE: float(self.sr)})
        return self._embedding(Series(place), kind=families.POSITION_TS)

    @functools.cached_property
    def binedges(self) -> BySubject[F64]:
        """Lower and upper edge of each bin, ``(bins, 2)``, by person: Sturges' rule."""
        found = self._heights.coords.to_dataset()[["bin_edges", "bin_upper"]].compute()
        found = found.squeeze([d for d in found.dims if d in (schema.SESSION,)])
        both = xr.concat([found["bin_edges"], found["bin_upper"]], "end", coords="minimal")
        both = both.transpose(schema.SUBJECT, schema.FEATURE, "end")
        edges = dict(zip(self._ids, both.values, strict=True))
        return BySubject(self._ids, lambda i: edges[i][np.isfinite(edges[i]).all(axis=1)])

    @property
    def _heights(self) -> xr.DataArray:
        """Bin heights of as many bins as anybody may have."""
        pixels = math.prod(self._heat.sizes[d] for d in (schema.TIME, schema.Y, schema.X))
        most = math.ceil(math.log2(max(pixels, 1)) + 1)
        return self._embed([("bh0", f"bh{most - 1}")])

    @property
    def binheights_ts(self) -> Embedding:
        """Histograms of the frames, as many bins as the person with the most has."""

        def columns() -> dict[str, int]:
            most = max(len(edges) for edges in self.binedges.values())
            return {f"bh{k}": k for k in range(most)}

        out = self._embedding(Series(self._heights), columns, kind=families.BINHEIGHTS_TS)
        return out

    @property
    def percentiles_ts(self) -> Embedding:
        """Percentiles p0, p5, … p100."""
        return self._only([PERCENTILES])

    @property
    def features_ts(self) -> Embedding:
        """The nine statistics."""
        return self._only(list(STATISTICS))

    def _only(self, names: Any) -> Embedding:
        out: Embedding = self.project(features=names)
        return out

    def project(
        self,
        subjs: Subjects = "all",
        features: Any = None,
        heatmap: Any = None,
        fvector: Any = None,
        fbands: Any = None,
        pcfactory: ConcretePcaFactory | Mapping[str, Any] | None = None,
        wdfactory: ConcreteEmbFactory | None = None,
        *,
        factory: ConcreteEmbFactory | None = None,
    ) -> Any:
        """Features of some people: an Embedding of one family, a collection of several.

        All families come from one reading of the pixels. ``pcfactory`` is of
        :func:`pca_factory`, or holds options of :func:`fhemb_xr.pca`.

        Raises
        ------
        UnknownNameError
            A person or a feature that is not there (a ``KeyError``).
        ValueError
            Bands without a wavelet.
        """
        figures.refuse_cells(heatmap, fvector)
        wavelet = factory if wdfactory is None else wdfactory
        if wavelet is None:
            figures.refuse_bands(fbands)
        wanted = families.by_family(
            feature_names.expand(STATISTICS if features is None else features)
        )
        names = [name for some in wanted.values() for name in some]
        ids = people(subjs, self._ids)
        said = (counted(ids), names, fbands, wavelet)
        _log.debug("project %s, features %s, bands %s by %s", *said)
        part = self._of(ids)
        numbers = [int(n[2:]) for n in wanted.get(families.PCOMPONENTS_TS, [])]
        basis = part._basis(pcfactory, max(numbers) + 1) if numbers else None
        unfiltered = wavelet is None or (isinstance(fbands, list | tuple) and not fbands)
        data = part._embed(
            names,
            **({} if basis is None else {"pca": basis}),
            **({} if unfiltered else _bands(wavelet, fbands)),
        )
        series = Series(data)
        place = {name: k for k, name in enumerate(names)}
        found = [
            part._embedding(series, {n: place[n] for n in some}, kind=kind, basis=basis)
            for kind, some in wanted.items()
        ]
        return found[0] if len(found) == 1 else EmbeddingCollection(*found)

    def create_pca_embedding(self, factory: ConcretePcaFactory) -> tuple[Embedding, str]:
        """Eigenface scores pc0, pc1, …, and the recipe as a text; nothing is written."""
        last = f"pc{factory.n_components - 1}"
        return self.project(features=[("pc0", last)], pcfactory=factory), factory.key

    def _basis(self, factory: Any, needed: int) -> xr.Dataset:
        asked = factory.options if isinstance(factory, ConcretePcaFactory) else factory or {}
        options = {**asked, "n_components": max(needed, asked.get("n_components", 0))}
        return eigenfaces.pca(self._heat, threshold=self._limit, **options)

    def _embed(self, names: Any, **options: Any) -> xr.DataArray:
        emb = pipeline.embed(self._heat, names, threshold=self._limit, **options)
        return emb.squeeze(schema.SESSION, drop=True)

    def _of(self, ids: list[Any]) -> "Datasource":
        part = self._ds.sel({schema.SUBJECT: ids})
        return type(self).from_recording(part, self._limit, self.piece_attributes)

    def _embedding(
        self,
        series: Series,
        columns: Any = None,
        *,
        kind: str,
        basis: xr.Dataset | None = None,
    ) -> Embedding:
        out = Embedding.from_data(series, columns, kind=kind)
        out.temperature_threshold = self._limit
        out.percentile_intv = self.piece_attributes.get("percentile_interval")
        if basis is not None and kind == families.PCOMPONENTS_TS:
            out.basis = basis.squeeze(schema.SESSION, drop=True)
        if kind == families.BINHEIGHTS_TS:
            out._edges = self.binedges if "binedges" in vars(self) else _Later(self)
        return out

    @property
    def rsfacebbox_t(self) -> "DatasourceResized":
        """The faces, each frame's own box on one grid of 60 rows and 40 columns."""
        heat = resize(self._ds, RESIZED)
        rest = self._ds.drop_dims([schema.Y, schema.X])
        ds = rest.assign({schema.HEATMAP: heat.assign_attrs({schema.RESIZED: 1})})
        return DatasourceResized.from_recording(ds, self._limit, self.piece_attributes)

    def plot_pdf(
        self, subj: Any, secs: float | Sequence[float], bw_method: str | float = 1
    ) -> Any:
        """Distribution of a face's temperatures at some seconds of the session."""
        from fhemb_xr import plot

        (person,) = people([subj], self._ids)
        return plot.pdf(self._visible, secs, subject=person, bw_method=bw_method)

    def __repr__(self) -> str:
        n = self._heat.sizes[schema.TIME]
        return f"{type(self).__name__}({n} frames of {counted(self._ids)})"


BaseDatasource = Datasource


class _Later(Mapping[str, Any]):
    """The bin edges of a datasource, computed when they are asked for."""

    def __init__(self, source: Datasource) -> None:
        self._source = source

    def __getitem__(self, key: str) -> Any:
        return self._source.binedges[key]

    def __iter__(self) -> Any:
        return iter(self._source.binedges)

    def __len__(self) -> int:
        return len(self._source.subjects)


class DatasourceResized(Datasource):
    """Faces that all have one size."""

    @property
    def normfacevec_ts(self) -> Embedding:
        """The pixels of every face, one after the other, ``fv0`` …."""
        heat = self._visible.squeeze(schema.SESSION, drop=True)
        bare = heat.drop_vars([schema.Y, schema.X], errors="ignore")
        out = bare.stack({schema.FEATURE: [schema.Y, schema.X]}, create_index=False)
        budget.check(8 * out[0].size, "the pixels of one person", "choose less time")
        names = [f"fv{k}" for k in range(out.sizes[schema.FEATURE])]
        out = out.assign_coords({schema.FEATURE: names})
        return self._embedding(Series(out), kind=families.VECTOR_TS)

    @property
    def bboxheatmap_ts(self) -> Embedding:
        """Means of cells of 5 × 5 pixels, ``g<row>_<column>``, row by row."""
        rows, columns = (
            math.ceil(self._heat.sizes[d] / frame_features.CELL) for d in (schema.Y, schema.X)
        )
        names = [f"g{r}_{c}" for r in range(rows) for c in range(columns)]
        return self._embedding(Series(self._embed(names)), kind=families.GRID_TS)


def _bands(wavelet: ConcreteEmbFactory | None, fbands: Any) -> dict[str, Any]:
    assert wavelet is not None
    bands = "all" if fbands is None else fbands
    return {"wavelet": wavelet.wtype, "level": wavelet.level, "bands": bands}
