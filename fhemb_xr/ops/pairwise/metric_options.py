"""Options of the metrics: which metric takes which, and their checks."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.ops.checks import among, require_used
from fhemb_xr.ops.pairwise.matrix_scaling import normalize_relation as normalize_relation

POINT_METRICS = (
    "euclidean", "sqeuclidean", "cityblock", "chebyshev", "minkowski", "canberra",
    "braycurtis", "cosine", "correlation", "hamming", "jaccard", "mahalanobis",
)  # fmt: skip


_LAGGED = "max_lagged_correlation"


_PARAMETERS = {
    "dtw": ("window", "itakura", "local", "p", "precision"),
    "soft_dtw": ("gamma", "window", "itakura"),
    "soft_dtw_divergence": ("gamma", "window", "itakura"),
    "fastdtw": ("radius",),
    _LAGGED: ("max_lag_s",),
}
"""Options of each metric; those that are not here have none."""
_USUAL = {
    "window": None, "itakura": None, "local": "euclidean", "p": 3.0, "precision": "double",
    "gamma": 1.0, "radius": 1, "max_lag_s": None,
}  # fmt: skip
SYNONYMS = {
    "pearson": "correlation", "euclid": "euclidean", "l2": "euclidean", "softdtw": "soft_dtw",
    "distance_correlation": "dcor", "fast_dtw": "fastdtw",
}  # fmt: skip


def _of_metric(metric: str, **given: Any) -> dict[str, Any]:
    """The parameters that ``metric`` has, checked."""
    require_used("the metric", metric, _PARAMETERS, given, _USUAL)
    given = {name: given[name] for name in _PARAMETERS.get(metric, ())}
    if "window" in given:
        given["window"] = check_constraint(given["window"], given["itakura"])
    radius = given.get("radius", 1)
    if isinstance(radius, bool) or not isinstance(radius, int | np.integer) or radius < 0:
        raise ValueError(f"radius is a whole number from 0 on, found {radius!r}")
    if not given.get("gamma", 1) > 0:
        raise ValueError(f"gamma is a positive number, found {given['gamma']!r}")
    among("point metric", given.get("local", "euclidean"), POINT_METRICS)
    return given


def check_window(window: float | None) -> float | None:
    """A Sakoe-Chiba half-width as a plain int or float.

    Raises
    ------
    ValueError
        If it is negative, or a fraction above 1.
    """
    if window is None:
        return None
    if isinstance(window, bool) or not window >= 0 or (_is_share(window) and window > 1):
        raise ValueError(
            f"window is a number of samples (int) or a fraction of the series (float), "
            f"found {window!r}"
        )
    return float(window) if _is_share(window) else int(window)


def check_constraint(window: float | None, itakura: float | None) -> float | None:
    """The window of :func:`check_window`, if the two can be asked for together.

    Raises
    ------
    ValueError
        If one is out of range, or both are given.
    """
    if itakura is not None and not itakura >= 1:
        raise ValueError(f"itakura is the largest slope, 1 or more, found {itakura!r}")
    if window is not None and itakura is not None:
        raise ValueError("asked for window and for itakura: give one of the two")
    return check_window(window)


def _in_samples(max_lag_s: float | None, x: xr.DataArray, metric: str) -> int:
    if metric != _LAGGED:
        return 0
    schema.require_dims(x, schema.TIME)
    clock = Clock.of(x).require_regular()
    if max_lag_s is None or not 0 <= max_lag_s * clock.rate_hz < clock.n:
        raise ValueError(
            f"max_lag_s is a number of seconds from 0 to less than the series "
            f"({clock.n / clock.rate_hz:g} s), found {max_lag_s!r}"
        )
    return clock.samples("max_lag_s", max_lag_s)


def _is_share(window: float) -> bool:
    return not isinstance(window, int | np.integer)
