"""One generation of a store: what was opened is what is read, or an error, never a mixture.

A store that is saved anew is exchanged whole, so whoever opened the old one lazily would go on
in the new one, half old and half new without a word. Here every read looks, after it has the
bytes, whether the store is still the one that was opened: a ``stat``, 2 us beside the 2 ms of a
chunk; only when the file is another one, its uuid. A share that stutters is asked again.
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
"""Errors of network file systems that may be gone a moment later."""
PAUSES_S = (0.05, 0.5)


class Generation(LocalStore):
    """A local store, read only, of which every chunk belongs to one generation.

    Parameters
    ----------
    root
        Folder of the store.
    attrs
        Its attributes, as they were read from ``zarr.json``.
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
        """Itself: there is no other way to read it."""
        return self

    def __dask_tokenize__(self) -> tuple[str, str, Any]:
        return type(self).__name__, str(self.root), self.uuid

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """As :class:`zarr.storage.LocalStore` has it, of this generation."""
        found = await patiently(lambda: super(Generation, self).get(key, prototype, byte_range))
        self._check(key, found)
        return found

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        """As :class:`zarr.storage.LocalStore` has it, of this generation."""
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
                "values: `fhemb verify` tells whose and when it is"
            )

    def require_files(self, keys: Iterable[str]) -> None:
        """After something else read these files: they were there, and of this generation.

        Raises
        ------
        StoreError
            Another store took its place, or a file of an array that is whole is lost.
        """
        for key in keys:
            whole = key.partition("/")[0] in self.whole
            self._check(key, True if not whole or (self.root / key).is_file() else None)
        self._require_same()

    def _require_same(self) -> None:
        path = self.root / manifest.ROOT
        try:
            found = os.stat(path)
            now = found.st_ino, found.st_mtime_ns
            if now == self._seen:
                return
            uuid = json.loads(path.read_text()).get("attributes", {}).get(provenance.UUID)
        except (OSError, ValueError):
            raise StoreError(f"{self.root.name!r} is gone since it was opened") from None
        if uuid != self.uuid:
            raise StoreError(
                f"{self.root.name!r} was replaced since it was opened: open it again"
            )
        self._seen = now


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """A read that is tried again where that may help."""
    for pause in PAUSES_S:
        try:
            return await read()
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
        await asyncio.sleep(pause)
    return await read()
