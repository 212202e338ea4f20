"""What a wavelet transform may be, and what its bands are called: number, Hz and seconds."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import UnknownNameError, nearest

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


def check(
    x: xr.DataArray,
    wavelet: str,
    level: int,
    mode: str,
    transform: str,
    gaps: str,
    max_gap_s: float,
) -> Clock:
    """The clock of ``x``, after refusing what its wavelet transform cannot be.

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
    names = pywt.wavelist(kind="discrete")
    if wavelet not in names:
        raise UnknownNameError(f"no discrete wavelet {wavelet!r}{nearest(wavelet, names)}")
    if not isinstance(level, int | np.integer) or level < 1:
        raise ValueError(f"level is a whole number from 1 on, found {level!r}")
    if not max_gap_s >= 0:
        raise ValueError(f"max_gap_s is a number of seconds from 0 on, found {max_gap_s!r}")
    local = (*kernel.LOCAL_MODES, *kernel.CIRCULAR_MODES)
    for name, found, choice in (
        ("transform", transform, TRANSFORMS),
        ("mode", mode, tuple(kernel.PADDING) if transform == "modwt" else local),
        ("gaps", gaps, GAPS),
    ):
        if found not in choice:
            raise ValueError(f"{name} is one of {', '.join(choice)}, found {found!r}")
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
    return clock


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
        if bands != "all":
            raise ValueError(f"bands are numbers from 0 to {level}, or 'all', found {bands!r}")
        return tuple(range(level + 1))
    wanted = [bands] if isinstance(bands, int | np.integer) else list(bands)
    wrong = [b for b in wanted if not isinstance(b, int | np.integer) or not 0 <= b <= level]
    if wrong or not wanted:
        found = f"found {wrong}" if wrong else "none was asked for"
        raise ValueError(f"bands of level {level} are numbers from 0 to {level}, {found}")
    return tuple(sorted({int(b) for b in wanted}))


def _within(
    level: int, rate_hz: float, hz: Interval | None, period_s: Interval | None
) -> tuple[int, ...]:
    """Bands of which at least half, in octaves, lies in an interval."""
    if hz is None:
        assert period_s is not None
        hz = (1 / period_s[1], 1 / period_s[0] if period_s[0] > 0 else np.inf)
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


def band_attrs(
    x: xr.DataArray, bands: Any, wavelet: str, level: int, mode: str, transform: str
) -> dict[str, Any]:
    """Attributes of a filtered signal; without hertz where the rate is not known."""
    clock = Clock.of(x)
    rate_hz = clock.known_hz
    hz = [] if rate_hz is None else _merged([frequencies(level, rate_hz)[b] for b in bands])
    spec = {
        "wavelet": wavelet,
        "level": level,
        "mode": mode,
        "transform": transform,
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
