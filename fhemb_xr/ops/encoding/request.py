"""What is asked of an encoding model, checked: its stimulus, lags, penalties and folds."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import number_of_seconds
from fhemb_xr.errors import SchemaError, warn
from fhemb_xr.kernels.encoding.ridge import Model
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.ops.checks import listed, require_count, require_interval, require_positive

_LAGS = 50
"""Length of series, in ranges of lags, below which the linear shift finds too many drifts."""
STIMULUS = "stimulus"
"""Dimension of the features of a stimulus."""


def one_stimulus(faces: xr.DataArray, stimulus: xr.DataArray) -> xr.DataArray:
    """The stimulus with exactly one dimension of its own, called :data:`STIMULUS`."""
    for x in (faces, stimulus):
        schema.require_dims(x, schema.TIME)
    if STIMULUS in faces.dims:
        raise SchemaError(f"faces have no dimension {STIMULUS!r}, found {faces.dims}")
    own = [d for d in stimulus.dims if d not in faces.dims]
    if len(own) > 1:
        raise SchemaError(
            f"a stimulus has one dimension that faces have not, found {own}: stack them, or "
            "take one feature"
        )
    if not own and schema.FEATURE in stimulus.dims:
        raise SchemaError(
            f"both faces and stimulus have the dimension {schema.FEATURE!r}: call that of the "
            f"stimulus by its own name, stimulus.rename({schema.FEATURE}={STIMULUS!r})"
        )
    if not own:
        return stimulus.expand_dims(STIMULUS)
    return stimulus.rename({own[0]: STIMULUS}) if own[0] != STIMULUS else stimulus


def model_of(
    rate: float, lags_s: tuple[float, float], alphas: Sequence[float] | float, folds: int,
    gap_s: float | None,
) -> Model:  # fmt: skip
    """The lags, penalties and folds in samples, if they are in range."""
    if _is_one(lags_s):
        low, high = (number_of_seconds("lags_s", v) for v in lags_s)
    else:
        low, high = require_interval("lags_s", lags_s)
    lo, hi = round(low * rate), round(high * rate)
    penalties = tuple(require_positive("alphas", a) for a in listed(alphas))
    if not penalties:
        raise ValueError("alphas holds one penalty or more, found none")
    n_folds = require_count("folds", folds, 2 if len(penalties) == 1 else 3)
    gap = max(abs(lo), abs(hi))
    if gap_s is not None:
        gap = round(number_of_seconds("gap_s", gap_s) * rate)
    if gap < 0:
        raise ValueError(f"gap_s is a number of seconds from 0 on, found {gap_s!r}")
    return Model(lo, hi - lo + 1, penalties, n_folds, gap)


def _is_one(lags_s: Any) -> bool:
    """Whether the first lag is the last."""
    return isinstance(lags_s, tuple | list) and len(lags_s) == 2 and lags_s[0] == lags_s[1]


def warn_if_short(faces: xr.DataArray, model: Model, shifts: RandomShifts) -> None:
    """Say that shifts within the margin are few beside the lags; measured in docs/nulls.md."""
    length, lags = faces.sizes[schema.TIME], max(model.n_lags - 1, 1)
    if shifts.margin is None or length >= _LAGS * lags:
        return
    warn(
        f"the series are {length / lags:.3g} times as long as the range of lags: where "
        "they drift, the linear shift finds about .09 of them at .05; take series a hundred "
        "times as long, fewer lags, or null='swap'"
    )


def require_rows(faces: xr.DataArray, model: Model, shifts: RandomShifts | None) -> None:
    """Refuse folds that the gaps around them leave nothing of."""
    edge = 0 if shifts is None or shifts.margin is None else shifts.margin
    length = faces.sizes[schema.TIME]
    begin = max(edge, model.lo + model.n_lags - 1)
    rows = min(length - edge, length + model.lo) - begin
    if rows / model.n_folds < 2 * model.gap + 2:
        raise ValueError(
            f"{model.n_folds} folds of {max(rows, 0)} moments are to be longer than twice the "
            f"gap of {model.gap} samples: take a longer series, fewer folds, shorter lags or a "
            "smaller gap_s"
        )


def require_memory(faces: xr.DataArray, stimulus: xr.DataArray, model: Model) -> None:
    """Refuse sums of products that a task may not hold."""
    width, folds = model.n_lags * stimulus.sizes[STIMULUS], model.n_folds
    sums = 8 * width * width * (4 * folds + folds * folds // 2)
    budget.check(
        sums + 1000 * faces.sizes[schema.TIME],
        f"products of {model.n_lags} lags of {stimulus.sizes[STIMULUS]} features",
        "take fewer lags or features, or series and stimulus at a lower rate",
    )
