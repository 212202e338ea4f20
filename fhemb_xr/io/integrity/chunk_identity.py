"""What each chunk of a lazy result is made of, as a hash.

The identity of a chunk is a hash of the tasks that make it, of their options, and of the
checksums of the stored chunks that they read. Two chunks with the same identity have the same
bits. A later run can therefore keep every chunk whose identity is still the same, whatever has
changed in the source, and whoever has changed it.
"""

import base64
import hashlib
import importlib.metadata
import math
from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.dask_internals import (
    Alias,
    DataNode,
    Task,
    TaskRef,
    convert_legacy_graph,
    taken_apart,
)
from fhemb_xr.io import provenance
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.integrity.chunk_checksums import Checksums
from fhemb_xr.io.local import sources

MADE_OF = manifest.MADE_OF
_DIGITS = 6
"""Bytes of an identity; an opera has 20 790 chunks, so its identities take 166 kB."""

Identities = NDArray[np.object_]
"""One identity per chunk, in the shape of the grid of chunks."""


class _UnknownError(Exception):
    """The graph holds something that cannot be named alike in every process."""


def recorded(obj: xr.Dataset | xr.DataArray, attrs: dict[str, Any]) -> dict[str, Any]:
    """The attribute that says what the chunks of an embedding are made of, if that is known.

    Parameters
    ----------
    obj
        The lazy object that was saved.
    attrs
        Attributes of its store.
    """
    array = obj if isinstance(obj, xr.DataArray) else obj.get(schema.EMBEDDING)
    if array is None or schema.SPEC not in array.attrs or provenance.SOURCES not in attrs:
        return {}
    if not isinstance(array.data, da.Array):
        return {}
    found = of(array.data)
    if found is None:
        return {}
    text = base64.b64encode(b"".join(found.ravel().tolist())).decode()
    return {
        MADE_OF: {
            "chunks": [list(c) for c in array.data.chunks],
            "dims": list(map(str, array.dims)),
            "frames": _longest_clock(array.data),
            "identities": text,
        }
    }


def parsed(made_of: dict[str, Any]) -> tuple[tuple[tuple[int, ...], ...], Identities]:
    """Chunks and identities that :func:`recorded` has written."""
    chunks = tuple(tuple(c) for c in made_of["chunks"])
    raw = base64.b64decode(made_of["identities"])
    each = [raw[i : i + _DIGITS] for i in range(0, len(raw), _DIGITS)]
    shape = tuple(map(len, chunks))
    out = np.empty(math.prod(shape), object)
    out[:] = each
    return chunks, out.reshape(shape)


def of(x: da.Array) -> Identities | None:
    """The identity of each chunk; None if the graph reads anything but sealed local arrays."""
    nodes = taken_apart(convert_legacy_graph(x.dask.to_dict()))
    out = np.empty(x.numblocks, object)
    try:
        names = _Names(nodes)
        for where in np.ndindex(x.numblocks):
            out[where] = names.of((x.name, *where))[:_DIGITS]
        names.require_same()
    except _UnknownError:
        return None
    return out


class _Names:
    """The hash of every task of a graph; a task that reads is named by what it reads."""

    def __init__(self, nodes: dict[Any, Any]) -> None:
        self.nodes = nodes
        self.known: dict[Any, bytes] = {}
        self.files: dict[Any, Checksums] = {}
        self._words: dict[int, tuple[Any, bytes]] = {}
        self._sums: dict[int, tuple[Any, Checksums]] = {}
        # another version may round differently
        versions = [importlib.metadata.version(n) for n in ("fhemb_xr", "numpy", "numba")]
        self._version = " ".join(versions).encode()

    def of(self, key: Any) -> bytes:
        """The hash of a task; those of the tasks before it are made first."""
        left = [key]
        while left:
            now = left[-1]
            if now in self.known:
                left.pop()
                continue
            node = self.nodes.get(now)
            if node is None:
                raise _UnknownError
            before = [k for k in node.dependencies if k not in self.known]
            if before:
                left += before
                continue
            self.known[now] = self._named(now, node)
            left.pop()
        return self.known[key]

    def require_same(self) -> None:
        """Refuse names of files that were replaced while they were looked at."""
        if not all(files.is_unchanged() for files in self.files.values()):
            raise _UnknownError

    def _named(self, key: Any, node: Any) -> bytes:
        if isinstance(node, Alias):
            return self.known[node.target]
        if isinstance(node, DataNode):
            array = sources.zarr_array(node.value)
            if array is None:
                return self._word(node.value)
            self.files[key] = self._checksums(node.value, array)
            return f"{type(node.value).__name__} {array.basename}".encode()
        out = hashlib.blake2b(self._version, digest_size=16)
        for word in self._spelled(node):
            out.update(len(word).to_bytes(4, "little") + word)
        reads = [k for k in node.dependencies if k in self.files]
        for source in sorted(reads, key=str):
            out.update(self.files[source].under(_region(node)))
        return out.digest()

    def _checksums(self, value: Any, array: Any) -> Checksums:
        if id(value) in self._sums:
            return self._sums[id(value)][1]
        found = Checksums.of(array) if value.shape == array.shape else None
        if found is None:
            raise _UnknownError
        self._sums[id(value)] = value, found  # with the value, so that its id stays taken
        return found

    def _spelled(self, value: Any) -> Iterator[bytes]:
        """The words of a task; a reference to another task is that task's hash."""
        if isinstance(value, TaskRef | Alias):
            word = self.known.get(value.key if isinstance(value, TaskRef) else value.target)
            if word is None:  # a reference into a task of a form that is not known
                raise _UnknownError
            yield word
        elif isinstance(value, DataNode):
            yield from self._spelled(value.value)
        elif isinstance(value, Task):
            yield self._word(value.func)
            yield from self._spelled((value.args, value.kwargs))
        elif isinstance(value, list | tuple):
            yield f"{type(value).__name__} {len(value)}".encode()
            for item in value:
                yield from self._spelled(item)
        elif isinstance(value, dict):
            yield f"dict {len(value)}".encode()
            for item in value.items():
                yield from self._spelled(item)
        elif value is None or isinstance(value, str | int | float | slice):
            yield repr(value).encode()
        else:
            yield self._word(value)

    def _word(self, value: Any) -> bytes:
        if (found := self._words.get(id(value))) is not None:
            return found[1]
        try:
            word: bytes = tokenize(value, ensure_deterministic=True).encode()
        except Exception:  # the class depends on the version of dask
            raise _UnknownError from None
        self._words[id(value)] = value, word  # with the value, so that its id stays taken
        return word


def _region(node: Task) -> tuple[slice, ...] | None:
    """The part of an array that a task reads; None if that is not seen, so: all of it."""
    for value in node.args:
        value = value.value if isinstance(value, DataNode) else value
        if isinstance(value, tuple) and value and all(isinstance(v, slice) for v in value):
            return value
    return None


def _longest_clock(x: da.Array) -> int:
    """Frames of the recording that the tasks read."""
    lengths = [
        dict(zip(array.metadata.dimension_names, array.shape, strict=True)).get(schema.TIME, 0)
        for array in sources.arrays(x)
        if array.metadata.dimension_names
    ]
    return int(max(lengths, default=0))
