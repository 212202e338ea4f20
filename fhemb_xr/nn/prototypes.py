"""Classes by the mean of their samples in a learned space: prototypical networks.

References
----------
- Snell, Swersky & Zemel (2017), Prototypical networks for few-shot learning, NIPS 30,
  4077-4087, doi:10.48550/arXiv.1703.05175.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fhemb_xr.nn.two_towers import one_thread
from fhemb_xr.typing import F64, Ints

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class PrototypeClassifier:
    """The class whose mean is nearest in a space that a small network maps the series to.

    An episode splits every class at random: one half makes the means, the other is told. The
    loss is the cross-entropy of a softmax over squared distances.

    Parameters
    ----------
    n_epochs
        Number of episodes; 0: the network as it was drawn.
    learning_rate, optimizer
        ``"adam"``, ``"adamw"`` or ``"sgd"``.
    channels
        Width of the space; 0: no network, the samples as they are (a nearest centroid).
    seed
        Random seed of the first weights and of the episodes.
    """

    def __init__(
        self,
        n_epochs: int = 60,
        learning_rate: float = 5e-3,
        optimizer: str = "adamw",
        channels: int = 16,
        seed: int = 0,
    ) -> None:
        self.n_epochs, self.learning_rate = n_epochs, learning_rate
        self.optimizer, self.channels, self.seed = optimizer, channels, seed

    def fit(
        self, x: F64, y: Ints, held_out: tuple[F64, Ints] | None = None
    ) -> "PrototypeClassifier":
        """Learn from series ``(n, f, t)`` and their classes ``(n,)``.

        With ``held_out`` samples, the network after the episode that tells most of them is
        kept, the earliest of equals.
        """
        self.classes_, number = np.unique(y, return_inverse=True)
        self._centre = x.mean(axis=(0, 2), keepdims=True)
        spread = x.std(axis=(0, 2), keepdims=True)
        self._spread = np.where(spread > 0, spread, 1)
        with torch.random.fork_rng(devices=[]), one_thread():
            torch.manual_seed(self.seed)
            self._network = _encoder(x.shape[1], self.channels)
            data = self._tensor(x), torch.from_numpy(number)
            self._learn(data, held_out)
            self._means = self._prototypes(*data)
        return self

    def predict(self, x: F64) -> Ints:
        """The nearest class of each: ``(n, f, t) -> (n,)``."""
        with torch.inference_mode(), one_thread():
            nearest = torch.cdist(self._code(self._tensor(x)), self._means).argmin(dim=1)
        return np.asarray(self.classes_[nearest.numpy()])

    def _tensor(self, x: F64) -> Tensor:
        scaled = x if not self.channels else (x - self._centre) / self._spread
        return torch.from_numpy(np.ascontiguousarray(scaled, dtype=np.float64))

    def _code(self, x: Tensor) -> Tensor:
        out: Tensor = self._network(x)
        return out

    def _prototypes(self, x: Tensor, number: Tensor) -> Tensor:
        self._network.eval()
        with torch.inference_mode():
            code = self._code(x)
        return torch.stack([code[number == k].mean(dim=0) for k in range(len(self.classes_))])

    def _learn(self, data: tuple[Tensor, Tensor], held_out: Any) -> None:
        weights = list(self._network.parameters())
        if not weights or not self.n_epochs:
            return
        optimizer = OPTIMIZERS[self.optimizer](weights, lr=self.learning_rate)
        best, kept = -1.0, None
        for _ in range(self.n_epochs):
            self._network.train()
            loss = self._episode(*data)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if held_out is not None:
                self._means = self._prototypes(*data)
                right = float((self.predict(held_out[0]) == held_out[1]).mean())
                if right > best:
                    state = self._network.state_dict()
                    best, kept = right, {n: v.clone() for n, v in state.items()}
        if kept is not None:
            self._network.load_state_dict(kept)

    def _episode(self, x: Tensor, number: Tensor) -> Tensor:
        code = self._code(x)
        means, asked = [], []
        for k in range(len(self.classes_)):
            mine = torch.nonzero(number == k)[:, 0]
            mine = mine[torch.randperm(len(mine))]
            half = max(1, len(mine) // 2)
            means.append(code[mine[:half]].mean(dim=0))
            asked.append(mine[half:] if len(mine) > 1 else mine)
        rows = torch.cat(asked)
        distance = torch.cdist(code[rows], torch.stack(means)) ** 2
        return nn.functional.cross_entropy(-distance, number[rows])


def _encoder(features: int, channels: int) -> nn.Module:
    """``(n, f, t) -> (n, code)``."""
    if not channels:
        return nn.Flatten()
    layers = (
        nn.Conv1d(features, channels, 7, padding=3), nn.GELU(),
        nn.Conv1d(channels, channels, 7, padding=3), nn.GELU(),
        nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(4 * channels, channels),
    )  # fmt: skip
    return nn.Sequential(*layers).double()
