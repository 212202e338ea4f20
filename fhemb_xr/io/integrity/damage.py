"""A piece of damage, with the person and the time that it concerns."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fhemb_xr import schema

Region = tuple[slice, ...]
_ALWAYS = (schema.SUBJECT, schema.SESSION, schema.TIME)
"""Dimensions that are named even if the damage covers all of them."""


@dataclass(frozen=True)
class Damage:
    """One piece of damage; as text, a sentence.

    Attributes
    ----------
    array
        Name of the variable or coordinate; empty for the store itself.
    what
        ``"damaged"``, ``"lost"`` or ``"unfinished"``.
    file
        Path inside the store; empty if the damage is not in one file.
    index
        Place of the file in the grid of the array's files; empty for metadata.
    spans
        First and last damaged label along each dimension, in seconds for ``time``:
        ``{"subject": (66, 66), "time": (22000.0, 43999.96)}``.
    reason
        Error of the read.
    """

    array: str
    what: str
    file: str = ""
    index: tuple[int, ...] = ()
    spans: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    reason: str = ""

    def __str__(self) -> str:
        parts = []
        for dim, (first, last) in self.spans.items():
            unit = " s" if dim == schema.TIME else ""
            parts.append(f"{dim} {first}{'' if first == last else f' to {last}'}{unit}")
        name = repr(self.array) if self.array else "the store"
        where = " for " + ", ".join(parts) if parts else ""
        return f"{name} is {self.what}{where}" + (f": {self.reason}" if self.reason else "")

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self) | {"text": str(self)}


def regions(
    shape: tuple[int, ...], unit: tuple[int, ...], inside: Region | None = None
) -> Iterator[Region]:
    """Pieces of shape ``unit`` that cover an array, or its part ``inside``."""
    parts = inside or tuple(slice(0, n) for n in shape)
    axes = [
        [slice(a, min(a + step, s.stop)) for a in range(s.start, s.stop, step)]
        for s, step in zip(parts, unit, strict=True)
    ]
    return itertools.product(*axes)


def file_region(array: Any, index: tuple[int, ...]) -> Region:
    """The part of an array that one of its files holds."""
    unit = array.shards or array.chunks
    return tuple(
        slice(i * c, min((i + 1) * c, n))
        for i, c, n in zip(index, unit, array.shape, strict=True)
    )


def spans(array: Any, region: Region, labels: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """First and last label of ``region`` along each dimension that it does not cover whole."""
    out = {}
    dims = array.metadata.dimension_names or ()
    for dim, span, n in zip(dims, region, array.shape, strict=False):
        values = labels.get(str(dim))
        whole = (span.start, span.stop) == (0, n)
        if whole and (values is None or dim not in _ALWAYS or array.ndim == 1):
            continue
        ends = np.array([span.start, span.stop - 1])
        if values is None:
            out[f"{dim} number"] = tuple(ends.tolist())
        else:
            out[str(dim)] = tuple(np.asarray(values)[ends].tolist())
    return out
