"""Reading a whole store to find what is damaged, and whose and when it is."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding, files, provenance

Region = tuple[slice, ...]


def verify(store: Any) -> list[str]:
    """Read every chunk of a store and say what is damaged or lost.

    Parameters
    ----------
    store
        A path, or anything else that :func:`zarr.open_group` takes.

    Returns
    -------
    A sentence for each piece of damage, with its array, person, session and seconds; none where
    the store is sound. A recording leaves out frames without a face; whether one of those was
    lost is known for the whole array only.

    Raises
    ------
    StoreError
        If there is no Zarr 3 store, so that nothing can be read.

    Notes
    -----
    Memory: one shard. Computes: none, the chunks are read one by one.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> from fhemb_xr.io.verification import verify
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.testing.audience(n_subjects=2, seconds=4).fhemb.save(f"{folder}/a.zarr")
    ...     verify(f"{folder}/a.zarr")
    []
    """
    import zarr

    local = files.local_path(store)
    try:
        group: Any = zarr.open_group(local or store, mode="r", zarr_format=3)
        arrays = dict(group.arrays())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"this is not a Zarr 3 store, or it is damaged ({error})") from None
    wanted = dict(group.attrs.get(encoding.FILES, {}))
    found = [f"{n!r} is lost" for n in sorted(set(wanted) - set(arrays))]
    if group.attrs.get(encoding.STATUS, encoding.COMPLETE) != encoding.COMPLETE:
        found.append("the store is unfinished")
    labels = {
        n: _labels(arrays[n]) for n in arrays if arrays[n].metadata.dimension_names == (n,)
    }
    recording = group.attrs.get(provenance.KIND) == "recording"
    for name, array in arrays.items():
        found += _damage(name, array, labels)
        if local is not None:
            found += _lost(name, array, local, labels, wanted.get(name, 0), recording)
    return found


def _labels(array: Any) -> Any:
    try:
        return array[:]
    except Exception:  # whatever a codec raises: the damage is named where arrays are read
        return None


def _damage(name: str, array: Any, labels: dict[str, Any]) -> Iterator[str]:
    for region in _regions(array.shape, array.shards or array.chunks):
        if _error(array, region) is None:
            continue
        parts = _regions(array.shape, array.chunks, region)
        for part, error in ((p, _error(array, p)) for p in parts):
            if error is not None:
                yield f"{name!r} is damaged{_where(array, part, labels)}: {error}"


def _error(array: Any, region: Region) -> str | None:
    try:
        array[region]
    except Exception as error:  # codecs raise what they like
        return str(error) or type(error).__name__
    return None


def _lost(
    name: str, array: Any, local: Path, labels: dict[str, Any], n_wanted: int, recording: bool
) -> Iterator[str]:
    n_found = encoding.count_files(local).get(name, 0)
    if recording:
        if n_found < n_wanted:
            yield f"{name!r} has {n_found} of {n_wanted} files"
        return
    unit = array.shards or array.chunks
    for region in _regions(array.shape, unit):
        index = tuple(r.start // n for r, n in zip(region, unit, strict=True))
        if not (local / name / array.metadata.encode_chunk_key(index)).is_file():
            yield f"{name!r} is lost{_where(array, region, labels)}"


def _regions(
    shape: tuple[int, ...], unit: tuple[int, ...], inside: Region | None = None
) -> Iterator[Region]:
    spans = inside or tuple(slice(0, n) for n in shape)
    axes = [
        [slice(a, min(a + step, s.stop)) for a in range(s.start, s.stop, step)]
        for s, step in zip(spans, unit, strict=True)
    ]
    return itertools.product(*axes)


def _where(array: Any, region: Region, labels: dict[str, Any]) -> str:
    """``' for subject 65, session dg, time 40 to 79.96 s'``; nothing where all of it is."""
    said = []
    for dim, span, n in zip(
        array.metadata.dimension_names or (), region, array.shape, strict=False
    ):
        if (span.start, span.stop) == (0, n):
            continue
        values = labels.get(str(dim))
        ends = (
            (span.start, span.stop - 1)
            if values is None
            else values[[span.start, span.stop - 1]]
        )
        text = f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
        said.append(
            f"{dim} {text}" + (" s" if dim == schema.TIME and values is not None else "")
        )
    return " for " + ", ".join(said) if said else ""
