"""A saved embedding brought up to date with its recording: only what changed is computed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.dask_internals import Alias, meta_of
from fhemb_xr.errors import StoreError
from fhemb_xr.io import provenance
from fhemb_xr.io import store as writing
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.integrity import chunk_identity
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.recording import open_embedding, open_recording
from fhemb_xr.ops import pipeline
from fhemb_xr.ops.blockwise.overlap import states_from

Chunks = tuple[tuple[int, ...], ...]
_CURE = "anew=True computes all of it again"


@dataclass(frozen=True)
class Extension:
    """What :func:`extend` has done: chunks that it computed, and chunks that it kept."""

    computed: int
    kept: int

    def as_dict(self) -> dict[str, int]:
        """Both numbers, for JSON."""
        return asdict(self)


def extend(
    store: Any, source: Any, *, anew: bool = False, pca: xr.Dataset | None = None
) -> Extension:
    """Bring a saved embedding up to date with its recording, computing only what changed.

    The embedding keeps its features, people, sessions and beginning. If it reached the end of
    the recording, it reaches the new end. A chunk is kept if its tasks, their options and the
    checksums of the stored chunks that they read are the same as when it was saved. All other
    chunks are computed. The result has the same bits as a new embedding of the recording.

    Parameters
    ----------
    store
        Folder of an embedding that :func:`save` has written.
    source
        Folder of the recording that it was made from, after ``ingest run --append`` or another
        change.
    anew
        Whether to read all frames again where that cannot be avoided.
    pca
        The basis, if the embedding was made with a given basis.

    Returns
    -------
    Extension
        The number of chunks that were computed and that were kept, as a pair with names.

    Raises
    ------
    StoreError
        There is no such embedding, it is no :func:`embed` of this recording, or it does not
        say what its chunks are made of; or see :func:`save`.
    SchemaError
        A store of another kind; or an embedding with a given basis, without ``pca``.
    ValueError
        All frames would have to be read again, and ``anew`` is False; with the reason.
        Eigenfaces and the edges of histograms depend on every frame, so they change with each
        new one.

    Notes
    -----
    Statistics and percentiles: the chunks of changed or new frames are computed. Bands: also
    those that a filter reaches from there, in whole blocks of the filter.

    The old embedding stays until the new one is whole. A run that is interrupted continues
    when it is started again. Memory and tasks: those of :func:`embed` and :func:`save`. Before
    that, the checksums at the ends of the stored chunks are read: 20 bytes for each chunk.
    Computes at call: one.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=8, chunk_frames=50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.save(ds.isel(time=slice(150)), f"{folder}/a.zarr")
    ...     emb = fx.embed(fx.open_recording(f"{folder}/a.zarr"), ["mean"])
    ...     fx.save(emb, f"{folder}/emb.zarr")
    ...     fx.extend(f"{folder}/emb.zarr", f"{folder}/a.zarr")
    Extension(computed=0, kept=2)
    """
    old, place = open_embedding(store), atomic_files.local_path(store)
    if place is None:
        raise StoreError(f"only a folder can be extended, found {type(store).__name__}")
    recording = open_recording(source)
    spec = _specification(old, recording, place)
    made_of = manifest.document(place / manifest.ROOT)["attributes"].get(manifest.MADE_OF)
    new = _replayed(spec, recording, old, made_of, pca)
    kept = _kept(new, old, made_of)
    n_kept, n = int(kept.sum()), kept.size
    if not anew and n_kept < n and (why := _refusal(spec, made_of, n_kept)):
        raise ValueError(f"{place.name!r} cannot be extended: {why}; {_CURE}")
    if n_kept == 0:
        writing.save(new, place, mode="w", resume=True)
        return Extension(n, 0)
    is_same = recording.attrs.get(provenance.UUID) in old.attrs.get(provenance.SOURCES, [])
    if n_kept < n or not is_same or old.shape != new.shape:
        assert made_of is not None  # else no chunk would be kept
        before = _as_in(old.data, made_of)
        # filtered samples are missing where the features are: they tell where runs begin
        after = states_from(new.data, before, kept)
        whole = new.copy(data=_assembled(after, before, kept))
        writing.replace(whole, place, new)
    return Extension(n - n_kept, n_kept)


def _specification(old: xr.DataArray, recording: xr.Dataset, place: Path) -> dict[str, Any]:
    """The specification of an embedding; refuse one that is not of this recording."""
    if schema.SPEC not in old.attrs:
        raise StoreError(
            f"{place.name!r} does not say how it was made: embed and save it again"
        )
    sources = set(old.attrs.get(provenance.SOURCES, []))
    if not sources & provenance.family(recording.attrs):
        raise StoreError(f"{place.name!r} was not made from this recording: give its own")
    spec: dict[str, Any] = json.loads(old.attrs[schema.SPEC])
    return spec


def _replayed(
    spec: dict[str, Any],
    recording: xr.Dataset,
    old: xr.DataArray,
    made_of: dict[str, Any] | None,
    pca: xr.Dataset | None,
) -> xr.DataArray:
    """The embedding of the recording as it is now, lazy: the same people from the same time."""
    part = recording
    for dim in (schema.SUBJECT, schema.SESSION):
        part = _with_labels(part, old, dim)
    n_before = old.sizes[schema.TIME] if made_of is None else int(made_of["frames"])
    times, now = old.indexes[schema.TIME], recording.indexes[schema.TIME]
    start = int(now.get_indexer(times[:1])[0])
    stop = start + len(times)
    if start < 0 or stop > len(now) or not (now[start:stop] == times).all():
        raise StoreError("the recording has other times than the embedding: embed it again")
    stop = len(now) if stop == n_before else stop
    if (start, stop) != (0, len(now)):
        part = part.isel({schema.TIME: slice(start, stop)})
    new = pipeline.replay(spec, part, pca=pca)
    if new.dims != old.dims:
        raise StoreError(
            f"the embedding has the dimensions {old.dims}, one of the recording {new.dims}: "
            "it was changed after embed; embed and save again"
        )
    return new


def _with_labels(ds: xr.Dataset, old: xr.DataArray, dim: str) -> xr.Dataset:
    """The people, or the sessions, of the old embedding."""
    if dim not in old.dims or dim not in ds.dims:
        return ds
    wanted, there = old.indexes[dim].tolist(), ds.indexes[dim].tolist()
    if gone := [label for label in wanted if label not in there]:
        raise StoreError(
            f"the recording has no {dim} {gone[0]!r} any more: embed the others again"
        )
    return ds if wanted == there else ds.isel({dim: [there.index(w) for w in wanted]})


def _kept(
    new: xr.DataArray, old: xr.DataArray, made_of: dict[str, Any] | None
) -> NDArray[np.bool_]:
    """Whether a chunk of the new embedding is that of the old one, bit for bit."""
    none = np.zeros(new.data.numblocks, bool)
    if made_of is None or made_of["dims"] != list(new.dims):
        return none
    chunks, before = chunk_identity.parsed(made_of)
    now = chunk_identity.of(new.data)
    labels = [d for d in new.dims if d != schema.TIME and d in new.indexes]
    if now is None or not all(new.indexes[d].equals(old.indexes[d]) for d in labels):
        return none
    if tuple(map(sum, chunks)) != old.shape:
        return none
    both = tuple(slice(_alike(a, b)) for a, b in zip(chunks, new.chunks or (), strict=True))
    none[both] = np.equal(now[both], before[both]).astype(bool)
    return none


def _alike(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of chunks at the beginning that have the same lengths."""
    differs = [x != y for x, y in zip(a, b, strict=False)]
    return differs.index(True) if any(differs) else len(differs)


