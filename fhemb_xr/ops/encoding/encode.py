"""Encoding models: what of a stimulus moves whom, after which delay."""

import math
from collections.abc import Hashable, Sequence
from functools import partial

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.encoding import encoding as kernel
from fhemb_xr.kernels.encoding.ridge import Model
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import halved, rechunked
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.encoding.request import (
    STIMULUS,
    model_of,
    one_stimulus,
    require_memory,
    require_rows,
    warn_if_short,
)
from fhemb_xr.ops.inference.exchange import crossed, p_values
from fhemb_xr.ops.inference.nulls import shifts_of
from fhemb_xr.ops.option_tables import EXCHANGE
from fhemb_xr.ops.pairwise.cross_correlation import common_clock
from fhemb_xr.ops.synonyms import NORMALIZATIONS
from fhemb_xr.ops.units import common_unit

ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
_TARGET = 2**25
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
    across: Hashable | None = None,
    people: Hashable = "subject",
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
        linear shift holds for series that drift, if they are about a hundred times as long
        as the lags; the circular one does not. With the linear shift only the middle of the
        series is modelled, without its margins. ``"swap"``: faces are exchanged for those of
        strangers, who followed another stimulus. It holds for any drift that people have in
        common, and asks whether this stimulus moves a person more than it seems to move those
        who never met it.
    n, margin_s, seed
        Number of shifts; seconds that series slide to either side (default: an eighth of
        the series); random seed. A shift needs a seed.
    across, people
        Groups of ``"swap"``, a dimension of both ``faces`` and ``stimulus`` such as
        ``session``; and the dimension of the people. Strangers are other people of other
        groups. The model is fitted once more for each group.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where an argument is: ``r(…)``, the mean correlation of
        prediction and series in held-out stretches, ``r_fold(…, fold)``, ``alpha_fold(…,
        fold)``, ``r_alpha(…, penalty)`` of every penalty; and of the model of the whole series,
        with the penalty that is best in ``r_alpha``: ``alpha(…)``, ``weights(…, lag,
        stimulus)`` [unit of the series per unit of the stimulus] and ``intercept(…)``. With a
        null ``p(…)``: how often a shift or a stranger gives as much or more,
        ``(1 + number) / (n + 1)``.

    Warns
    -----
    UserWarning
        If series are too short beside the lags for the linear shift to hold where they drift,
        or if there are too few strangers for a p of .05.

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
    bytes, 100 bytes per moment, and 100 MiB, beside the series of one person as they are
    stored and one chunk; tasks: one per 32 MiB of series; computes at call: none.

    References
    ----------
    - Crosse, Di Liberto, Bednar & Lalor (2016), Front. Hum. Neurosci. 10, 604,
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
    stimulus = one_stimulus(faces, stimulus)
    rate = common_clock(faces, stimulus)
    given = {"n": n, "seed": seed, "margin_s": margin_s, "across": across, "people": people}
    EXCHANGE.require_used(null, given)
    model = model_of(rate, lags_s, alphas, folds, gap_s)
    normalize = require_choice("normalize", normalize, ("none", "zscore"), NORMALIZATIONS)
    shifts, exchange = None, None
    if null is not None:
        null = require_choice("null", null, ("circular", "linear", "swap"), synonyms.NULLS)
    if null == "swap":
        exchange = crossed(stimulus, faces, across, people, ("stimulus", "faces"))
    elif null is not None:
        shifts = shifts_of(faces, null, n, seed, margin_s, model.n_lags, "the range of lags")
        warn_if_short(faces, model, shifts)
    require_rows(faces, model, shifts)
    require_memory(faces, stimulus, model)
    fields = model.fields(stimulus.sizes[STIMULUS])
    work = partial(
        apply_kernel, kernel.encoded, core=[[schema.TIME], [STIMULUS, schema.TIME]],
        new={"field": fields.size}, model=model, standardised=normalize == "zscore",
    )  # fmt: skip
    packed = work(*_blocks(faces, stimulus), shifts=shifts)
    out = _unpacked(packed, fields, model, stimulus, rate)
    if exchange is not None:
        r = work(*_blocks(exchange.every, exchange.still)).isel(field=fields["r"])
        out["p"] = p_values(exchange, r.reset_coords(drop=True)).transpose(*out["r"].dims)
    return _described(
        out if null is not None else out.drop_vars("p"), faces, stimulus, normalize
    )


def _blocks(faces: xr.DataArray, stimulus: xr.DataArray) -> list[xr.DataArray]:
    """Series whole in time, many at once; those of one stimulus are never apart."""
    shared = {d for d in stimulus.dims if d in faces.dims and d != schema.TIME}
    size = _chunks_of(faces, [d for d in faces.dims if d != schema.TIME], shared)
    bare = [x.drop_vars([schema.TIME, STIMULUS], errors="ignore") for x in (faces, stimulus)]
    others = [c for c in bare[1].coords if c not in bare[1].indexes]
    chunks = dict.fromkeys(shared, 1) | {schema.TIME: -1, STIMULUS: -1}
    return [
        rechunked(bare[0], size | {schema.TIME: -1}),
        rechunked(
            bare[1].drop_vars(others), {d: n for d, n in chunks.items() if d in bare[1].dims}
        ),
    ]


def _chunks_of(
    faces: xr.DataArray, lead: list[Hashable], shared: set[Hashable]
) -> dict[Hashable, int]:
    """How much of each dimension is in one block: chunks as they are read, joined or cut.

    Blocks that take a little of every chunk would have all of them wait in memory.
    """
    held = faces.chunksizes
    size = {d: 1 if d in shared else max(held.get(d, (faces.sizes[d],))) for d in lead}
    most = _TARGET // (8 * faces.sizes[schema.TIME])
    size = halved(size, most)
    for d in reversed([d for d in lead if d not in shared]):
        others = math.prod(n for e, n in size.items() if e != d)
        size[d] = max(size[d], min(faces.sizes[d], most // others // size[d] * size[d]))
    return size


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
    units = common_unit(faces, "unit of the series")
    per = "1" if normalize == "zscore" else common_unit(stimulus, "unit of the stimulus")
    r = "correlation of prediction and series where nothing is learnt"
    weight = units if per == "1" else f"{units}/({per})"
    texts = {
        "r": (f"mean {r}", "1"),
        "p": ("share of the null with as much or more", "1"),
        "alpha": ("penalty of the model", "1"),
        "intercept": ("intercept of the model", units),
        "r_fold": (r, "1"),
        "alpha_fold": ("penalty in the fold", "1"),
        "r_alpha": (f"mean {r}, of every penalty", "1"),
        "weights": ("weight of the stimulus at the lag", weight),
    }
    describe(out, texts)
    return out.assign_attrs(normalize=normalize, **Clock.of(faces).attrs)
