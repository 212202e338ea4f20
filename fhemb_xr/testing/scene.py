"""What is simulated of an audience: people, their boxes, faces, and where parts of them are."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.testing import heads
from fhemb_xr.typing import F32, F64, Bools, Ints

BLOCK = 250
"""Number of frames that share a random generator, so that noise does not depend on chunks."""

PARTS = {
    "nose_tip": (0.0, 0.18),
    "forehead": (0.0, -0.65),
    "periorbital_l": (-1.0, -0.25),
    "periorbital_r": (1.0, -0.25),
    "perioral": (0.0, 0.5),
}
"""Places on the unit face, across and down; the eyes are as wide as the person's are."""
DRIFTS = 6  # sinusoids in the slow drift that a group shares
COLUMNS = (
    "index",
    "face",
    "breath_hz",
    "breath",
    "pulse_hz",
    "pulse",
    "lag_s",
    "warmth",
    "box",
)


class Scene(NamedTuple):
    """What all people share."""

    grid: tuple[int, int]
    rate_hz: float
    noise_k: float
    breath_k: float
    turn_deg: float
    shift_px: float
    gap: tuple[int, ...] | None
    dropout: float
    seed: int

    @property
    def movement(self) -> tuple[float, float]:
        """How far heads turn and shift."""
        return self.turn_deg, self.shift_px


def physiology(
    ids: Sequence[int], faceless: Sequence[int], n_groups: int, lag_s: float, seed: int
) -> F64:
    """Physiology of each person: ``(subject, column)``; it depends on the person's id only."""
    rows = []
    for place, person in enumerate(ids):
        u = np.random.default_rng([seed, 1, int(person)]).uniform(size=6)
        rows.append([
            int(person), person not in set(faceless),
            0.2 + 0.2 * u[0], u[1], 1.1 + 0.2 * u[2], u[3],
            lag_s * (place // n_groups), 33.5 + u[4], u[5],
        ])  # fmt: skip
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(COLUMNS))


def _present(p: dict[str, float], session: int, frames: Ints, scene: Scene) -> Bools:
    seen = np.full(frames.size, bool(p["face"]))
    if scene.gap:
        seen &= (frames < scene.gap[0]) | (frames >= scene.gap[1])
    if scene.dropout:
        seen &= _random(p, session, frames, scene.seed, (), uniform=True) >= scene.dropout
    return seen


def _random(
    p: dict[str, float],
    session: int,
    frames: Ints,
    seed: int,
    shape: tuple[int, ...],
    uniform: bool = False,
) -> F32:
    """Random numbers for these frames, ``(t, *shape)``, from one generator per block."""
    first, last = int(frames[0]) // BLOCK, int(frames[-1]) // BLOCK
    parts = []
    for block in range(first, last + 1):
        rng = np.random.default_rng([seed, 3 + uniform, int(p["index"]), session, block])
        draw = rng.random if uniform else rng.standard_normal
        parts.append(draw((BLOCK, *shape), dtype=np.float32))
    start = int(frames[0]) - first * BLOCK
    return np.concatenate(parts)[start : start + frames.size]


def _box(
    p: dict[str, float], frames: Ints, grid: tuple[int, int], rate_hz: float
) -> tuple[F64, F64]:
    """Rows and columns of the box: 80-100 % of the grid; they change within seconds."""
    t = frames / rate_hz
    sway = np.sin(2 * np.pi * (t / 7.3 + p["box"])) + 0.5 * np.sin(2 * np.pi * t / 2.9)
    return (
        np.round(grid[0] * (0.9 + 0.06 * sway)).clip(1, grid[0]),
        np.round(grid[1] * (0.9 - 0.05 * sway)).clip(1, grid[1]),
    )


def boxes(
    people: Any, drifts: Any, sessions: Any, frames: Any, *, scene: Scene
) -> NDArray[np.int16]:
    """Rows and columns of the boxes, ``(1, 1, t, 2)``; 0 where there is no face."""
    p = dict(zip(COLUMNS, people[0], strict=True))
    seen = _present(p, int(sessions[0]), frames, scene)
    sizes = np.stack(_box(p, frames, scene.grid, scene.rate_hz), axis=-1)
    return np.asarray(np.where(seen[:, None], sizes, 0)[None, None], dtype=np.int16)


