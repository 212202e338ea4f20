"""Loading recordings by the names of the scripts, from their HDF5 or a Zarr store."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.errors import UnknownNameError
from fhemb_xr.io.formats import hdf5
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.streams import open_streams
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.ops.streams.splits import recordings


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
    ds = one_sample(path, sample_idx, person)
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
    names = sample_names(path)
    if sample_name not in names:
        raise unknown_name("sample", sample_name, names, personal=True)
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
    ds = one_sample(path, sample_idx, person)
    if feature not in ds.data_vars:
        raise unknown_name("stream", feature, ds.data_vars)
    found: NDArray[Any] = ds[feature].isel(frame=slice(frame_start, frame_end)).values
    return found


def get_dataset_info(path: Path | str) -> dict[str, Any]:
    """How many samples, and what the first one holds: shape, dtype and policy by stream."""
    names = sample_names(path)
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


_KINDS = {(True, False): "openface", (False, True): "vit", (True, True): "mixed"}


def get_feature_info(path: Path | str) -> dict[str, Any]:
    """What kind of features there is, and each stream of the first sample.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> from fhemb_xr.noxi import get_feature_info
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.save(fx.testing.streams(2, 50), f"{folder}/a.zarr")
    ...     info = get_feature_info(f"{folder}/a.zarr")
    >>> info["feature_type"], info["features"]["expert"]["vit"]["embedding_dim"]
    ('mixed', 16)
    """
    found = get_dataset_info(path)
    features = {
        person: {
            name: {"shape": shape, "dtype": dtype, "normalization": policy}
            | ({"embedding_dim": shape[-1]} if name == schema.VIT else {})
            for name, (shape, dtype, policy) in streams.items()
        }
        for person, streams in found["features"].items()
    }
    names = {name for streams in features.values() for name in streams}
    kind = (schema.FACE in names, schema.VIT in names)
    return {
        "num_samples": found["num_samples"],
        "feature_type": _KINDS.get(kind, "other"),
        "features": features,
    }


def search_samples_by_frame_count(
    path: Path | str,
    person: str = "expert",
    min_frames: int | None = None,
    max_frames: int | None = None,
) -> list[tuple[int, str, int]]:
    """Index, name and frames of the samples of these lengths, both ends included."""
    names = sample_names(path)
    low, high = min_frames or 0, np.inf if max_frames is None else max_frames
    return [
        (names.index(name), name, ds.sizes[schema.FRAME])
        for name, who, ds in _each(path)
        if who == person and low <= ds.sizes[schema.FRAME] <= high
    ]


def sample_names(path: Path | str) -> list[str]:
    """Names of the samples, in their order."""
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


def one_sample(path: Path | str, index: int, person: str) -> xr.Dataset:
    """One recording, lazily indexed."""
    names = sample_names(path)
    if not 0 <= index < len(names):
        raise UnknownNameError(f"no sample {index}: there are {len(names)}, counted from 0")
    people = {who: ds for name, who, ds in _each(path, index) if name == names[index]}
    if person not in people:
        raise UnknownNameError(f"sample {index} has no {person!r}: there are {[*people]}")
    return people[person]
