"""Figures of small, loaded results: HoloViews objects for the notebook, the page and print.

Every function loads what it draws, and refuses what does not fit the budget.
"""

from fhemb_xr.plot import files
from fhemb_xr.plot.distributions import pdf, scree
from fhemb_xr.plot.faces import eigenfaces, frames
from fhemb_xr.plot.maps import histogram, lagged
from fhemb_xr.plot.matrices import dendrogram, relation
from fhemb_xr.plot.people import clusters_at, projection
from fhemb_xr.plot.playback import player
from fhemb_xr.plot.signals import signal

__all__ = [
    "clusters_at",
    "dendrogram",
    "eigenfaces",
    "files",
    "frames",
    "histogram",
    "lagged",
    "pdf",
    "player",
    "projection",
    "relation",
    "scree",
    "signal",
]
