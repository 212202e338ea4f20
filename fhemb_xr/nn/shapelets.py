"""Short pieces of series that tell classes apart, learned by their distances.

References
----------
- Grabocka, Schilling, Wistuba & Schmidt-Thieme (2014), Learning time-series shapelets, KDD 20,
  392-401, doi:10.1145/2623330.2623613.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fhemb_xr.nn.two_towers import one_thread
from fhemb_xr.typing import F64, Ints

SHARPNESS = 30.0
"""How near the soft minimum over places is to the minimum, per mean distance."""
WEIGHT = 1e-2
"""Weight of the penalty on the classifier's weights in the loss."""


def learned(
    x: F64, y: Ints, first: F64, *, n_epochs: int, learning_rate: float, seed: int
) -> F64:
    """Shapelets of the series: ``(k, f, t), (k,), (n, f, l) -> (n, f, l)``.

    They begin as the ``first`` ones, and end where a logistic regression on the softly
    smallest distances tells the classes best. Peak memory: 24 bytes per sample and shapelet.
    """
    classes, number = np.unique(y, return_inverse=True)
    spread = float(x.std()) or 1.0
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        series, told = torch.from_numpy(x / spread), torch.from_numpy(number)
        pieces = nn.Parameter(torch.from_numpy(first / spread))
        judge = nn.Linear(len(first), classes.size).double()
        scale = squared(series, pieces.detach()).mean().clamp_min(1e-12)
        groups: list[dict[str, Any]] = [
            {"params": [pieces], "weight_decay": 0.0},
            {"params": [*judge.parameters()], "weight_decay": WEIGHT},
        ]
        optimizer = torch.optim.AdamW(groups, lr=learning_rate)
        for _ in range(n_epochs):
            near = _softly_smallest(squared(series, pieces) / scale)
            loss = nn.functional.cross_entropy(judge(near), told)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return np.asarray(pieces.detach().numpy() * spread, np.float64)


def squared(x: Tensor, pieces: Tensor) -> Tensor:
    """Mean squared difference at every place: ``(k, f, t), (n, f, l) -> (k, n, places)``."""
    ones = torch.ones_like(pieces[:1])
    sums = nn.functional.conv1d(x**2, ones) - 2 * nn.functional.conv1d(x, pieces)
    sums = sums + (pieces**2).sum(dim=(1, 2))[None, :, None]
    return sums.clamp_min(0) / pieces[0].numel()


def _softly_smallest(d: Tensor) -> Tensor:
    """``(k, n, places) -> (k, n)``."""
    mean = torch.logsumexp(-SHARPNESS * d, dim=2) - np.log(d.shape[2])
    out: Tensor = -mean / SHARPNESS
    return out
