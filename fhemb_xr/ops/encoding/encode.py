"""Encoding models: what of a stimulus moves whom, after which delay."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.encoding import encoding as kernel
from fhemb_xr.kernels.encoding.encoding import Shifts
from fhemb_xr.kernels.encoding.ridge import Model
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import (
    listed,
    require_choice,
    require_count,
    require_interval,
    require_positive,
)
from fhemb_xr.ops.inference.nulls import margin_of, require_seed
from fhemb_xr.ops.option_tables import ENCODE
from fhemb_xr.ops.pairwise.cross_correlation import common_clock
from fhemb_xr.ops.synonyms import NORMALIZATIONS

STIMULUS = "stimulus"
ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
_TARGET = 2**26
"""Bytes of the series of one task."""


def encode(
    faces: xr.DataArray,
    stimulus: xr.DataArray,
    lags_s: tuple[float, float] = (0.0, 12.0),
    alphas: Sequence[float] | float = ALPHAS,
    folds: int = 5,
    *,
    gap_s: float | None = None,
    normalize: str = "zscore",
    null: str | None = None,
    n: int = 99,
    margin_s: float | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Encoding model: what of a stimulus moves each series, and after which delay.

    Each series is predicted by ridge regression from the stimulus at all lags of a range (a
    temporal response function). The model is tested on stretches of time that it has not
    learnt from.

    Parameters
    ----------
    faces
        Series along ``time`` in any chunks, e.g. features of faces; every entry of the other
        dimensions has a model of its own.
    stimulus
        ``(time)`` or ``(time, stimulus)`` on the same clock, e.g. of
        :func:`fhemb_xr.audio_features`. The second dimension is called ``stimulus``, or as
        none of ``faces``; dimensions that ``faces`` has too, such as ``session``, are matched
        by name.
    lags_s
        First and last lag [s], rounded to samples. At a positive lag the face follows.
    alphas
        Penalties ``a`` of ``|y - b - z w|² + a |w|²``. Of several, each fold takes the one with
        the best correlations in folds that are tested neither by it nor by the model itself.
    folds
        Number of contiguous stretches that are held out in turn: two or more, three or more
        for several penalties.
    gap_s
        Time on either side of a held-out stretch from which nothing is learnt [s]; by default
        the longest lag.
    normalize
        ``"zscore"``: each feature of the stimulus gets mean 0 and variance 1 first. ``"none"``:
        as it is; a feature multiplied by c has a penalty divided by c².
    null
        ``"linear"`` or ``"circular"``: series are shifted in time at random by more than the
        range of lags, and everything, the choice of a penalty too, is done again. The
        linear shift holds for series that drift, the circular one does not. With the linear
        shift only the middle of the series is modelled, without its margins.
    n, margin_s, seed
        Of a null: number of shifts, seconds that series slide to either side (default: an
        eighth of the series), random seed, which is needed.

    Returns
    -------
    Dataset, float64, lazy where an argument is: ``r(…)``, the mean correlation of prediction
    and series in held-out stretches, ``r_fold(…, fold)``, ``alpha_fold(…, fold)``,
    ``r_alpha(…, penalty)`` of every penalty; and of the model of the whole series, with the
    penalty that is best in ``r_alpha``: ``alpha(…)``, ``weights(…, lag, stimulus)`` [unit of
    the series per unit of the stimulus] and ``intercept(…)``. With a null ``p(…)``: how often a
    shift gives as much or more, ``(1 + number) / (n + 1)``.

    Raises
    ------
    SchemaError
        If there is no ``time``, or the stimulus has too many dimensions.
    ValueError
        If the clocks differ, the folds are shorter than the gaps, or a number is out of range.
    BudgetError
        If the products of all columns need more than a task may hold.

    Notes
    -----
    A moment counts where the series and all lags of the stimulus are there. Products of lagged
    columns are block Toeplitz: one block row is summed over time. They are made once for all
    series with the same gaps; one eigendecomposition of each training set serves all
    penalties, series and shifts. A stretch in which a series never moves has no ``r``.
    With P = lags * features of the stimulus, and F folds: memory per task ``8 P² (4 F + F²/2)``
    bytes, and 1000 bytes per sample of one series; tasks: one per 64 MiB of series, beside
    those that put the series together; computes at call: none.

    References
    ----------
    Crosse, Di Liberto, Bednar & Lalor (2016), Front. Hum. Neurosci. 10, 604,
    doi:10.3389/fnhum.2016.00604.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> music = xr.DataArray(rng.normal(size=600), dims="time", attrs={"sampling_rate": 5.0})
    >>> face = music.copy(data=np.roll(music, 10) + rng.normal(size=600))  # 2 s later
    >>> out = fx.encode(face, music, (0, 4))
    >>> float(out.r.round(1)), float(abs(out.weights).squeeze().idxmax("lag"))
    (0.7, 2.0)
    """
    stimulus = _one_stimulus(faces, stimulus)
    rate = common_clock(faces, stimulus)
    ENCODE.require_used(null, {"n": n, "seed": seed, "margin_s": margin_s})
    model = _model(rate, lags_s, alphas, folds, gap_s)
    normalize = require_choice("normalize", normalize, ("none", "zscore"), NORMALIZATIONS)
    shifts = None
    if null is not None:
        null = require_choice("null", null, ("circular", "linear"), synonyms.NULLS)
        shifts = _shifts(faces, model, null, *require_seed(null, n, seed), margin_s)
    _require_rows(faces, model, shifts)
    _require_memory(faces, stimulus, model)
    fields = model.fields(stimulus.sizes[STIMULUS])
    packed = apply_kernel(
        kernel.encoded, *_blocks(faces, stimulus),
        core=[[schema.TIME], [STIMULUS, schema.TIME]], new={"field": fields.size},
        model=model, standardised=normalize == "zscore", shifts=shifts,
    )  # fmt: skip
    out = _unpacked(packed, fields, model, stimulus, rate)
    return _described(
        out if shifts is not None else out.drop_vars("p"), faces, stimulus, normalize
    )


