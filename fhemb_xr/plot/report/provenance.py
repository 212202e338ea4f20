"""What made the figures of a report, in words; it names no path and no host."""

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.plot import labels


def provenance(recording: xr.Dataset, embedding: xr.DataArray, relation: xr.DataArray) -> str:
    """Histories, the specification, what the relation is, and versions."""
    from fhemb_xr import diagnostics

    parts: list[tuple[str, str]] = []
    for name, attrs in (
        ("recording", recording.attrs),
        ("embedding", embedding.attrs),
        ("relation", relation.attrs),
    ):
        if attrs.get(schema.HISTORY):
            parts.append((f"History of the {name}", _text(attrs[schema.HISTORY])))
    if embedding.attrs.get(schema.SPEC):
        parts.append(("Specification of the embedding", _pretty(embedding.attrs[schema.SPEC])))
    shown = {
        k: _plain(v)
        for k, v in relation.attrs.items()
        if k not in (schema.HISTORY, schema.SPEC)
    }
    parts.append(
        ("Relation", "\n".join(f"{k}: {v}" for k, v in shown.items() if k in labels.RELATION))
    )
    parts.append(
        (
            "Versions",
            "\n".join(f"{k} {v}" for k, v in diagnostics.versions().items() if v != "-"),
        )
    )
    return "\n".join(f"<h3>{escape(h)}</h3><pre>{escape(t)}</pre>" for h, t in parts if t)


def _text(history: object) -> str:
    return "\n".join(map(str, history)) if isinstance(history, list | tuple) else str(history)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _pretty(spec: str | Mapping[str, Any]) -> str:
    try:
        found = json.loads(spec) if isinstance(spec, str) else dict(spec)
    except ValueError:
        return str(spec)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    lists = re.compile(r"\[[^\[\]{}]*\]")  # a list of names on one line
    return lists.sub(
        lambda m: " ".join(m[0].split()).replace("[ ", "[").replace(" ]", "]"), text
    )
