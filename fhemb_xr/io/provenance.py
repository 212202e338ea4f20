"""Provenance of a result: attributes that name no path, no host and no person."""

import datetime
import hashlib
import importlib.metadata
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.io import sensitivity

UUID, KIND, ARRAY = "fhemb_uuid", "fhemb_kind", "fhemb_array"
SOURCES = "fhemb_sources"
"""Attribute with the uuids of the source stores of a result."""
DIGEST = "fhemb_spec_sha256"
"""Attribute with the digest of a result's specification, if it has one."""


def kind(obj: xr.Dataset) -> str:
    """Kind of a Dataset: recording, embedding, basis, relation, lagged, streams or result."""
    names, dims = set(obj.data_vars), set(map(str, obj.dims))
    if schema.HEATMAP in names and _is_recording(obj):
        return "recording"
    if schema.EMBEDDING in names:
        return "embedding"
    if schema.FRAME in dims:
        return "streams"
    if {"components", "mean"} <= names:
        return "basis"
    if {schema.WINDOW, schema.LAG} <= dims:
        return "lagged"
    if any(d.endswith("_0") and f"{d[:-2]}_1" in dims for d in dims):
        return "relation"
    return "result"


def _is_recording(ds: xr.Dataset) -> bool:
    try:
        schema.validate(ds)
    except SchemaError:
        return False
    return True


def family(attrs: Mapping[Any, Any]) -> set[str]:
    """Uuids of a store, of its sources, and of what it was before, as its attributes tell."""
    words = str(attrs.get(schema.HISTORY, "")).split()
    named = [attrs.get(UUID), *attrs.get(SOURCES, []), *(w for w in words if len(w) == 36)]
    return {str(uuid) for uuid in named if uuid}


def stamp(ds: xr.Dataset, operation: str, read: Sequence[str] = ()) -> xr.Dataset:
    """``ds`` with a new uuid, its sensitivity, its sources, and one more line of history.

    The line gives the time, the version, the operation, and the uuids of the sources.

    Parameters
    ----------
    ds
        A result.
    operation
        Name of the operation, one word.
    read
        Uuids of the stores that the tasks of the result read.
    """
    carried = {**ds.attrs}
    for var in ds.data_vars.values():
        carried = {**var.attrs, **carried}
    sources = list(dict.fromkeys([*([carried[UUID]] if UUID in carried else []), *read]))
    if str(carried.get(schema.HISTORY, "")).endswith(" anonymize"):
        sources = []  # a link to the store with the names would undo the pseudonyms
    done = line(operation + (f" of {' '.join(sources)}" if sources else ""))
    earlier = [h for h in (carried.get(schema.HISTORY),) if h]
    spec = carried.get(schema.SPEC)
    origin: dict[str, Any] = {SOURCES: sources} if sources else {}
    if spec is not None:
        text = spec if isinstance(spec, str) else json.dumps(plain(spec), sort_keys=True)
        origin[DIGEST] = hashlib.sha256(text.encode()).hexdigest()
    kept = {k: v for k, v in ds.attrs.items() if k not in (SOURCES, DIGEST)}
    return ds.assign_attrs(
        {
            **kept,
            **origin,
            schema.SCHEMA: schema.VERSION,
            KIND: kind(ds),
            schema.SENSITIVITY: sensitivity.of(ds),
            UUID: str(uuid.uuid4()),
            schema.HISTORY: "\n".join([*earlier, done]),
        }
    )


def line(operation: str) -> str:
    """A line of history: time, version, operation."""
    now = datetime.datetime.now(datetime.UTC)
    version = importlib.metadata.version("fhemb_xr")
    return f"{now:%Y-%m-%dT%H:%M:%SZ} fhemb_xr {version} {operation}"


def restamp(group: Any, operation: str) -> None:
    """Write a new uuid, and one more line of history, into a store."""
    names = (UUID, schema.HISTORY)
    earlier = {n: group.attrs[n] for n in names if n in group.attrs}
    made = stamp(xr.Dataset(attrs=earlier), operation).attrs
    group.attrs.update({n: made[n] for n in names})


def plain(value: Any) -> Any:
    """An attribute value that JSON can hold; any other value becomes text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | range):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
