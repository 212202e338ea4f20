"""What is asked of pairs at periods, checked: people, periods, stretches of time."""

import itertools
from collections.abc import Hashable

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.coherence import wavelets as kernel
from fhemb_xr.kernels.coherence.wavelets import Scales
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_count, require_interval
from fhemb_xr.ops.coherence.pairs import Spans, pairs
from fhemb_xr.typing import F64

_LEAST = 2**14
"""Samples of a stretch of time at least."""
_SHORTEST = 4
"""Samples of the shortest period: of a shorter one, the wavelet is cut off."""


def ordered(x: xr.DataArray, dim: Hashable) -> tuple[Clock, xr.DataArray]:
    """The clock, and the series ``(..., dim, time)``, one in each block."""
    clock = Clock.of(x).require_regular()
    if x.sizes[dim] < 2:
        raise ValueError(f"coherence is of two people or more, found one along {dim!r}")
    lines = x.transpose(..., dim, schema.TIME)
    return clock, rechunked(lines, dict.fromkeys(lines.dims, 1) | {schema.TIME: -1})


def periods_of(
    clock: Clock, periods_s: tuple[float, float], per_octave: int
) -> tuple[F64, Scales]:
    """The periods [s], and their scales in samples."""
    steps = require_count("per_octave", per_octave)
    low, high = require_interval("periods_s", periods_s)
    shortest = _SHORTEST / clock.rate_hz
    longest = (clock.n - 1) / 2 / kernel.CONE * kernel.PERIOD_OF_SCALE / clock.rate_hz
    if not (low >= shortest * (1 - 1e-9) and high < longest):
        raise ValueError(
            f"periods_s lies between {shortest:.4g} s (four samples) and {longest:.4g} s (the "
            f"longest with a moment that both ends leave free), found {periods_s!r}"
        )
    n = int(np.floor(steps * np.log2(high / low) + 1e-9)) + 1
    periods = np.asarray(low * 2.0 ** (np.arange(n) / steps))
    samples = periods * clock.rate_hz / kernel.PERIOD_OF_SCALE
    return periods, Scales(tuple(samples.tolist()), steps)


def spans_of(length: int, scales: Scales) -> Spans:
    """Stretches of time, long beside their margins."""
    size = max(_LEAST, 4 * scales.margin)
    held = min(length, size + size // 2 + 4 * scales.margin)
    budget.check(
        100 * len(scales.of_periods) * held,
        f"transforms of {held} samples at {len(scales.of_periods)} periods",
        "take fewer or shorter periods, or series at a lower rate",
    )
    edges = [*range(0, max(length - size // 2, 1), size), length]
    return [*itertools.pairwise(edges)]


def labelled(out: xr.Dataset, x: xr.DataArray, dim: Hashable, periods: F64) -> xr.Dataset:
    """The result with the people of each pair, the periods, and the labels of ``x``."""
    keep = {n: c.variable for n, c in x.coords.items() if dim not in c.dims}
    names = x[dim].values if dim in x.coords else np.arange(x.sizes[dim])
    members = np.array(pairs(x.sizes[dim]))
    return out.assign_coords(
        keep
        | {
            f"{dim}_{k}": (
                "pair",
                names[members[:, k]],
                {"long_name": f"{dim} {k} of the pair"},
            )
            for k in (0, 1)
        }
        | {"period": ("period", periods, {"long_name": "period", "units": "s"})}
    )
