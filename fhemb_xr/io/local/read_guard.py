"""Reads of one generation of a store: a replaced store is an error, never a mixture.

Saving again exchanges the whole store. A reader that opened the old store lazily would then
silently mix old and new chunks. Therefore every read checks, after it has the bytes, that the
store is still the one that was opened. The check is a ``stat``, 2 µs against 2 ms for a chunk;
the uuid is read only if the file has changed. A read that fails for a moment is tried again.
"""

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from zarr.storage import LocalStore

from fhemb_xr.errors import StoreError
from fhemb_xr.io import provenance
from fhemb_xr.io.formats import manifest

T = TypeVar("T")
TRANSIENT = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR}
"""Errors of network file systems that may pass after a moment."""
PAUSES_S = (0.05, 0.5)


class Generation(LocalStore):
    """A local, read-only store whose chunks all belong to one generation.

    Parameters
    ----------
    root
        Folder of the store.
    attrs
        Attributes of the store, as read from ``zarr.json``.
    """

    def __init__(
        self, root: Path, attrs: dict[str, Any] | None = None, *, read_only: bool = True
    ) -> None:
        super().__init__(root, read_only=True)
        attrs = attrs or {}
        self.uuid = attrs.get(provenance.UUID)
        self.whole = manifest.whole(attrs)
        self._seen: tuple[int, int] | None = None

    def with_read_only(self, read_only: bool = False) -> "Generation":  # zarr asks for a copy
        """Return itself: it can only be read."""
        return self

    def __dask_tokenize__(self) -> tuple[str, str, Any]:
        return type(self).__name__, str(self.root), self.uuid

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read one file, and check the generation."""
        found = await patiently(lambda: super(Generation, self).get(key, prototype, byte_range))
        self._check(key, found)
        return found

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        """Read parts of files, and check the generation."""
        asked = list(key_ranges)
        found = await patiently(
            lambda: super(Generation, self).get_partial_values(prototype, asked)
        )
        for (key, _), value in zip(asked, found, strict=True):
            self._check(key, value)
        return found

    def _check(self, key: str, found: Any) -> None:
        self._require_same()
        name, _, rest = key.partition("/")
        if found is None and name in self.whole and rest.split("/")[0] == "c":
            raise StoreError(
                f"{self.root.name!r} has lost the file {key!r}, which would read as missing "
                "values: `fhemb verify` shows the person and the time"
            )

    def require_files(self, keys: Iterable[str]) -> None:
        """Check files that other code has read: they exist and are of this generation.

        Raises
        ------
        StoreError
            The store was replaced, or a file of a complete array is lost.
        """
        for key in keys:
            whole = key.partition("/")[0] in self.whole
            self._check(key, True if not whole or (self.root / key).is_file() else None)
        self._require_same()

    def _require_same(self) -> None:
        path = self.root / manifest.ROOT
        try:
            status = os.stat(path)
            now = status.st_ino, status.st_mtime_ns
            if now == self._seen:
                return
            uuid = json.loads(path.read_text()).get("attributes", {}).get(provenance.UUID)
        except (OSError, ValueError):
            raise StoreError(f"{self.root.name!r} was removed since it was opened") from None
        if uuid != self.uuid:
            raise StoreError(
                f"{self.root.name!r} was replaced since it was opened: open it again"
            )
        self._seen = now


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Read, and try again after an error that may pass."""
    for pause in PAUSES_S:
        try:
            return await read()
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
        await asyncio.sleep(pause)
    return await read()
