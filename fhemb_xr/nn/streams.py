"""Networks on feature streams: one LSTM, or one for each kind of feature, fused.

Both load state dicts of NoXi-Re's scripts: ``load_state_dict`` renames their layers.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
import xarray as xr
from torch import nn

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError

HANDMADE = (schema.FACE, schema.AUS, schema.HEAD)


def flat(window: Mapping[str, torch.Tensor], names: tuple[str, ...]) -> torch.Tensor:
    """Streams side by side, a vector a frame: ``(batch, frame, …) -> (batch, frame, n)``.

    Examples
    --------
    >>> import torch
    >>> from fhemb_xr.nn.streams import flat
    >>> window = {"face": torch.zeros(2, 5, 68, 2), "aus": torch.ones(2, 5, 17)}
    >>> flat(window, ("face", "aus")).shape
    torch.Size([2, 5, 153])
    """
    return torch.cat([window[n].flatten(start_dim=2) for n in names if n in window], dim=-1)


class OneStream(nn.Module):
    """One kind of feature through an LSTM of two layers to scores of classes.

    Parameters
    ----------
    n_features
        Numbers of a frame: 159 of OpenFace, 768 of a ViT.
    n_hidden, n_classes
        Width, and scores that come out.

    Examples
    --------
    >>> import torch
    >>> from fhemb_xr.nn.streams import OneStream
    >>> OneStream(6, 8, 3)(torch.zeros(4, 10, 6)).shape
    torch.Size([4, 3])
    """

    def __init__(self, n_features: int, n_hidden: int = 256, n_classes: int = 7) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_features, n_hidden, num_layers=2, batch_first=True)
        self.scores = nn.Linear(n_hidden, n_classes)
        _take_names(self, {"fc": "scores"})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, frame, feature) -> (batch, class)``, from the last frame."""
        seen, _ = self.lstm(x)
        out: torch.Tensor = self.scores(seen[:, -1])
        return out


class TwoStream(nn.Module):
    """Handmade and learned features, each through a branch of its own, then together.

    Each branch meets the scale of its own kind: OpenFace's from 0 to 1, a ViT's as it is. An
    LSTM of two layers follows both in time.

    Parameters
    ----------
    n_handmade, n_learned
        Numbers of a frame of each kind.
    n_hidden, n_classes
        Width, and scores that come out.
    dropout
        Share of activations that training leaves out.

    Examples
    --------
    >>> import fhemb_xr as fx, torch
    >>> from fhemb_xr.nn.streams import TwoStream
    >>> ds = fx.normalise(fx.testing.streams(n_frames=60))
    >>> model = TwoStream.of(ds, n_hidden=8, n_classes=2)
    >>> windows = torch.utils.data.DataLoader(fx.to_torch(ds, 20), batch_size=2)
    >>> model.scores(next(iter(windows))).shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        n_handmade: int = 159,
        n_learned: int = 768,
        n_hidden: int = 256,
        n_classes: int = 7,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.handmade = _branch(n_handmade, n_hidden, n_hidden, dropout)
        self.learned = _branch(n_learned, n_hidden, n_hidden, dropout)
        self.lstm = nn.LSTM(2 * n_hidden, n_hidden, num_layers=2, batch_first=True)
        self.fusion = _branch(n_hidden, n_hidden, n_classes, dropout)
        _take_names(self, {"openface_branch": "handmade", "vit_branch": "learned"})

    @classmethod
    def of(cls, streams: xr.Dataset, n_hidden: int = 256, n_classes: int = 7) -> "TwoStream":
        """A network of the sizes that the streams have.

        Raises
        ------
        SchemaError
            One of the kinds is missing, or its policy is not what the branch expects.
        """
        known = (*HANDMADE, schema.VIT)
        there = {n: streams[n] for n in known if n in streams}
        if schema.VIT not in there or len(there) < 2:
            raise SchemaError(
                f"two kinds of streams are needed, {schema.VIT!r} and some of {HANDMADE}, "
                f"found {[*map(str, streams.data_vars)]}"
            )
        policies = {n: v.attrs.get(schema.POLICY, "none") for n, v in there.items()}
        wrong = [n for n, p in policies.items() if (p == "none") != (n == schema.VIT)]
        if wrong:
            raise SchemaError(
                f"{wrong} are normalised as {[policies[n] for n in wrong]}, expected 'none' "
                f"for {schema.VIT!r} and another for the rest: fx.normalise(...) does that"
            )
        sizes = {n: int(v.isel(frame=0).size // _recordings(v)) for n, v in there.items()}
        n_learned = sizes.pop(schema.VIT)
        return cls(sum(sizes.values()), n_learned, n_hidden, n_classes)

    def forward(self, handmade: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
        """``(batch, frame, feature)`` of both kinds to ``(batch, class)``."""
        both = torch.cat([self.handmade(handmade), self.learned(learned)], dim=-1)
        seen, _ = self.lstm(both)
        out: torch.Tensor = self.fusion(seen[:, -1])
        return out

    def scores(self, window: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """A batch of windows of :func:`fhemb_xr.to_torch` to ``(batch, class)``."""
        out: torch.Tensor = self(flat(window, HANDMADE), window[schema.VIT])
        return out


def _take_names(network: nn.Module, names: Mapping[str, str]) -> None:
    """Let a network load state dicts of NoXi-Re, whose layers have other ``names``."""

    def rename(
        module: nn.Module, state: MutableMapping[str, Any], prefix: str, *rest: Any
    ) -> None:
        for old, new in names.items():
            for key in [k for k in state if k.startswith(f"{prefix}{old}.")]:
                state[prefix + new + key[len(prefix + old) :]] = state.pop(key)

    network.register_load_state_dict_pre_hook(rename)  # type: ignore[no-untyped-call]


def _recordings(var: xr.DataArray) -> int:
    n = 1
    for dim in schema.WHO:
        n *= var.sizes.get(dim, 1)
    return n


def _branch(n_in: int, n_hidden: int, n_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_hidden, n_out)
    )
