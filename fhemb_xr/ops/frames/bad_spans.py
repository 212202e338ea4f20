"""Bad people and bad spans left out, as a reader has marked them."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.clock import spans as tables
from fhemb_xr.errors import EmptySelectionError, SchemaError, warn

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)
_SLACK_S = 1e-3


def drop_bad(x: Labelled, spans: Any) -> Labelled:
    """Leave out what was marked as bad: people, spans of everybody, spans of one person.

    A person who is bad for the whole time is dropped. Every other bad sample becomes NaN, as
    a lost face is, and every analysis treats it as such.

    Parameters
    ----------
    x
        A recording, an embedding, or anything with ``time`` [s].
    spans
        Table of :func:`read_spans`, which the viewer saves, or anything that it gives; a dict
        of label and ``(start, stop)`` [s]. Bad are those called ``BAD``, or whose name begins
        with ``BAD_`` or ``bad_``, as in MNE. They are half-open.

    Returns
    -------
    DataArray or Dataset
        The same kind of object, lazy where it was, with the same labels and attributes. Whole
        numbers along time (``height``, ``width`` of a recording) become 0; variables that are
        no numbers stay.

    Raises
    ------
    SchemaError
        There is no ``time``, these are no numbers, or no spans.
    EmptySelectionError
        Everybody is bad.

    Warns
    -----
    UserWarning
        None of the people whose spans are bad is in the data.

    Notes
    -----
    Memory per task: the chunk, and one byte for each person and moment of it. Tasks: at most
    six per chunk. Computes at call: none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     np.ones((2, 4)),
    ...     dims=("subject", "time"),
    ...     coords={"subject": [40, 41], "time": [0.0, 1, 2, 3]},
    ... )
    >>> fx.drop_bad(x, {"BAD_applause": (1, 3), "aria": (0, 1)}).values[0]
    array([ 1., nan, nan,  1.])
    """
    if isinstance(x, xr.DataArray):
        schema.require_real(x)
    if schema.TIME not in x.dims:
        raise SchemaError(
            f"spans are cut out along 'time', found the dimensions {tuple(x.dims)}"
        )
    bad = [s for s in tables.rows(spans) if tables.is_bad(s[tables.LABEL])]
    if not bad:
        return x
    seconds = Clock.of(x).seconds
    labels = x[schema.SUBJECT].values.reshape(-1) if schema.SUBJECT in x.coords else np.zeros(0)
    people: list[Any] = labels.tolist()
    named = {s[tables.SUBJECT] for s in bad if tables.SUBJECT in s}
    if named and not named & {*people}:
        warn(
            f"spans of {sorted(map(str, named))[:3]} are bad and none of them is in the data, "
            f"which are of {people[:3]}: nothing of theirs was left out"
        )
    out = x
    if schema.SUBJECT in x.dims:
        whole = [p for p in people if _covers(bad, p, seconds)]
        if len(whole) == len(people):
            raise EmptySelectionError(f"all {len(people)} people are marked as bad")
        out = x.isel({schema.SUBJECT: [k for k, p in enumerate(people) if p not in whole]})
        people = [p for p in people if p not in whole]
    good = _good(out, bad, people, seconds)
    if isinstance(out, xr.DataArray):
        return _kept(out, good)
    timed = {n: v for n, v in out.data_vars.items() if schema.TIME in v.dims}
    return out.assign({n: _kept(v, good) for n, v in timed.items() if v.dtype.kind in "biuf"})


def _kept(x: xr.DataArray, good: xr.DataArray) -> xr.DataArray:
    chunks = {d: c for d, c in x.chunksizes.items() if d in good.dims}
    held = good.chunk(chunks) if chunks else good.compute()
    if schema.SUBJECT in good.dims and schema.SUBJECT not in x.dims:
        held = held.all(schema.SUBJECT)
    other = 0 if x.dtype.kind in "iub" else np.nan
    return x.where(held, other).transpose(*x.dims).assign_attrs(x.attrs)


def _good(x: Any, bad: Sequence[dict[str, Any]], people: Sequence[Any], seconds: Any) -> Any:
    """Whether each sample is kept, ``([subject], time)``; of many people lazily."""
    everybody = [s for s in bad if tables.SUBJECT not in s]
    ends = np.array([_ends(s) for s in everybody], dtype=np.float64).reshape(-1, 2)
    hit = np.zeros(seconds.size, dtype=bool)
    for start, stop in ends:
        hit |= (seconds >= start) & (seconds < stop)
    good = xr.DataArray(~hit, dims=schema.TIME)
    own = [[_ends(s) for s in bad if s.get(tables.SUBJECT) == p] for p in people]
    most = max((len(spans) for spans in own), default=0)
    if not most:
        return good
    table = np.full((len(people), most, 2), np.nan)
    for k, spans in enumerate(own):
        table[k, : len(spans)] = np.array(spans).reshape(-1, 2)
    dims = (schema.SUBJECT, "_span") if schema.SUBJECT in x.dims else ("_one", "_span")
    moments = xr.DataArray(seconds, dims=schema.TIME)
    low, high = (xr.DataArray(table[..., k], dims=dims) for k in (0, 1))
    chunks = x.chunksizes
    if chunks:
        moments = moments.chunk({schema.TIME: chunks.get(schema.TIME, -1)})
        who = {schema.SUBJECT: chunks[schema.SUBJECT]} if schema.SUBJECT in chunks else {}
        low, high, good = low.chunk(who), high.chunk(who), good.chunk(moments.chunksizes)
    personal = ((moments >= low) & (moments < high)).any("_span")
    personal = personal.any("_one") if "_one" in personal.dims else personal
    return good & ~personal


def _covers(bad: Sequence[dict[str, Any]], person: Any, seconds: Any) -> bool:
    """Whether one span of a person holds every sample."""
    ends = [_ends(s) for s in bad if s.get(tables.SUBJECT) == person]
    return any(a <= seconds[0] + _SLACK_S and b > seconds[-1] - _SLACK_S for a, b in ends)


def _ends(span: dict[str, Any]) -> tuple[float, float]:
    start = float(span[tables.ONSET])
    return start, start + float(span[tables.DURATION])
