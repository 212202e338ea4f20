"""Where a result comes from: attributes without a path, a host or a person."""

import datetime
import importlib.metadata
import uuid
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.io import sensitivity

UUID, KIND, ARRAY = "fhemb_uuid", "fhemb_kind", "fhemb_array"


def kind(obj: xr.Dataset) -> str:
    """What a Dataset is: recording, embedding, basis, relation, lagged, streams or result."""
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


def stamp(ds: xr.Dataset, operation: str) -> xr.Dataset:
    """``ds`` with a new uuid, its mark, and one line more of history.

    The line tells time, version, what was done, and to which uuid.
    """
    found = {**ds.attrs}
    for var in ds.data_vars.values():
        found = {**var.attrs, **found}
    sources = [found[UUID]] if UUID in found else []
    done = line(operation + (f" of {' '.join(sources)}" if sources else ""))
    earlier = [h for h in (found.get(schema.HISTORY),) if h]
    return ds.assign_attrs(
        {
            **ds.attrs,
            schema.SCHEMA: schema.VERSION,
            KIND: kind(ds),
            schema.SENSITIVITY: sensitivity.of(ds),
            UUID: str(uuid.uuid4()),
            schema.HISTORY: "\n".join([*earlier, done]),
        }
    )


def line(operation: str) -> str:
    """A line of history: when, by what version, what."""
    now = datetime.datetime.now(datetime.UTC)
    version = importlib.metadata.version("fhemb_xr")
    return f"{now:%Y-%m-%dT%H:%M:%SZ} fhemb_xr {version} {operation}"


def restamp(group: Any, operation: str) -> None:
    """A new uuid, and one line more of history, in a store."""
    names = (UUID, schema.HISTORY)
    earlier = {n: group.attrs[n] for n in names if n in group.attrs}
    made = stamp(xr.Dataset(attrs=earlier), operation).attrs
    group.attrs.update({n: made[n] for n in names})


def plain(value: Any) -> Any:
    """An attribute that JSON can hold; what it cannot, as text."""
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
