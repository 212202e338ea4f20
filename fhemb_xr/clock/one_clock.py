"""The clock of one array: its rate, its start, its gaps."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.clock import coordinate
from fhemb_xr.clock.coordinate import DATES, SAMPLES, SECONDS
from fhemb_xr.clock.rates import SAMPLING_RATE, TIME, attribute_hz, number_of_seconds
from fhemb_xr.errors import SchemaError, unlabelled_error
from fhemb_xr.typing import F64

JITTER = 0.1
"""Share of a step by which a step may differ from the usual one."""
STAMP_S = 1e-3
"""Seconds that stamps are rounded to by many recorders: 33, 34, 33 ms is an even clock."""
RATE_TOLERANCE = 0.01
"""Share by which the attribute ``sampling_rate`` may differ from the coordinate ``time``."""
_HOW = (
    f"give it with x.attrs[{SAMPLING_RATE!r}] = ... [Hz], or the moments with "
    ".assign_coords(time=...) [s]"
)


@dataclass(frozen=True, eq=False)
class Clock:
    """When the samples of one array were taken.

    Attributes
    ----------
    n
        Number of samples.
    kind
        ``"seconds"``: ``time`` holds seconds; ``"dates"``: it holds dates (``datetime64`` of
        any unit); ``"samples"``: there is no such coordinate.
    start_ns
        First moment [ns], on the clock's own origin.
    elapsed
        Seconds since the first sample, or None where there is no coordinate ``time``.
    resolution_s
        Distance of two moments that the coordinate can tell apart [s].
    attribute_hz
        What ``attrs["sampling_rate"]`` says, or None.
    """

    n: int
    kind: str
    start_ns: int
    elapsed: F64 | None
    resolution_s: float
    attribute_hz: float | None
    _labels: Any = None
    _frame: Any = None

    @staticmethod
    def of(x: xr.DataArray | xr.Dataset) -> "Clock":
        """Read the clock of an array or a Dataset.

        Raises
        ------
        SchemaError
            If the coordinate ``time`` holds neither seconds nor dates, or the attribute
            ``sampling_rate`` is not a positive number.
        """
        if not isinstance(x, xr.DataArray | xr.Dataset):
            raise unlabelled_error(x)
        rate, n = attribute_hz(x), x.sizes.get(TIME, 0)
        values, frames = coordinate.times(x), coordinate.frame_numbers(x)
        if values is None:
            return Clock(n, SAMPLES, 0, None, 0.0, rate, None, frames)
        kind, start, elapsed, resolution = coordinate.seconds(
            values, x[TIME].attrs.get("units")
        )
        return Clock(
            n, kind, start, elapsed, resolution, rate, values, coordinate.frame_numbers(x)
        )

    @cached_property
    def _steps(self) -> F64:
        return np.diff(self.elapsed) if self.elapsed is not None else np.empty(0)

    @cached_property
    def gaps(self) -> Any:
        """Positions after which the step is not the usual one: a gap, a jump, a repetition."""
        usual = self.usual_step_s
        slack = max(JITTER * usual, min(max(STAMP_S, self.resolution_s), usual / 2))
        uneven = ~(np.abs(self._steps - usual) <= slack * (1 + 1e-9)) | ~(self._steps > 0)
        return np.flatnonzero(uneven)

    @property
    def usual_step_s(self) -> float:
        """Median distance of two samples [s], NaN where fewer than two have a moment."""
        known = self._steps[np.isfinite(self._steps)]
        return float(np.median(known)) if known.size else np.nan

    @property
    def regular(self) -> bool:
        """Whether the clock ticks evenly, or there is none that could say otherwise."""
        return not len(self.gaps)

    @cached_property
    def _coordinate_hz(self) -> float | None:
        """``(n - 1) / (last - first)``, over the even steps where there are gaps too."""
        even = np.delete(self._steps, self.gaps)
        if not even.size or 2 * even.size < self._steps.size:
            return None
        span = float(even.sum())
        rate = even.size / span
        whole = round(rate)
        # what stamps of this resolution cannot tell from a whole number of samples a second
        doubt = max(1e-6, self._stamp_s / span)
        return float(whole) if np.isclose(rate, whole, rtol=doubt, atol=0) else rate

    @property
    def _stamp_s(self) -> float:
        """Distance of two stamps [s]: a millisecond where all are whole ones."""
        if self.elapsed is None:
            return 0.0
        whole = np.rint(self.elapsed / STAMP_S)
        rounded = np.allclose(self.elapsed / STAMP_S, whole, rtol=0, atol=1e-4)
        return max(STAMP_S if rounded else 0.0, self.resolution_s)

    @cached_property
    def known_hz(self) -> float | None:
        """Samples a second, or None where nothing says it. For handing on; see :attr:`rate_hz`.

        The coordinate decides. An attribute that predicts the last moment to a tenth of a step
        is the same rate, exactly.
        """
        ticks, said = self._coordinate_hz, self.attribute_hz
        if ticks is None:
            return said if self.regular else None
        if said is None:
            return ticks
        return said if abs(ticks / said - 1) * max(self.n - 1, 1) <= JITTER else ticks

    @cached_property
    def rate_hz(self) -> float:
        """Samples a second [Hz].

        Raises
        ------
        SchemaError
            If nothing says it, or the attribute says another rate than the coordinate has.
        """
        ticks, said = self._coordinate_hz, self.attribute_hz
        if ticks is not None and said is not None:
            slack = max(RATE_TOLERANCE, JITTER / max(self.n - 1, 1))
            if not abs(said - ticks) <= slack * ticks * (1 + 1e-9):
                raise SchemaError(
                    f"the attribute {SAMPLING_RATE!r} says {said:g} Hz, 'time' has "
                    f"{ticks:.6g} Hz: set the right one with "
                    f".assign_attrs({SAMPLING_RATE}=...)"
                )
        if self.known_hz is None:
            found = (
                "has no even step"
                if self.n > 1 and self.elapsed is not None
                else "is not there"
            )
            raise SchemaError(
                f"the sampling rate is needed, and neither the coordinate 'time' ({found}) nor "
                f"the attribute {SAMPLING_RATE!r} says it: {_HOW}"
            )
        return self.known_hz

    @property
    def attrs(self) -> dict[str, float]:
        """``{"sampling_rate": …}`` for a result on this clock; empty where it is not known."""
        return {} if self.known_hz is None else {SAMPLING_RATE: self.known_hz}

    def require_regular(self) -> "Clock":
        """The clock itself, if it ticks evenly: samples are counted as time.

        Raises
        ------
        SchemaError
            With the first uneven step, or the rate that the attribute says and the clock has
            not.
        """
        if not self.regular:
            k = int(self.gaps[0])
            raise SchemaError(
                f"'time' is not regular: after {self.moment(k)} comes {self.moment(k + 1)}, "
                f"the usual step is {self.usual_step_s:.6g} s ({self.gaps.size} such places): "
                "sort it, put in what is missing as NaN with .reindex(time=...), or analyse "
                "the parts"
            )
        if self.known_hz is not None:
            _ = self.rate_hz
        return self

    def require_forward(self) -> "Clock":
        """The clock itself, even or not, if its moments are known and never run back.

        Raises
        ------
        SchemaError
            With the first moment that is missing or earlier than the one before.
        """
        back = np.flatnonzero(~(self._steps >= 0))
        if back.size:
            k = int(back[0])
            raise SchemaError(
                f"'time' runs forward, found {self.moment(k)} and then {self.moment(k + 1)} "
                f"({back.size} such places): sort it with .sortby('time'), or leave out what "
                "has no moment"
            )
        if self.n > 1 and self.elapsed is not None and not self.usual_step_s > 0:
            raise SchemaError(
                f"'time' runs forward, found {self.moment(0)} over and over: set it with "
                ".assign_coords(time=...) [s]"
            )
        return self

    def at(self, places: Any) -> Any:
        """Labels of some samples, seconds or dates (of a zone: in UTC), or None."""
        return None if self._labels is None else np.asarray(self._labels)[places]

    def moment(self, k: int) -> str:
        """The moment of sample ``k`` in words."""
        if self._labels is None:
            return f"sample {k}"
        if self.kind == DATES:
            return str(self._labels[k])
        return "" if self.elapsed is None else f"{self.start_ns / 1e9 + self.elapsed[k]:.10g} s"

    @property
    def seconds(self) -> F64:
        """Seconds of every sample on the clock's own origin.

        Raises
        ------
        SchemaError
            If the clock is of dates, or there is none and the rate is not known.
        """
        if self.kind == DATES:
            raise SchemaError(
                "seconds are asked for, and 'time' holds dates: choose where they begin with "
                ".assign_coords(time=(x.time - x.time[0]) / np.timedelta64(1, 's'))"
            )
        if self._labels is not None and self._labels.dtype.kind in "iuf":
            return np.asarray(self._labels, dtype=np.float64)
        return self.start_ns / 1e9 + self.since_first

    @property
    def since_first(self) -> F64:
        """Seconds of every sample since the first one."""
        return np.arange(self.n) / self.rate_hz if self.elapsed is None else self.elapsed

    @property
    def start_s(self) -> float:
        """Second of the first sample; 0 for a clock of dates or of samples."""
        return self.start_ns / 1e9 if self.kind == SECONDS else 0.0

    @property
    def has_frames(self) -> bool:
        """Whether a coordinate ``frame`` numbers the samples."""
        return self._frame is not None

    @property
    def axis_s(self) -> F64:
        """Seconds for the axis of a figure; of dates: since the first sample."""
        return self.since_first if self.kind == DATES else self.seconds

    @property
    def frames(self) -> Any:
        """Number of every frame: the coordinate ``frame``, else ``time`` times the rate."""
        if self._frame is None:
            return np.rint(self.seconds * self.rate_hz).astype(np.int64)
        data: Any = self._frame
        # a lazy one is read: it is 8 bytes a frame, and nothing else knows the numbers
        return np.asarray(
            data.compute(scheduler="synchronous") if coordinate.is_lazy(data) else data
        )

    def samples(self, name: str, seconds: float, least: int = 0) -> int:
        """Seconds as a whole number of samples, rounded.

        Raises
        ------
        ValueError
            If they are not a finite number, below 0, or fewer than ``least`` samples.
        SchemaError
            As :attr:`rate_hz`.
        """
        wanted = number_of_seconds(name, seconds)
        if wanted < 0:
            raise ValueError(f"{name} is a number of seconds from 0 on, found {seconds!r}")
        n = round(wanted * self.rate_hz)
        if n < least:
            few = "no sample" if n == 0 else f"{n} of the {least} samples that it needs"
            raise ValueError(
                f"{name} of {seconds!r} s holds {few}: there are {self.rate_hz:g} a second"
            )
        return n
