"""Keys and bytes of any Zarr store, for code that does not use ``async``."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fhemb_xr.dask_internals import sync

AT_ONCE = 8
"""Largest number of transfers at the same time."""


def keys(store: Any, prefix: str = "") -> set[str]:
    """Keys under a prefix, without the prefix."""
    start = f"{prefix}/" if prefix else ""

    async def listed() -> set[str]:
        return {key.removeprefix(start) async for key in store.list_prefix(start)}

    found: set[str] = sync(listed())
    return found


def read(store: Any, key: str) -> bytes | None:
    """The bytes under a key; None if there is no such key."""
    from zarr.buffer import cpu

    found = sync(store.get(key, cpu.buffer_prototype))
    return None if found is None else bytes(found.to_bytes())


def document(store: Any, key: str) -> dict[str, Any]:
    """The JSON under a key."""
    data = read(store, key)
    if data is None:
        raise FileNotFoundError(f"no {key!r}")
    found: dict[str, Any] = json.loads(data)
    return found


def write(store: Any, key: str, data: bytes) -> None:
    """Write bytes under a key."""
    from zarr.buffer import cpu

    sync(store.set(key, cpu.Buffer.from_bytes(data)))


def copy(store: Any, pairs: Iterable[tuple[str, str]]) -> None:
    """Copy objects of a store; each pair is the old key and the new key."""
    from zarr.buffer import cpu

    async def one(pair: tuple[str, str]) -> None:
        found = await store.get(pair[0], cpu.buffer_prototype)
        if found is None:
            raise FileNotFoundError(f"no {pair[0]!r}")
        await store.set(pair[1], found)

    _each(one, pairs)


def delete(store: Any, gone: Iterable[str]) -> None:
    """Remove objects; a missing object is no error."""

    async def one(key: str) -> None:
        try:
            await store.delete(key)
        except FileNotFoundError:
            return

    _each(one, gone)


def _each(work: Callable[[Any], Awaitable[None]], items: Iterable[Any]) -> None:
    async def all_of() -> None:
        limit = asyncio.Semaphore(AT_ONCE)

        async def limited(item: Any) -> None:
            async with limit:
                await work(item)

        await asyncio.gather(*map(limited, items))

    sync(all_of())
