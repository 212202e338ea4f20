"""Copies of a recording in which nobody moves with anybody but by chance."""

from collections.abc import Hashable

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.inference import surrogates as nulls
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import among, check_number

REPLICATE = "replicate"
_TARGET = 2**26
_LEVEL = 8  # the original's deepest wavelet level


def surrogates(
    x: xr.DataArray,
    n: int,
    *,
    method: str = "circular",
    block_s: float | None = None,
    level: int | None = None,
    seed: int,
    dim: Hashable | None = "subject",
) -> xr.DataArray:
    """Random copies of series that keep each one's own course, and lose what they share.

    Every member of ``dim`` is drawn by itself; what else ``x`` has, features or sessions, is
    drawn alike, so that a person's features still belong together.

    Parameters
    ----------
    x
        Series along ``time``, chunked in any way.
    n
        How many copies.
    method
        ``"circular"``: shifted in a circle by 1 sample or more. ``"block"``: blocks of
        ``block_s`` from anywhere, laid end to end. ``"phase"``: the same spectrum, at other
        phases; gaps count as the mean, and stay where they are.
    block_s
        Length of the blocks [s].
    level
        Instead: so long that what lives in the bands of this many wavelet levels is kept,
        2 to the power of ``level`` samples. By default the original's eight.
    seed
        Of the draws, from 0 on. A copy depends on it, on its own number and on the position of
        the member in ``dim`` alone: the same on any cluster and in any chunks.
    dim
        Whose members are drawn apart; ``None`` draws all alike (the block bootstrap of a whole
        audience).

    Returns
    -------
    ``(replicate, …)`` with the dimensions, coordinates and dtype of ``x``, lazy where it is.

    Raises
    ------
    UnknownNameError
        No such method (a ``KeyError``).
    SchemaError
        If ``x`` has no ``time``, or no ``dim``.
    ValueError
        If ``n``, ``block_s`` or ``seed`` is out of range, or ``block_s`` is not of the method.

    Notes
    -----
    Memory: one task holds blocks of ``x`` over the whole of ``time`` and as many copies as fit
    in 64 MiB, one at least; phases take 40 bytes per sample beyond. Tasks: one per block of
    copies, and three per chunk of ``x`` to gather it. Computes at call: none.

    References
    ----------
    Künsch (1989), Ann. Stat. 17, 1217-1241, doi:10.1214/aos/1176347265.
    Prichard & Theiler (1994), Phys. Rev. Lett. 73, 951-954, doi:10.1103/PhysRevLett.73.951.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.arange(8.0).reshape(2, 4), dims=("subject", "time"))
    >>> copies = fx.surrogates(x.chunk(), 3, method="circular", seed=0)
    >>> dict(copies.sizes), np.sort(copies.values[2, 1]).tolist()
    ({'replicate': 3, 'subject': 2, 'time': 4}, [4.0, 5.0, 6.0, 7.0])
    """
    among("surrogate", method, tuple(nulls.KINDS))
    schema.require_dims(x, schema.TIME, *([] if dim is None else [dim]))
    clock = Clock.of(x).require_regular()
    check_number("n", n, 1)
    check_number("seed", seed, 0)
    block = _block(clock, method, block_s, level)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    numbers, who = _numbers(x, n, dim)
    out: xr.DataArray = xr.apply_ufunc(
        nulls.drawn,
        numbers,
        who,
        _whole_time(x),
        input_core_dims=[[], [], [schema.TIME]],
        output_core_dims=[[schema.TIME]],
        kwargs={"kind": method, "block": block, "seed": int(seed)},
        dask="parallelized",
        output_dtypes=[x.dtype],
        keep_attrs=False,
    )
    out = out.transpose(REPLICATE, *x.dims).assign_coords(x.coords)
    out.attrs = {**x.attrs, "surrogate": method, "seed": int(seed)}
    return out.rename(x.name)


def _block(clock: Clock, method: str, block_s: float | None, level: int | None) -> int:
    """Samples of a block."""
    for name, value in (("block_s", block_s), ("level", level)):
        if value is not None and method != "block":
            raise ValueError(f"{name} is of method 'block', found {value!r} for {method!r}")
    if block_s is None:
        level = _LEVEL if level is None else level
        check_number("level", level, 1)
        return int(2 ** min(level, 40))
    if level is not None:
        raise ValueError("asked for block_s and for level: give one of the two")
    return clock.samples("block_s", block_s, least=1)


def _numbers(
    x: xr.DataArray, n: int, dim: Hashable | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Of the replicates and of the members, in the blocks that ``x`` comes in."""
    numbers = xr.DataArray(np.arange(n), dims=REPLICATE)
    who = xr.DataArray(
        0 if dim is None else np.arange(x.sizes[dim]), dims=[] if dim is None else [dim]
    )
    if not x.chunks:
        return numbers, who
    chunks = {d: c for d, c in x.variable.chunksizes.items() if d != schema.TIME}
    samples = x.sizes[schema.TIME] * int(np.prod([max(c, default=1) for c in chunks.values()]))
    n_bytes = samples * max(x.dtype.itemsize, 1)
    budget.check(3 * n_bytes, "a block of whole series", "make smaller chunks of the series")
    numbers = numbers.chunk({REPLICATE: max(1, _TARGET // max(n_bytes, 1))})
    return numbers, who if dim is None else who.chunk({dim: chunks[dim]})


def _whole_time(x: xr.DataArray) -> xr.DataArray:
    return rechunked(x, {schema.TIME: -1})
