"""Keys and bytes of any Zarr store, asked for from ordinary code."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fhemb_xr.dask_internals import sync

AT_ONCE = 8
"""Objects that are on their way at the same time."""


def keys(store: Any, prefix: str = "") -> set[str]:
    """Keys under a prefix, without it."""
    start = f"{prefix}/" if prefix else ""

    async def listed() -> set[str]:
        return {key.removeprefix(start) async for key in store.list_prefix(start)}

    found: set[str] = sync(listed())
    return found


def read(store: Any, key: str) -> bytes | None:
    """The bytes under a key; None where there are none."""
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
    """Put bytes under a key."""
    from zarr.buffer import cpu

    sync(store.set(key, cpu.Buffer.from_bytes(data)))


def copy(store: Any, pairs: Iterable[tuple[str, str]]) -> None:
    """Copy objects of a store, from key to key."""
    from zarr.buffer import cpu

    async def one(pair: tuple[str, str]) -> None:
        found = await store.get(pair[0], cpu.buffer_prototype)
        if found is None:
            raise FileNotFoundError(f"no {pair[0]!r}")
        await store.set(pair[1], found)

    _each(one, pairs)


def delete(store: Any, gone: Iterable[str]) -> None:
    """Remove objects; one that is not there is no error."""

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
