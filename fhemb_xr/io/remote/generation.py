"""One generation of a store that is no folder: what was opened is what is read, or an error."""

import json
from typing import Any

from zarr.abc.store import SuffixByteRequest
from zarr.storage import WrapperStore

from fhemb_xr.errors import StoreError
from fhemb_xr.io import provenance
from fhemb_xr.io.formats import manifest


class RemoteGeneration(WrapperStore[Any]):
    """A Zarr store, read only, of which every chunk belongs to one generation.

    After each chunk the small object with the uuid of the store is read once more. A chunk
    that must be there and is not, is an error and not missing values.

    Parameters
    ----------
    store
        The Zarr store.
    path
        Group that is read.
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
        """Always."""
        return True

    def with_read_only(self, read_only: bool = False) -> "RemoteGeneration":
        """Itself: there is no other way to read it."""
        return self

    def __dask_tokenize__(self) -> tuple[str, str, str, Any]:
        return type(self).__name__, str(self._store), self.path, self.uuid

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """As the store itself has it, of this generation."""
        found = await self._store.get(key, prototype, byte_range)
        inner = key.removeprefix(f"{self.path}/") if self.path else key
        name, _, rest = inner.partition("/")
        if rest.split("/")[0] != "c":
            return found
        if found is not None and isinstance(byte_range, SuffixByteRequest):
            return found  # the index of a shard: a chunk follows, which is checked
        await self._require_same(prototype)
        if found is None and name in self.whole:
            raise StoreError(
                f"the store has lost the file {inner!r}, which would read as missing values: "
                "fx.verify tells whose and when it is"
            )
        return found

    async def _require_same(self, prototype: Any) -> None:
        root = await self._store.get(manifest.ROOT, prototype)
        if root is None:
            raise StoreError("the store is gone since it was opened")
        attrs = json.loads(root.to_bytes()).get("attributes", {})
        if attrs.get(provenance.UUID) != self.uuid:
            raise StoreError("the store was replaced since it was opened: open it again")
