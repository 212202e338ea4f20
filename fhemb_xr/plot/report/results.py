"""Further results in a report: each is known by its variables and drawn by its own figure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data
from fhemb_xr.plot.cardiac.rates import respiration
from fhemb_xr.plot.coherence.coherence import coherence
from fhemb_xr.plot.coherence.phase_locking import phase_locking
from fhemb_xr.plot.components.corrca import corrca
from fhemb_xr.plot.components.shared_response import shared_response
from fhemb_xr.plot.frames.regions import regions
from fhemb_xr.plot.inference.isc import isc
from fhemb_xr.plot.recurrence import recurrence
from fhemb_xr.plot.report.sections import Figure
from fhemb_xr.plot.states import states


@dataclass(frozen=True)
class _Kind:
    """The results of one function."""

    function: str
    holds: frozenset[str]
    section: str
    caption: str
    draw: Callable[..., Any]
    of_one: bool = False
    """Whether the figure is of one person."""


_SHARED = (
    "A row for each component: the mean course of the people over the seconds since the "
    "session's first frame, and in grey one standard deviation of the people to either side"
)
_KINDS = (
    _Kind(
        "corrca", frozenset({"patterns", "strength", "scores"}), "Components that correlate",
        f"Components in which the people correlate most. {_SHARED}.", corrca,
    ),
    _Kind(
        "shared_response", frozenset({"shared", "explained_of"}), "Courses that people share",
        f"What is left when each person has weights of their own. {_SHARED}; its label says "
        "the share of variance that it explains.", shared_response,
    ),
    _Kind(
        "states", frozenset({"pattern", "begin", "state_at"}), "States in one order",
        "A row for each person: a bar from the begin of each state to the next, over the "
        "seconds since the session's first frame. A star: the boundaries of the others hold in "
        "this person.", states,
    ),
    _Kind(
        "wavelet_coherence", frozenset({"coherence", "phase"}), "Who moves with whom, at which "
        "period", "Wavelet coherence of two people by time and period, short periods on top; "
        "grey where an end or a gap is too near. The title says who leads, and by which share "
        "of a period, where the mean over time is highest.", coherence,
    ),
    _Kind(
        "phase_locking", frozenset({"plv", "wpli"}), "Phases that stay together",
        "Phase-locking value and weighted phase-lag index by period, a curve for each pair; "
        "many pairs are grey under their median.", phase_locking,
    ),
    _Kind(
        "recurrence", frozenset({"RR", "DET", "LAM"}), "What comes back",
        "Recurrence quantification window by window, or its profile of lags; above eight "
        "curves they are grey under their median.", recurrence,
    ),
    _Kind(
        "respiration", frozenset({"wave", "rate", "quality"}), "Breathing and pulse",
        "Wave, rate and quality of one person: the rate stands at the middle of each window, "
        "and is left out where noise would do.", respiration, of_one=True,
    ),
    _Kind(
        "regions", frozenset({"embedding", "coverage", "residual"}), "Regions of a face",
        "One person: the temperature of each region, how far its middle is from its place in "
        "the mean face, and what the mean face does not explain of each frame.",
        regions, of_one=True,
    ),
    _Kind(
        "isc", frozenset({"isc"}), "Who moves with the others",
        "Inter-subject correlation; if it was tested, with the band of its null and dots where "
        "it is significant.", isc,
    ),
)  # fmt: skip


def is_basis(result: xr.Dataset) -> bool:
    """Whether a result is a basis of eigenfaces."""
    return {"components", "explained_variance_ratio"} <= {*result.data_vars}


def kind_of(result: xr.Dataset) -> _Kind:
    """What made a result.

    Raises
    ------
    SchemaError
        The report has no section for it.
    """
    names = {str(n) for n in result.data_vars}
    # the coherence of phase locking is one of its variables
    for kind in sorted(_KINDS, key=lambda k: k.function != "phase_locking"):
        if kind.holds <= names:
            return kind
    raise SchemaError(
        f"a report shows results of {', '.join(k.function for k in _KINDS)}, found a result "
        f"with {', '.join(sorted(names))}"
    )


def further(results: Iterable[xr.Dataset], who: object) -> Iterator[Figure]:
    """A figure of each result, of its first session."""
    for number, result in enumerate(results, 1):
        kind = kind_of(result)
        session = figure_data.one(result, schema.SESSION)
        named = (
            schema.SUBJECT in session.dims and who in session[schema.SUBJECT].values.tolist()
        )
        person = {"subject": who} if kind.of_one and named else {}
        yield Figure(
            f"{kind.function}_{number}",
            kind.section,
            kind.caption,
            kind.draw(session, **person),
        )
