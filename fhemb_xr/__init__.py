"""Lazy, out-of-core analysis of time series of facial heatmaps."""

from fhemb_xr import accessor as _accessor  # noqa: F401  (registers .fhemb)
from fhemb_xr import legacy, plot, testing  # noqa: F401  (fx.testing without an import)
from fhemb_xr.cluster import local_cluster
from fhemb_xr.diagnosis import show_versions
from fhemb_xr.io.erasure import forget
from fhemb_xr.io.pseudonyms import anonymize
from fhemb_xr.io.recording import open_embedding, open_recording, open_result
from fhemb_xr.io.repair import repair
from fhemb_xr.io.store import save
from fhemb_xr.io.streams import open_streams
from fhemb_xr.io.verification import verify
from fhemb_xr.io.versions import open_version, version, versions
from fhemb_xr.ops.alignment import warping_path
from fhemb_xr.ops.bands import coverage, wavelet_bands, wavelet_filter
from fhemb_xr.ops.butterworth import band_power, bandpass
from fhemb_xr.ops.cardiac import align, beats, cardiac_wave, instantaneous_rate, rr
from fhemb_xr.ops.classification import classify
from fhemb_xr.ops.coefficients import from_coefficients, wavelet_coefficients
from fhemb_xr.ops.decompose import pca, project, reconstruct
from fhemb_xr.ops.framewise import features
from fhemb_xr.ops.geometry import svd_relation
from fhemb_xr.ops.grouping import clusters, embed_relation, silhouette
from fhemb_xr.ops.inspection import inspect
from fhemb_xr.ops.normalisation import normalise
from fhemb_xr.ops.nulls import surrogates
from fhemb_xr.ops.pairing import pair
from fhemb_xr.ops.pairing_accuracy import pairing_accuracy
from fhemb_xr.ops.pairing_training import train_pairing
from fhemb_xr.ops.parts import split
from fhemb_xr.ops.pipeline import embed, replay
from fhemb_xr.ops.prototypes import barycentre
from fhemb_xr.ops.relation import normalize_relation, pairwise
from fhemb_xr.ops.resizing import resize
from fhemb_xr.ops.samples import prepare
from fhemb_xr.ops.search import nearest
from fhemb_xr.ops.selection import mask, select
from fhemb_xr.ops.significance import isc, synchrony
from fhemb_xr.ops.similarity import lagged_correlation
from fhemb_xr.ops.spectra import scalogram, spectrogram
from fhemb_xr.ops.statistics import moments
from fhemb_xr.ops.windows import to_torch
from fhemb_xr.options import set_options

__version__ = "0.1.0"
__all__ = [
    "align",
    "anonymize",
    "band_power",
    "bandpass",
    "barycentre",
    "beats",
    "cardiac_wave",
    "classify",
    "clusters",
    "coverage",
    "embed",
    "embed_relation",
    "features",
    "forget",
    "from_coefficients",
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
    "reconstruct",
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
    "to_torch",
    "train_pairing",
    "verify",
    "version",
    "versions",
    "warping_path",
    "wavelet_bands",
    "wavelet_coefficients",
    "wavelet_filter",
]
