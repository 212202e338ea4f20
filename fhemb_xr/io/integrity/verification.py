"""Reading a whole store to find damage, with the person and the time that it concerns.

Every chunk ends in a crc32c of its compressed bytes. A local store is therefore checked at the
speed of the disk, without decompressing. Other stores are read through their codecs, which
check the same checksums.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding, icechunk_versions, provenance
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.integrity import checksums
from fhemb_xr.io.integrity.damage import Damage, Region, file_region, regions, spans
from fhemb_xr.io.remote import places

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError)


def verify(
    store: Any,
    *,
    threads: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> list[Damage]:
    """Read every file of a store and list what is damaged or lost.

    Parameters
    ----------
    store
        Path, address such as ``"s3://bucket/a.zarr"``, zip file, or any Zarr store.
    threads
        Number of files that are read at the same time; None means one per processor.
    storage_options
        Options of the file system of an address, as fsspec takes them.

    Returns
    -------
    list[Damage]
        A list of :class:`Damage`, each with array, person, session and seconds; empty if the
        store is sound. ``str`` of each is a sentence.

    Raises
    ------
    StoreError
        There is no Zarr 3 store to read.

    Notes
    -----
    Memory: threads × one file (about 3.5 MiB in a recording). Computes: none. A local store is
    read at the speed of its disk, several GB/s from memory, because the checksums cover
    compressed bytes and nothing is decompressed. ``benchmarks/bench_verify.py`` measures it.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.testing.audience(n_subjects=2, seconds=4).fhemb.save(f"{folder}/a.zarr")
    ...     fx.verify(f"{folder}/a.zarr")
    []
    """
    place = places.to_read(icechunk_versions.store_of(store), storage_options)
    if isinstance(place, Path):
        return _verify_folder(place, threads or os.cpu_count() or 1)
    import zarr

    try:
        group: Any = zarr.open_group(place, mode="r", zarr_format=3)
        arrays = dict(group.arrays())
    except _UNREADABLE as error:
        raise StoreError(f"this is not a Zarr 3 store, or it is damaged ({error})") from None
    labels = _labels(arrays)
    damages = _state(dict(group.attrs))
    if manifest.FILES in group.attrs:
        damages += _against_inventory(group, arrays, labels)
    return damages + [d for a in arrays.values() for d in _by_reading(a, labels)]


def _against_inventory(
    group: Any, arrays: dict[str, Any], labels: dict[str, Any]
) -> Iterator[Damage]:
    """Compare chunks and metadata of a store that is no folder with its manifest."""
    from fhemb_xr.io.remote import inventory, objects

    attrs, keys = dict(group.attrs), objects.keys(group.store)
    for file, reason in inventory.changed(group.store, attrs):
        name = file.partition("/")[0] if "/" in file else ""
        yield Damage(name, "damaged", file, reason=reason)
    for name, array in arrays.items():
        grid = manifest.grid(array.metadata.to_dict())
        for index in inventory.lost(keys, name, grid, attrs):
            yield _named(name, array, labels, (index, None, "lost", ""))


def _verify_folder(local: Path, threads: int) -> list[Damage]:
    if not (local / manifest.ROOT).is_file():
        raise StoreError(f"{local.name!r} is not a Zarr 3 store: it has no zarr.json")
    try:
        root = manifest.document(local / manifest.ROOT)
        attrs = dict(root.get("attributes", {}))
    except (ValueError, TypeError, OSError) as error:
        return [Damage("", "damaged", manifest.ROOT, reason=f"its zarr.json: {error}")]
    arrays, damages = _arrays(local, attrs)
    damages = [*_state(attrs), *_metadata(local, root, attrs), *damages]
    labels = _labels(arrays)
    with ThreadPoolExecutor(threads) as pool:
        for name, array in arrays.items():
            check = _checker(local / name, array)
            wanted = attrs.get(manifest.PRESENT, {}).get(name)
            lists = pool.map(check, _files(local / name, array, attrs, wanted), chunksize=1)
            damages += [_named(name, array, labels, piece) for p in lists for piece in p]
            damages += _count_lost(local, name, attrs)
    return list({(d.array, d.what, d.file, str(d.spans)): d for d in damages}.values())


def _state(attrs: dict[str, Any]) -> list[Damage]:
    status = attrs.get(encoding.STATUS, encoding.COMPLETE)
    return [] if status == encoding.COMPLETE else [Damage("", "unfinished")]


def _arrays(local: Path, attrs: dict[str, Any]) -> tuple[dict[str, Any], list[Damage]]:
    """The arrays that can be opened, and the damage of those that cannot."""
    import zarr

    folders = {p.name for p in local.iterdir() if p.is_dir()}
    arrays, damages = {}, []
    for name in sorted(folders | set(attrs.get(manifest.FILES, {}))):
        try:
            arrays[name] = zarr.open_array(local / name, mode="r", zarr_format=3)
        except _UNREADABLE as error:
            meta = f"{name}/{manifest.ROOT}"
            exists = (local / meta).is_file()
            reason = f"its zarr.json: {error}" if exists else "it has no zarr.json"
            damages.append(Damage(name, "damaged" if exists else "lost", meta, reason=reason))
    return arrays, damages


def _metadata(local: Path, root: dict[str, Any], attrs: dict[str, Any]) -> Iterator[Damage]:
    """Files beside the chunks that are lost or changed."""
    for file, wanted in attrs.get(manifest.CHECKSUMS, {}).items():
        name = file.partition("/")[0] if "/" in file else ""
        path = local / file
        if not path.is_file():
            yield Damage(name, "lost", file, reason=f"{path.name} is missing")
            continue
        is_root = file == manifest.ROOT
        now = manifest.own_checksum(root) if is_root else manifest.crc32c(path.read_bytes())
        if now != wanted:
            reason = f"{path.name} was changed after it was written"
            yield Damage(name, "damaged", file, reason=reason)


Piece = tuple[tuple[int, ...], Region | None, str, str]
"""Place in the grid of files, part of the array (None: the whole file), kind, and reason."""


def _files(
    folder: Path, array: Any, attrs: dict[str, Any], text: str | None
) -> Iterator[tuple[tuple[int, ...], bool]]:
    """Every place in the grid of files, and whether its file must exist."""
    unit = array.shards or array.chunks
    shape = tuple(-(-n // c) for n, c in zip(array.shape, unit, strict=True))
    recording = attrs.get(provenance.KIND) == "recording"
    # older recordings have no map of their files: any file may be absent
    known = manifest.PRESENT in attrs or not recording
    required = manifest.expected(text, shape)
    return ((index, bool(required[index]) and known) for index in np.ndindex(shape))


def _checker(folder: Path, array: Any) -> Callable[[tuple[tuple[int, ...], bool]], list[Piece]]:
    """The function that checks one file."""
    layout = checksums.layout(array.metadata.to_dict())

    def check(place: tuple[tuple[int, ...], bool]) -> list[Piece]:
        index, wanted = place
        path = folder / array.metadata.encode_chunk_key(index)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return [(index, None, "lost", "")] if wanted else []
        except OSError as error:
            return [(index, None, "damaged", error.strerror or str(error))]
        if layout is None:
            return _decoded(array, index)
        bad = checksums.faults(data, layout)
        return [(index, _inner(array, index, inner), "damaged", why) for inner, why in bad]

    return check


def _decoded(array: Any, index: tuple[int, ...]) -> list[Piece]:
    """Check a file by decoding it, for codecs that do not end in a checksum."""
    whole = file_region(array, index)
    why = _error(array, whole)
    return [] if why is None else [(index, whole, "damaged", why)]


def _inner(array: Any, index: tuple[int, ...], at: tuple[int, ...] | None) -> Region | None:
    """The part of an array that one chunk of a shard holds."""
    if at is None or not array.shards:
        return None
    first = tuple(i * s + k * c for i, s, k, c in
                  zip(index, array.shards, at, array.chunks, strict=True))  # fmt: skip
    return tuple(
        slice(a, min(a + c, n))
        for a, c, n in zip(first, array.chunks, array.shape, strict=True)
    )


def _named(name: str, array: Any, labels: dict[str, Any], piece: Piece) -> Damage:
    index, region, what, reason = piece
    file = f"{name}/{array.metadata.encode_chunk_key(index)}"
    where = spans(array, region or file_region(array, index), labels)
    return Damage(name, what, file, index, where, reason)


def _count_lost(local: Path, name: str, attrs: dict[str, Any]) -> Iterator[Damage]:
    """Count lost files of an older recording, which has no map of its files."""
    if manifest.PRESENT in attrs or attrs.get(provenance.KIND) != "recording":
        return
    wanted = attrs.get(manifest.FILES, {}).get(name, 0)
    n_found = manifest.count_files(local).get(name, 0)
    if n_found < wanted:
        yield Damage(name, "lost", reason=f"it has {n_found} of {wanted} files")


def _labels(arrays: dict[str, Any]) -> dict[str, Any]:
    """Values of the dimension coordinates that can be read."""
    labels = {}
    for name, array in arrays.items():
        if array.metadata.dimension_names == (name,):
            try:
                labels[name] = array[:]
            except Exception:
                continue
    return labels


def _by_reading(array: Any, labels: dict[str, Any]) -> Iterator[Damage]:
    name = str(array.basename)
    for region in regions(array.shape, array.shards or array.chunks):
        if _error(array, region) is None:
            continue
        parts = regions(array.shape, array.chunks, region)
        for part, error in ((p, _error(array, p)) for p in parts):
            if error is not None:
                where = spans(array, part, labels)
                yield Damage(name, "damaged", spans=where, reason=error)


def _error(array: Any, region: Region) -> str | None:
    try:
        array[region]
    except Exception as error:  # codecs raise errors of any class
        return str(error) or type(error).__name__
    return None
