"""Each kind of feature on its own scale; what was done is an attribute of the stream."""

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import UnknownNameError, warn
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.checks import require_choice, unknown_name
from fhemb_xr.ops.frames.statistics import moments
from fhemb_xr.ops.streams.splits import AnyStreams, Streams, of_part, pooled, recordings
from fhemb_xr.ops.units import require_range

POLICIES = ("none", "minmax", "standard")
POOLED, RECORDING, FRAME = "pooled", "recording", "frame"
FIXED = "minmax"
"""Policy of a stream that a fixed range was given for."""
OFFSET, SCALE = "{}_offset", "{}_scale"
Range = tuple[float, float]
Policies = Mapping[str, str | Sequence[float]]
Dims = Mapping[str, Sequence[str]]
Plan = Mapping[str, tuple[str | Range, tuple[str, ...]]]
"""Policy of each stream, and the dimensions that its statistics run over."""


def normalise(
    streams: AnyStreams,
    policies: Policies | None = None,
    *,
    dims: Dims | None = None,
    part: str | None = "train",
    per: str = "pooled",
    statistics: xr.Dataset | None = None,
) -> AnyStreams:
    """Streams by the policy of each: as they are, from 0 to 1, or mean 0 and deviation 1.

    Offsets and scales come from the training part only, and stay beside the streams as
    ``<stream>_offset`` and ``<stream>_scale``: what is saved says how to treat new data.

    Parameters
    ----------
    streams
        Streams of :func:`open_streams`.
    policies
        Policy by stream: ``"none"``, ``"minmax"``, ``"standard"``, or a fixed range
        ``(low, high)`` that becomes 0 to 1 and needs no statistics, e.g. ``(0, 5)`` for action
        units. By default that of :data:`fhemb_xr.schema.STREAMS`: ``minmax`` for OpenFace's,
        ``none`` for ``vit``; what is normalised already, and what is not known, stays as it is.
    dims
        Dimensions that the statistics of a stream run over; by default ``("frame",)``, each
        quantity by itself. ``("frame", "landmark")`` keeps the shape of a face. With
        ``per="frame"``: by default the first dimension after ``frame``, e.g. ``("landmark",)``,
        which takes place and size of the face from each frame.
    part
        Label of ``split`` that the statistics are of; without such a coordinate, or with None,
        of everything.
    per
        ``"pooled"``: one scale for all recordings. ``"recording"``: each by its own, whatever
        its part, which needs no others and hides how they differ. ``"frame"``: each frame by
        its own quantities, which takes out whatever they share at a moment.
    statistics
        Streams that were normalised before, or their offsets and scales: used instead.

    Returns
    -------
    AnyStreams
        The same with float32 streams, lazy where they were, and their offsets and scales (but
        those of single frames). A stream of policy ``none`` is left untouched, bit for bit.
        Values of other parts may lie outside 0 and 1. A quantity that never changes becomes 0;
        NaN stay NaN. ``attrs["normalization"]`` and ``["normalization_dims"]`` say what was
        done, ``["normalization_part"]`` from what: the part, ``"all"``, ``"own"``, ``"given"``
        or ``"range"``.

    Raises
    ------
    UnknownNameError
        No such stream, policy, dimension or part.
    ValueError
        A stream that is to be normalised is so already, or a range that is none.

    Warns
    -----
    UserWarning
        If each frame of a stream is normalised over quantities of several units.

    Notes
    -----
    Memory: 20 bytes per sample of a chunk for each running task. Tasks: under 20 per chunk. The
    data are read twice, and not held between: reading waits for the statistics. Computes at
    call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.normalise(fx.testing.streams(n_frames=100))
    >>> ds.aus.attrs["normalization"], ds.vit.attrs["normalization"]
    ('minmax', 'none')
    >>> float(ds.aus.min()), float(ds.aus.max())
    (0.0, 1.0)
    """
    per = require_choice("range of statistics", per, (POOLED, RECORDING, FRAME))
    if statistics is not None and per != POOLED:
        raise ValueError(f"statistics are given, and asked for per={per!r}: leave one out")
    first = next(iter(of_part(streams, None)))
    plan = {
        name: (policy, _over(first[name], (dims or {}).get(name), policy, per))
        for name, policy in _chosen(first, policies, statistics).items()
    }
    fixed = _fixed(plan)
    given = statistics
    if given is None and per == POOLED:
        given = _fitted(of_part(streams, part), plan)
    source = "own" if given is None else _source(streams, part, statistics)
    if fixed:
        given = fixed if given is None else given.assign(fixed.data_vars)
    if isinstance(streams, xr.Dataset):
        return _applied(streams, plan, given, source)
    nodes = {n.path: n.to_dataset(inherit=False) for n in streams.subtree}
    kept = {} if given is None else {n: given[n] for p in plan for n in _names(p) if n in given}
    for path, ds in nodes.items():
        if schema.FRAME in ds.dims:
            done = _applied(ds, plan, given, source)
            nodes[path] = done.drop_vars(kept, errors="ignore")
    nodes["/"] = nodes["/"].assign(kept)
    return xr.DataTree.from_dict(nodes)


