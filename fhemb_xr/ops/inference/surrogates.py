"""Copies of a recording in which nobody moves with anybody but by chance."""

from collections.abc import Hashable

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.inference import surrogates as nulls
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_count
from fhemb_xr.ops.inference.nulls import margin_of, middle, require_null

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
    margin_s: float | None = None,
    seed: int,
    dim: Hashable | None = "subject",
) -> xr.DataArray:
    """Random copies of series that keep each one's own course, and lose what they share.

    Every member of ``dim`` is drawn apart from the others. All else of a member, features or
    sessions, is drawn alike, so that a person's features still belong together.

    Parameters
    ----------
    x
        Series along ``time``, chunked in any way.
    n
        Number of copies.
    method
        Kind of the copies, see Notes: ``"circular"``, ``"linear"``, ``"phase"``, ``"iaaft"``
        or ``"block"``.
    block_s
        Length of the blocks of ``"block"`` [s].
    level
        Alternative to ``block_s``: blocks of ``2**level`` samples, long enough to keep the
        bands down to this wavelet level. By default 8, the deepest level of the original.
    margin_s
        Time by which ``"linear"`` slides to either side [s]; by default an eighth of the
        series.
    seed
        Seed of the draws, from 0 on. A copy depends on the seed, on its own number and on the
        position of the member in ``dim``: it is the same on any cluster and in any chunks.
    dim
        Dimension whose members are drawn apart; ``None`` draws all alike (the block bootstrap
        of a whole audience).

    Returns
    -------
    DataArray
        ``(replicate, …)`` with the dimensions, coordinates and dtype of ``x``, lazy where it
        is. ``"linear"`` has only the middle of ``time``, without the two margins.

    Raises
    ------
    UnknownNameError
        No such method (a ``KeyError``).
    SchemaError
        If ``x`` has no ``time``, or no ``dim``.
    ValueError
        If a number is out of range, or an option is of another method.

    Notes
    -----
    ============  ==============================  =============================================
    method        copies                          as a null, holds for
    ============  ==============================  =============================================
    ``circular``  rolled by 1 sample or more      stationary series only
    ``linear``    middle, slid inside the series  stationary series, and people who drift
    ``phase``     same spectrum, other phases     stationary Gaussian series only
    ``iaaft``     same values, same spectrum      stationary series of any distribution only
    ``block``     blocks laid end to end          nothing: blocks are for intervals
    ============  ==============================  =============================================

    No copy of one person alone can tell what a shared stimulus does; strangers can:
    ``null="swap"`` of :func:`isc` and :func:`synchrony`. The measurements are in
    ``docs/nulls.md``.

    Memory per task: a block of ``x`` over all of ``time``, and copies of 64 MiB or one copy if
    that is more; ``phase`` needs 40 bytes per sample more, ``iaaft`` 80. Tasks: one per block
    of copies, and three per chunk of ``x``. ``iaaft`` takes all series of a member into one
    block. Computes at call: none.

    References
    ----------
    - Künsch (1989), Ann. Stat. 17, 1217-1241, doi:10.1214/aos/1176347265.
    - Prichard & Theiler (1994), Phys. Rev. Lett. 73, 951-954, doi:10.1103/PhysRevLett.73.951.
    - Schreiber & Schmitz (2000), Physica D 142, 346-382, doi:10.1016/S0167-2789(00)00043-9.
    - Harris (2020), bioRxiv, doi:10.1101/2020.11.29.402719.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.arange(8.0).reshape(2, 4), dims=("subject", "time"))
    >>> copies = fx.surrogates(x.chunk(), 3, method="circular", seed=0)
    >>> dict(copies.sizes), np.sort(copies.values[2, 1]).tolist()
    ({'replicate': 3, 'subject': 2, 'time': 4}, [4.0, 5.0, 6.0, 7.0])
    """
    if method == "swap":
        raise ValueError(
            "method 'swap' makes no copy of a series, it takes those of other people: found "
            "'swap' for surrogates, ask fx.isc(null='swap') or fx.synchrony(null='swap')"
        )
    method = require_null(
        "method", method, tuple(nulls.KINDS), block_s=block_s, level=level, margin_s=margin_s
    )
    schema.require_dims(x, schema.TIME, *([] if dim is None else [dim]))
    clock = Clock.of(x).require_regular()
    n, seed = require_count("n", n), require_count("seed", seed, 0)
    margin = margin_of(x, margin_s) if method == "linear" else 0
    size = {"block": lambda: _block(clock, block_s, level), "linear": lambda: margin}
    kept = middle(x, margin) if margin else x
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    if method == "iaaft":  # all series of a member turn by one phase
        x = rechunked(x, {d: -1 for d in x.dims if d != dim})
    numbers, who = _numbers(x, n, dim)
    out = apply_kernel(
        nulls.drawn,
        numbers,
        who,
        _whole_time(x).drop_vars(schema.TIME, errors="ignore"),
        core=[[], [], [schema.TIME]],
        new={"_time": kept.sizes[schema.TIME]},
        dtype=x.dtype,
        kind=method,
        size=size.get(method, lambda: nulls.ROUNDS)(),
        seed=int(seed),
    )
    out = out.drop_vars([c for c in out.coords if schema.TIME in out[c].dims])
    out = out.rename(_time=schema.TIME).transpose(REPLICATE, *x.dims)
    out = out.assign_coords(kept.coords)
    out.attrs = {**x.attrs, "surrogate": method, "seed": seed}
    return out.rename(x.name)


def _block(clock: Clock, block_s: float | None, level: int | None) -> int:
    """Samples of a block."""
    if block_s is None:
        level = _LEVEL if level is None else require_count("level", level)
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
