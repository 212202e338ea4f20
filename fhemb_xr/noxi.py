"""Names of NoXi-Re's scripts, so that their snippets run with the import line changed.

Everything is delegated: :func:`fhemb_xr.open_streams` gives the same, labelled and lazy. Paths
may be HDF5 of the scripts, or a Zarr store.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.errors import UnknownNameError, nearest
from fhemb_xr.io.formats import hdf5
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.streams import open_streams
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.streams.splits import recordings

if TYPE_CHECKING:
    import torch

    from fhemb_xr.nn.streams import OneStream, TwoStream


def load_sample(
    path: Path | str,
    sample_idx: int,
    person: str = "expert",
    features: Sequence[str] | None = None,
) -> dict[str, Any]:
    """All frames of one recording, in memory: an array by stream.

    Where ``vit`` is among them, ``vit_normalization`` says how it was normalised.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> from fhemb_xr.noxi import load_sample
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.save(fx.testing.streams(2, (50, 70)), f"{folder}/a.zarr")
    ...     data = load_sample(f"{folder}/a.zarr", sample_idx=1, person="novice")
    >>> data["face"].shape
    (70, 68, 2)
    """
    ds = _sample(path, sample_idx, person)
    there = [str(n) for n, v in ds.data_vars.items() if schema.FRAME in v.dims]
    chosen = [n for n in there if features is None or n in features]
    data: dict[str, Any] = {n: ds[n].values for n in chosen}
    if schema.VIT in data:
        data["vit_normalization"] = ds[schema.VIT].attrs.get(schema.POLICY, "none")
    return data


def load_sample_by_name(
    path: Path | str, sample_name: str, person: str = "expert"
) -> dict[str, Any]:
    """As :func:`load_sample`, by the name of the session."""
    names = _names(path)
    if sample_name not in names:
        raise UnknownNameError(f"no sample {sample_name!r}{nearest(sample_name, names)}")
    return load_sample(path, names.index(sample_name), person)


def load_slice(
    path: Path | str,
    sample_idx: int,
    person: str = "expert",
    feature: str = "face",
    frame_start: int | None = None,
    frame_end: int | None = None,
) -> NDArray[Any]:
    """Some frames of one stream, ``[frame_start, frame_end)``; only those are read."""
    ds = _sample(path, sample_idx, person)
    if feature not in ds.data_vars:
        raise UnknownNameError(
            f"no stream {feature!r}{nearest(feature, map(str, ds.data_vars))}"
        )
    found: NDArray[Any] = ds[feature].isel(frame=slice(frame_start, frame_end)).values
    return found


def get_dataset_info(path: Path | str) -> dict[str, Any]:
    """How many samples, and what the first one holds: shape, dtype and policy by stream."""
    names = _names(path)
    first = {who: ds for name, who, ds in _each(path, 0) if name == names[0]}
    return {
        "num_samples": len(names),
        "sample_names": names,
        "features": {
            person: {
                str(n): (v.shape, str(v.dtype), v.attrs.get(schema.POLICY, "none"))
                for n, v in ds.data_vars.items()
                if schema.FRAME in v.dims
            }
            for person, ds in first.items()
        },
    }


def search_samples_by_frame_count(
    path: Path | str,
    person: str = "expert",
    min_frames: int | None = None,
    max_frames: int | None = None,
) -> list[tuple[int, str, int]]:
    """Index, name and frames of the samples of these lengths, both ends included."""
    names = _names(path)
    low, high = min_frames or 0, np.inf if max_frames is None else max_frames
    return [
        (names.index(name), name, ds.sizes[schema.FRAME])
        for name, who, ds in _each(path)
        if who == person and low <= ds.sizes[schema.FRAME] <= high
    ]


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
        if feature_type not in (*_STREAMS, "mixed"):
            raise UnknownNameError(
                f"no kind {feature_type!r} of features: there are {[*_STREAMS, 'mixed']}"
            )
        self.path, self.person, self.kind = str(hdf5_path), person, feature_type
        self.length, self.sample_names = sequence_length, _names(hdf5_path)

    def __len__(self) -> int:
        return len(self.sample_names)

    def __getitem__(self, idx: int) -> tuple[Any, int]:
        kinds = _STREAMS if self.kind == "mixed" else (self.kind,)
        ds = _sample(self.path, idx, self.person)
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


def _names(path: Path | str) -> list[str]:
    local = atomic_files.local_path(path)
    if local is not None and hdf5.is_hdf5(local):
        return hdf5.names(local)
    return list(dict.fromkeys(session for session, _, _ in _each(path)))


def _each(path: Path | str, index: int | None = None) -> Iterator[tuple[str, str, xr.Dataset]]:
    """Session, person and lazily indexed streams; of one sample of an HDF5 file where asked."""
    local = atomic_files.local_path(path)
    if local is not None and hdf5.is_hdf5(local):
        yield from hdf5.recordings(local, index)
        return
    for who, ds in recordings(open_streams(path, chunks=None)):
        yield who.get(schema.SESSION, ""), who.get(schema.PERSON, ""), ds


def _sample(path: Path | str, index: int, person: str) -> xr.Dataset:
    names = _names(path)
    if not 0 <= index < len(names):
        raise UnknownNameError(f"no sample {index}: there are {len(names)}, counted from 0")
    people = {who: ds for name, who, ds in _each(path, index) if name == names[index]}
    if person not in people:
        raise UnknownNameError(f"sample {index} has no {person!r}: there are {[*people]}")
    return people[person]
