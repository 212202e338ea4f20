"""Making a recording from your own arrays: numpy, dask, xarray, or a dict of people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.io.temperature_units import scale_of

CHUNK_BYTES = 2**23
_DIMS = (schema.SUBJECT, schema.SESSION, schema.TIME, schema.Y, schema.X)
_BY_NDIM = {3: _DIMS[2:], 4: (schema.SUBJECT, *_DIMS[2:]), 5: _DIMS}


def recording(
    data: Any,
    *,
    rate_hz: float | None = None,
    time: Any = None,
    subjects: Sequence[Any] | None = None,
    session: Any = "session",
    threshold: float | None = None,
    units: str = "degC",
    title: str = "",
) -> xr.Dataset:
    """Make a valid, lazy recording of your own arrays.

    Parameters
    ----------
    data
        One of: a numpy or dask array ``(time, y, x)``, ``(subject, time, y, x)`` or
        ``(subject, session, time, y, x)``; an xarray object with these dimensions in any
        order; a dict of subject and array ``(time, y, x)``. From a Dataset, ``heatmap`` is
        taken, or the only variable with these dimensions. People with fewer frames get NaN at
        the end; smaller frames are centred.
    rate_hz
        Frames a second [Hz]; needed if the data have no clock.
    time
        Time of each frame [s, or dates]; None takes the coordinate ``time`` of an xarray
        object.
    subjects
        Labels of the people; None takes those of the dict or the coordinate, otherwise
        0, 1, ...
    session
        Label of the session, or a list of labels if there are several sessions.
    threshold
        Lowest temperature of a face [°C].
    units
        Unit of the numbers: ``degC``, ``K``, ``degF`` or ``cK`` (0.01 K). The attribute
        ``units`` of an xarray object takes precedence over the default.
    title
        Title of the recording.

    Returns
    -------
    Dataset
        Dataset with ``heatmap(subject, session, time, y, x)`` in °C, float32, in chunks of 8
        MiB. A dask array keeps its chunks. :func:`save` stores the Dataset.

    Raises
    ------
    SchemaError
        The data are not a recording; the sentence lists all that is wrong.

    Notes
    -----
    Memory per task: a chunk + its float32 copy. Tasks: three per chunk. Computes at call:
    none. The first frames of a numpy array are checked: are they plausible temperatures?

    Examples
    --------
    >>> import numpy as np, fhemb_xr as fx
    >>> anna, ben = np.full((50, 6, 5), 33.0), np.full((40, 6, 5), 306.15)
    >>> ds = fx.recording({"anna": anna}, rate_hz=25)
    >>> ds.heatmap.dims, ds.sizes["time"]
    (('subject', 'session', 'time', 'y', 'x'), 50)
    >>> round(float(fx.recording({"ben": ben}, rate_hz=25, units="K").heatmap.mean()), 2)
    33.0
    """
    wrong: list[str] = []
    heat = _labelled(data, wrong)
    if heat is None:
        raise _refused(wrong)
    each = [heat]
    if isinstance(data, Mapping) and not isinstance(data, xr.Dataset):
        each = [a for v in data.values() if (a := _labelled(v, [])) is not None]
    heat = _with_labels(heat, subjects, session, wrong)
    heat, hertz = _with_clock(heat, rate_hz, time, wrong)
    _check_sizes(heat, threshold, wrong)
    scale = scale_of(each, units, wrong)
    if wrong:
        raise _refused(wrong)
    attrs = {schema.SAMPLING_RATE: hertz, "title": title, schema.SCHEMA: schema.VERSION}
    attrs |= {} if threshold is None else {schema.THRESHOLD: float(threshold)}
    celsius = _celsius(heat, *scale).transpose(*_DIMS)
    celsius.attrs = {**schema.VARIABLES[schema.HEATMAP].attrs, schema.SAMPLING_RATE: hertz}
    ds = celsius.to_dataset(name=schema.HEATMAP).assign_attrs(attrs)
    clock = ds[schema.TIME]
    about = {"axis": "T"} if clock.dtype.kind == "M" else {"units": "s", "axis": "T"}
    ds = ds.assign_coords({schema.TIME: (schema.TIME, clock.values, about)})
    schema.validate(ds)
    return ds


def _refused(wrong: Sequence[str]) -> SchemaError:
    return SchemaError("no recording can be made of this: " + "; ".join(wrong))


def _labelled(data: Any, wrong: list[str]) -> xr.DataArray | None:
    """``data`` with named dimensions; None if that fails, with the reason in ``wrong``."""
    if isinstance(data, Mapping) and not isinstance(data, xr.Dataset):
        return _of_people(data, wrong)
    if isinstance(data, xr.Dataset):
        names = [str(n) for n, v in data.data_vars.items() if set(_DIMS[2:]) <= set(v.dims)]
        chosen = schema.HEATMAP if schema.HEATMAP in names else names[0] if names else None
        if chosen is None or (len(names) > 1 and chosen != schema.HEATMAP):
            variables = sorted(map(str, data.data_vars))
            wrong.append(
                f"give the variable that holds the frames (time, y, x), found {variables}"
            )
            return None
        return data[chosen]
    if isinstance(data, xr.DataArray):
        return data
    if not (hasattr(data, "ndim") and hasattr(data, "dtype")):
        wrong.append(
            f"need an array, an xarray object or a dict of them, found {type(data).__name__}"
        )
        return None
    if data.ndim not in _BY_NDIM:
        wrong.append(
            f"the array has the shape {tuple(data.shape)}, expected (time, y, x), (subject, "
            "time, y, x) or (subject, session, time, y, x)"
        )
        return None
    return xr.DataArray(data, dims=_BY_NDIM[data.ndim])


def _of_people(people: Mapping[Any, Any], wrong: list[str]) -> xr.DataArray | None:
    """One array of all people: NaN at the end of shorter ones, smaller frames centred."""
    arrays: dict[Any, xr.DataArray] = {}
    for who, data in people.items():
        problems: list[str] = []
        heat = None if isinstance(data, Mapping) else _labelled(data, problems)
        if heat is not None:
            heat = heat.squeeze([d for d in _DIMS[:2] if heat.sizes.get(d) == 1], drop=True)
        if heat is None or set(heat.dims) != set(_DIMS[2:]):
            shape = getattr(data, "shape", type(data).__name__)
            wrong.append(f"subject {who!r} is no array (time, y, x), found {shape}")
        elif heat.dtype.kind not in "fiu":
            wrong.append(f"subject {who!r} holds {heat.dtype}, not numbers")
        else:
            arrays[who] = heat.transpose(*_DIMS[2:])
    if not people:
        wrong.append("the dict is empty")
    if wrong:
        return None
    clocks = [a[schema.TIME].values for a in arrays.values() if schema.TIME in a.coords]
    longest = max(clocks, key=len) if clocks else None
    if longest is not None and (
        len(clocks) < len(arrays) or any((c != longest[: len(c)]).any() for c in clocks)
    ):
        wrong.append(
            "people have different clocks: put them on one with .interp or fx.align, or drop "
            "the coordinate time"
        )
        return None
    sizes = {d: max(a.sizes[d] for a in arrays.values()) for d in _DIMS[2:]}
    padded = [_padded(a, sizes) for a in arrays.values()]
    labels = xr.Variable(schema.SUBJECT, np.array(list(arrays)))
    out: xr.DataArray = xr.concat(padded, labels, coords="minimal", compat="override",
                                  join="override", combine_attrs="override")  # fmt: skip
    return out if longest is None else out.assign_coords({schema.TIME: longest})


def _padded(heat: xr.DataArray, sizes: Mapping[str, int]) -> xr.DataArray:
    bare = _lazy(heat).drop_vars(list(heat.coords))
    missing = {d: n - heat.sizes[d] for d, n in sizes.items()}
    if not any(missing.values()):
        return bare
    if bare.dtype.kind != "f":
        bare = bare.astype(np.float64)
    widths: Any = {d: (m // 2, m - m // 2) for d, m in missing.items() if d != schema.TIME}
    return bare.pad(widths | {schema.TIME: (0, missing[schema.TIME])}, constant_values=np.nan)


def _lazy(x: xr.DataArray) -> xr.DataArray:
    if x.chunks is not None:
        return x
    frame = int(np.prod([x.sizes[d] for d in _DIMS[3:] if d in x.sizes])) * x.dtype.itemsize
    chunks = {d: 1 for d in _DIMS[:2] if d in x.dims}
    return x.chunk({**chunks, schema.TIME: max(1, CHUNK_BYTES // max(frame, 1))})


def _with_labels(
    heat: xr.DataArray, subjects: Sequence[Any] | None, session: Any, wrong: list[str]
) -> xr.DataArray:
    """Subject and session as labelled dimensions."""
    extra = [str(d) for d in heat.dims if d not in _DIMS]
    lacking = [d for d in _DIMS[2:] if d not in heat.dims]
    if extra or lacking:
        wrong.append(
            f"the dimensions are {heat.dims}, expected {_DIMS}: rename them with .rename(...)"
        )
    sessions = [session] if isinstance(session, str) or np.ndim(session) == 0 else list(session)
    for dim, asked in ((schema.SUBJECT, subjects), (schema.SESSION, sessions)):
        if dim not in heat.dims:
            label = heat.coords[dim].values[()] if dim in heat.coords else None
            labels = asked if asked is not None else [0 if label is None else label]
            if dim == schema.SESSION and label is not None and session == "session":
                labels = [label]
            if len(labels) == 1:
                heat = heat.drop_vars(dim, errors="ignore").expand_dims({dim: list(labels)})
                continue
            wrong.append(f"the data have one {dim}, found the labels {list(labels)!r}")
            continue
        has_labels = dim in heat.indexes
        if asked is None or (dim == schema.SESSION and session == "session" and has_labels):
            asked = list(heat.indexes[dim]) if has_labels else range(heat.sizes[dim])
        if len(asked) != heat.sizes[dim]:
            wrong.append(f"there are {heat.sizes[dim]} of {dim!r}, {len(asked)} labels")
            continue
        if len({str(a) for a in asked}) < len(asked):
            wrong.append(f"the labels of {dim!r} repeat: {list(asked)!r}")
        heat = heat.assign_coords({dim: list(asked)})
    return heat


def _with_clock(
    heat: xr.DataArray, rate_hz: float | None, time: Any, wrong: list[str]
) -> tuple[xr.DataArray, float]:
    """``heat`` with its clock as a coordinate, and the rate in Hz."""
    n = heat.sizes.get(schema.TIME, 0)
    if rate_hz is not None and not _is_positive(rate_hz):
        wrong.append(f"rate_hz is a positive number of Hz, found {rate_hz!r}")
        rate_hz = None
    if time is not None:
        moments = np.asarray(time)
        if moments.shape != (n,) or moments.dtype.kind not in "iufM":
            wrong.append(
                f"time has one moment for each of {n} frames, found {moments.dtype} of shape "
                f"{moments.shape}"
            )
            return heat, 1.0
        heat = heat.assign_coords({schema.TIME: moments})
    if schema.TIME not in heat.coords:
        given_hz = rate_hz or heat.attrs.get(schema.SAMPLING_RATE)
        if given_hz is None or not _is_positive(given_hz):
            if rate_hz is None and schema.TIME in heat.dims:
                wrong.append("the sampling rate is unknown: give rate_hz= [Hz] or time= [s]")
            return heat, 1.0
        seconds = np.arange(n) / float(given_hz)
        return heat.assign_coords({schema.TIME: seconds}), float(given_hz)
    heat = heat.assign_attrs({schema.SAMPLING_RATE: rate_hz} if rate_hz else {})
    try:
        clock = Clock.of(heat)
        if clock.regular:
            return heat, float(clock.rate_hz)
    except SchemaError as error:
        wrong.append(str(error))
        return heat, 1.0
    elapsed = clock.elapsed
    if elapsed is not None and not (np.diff(elapsed) > 0).all():
        k = int(np.flatnonzero(~(np.diff(elapsed) > 0))[0])
        wrong.append(f"time does not increase after frame {k}")
    return heat, 1.0 / clock.usual_step_s if clock.usual_step_s > 0 else 1.0


def _is_positive(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(np.isfinite(value) and value > 0)


def _check_sizes(heat: xr.DataArray, threshold: Any, wrong: list[str]) -> None:
    if heat.dtype.kind not in "fiu":
        wrong.append(f"temperatures are real numbers, found {heat.dtype}")
    if empty := [str(d) for d, n in heat.sizes.items() if not n]:
        wrong.append(f"nothing is there along {empty}")
    number = isinstance(threshold, int | float | np.number) and np.isfinite(threshold)
    if threshold is not None and not number:
        wrong.append(f"threshold is a temperature [°C], found {threshold!r}")


def _celsius(heat: xr.DataArray, scale: float, offset: float) -> xr.DataArray:
    lazy = _lazy(heat)
    kept = lazy.drop_vars([n for n in lazy.coords if n not in _DIMS])
    if (scale, offset) == (1.0, 0.0):
        return kept.astype(np.float32)
    return (kept.astype(np.float64) * scale + offset).astype(np.float32)
