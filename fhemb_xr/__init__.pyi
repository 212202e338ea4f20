"""Public names and where they live; ``__init__.py`` loads each at its first use."""

from . import errors as errors
from . import io as io
from . import legacy as legacy
from . import nn as nn
from . import noxi as noxi
from . import ops as ops
from . import plot as plot
from . import schema as schema
from . import testing as testing
from .cluster import local_cluster
from .diagnostics import show_versions
from .extension import extend
from .io.icechunk_versions import open_version, version, versions
from .io.integrity.repair import repair
from .io.integrity.verification import verify
from .io.interchange.bids import to_bids
from .io.interchange.data_frames import to_dataframe
from .io.interchange.mne_raw import from_mne, to_mne
from .io.interchange.sound_files import audio_features
from .io.interchange.span_files import read_spans
from .io.own_arrays import recording
from .io.privacy.erasure import forget
from .io.privacy.pseudonyms import anonymize
from .io.recording import open_embedding, open_recording, open_result
from .io.store import save
from .io.streams import open_streams
from .ops.cardiac.events import beats_at, events
from .ops.cardiac.heart_rate import cardiac_wave, instantaneous_rate, rr
from .ops.cardiac.heartbeats import beats
from .ops.cardiac.pairing import pair
from .ops.cardiac.pairing_accuracy import pairing_accuracy
from .ops.cardiac.pairing_training import train_pairing
from .ops.cardiac.trace_alignment import align
from .ops.classification.cross_validation import classify
from .ops.classification.segments import prepare
from .ops.classification.shapelets import shapelets
from .ops.clustering.barycenters import barycentre
from .ops.clustering.clusters import clusters, silhouette
from .ops.clustering.manifold import embed_relation
from .ops.clustering.one_group import gap_statistic
from .ops.clustering.svd import svd_relation
from .ops.coherence.phase_locking import phase_locking
from .ops.coherence.wavelet_coherence import wavelet_coherence
from .ops.components.components import components
from .ops.components.corrca import corrca
from .ops.components.held_out import shared_scores, shared_weights
from .ops.components.shared_response import shared_response
from .ops.directed.granger import granger
from .ops.directed.transfer_entropy import transfer_entropy
from .ops.encoding.encode import encode
from .ops.estimators.apply_estimator import apply_estimator
from .ops.frames.bad_spans import drop_bad
from .ops.frames.frame_features import features
from .ops.frames.resizing import resize
from .ops.frames.selection import mask, select
from .ops.frames.statistics import moments
from .ops.inference.group_isc import group_isc
from .ops.inference.isc import isc
from .ops.inference.surrogates import surrogates
from .ops.inference.synchrony import synchrony
from .ops.pairwise.cross_correlation import lagged_correlation
from .ops.pairwise.matrix import normalize_relation, pairwise
from .ops.pairwise.nearest_neighbors import nearest
from .ops.pairwise.soft_lag import soft_lag
from .ops.pairwise.warping_paths import warping_path
from .ops.pca.eigenfaces import pca
from .ops.pca.projection import project, reconstruct
from .ops.pipeline import embed, replay
from .ops.recurrence.recurrence import recurrence
from .ops.regions.regions import regions
from .ops.respiration.respiration import pulse, respiration
from .ops.search.importance import importance
from .ops.search.search import search
from .ops.search.search_band import search_band
from .ops.search.values import spec_values
from .ops.states.state_likelihood import state_likelihood
from .ops.states.states import states
from .ops.streams.inspection import inspect
from .ops.streams.normalisation import normalise
from .ops.streams.splits import split
from .ops.streams.torch_windows import to_torch
from .ops.time_frequency.butterworth import band_power, bandpass
from .ops.time_frequency.detrend import detrend
from .ops.time_frequency.spectrograms import scalogram, spectrogram
from .ops.time_frequency.wavelet_bands import coverage, wavelet_bands, wavelet_filter
from .ops.time_frequency.wavelet_coefficients import from_coefficients, wavelet_coefficients
from .options import set_options
from .plot.frames.film_file import make_video
from .view.viewing import view
from .warm import warm

__version__: str
__all__ = [
    "align",
    "anonymize",
    "apply_estimator",
    "audio_features",
    "band_power",
    "bandpass",
    "barycentre",
    "beats",
    "beats_at",
    "cardiac_wave",
    "classify",
    "clusters",
    "components",
    "corrca",
    "coverage",
    "detrend",
    "drop_bad",
    "embed",
    "embed_relation",
    "encode",
    "events",
    "extend",
    "features",
    "forget",
    "from_coefficients",
    "from_mne",
    "gap_statistic",
    "granger",
    "group_isc",
    "importance",
    "inspect",
    "instantaneous_rate",
    "isc",
    "lagged_correlation",
    "local_cluster",
    "make_video",
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
    "phase_locking",
    "prepare",
    "project",
    "pulse",
    "read_spans",
    "reconstruct",
    "recording",
    "recurrence",
    "regions",
    "repair",
    "replay",
    "resize",
    "respiration",
    "rr",
    "save",
    "scalogram",
    "search",
    "search_band",
    "select",
    "set_options",
    "shapelets",
    "shared_response",
    "shared_scores",
    "shared_weights",
    "show_versions",
    "silhouette",
    "soft_lag",
    "spec_values",
    "spectrogram",
    "split",
    "state_likelihood",
    "states",
    "surrogates",
    "svd_relation",
    "synchrony",
    "to_bids",
    "to_dataframe",
    "to_mne",
    "to_torch",
    "train_pairing",
    "transfer_entropy",
    "verify",
    "version",
    "versions",
    "view",
    "warm",
    "warping_path",
    "wavelet_bands",
    "wavelet_coefficients",
    "wavelet_coherence",
    "wavelet_filter",
]
