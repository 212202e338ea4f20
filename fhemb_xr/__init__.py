"""Lazy, out-of-core analysis of time series of facial heatmaps.

``import fhemb_xr as fx`` registers ``ds.fhemb``. Every function that acts on an array or a
Dataset is also its method. ``help(fx.embed)`` explains one function; by topic there are:

======================= =======================================================================
recordings, stores      recording, open_recording, open_embedding, open_result, save, select,
                        verify, repair, versions, version, open_version
people's privacy        anonymize, forget
faces                   mask, drop_bad, resize, moments, features, pca, project, reconstruct
the whole way           embed, replay, extend
frequency bands         wavelet_bands, wavelet_filter, wavelet_coefficients, from_coefficients,
                        coverage, bandpass, band_power, detrend, spectrogram, scalogram
pairs of people         pairwise, normalize_relation, nearest, warping_path, lagged_correlation,
                        soft_lag, recurrence, wavelet_coherence, phase_locking, granger,
                        transfer_entropy
more than chance        isc, group_isc, synchrony, surrogates, corrca, shared_response,
                        shared_scores, shared_weights
sources                 components
music and faces         audio_features, encode
states in time          states, state_likelihood
groups of people        clusters, silhouette, gap_statistic, barycentre, embed_relation,
                        svd_relation
parts of the face       regions, respiration, pulse
hearts and faces        beats, beats_at, events, rr, instantaneous_rate, cardiac_wave, align,
                        pair, train_pairing, pairing_accuracy
feature streams         open_streams, inspect, normalise, split, to_torch
classifiers             prepare, classify, shapelets, apply_estimator
search of embeddings    search, spec_values, search_band, importance
this machine            warm, local_cluster, set_options, show_versions
other tools             to_dataframe, to_mne, from_mne, to_bids, read_spans
figures, films          fx.plot, ds.fhemb.plot, make_video, view
simulated data          fx.testing.audience, fx.testing.hearts, fx.testing.streams
errors                  fx.errors
======================= =======================================================================
"""

import warnings as _warnings
from typing import Any

import lazy_loader as _lazy

from fhemb_xr import registration as _registration  # noqa: F401  (registers .fhemb)

# zarr says so of every array with a codec of numcodecs, such as our dense recordings
_warnings.filterwarnings(
    "ignore", "Numcodecs codecs are not in the Zarr version 3", UserWarning
)

__version__ = "0.1.0"
_MODULES = ("errors", "io", "legacy", "nn", "noxi", "ops", "plot", "schema", "testing")
_load, _, _names = _lazy.attach_stub(__name__, __file__)  # names and homes: __init__.pyi
__all__ = [name for name in _names if name not in _MODULES]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use, and put a function behind its door."""
    try:
        value = _load(name)
    except AttributeError:
        import sys

        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}",
            name=name,  # with these two, Python says "Did you mean"
            obj=sys.modules[__name__],
        ) from None
    if name in __all__:
        from fhemb_xr.ops import doors

        value = globals()[name] = doors.public(value)
    return value


def __dir__() -> list[str]:
    return [*_names, "__version__", "__doc__", "__file__", "__name__", "__path__"]


for _name in {*__all__} & {*globals()}:  # EAGER_IMPORT=1 of lazy_loader has loaded them
    __getattr__(_name)
