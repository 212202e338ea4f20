"""Labelled samples: what people did in segments of time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.clock import spans as tables
from fhemb_xr.errors import EmptySelectionError, SchemaError
from fhemb_xr.ops.checks import listed, require_interval

Segment = tuple[float, float]

SAMPLE, LABEL = "sample", "label"
PEOPLE = "people"
"""Attribute of samples: the coordinate that says whose each is."""


def prepare(
    x: xr.DataArray,
    segments: Any,
    *,
    dim: str = "subject",
) -> xr.DataArray:
    """Labelled samples: what every person did in each of some segments of time.

    Parameters
    ----------
    x
        Series ``(dim, …, time)``, chunked in any way; ``session`` is stacked with ``dim``, a
        ``feature`` is kept.
    segments
        A class for each name: one ``(start, stop)`` [s] on the clock of ``x``, half-open, or
        several; all of one length. Or spans in any form: a table of :func:`read_spans`, a
        DataFrame, annotations of MNE, rows ``(onset, duration, label)``.
    dim
        The people.

    Returns
    -------
    DataArray
        ``(sample, [feature], time)`` in the units of ``x``, lazy where it is, in the order of
        the people, with ``label``, ``start`` [s] and the people's own coordinates along
        ``sample``; ``time`` [s] runs from the start of the segment.

    Raises
    ------
    EmptySelectionError
        If a segment reaches beyond the series.
    ValueError
        If there are fewer than two classes, or segments of different length.
    SchemaError
        If ``x`` has no ``time`` or no ``dim``, or dimensions that are neither.

    Notes
    -----
    Memory: a chunk. Tasks: two per chunk that the segments touch. Computes at call: none. Who
    misses a frame can only be seen by computing, and is left out by :func:`fhemb_xr.classify`:
    fill short gaps before, ``x.interpolate_na("time")``.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     np.arange(20.0).reshape(2, 10),
    ...     dims=("subject", "time"),
    ...     coords={"subject": [40, 41], "time": np.arange(10) / 2},
    ... )
    >>> samples = fx.prepare(x.chunk(), {"calm": (0, 1), "storm": (3, 4)})
    >>> samples.label.values.tolist(), samples.subject.values.tolist()
    (['calm', 'storm', 'calm', 'storm'], [40, 40, 41, 41])
    """
    schema.require_dims(x, dim, schema.TIME)
    kept = [d for d in (schema.FEATURE, schema.COMPONENT) if d in x.dims]
    people = [d for d in (dim, schema.SESSION) if d in x.dims]
    if rest := set(x.dims) - {*kept, *people, schema.TIME}:
        raise SchemaError(f"cannot tell what {sorted(map(str, rest))} are: choose one of each")
    if not isinstance(segments, Mapping) or isinstance(segments, xr.Dataset):
        segments = tables.segments(segments)
    spans = [(name, *s) for name, given in segments.items() for s in _spans(given)]
    if dim not in x.coords:
        x = x.assign_coords({dim: np.arange(x.sizes[dim])})
    clock = Clock.of(x).require_regular()
    _ = clock.seconds  # of dates it has none
    parts = [_cut(x, clock, a, b).assign_coords({LABEL: name}) for name, a, b in spans]
    lengths = sorted({p.sizes[schema.TIME] for p in parts})
    if len(segments) < 2 or len(lengths) != 1:
        raise ValueError(
            f"need two classes or more, of segments of one length, found {len(segments)} of "
            f"{lengths} frames"
        )
    out = xr.concat(parts, "_part", coords="different", compat="equals", join="exact")
    out = out.sortby(dim).stack({SAMPLE: [*people, "_part"]}, create_index=False)
    out = out.drop_vars("_part", errors="ignore").transpose(SAMPLE, *kept, schema.TIME)
    out = out.assign_coords({SAMPLE: np.arange(out.sizes[SAMPLE])})
    keep = {**{k: v for k, v in x.attrs.items() if k == "units"}, **clock.attrs}
    out.attrs = {"long_name": f"samples of {x.name or 'series'}", **keep, PEOPLE: dim}
    return out.rename("samples")


def _spans(given: Any) -> list[Segment]:
    numbers = given if isinstance(given, Sequence | np.ndarray) and len(given) == 2 else ()
    alone = numbers is given and all(isinstance(v, int | float | np.number) for v in given)
    pairs = [given] if alone else listed(given)
    return [require_interval("a segment", pair) for pair in pairs]


def _cut(x: xr.DataArray, clock: Clock, start: float, stop: float) -> xr.DataArray:
    """The frames of a segment, by number, so that equal segments have equally many."""
    first, rate_hz = clock.start_s, clock.rate_hz
    begin, end = (number_of_seconds("a segment's end", s) - first for s in (start, stop))
    a, b = round(begin * rate_hz), round(end * rate_hz)
    if not 0 <= a < b <= clock.n:
        raise EmptySelectionError(
            f"no segment [{start:g}, {stop:g}) s: the series run from {first:g} to "
            f"{first + clock.n / rate_hz:g} s"
        )
    out = x.isel({schema.TIME: slice(a, b)}).drop_vars(schema.FRAME, errors="ignore")
    return out.assign_coords(
        {schema.TIME: np.arange(b - a) / rate_hz, "start": (first + a / rate_hz)}
    )
