"""What is asked of components, checked; and the series in blocks of people."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.components.unmixing import CONTRASTS, Mixture
from fhemb_xr.ops.checks import (
    listed,
    require_choice,
    require_count,
    require_positive,
    require_seed,
)
from fhemb_xr.ops.option_tables import COMPONENTS
from fhemb_xr.ops.units import warn_if_mixed

COMPONENT = "component"
SOBI_TOL = 1e-9
METHODS = ("fastica", "sobi", "own")
_ALONE = "fhemb_alone"
"""Dimension of the people where each is analysed alone."""
_LAGS, _LONGEST_S = 20, 10.0


def asked(
    x: xr.DataArray, n_components: object, fit: str, dim: Hashable | None, feature: Hashable,
    chosen: Mapping[str, Any],
) -> tuple[xr.DataArray, Mixture | None]:  # fmt: skip
    """The series as ``(..., people, time, feature)``, and the model; None of ``"own"``."""
    method = require_choice("method", chosen["method"], METHODS)
    COMPONENTS.require_used(method, chosen)
    x, feature = _named(x, feature)
    schema.require_dims(x, schema.TIME, feature, *([] if dim is None else [dim]))
    alone = require_choice("fit", fit, ("pooled", "subject")) == "subject" or dim is None
    k, width = require_count("n_components", n_components), x.sizes[feature]
    if k > width:
        raise ValueError(
            f"there are at most as many components as features, found n_components={k!r} for "
            f"{width} along {feature!r}"
        )
    if k < width:  # directions are chosen by their variance
        warn_if_mixed(x, "the choice of directions", "standardise them first", feature)
    seed = require_seed(chosen["seed"]) or 0
    lines = x.expand_dims(_ALONE) if alone else x
    lead = [] if not alone or dim is None else [dim]
    last = (_ALONE if alone else dim, schema.TIME, feature)
    lines = lines.transpose(..., *lead, *last)
    if method == "own":
        _require_function(chosen["own"])
        return lines, None
    model = Mixture(k, width, seed=seed)
    if method == "sobi":
        model = model._replace(lags=_lags(x, chosen["lags_s"]))
    else:
        model = model._replace(
            contrast=require_choice("contrast", chosen["contrast"], CONTRASTS),
            n_iter=require_count("n_iter", chosen["n_iter"]),
            tol=require_positive("tol", chosen["tol"]),
        )
    _require_room(lines, model)
    return lines, model


def _named(x: xr.DataArray, feature: Hashable) -> tuple[xr.DataArray, Hashable]:
    """Scores of a basis have ``component``, which the result needs for its own."""
    if COMPONENT not in x.dims or (feature in x.dims and feature != COMPONENT):
        return x, feature
    return x.rename({COMPONENT: schema.FEATURE}), schema.FEATURE


def _require_function(own: object) -> None:
    if not callable(own):
        raise ValueError(
            "method 'own' needs a function of (samples, features) that gives (samples, "
            f"n_components), found own={own!r:.60}"
        )


def _lags(x: xr.DataArray, lags_s: Any) -> tuple[int, ...]:
    """The lags in samples, each once."""
    clock = Clock.of(x).require_regular()
    rate, n = clock.rate_hz, x.sizes[schema.TIME]
    if lags_s is None:
        longest = max(1, min(round(_LONGEST_S * rate), n // 4))
        found = np.unique(np.geomspace(1, longest, _LAGS).round().astype(int)).tolist()
    else:
        found = sorted({clock.samples("lags_s", lag, 1) for lag in listed(lags_s)})
    if not found or found[-1] > n - 2:
        raise ValueError(
            f"lags_s holds one lag or more, each shorter than the series of {n / rate:g} s, "
            f"found {lags_s!r:.60}"
        )
    return tuple(found)


def _require_room(lines: xr.DataArray, model: Mixture) -> None:
    length, d = lines.sizes[schema.TIME], model.n_features
    cure = "take fewer features, e.g. scores of a basis, or a lower rate"
    budget.check(
        length * (24 * d + 40 * model.k),
        f"one person of {length} moments, {d} features and {model.k} components",
        cure,
    )
    budget.check(24 * model.moments.size, f"covariances of {d} features at all lags", cure)


def without_alone(
    out: xr.Dataset, lines: xr.DataArray, x: xr.DataArray, dim: Hashable | None
) -> xr.Dataset:
    """The result with the labels of ``x``, each person in their place again."""
    if _ALONE in out.dims:
        out = out.squeeze(_ALONE, drop=True)
    labels = {n: c.variable for n, c in lines.coords.items() if {*c.dims} <= {*out.dims}}
    number = np.arange(out.sizes[COMPONENT])
    return out.assign_coords(
        {n: v for n, v in labels.items() if n != _ALONE} | {COMPONENT: number}
    )
