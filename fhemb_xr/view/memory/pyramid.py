"""Series of many people in memory, with their minima and maxima over longer and longer steps.

A view of any length then reads at most a few thousand numbers a person, and every spike shows.
"""

from typing import Any

import numpy as np

from fhemb_xr.typing import F32

FACTOR = 8
STEPS = (8, 64, 512)
"""Samples of one minimum and maximum on each level."""


class Pyramid:
    """Series ``(person, sample)`` that are filled piece by piece; NaN where nothing is yet.

    Memory: 4 bytes a sample, and 8/7 of a byte for the minima and maxima.
    """

    def __init__(self, n_people: int, n_samples: int) -> None:
        self.values: F32 = np.full((n_people, n_samples), np.nan, dtype=np.float32)
        shapes = [(n_people, -(-n_samples // step)) for step in STEPS]
        self._low = [np.full(s, np.nan, dtype=np.float32) for s in shapes]
        self._high = [np.full(s, np.nan, dtype=np.float32) for s in shapes]

    @property
    def nbytes(self) -> int:
        """Bytes of the series and of all levels."""
        levels = (*self._low, *self._high)
        return self.values.nbytes + sum(level.nbytes for level in levels)

    def fill(self, people: slice, first: int, block: Any) -> None:
        """Put samples from ``first`` on in their place, and bring all levels up to date."""
        given = np.asarray(block, dtype=np.float32)
        self.values[people, first : first + given.shape[1]] = given
        longest = STEPS[-1]
        start = first // longest * longest
        stop = min(-(-(first + given.shape[1]) // longest) * longest, self.values.shape[1])
        low = high = self.values[people, start:stop]
        for step, lows, highs in zip(STEPS, self._low, self._high, strict=True):
            low = _reduced(np.fmin, low, FACTOR)
            high = _reduced(np.fmax, high, FACTOR)
            place = slice(start // step, start // step + low.shape[1])
            lows[people, place], highs[people, place] = low, high

    def envelope(self, people: Any, start: int, stop: int, most: int) -> tuple[Any, F32]:
        """Samples ``[start, stop)``, or the lowest and highest of each of up to ``most`` steps.

        Returns
        -------
        positions
            Position of each number in samples ``(point,)``: whole for single samples, the
            middle of its step for a minimum or maximum.
        values
            ``(person, point)``; a step gives its minimum, then its maximum. Below two samples
            a step, the samples themselves: an envelope would draw steps that are not there.
        """
        n = self.values.shape[1]
        start, stop = max(0, start), min(n, stop)
        if stop - start <= 2 * most:
            found: F32 = self.values[people, start:stop]
            return np.arange(start, stop, dtype=np.float64), found
        size = 2 ** int(np.ceil(np.log2((stop - start) / most)))
        first, last = start // size, -(-stop // size)
        level = max((i for i, step in enumerate(STEPS) if step <= size), default=-1)
        step = STEPS[level] if level >= 0 else 1
        lows = self._low[level] if level >= 0 else self.values
        highs = self._high[level] if level >= 0 else self.values
        part = slice(first * size // step, last * size // step)
        pair = (
            _reduced(np.fmin, lows[people, part], size // step),
            _reduced(np.fmax, highs[people, part], size // step),
        )
        middles = (np.arange(first, first + pair[0].shape[1]) + 0.5) * size - 0.5
        middles = np.clip(middles, 0, n - 1)
        both = np.stack(pair, axis=-1)
        return np.repeat(middles, 2), both.reshape(len(both), -1)


def _reduced(function: Any, x: F32, size: int) -> F32:
    """``fmin`` or ``fmax`` of each ``size`` samples; the last may be fewer."""
    if size == 1:
        return x
    whole = x.shape[1] // size * size
    # sample after sample of all steps: reduce along so short an axis takes four times as long
    out = x[:, 0:whole:size].copy()
    for k in range(1, size):
        function(out, x[:, k:whole:size], out=out)
    if whole < x.shape[1]:
        rest = function.reduce(x[:, whole:], axis=-1)
        out = np.concatenate([out, rest[:, None]], axis=1)
    result: F32 = out
    return result