def _refusal(spec: dict[str, Any], made_of: dict[str, Any] | None, n_kept: int) -> str | None:
    """Why all frames would be read again; None if they would not."""
    families = {name[:2] for name in spec["names"]}
    if "pc" in families and spec["pca"] != "given":
        return "its eigenfaces depend on every frame of the recording"
    if "bh" in families and not isinstance(spec["bins"], list):
        return "the edges of its histograms depend on every frame of the recording"
    if n_kept:
        return None
    if made_of is None:
        return "it does not say what its chunks were made of"
    return (
        "every frame of the recording has changed, or the embedding was changed after embed, "
        "or it was made by another version"
    )


def _as_in(data: da.Array, made_of: dict[str, Any]) -> da.Array:
    """The old values in the chunks in which they were computed."""
    return data.rechunk(tuple(tuple(c) for c in made_of["chunks"]))


def _assembled(new: da.Array, old: da.Array, kept: NDArray[np.bool_]) -> da.Array:
    """Chunks of ``old`` where they are kept, chunks of ``new`` elsewhere."""
    name = f"extended-{tokenize(new.name, old.name, kept)}"
    graph = {
        (name, *where): Alias((name, *where), ((old if kept[where] else new).name, *where))
        for where in product(*map(range, new.numblocks))
    }
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[new, old])
    return da.Array(layers, name, new.chunks, meta=meta_of(new))