def _names(stream: str) -> tuple[str, str]:
    return OFFSET.format(stream), SCALE.format(stream)


def _chosen(
    ds: xr.Dataset, policies: Policies | None, statistics: xr.Dataset | None
) -> dict[str, str | Range]:
    """Policies of the streams that are to change."""
    names = [str(n) for n, v in ds.data_vars.items() if schema.FRAME in v.dims]
    for name, policy in (policies or {}).items():
        if name not in names:
            raise unknown_name("stream", name, names)
        if not isinstance(policy, str):
            require_range(policy)
        elif policy not in POLICIES:
            raise UnknownNameError(
                f"no policy {policy!r}: there are {POLICIES}, and a range (low, high)"
            )
        before = ds[name].attrs.get(schema.POLICY, "none")
        if policy != "none" and before != "none":
            raise ValueError(
                f"{name!r} is normalised already ({before}): start from what it was"
            )
    chosen: dict[str, str | Range] = {}
    for name in names:
        known: Any = schema.STREAMS[name].policy if name in schema.STREAMS else "none"
        before = ds[name].attrs.get(schema.POLICY, "none")
        if statistics is not None:
            known = _policy_of(statistics, name)
        policy = (policies or {}).get(name, known if before == "none" else "none")
        if not isinstance(policy, str):
            chosen[name] = require_range(policy)
        elif policy != "none":
            chosen[name] = policy
    return chosen


def _policy_of(statistics: xr.Dataset, name: str) -> str:
    offset, scale = _names(name)
    if offset not in statistics or scale not in statistics:
        return "none"
    return str(statistics[offset].attrs.get(schema.POLICY, "minmax"))


def _over(
    x: xr.DataArray, asked: Sequence[str] | None, policy: str | Range, per: str
) -> tuple[str, ...]:
    """Dimensions that the statistics of a stream run over.

    Raises
    ------
    UnknownNameError
        If they are not its own, or do not fit ``per``.
    """
    inner = [str(d) for d in x.dims if d not in (*schema.WHO, schema.FRAME)]
    if not isinstance(policy, str):
        return (schema.FRAME, *inner)
    usual = (schema.FRAME,) if per != FRAME else tuple(inner[:1])
    over = usual if asked is None else tuple([asked] if isinstance(asked, str) else asked)
    wrong = [d for d in over if d not in x.dims]
    if per == FRAME and not wrong and "," in str(x.attrs.get("units", "")):
        warn(
            f"each frame of {x.name!r} is scaled over quantities in {x.attrs['units']!r}, "
            f"which have no common scale: choose others with policies={{{x.name!r}: 'none'}}"
        )
    if per == FRAME and (wrong or not over or schema.FRAME in over):
        raise UnknownNameError(
            f"statistics of each frame of {x.name!r} run over some of {inner}, found {over}"
        )
    if per != FRAME and (wrong or schema.FRAME not in over):
        raise UnknownNameError(
            f"statistics of {x.name!r} run over 'frame' and others of {x.dims}, found "
            f"{over}: those of each frame are asked for with per='frame'"
        )
    return over


