"""Replacing a result in a store that has no rename.

1. The new result is written into a group beside the old result, and checked.
2. One small object makes it known: the ``zarr.json`` of the store names the group (the switch).
3. The objects are copied to their final place, where plain ``xr.open_zarr`` finds them.
4. The group is removed.

A writer that dies before the switch leaves the old result; after it, the new result.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fhemb_xr.errors import StoreError
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.local import owners
from fhemb_xr.io.remote import objects

AT = "fhemb_at"
"""Attribute of a store: the group that holds the data until they are copied."""
_LONGEST_S = 86_400.0
_STAGED = re.compile(r"\.fhemb-[0-9a-f]{8}\.staging(\.owner)?")


@contextmanager
def staged(store: Any, *, replace: bool) -> Iterator[str]:
    """Yield the path of the group to write into: the store itself if it is empty.

    If anything fails, all that was written is removed.

    Raises
    ------
    StoreError
        The store is not empty, and ``replace`` is False or it holds no Zarr store.
    """
    before = objects.keys(store)
    if before and not replace:
        raise StoreError("the store holds something already: mode='w' replaces it")
    if before and manifest.ROOT not in before and not any(map(_is_staged, before)):
        raise StoreError(
            "the store holds something that is no Zarr store: choose another place"
        )
    path = f".fhemb-{uuid.uuid4().hex[:8]}.staging" if before else ""
    owner = owners.me()
    owners.MINE.add(owner["token"])
    try:
        if path:
            objects.write(store, f"{path}{owners.ENDING}", json.dumps(owner).encode())
        yield path
    except BaseException:
        objects.delete(store, sorted(_written(store, path)))
        raise
    finally:
        owners.MINE.discard(owner["token"])
        if path:
            objects.delete(store, [f"{path}{owners.ENDING}"])


def publish(store: Any, path: str) -> None:
    """Put the finished group ``path`` in the place of the old result."""
    if not path:
        return
    new = objects.keys(store, path)
    root = objects.document(store, f"{path}/{manifest.ROOT}")
    final = json.dumps(root, indent=2).encode()
    root["attributes"] = root["attributes"] | {AT: path}
    objects.write(store, manifest.ROOT, json.dumps(root, indent=2).encode())  # the switch
    living = [path, *_living(store)]
    living += [name + owners.ENDING for name in living]
    old = {key for key in objects.keys(store) if key.partition("/")[0] not in living}
    objects.delete(store, sorted(old - new - {manifest.ROOT}))
    chunks = sorted(new - {manifest.ROOT})
    objects.copy(store, ((f"{path}/{key}", key) for key in chunks))
    objects.write(store, manifest.ROOT, final)
    objects.delete(store, sorted(f"{path}/{key}" for key in new))


def _written(store: Any, path: str) -> set[str]:
    found = objects.keys(store, path)
    return {f"{path}/{key}" for key in found} if path else found


def _living(store: Any) -> Iterator[str]:
    """Groups that another writer may be filling."""
    tops = {key.partition("/")[0] for key in objects.keys(store) if _is_staged(key)}
    for path in {top.removesuffix(owners.ENDING) for top in tops}:
        with suppress(FileNotFoundError, ValueError):
            owner = objects.document(store, f"{path}{owners.ENDING}")
            # the owner cannot touch an object here: a save may take at most a day
            silence_s = max(0.0, time.time() - owner["time"] - _LONGEST_S + owners.SILENCE_S)
            if not owners.is_dead(owner, silence_s):
                yield path


def _is_staged(key: str) -> bool:
    return bool(_STAGED.fullmatch(key.partition("/")[0]))
