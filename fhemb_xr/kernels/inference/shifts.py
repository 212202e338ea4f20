"""Correlation of series at every shift against one window of others that stand still.

Two kinds of shift, both by one Fourier transform for all shifts at once:

* circular: the whole series is rolled, ``margin=None``; what leaves at one end enters at the
  other, so a series that drifts gets a jump where its ends meet;
* linear: the series slides by ``-margin … margin`` samples and nothing wraps, so the window
  that stands still lies ``margin`` samples inside the series.

Pairs of samples of which one is missing are left out, at every shift.

References
----------
- Harris (2020), Nonsense correlations in neuroscience, bioRxiv, doi:10.1101/2020.11.29.402719.
"""

from typing import Any

import numpy as np

from fhemb_xr.typing import F64, Bools

_FLAT = 1e-13


def centred(x: F64) -> F64:
    """The series minus the mean of the samples that are there: ``(..., t) -> (..., t)``."""
    seen = np.isfinite(x)
    n = np.maximum(seen.sum(axis=-1, keepdims=True), 1)
    total = np.sum(x, axis=-1, keepdims=True, where=seen)
    return np.asarray(x - total / n)


def flat(x: F64, d: F64, both: Bools) -> Bools:
    """Whether nothing but rounding moves: ``(..., t) -> (...)``; ``d`` is ``x`` centred."""
    size = np.max(np.abs(x), axis=-1, initial=0.0, where=both)
    n = both.sum(axis=-1)
    return np.asarray((n < 2) | ((d * d).sum(axis=-1) <= n * (1e-14 * size) ** 2))


class Shifts:
    """Series that move, ``(..., t)``, with the transforms that every partner needs.

    ``whole`` says that neither these series nor any partner has a gap.
    Peak memory: 60 bytes per sample of the series, twice that with gaps.
    """

    def __init__(
        self, x: F64, start: int, width: int, margin: int | None, *, whole: bool
    ) -> None:
        from scipy import fft

        self.width, self.margin, self.whole = width, margin, whole
        n = x.shape[-1]
        part = x if margin is None else x[..., start - margin : start + width + margin]
        self.offset = start if margin is None else 0
        self.n_shifts = n if margin is None else 2 * margin + 1
        self.observed = 0 if margin is None else margin
        """Position of the shift by no sample."""
        self.length = n if margin is None else fft.next_fast_len(part.shape[-1], real=True)
        seen = np.isfinite(part)
        d = np.where(seen, centred(part), 0.0)
        self.still = flat(part, d, seen)[..., None]
        self.total = (d * d).sum(axis=-1, keepdims=True)
        parts = [d] if whole else [d, seen.astype(np.float64), d * d]
        self.spectra = [fft.rfft(p, self.length) for p in parts]
        self.spread = self._spread(d) if whole else self.total

    def _spread(self, d: F64) -> F64:
        """Squares about the mean in the window at each shift, where there is no gap."""
        if self.margin is None and self.width == d.shape[-1]:
            return np.asarray(self.total)
        if self.margin is None:  # of shift j the window begins at offset + j, in a circle
            d = np.roll(d, -self.offset, axis=-1)
            d = np.concatenate([d, d[..., : self.width - 1]], axis=-1)
        first, second = (_moving_sum(p, self.width) for p in (d, d * d))
        return np.asarray(second - first * first / self.width)

    def against(self, y: F64) -> F64:
        """Correlation at every shift with a window ``(..., width)``: ``(..., n_shifts)``."""
        seen = np.isfinite(y)
        d = np.where(seen, centred(y), 0.0)
        own = (d * d).sum(axis=-1, keepdims=True)
        if self.whole:
            product, var_x, var_y = self._products(0, self._transformed(d)), self.spread, own
        else:
            product, var_x, var_y = self._with_gaps(d, seen.astype(np.float64))
        sure = (var_x > _FLAT * self.total) & (var_y > _FLAT * own)
        sure = sure & ~(self.still | flat(y, d, seen)[..., None])
        root = np.sqrt(np.where(sure, var_x * var_y, np.nan))
        return np.asarray(np.clip(product / root, -1, 1))

    def _with_gaps(self, y: F64, q: F64) -> tuple[F64, F64, F64]:
        """Sums about the means of the samples that both have."""
        of_y, of_mask, of_squares = (self._transformed(s) for s in (y, q, y * y))
        n = np.round(self._products(1, of_mask))
        n1 = np.maximum(n, 1)
        sum_x, sum_y = self._products(0, of_mask), self._products(1, of_y)
        var_x = self._products(2, of_mask) - sum_x * sum_x / n1
        var_y = self._products(1, of_squares) - sum_y * sum_y / n1
        product = self._products(0, of_y) - sum_x * sum_y / n1
        return product, np.where(n > 1, var_x, 0.0), var_y

    def _transformed(self, y: F64) -> Any:
        """Conjugate spectrum of a window, at its place where shifts are circular."""
        from scipy import fft

        if self.offset:
            y = np.concatenate([np.zeros((*y.shape[:-1], self.offset)), y], axis=-1)
        return np.conj(fft.rfft(y, self.length))

    def _products(self, which: int, y: Any) -> F64:
        """``sum over t of x[t + j] * y[t]`` for every shift j."""
        from scipy import fft

        out: F64 = fft.irfft(self.spectra[which] * y, self.length)
        return out[..., : self.n_shifts]


def _moving_sum(x: F64, width: int) -> F64:
    """Sums of ``width`` neighbours: ``(..., t) -> (..., t - width + 1)``."""
    run = np.zeros((*x.shape[:-1], x.shape[-1] + 1))
    np.cumsum(x, axis=-1, out=run[..., 1:])
    return np.asarray(run[..., width:] - run[..., :-width])
