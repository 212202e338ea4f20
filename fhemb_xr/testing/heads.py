"""How simulated heads turn and shift."""

from collections.abc import Sequence

import numpy as np

from fhemb_xr.typing import F64


def pose(t: F64, seed: Sequence[int], turn_deg: float, shift_px: float) -> tuple[F64, F64]:
    """Rotations of a head ``(t, 3, 3)``, none where it never turns, and shifts ``(t, 2)``.

    Three slow waves each, of the standard deviations that are asked for; a nod and a tilt have
    half of a turn to the side.
    """
    if not (turn_deg or shift_px):
        return np.empty((0, 3, 3)), np.zeros((1, 2))
    phases = np.random.default_rng(seed).uniform(size=(5, 3, 2))
    hz = np.array([1 / 3.1, 1 / 7.9, 1 / 19]) * (0.8 + 0.4 * phases[..., 0])
    waves = np.sqrt(2 / 3) * np.sin(2 * np.pi * (hz * t[:, None, None] + phases[..., 1]))
    sway = waves.sum(axis=-1)  # of standard deviation 1
    shift = shift_px * sway[:, 3:]
    if not turn_deg:
        return np.empty((0, 3, 3)), shift
    from scipy.spatial.transform import Rotation

    angles = np.deg2rad(turn_deg) * sway[:, :3] * [1, 0.5, 0.5]
    return np.asarray(Rotation.from_euler("yxz", angles).as_matrix()), shift


def on_the_face(u: F64, v: F64, turn: F64) -> tuple[F64, F64]:
    """Where on the unit face the pixels of a turned head lie; beside the head: as if unturned.

    ``(t, 1, x), (t, y, 1), (t, 3, 3) -> (t, y, x), (t, y, x)``.
    """
    if not turn.size:
        return u, v
    shape = np.broadcast_shapes(u.shape, v.shape, (len(turn), 1, 1))
    u, v = np.broadcast_to(u, shape), np.broadcast_to(v, shape)
    depth = np.sqrt(np.clip(1 - u**2 - v**2, 0, None))
    back = [
        turn[:, 0, k, None, None] * u + turn[:, 1, k, None, None] * v
        + turn[:, 2, k, None, None] * depth
        for k in (0, 1)
    ]  # fmt: skip
    beside = depth == 0
    return np.where(beside, u, back[0]), np.where(beside, v, back[1])
