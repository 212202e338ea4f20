"""Wavelet coherence of all pairs of people."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.coherence import wavelets as kernel
from fhemb_xr.kernels.coherence.wavelets import Scales
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.coherence import nulls
from fhemb_xr.ops.coherence.pairs import over_pairs
from fhemb_xr.ops.coherence.request import labelled, ordered, periods_of, spans_of
from fhemb_xr.ops.option_tables import COHERENCE
from fhemb_xr.typing import F64


def wavelet_coherence(
    x: xr.DataArray,
    dim: Hashable = "subject",
    periods_s: tuple[float, float] = (2.0, 60.0),
    *,
    per_octave: int = 12,
    null: str | None = None,
    n: int = 99,
    alpha: float = 0.05,
    margin_s: float | None = None,
    cluster: float | None = None,
    across: Hashable | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Wavelet coherence: at which time and period two people move together, and who leads.

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
        ``"noise"``: the coherence that independent noise exceeds in a share ``alpha`` of the
        moments, at each period; for pictures. ``"linear"`` or ``"circular"``: one of each pair
        is shifted in time at random, and the mean coherence over time is compared. The linear
        shift holds for series that drift, the circular one does not. Neither holds for two
        people who follow the same periodic stimulus, or who breathe at one steady rate.
        ``"swap"``: both are compared with strangers, who followed the same stimulus without
        them.
    n, seed
        Number of simulations or shifts, and random seed. These nulls need a seed.
    alpha
        Share of moments that noise exceeds by chance, for ``"noise"``.
    margin_s
        Seconds that series slide to either side in a linear shift (default: an eighth of the
        series).
    cluster
        Coherence above which consecutive moments are a cluster, e.g. 0.8: a shift then tests
        moments too.
    across
        Groups of ``"swap"``: a dimension of ``x`` such as ``session``, or a coordinate of the
        people such as a row of seats. Strangers are other people of other groups.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is: ``coherence(…, pair, period, time)``, squared,
        from 0 to 1, and ``phase(…, pair, period, time)`` of the smoothed cross-spectrum [rad].
        A positive phase means that the first of the pair leads, by ``phase * period / (2 pi)``
        seconds. Both are NaN in the cone of an end or a gap, √2 scales wide. ``pair`` has the
        coordinates ``<dim>_0`` and ``<dim>_1``, ``period`` is in seconds. With ``"noise"`` also
        ``threshold(period)``; with a shift ``p(…, pair, period)``, ``(1 + number of shifts with
        as much or more) / (n + 1)``, and with ``cluster`` ``p_cluster(…, pair, period, time)``
        of the cluster that a moment is in: how often the largest cluster of a shift has as much
        coherence above ``cluster`` in all (corrected for the moments of a period, not for
        periods or pairs). With ``"swap"`` the ``p`` of pairs of one group.

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
    Morlet wavelet of six oscillations; smoothed in time by a Gaussian of one scale, and over
    0.6 octaves (Grinsted et al. 2004). A gap is bridged by a line before the transform. Periods
    at the ends of the range are averaged over fewer neighbours, which makes more of chance:
    choose a range that is half an octave wider than asked. People who follow each other by more
    than a period look apart at it.
    Each person is transformed once in each stretch of time, which reads 12 scales of the
    longest period to either side; values differ by less than 1e-8 from those of one stretch.
    A shift by less than the coherence lasts, √2 scales, changes little, so p can be small only
    where shifts span many times that; a warning says for which periods they do not.
    Memory per task: ``100 * periods`` bytes per sample of a stretch and its margins, 24 times
    the longest scale; with a shift, of a whole series. Tasks: one for each person and stretch,
    one for each pair and stretch. Computes at call: none.

    References
    ----------
    - Grinsted, Moore & Jevrejeva (2004), Nonlinear Process. Geophys. 11, 561-566,
      doi:10.5194/npg-11-561-2004.
    - Torrence & Compo (1998), Bull. Am. Meteorol. Soc. 79, 61-78,
      doi:10.1175/1520-0477(1998)079<0061:APGTWA>2.0.CO;2.
    - Maris & Oostenveld (2007), J. Neurosci. Methods 164, 177-190,
      doi:10.1016/j.jneumeth.2007.03.024 (clusters).

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(600) / 5
    >>> waves = [np.sin(2 * np.pi * (t - late) / 8) for late in (0, 1)]
    >>> x = xr.DataArray(waves, dims=("subject", "time"), coords={"time": t})
    >>> out = fx.wavelet_coherence(x, periods_s=(4, 16)).sel(time=60, period=8).squeeze()
    >>> float(out.coherence.round(2)), float((out.phase * 8 / (2 * np.pi)).round(2))
    (1.0, 1.0)
    """
    schema.require_dims(x, dim, schema.TIME)
    COHERENCE.require_used(
        null,
        {
            "n": n, "seed": seed, "alpha": alpha, "margin_s": margin_s, "cluster": cluster,
            "across": across,
        },
    )  # fmt: skip
    clock, lines = ordered(x, dim)
    periods, scales = periods_of(clock, periods_s, per_octave)
    spans = spans_of(clock.n, scales)
    found = over_pairs(
        lines.data,
        partial(_transform, scales=scales),
        partial(kernel.coherence, scales=scales),
        spans,
        (2, len(periods)),
        ("coherence", scales),
    )
    dims = (*lines.dims[:-2], "pair", "period", schema.TIME)
    both = {name: (dims, found[..., k, :, :]) for k, name in enumerate(("coherence", "phase"))}
    out = xr.Dataset(both)
    if null is not None:
        null = require_choice("null", null, nulls.KINDS, synonyms.NULLS)
        request = nulls.Request(null, n, alpha, margin_s, cluster, across, seed)
        out = out.assign(nulls.tested(lines, out, scales, request))
    return _described(labelled(out, x, dim, periods), clock, null)


def _transform(x: F64, begin: int, end: int, *, scales: Scales) -> Any:
    return kernel.transform(x, scales, begin, end)


def _described(out: xr.Dataset, clock: Clock, null: str | None) -> xr.Dataset:
    texts = {
        "coherence": ("squared wavelet coherence", "1"),
        "phase": ("phase by which the first of the pair leads", "rad"),
        "threshold": ("coherence that noise exceeds", "1"),
        "p": ("share of the null with a mean coherence as high", "1"),
        "p_cluster": ("share of shifts with a cluster as large", "1"),
    }
    describe(out, texts)
    return out.assign_attrs(
        {"wavelet": "morlet", **({"null": null} if null else {}), **clock.attrs}
    )
