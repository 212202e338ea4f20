"""What a wavelet transform may be, and what its bands are called: number, Hz and seconds."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.errors import UnknownNameError, nearest
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import listed, require_choice, require_count, require_interval
from fhemb_xr.ops.option_tables import GAPS as GAPS_TABLE
from fhemb_xr.ops.synonyms import folded

BANDS = "fhemb_bands"
"""Attribute of a filtered signal that says, as JSON, what is left in it."""
TRANSFORMS = ("dwt", "modwt")
GAPS = ("fill", "split", "raise", "propagate")
Bands = str | int | Sequence[int]
Interval = tuple[float, float]


def frequencies(level: int, rate_hz: float) -> list[tuple[float, float]]:
    """Nominal interval of each band [Hz], in PyWavelets' order."""
    details = [(rate_hz / 2 ** (j + 1), rate_hz / 2**j) for j in range(level, 0, -1)]
    return [(0.0, rate_hz / 2 ** (level + 1)), *details]


def band_label(attrs: dict[Any, Any], unit: str = "Hz") -> str:
    """What a filter left: ``'0.10–0.39, 0.78–1.56 Hz'``; ``''`` for an unfiltered signal."""
    if BANDS not in attrs:
        return ""
    found = json.loads(attrs[BANDS])["hz" if unit == "Hz" else "period_s"]
    texts = [f"{a:.2f}–{'∞' if b is None else format(b, '.2f')}" for a, b in found]
    return f"{', '.join(texts)} {unit}"


@dataclass(frozen=True)
class Transform:
    """What is asked of a wavelet transform, checked, in PyWavelets' names."""

    clock: Clock
    wavelet: str
    level: int
    mode: str
    transform: str
    gaps: str
    max_gap_s: float

    def spec(self, *groups: tuple[int, ...]) -> Any:
        """The kernels' form of it, for the bands of each group."""
        from fhemb_xr.kernels.time_frequency.wavelet_bands import Spec

        return Spec(groups, self.wavelet, self.level, self.mode, self.transform)


def check(
    x: xr.DataArray,
    wavelet: str,
    level: int,
    mode: str,
    transform: str = "dwt",
    gaps: str = "split",
    max_gap_s: float = GAPS_TABLE.usual["max_gap_s"],
) -> Transform:
    """What is asked, after refusing what a wavelet transform of ``x`` cannot be.

    A level too deep is warned of.

    Raises
    ------
    SchemaError, UnknownNameError, ValueError
        One sentence: what was asked, what is allowed.
    """
    import pywt

    from fhemb_xr.kernels.time_frequency import wavelet_bands as kernel

    schema.require_dims(x, schema.TIME)
    clock = Clock.of(x).require_regular()
    wavelet, level = discrete(wavelet), require_count("level", level)
    transform = require_choice("transform", transform, TRANSFORMS)
    local = (*kernel.LOCAL_MODES, *kernel.CIRCULAR_MODES)
    modes = tuple(kernel.PADDING) if transform == "modwt" else local
    mode = require_choice("mode", mode, modes, synonyms.MODES)
    gaps, max_gap_s = gap_options(gaps, max_gap_s, GAPS)
    if transform == "modwt" and not pywt.Wavelet(wavelet).orthogonal:
        raise ValueError(
            f"modwt needs an orthogonal wavelet (haar, db, sym, coif): {wavelet!r}"
        )
    sound = pywt.dwt_max_level(x.sizes[schema.TIME], wavelet)
    if level > sound:
        warnings.warn(
            f"level {level} of {wavelet!r} is too deep for {x.sizes[schema.TIME]} samples: the "
            f"ends reach everywhere; the deepest sound level is {sound}",
            UserWarning,
            stacklevel=3,
        )
    return Transform(clock, wavelet, level, mode, transform, gaps, max_gap_s)


def discrete(wavelet: str) -> str:
    """The discrete wavelet of PyWavelets that is meant.

    Raises
    ------
    UnknownNameError
        No such wavelet, with the nearest ones.
    """
    import pywt

    names = pywt.wavelist(kind="discrete")
    found = synonyms.wavelet(wavelet, names)
    if found is None:
        raise UnknownNameError(f"no discrete wavelet {wavelet!r}{nearest(wavelet, names)}")
    return found


