"""How steadily two people keep a phase, at each period."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.kernels.coherence import locking as kernel
from fhemb_xr.kernels.coherence.wavelets import Scales
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.coherence.nulls import warn_of_few
from fhemb_xr.ops.coherence.pairs import over_pairs, whole
from fhemb_xr.ops.coherence.request import labelled, ordered, periods_of, spans_of
from fhemb_xr.ops.inference.nulls import shifts_of
from fhemb_xr.ops.option_tables import SHIFTS
from fhemb_xr.typing import F64


def phase_locking(
    x: xr.DataArray,
    dim: Hashable = "subject",
    periods_s: tuple[float, float] = (2.0, 60.0),
    *,
    per_octave: int = 12,
    null: str | None = None,
    n: int = 99,
    margin_s: float | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Phase locking of two people over the whole time, at each period.

    Two people lock if the difference of their phases stays the same. Only
    :func:`wavelet_coherence` says when.

    Parameters
    ----------
    x
        Series ``(…, dim, time)`` in any order and chunks.
    dim
        Dimension of the people; every pair of them is compared.
    periods_s
        Shortest and longest period [s].
    per_octave
        Periods in each octave.
    null
        ``"linear"`` or ``"circular"``: one of each pair is shifted in time at random. The
        linear shift holds for series that drift, and then the middle of the series is compared;
        the circular one does not. Neither holds for two people who follow the same periodic
        stimulus.
    n, margin_s, seed
        Number of shifts; seconds that a series slides to either side (default: an eighth of
        the series); random seed. A null needs a seed.

    Returns
    -------
    Dataset
        Dataset ``(…, pair, period)``, float64, lazy where ``x`` is. ``plv``, the phase locking
        value, length of the mean of ``exp(i phase)``; ``wpli``, the weighted phase lag index,
        mean of the imaginary part of the cross-spectrum over the mean of its size, to which a
        common source without a delay adds nothing (NaN if there is no delay at all);
        ``coherence``, squared, of the whole time; all from 0 to 1. ``phase`` of the mean
        cross-spectrum [rad], positive where the first of the pair leads. ``pair`` and
        ``period`` as in :func:`wavelet_coherence`. With a null ``p_plv`` and ``p_wpli``, the
        share of shifts with as much, ``(1 + number) / (n + 1)``.

    Raises
    ------
    SchemaError
        If a dimension or the sampling rate is missing, or the clock is uneven.
    ValueError
        If there are fewer than two people, a period has fewer than 4 samples or no moment
        outside the cones, or a number is out of range.
    BudgetError
        If the transforms of a stretch, or of whole series for a shift, are larger than a task
        may hold.

    Notes
    -----
    Morlet wavelet of six oscillations; moments in the cone of an end or a gap are left out. A
    few oscillations lock by chance: compare with a null, above all at long periods.
    Memory per task: ``50 * periods`` bytes per sample of a stretch and its margins, 12 times
    the longest scale; with a shift 100, of a whole series. Tasks: one for each person and
    stretch, two for each pair and stretch. Computes at call: none.

    References
    ----------
    - Lachaux, Rodriguez, Martinerie & Varela (1999), Hum. Brain Mapp. 8, 194-208,
      doi:10.1002/(SICI)1097-0193(1999)8:4<194::AID-HBM4>3.0.CO;2-C.
    - Vinck, Oostenveld, van Wingerden, Battaglia & Pennartz (2011), NeuroImage 55, 1548-1565,
      doi:10.1016/j.neuroimage.2011.01.055.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(600) / 5
    >>> waves = [np.sin(2 * np.pi * (t - late) / 8) for late in (0, 1)]
    >>> noise = np.random.default_rng(0).normal(size=(2, 600))
    >>> x = xr.DataArray(waves + noise, dims=("subject", "time"), coords={"time": t})
    >>> out = fx.phase_locking(x, periods_s=(4, 16)).sel(period=8).squeeze()
    >>> out.plv.round(1).item(), out.wpli.round(1).item()
    (1.0, 1.0)
    """
    schema.require_dims(x, dim, schema.TIME)
    SHIFTS.require_used(null, {"n": n, "seed": seed, "margin_s": margin_s})
    clock, lines = ordered(x, dim)
    periods, scales = periods_of(clock, periods_s, per_octave)
    found = over_pairs(
        lines.data, partial(_waves, scales=scales), kernel.sums, spans_of(clock.n, scales),
        (kernel.SUMS, len(periods)), ("locking", scales), 1,
    ).sum(axis=-1)  # fmt: skip
    dims = (*lines.dims[:-2], "pair")
    sums = xr.DataArray(found, dims=(*dims, "sum", "period"))
    new = {"measure": len(kernel.MEASURES), "period": None}
    of_time = apply_kernel(kernel.measures, sums, core=[["sum", "period"]], new=new)
    out = xr.Dataset({m: of_time.isel(measure=k) for k, m in enumerate(kernel.MEASURES)})
    if null is not None:
        null = require_choice("null", null, ("circular", "linear"), synonyms.NULLS)
        out = out.assign(_p_values(lines, scales, null, n, seed, margin_s))
    out = _described(labelled(out, x.isel({schema.TIME: 0}, drop=True), dim, periods))
    return out.assign_attrs({"wavelet": "morlet", **clock.attrs})


def _waves(x: F64, begin: int, end: int, *, scales: Scales) -> Any:
    return kernel.waves(x, scales, begin, end)


def _p_values(
    lines: xr.DataArray, scales: Scales, null: str, n: int, seed: int | None,
    margin_s: float | None,
) -> dict[str, xr.Variable]:  # fmt: skip
    shifts = shifts_of(lines, null, n, seed, margin_s)
    warn_of_few(lines, scales, shifts)
    budget.check(
        100 * len(scales.of_periods) * lines.sizes[schema.TIME],
        "transforms of two whole series",
        "test series at a lower rate, fewer periods or less time",
    )
    found = over_pairs(
        lines.data, whole, partial(kernel.p_values, scales=scales, shifts=shifts),
        [(0, lines.sizes[schema.TIME])], (2,), ("p", scales, shifts), len(scales.of_periods),
    )  # fmt: skip
    dims = (*lines.dims[:-2], "pair", "period")
    names = ("p_plv", "p_wpli")
    return {name: xr.Variable(dims, found[..., k, :]) for k, name in enumerate(names)}


def _described(out: xr.Dataset) -> xr.Dataset:
    texts = {
        "plv": ("phase locking value", "1"),
        "wpli": ("weighted phase lag index", "1"),
        "coherence": ("squared coherence of the whole time", "1"),
        "phase": ("phase by which the first of the pair leads", "rad"),
        "p_plv": ("share of shifts with as much phase locking", "1"),
        "p_wpli": ("share of shifts with as large an index", "1"),
    }
    describe(out, texts)
    return out
