"""Simulated faces with a pulse, and the hearts they belong to; not real data."""

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.typing import F32, F64

NOISE_K = 0.03
"""Standard deviation of the noise of one pixel in one frame."""
_MOTION_PX = 0.25  # along either axis: 0.35 in the plane
_BREATH_K = 0.25
_HARMONIC = 0.35  # second harmonic of the pulse, relative to the first
_VESSELS = (  # place on a face from -1 to 1 (across, down) and weight
    (-0.35, -0.55, 0.8), (0.35, -0.55, 0.8), (0.0, -0.2, 0.7),
    (-0.5, 0.25, 1.0), (0.5, 0.25, 1.0), (0.0, 0.7, 0.6),
)  # fmt: skip
_SKIN = (  # warm eyes, forehead, cool nose, warm mouth: place, kelvin, widths
    (-0.35, -0.25, 1.4, 0.16, 0.1), (0.35, -0.25, 1.4, 0.16, 0.1), (0.0, -0.65, 0.8, 0.5, 0.2),
    (0.0, 0.18, -1.6, 0.17, 0.2), (0.0, 0.55, 0.6, 0.3, 0.1),
)  # fmt: skip


def hearts(
    n_persons: int = 8,
    clips: int = 4,
    *,
    snr_db: float = -16.0,
    seconds: float = 10.0,
    rate_hz: float = 15.0,
    shape: tuple[int, int] = (20, 16),
    first: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Simulate faces that hide a pulse, together with the traces of their hearts.

    Each person has a face, a map of vessels, a resting heart rate of 52 to 100 beats a minute
    and a delay from heart to face of 0.12 to 0.30 s. Each clip has its own rate near the
    resting rate, with respiratory arrhythmia and drift. The head moves by 0.35 pixels (rms),
    breathing changes the nostrils by 0.25 K, the whole face drifts, and every pixel has white
    noise of 30 mK. Clips of one person share nothing in time.

    Parameters
    ----------
    n_persons, first
        Number of people, and number of the first person. A number is always the same person,
        so sets with other numbers are unseen people.
    clips, seconds, rate_hz, shape
        Clips of each person (sessions of the recording), their length [s], frames a second,
        rows and columns.
    snr_db
        Ratio of the pulse (rms at the strongest pixel) to the noise of one pixel in one frame
        [dB].
    seed
        Random seed. The people depend on it, but not on the chunks.

    Returns
    -------
    Dataset
        A lazy recording as :mod:`fhemb_xr.schema` describes it, with ``heart_rate(subject,
        session)`` [1/min] and ``trace(subject, session, time)``. The trace is the cosine of the
        cardiac phase, as :func:`fhemb_xr.cardiac_wave` gives it.

    Notes
    -----
    Memory per task: 6 × a float64 clip. Tasks: one per clip and variable. Computes at call:
    none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.hearts(n_persons=3, clips=2)
    >>> dict(ds.heatmap.sizes)
    {'subject': 3, 'session': 2, 'time': 150, 'y': 20, 'x': 16}
    """
    who = da.arange(first, first + n_persons, chunks=1)
    which = da.arange(clips, chunks=1)
    n = round(seconds * rate_hz)
    options = {"n": n, "rate_hz": rate_hz, "seed": seed}

    def pieces(function: Any, axes: str, dtype: str, **more: Any) -> da.Array:
        new = dict(zip("tyx", (n, *shape), strict=True))
        return da.blockwise(
            function, axes, who, "s", which, "c", **options, **more, dtype=dtype,
            new_axes={a: new[a] for a in axes if a in new},
            meta=np.empty((0,) * len(axes), dtype),
        )  # fmt: skip

    heat = pieces(_faces, "sctyx", "float32", grid=tuple(shape), snr_db=snr_db)
    series = (schema.SUBJECT, schema.SESSION, schema.TIME)
    out = xr.Dataset(
        {
            schema.HEATMAP: ((*series, schema.Y, schema.X), heat),
            "trace": (series, pieces(_traces, "sct", "float64")),
            "heart_rate": (series[:2], pieces(_rates, "sc", "float64")),
        },
        coords={
            schema.SUBJECT: np.arange(first, first + n_persons),
            schema.SESSION: [f"clip{i}" for i in range(clips)],
            schema.TIME: (schema.TIME, np.arange(n) / rate_hz, {"units": "s"}),
        },
        attrs={
            schema.SAMPLING_RATE: rate_hz, schema.SCHEMA: schema.VERSION,
            "title": "Simulated faces with a pulse", "snr_db": snr_db, "synthetic": 1,
        },
    )  # fmt: skip
    clock = {schema.SAMPLING_RATE: rate_hz}
    out[schema.HEATMAP].attrs = {**schema.VARIABLES[schema.HEATMAP].attrs, **clock}
    out["trace"].attrs = {"long_name": "cosine of the cardiac phase", "units": "1", **clock}
    out["heart_rate"].attrs = {"long_name": "mean heart rate", "units": "1/min"}
    return out


def _person(seed: int, person: int) -> dict[str, Any]:
    r = np.random.default_rng([seed, 1, person])
    vessels = [
        (u + r.normal(0, 0.12), v + r.normal(0, 0.12), w * r.uniform(0.3, 1.3),
         r.uniform(0.15, 0.3), r.uniform(0.15, 0.3))
        for u, v, w in _VESSELS
    ]  # fmt: skip
    skin = [(u + r.normal(0, 0.03), v + r.normal(0, 0.03), *rest) for u, v, *rest in _SKIN]
    skin.append((r.uniform(-0.5, 0.5), r.uniform(-0.6, 0.6), 0.4 * r.normal(), 0.3, 0.3))
    return {
        "vessels": vessels, "skin": skin,
        "nostrils": [(r.normal(0, 0.05), 0.3 + r.normal(0, 0.05), 1.0, 0.14, 0.1)],
        "size": (r.uniform(0.9, 1.05), r.uniform(0.95, 1.1)), "warmth": r.uniform(33.5, 34.5),
        "heart_hz": r.uniform(52, 100) / 60, "delay_s": r.uniform(0.12, 0.30),
        "breath_hz": r.uniform(0.2, 0.35),
    }  # fmt: skip


def _heart(seed: int, person: int, clip: int, seconds: float) -> tuple[dict[str, Any], Any]:
    """The person with the breathing of a clip, and its beats: fine clock, phase, speed."""
    p = _person(seed, person)
    r = np.random.default_rng([seed, 2, person, clip])
    t = np.arange(-2, seconds + 1, 0.01)
    heart_hz = np.clip(p["heart_hz"] * np.exp(r.normal(0, 0.05)), 52 / 60, 100 / 60)
    p["breath_hz"] *= np.exp(r.normal(0, 0.05))
    p["breath"] = r.uniform(0, 2 * np.pi)
    sway = 0.05 * np.sin(2 * np.pi * p["breath_hz"] * t + p["breath"] + 1)
    drift = _wander(r, t.size, 0.05, 100.0)
    speed = heart_hz * (1 + sway + 0.02 * drift / drift.std())
    return p, (t, np.cumsum(speed) * 0.01 + r.uniform(), speed)


def _wander(r: np.random.Generator, n: int, corner_hz: float, rate_hz: float) -> F64:
    """Slow noise of unit variance: white noise filtered by two equal poles."""
    a = np.exp(-2 * np.pi * corner_hz / rate_hz)
    burn = round(3 * rate_hz / corner_hz)
    x = r.normal(size=n + burn)
    kernel = (np.arange(burn) + 1) * a ** np.arange(burn)  # both poles at once
    size = 2 ** int(np.ceil(np.log2(n + 2 * burn)))
    slow = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(kernel, size), size)
    return np.asarray(slow[burn : burn + n] / np.sqrt((kernel**2).sum()))


def _wave(turns: F64) -> F64:
    wave = np.cos(2 * np.pi * turns) + _HARMONIC * np.cos(4 * np.pi * turns - 1)
    return np.asarray(wave / np.sqrt(0.5 * (1 + _HARMONIC**2)))


def _traces(person: Any, clip: Any, *, n: int, rate_hz: float, seed: int) -> F64:
    _, (t, turns, _) = _heart(seed, int(person[0]), int(clip[0]), n / rate_hz)
    wave = np.cos(2 * np.pi * np.interp(np.arange(n) / rate_hz, t, turns))
    return np.asarray(wave[None, None])


def _rates(person: Any, clip: Any, *, n: int, rate_hz: float, seed: int) -> F64:
    _, (t, _, speed) = _heart(seed, int(person[0]), int(clip[0]), n / rate_hz)
    return np.asarray([[60 * speed[(t >= 0) & (t < n / rate_hz)].mean()]])


def _faces(
    person: Any, clip: Any, *, n: int, rate_hz: float, seed: int, grid: tuple[int, int],
    snr_db: float,
) -> F32:  # fmt: skip
    p, (t, turns, _) = _heart(seed, int(person[0]), int(clip[0]), n / rate_hz)
    r = np.random.default_rng([seed, 3, int(person[0]), int(clip[0])])
    clock = np.arange(n) / rate_hz
    # the head moves on the unit face
    move = [_MOTION_PX * 2 / k * _wander(r, n, 0.3, rate_hz) for k in (grid[1], grid[0])]
    still = [np.zeros(1), np.zeros(1)]
    face = p["warmth"] + _spots(p["skin"], move, grid)
    breath = np.sqrt(2) * np.sin(2 * np.pi * p["breath_hz"] * clock + p["breath"])
    face += _BREATH_K * breath[:, None, None] * _spots(p["nostrils"], move, grid)
    pulse = _wave(np.interp(clock - p["delay_s"], t, turns)) * NOISE_K * 10 ** (snr_db / 20)
    vessels = _spots(p["vessels"], move, grid) / _spots(p["vessels"], still, grid).max()
    face += pulse[:, None, None] * vessels
    face += 0.1 * _wander(r, n, 0.05, rate_hz)[:, None, None]
    out = 22 + (face - 22) * _disc(p["size"], move, grid)
    out += NOISE_K * r.standard_normal(out.shape)
    return np.asarray(out[None, None], dtype=np.float32)


def _axes(move: Any, grid: tuple[int, int]) -> tuple[F64, F64]:
    """Places of the pixels on the moving face, ``(t, x)`` and ``(t, y)``."""
    v, u = ((np.arange(k) - (k - 1) / 2) * 2 / k for k in grid)
    return u - move[0][:, None], v - move[1][:, None]


def _spots(spots: Any, move: Any, grid: tuple[int, int]) -> F64:
    """A sum of Gaussian spots on the moving face, ``(t, y, x)``."""
    u, v = (a[..., None] for a in _axes(move, grid))
    cu, cv, weight, su, sv = np.array(spots).T
    across, down = np.exp(-(((u - cu) / su) ** 2)), np.exp(-(((v - cv) / sv) ** 2))
    return np.asarray((weight * down) @ across.swapaxes(1, 2))


def _disc(size: tuple[float, float], move: Any, grid: tuple[int, int]) -> F64:
    """One on the face, zero beside it, with a soft edge."""
    u, v = _axes(move, grid)
    radius = np.sqrt((u / size[0])[:, None, :] ** 2 + (v / size[1])[:, :, None] ** 2)
    return np.asarray(1 / (1 + np.exp((radius - 1) / 0.1)))
