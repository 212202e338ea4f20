"""Training of the two towers: every face of a batch with every heart of it.

A trial is a heart, its own face and another person's; the loss is the logistic one of the
difference of the two scores, so that no order of faces can be learnt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fhemb_xr.nn.two_towers import Design, R2Plus1D, faces, hearts, one_thread
from fhemb_xr.typing import F32, F64

Report = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Schedule:
    """How to train."""

    epochs: int = 35
    batch: int = 48
    learning_rate: float = 4e-3
    weight_decay: float = 2e-2
    noise: float = 0.2
    """Added to a face of unit root mean square: faces are few, noise is free."""
    seed: int = 0


@dataclass(frozen=True)
class Clips:
    """What is learnt from: movies, waves and whose they are."""

    movies: F64
    waves: F64
    persons: NDArray[Any] = field(repr=False)

    def tensors(self, of: Design) -> tuple[Tensor, Tensor, Tensor]:
        """On the clock of the network."""
        _, number = np.unique(self.persons, return_inverse=True)
        return (
            torch.from_numpy(faces(self.movies, of))[:, None],
            torch.from_numpy(hearts(self.waves, of))[:, None],
            torch.from_numpy(number),
        )


def fit(
    clips: Clips, held_out: Clips | None, of: Design, how: Schedule, report: Report | None
) -> tuple[dict[str, F32], dict[str, F64]]:
    """Train a network: its arrays by name, and the loss of each epoch.

    ``report`` is called after each epoch with its number and figures.
    """
    with torch.random.fork_rng(), one_thread():  # whoever draws from torch draws on as before
        torch.manual_seed(how.seed)
        network = R2Plus1D(of)
        data = clips.tensors(of)
        steps = -(-len(data[0]) // how.batch)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay
        )
        rise_and_fall = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, how.learning_rate, total_steps=how.epochs * steps
        )
        history: dict[str, list[float]] = {}
        for epoch in range(how.epochs):
            found = {"loss": _epoch(network, data, optimizer, rise_and_fall, how)}
            if held_out is not None:
                found |= _tested(network, held_out.tensors(of))
            for name, value in found.items():
                history.setdefault(name, []).append(value)
            if report is not None:
                report(epoch, found)
    state = network.state_dict()
    arrays = {n: v.numpy().copy() for n, v in state.items() if "num_batches" not in n}
    return arrays, {n: np.array(v) for n, v in history.items()}


def _epoch(
    network: R2Plus1D,
    data: tuple[Tensor, ...],
    optimizer: Any,
    rise_and_fall: Any,
    how: Schedule,
) -> float:
    network.train()
    order = torch.randperm(len(data[0]))
    total = 0.0
    for here in torch.split(order, how.batch):
        x, h, person = (part[here] for part in data)
        loss = contest(network(*_varied(x, h, how.noise)), person)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rise_and_fall.step()
        total += float(loss.detach()) * len(here)
    return total / len(order)


def contest(score: Tensor, person: Tensor) -> Tensor:
    """Loss of all trials in ``(face, heart)``: each heart's own face against each other's,
    and each face's own heart against each other's.
    """
    own = score.diagonal()
    other = person[:, None] != person[None]
    if not other.any():
        return (score * 0).sum()
    by_heart = nn.functional.softplus(score - own[None])[other].mean()
    by_face = nn.functional.softplus(score - own[:, None])[other].mean()
    return 0.5 * (by_heart + by_face)


def _varied(x: Tensor, h: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Another moment, a mirrored face, a pixel aside, more noise: the same pairing."""
    later, flip, aside = (int(torch.randint(n, ())) for n in (x.shape[2], 2, 3))
    x, h = x.roll(later, 2), h.roll(later, 2)
    x = x.flip(4) if flip else x
    x = x.roll(aside - 1, 3)
    return x + noise * torch.randn_like(x), h


def _tested(network: R2Plus1D, data: tuple[Tensor, ...]) -> dict[str, float]:
    network.eval()
    with torch.inference_mode():
        score = network(*data[:2])
        loss = float(contest(score, data[2]))
    other = data[2][:, None] != data[2][None]
    right = (score < score.diagonal()[None])[other]
    return {"validation_loss": loss, "validation_accuracy": float(right.float().mean())}
