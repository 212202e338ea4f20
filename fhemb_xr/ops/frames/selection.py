"""Which people, which frames, which pixels."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import DATES, Clock
from fhemb_xr.errors import EmptySelectionError, SchemaError, UnknownNameError, nearest
from fhemb_xr.ops import background

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)
Spec = str | int | Sequence[object]


def select(
    ds: Labelled,
    *,
    subjects: Spec = "all",
    sessions: Spec = "all",
    frames: tuple[int, int] | None = None,
    seconds: tuple[float, float] | None = None,
) -> Labelled:
    """Some people, some sessions, some of the time.

    Parameters
    ----------
    ds
        A recording, an embedding, or anything with ``subject``, ``session`` or ``time``.
    subjects
        ``"all"``, one id, or a list of ids and inclusive pairs: ``[(40, 44), 53]``. A pair
        takes the ids that are there; a single id must be there. The order of the data is kept.
        Numbers inside text ids count as numbers: ``("s1", "s10")`` has ``"s2"``.
    sessions
        ``"all"``, a name or a list of names.
    frames
        Half-open interval of frame numbers, ``[start, stop)``, on the session's clock.
    seconds
        Half-open interval of seconds since the session's first frame; instead of ``frames``.

    Returns
    -------
    DataArray or Dataset
        The same kind of object, lazy where it was, with coordinates unchanged.

    Raises
    ------
    UnknownNameError
        A subject or session that is not there (a ``KeyError``), with the nearest ones.
    EmptySelectionError
        Nothing is left; the message has the range that is there.
    ValueError
        Both ``frames`` and ``seconds``, an interval that runs backwards, or no list of ids.
    SchemaError
        A clock that does not increase, or is not of seconds.

    Notes
    -----
    Memory and tasks: those of ``isel``. Computes at call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=4, seconds=4)
    >>> part = ds.fhemb.select(subjects=[(40, 41), 43], seconds=(1, 3))
    >>> part.subject.values.tolist(), part.sizes["time"]
    ([40, 41, 43], 50)
    """
    if frames is not None and seconds is not None:
        raise ValueError("asked for frames and for seconds: give one of the two")
    for dim, spec in ((schema.SUBJECT, subjects), (schema.SESSION, sessions)):
        if not (isinstance(spec, str) and spec == "all"):
            ds = _take(ds, dim, spec)
    if frames is not None:
        ds = _between(ds, schema.FRAME, frames)
    if seconds is not None:
        ds = _between(ds, schema.TIME, seconds)
    return ds


def _take(ds: Labelled, dim: str, spec: Spec) -> Labelled:
    if dim not in ds.indexes:
        raise UnknownNameError(f"cannot select by {dim}: the dimensions are {tuple(ds.dims)}")
    ids = ds.indexes[dim].tolist()
    given: Any = spec
    if isinstance(given, set | xr.DataArray | pd.Index):  # as good as a list of ids
        given = sorted(given, key=str) if isinstance(given, set) else np.asarray(given)
    if not isinstance(given, str | int | np.integer | Sequence | np.ndarray):
        raise ValueError(
            f"{dim}s are 'all', an id, or a list of ids and pairs (first, last), found {spec!r}"
        )
    alone = isinstance(given, np.ndarray) and given.ndim == 0
    one = alone or isinstance(given, str | int | np.integer)
    entries: list[object] = [given] if one else _pair_or_list(given)
    wanted: set[object] = set()
    for entry in entries:
        wanted |= _expand(entry, ids, dim)
    if not wanted:
        raise EmptySelectionError(f"no {dim} was asked for: there are {len(ids)}")
    return ds.isel({dim: [i for i, name in enumerate(ids) if name in wanted]})


def _pair_or_list(spec: Any) -> list[object]:
    return [spec] if isinstance(spec, tuple) and len(spec) == 2 else list(spec)


def _expand(entry: object, ids: list[object], dim: str) -> set[object]:
    if isinstance(entry, np.generic | np.ndarray) and not np.ndim(entry):
        entry = entry.item()
    if isinstance(entry, tuple | list | np.ndarray):
        if len(entry) != 2 or not _rises(*entry):
            raise ValueError(f"an interval of {dim}s is a pair (first, last), found {entry!r}")
        low, high = map(_rank, entry)
        found = {i for i in ids if _comparable(low, _rank(i)) and low <= _rank(i) <= high}
        if not found:
            raise UnknownNameError(f"no {dim} in {entry!r}{nearest(entry[0], ids)}")
        return found
    if isinstance(entry, bool) or entry not in ids:
        raise UnknownNameError(f"no {dim} {entry!r} among {len(ids)}{nearest(entry, ids)}")
    return {entry}


def _rank(name: Any) -> tuple[Any, ...]:
    """A number, or a text with its numbers as numbers: ``"s2"`` comes before ``"s10"``."""
    if isinstance(name, str):
        parts = re.split(r"(\d+)", name)
        return tuple(int(p) if p.isdecimal() else p for p in parts)
    return (name.item() if isinstance(name, np.generic) else name,)


def _comparable(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether both are numbers, or both texts."""
    return isinstance(a[0], str) == isinstance(b[0], str)


