"""Clocks of stacks: whole numbers are frame numbers; other values are times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import ConfigError, SourceError, nearest
from fhemb_xr.typing import F64, Ints
from ingest.files.contents import Contents, read
from ingest.hints import Hints

FRAMES = ("frame_number", "frame", "frame_no", "frame_id")
TIMES = ("time", "t", "ts", "timestamp", "timestamps", "seconds", "time_s")
_UNITS_S = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
    "us": 1e-6, "microsecond": 1e-6, "microseconds": 1e-6,
    "ns": 1e-9, "nanosecond": 1e-9, "nanoseconds": 1e-9,
}  # fmt: skip
_GUESSED_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
CALENDAR_S = 1e7
"""Larger times [s] are dates; a session then counts from its first frame."""
APART_S = 3600.0
"""Longest pause between two dated files of one session [s]."""


@dataclass(frozen=True)
class Clock:
    """The clock of a stack: frame numbers, or times [s]."""

    frames: Ints | None = None
    seconds: F64 | None = None
    doubt: str = ""


def clock_of(
    contents: Contents, name: str, who: str, n_frames: int, hints: Hints, file: Path
) -> Clock:
    """The clock of a stack: from a dataset, or the common clock of the file.

    Raises
    ------
    ConfigError
        The hints name a dataset that does not exist.
    SourceError
        The clock lacks a finite number for a frame, or its unit is unknown.
    """
    asked = (hints.columns or {}).get("clock")
    if asked is not None:
        asked = asked.replace("{}", who)
        if asked not in contents:
            raise ConfigError(
                f"no dataset {asked!r} in {file.name!r}{nearest(asked, contents)}"
            )
    dataset = asked or next((c for c in _candidates(name, contents)), None)
    if dataset is None:
        return Clock() if contents.seconds is None else Clock(seconds=contents.seconds)
    ticks = read(contents[dataset], slice(None), file)
    if ticks.shape != (n_frames,) or ticks.dtype.kind not in "iufM":
        raise SourceError(
            f"{dataset!r} in {file.name!r} is {ticks.dtype} of shape {ticks.shape}: expected a "
            f"number for each of {n_frames} frames"
        )
    if not np.isfinite(ticks).all():  # NaN, infinity or NaT
        raise SourceError(
            f"{dataset!r} in {file.name!r} has no number for frame "
            f"{int(np.flatnonzero(~np.isfinite(ticks))[0])}"
        )
    if ticks.dtype.kind == "M":
        return Clock(seconds=ticks.astype("M8[us]").astype(np.int64) / 1e6)
    numbers = ticks if ticks.dtype.kind in "iu" else ticks.astype(np.float64)
    unit = contents.units.get(dataset, "")
    return _understood(numbers, dataset, unit, file.name, hints.rate_hz)


def _candidates(name: str, contents: Contents) -> list[str]:
    folder = name.rpartition("/")[0]
    beside = [f"{folder}/" if folder else ""]
    tries = [
        template
        for role in (*FRAMES, *TIMES)
        for template in (f"{name}_{role}", *(f"{b}{role}" for b in beside), role)
    ]
    return [t for t in tries if t in contents and len(contents[t].shape) == 1]


def _understood(ticks: Any, name: str, unit: str, file: str, rate_hz: float | None) -> Clock:
    """Ticks as frame numbers if they count frames, otherwise as seconds."""
    word = unit.split(" since ")[0].strip().lower()
    role = name.rpartition("/")[2].lower()
    whole = bool((ticks == np.floor(ticks)).all())
    times = role in TIMES or any(role.endswith(f"_{t}") for t in TIMES)
    steps = np.diff(np.sort(ticks.astype(np.float64)))
    steps = steps[steps > 0]
    usual = float(np.median(steps)) if steps.size else 0.0
    if word in _UNITS_S:
        return Clock(seconds=ticks.astype(np.float64) * _UNITS_S[word])
    if whole and (not times or usual in (0.0, 1.0)):
        doubt = f"{name!r} of {file!r} is taken for numbers of frames" if times else ""
        return Clock(frames=ticks.astype(np.int64), doubt=doubt)
    if not usual:
        raise SourceError(f"the clock {name!r} of {file!r} stands still at {ticks[0]:g}")
    implied_hz = {u: 1 / (usual * scale) for u, scale in _GUESSED_S.items()}
    fits = [u for u, hz in implied_hz.items() if rate_hz and abs(hz / rate_hz - 1) < 0.1]
    fits = fits or [u for u, hz in implied_hz.items() if 1 < hz <= 1000]
    if not fits:
        raise SourceError(
            f"the clock {name!r} of {file!r} has steps of {usual:g}, which is 1 to 1000 Hz in "
            "no unit: give the rate (--rate), or name another clock in the TOML ([columns] "
            "clock)"
        )
    doubt = "" if fits[0] == "s" else f"{name!r} of {file!r} is taken for times in {fits[0]}"
    return Clock(seconds=ticks.astype(np.float64) * _GUESSED_S[fits[0]], doubt=doubt)


def rate_of(seconds: F64) -> float | None:
    """The rate of a clock [Hz]: mean of the steps that are no gaps, rounded if that fits.

    Examples
    --------
    >>> rate_of(np.round(np.arange(1000) / 30, 3)), rate_of(np.arange(90) / 9)
    (30.0, 9.0)
    """
    steps = np.diff(np.unique(seconds))
    if not steps.size:
        return None
    usual = float(np.median(steps))
    unbroken = steps[np.abs(steps - usual) < 0.5 * usual]
    rate = unbroken.size / float(unbroken.sum())
    for digits in range(4):
        short = round(rate, digits)
        if short and abs(short / rate - 1) * unbroken.size < 0.1:  # frames, at the end
            return short
    return rate


def common_rate(clocks: Sequence[tuple[str, F64]]) -> float | None:
    """The common rate of several clocks [Hz].

    Raises
    ------
    SourceError
        The clocks have different rates; a store has one rate.
    """
    rates = {name: r for name, seconds in clocks if (r := rate_of(seconds)) is not None}
    if not rates:
        return None
    low, high = min(rates, key=lambda n: rates[n]), max(rates, key=lambda n: rates[n])
    if rates[high] > 1.01 * rates[low]:
        raise SourceError(
            f"{low!r} has {rates[low]:.6g} Hz and {high!r} {rates[high]:.6g} Hz, a store has "
            "one rate: give it (--rate), or ingest them into separate stores"
        )
    return float(np.median(list(rates.values())))


def numbered(seconds: F64, rate_hz: float, origin_s: float) -> Ints:
    """The frame number at each time; times beyond all numbers become the last number."""
    frames = np.rint((seconds - origin_s) * rate_hz)
    return np.clip(frames, -(2.0**53), 2.0**53).astype(np.int64)


def first_date(session: str, clocks: Mapping[str, F64]) -> float | None:
    """The first moment of a session [s since 1970]; None if its clocks hold no dates.

    Parameters
    ----------
    session
        Name of the session, for errors.
    clocks
        Times of the frames of each file [s].

    Raises
    ------
    SourceError
        Some files hold dates and others do not, or their dates are far apart.
    """
    spans = {n: (float(t.min()), float(t.max())) for n, t in clocks.items() if t.size}
    dated = [n for n, (low, _) in spans.items() if abs(low) > CALENDAR_S]
    if not dated:
        return None
    if len(dated) < len(spans):
        other = next(n for n in spans if n not in dated)
        raise SourceError(
            f"in session {session!r}, the clock of {dated[0]!r} holds dates and that of "
            f"{other!r} does not: they have no common frame 0; put them into separate sessions "
            "(folders)"
        )
    order = sorted(spans, key=lambda n: spans[n])
    end = spans[order[0]][1]
    for before, after in pairwise(order):
        end = max(end, spans[before][1])
        if spans[after][0] - end > APART_S:
            raise SourceError(
                f"in session {session!r}, {before!r} ends at {date_of(end)} and {after!r} "
                f"begins at {date_of(spans[after][0])}: put recordings that are more than "
                f"{APART_S / 3600:g} h apart into separate sessions (folders)"
            )
    return spans[order[0]][0]


def date_of(seconds: float) -> str:
    """A moment in ISO 8601, UTC.

    Examples
    --------
    >>> date_of(1.7e9), seconds_of(date_of(1.7e9 + 0.25)) - 1.7e9
    ('2023-11-14T22:13:20.000000', 0.25)
    """
    return str(np.datetime64(round(seconds * 1e6), "us"))


def seconds_of(date: str) -> float:
    """The seconds since 1970 of a moment in ISO 8601."""
    return float(np.datetime64(date, "us").astype(np.int64)) / 1e6
