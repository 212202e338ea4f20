"""The manifest of a finished store that is no folder; see ``formats/manifest.py``."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import StoreError
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.remote import objects


def arrays(keys: set[str]) -> list[str]:
    """Names of the arrays among the keys of a group."""
    parts = (key.split("/") for key in keys)
    return sorted(p[0] for p in parts if len(p) == 2 and p[1] == manifest.ROOT)


def there(keys: set[str], name: str, grid: tuple[int, ...]) -> NDArray[np.bool_]:
    """Map of the chunks of an array that are among the keys of its group."""
    out = np.zeros(grid, bool)
    for index in np.ndindex(grid):
        out[index] = "/".join([name, "c", *map(str, index)]) in keys
    return out


def seal(store: Any, path: str, changes: dict[str, Any]) -> dict[str, NDArray[np.bool_]]:
    """Write ``changes`` and the manifest into the attributes of a group.

    Parameters
    ----------
    store, path
        Zarr store, and path of the group in it.
    changes
        Attributes that finish the store.

    Returns
    -------
    dict[str, NDArray[bool_]]
        Map of the existing chunks of each array.
    """
    keys = objects.keys(store, path)
    start = f"{path}/" if path else ""
    maps, counts, present, sums = {}, {}, {}, {}
    for name in arrays(keys):
        data = objects.read(store, f"{start}{name}/{manifest.ROOT}") or b"{}"
        maps[name] = there(keys, name, manifest.grid(json.loads(data)))
        counts[name] = int(maps[name].sum())
        sums[f"{name}/{manifest.ROOT}"] = manifest.crc32c(data)
        if not maps[name].all():
            present[name] = np.packbits(maps[name]).tobytes().hex()
    root = objects.document(store, f"{start}{manifest.ROOT}")
    root["attributes"] = root.get("attributes", {}) | changes
    root["attributes"] |= {manifest.FILES: counts, manifest.PRESENT: present}
    root["attributes"][manifest.CHECKSUMS] = sums
    root["attributes"][manifest.CHECKSUMS] = sums | {manifest.ROOT: manifest.own_checksum(root)}
    objects.write(store, f"{start}{manifest.ROOT}", json.dumps(root, indent=2).encode())
    return maps


def require_whole(store: Any, path: str, attrs: dict[str, Any]) -> None:
    """Compare the keys of a store with its manifest: a lost chunk would read as NaN.

    Raises
    ------
    StoreError
        Chunks are lost.
    """
    expected = attrs.get(manifest.FILES)
    if not expected:
        return
    keys = objects.keys(store, path)
    chunks = [key.split("/")[0] for key in keys if "/c/" in f"{key}/"]
    counts = {name: chunks.count(name) for name in expected}
    lost = {n: (counts[n], k) for n, k in expected.items() if counts[n] < k}
    if lost:
        text = ", ".join(f"{n!r} has {a} of {b} files" for n, (a, b) in lost.items())
        raise StoreError(f"the store has lost data: {text}; fx.verify shows which")


def lost(keys: set[str], name: str, grid: tuple[int, ...], attrs: dict[str, Any]) -> Any:
    """Places in the grid of an array whose chunks are lost."""
    if name not in attrs.get(manifest.FILES, {}):
        return []
    required = manifest.expected(attrs.get(manifest.PRESENT, {}).get(name), grid)
    missing = required & ~there(keys, name, grid)
    return [tuple(map(int, index)) for index in np.argwhere(missing)]


def changed(store: Any, attrs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names of lost or changed metadata, with the reason."""
    for key, wanted in attrs.get(manifest.CHECKSUMS, {}).items():
        data = objects.read(store, key)
        if data is None:
            yield key, "it is missing"
            continue
        own = key == manifest.ROOT
        now = manifest.own_checksum(json.loads(data)) if own else manifest.crc32c(data)
        if now != wanted:
            yield key, "it was changed after it was written"
