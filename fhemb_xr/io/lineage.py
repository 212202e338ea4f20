"""Whether the stores that a result was made from have changed since."""

import json
from pathlib import Path
from typing import Any

from fhemb_xr import schema
from fhemb_xr.io import provenance
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.local import atomic_files


def state(store: Any) -> str | None:
    """Whether a result is up to date with those of its sources that lie in the same folder.

    A store keeps no paths, so the other stores of the folder are read. A store whose
    ``fhemb_uuid`` is that of a source is the unchanged source. A store whose history names
    that uuid is the source after an append or another change.

    Parameters
    ----------
    store
        Path of a finished result.

    Returns
    -------
    str | None
        ``"up to date"``; ``"out of date: ..."`` with the name of the source; or None if the
        result names no source or the folder does not hold the sources.
    """
    local = atomic_files.local_path(store)
    if local is None:
        return None
    wanted = set(_attributes(local).get(provenance.SOURCES, []))
    if not wanted:
        return None
    beside = {path.name: _attributes(path) for path in local.parent.iterdir() if path != local}
    present = {attrs.get(provenance.UUID) for attrs in beside.values()}
    for name, attrs in sorted(beside.items()):
        was = wanted & set(_replaced(attrs))
        if was - present:
            return f"out of date: {name!r} has changed since; make the result again"
    return "up to date" if wanted <= present else None


def _replaced(attrs: dict[str, Any]) -> list[str]:
    """Earlier uuids of a recording that was changed in place."""
    lines = str(attrs.get(schema.HISTORY, "")).splitlines()
    if attrs.get(provenance.KIND) != "recording":
        return []
    return [word for text in lines for word in text.split() if len(word) == 36]


def _attributes(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / manifest.ROOT).read_text()).get("attributes", {})
    except (OSError, ValueError):
        return {}
    return dict(found)
