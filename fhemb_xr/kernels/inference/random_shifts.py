"""Random shifts in time of one series against another: the null of those that stand still."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fhemb_xr.typing import F64, Ints


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


def people_apart(x: F64, rng: np.random.Generator, n: int, margin: int | None) -> Iterator[F64]:
    """The series, then ``n`` times with every person shifted: ``(p, t, d) -> (p, t', d)``.

    ``margin`` samples at both ends are left out, and people slide within them; ``None``: they
    are rolled in a circle.
    """
    people, length = x.shape[:2]
    for i in range(1 + n):
        offsets: Ints = np.zeros(people, np.int64)
        if i > 0 and margin is None:
            offsets = np.asarray(rng.integers(0, length, people))
        elif i > 0 and margin is not None:
            offsets = np.asarray(rng.integers(-margin, margin + 1, people))
        if margin is None:
            rolls = zip(x, offsets, strict=True)
            yield np.stack([np.roll(row, offset, axis=0) for row, offset in rolls])
        else:
            ends = margin + offsets, length - margin + offsets
            yield np.stack([row[a:b] for row, a, b in zip(x, *ends, strict=True)])