def gap_options(gaps: str, max_gap_s: float, allowed: tuple[str, ...]) -> tuple[str, float]:
    """The treatment of gaps that is meant, and the longest gap that it fills [s].

    Raises
    ------
    UnknownNameError
        No such treatment.
    ValueError
        If ``max_gap_s`` is no number of seconds from 0 on, or given where nothing is filled.
    """
    gaps = require_choice("gaps", gaps, allowed)
    seconds = number_of_seconds("max_gap_s", max_gap_s)
    if seconds < 0:
        raise ValueError(f"max_gap_s is a number of seconds from 0 on, found {max_gap_s!r}")
    GAPS_TABLE.require_used(gaps, {"max_gap_s": max_gap_s})
    return gaps, seconds


def choose(
    bands: Bands | None,
    level: int,
    clock: Clock,
    hz: Interval | None,
    period_s: Interval | None,
) -> tuple[int, ...]:
    """Numbers of the bands that one of three ways asks for.

    Raises
    ------
    ValueError
        Not one way but none or several, or bands that are not there.
    """
    if sum(b is not None for b in (bands, hz, period_s)) != 1:
        raise ValueError(
            "choose by one of bands, hz, period_s: "
            f"found bands={bands!r}, hz={hz!r}, period_s={period_s!r}"
        )
    if bands is None:
        return _within(level, clock.rate_hz, hz, period_s)
    if isinstance(bands, str):
        if folded(bands) != "all":
            raise ValueError(f"bands are numbers from 0 to {level}, or 'all', found {bands!r}")
        return tuple(range(level + 1))
    numbers = listed(bands)
    if not numbers:
        raise ValueError(
            f"bands of level {level} are numbers from 0 to {level}, none was asked for"
        )
    wanted = {require_count("a band", b, 0) for b in numbers}
    if wrong := sorted(b for b in wanted if b > level):
        raise ValueError(f"bands of level {level} are numbers from 0 to {level}, found {wrong}")
    return tuple(sorted(wanted))


def _within(
    level: int, rate_hz: float, hz: Interval | None, period_s: Interval | None
) -> tuple[int, ...]:
    """Bands of which at least half, in octaves, lies in an interval."""
    if hz is None:
        shortest, longest = require_interval("period_s", period_s, open_ends=True)
        hz = (1 / longest if longest else 0.0, 1 / shortest if shortest else np.inf)
    else:
        low, high = require_interval("hz", hz, open_ends=True)
        hz = (low or 0.0, np.inf if high is None else high)
    if hz[0] < 0 or hz[1] <= 0:
        asked = hz if period_s is None else period_s
        raise ValueError(f"frequencies and periods are not negative, found {asked!r}")
    edges = frequencies(level, rate_hz)
    floor = edges[0][1] / 4  # of the lowest band's endless octaves two count
    chosen = tuple(
        b
        for b, (a, z) in enumerate(edges)
        if min(z, hz[1]) / max(a or floor, hz[0]) >= (z / (a or floor)) ** 0.5
    )
    if not chosen:
        found = ", ".join(f"{a:.3g}–{z:.3g}" for a, z in edges)
        raise ValueError(f"no band of level {level} lies in {hz} Hz: the bands are {found} Hz")
    return chosen


def band_attrs(x: xr.DataArray, bands: Sequence[int], asked: Transform) -> dict[str, Any]:
    """Attributes of a filtered signal; without hertz where the rate is not known."""
    clock = asked.clock
    every = [] if clock.known_hz is None else frequencies(asked.level, clock.known_hz)
    hz = _merged([every[b] for b in bands]) if every else []
    spec = {
        "wavelet": asked.wavelet,
        "level": asked.level,
        "mode": asked.mode,
        "transform": asked.transform,
        "bands": list(bands),
        "hz": hz,
        "period_s": [[1 / high, 1 / low if low else None] for low, high in hz],
    }
    kept = {k: x.attrs[k] for k in ("units", "long_name") if k in x.attrs}
    return {**kept, **clock.attrs, BANDS: json.dumps(spec)}


def _merged(intervals: list[tuple[float, float]]) -> list[list[float]]:
    """Adjacent intervals as one."""
    out: list[list[float]] = []
    for low, high in sorted(intervals):
        if out and out[-1][1] == low:
            out[-1][1] = high
        else:
            out.append([low, high])
    return out
