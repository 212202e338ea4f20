"""Figures of small, loaded results: HoloViews objects for the notebook, the page and print.

Every function loads what it draws, and refuses what does not fit the budget.
"""

from fhemb_xr.ops import doors
from fhemb_xr.plot import files
from fhemb_xr.plot.bands import band_energy, bands, scalogram
from fhemb_xr.plot.cardiac.pairing import pair
from fhemb_xr.plot.cardiac.rates import respiration
from fhemb_xr.plot.clustering.projections import clusters_at, projection
from fhemb_xr.plot.clustering.score_grid import scores
from fhemb_xr.plot.clustering.scores import accuracy, silhouette
from fhemb_xr.plot.coherence.coherence import coherence
from fhemb_xr.plot.coherence.phase_locking import phase_locking
from fhemb_xr.plot.components.components import components
from fhemb_xr.plot.components.corrca import corrca
from fhemb_xr.plot.components.shared_response import shared_response
from fhemb_xr.plot.encoding import encoding
from fhemb_xr.plot.frames.distributions import pdf, scree
from fhemb_xr.plot.frames.faces import eigenfaces, frames
from fhemb_xr.plot.frames.histograms import histogram
from fhemb_xr.plot.frames.player import player
from fhemb_xr.plot.frames.regions import regions
from fhemb_xr.plot.frames.value_histograms import values
from fhemb_xr.plot.inference.groups import group_isc
from fhemb_xr.plot.inference.isc import isc
from fhemb_xr.plot.inference.null import null_histogram
from fhemb_xr.plot.inference.synchrony import synchrony
from fhemb_xr.plot.normalisation import normalisation
from fhemb_xr.plot.notebook import display as _display  # noqa: F401  (registers itself)
from fhemb_xr.plot.pairwise.lagged import lagged, lagged_at
from fhemb_xr.plot.pairwise.matrices import dendrogram, relation
from fhemb_xr.plot.pairwise.warping import warping
from fhemb_xr.plot.recurrence import recurrence
from fhemb_xr.plot.search.importance import importance
from fhemb_xr.plot.search.search import search
from fhemb_xr.plot.signals import signal
from fhemb_xr.plot.states import states

__all__ = [
    "accuracy",
    "band_energy",
    "bands",
    "clusters_at",
    "coherence",
    "components",
    "corrca",
    "dendrogram",
    "eigenfaces",
    "encoding",
    "files",
    "frames",
    "group_isc",
    "histogram",
    "importance",
    "isc",
    "lagged",
    "lagged_at",
    "normalisation",
    "null_histogram",
    "pair",
    "pdf",
    "phase_locking",
    "player",
    "projection",
    "recurrence",
    "regions",
    "relation",
    "respiration",
    "scalogram",
    "scores",
    "scree",
    "search",
    "shared_response",
    "signal",
    "silhouette",
    "states",
    "synchrony",
    "values",
    "warping",
]

for _name in __all__:
    if callable(globals()[_name]):
        globals()[_name] = doors.public(globals()[_name])
del _name


def __dir__() -> list[str]:
    """Names of the figures, without the modules that hold them."""
    return __all__
