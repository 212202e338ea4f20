"""Random shifts in time of one series against another: the null of those that stand still."""

from typing import NamedTuple

import numpy as np


class RandomShifts(NamedTuple):
    """A null of random shifts in time."""

    n: int
    least: int
    """Samples of the smallest shift."""
    margin: int | None
    """Samples to slide to either side; None: rolled in a circle."""
    seed: int

    def drawn(self, length: int) -> list[int]:
        """By how many samples later a series of ``length`` samples is taken, ``n`` times."""
        rng = np.random.default_rng(self.seed)
        if self.margin is None:
            by = rng.integers(self.least, length - self.least + 1, self.n)
            return [int(b) for b in by]
        size = rng.integers(self.least, self.margin + 1, self.n)
        return [int(b) for b in np.where(rng.random(self.n) < 0.5, size, -size)]
