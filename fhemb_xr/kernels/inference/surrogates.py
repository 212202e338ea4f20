"""Series that keep one property of a recording and lose the others.

Every kind is drawn for a whole group of series at once, ``(..., t)``: what they have in common
within the group stays.

References
----------
- Künsch (1989), Ann. Stat. 17, 1217-1241, doi:10.1214/aos/1176347265 (blocks).
- Theiler et al. (1992), Physica D 58, 77-94, doi:10.1016/0167-2789(92)90102-S (phases).
- Prichard & Theiler (1994), Phys. Rev. Lett. 73, 951-954, doi:10.1103/PhysRevLett.73.951.
- Schreiber & Schmitz (2000), Physica D 142, 346-382, doi:10.1016/S0167-2789(00)00043-9 (IAAFT).
- Harris (2020), Nonsense correlations in neuroscience, bioRxiv, doi:10.1101/2020.11.29.402719.
"""

from collections.abc import Callable

import numpy as np

from fhemb_xr.typing import Floats, Ints


def circular(x: Floats, block: int, rng: np.random.Generator) -> Floats:
    """Shifted in a circle by 1 to t - 1 samples: ``(..., t) -> (..., t)``."""
    n = x.shape[-1]
    return np.roll(x, int(rng.integers(1, n)) if n > 1 else 0, axis=-1)


def blocks(x: Floats, block: int, rng: np.random.Generator) -> Floats:
    """Blocks from anywhere laid end to end, overlapping ones too: ``(..., t) -> (..., t)``."""
    n = x.shape[-1]
    if not n:
        return x
    block = min(block, n)
    starts = rng.integers(0, n - block + 1, size=-(-n // block))
    where = (starts[:, None] + np.arange(block)).ravel()[:n]
    return np.asarray(x[..., where])


def phases(x: Floats, block: int, rng: np.random.Generator) -> Floats:
    """The same spectrum with other phases, alike for all series: ``(..., t) -> (..., t)``.

    Gaps count as the mean of the series, and stay where they are. Peak memory: 40 bytes per
    sample.
    """
    n = x.shape[-1]
    turn = np.zeros(n // 2 + 1)
    inner = slice(1, (n + 1) // 2)  # the mean and the highest frequency have no phase
    turn[inner] = rng.uniform(0, 2 * np.pi, size=turn[inner].size)
    x = np.ascontiguousarray(x)  # sums go by the order in memory
    seen = np.isfinite(x)
    count = np.maximum(seen.sum(axis=-1, keepdims=True), 1)
    mean = x.sum(axis=-1, keepdims=True, where=seen, dtype=np.float64) / count
    spectrum = np.fft.rfft(np.where(seen, x - mean, 0.0), axis=-1) * np.exp(1j * turn)
    out = np.fft.irfft(spectrum, n, axis=-1) + mean if n else x
    return np.where(seen, out, np.nan)


def linear(x: Floats, margin: int, rng: np.random.Generator) -> Floats:
    """The middle, slid by 1 to ``margin`` samples: ``(..., t) -> (..., t - 2 * margin)``.

    Nothing wraps: what slides in was seen in the margin.
    """
    shift = int(rng.integers(1, margin + 1)) * (1 if rng.integers(2) else -1)
    return np.asarray(x[..., margin + shift : x.shape[-1] - margin + shift])


def iaaft(x: Floats, rounds: int, rng: np.random.Generator) -> Floats:
    """The same values in an order with the same spectrum: ``(..., t) -> (..., t)``.

    Series of a group keep the differences of their phases. Gaps count as the mean, and stay
    where they are. At most ``rounds`` steps; it ends when the order no longer changes.
    Peak memory: 80 bytes per sample.
    """
    n = x.shape[-1]
    if n < 4 or not x.size:
        return x
    rows = np.ascontiguousarray(x.reshape(-1, n), dtype=np.float64)  # sums go by the order
    seen = np.isfinite(rows)
    series = np.where(seen, rows, 0.0)
    mean = series.sum(axis=-1, keepdims=True) / np.maximum(seen.sum(axis=-1, keepdims=True), 1)
    series = np.where(seen, series - mean, 0.0)
    values, spectrum = np.sort(series, axis=-1), np.fft.rfft(series, axis=-1)
    size, phase = np.abs(spectrum), np.exp(-1j * np.angle(spectrum))
    out = series[:, rng.permutation(n)]
    ranks = np.zeros(series.shape, np.int64)
    for _ in range(rounds):
        turn = np.fft.rfft(out, axis=-1) * phase
        turn /= np.maximum(np.abs(turn), 1e-300)
        common = turn.sum(axis=0)  # one turn of all series, so that they keep together
        common /= np.maximum(np.abs(common), 1e-300)
        smooth = np.fft.irfft(size * common / phase, n, axis=-1)
        before, ranks = ranks, np.argsort(smooth, axis=-1, kind="stable")
        np.put_along_axis(out, ranks, values, axis=-1)
        if (before == ranks).all():
            break
    return np.where(seen, out + mean, np.nan).astype(x.dtype).reshape(x.shape)


KINDS: dict[str, Callable[[Floats, int, np.random.Generator], Floats]] = {
    "circular": circular,
    "linear": linear,
    "phase": phases,
    "iaaft": iaaft,
    "block": blocks,
}
ROUNDS = 100
"""Steps of IAAFT at most; most series need fewer."""


def drawn(replicate: Ints, who: Ints, x: Floats, *, kind: str, size: int, seed: int) -> Floats:
    """One surrogate for each replicate and member: ``(r, …), (k, …), (..., t) -> (..., t)``.

    The three broadcast. ``size`` is the number of the kind: samples of a block or of a margin,
    or rounds. The draw depends on the seed, the number of the replicate and that of the member
    alone, and so not on the block that is worked on.
    """
    shape = np.broadcast_shapes(replicate.shape, who.shape, x.shape[:-1])
    x = np.broadcast_to(x, (*shape, x.shape[-1]))
    numbers = [_filled(a, len(shape)) for a in np.broadcast_arrays(replicate, who)]
    length = x.shape[-1] - 2 * size if kind == "linear" else x.shape[-1]
    out = np.empty((*shape, length), dtype=x.dtype)
    for i in np.ndindex(numbers[0].shape):
        rng = np.random.default_rng([seed, *(int(a[i]) for a in numbers)])
        here = tuple(
            slice(None) if n == 1 else k for k, n in zip(i, numbers[0].shape, strict=True)
        )
        out[here] = KINDS[kind](x[here], size, rng)
    return out


def _filled(a: Ints, n_dims: int) -> Ints:
    """With leading axes of length 1."""
    return a.reshape((1,) * (n_dims - a.ndim) + a.shape)
