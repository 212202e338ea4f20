"""Options of the metrics: which metric takes which, and their checks."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import require_choice, require_count, require_number, require_positive
from fhemb_xr.ops.option_tables import PAIRWISE, POINTS
from fhemb_xr.ops.pairwise.matrix_scaling import normalize_relation as normalize_relation
from fhemb_xr.ops.units import require_range

POINT_METRICS = (
    "euclidean", "sqeuclidean", "cityblock", "chebyshev", "minkowski", "canberra",
    "braycurtis", "cosine", "correlation", "hamming", "jaccard", "mahalanobis",
)  # fmt: skip


SCALED = ("dtw", "fastdtw", "soft_dtw", "soft_dtw_divergence", "euclidean", "dcor")
"""Metrics that add up features, so that the largest numbers decide."""
SCALE_FREE = ("mahalanobis", "canberra", "hamming", "jaccard")
"""Point metrics that weigh all features alike, whatever their units."""


_LAGGED = "max_lagged_correlation"


def _of_metric(metric: str, **given: Any) -> dict[str, Any]:
    """The parameters that ``metric`` has, checked."""
    PAIRWISE.require_used(metric, given)
    given = {name: given[name] for name in PAIRWISE.takes.get(metric, ())}
    if "window" in given:
        given["window"] = check_constraint(given["window"], given["itakura"])
    if "radius" in given:
        given["radius"] = require_count("radius", given["radius"], 0)
    if "gamma" in given:
        given["gamma"] = require_positive("gamma", given["gamma"])
    if "local" in given:
        given["local"] = require_choice(
            "point metric", given["local"], POINT_METRICS, synonyms.POINT_METRICS
        )
        POINTS.require_used(given["local"], given)
        given["p"] = require_positive("p", given["p"])
        given["precision"] = require_choice(
            "precision", given["precision"], ("double", "single"), synonyms.PRECISIONS
        )
    return given


def require_normalization(
    given: Any, x: xr.DataArray, dim: Hashable | None = None
) -> str | tuple[float, float]:
    """A way to scale series that is known, or a range as two floats.

    Raises
    ------
    UnknownNameError
        If there is no such way.
    ValueError
        If a range is none, or ``"frame"`` is asked of series of one feature.
    """
    if not isinstance(given, str) and given is not None:
        return require_range(given)
    how = require_choice(
        "normalization", given, metrics.NORMALIZATIONS, synonyms.NORMALIZATIONS
    )
    several = [d for d in (schema.FEATURE, schema.COMPONENT) if d != dim and d in x.dims]
    if how == "frame" and not any(x.sizes[d] > 1 for d in several):
        raise ValueError(
            f"normalize='frame' scales the features of each sample, found the dimensions "
            f"{x.dims} without several: choose 'zscore' or 'minmax'"
        )
    return how


def check_window(window: float | None) -> float | None:
    """A Sakoe-Chiba half-width as a plain int or float.

    Raises
    ------
    ValueError
        If it is negative, or a fraction above 1.
    """
    if window is None:
        return None
    number = window.item() if isinstance(window, np.ndarray) and not window.ndim else window
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    share = isinstance(number, float | np.floating)
    if not (whole and number >= 0) and not (share and 0 <= number <= 1):
        raise ValueError(
            f"window is a number of samples (int) or a fraction of the series (float), "
            f"found {window!r}"
        )
    return int(number) if whole else float(number)


def check_constraint(window: float | None, itakura: float | None) -> float | None:
    """The window of :func:`check_window`, if the two can be asked for together.

    Raises
    ------
    ValueError
        If one is out of range, or both are given.
    """
    if itakura is not None:
        _require_slope(itakura)
    if window is not None and itakura is not None:
        raise ValueError("asked for window and for itakura: give one of the two")
    return check_window(window)


def _require_slope(itakura: Any) -> None:
    try:
        steep = require_number("itakura", itakura) >= 1
    except ValueError:
        steep = False
    if not steep:
        raise ValueError(f"itakura is the largest slope, 1 or more, found {itakura!r}")


def lag_in_samples(max_lag_s: float | None, x: xr.DataArray) -> int:
    """The largest lag, if it is one and shorter than the series.

    Raises
    ------
    ValueError
        If it is not.
    SchemaError
        If the clock is uneven, or its rate not known.
    """
    schema.require_dims(x, schema.TIME)
    clock = Clock.of(x).require_regular()
    lag = None if max_lag_s is None else number_of_seconds("max_lag_s", max_lag_s)
    if lag is None or not 0 <= lag * clock.rate_hz < clock.n:
        raise ValueError(
            f"max_lag_s is a number of seconds from 0 to less than the series "
            f"({clock.n / clock.rate_hz:g} s), found {max_lag_s!r}"
        )
    return clock.samples("max_lag_s", lag)
