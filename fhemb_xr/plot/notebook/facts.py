"""What an object says of itself: in one line a fact, without a path, a host or a name."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.budget import human
from fhemb_xr.io import provenance, sensitivity
from fhemb_xr.plot import labels

Facts = list[tuple[str, str]]
MOST_IDS = 12
_HISTORY_LINES = 3
_FLOATS = ".6g"


def heading(obj: xr.Dataset | xr.DataArray) -> str:
    """What the object is, and its sizes."""
    sizes = " × ".join(f"{d} {n:,}" for d, n in obj.sizes.items())
    return f"{kind(obj)}: {sizes}" if sizes else kind(obj)


def kind(obj: xr.Dataset | xr.DataArray) -> str:
    """A word for the object: recording, heatmap, embedding, relation, …"""
    if isinstance(obj, xr.Dataset):
        return provenance.kind(obj)
    if {schema.Y, schema.X} <= set(obj.dims):
        return "heatmap" if schema.TIME in obj.dims else "image"
    name = str(obj.name) if obj.name is not None else "values"
    found = provenance.kind(xr.Dataset({name: obj.variable}))
    return "array" if found == "result" else found


def facts(obj: xr.Dataset | xr.DataArray) -> Facts:
    """Names and texts, in the order in which they are shown. Reads and computes nothing."""
    own = obj.attrs
    inner = _main(obj).attrs if isinstance(obj, xr.Dataset) else {}
    attrs = {**inner, **own}
    found: Facts = []
    if title := own.get("title"):
        found.append(("title", str(title)))
    found += _people(obj)
    found += _time(obj, attrs)
    found += _grid(obj, attrs)
    found += _made(attrs)
    found.append(("values", _state(obj)))
    return found


def _main(ds: xr.Dataset) -> xr.DataArray:
    """The variable that says most of a Dataset."""
    for name in (schema.HEATMAP, schema.EMBEDDING, "observed", "relation"):
        if name in ds:
            return ds[name]
    return ds[next(iter(ds.data_vars))] if ds.data_vars else xr.DataArray(0.0)


def _people(obj: xr.Dataset | xr.DataArray) -> Facts:
    found: Facts = []
    words = {schema.SUBJECT: "subjects", "subject_0": "subjects", schema.SESSION: "sessions"}
    for dim, word in words.items():
        if dim in obj.dims and word not in dict(found):
            there = obj[dim].values.tolist() if dim in obj.coords else None
            listed = f": {listed_ids(there)}" if there is not None else ""
            found.append((word, f"{obj.sizes[dim]:,}{listed}"))
    return found


def listed_ids(found: Iterable[Any]) -> str:
    """``40–44, 53``: runs of numbers as intervals; at most twelve entries."""
    runs: list[list[Any]] = []
    for label in found:
        whole = isinstance(label, int) and not isinstance(label, bool)
        if whole and runs and isinstance(runs[-1][1], int) and label == runs[-1][1] + 1:
            runs[-1][1] = label
        else:
            runs.append([label, label])
    texts = [str(a) if a == b else f"{a}–{b}" for a, b in runs]
    more = f", … ({len(texts) - MOST_IDS} more)" if len(texts) > MOST_IDS else ""
    return ", ".join(texts[:MOST_IDS]) + more


def _time(obj: xr.Dataset | xr.DataArray, attrs: Mapping[str, Any]) -> Facts:
    if schema.TIME not in obj.dims:
        return []
    n = obj.sizes[schema.TIME]
    rate = attrs.get(schema.SAMPLING_RATE)
    if not isinstance(rate, int | float | np.number) or not float(rate) > 0:
        return [("time", f"{n:,} samples; the rate is not said")]
    long = n / float(rate)
    clock = f" ({int(long // 60)} min {long % 60:.0f} s)" if long >= 120 else ""
    return [("time", f"{n:,} frames at {float(rate):g} Hz: {long:,.6g} s{clock}")]


def _grid(obj: xr.Dataset | xr.DataArray, attrs: Mapping[str, Any]) -> Facts:
    found = []
    if {schema.Y, schema.X} <= set(obj.dims):
        found.append(("grid", f"{obj.sizes[schema.Y]} × {obj.sizes[schema.X]} pixels"))
    threshold = attrs.get(schema.THRESHOLD)
    if threshold is not None:
        found.append(("threshold", f"{float(threshold):g} °C; below it is background"))
    return found


def _made(attrs: Mapping[str, Any]) -> Facts:
    found: Facts = []
    try:
        spec = json.loads(str(attrs.get(schema.SPEC) or "{}"))
    except ValueError:
        spec = {}
    if isinstance(spec, dict):
        names = spec.pop("names", None)
        if isinstance(names, list):
            found.append(("features", f"{len(names)}: {short_names(names)}"))
        rest = {k: v for k, v in spec.items() if v is not None and k != "version"}
        if rest:
            found.append(("made with", ", ".join(f"{k}={_plain(v)}" for k, v in rest.items())))
    how = {k: attrs[k] for k in labels.RELATION if k in attrs and k != "units"}
    if how:
        found.append(("compared with", ", ".join(f"{k}={_plain(v)}" for k, v in how.items())))
    if attrs.get("long_name"):
        unit = attrs.get("units")
        what = str(attrs["long_name"])
        found.append(("what", what if unit in (None, "1", "") else f"{what} [{unit}]"))
    history = attrs.get(schema.HISTORY)
    if history:
        lines = history if isinstance(history, list | tuple) else str(history).splitlines()
        found.append(("history", "\n".join(map(str, [*lines][-_HISTORY_LINES:]))))
    return found


def short_names(names: list[Any]) -> str:
    """``mean, p5…p95, pc0…pc4``: names that count up as intervals."""
    texts = [str(n) for n in names]
    runs: list[list[str]] = []
    for text in texts:
        stem = text.rstrip("0123456789")
        if runs and stem != text and runs[-1][0].rstrip("0123456789") == stem:
            runs[-1].append(text)
        else:
            runs.append([text])
    return ", ".join(r[0] if len(r) == 1 else f"{r[0]}…{r[-1]}" for r in runs)


def _plain(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    return f"{value:{_FLOATS}}" if isinstance(value, float) else str(value)


def _state(obj: xr.Dataset | xr.DataArray) -> str:
    """Bytes, whether they are in memory, and how much of a person they show."""
    parts = obj.data_vars.values() if isinstance(obj, xr.Dataset) else (obj,)
    lazy = any(v.chunks is not None for v in parts)
    where = "lazy: read or computed when asked" if lazy else "in memory"
    whole = obj if isinstance(obj, xr.Dataset) else xr.Dataset({"values": obj})
    mark = sensitivity.of(whole)
    return f"{human(obj.nbytes)}, {where}; sensitivity: {mark}"
