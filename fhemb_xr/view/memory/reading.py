"""Series read piece by piece in the background: what is in view comes first."""

import threading
from dataclasses import dataclass

import numpy as np

from fhemb_xr.errors import FhembError
from fhemb_xr.typing import F64
from fhemb_xr.view.memory.pyramid import Pyramid
from fhemb_xr.view.memory.series import Series

THREADS = 2
_SAMPLES_JUDGED = 2000
"""Samples of a person from which the middle and the spread are taken."""


@dataclass
class Window:
    """The people (rows of the series) and seconds that somebody looks at."""

    people: tuple[int, int]
    seconds: tuple[float, float]


class Signal:
    """A series in memory, as far as it has been read."""

    def __init__(self, series: Series) -> None:
        self.series = series
        n, length = len(series.people), series.seconds.size
        self.pyramid = Pyramid(n, length)
        shape = (-(-n // series.piece[0]), -(-length // series.piece[1]))
        self._waiting = np.ones(shape, dtype=bool)
        self._left = int(self._waiting.size)
        self._lock = threading.Lock()
        self._scale: tuple[int, F64, F64] | None = None
        self.version = 0
        """Grows with each piece that is there."""
        self.error = ""

    @property
    def share(self) -> float:
        """How much of it has been read."""
        return 1 - self._left / self._waiting.size

    def claim(self, window: Window) -> tuple[int, int] | None:
        """The next piece to read: one in view, or any; None when none waits."""
        people, samples = self.series.piece
        first, last = window.people
        start, stop = self.series.samples(*window.seconds)
        with self._lock:
            if self.error or not self._waiting.any():
                return None
            view = np.zeros_like(self._waiting)
            view[
                first // people : -(-last // people), start // samples : -(-stop // samples)
            ] = True
            wanted = self._waiting & view
            wanted = wanted if wanted.any() else self._waiting
            place = np.unravel_index(int(wanted.argmax()), wanted.shape)
            self._waiting[place] = False
            return int(place[0]), int(place[1])

    def read(self, place: tuple[int, int]) -> None:
        """Read a claimed piece; what goes wrong is kept as one sentence."""
        (i, k), (people, samples) = place, self.series.piece
        who = slice(i * people, min((i + 1) * people, len(self.series.people)))
        when = slice(k * samples, min((k + 1) * samples, self.series.seconds.size))
        try:
            block = self.series.read(who, when)
        except Exception as error:
            told = isinstance(error, FhembError | OSError | ValueError | MemoryError)
            self.error = str(error) if told else f"reading failed: {type(error).__name__}"
            self.version += 1
            return
        with self._lock:
            self.pyramid.fill(who, when.start, block)
            self._left -= 1
            self.version += 1

    def read_all(self) -> "Signal":
        """Read what is left, here and now."""
        everything = Window((0, len(self.series.people)), (-np.inf, np.inf))
        while (place := self.claim(everything)) is not None:
            self.read(place)
        return self

    def scale(self) -> tuple[F64, F64]:
        """Middle and spread (5 % to 95 %) of each person, of what has been read.

        NaN and 1 for a person of whom nothing is there.
        """
        if self._scale is not None and self._scale[0] == self.version:
            return self._scale[1:]
        version, values = self.version, self.pyramid.values
        sample = values[:, :: max(1, values.shape[1] // _SAMPLES_JUDGED)].astype(np.float64)
        seen = np.isfinite(sample).any(axis=1)
        middle, spread = np.full(len(values), np.nan), np.ones(len(values))
        if seen.any():
            low, middle[seen], high = np.nanquantile(sample[seen], [0.05, 0.5, 0.95], axis=1)
            spread[seen] = np.where(high > low, high - low, 1.0)
        self._scale = (version, middle, spread)
        return middle, spread


class Readers:
    """Threads that read the signals that somebody looks at, the latest wish first."""

    def __init__(self, threads: int = THREADS) -> None:
        self._wishes: dict[int, tuple[Signal, Window]] = {}
        self._more = threading.Condition()
        self._ended = False
        for k in range(threads):
            threading.Thread(target=self._work, name=f"fhemb-view-{k}", daemon=True).start()

    def want(self, signal: Signal, window: Window) -> None:
        """Ask for a signal, and say which part of it is looked at."""
        with self._more:
            self._wishes.pop(id(signal), None)
            self._wishes[id(signal)] = (signal, window)
            self._more.notify_all()

    def forget(self, signal: Signal) -> None:
        """Read no more of a signal."""
        with self._more:
            self._wishes.pop(id(signal), None)

    def close(self) -> None:
        """End the threads after the pieces that they read now."""
        with self._more:
            self._ended = True
            self._more.notify_all()

    def _work(self) -> None:
        while True:
            with self._more:
                found = self._next()
                while found is None and not self._ended:
                    self._more.wait()
                    found = self._next()
                if self._ended or found is None:
                    return
            signal, place = found
            signal.read(place)

    def _next(self) -> tuple[Signal, tuple[int, int]] | None:
        for key in [*self._wishes][::-1]:
            signal, window = self._wishes[key]
            place = signal.claim(window)
            if place is not None:
                return signal, place
            del self._wishes[key]
        return None
