"""Statistics of a heatmap along any of its dimensions."""

from collections.abc import Hashable, Iterable
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.frames import moments as kernel
from fhemb_xr.ops import background
from fhemb_xr.ops.blockwise import reductions
from fhemb_xr.ops.blockwise.apply import apply_kernel

_UNITS = {"mean": "{}", "variance": "({})^2", "skewness": "1", "kurtosis": "1"}


def moments(
    heat: xr.DataArray,
    dim: Hashable | Iterable[Hashable] = "time",
    *,
    threshold: float | str | None = "recording",
) -> xr.Dataset:
    """Mean, variance, skewness and excess kurtosis along one or more dimensions.

    One pass; ``dim`` may be chunked in any way and is not rechunked. Non-finite samples
    (the masked background) are left out, pixel by pixel.

    Parameters
    ----------
    heat
        Heatmap of any shape and real dtype, e.g. ``(subject, session, time, y, x)``.
    dim
        The dimension to reduce, or several: ``"time"``, ``("y", "x")``.
    threshold
        Pixels below it are left out [°C], see :func:`mask`. ``"recording"``: what the recording
        says, if it does: ``ds.fhemb.moments()`` leaves the background out, as ``embed`` does.
        ``None``: no pixel is left out.

    Returns
    -------
    Dataset
        Dataset with ``mean``, ``variance``, ``skewness`` and ``kurtosis``, each with the
        dimensions of ``heat`` without ``dim``, float64, lazy where ``heat`` is. Units: those of
        ``heat``, their square, 1 and 1. All moments are biased (``ddof=0``), the kurtosis is
        Fisher's (0 for a normal distribution). No finite sample: NaN; a constant one: NaN
        skewness and kurtosis, as :func:`scipy.stats.skew`.

    Raises
    ------
    SchemaError
        Not an array of real numbers.
    ValueError
        If ``dim`` is not a dimension of ``heat``.

    Notes
    -----
    Memory: a float32 chunk of 2**18 samples or more, and 40 bytes per result; others 17 bytes
    per sample of a chunk, for each running task. Graph: under two tasks per chunk beside its
    reading. Computes at call: none.

    References
    ----------
    - Pébay, Terriberry, Kolla & Bennett (2016), Comput. Stat. 31, 1305-1325,
      doi:10.1007/s00180-015-0637-z.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> heat = xr.DataArray([0.0, 1.0, 5.0, np.nan], dims="time", attrs={"units": "K"})
    >>> out = fx.moments(heat.chunk(time=2))
    >>> out["mean"].values.item(), out["variance"].attrs["units"]
    (2.0, '(K)^2')
    """
    dims = (dim,) if isinstance(dim, str) or not isinstance(dim, Iterable) else tuple(dim)
    schema.require_real(heat)
    if not dims or any(d not in heat.dims for d in dims):
        raise ValueError(f"cannot take moments along {dim!r}: the dimensions are {heat.dims}")
    heat = background.visible(heat, threshold)
    stacked = _stacked(heat, dims)
    out = xr.Dataset({m: stacked.isel(moment=i) for i, m in enumerate(kernel.MOMENTS)})
    for name, var in out.items():
        var.attrs["long_name"] = f"{name} along {', '.join(map(str, dims))}"
        if "units" in heat.attrs:
            var.attrs["units"] = _UNITS[str(name)].format(heat.attrs["units"])
    if schema.TIME in out.dims:
        out.attrs |= Clock.of(heat).attrs
    return out


def _stacked(heat: xr.DataArray, dims: tuple[Hashable, ...]) -> xr.DataArray:
    """The moments along ``dims``, with a last dimension ``moment``."""
    x, n = heat.data, len(dims)
    if not isinstance(x, da.Array):
        return apply_kernel(_moments, heat, core=[dims], new=["moment"], n_core=n)
    axes = tuple(int(heat.get_axis_num(d)) for d in dims)
    # the axes change places inside of the tasks: outside it would be a task a chunk
    whole = reductions.reduce_blocks(
        x,
        _state,
        _merge,
        _finish,
        n_core=n,
        width=(5,),
        core=axes,
        n_flat=n,
        split_every=32,
    )
    coords = {k: c for k, c in heat.coords.items() if not {*c.dims} & {*dims}}
    rest = [d for d in heat.dims if d not in dims]
    return xr.DataArray(whole, dims=[*rest, "moment"], coords=coords)


def _moments(x: Any, n_core: int) -> Any:
    return kernel.finish(_state(x, n_core))


def _state(x: Any, n_flat: int) -> Any:
    return kernel.state(x.reshape(*x.shape[: x.ndim - n_flat], -1))


def _merge(states: Any) -> Any:
    return kernel.merge(states.reshape(*states.shape[:-2], -1))


def _finish(states: Any) -> Any:
    # one slot more than there are moments: a block keeps the width that dask expects
    found = kernel.finish(states)
    return np.concatenate([found, np.zeros_like(found[..., :1])], axis=-1)