def _one_stimulus(faces: xr.DataArray, stimulus: xr.DataArray) -> xr.DataArray:
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


def _model(
    rate: float, lags_s: tuple[float, float], alphas: Sequence[float] | float, folds: int,
    gap_s: float | None,
) -> Model:  # fmt: skip
    low, high = require_interval("lags_s", lags_s) if not _is_one(lags_s) else lags_s
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


def _shifts(
    faces: xr.DataArray, model: Model, null: str, n: int, seed: int, margin_s: float | None
) -> Shifts:
    margin = margin_of(faces, margin_s) if null == "linear" else None
    most = faces.sizes[schema.TIME] // 2 if margin is None else margin
    if model.n_lags > most:
        raise ValueError(
            f"a shift is longer than the range of lags, {model.n_lags} samples or more, found "
            f"{most} samples at most: take fewer lags, or a larger margin_s"
        )
    return Shifts(n, model.n_lags, margin, seed)


def _require_rows(faces: xr.DataArray, model: Model, shifts: Shifts | None) -> None:
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


def _require_memory(faces: xr.DataArray, stimulus: xr.DataArray, model: Model) -> None:
    width, folds = model.n_lags * stimulus.sizes[STIMULUS], model.n_folds
    sums = 8 * width * width * (4 * folds + folds * folds // 2)
    budget.check(
        sums + 1000 * faces.sizes[schema.TIME],
        f"products of {model.n_lags} lags of {stimulus.sizes[STIMULUS]} features",
        "take fewer lags or features, or series and stimulus at a lower rate",
    )


def _blocks(faces: xr.DataArray, stimulus: xr.DataArray) -> list[xr.DataArray]:
    """Series whole in time, many at once; those of one stimulus are never apart."""
    shared = {d for d in stimulus.dims if d in faces.dims and d != schema.TIME}
    size = {d: 1 if d in shared else n for d, n in faces.sizes.items() if d != schema.TIME}
    while math.prod(size.values()) * 8 * faces.sizes[schema.TIME] > _TARGET and size:
        widest = max(size, key=lambda d: size[d])
        if size[widest] == 1:
            break
        size[widest] = (size[widest] + 1) // 2
    bare = [x.drop_vars([schema.TIME, STIMULUS], errors="ignore") for x in (faces, stimulus)]
    others = [c for c in bare[1].coords if c not in bare[1].indexes]
    chunks = dict.fromkeys(shared, 1) | {schema.TIME: -1, STIMULUS: -1}
    return [
        rechunked(bare[0], size | {schema.TIME: -1}),
        rechunked(
            bare[1].drop_vars(others), {d: n for d, n in chunks.items() if d in bare[1].dims}
        ),
    ]


def _unpacked(
    packed: xr.DataArray, fields: Fields, model: Model, stimulus: xr.DataArray, rate: float
) -> xr.Dataset:
    dims = {
        "r_fold": ("fold",), "alpha_fold": ("fold",), "r_alpha": ("penalty",),
        "weights": (schema.LAG, STIMULUS),
    }  # fmt: skip
    packed = packed.transpose(..., "field")
    lead = packed.dims[:-1]
    out = xr.Dataset(
        {
            name: ((*lead, *dims.get(name, ())), fields.part(packed.data, name))
            for name in fields.shapes
        },
        coords=packed.coords,
    )
    lags = np.arange(model.lo, model.lo + model.n_lags) / rate
    out = out.assign_coords(
        {
            schema.LAG: (schema.LAG, lags, {"long_name": "lag", "units": "s"}),
            "penalty": list(model.alphas),
        }
    )
    known = STIMULUS in stimulus.indexes
    return out.assign_coords({STIMULUS: stimulus[STIMULUS].variable}) if known else out


def _described(
    out: xr.Dataset, faces: xr.DataArray, stimulus: xr.DataArray, normalize: str
) -> xr.Dataset:
    units = str(faces.attrs.get("units", "1"))
    per = "1" if normalize == "zscore" else str(stimulus.attrs.get("units", "1"))
    r = "correlation of prediction and series where nothing is learnt"
    weight = units if per == "1" else f"{units}/({per})"
    texts = {
        "r": (f"mean {r}", "1"),
        "p": ("share of shifts with as much or more", "1"),
        "alpha": ("penalty of the model", "1"),
        "intercept": ("intercept of the model", units),
        "r_fold": (r, "1"),
        "alpha_fold": ("penalty in the fold", "1"),
        "r_alpha": (f"mean {r}, of every penalty", "1"),
        "weights": ("weight of the stimulus at the lag", weight),
    }
    for name, (long_name, unit) in texts.items():
        if name in out:
            out[name].attrs = {"long_name": long_name, "units": unit}
    return out.assign_attrs(normalize=normalize, **Clock.of(faces).attrs)