def _rises(first: Any, last: Any) -> bool:
    low, high = _rank(first), _rank(last)
    return _comparable(low, high) and bool(low <= high)


def _between(ds: Labelled, name: str, interval: tuple[float, float]) -> Labelled:
    start, stop = _interval(interval)
    axis = _axis(ds, name)
    # a frame belongs to the second it starts in, whatever the rounding of frame / rate
    slack = 1e-9 * max(abs(start), abs(stop), 1.0)
    inside = np.flatnonzero((axis >= start - slack) & (axis < stop - slack))
    if not inside.size:
        there = f"[{axis.min():g}, {axis.max():g}]" if axis.size else "empty"
        raise EmptySelectionError(f"no {name} in [{start:g}, {stop:g}): there is {there}")
    return ds.isel({schema.TIME: slice(int(inside[0]), int(inside[-1]) + 1)})


def _interval(asked: object) -> tuple[Any, Any]:
    numbers = int | float | np.number
    if isinstance(asked, Sequence | np.ndarray) and len(asked) == 2:
        start, stop = asked
        if isinstance(start, numbers) and isinstance(stop, numbers) and start < stop:
            return start, stop
    raise ValueError(
        f"an interval is [start, stop), two numbers with start < stop, found {asked!r}"
    )


def _axis(ds: xr.DataArray | xr.Dataset, name: str) -> Any:
    """Frame numbers or seconds along time, from the coordinates: never from data."""
    clock = Clock.of(ds)
    if name == schema.FRAME and clock.has_frames:
        axis = clock.frames
    elif schema.TIME not in ds.indexes:
        raise UnknownNameError(f"cannot select by {name}: 'time' has no coordinate")
    elif clock.kind == DATES:
        axis = None
    else:
        axis = clock.seconds if name == schema.TIME else clock.frames
    if axis is None or not (np.diff(axis) >= 0).all():
        raise SchemaError(
            f"cannot select by {name}: 'time' has to be increasing seconds, found "
            f"{'dates' if axis is None else f'{name!r} not increasing'}; set it with "
            ".assign_coords(time=...), order it with .sortby('time')"
        )
    return axis


def mask(heat: xr.DataArray, threshold: float | str) -> xr.DataArray:
    """Background out: NaN where a pixel is below ``threshold`` °C.

    Parameters
    ----------
    heat
        Heatmap of any shape [°C]. One in kelvin or Fahrenheit, as ``attrs["units"]`` says, is
        converted to °C, with a warning.
    threshold
        Lowest temperature that is kept [°C], compared as float64. ``"recording"``: what the
        recording says in ``attrs["temperature_threshold"]``.

    Returns
    -------
    DataArray
        The heatmap with the same shape and attributes, lazy where it was; float32 and float64
        stay, whole numbers become float64.

    Raises
    ------
    SchemaError
        Not an array of real numbers, or a threshold in kelvin for a heatmap in kelvin.
    ValueError
        The threshold is no number, or the recording has none.

    Warns
    -----
    UserWarning
        A threshold, or a median of pixels in memory, that is no face's temperature.

    Notes
    -----
    Memory per task: the chunk, and one byte per sample. Tasks: one per chunk, fused.
    Computes at call: none.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> fx.mask(xr.DataArray([20.0, 31.0], dims="x"), 25).values
    array([nan, 31.])
    """
    schema.require_real(heat)
    if background.chosen(heat, threshold) is None:
        raise ValueError(f"threshold is a number of °C, found {threshold!r} and none recorded")
    return background.visible(heat, threshold)