def _fixed(plan: Plan) -> xr.Dataset:
    """Offsets and scales of the streams that a range was given for."""
    out: dict[str, xr.DataArray] = {}
    for name, (policy, over) in plan.items():
        if isinstance(policy, str):
            continue
        low, high = policy
        attrs = {schema.POLICY: FIXED, schema.POLICY_DIMS: list(over)}
        for key, value in zip(_names(name), (low, high - low), strict=True):
            out[key] = xr.DataArray(value, attrs={**attrs, f"{schema.POLICY}_part": "range"})
    return xr.Dataset(out)


def _source(streams: Streams, part: str | None, statistics: xr.Dataset | None) -> str:
    if statistics is not None:
        return "given"
    split = any(schema.SPLIT in ds.coords for _, ds in recordings(streams))
    return part if part is not None and split else "all"


def _fitted(each: list[xr.Dataset], plan: Plan) -> xr.Dataset:
    """Offsets and scales of all recordings together."""
    out: dict[str, xr.DataArray] = {}
    for name, (policy, over) in plan.items():
        if not isinstance(policy, str):
            continue
        out |= dict(zip(_names(name), _scale(pooled(each, name), policy, over), strict=True))
    return xr.Dataset(out)


def _scale(
    x: xr.DataArray, policy: str, over: tuple[str, ...]
) -> tuple[xr.DataArray, xr.DataArray]:
    attrs = {schema.POLICY: policy, schema.POLICY_DIMS: list(over)}
    if policy == "minmax":
        low = x.min(over, keep_attrs=False).astype(np.float64)
        return low.assign_attrs(attrs), (x.max(over, keep_attrs=False) - low).assign_attrs(
            attrs
        )
    found = moments(x, over)
    mean, deviation = found["mean"], found["variance"] ** 0.5
    return mean.drop_attrs().assign_attrs(attrs), deviation.drop_attrs().assign_attrs(attrs)


def _applied(
    ds: xr.Dataset,
    plan: Plan,
    given: xr.Dataset | None,
    source: str,
) -> xr.Dataset:
    out = ds
    for name, (policy, over) in plan.items():
        if name not in ds:
            continue
        x = ds[name]
        if given is not None and _names(name)[0] in given:
            offset, scale = (given[n] for n in _names(name))
        else:
            assert isinstance(policy, str)  # of a range, the offset is given
            offset, scale = _scale(x, policy, over)
        over = tuple(offset.attrs.get(schema.POLICY_DIMS, over))
        done = _scaled(x, offset, scale)
        about = {
            schema.POLICY: policy if isinstance(policy, str) else FIXED,
            schema.POLICY_DIMS: list(over),
            f"{schema.POLICY}_part": offset.attrs.get(f"{schema.POLICY}_part", source),
            "long_name": x.attrs.get("long_name", name),
            "units": "1",
        }
        out = out.assign({name: done.assign_attrs(about)})
        if schema.FRAME not in offset.dims:  # those of single frames say nothing of new data
            out = out.assign(dict(zip(_names(name), (offset, scale), strict=True)))
    return out


def _scaled(x: xr.DataArray, offset: xr.DataArray, scale: xr.DataArray) -> xr.DataArray:
    if x.chunks and isinstance(scale.data, da.Array) and schema.FRAME not in scale.dims:
        # else the chunks that the statistics are of would wait in memory for them
        x = x.copy(data=again(x.data, scale.data))
    out = apply_kernel(_kernel, x, offset, scale, dtype=np.float32)
    return out.transpose(*x.dims).rename(x.name)


def _kernel(x: Any, offset: Any, scale: Any) -> Any:
    """``(x - offset) / scale`` in float64, 0 where nothing changes: ``(...) -> (...)``."""
    away = np.subtract(x, offset, dtype=np.float64)
    flat = scale == 0
    return np.where(flat, away * 0, away / np.where(flat, 1, scale)).astype(np.float32)
