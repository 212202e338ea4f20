"""What a stream holds: is it as its policy says, and does it change from frame to frame?"""

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import UnknownNameError
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.ops.frames.statistics import moments
from fhemb_xr.ops.streams.splits import Streams, of_part, pooled

RANGES = {"minmax": (0.0, 1.0), "standard": (-5.0, 5.0)}
"""Where the values of a policy lie: all of them, and all but outliers."""


def inspect(
    streams: Streams | xr.DataArray, stream: str | None = None, *, part: str | None = None
) -> xr.Dataset:
    """Statistics of one stream, against the policy that it has.

    A mean of 0 and a deviation of 1 over everything tell little: the last layer of any network,
    trained or not, has them. So they are given for each dimension.

    Parameters
    ----------
    streams
        Streams of :func:`open_streams`, or one stream.
    stream
        Name of the variable; the only one by default.
    part
        Label of ``split``; None: every recording.

    Returns
    -------
    Dataset
        Dataset, lazy where the streams are. For each quantity ``mean``, ``std`` (ddof 0),
        ``min``, ``max``, ``missing`` (share of NaN), ``outside`` (share beyond the range of the
        policy: 0 to 1 for ``minmax``, ±5 for ``standard``, NaN for ``none``); and ``likeness``,
        the mean cosine of neighbouring frames, with ``likeness_min``: 1 where nothing moves.
        ``attrs`` has the policy and its dimensions.

    Raises
    ------
    UnknownNameError
        No such stream, or no name where there are several.

    Notes
    -----
    Memory: 40 bytes per sample of a chunk for each running task. Tasks: under 40 per chunk.
    Computes at call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> seen = fx.inspect(fx.testing.streams(n_frames=200), "vit")
    >>> seen["mean"].sizes["embedding"], float(seen.missing.max())
    (16, 0.0)
    """
    if isinstance(streams, xr.DataArray):
        streams = streams.to_dataset(name=str(streams.name or "stream"))
    each = of_part(streams, part)
    names = [str(n) for n, v in each[0].data_vars.items() if schema.FRAME in v.dims]
    if stream is None and len(names) != 1:
        raise UnknownNameError(f"which stream to inspect? There are {names}")
    name = names[0] if stream is None else stream
    if name not in names:
        raise unknown_name("stream", name, names)
    x = pooled(each, name)
    found = moments(x, schema.FRAME)
    policy = str(x.attrs.get(schema.POLICY, "none"))
    low, high = RANGES.get(policy, (np.nan, np.nan))
    outside = (
        ((x < low) | (x > high)).mean(schema.FRAME)
        if policy in RANGES
        else found["mean"] * np.nan
    )
    like = xr.concat([_likeness(ds[name]) for ds in each if name in ds], schema.FRAME)
    out = xr.Dataset(
        {
            "mean": found["mean"],
            "std": found["variance"] ** 0.5,
            "min": x.min(schema.FRAME),
            "max": x.max(schema.FRAME),
            "missing": x.isnull().mean(schema.FRAME),
            "outside": outside,
            "likeness": like.mean(),
            "likeness_min": like.min() if like.sizes[schema.FRAME] else like.mean(),
        }
    )
    kept = {k: x.attrs[k] for k in (schema.POLICY, schema.POLICY_DIMS) if k in x.attrs}
    return out.drop_attrs().assign_attrs({"stream": name, schema.POLICY: policy, **kept})


def _likeness(x: xr.DataArray) -> xr.DataArray:
    """Cosine of each frame and the next, all quantities together."""
    own = [d for d in x.dims if d != schema.FRAME]
    bare = x.drop_vars([c for c in x.coords if c not in own], errors="ignore").astype(
        np.float64
    )
    a, b = bare.isel(frame=slice(None, -1)), bare.isel(frame=slice(1, None))
    both = (a * b).sum(own, skipna=False)
    norm: xr.DataArray = (bare * bare).sum(own, skipna=False) ** 0.5
    size = norm.isel(frame=slice(None, -1)) * norm.isel(frame=slice(1, None))
    out: xr.DataArray = both / size.where(size > 0)
    return out
