"""Learning from recordings by the names of the scripts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.noxi.loading import one_sample, sample_names
from fhemb_xr.ops.checks import require_choice

if TYPE_CHECKING:
    import torch

    from fhemb_xr.nn.streams import OneStream, TwoStream

_STREAMS = {"openface": (schema.FACE, schema.AUS, schema.HEAD), "vit": (schema.VIT,)}


class NoXiReHDF5Dataset:
    """One recording an item, whole, or cropped at random and padded with 0 to a length.

    :func:`fhemb_xr.to_torch` gives windows instead, all of them, each with its labels.

    A missing value (NaN), as of a lost face, is an error where the item is read; with
    ``missing="fill"`` it is the last one before it, as in :func:`fhemb_xr.to_torch`.
    """

    def __init__(
        self,
        hdf5_path: Path | str,
        person: str = "expert",
        feature_type: str = "openface",
        sequence_length: int | None = None,
        stride: int = 1,
        missing: str = "raise",
    ) -> None:
        self.missing = require_choice("treatment of missing values", missing, ("raise", "fill"))
        feature_type = require_choice("kind of features", feature_type, (*_STREAMS, "mixed"))
        self.path, self.person, self.kind = str(hdf5_path), person, feature_type
        self.length, self.sample_names = sequence_length, sample_names(hdf5_path)

    def __len__(self) -> int:
        return len(self.sample_names)

    def __getitem__(self, idx: int) -> tuple[Any, int]:
        kinds = _STREAMS if self.kind == "mixed" else (self.kind,)
        ds = one_sample(self.path, idx, self.person)
        start, stop = self._crop(ds.sizes[schema.FRAME])
        ds = ds.isel(frame=slice(start, stop))
        found = {kind: self._tensor(ds, _STREAMS[kind]) for kind in kinds}
        return (found if self.kind == "mixed" else found[self.kind]), idx

    def _crop(self, n_frames: int) -> tuple[int, int]:
        """The same frames of every stream."""
        import torch

        if self.length is None or n_frames <= self.length:
            return 0, n_frames
        start = int(torch.randint(n_frames - self.length + 1, (1,)))
        return start, start + self.length

    def _tensor(self, ds: xr.Dataset, names: Sequence[str]) -> "torch.Tensor":
        import torch

        flat = [ds[n].values.reshape(ds.sizes[schema.FRAME], -1) for n in names]
        frames = torch.from_numpy(np.concatenate(flat, axis=1))
        lost = int(torch.isnan(frames).any(dim=1).sum())
        if lost and self.missing == "raise":
            raise ValueError(
                f"{', '.join(names)} miss values in {lost} of {len(frames)} frames, and a "
                "network would learn NaN: choose missing='fill'"
            )
        if lost:
            from fhemb_xr.nn.windows import filled

            frames = filled(frames)
        padding = (self.length or 0) - len(frames)
        return torch.nn.functional.pad(frames, (0, 0, 0, max(0, padding)))


def OpenFaceModel(  # noqa: N802  (the scripts' name)
    input_dim: int = 159, hidden_dim: int = 256, num_classes: int = 7
) -> "OneStream":
    """An LSTM on OpenFace's streams: :class:`fhemb_xr.nn.streams.OneStream`."""
    from fhemb_xr.nn.streams import OneStream

    return OneStream(input_dim, hidden_dim, num_classes)


def ViTModel(  # noqa: N802
    input_dim: int = 768, hidden_dim: int = 256, num_classes: int = 7
) -> "OneStream":
    """An LSTM on embeddings: :class:`fhemb_xr.nn.streams.OneStream`."""
    return OpenFaceModel(input_dim, hidden_dim, num_classes)


def MixedModel(  # noqa: N802
    openface_dim: int = 159, vit_dim: int = 768, hidden_dim: int = 256, num_classes: int = 7
) -> "TwoStream":
    """Both, fused: :class:`fhemb_xr.nn.streams.TwoStream`."""
    from fhemb_xr.nn.streams import TwoStream

    return TwoStream(openface_dim, vit_dim, hidden_dim, num_classes)
