"""The ``.fhemb`` accessors: names and delegation. No computation, no state."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import xarray as xr

from fhemb_xr import plot, schema
from fhemb_xr.errors import nearest
from fhemb_xr.io import store
from fhemb_xr.io.interchange import bids, data_frames, mne_raw
from fhemb_xr.io.privacy import pseudonyms
from fhemb_xr.ops import doors, pipeline
from fhemb_xr.ops.cardiac import (
    events,
    heart_rate,
    heartbeats,
    pairing,
    pairing_accuracy,
    pairing_training,
    trace_alignment,
)
from fhemb_xr.ops.classification import cross_validation, segments
from fhemb_xr.ops.classification import shapelets as pieces
from fhemb_xr.ops.clustering import barycenters, manifold, one_group, svd
from fhemb_xr.ops.clustering import clusters as grouping
from fhemb_xr.ops.coherence import phase_locking, wavelet_coherence
from fhemb_xr.ops.components import components as unmixed
from fhemb_xr.ops.components import corrca, held_out, shared_response
from fhemb_xr.ops.directed import granger, transfer_entropy
from fhemb_xr.ops.encoding import encode
from fhemb_xr.ops.estimators import apply_estimator
from fhemb_xr.ops.frames import bad_spans, frame_features, resizing, selection, statistics
from fhemb_xr.ops.inference import group_isc, isc
from fhemb_xr.ops.inference import surrogates as nulls
from fhemb_xr.ops.inference import synchrony as significance
from fhemb_xr.ops.pairwise import cross_correlation, matrix, nearest_neighbors, warping_paths
from fhemb_xr.ops.pairwise import soft_lag as soft
from fhemb_xr.ops.pca import eigenfaces, projection
from fhemb_xr.ops.recurrence import recurrence
from fhemb_xr.ops.regions import regions
from fhemb_xr.ops.respiration import respiration as breathing
from fhemb_xr.ops.search import importance as carrying
from fhemb_xr.ops.search import search as searching
from fhemb_xr.ops.search import search_band as band_search
from fhemb_xr.ops.search import values as spec_table
from fhemb_xr.ops.states import state_likelihood, states
from fhemb_xr.ops.streams import inspection, normalisation, splits, torch_windows
from fhemb_xr.ops.time_frequency import butterworth, detrend, spectrograms
from fhemb_xr.ops.time_frequency import wavelet_bands as bands
from fhemb_xr.ops.time_frequency import wavelet_coefficients as coefficients
from fhemb_xr.plot import figure_data
from fhemb_xr.plot.frames import film_file

P = ParamSpec("P")
R = TypeVar("R")


def _method(
    function: Callable[Concatenate[Any, P], R], of: Callable[[Any], Any] | None = None
) -> Callable[Concatenate[Any, P], R]:
    """``function`` as a method: same signature and docstring, without its first argument.

    ``of`` says what of the object the function acts on, e.g. a recording's heatmap. The types
    are kept: an editor completes ``FhembDataset(ds).embed(`` without running anything.
    """

    @functools.wraps(function)
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        obj = self._obj if of is None else of(self._obj)
        out: R = doors.enter(function, obj, *args, **kwargs)
        return out

    first, *rest = inspect.signature(function).parameters.values()
    me = first.replace(name="self", annotation=inspect.Parameter.empty)
    method.__signature__ = inspect.Signature([me, *rest])  # type: ignore[attr-defined]
    return method


def _over(*dims: str) -> Callable[[Any], Any]:
    """The variable of a Dataset that a figure over ``dims`` draws."""
    return functools.partial(figure_data.variable, dims=dims)


class Plots:
    """Figures of one object; every method is a function of :mod:`fhemb_xr.plot`."""

    __slots__ = ("_obj",)

    def __init__(self, obj: xr.DataArray | xr.Dataset) -> None:
        self._obj = obj

    signal = _method(plot.signal, figure_data.series)
    bands = _method(plot.bands, _over(schema.TIME, schema.BAND))
    band_energy = _method(plot.band_energy, _over(schema.TIME, schema.BAND))
    scalogram = _method(plot.scalogram, _over(schema.TIME, "frequency"))
    lagged = _method(plot.lagged)
    lagged_at = _method(plot.lagged_at)
    relation = _method(plot.relation, figure_data.pairs)
    dendrogram = _method(plot.dendrogram, figure_data.pairs)
    projection = _method(plot.projection, _over(schema.AXIS))
    clusters_at = _method(plot.clusters_at, _over(schema.SUBJECT))
    pdf = _method(plot.pdf, _over(schema.TIME, schema.Y, schema.X))
    histogram = _method(plot.histogram, _over(schema.FEATURE))
    values = _method(plot.values, _over(schema.TIME))
    warping = _method(plot.warping)
    silhouette = _method(plot.silhouette)
    accuracy = _method(plot.accuracy)
    scores = _method(plot.scores)
    search = _method(plot.search)
    importance = _method(plot.importance)
    isc = _method(plot.isc)
    synchrony = _method(plot.synchrony)
    group_isc = _method(plot.group_isc)
    null_histogram = _method(plot.null_histogram)
    normalisation = _method(plot.normalisation)
    components = _method(plot.components)
    corrca = _method(plot.corrca)
    shared_response = _method(plot.shared_response)
    coherence = _method(plot.coherence)
    phase_locking = _method(plot.phase_locking)
    encoding = _method(plot.encoding)
    recurrence = _method(plot.recurrence)
    regions = _method(plot.regions)
    respiration = _method(plot.respiration)
    states = _method(plot.states)
    pair = _method(plot.pair)
    eigenfaces = _method(plot.eigenfaces)
    scree = _method(plot.scree)
    frames = _method(plot.frames, _over(schema.TIME, schema.Y, schema.X))
    player = _method(plot.player)


FIGURES = tuple(n for n in vars(Plots) if not n.startswith("_"))


class _Accessor:
    """What both accessors hold: the object, and nothing more."""

    __slots__ = ("_obj",)

    def __init__(self, obj: Any) -> None:
        self._obj = obj  # every ds["name"] builds a new accessor: state here would be lost

    select = _method(selection.select)
    drop_bad = _method(bad_spans.drop_bad)
    save = _method(store.save)
    anonymize = _method(pseudonyms.anonymize)
    embed = _method(pipeline.embed)
    spec_values = _method(spec_table.spec_values)
    search = _method(searching.search)
    resize = _method(resizing.resize)
    make_video = _method(film_file.make_video)
    regions = _method(regions.regions)
    respiration = _method(breathing.respiration)
    pulse = _method(breathing.pulse)
    align = _method(trace_alignment.align)
    pair = _method(pairing.pair)
    train_pairing = _method(pairing_training.train_pairing)  # type: ignore[arg-type]  # **options

    @property
    def plot(self) -> Plots:
        """Figures."""
        return Plots(self._obj)

    def __repr__(self) -> str:
        from fhemb_xr.plot.notebook import summary

        return summary.text(self._obj)

    def _repr_html_(self) -> str:
        from fhemb_xr.plot.notebook import summary

        return summary.html(self._obj)

    def __getattr__(self, name: str) -> Any:
        """Say where a method that the other accessor has is found."""
        other = FhembDataArray if isinstance(self, FhembDataset) else FhembDataset
        if name.startswith("_") or name not in vars(other):
            known = [m for m in dir(type(self)) if not m.startswith("_")]
            raise AttributeError(f"no method {name!r} of .fhemb{nearest(name, known)}")
        if other is FhembDataset:
            raise AttributeError(f".fhemb.{name} acts on a Dataset, this is one array")
        names = sorted(map(str, self._obj.data_vars)) or ["..."]
        raise AttributeError(
            f".fhemb.{name} acts on one array: choose a variable, ds[{names[0]!r}].fhemb.{name}"
            "(...), or embed the recording first, ds.fhemb.embed(...)"
        )


class FhembDataArray(_Accessor):
    """Methods on one array: a heatmap, an embedding, a relation."""

    __slots__ = ()

    mask = _method(selection.mask)
    moments = _method(statistics.moments)
    features = _method(frame_features.features)
    pca = _method(eigenfaces.pca)
    project = _method(projection.project)
    reconstruct = _method(projection.reconstruct)
    wavelet_bands = _method(bands.wavelet_bands)
    wavelet_filter = _method(bands.wavelet_filter)
    wavelet_coefficients = _method(coefficients.wavelet_coefficients)
    coverage = _method(bands.coverage)
    bandpass = _method(butterworth.bandpass)
    band_power = _method(butterworth.band_power)
    detrend = _method(detrend.detrend)
    spectrogram = _method(spectrograms.spectrogram)
    scalogram = _method(spectrograms.scalogram)
    lagged_correlation = _method(cross_correlation.lagged_correlation)
    pairwise = _method(matrix.pairwise)
    soft_lag = _method(soft.soft_lag)
    nearest = _method(nearest_neighbors.nearest)
    warping_path = _method(warping_paths.warping_path)
    normalize_relation = _method(matrix.normalize_relation)
    clusters = _method(grouping.clusters)
    prepare = _method(segments.prepare)
    classify = _method(cross_validation.classify)
    shapelets = _method(pieces.shapelets)
    apply_estimator = _method(apply_estimator.apply_estimator)
    importance = _method(carrying.importance)
    search_band = _method(band_search.search_band)
    barycentre = _method(barycenters.barycentre)
    silhouette = _method(grouping.silhouette)
    gap_statistic = _method(one_group.gap_statistic)
    embed_relation = _method(manifold.embed_relation)
    svd_relation = _method(svd.svd_relation)
    surrogates = _method(nulls.surrogates)
    synchrony = _method(significance.synchrony)  # type: ignore[arg-type]  # **parameters
    isc = _method(isc.isc)
    group_isc = _method(group_isc.group_isc)
    components = _method(unmixed.components)
    corrca = _method(corrca.corrca)
    shared_response = _method(shared_response.shared_response)
    shared_scores = _method(held_out.shared_scores)
    shared_weights = _method(held_out.shared_weights)
    states = _method(states.states)
    state_likelihood = _method(state_likelihood.state_likelihood)
    recurrence = _method(recurrence.recurrence)
    wavelet_coherence = _method(wavelet_coherence.wavelet_coherence)
    phase_locking = _method(phase_locking.phase_locking)
    granger = _method(granger.granger)
    transfer_entropy = _method(transfer_entropy.transfer_entropy)
    encode = _method(encode.encode)
    beats = _method(heartbeats.beats)
    events = _method(events.events)
    rr = _method(heart_rate.rr)
    instantaneous_rate = _method(heart_rate.instantaneous_rate)
    cardiac_wave = _method(heart_rate.cardiac_wave)
    to_bids = _method(bids.to_bids)
    to_dataframe = _method(data_frames.to_dataframe)
    to_mne = _method(mne_raw.to_mne)


class FhembDataset(_Accessor):
    """Methods on a recording, of which those on pixels act on ``heatmap``; and on streams."""

    __slots__ = ()

    mask = _method(selection.mask, pipeline.heatmap)
    moments = _method(statistics.moments, pipeline.heatmap)
    features = _method(frame_features.features, pipeline.heatmap)
    pca = _method(eigenfaces.pca, pipeline.heatmap)
    project = _method(projection.project, pipeline.heatmap)
    wavelet_bands = _method(bands.wavelet_bands, pipeline.heatmap)
    wavelet_filter = _method(bands.wavelet_filter, pipeline.heatmap)
    wavelet_coefficients = _method(coefficients.wavelet_coefficients, pipeline.heatmap)
    from_coefficients = _method(coefficients.from_coefficients)
    normalise = _method(normalisation.normalise)
    inspect = _method(inspection.inspect)
    split = _method(splits.split)
    to_torch = _method(torch_windows.to_torch)
    pairing_accuracy = _method(pairing_accuracy.pairing_accuracy)


NOT_METHODS = {
    "audio_features",
    "beats_at",
    "extend",
    "forget",
    "from_mne",
    "local_cluster",
    "open_embedding",
    "open_recording",
    "open_result",
    "open_version",
    "open_streams",
    "read_spans",
    "recording",
    "repair",
    "replay",
    "set_options",
    "show_versions",
    "verify",
    "version",
    "versions",
    "view",
    "warm",
}
"""Public functions that do not act on an xarray object."""
