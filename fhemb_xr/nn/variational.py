"""A variational autoencoder of masked samples with a head that tells two classes.

References
----------
- Kingma & Welling (2014), Auto-encoding variational Bayes, doi:10.48550/arXiv.1312.6114.
- Vincent, Larochelle, Bengio & Manzagol (2008), Denoising autoencoders, ICML 25, 1096-1103,
  doi:10.1145/1390156.1390294.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fhemb_xr.nn.two_towers import one_thread
from fhemb_xr.typing import F64

BATCH, PATIENCE, ENOUGH = 32, 30, 0.995
"""Samples of a step; epochs above this accuracy after which the training ends."""


@dataclass(frozen=True)
class Design:
    """Sizes, and the weights of the parts of the loss."""

    features: int
    z: int = 80
    hidden: int = 80
    reconstruction: float = 1e-5
    label: float = 1.0
    prior: float = 1e-2
    corruption: float = 0.7
    """Share of the entries that are masked while learning."""


class DenoisingVAE(nn.Module):
    """Rows ``(n, d)`` to logits ``(n,)`` and rows again."""

    def __init__(self, of: Design) -> None:
        super().__init__()
        h = of.hidden
        self.encoder = nn.Sequential(nn.Linear(of.features, 8 * h), nn.GELU())
        self.mean = nn.Sequential(nn.Linear(8 * h, of.z), nn.Softmax(dim=1))
        self.scale = nn.Sequential(nn.Linear(8 * h, of.z), nn.Sigmoid())
        half, quarter = max(1, h // 2), max(1, h // 4)
        self.label = nn.Sequential(
            nn.Linear(of.z, half), nn.GELU(), nn.Linear(half, quarter), nn.GELU(),
            nn.Linear(quarter, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(nn.Linear(of.z, h), nn.GELU(), nn.Linear(h, of.features))

    def latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale of each row's place: ``(n, d) -> (n, z), (n, z)``."""
        code = self.encoder(x)
        return self.mean(code), self.scale(code)

    def loss(self, x: Tensor, y: Tensor, of: Design) -> tuple[Tensor, Tensor]:
        """The loss of masked rows, and their logits."""
        kept = torch.rand_like(x) >= of.corruption
        mean, scale = self.latent(x * kept)
        z = mean + scale * torch.randn_like(mean)
        logit = self.label(z)[:, 0]
        prior = 0.5 * (mean**2 + scale**2 - 1 - 2 * torch.log(scale + 1e-9)).sum(dim=1).mean()
        rows = ((self.decoder(z) - x) ** 2).sum(dim=1).mean()
        told = nn.functional.binary_cross_entropy_with_logits(logit, y)
        return of.reconstruction * rows + of.label * told + of.prior * prior, logit


def fitted(x: F64, y: F64, of: Design, n_epochs: int, seed: int) -> tuple[DenoisingVAE, float]:
    """A network that has learnt rows and their classes 0 and 1, and the best threshold."""
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        network = DenoisingVAE(of).double()
        rows, told = torch.from_numpy(x), torch.from_numpy(y)
        optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4, betas=(0.97, 0.999))
        good = 0
        for _ in range(n_epochs):
            right = 0.0
            for part in torch.split(torch.randperm(len(x)), BATCH):
                loss, logit = network.loss(rows[part], told[part], of)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                right += float(((logit > 0) == (told[part] > 0.5)).sum())
            good = good + 1 if right / len(x) > ENOUGH else 0
            if good > PATIENCE:
                break
    share = probabilities(network, x)
    tried = np.linspace(0.05, 0.9, 18)
    scores = [float(((share >= t) == (y > 0.5)).mean()) for t in tried]
    return network, float(tried[int(np.argmax(scores))])


def probabilities(network: DenoisingVAE, x: F64) -> F64:
    """Of class 1: ``(n, d) -> (n,)``."""
    with torch.inference_mode(), one_thread():
        mean, _ = network.latent(torch.from_numpy(np.asarray(x, np.float64)))
        return np.asarray(torch.sigmoid(network.label(mean)[:, 0]).numpy(), np.float64)


def places(network: DenoisingVAE, x: F64) -> F64:
    """Mean place of each row in the code: ``(n, d) -> (n, z)``."""
    with torch.inference_mode(), one_thread():
        mean, _ = network.latent(torch.from_numpy(np.asarray(x, np.float64)))
        return np.asarray(mean.numpy(), np.float64)
