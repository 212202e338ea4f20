"""People by the original's labels: ``subj65`` is person 65 of the recording."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, Generic, TypeVar

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import EmptySelectionError
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.ops.frames import selection

Subjects = Any
"""``"all"``, an id, ``"subj65"``, an inclusive pair, or a list of these."""
Value = TypeVar("Value")
_LABEL = re.compile(r"subj(\d+)$")


def label(person: object) -> str:
    """The label of a person: ``65`` is ``"subj65"``."""
    return person if isinstance(person, str) else f"subj{person}"


def counted(people: Sized) -> str:
    """How many people there are, for logs and reprs, which do not say who."""
    return "1 person" if len(people) == 1 else f"{len(people)} people"


def native(spec: Subjects) -> Any:
    """A choice of people with labels as the numbers that the recording has."""
    if isinstance(spec, str):
        found = _LABEL.match(spec)
        return int(found[1]) if found else spec
    if isinstance(spec, tuple | list | range | set | np.ndarray):
        kind = tuple if isinstance(spec, tuple) else list
        return kind(native(entry) for entry in spec)
    return spec


def people(spec: Subjects, there: Iterable[Any]) -> list[Any]:
    """The ids that are meant, in the order of those that are ``there``.

    Raises
    ------
    UnknownNameError
        A person who is not there (a ``KeyError``), with the nearest ones.
    """
    ids = list(there)
    known = xr.DataArray(ids, dims=schema.SUBJECT, coords={schema.SUBJECT: ids})
    wanted = "all" if spec is None else native(spec)
    return list(selection.select(known, subjects=wanted).values.tolist())


def ordered(ids: Iterable[Any]) -> list[Any]:
    """Ids from small to large, numbers in text as numbers."""
    return sorted(ids, key=lambda person: [int(n) for n in re.findall(r"\d+", str(person))])


def with_a_face(ds: xr.Dataset) -> xr.Dataset:
    """The recording without those who have no face in it; one reading of ``height``.

    Raises
    ------
    EmptySelectionError
        Nobody has a face.
    """
    if schema.HEIGHT in ds:
        seen = (ds[schema.HEIGHT] > 0).any([schema.SESSION, schema.TIME])
    else:
        seen = ds[schema.HEATMAP].notnull().any([d for d in ds.heatmap.dims if d != "subject"])
    ids = ds.indexes[schema.SUBJECT].tolist()
    kept = ordered(i for i, is_seen in zip(ids, seen.values.tolist(), strict=True) if is_seen)
    if not kept:
        raise EmptySelectionError(
            f"none of {counted(ids)} has a face in these frames: choose others"
        )
    return ds.sel({schema.SUBJECT: kept})


class BySubject(Mapping[str, Value], Generic[Value]):
    """Something of every person, made when it is asked for, and kept.

    Keys are labels; a number is as good.
    """

    def __init__(self, ids: Iterable[Any], make: Callable[[Any], Value]) -> None:
        self._ids = {label(i): i for i in ids}
        self._make = make
        self._kept: dict[str, Value] = {}

    def __getitem__(self, key: Any) -> Value:
        name = label(key)
        if name not in self._ids:
            raise unknown_name("subject", key, self._ids, personal=True)
        if name not in self._kept:
            self._kept[name] = self._make(self._ids[name])
        return self._kept[name]

    def __contains__(self, key: object) -> bool:
        return label(key) in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"<{counted(self)}: computed when asked for>"
