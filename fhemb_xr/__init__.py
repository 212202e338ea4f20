"""Lazy, out-of-core analysis of time series of facial heatmaps."""

from fhemb_xr import accessor as _accessor  # noqa: F401  (registers .fhemb)
from fhemb_xr import legacy, plot, testing  # noqa: F401  (fx.testing without an import)
from fhemb_xr.cluster import local_cluster
from fhemb_xr.diagnostics import show_versions
from fhemb_xr.io.icechunk_versions import open_version, version, versions
from fhemb_xr.io.integrity.repair import repair
from fhemb_xr.io.integrity.verification import verify
from fhemb_xr.io.interchange.bids import to_bids
from fhemb_xr.io.interchange.data_frames import to_dataframe
from fhemb_xr.io.interchange.mne_raw import from_mne, to_mne
from fhemb_xr.io.interchange.span_files import read_spans
from fhemb_xr.io.own_arrays import recording
from fhemb_xr.io.privacy.erasure import forget
from fhemb_xr.io.privacy.pseudonyms import anonymize
from fhemb_xr.io.recording import open_embedding, open_recording, open_result
from fhemb_xr.io.store import save
from fhemb_xr.io.streams import open_streams
from fhemb_xr.ops.cardiac.events import beats_at, events
from fhemb_xr.ops.cardiac.heartbeats import beats, cardiac_wave, instantaneous_rate, rr
from fhemb_xr.ops.cardiac.pairing import pair
from fhemb_xr.ops.cardiac.pairing_accuracy import pairing_accuracy
from fhemb_xr.ops.cardiac.pairing_training import train_pairing
from fhemb_xr.ops.cardiac.trace_alignment import align
from fhemb_xr.ops.classification.cross_validation import classify
from fhemb_xr.ops.classification.segments import prepare
from fhemb_xr.ops.clustering.barycenters import barycentre
from fhemb_xr.ops.clustering.clusters import clusters, silhouette
from fhemb_xr.ops.clustering.manifold import embed_relation
from fhemb_xr.ops.clustering.one_group import gap_statistic
from fhemb_xr.ops.clustering.svd import svd_relation
from fhemb_xr.ops.components.corrca import corrca
from fhemb_xr.ops.frames.frame_features import features
from fhemb_xr.ops.frames.resizing import resize
from fhemb_xr.ops.frames.selection import mask, select
from fhemb_xr.ops.frames.statistics import moments
from fhemb_xr.ops.inference.group_isc import group_isc
from fhemb_xr.ops.inference.isc import isc
from fhemb_xr.ops.inference.surrogates import surrogates
from fhemb_xr.ops.inference.synchrony import synchrony
from fhemb_xr.ops.pairwise.cross_correlation import lagged_correlation
from fhemb_xr.ops.pairwise.matrix import normalize_relation, pairwise
from fhemb_xr.ops.pairwise.nearest_neighbors import nearest
from fhemb_xr.ops.pairwise.warping_paths import warping_path
from fhemb_xr.ops.pca.eigenfaces import pca
from fhemb_xr.ops.pca.projection import project, reconstruct
from fhemb_xr.ops.pipeline import embed, replay
from fhemb_xr.ops.streams.inspection import inspect
from fhemb_xr.ops.streams.normalisation import normalise
from fhemb_xr.ops.streams.splits import split
from fhemb_xr.ops.streams.torch_windows import to_torch
from fhemb_xr.ops.time_frequency.butterworth import band_power, bandpass
from fhemb_xr.ops.time_frequency.detrend import detrend
from fhemb_xr.ops.time_frequency.spectrograms import scalogram, spectrogram
from fhemb_xr.ops.time_frequency.wavelet_bands import coverage, wavelet_bands, wavelet_filter
from fhemb_xr.ops.time_frequency.wavelet_coefficients import (
    from_coefficients,
    wavelet_coefficients,
)
from fhemb_xr.options import set_options
from fhemb_xr.warm import warm

__version__ = "0.1.0"
__all__ = [
    "align",
    "anonymize",
    "band_power",
    "bandpass",
    "barycentre",
    "beats",
    "beats_at",
    "cardiac_wave",
    "classify",
    "clusters",
    "corrca",
    "coverage",
    "detrend",
    "embed",
    "embed_relation",
    "events",
    "features",
    "forget",
    "from_coefficients",
    "from_mne",
    "gap_statistic",
    "group_isc",
    "inspect",
    "instantaneous_rate",
    "isc",
    "lagged_correlation",
    "local_cluster",
    "mask",
    "moments",
    "nearest",
    "normalise",
    "normalize_relation",
    "open_embedding",
    "open_recording",
    "open_result",
    "open_streams",
    "open_version",
    "pair",
    "pairing_accuracy",
    "pairwise",
    "pca",
    "prepare",
    "project",
    "read_spans",
    "reconstruct",
    "recording",
    "repair",
    "replay",
    "resize",
    "rr",
    "save",
    "scalogram",
    "select",
    "set_options",
    "show_versions",
    "silhouette",
    "spectrogram",
    "split",
    "surrogates",
    "svd_relation",
    "synchrony",
    "to_bids",
    "to_dataframe",
    "to_mne",
    "to_torch",
    "train_pairing",
    "verify",
    "version",
    "versions",
    "warm",
    "warping_path",
    "wavelet_bands",
    "wavelet_coefficients",
    "wavelet_filter",
]

from fhemb_xr.ops import doors as _doors

for _name in __all__:
    globals()[_name] = _doors.public(globals()[_name])
del _name
