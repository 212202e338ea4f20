"""Labelled samples: what people did in segments of time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.clock import spans as tables
from fhemb_xr.errors import EmptySelectionError, SchemaError
from fhemb_xr.ops.checks import listed, require_interval, require_positive

Segment = tuple[float, float]

SAMPLE, LABEL = "sample", "label"
PEOPLE = "people"
"""Attribute of samples: the coordinate that says whose each is."""


def prepare(
    x: xr.DataArray,
    segments: Any,
    *,
    dim: str = "subject",
    window_s: float | None = None,
) -> xr.DataArray:
    """Labelled samples: what every person did in each of some segments of time.

    Parameters
    ----------
    x
        Series ``(dim, …, time)``, chunked in any way; ``session`` is stacked with ``dim``, a
        ``feature`` is kept.
    segments
        A class for each name: one ``(start, stop)`` [s] on the clock of ``x``, half-open, or
        several; all of one length, or cut by ``window_s``. Or spans in any form: a table of
        :func:`read_spans`, a DataFrame, annotations of MNE, rows ``(onset, duration, label)``.
    dim
        The people.
    window_s
        Cut every segment into windows of this length [s], from its start; what is left at its
        end is left out. So marks of any length can be used. Windows of one segment share its
        ``start``, and :func:`fhemb_xr.classify` never trains on one and tests on another. A
        person's first windows of all segments come first.

    Returns
    -------
    DataArray
        ``(sample, [feature], time)`` in the units of ``x``, lazy where it is, in the order of
        the people, with ``label``, ``start`` [s] and the people's own coordinates along
        ``sample``; ``time`` [s] runs from the start of the segment. With ``window_s`` there
        is ``offset`` [s], from the start of the segment to its window, where ``time`` begins.

    Raises
    ------
    EmptySelectionError
        If a segment reaches beyond the series.
    ValueError
        If there are fewer than two classes, segments of different length without
        ``window_s``, or a segment that is shorter than a window.
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
    if window_s is not None:
        parts = _windows(parts, require_positive("window_s", window_s), clock.rate_hz)
    lengths = sorted({p.sizes[schema.TIME] for p in parts})
    if len(segments) < 2 or len(lengths) != 1:
        many = "; window_s=… cuts them into windows of one length" if len(lengths) > 1 else ""
        raise ValueError(
            f"need two classes or more, of segments of one length, found {len(segments)} of "
            f"{lengths} frames{many}"
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


def _windows(parts: list[xr.DataArray], window_s: float, rate_hz: float) -> list[xr.DataArray]:
    """Every segment cut into windows of as many frames, from its start."""
    n = max(1, round(window_s * rate_hz))
    shortest = min(parts, key=lambda p: p.sizes[schema.TIME])
    if (fewest := shortest.sizes[schema.TIME]) < n:
        raise ValueError(
            f"a window of {window_s:g} s is longer than the segment {shortest[LABEL].item()!r} "
            f"of {fewest / rate_hz:g} s at {shortest['start'].item():g} s: choose "
            f"window_s={fewest / rate_hz:g} or less, or leave that segment out"
        )
    out = []
    # the first window of all comes first: classify keeps as many of each class, from the front
    for k in range(max(p.sizes[schema.TIME] for p in parts) // n):
        for part in (p for p in parts if p.sizes[schema.TIME] >= (k + 1) * n):
            window = part.isel({schema.TIME: slice(k * n, (k + 1) * n)})
            place = {schema.TIME: np.arange(n) / rate_hz, "offset": k * n / rate_hz}
            out.append(window.assign_coords(place))
    return out