def positions(people: Any, drifts: Any, sessions: Any, frames: Any, *, scene: Scene) -> F32:
    """Where the faces sit in the picture, ``(1, 1, t, 2)`` [pixel]."""
    p = dict(zip(COLUMNS, people[0], strict=True))
    seat = 60 * (p["index"] % 10) + 30, 150 + 40 * (p["index"] // 10 % 4)
    sway = 2 * np.sin(2 * np.pi * (frames / scene.rate_hz / 11 + p["box"]))
    place = np.stack([seat[0] + sway, seat[1] + 0.5 * sway], axis=-1)
    seen = _present(p, int(sessions[0]), frames, scene)
    return np.asarray(np.where(seen[:, None], place, np.nan)[None, None], dtype=np.float32)


def faces(people: Any, drifts: Any, sessions: Any, frames: Any, *, scene: Scene) -> F32:
    """Temperatures, ``(1, 1, t, y, x)`` [°C]; NaN outside the box and without a face."""
    p = dict(zip(COLUMNS, people[0], strict=True))
    session, grid = int(sessions[0]), scene.grid
    t = frames / scene.rate_hz
    drift = _drift(drifts[0], t - p["lag_s"])
    breath = np.sin(2 * np.pi * (p["breath_hz"] * t + p["breath"]))
    pulse = 0.05 * np.sin(2 * np.pi * (p["pulse_hz"] * t + p["pulse"]))
    out = scene.noise_k * _random(p, session, frames, scene.seed, grid)
    turn, shift = heads.pose(t, _seed(p, session, scene), *scene.movement)
    y, x = (np.arange(n) - (n - 1) / 2 for n in grid)
    y, x = y[:, None] - shift[:, 1, None, None], x[None, :] - shift[:, 0, None, None]
    skin, nostrils = _pattern(*heads.on_the_face(2 * x / grid[1], 2 * y / grid[0], turn), p)
    out += (drift + pulse).astype("f4")[:, None, None]
    out += (2 * scene.breath_k * breath).astype("f4")[:, None, None] * nostrils
    out += skin
    rows, columns = _box(p, frames, grid, scene.rate_hz)
    h, w = rows[:, None, None], columns[:, None, None]
    outside = (2 * y / h) ** 2 + (2 * x / w) ** 2 > 1
    np.copyto(out, np.float32(22), where=outside)
    # the box of a frame is centred on the grid, an odd remainder going to the far side
    top, left = (grid[0] - h) // 2, (grid[1] - w) // 2
    i, j = np.arange(grid[0])[:, None], np.arange(grid[1])[None, :]
    out[(i < top) | (i >= top + h) | (j < left) | (j >= left + w)] = np.nan
    out[~_present(p, session, frames, scene)] = np.nan
    return out[None, None]


def landmarks(people: Any, drifts: Any, sessions: Any, frames: Any, *, scene: Scene) -> F64:
    """Where :data:`PARTS` are on the grid, ``(1, 1, t, part, 2)`` [pixel]."""
    p = dict(zip(COLUMNS, people[0], strict=True))
    u, v = np.array([*PARTS.values()]).T
    u = np.where(np.abs(u) == 1, u * _width(p), u)
    turn, shift = heads.pose(
        frames / scene.rate_hz, _seed(p, int(sessions[0]), scene), *scene.movement
    )
    at = np.stack([u, v, np.sqrt(1 - u**2 - v**2)])
    turned = (
        (turn @ at)[:, :2] if turn.size else np.broadcast_to(at[:2], (len(frames), 2, u.size))
    )
    half = np.array(scene.grid[::-1])[:, None] / 2
    places = turned * half + half - 0.5 + shift[:, :, None]
    seen = _present(p, int(sessions[0]), frames, scene)
    return np.where(seen[:, None, None], places.swapaxes(1, 2), np.nan)[None, None]


def _seed(p: dict[str, float], session: int, scene: Scene) -> list[int]:
    """Of the movements of one head in one session."""
    return [scene.seed, 5, int(p["index"]), session]


def _width(p: dict[str, float]) -> float:
    """How far the eyes are from the middle."""
    return 0.25 + 0.15 * p["box"]


def _drift(phases: F64, t: F64) -> F64:
    """Slow wandering of a group [K]: periods of 3 to 40 s, from their own random phases."""
    periods = np.geomspace(3, 40, DRIFTS) * (0.9 + 0.2 * phases[:, 0])
    waves = np.sin(2 * np.pi * (t[:, None] / periods + phases[:, 1]))
    return np.asarray(0.25 * waves.sum(axis=1))


def _pattern(u: F64, v: F64, p: dict[str, float]) -> tuple[F32, F32]:
    """Skin temperature [°C] and the weight of breathing [K] on the unit face."""

    def spot(cu: float, cv: float, su: float, sv: float) -> F64:
        return np.asarray(np.exp(-(((u - cu) / su) ** 2) - ((v - cv) / sv) ** 2))

    wide = _width(p)
    skin = p["warmth"] - 1.5 * (u**2 + v**2)
    skin = skin + 1.4 * spot(-wide, -0.25, 0.14, 0.09) + 1.4 * spot(wide, -0.25, 0.14, 0.09)
    skin = skin + 0.8 * spot(0, -0.65, 0.5, 0.2) + 0.6 * spot(0, 0.5, 0.3, 0.08)
    nose = spot(0, 0.18, 0.16, 0.18)
    return (skin - 1.6 * nose).astype("f4"), (0.5 * nose).astype("f4")
