"""A (2+1)D network that scores one face and one heart.

One tower sees the face, first in space and then in time, the other the heart's wave; both end
in the same channels over time. A score weighs their correlations channel by channel, and knows
no other face.

References
----------
- Tran et al. (2018), CVPR, 6450-6459, doi:10.1109/CVPR.2018.00675.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fhemb_xr.kernels.cardiac import pairing_scores, pulse_band
from fhemb_xr.typing import F32, F64


@dataclass(frozen=True)
class Design:
    """What makes two networks alike."""

    grid: tuple[int, int]
    ticks: int
    """Of the clock that the network sees, at 7.5 Hz or more."""
    frequencies: tuple[int, int]
    """First cosine of the pulse band, and how many."""
    spatial: int = 8
    channels: int = 16


class R2Plus1D(nn.Module):
    """Towers for a face ``(clip, 1, time, y, x)`` and a heart ``(clip, 1, time)``."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        a, c = design.spatial, design.channels
        rows, columns = (-(-n // 3) for n in design.grid)  # after a stride of three
        self.space = nn.Conv3d(1, a, (1, 7, 7), (1, 3, 3), padding=(0, 3, 3), bias=False)
        self.time = nn.Conv3d(a, c, (5, 1, 1), padding=(2, 0, 0), bias=False)
        self.norm = nn.BatchNorm3d(c)
        # not pooled: each place on the face has weights of its own
        self.whole = nn.Conv3d(c, c, (1, rows, columns), bias=False)
        self.norm_whole = nn.BatchNorm1d(c)
        self.course = nn.Conv1d(c, c, 5, padding=2, bias=False)
        self.heart = nn.Sequential(
            nn.Conv1d(1, c, 11, padding=5), nn.GELU(), nn.Conv1d(c, c, 11, padding=5)
        )
        self.judge = nn.Sequential(nn.Linear(c, 24), nn.GELU(), nn.Linear(24, 1))
        self.drop = nn.Dropout3d(0.2), nn.Dropout(0.2)

    def face_code(self, x: Tensor) -> Tensor:
        """``(clip, 1, time, y, x) -> (clip, channel, time)``, each channel of unit length."""
        x = nn.functional.gelu(self.norm(self.time(self.space(x))))
        x = self.whole(self._dropped(0, x))[..., 0, 0]
        x = nn.functional.gelu(self.norm_whole(self._dropped(1, x)))
        return nn.functional.normalize(self.course(x), dim=2)

    def _dropped(self, which: int, x: Tensor) -> Tensor:
        # modules in a tuple are not switched by eval()
        out: Tensor = self.drop[which](x) if self.training else x
        return out

    def heart_code(self, h: Tensor) -> Tensor:
        """``(clip, 1, time) -> (clip, channel, time)``."""
        return nn.functional.normalize(self.heart(h), dim=2)

    def judged(self, r: Tensor) -> Tensor:
        """Correlations by channel as a score: ``(…, channel) -> (…)``."""
        out: Tensor = self.judge(r)[..., 0]
        return out

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Every face with every heart: ``(face, heart)``."""
        r = torch.einsum("ict,jct->ijc", self.face_code(x), self.heart_code(h))
        return self.judged(r)


def design(attrs: Mapping[str, Any]) -> Design:
    """Of a stored model's attributes."""
    return Design(
        tuple(attrs["grid"]), int(attrs["ticks"]), tuple(attrs["frequencies"]),
        int(attrs["spatial"]), int(attrs["channels"]),
    )  # fmt: skip


def packed(arrays: Mapping[str, Any], of: Design) -> F64:
    """A network's arrays in one, in its own order; the counters of batches are not kept."""
    with torch.device("meta"):
        names = R2Plus1D(of).state_dict()
    order = [n for n in names if not n.endswith("num_batches_tracked")]
    return np.concatenate([np.asarray(arrays[n], dtype=np.float64).ravel() for n in order])


def unpacked(weights: F64, of: Design) -> R2Plus1D:
    """The network that :func:`packed` wrote down, ready to predict."""
    with torch.device("meta"):  # no numbers are drawn for weights that are given
        network = R2Plus1D(of)
    state, start = network.state_dict(), 0
    for name, old in state.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
            continue
        piece = weights[start : start + old.numel()].reshape(tuple(old.shape))
        state[name] = torch.from_numpy(np.array(piece, dtype=np.float32))
        start += old.numel()
    network.load_state_dict(state, assign=True)
    return network.eval()


def on_ticks(x: Any, of: Design) -> F32:
    """From cosines of the pulse band to the network's clock: ``(..., f) -> (..., t)``."""
    first, count = of.frequencies
    t = (np.arange(of.ticks)[:, None] + 0.5) / of.ticks
    basis = np.sqrt(2 / of.ticks) * np.cos(np.pi * t * np.arange(first, first + count))
    out: F32 = (x @ basis.T).astype(np.float32)
    return out


def band(n: int, rate_hz: float) -> tuple[int, int]:
    """First cosine of the pulse band in a window of ``n`` frames, and how many."""
    first = max(1, int(np.ceil(pulse_band.PULSE_HZ[0] * 2 * n / rate_hz - 1e-9)))
    return first, pulse_band.cosines(n, rate_hz, pulse_band.PULSE_HZ).shape[1]


def faces(movie: F64, of: Design) -> F32:
    """``(..., f, y, x) -> (..., t, y, x)``."""
    return np.moveaxis(on_ticks(np.moveaxis(movie, -3, -1), of), -1, -3)


def hearts(wave: F64, of: Design) -> F32:
    """Waves of a root mean square of 1 in the band: ``(..., f) -> (..., t)``."""
    return on_ticks(wave * np.sqrt(wave.shape[-1]), of)


def face_code(movie: F64, weights: F64, *, design: Design) -> F64:
    """``(..., f, y, x), (n,) -> (..., channel, time)``, one clip at a time: see ``_each``."""
    return _each(unpacked(weights, design).face_code, faces, movie, 3, design)


def heart_code(wave: F64, weights: F64, *, design: Design) -> F64:
    """``(..., f), (n,) -> (..., channel, time)``."""
    return _each(unpacked(weights, design).heart_code, hearts, wave, 1, design)


def _each(
    tower: Callable[[Tensor], Tensor], clock: Callable[[F64, Design], Any], x: F64, n_dims: int,
    of: Design,
) -> F64:  # fmt: skip
    """Clip by clip: in a batch, what a clip gets could depend on its neighbours' number."""
    lead = x.shape[: x.ndim - n_dims]
    out = np.full((*lead, of.channels, of.ticks), np.nan)
    with torch.inference_mode(), one_thread():
        for i in np.ndindex(lead):
            if np.isfinite(x[i]).all():
                clip = np.ascontiguousarray(clock(np.ascontiguousarray(x[i]), of))
                out[i] = tower(torch.from_numpy(clip)[None, None])[0].numpy()
    return out


def score(face: F64, heart: F64, weights: F64, *, design: Design) -> F64:
    """``(..., c, t), (..., c, t), (n,) -> (...)``."""
    network = unpacked(weights, design)

    def judged(a: F64, b: F64) -> float:
        r = np.sum(a * b, axis=-1).astype(np.float32)
        return float(network.judged(torch.from_numpy(r)))

    with torch.inference_mode(), one_thread():
        return pairing_scores.each_pair(judged, face, heart)


_lock = threading.Lock()
_users = [0, 0]  # how many there are, and the threads that torch had before


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch without threads of its own (dask owns them); what it had comes back."""
    with _lock:
        if not _users[0]:
            _users[1] = torch.get_num_threads()
            torch.set_num_threads(1)
        _users[0] += 1
    try:
        yield
    finally:
        with _lock:
            _users[0] -= 1
            if not _users[0]:
                torch.set_num_threads(_users[1])
