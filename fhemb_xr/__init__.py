"""Lazy, out-of-core analysis of time series of facial heatmaps."""

from importlib import import_module
from typing import Any

_HOME = {
    "select": "ops.selection",
    "mask": "ops.selection",
    "resize": "ops.resizing",
    "moments": "ops.statistics",
    "features": "ops.framewise",
    "pca": "ops.decompose",
    "project": "ops.decompose",
    "reconstruct": "ops.decompose",
    "wavelet_bands": "ops.bands",
    "wavelet_filter": "ops.bands",
    "lagged_correlation": "ops.similarity",
    "pairwise": "ops.relation",
    "normalize_relation": "ops.relation",
    "clusters": "ops.grouping",
    "silhouette": "ops.grouping",
    "embed_relation": "ops.grouping",
    "embed": "ops.pipeline",
    "replay": "ops.pipeline",
    "open_recording": "io.recording",
    "open_embedding": "io.recording",
    "open_result": "io.recording",
    "save": "io.store",
    "show_versions": "diagnosis",
    "set_options": "options",
    "options": "options",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module("fhemb_xr." + _HOME[name]), name)
    if name in {"testing", "plot", "legacy", "schema", "errors", "accessor"}:
        return import_module("fhemb_xr." + name)
    raise AttributeError(name)
