"""Reads of one generation of a store that is no folder: a replaced store is an error."""

import json
from typing import Any

from zarr.abc.store import SuffixByteRequest
from zarr.storage import WrapperStore

from fhemb_xr.errors import StoreError
from fhemb_xr.io import provenance
from fhemb_xr.io.formats import manifest


class RemoteGeneration(WrapperStore[Any]):
    """A read-only Zarr store whose chunks all belong to one generation.

    After each chunk, the small object with the uuid of the store is read again. A lost chunk
    is an error; it does not read as missing values.

    Parameters
    ----------
    store
        Zarr store.
    path
        Path of the group that is read.
    attrs
        Attributes of the group.
    """

    def __init__(self, store: Any, path: str = "", attrs: dict[str, Any] | None = None) -> None:
        super().__init__(store)
        attrs = attrs or {}
        self.path = path
        self.uuid = attrs.get(provenance.UUID)
        self.whole = manifest.whole(attrs)

    @property
    def read_only(self) -> bool:
        """Always true."""
        return True

    def with_read_only(self, read_only: bool = False) -> "RemoteGeneration":
        """Return itself: it can only be read."""
        return self

    def __dask_tokenize__(self) -> tuple[str, str, str, Any]:
        return type(self).__name__, str(self._store), self.path, self.uuid

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Read one object, and check the generation."""
        data = await self._store.get(key, prototype, byte_range)
        inner = key.removeprefix(f"{self.path}/") if self.path else key
        name, _, rest = inner.partition("/")
        if rest.split("/")[0] != "c":
            return data
        if data is not None and isinstance(byte_range, SuffixByteRequest):
            return data  # the index of a shard: the read of its chunk is checked
        await self._require_same(prototype)
        if data is None and name in self.whole:
            raise StoreError(
                f"the store has lost the file {inner!r}, which would read as missing values: "
                "fx.verify shows the person and the time"
            )
        return data

    async def _require_same(self, prototype: Any) -> None:
        root = await self._store.get(manifest.ROOT, prototype)
        if root is None:
            raise StoreError("the store was removed since it was opened")
        attrs = json.loads(root.to_bytes()).get("attributes", {})
        if attrs.get(provenance.UUID) != self.uuid:
            raise StoreError("the store was replaced since it was opened: open it again")
