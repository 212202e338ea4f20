"""Features of each frame: statistics, percentiles, histograms, grids, eigenface scores."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError, UnknownNameError
from fhemb_xr.ops import background, option_tables
from fhemb_xr.ops.blockwise import recipes
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rereading import after
from fhemb_xr.ops.checks import require_flag, require_whole_frames
from fhemb_xr.ops.frames.entropy_options import entropy_options
from fhemb_xr.ops.frames.feature_names import (
    _GRID,
    STATISTICS,
    Names,
    expand,
    families,
)
from fhemb_xr.ops.frames.histogram_edges import Bins, _edges, _with_edges
from fhemb_xr.ops.pca import projection

CELL = 5
"""Side of a coarse grid's cell in pixels, the original's ``sub_roi_width``."""

_PERCENTILE, _HEIGHT, _IN_CELL = 9, 10, 11  # the kernel's kinds of column


def features(
    heat: xr.DataArray,
    names: Names,
    *,
    threshold: float | str | None = "recording",
    bins: Bins = "sturges",
    density: bool = True,
    entropy_bins: int = 30,
    entropy_range: Sequence[float] | None = None,
    entropy_correction: str = "none",
    pca: xr.Dataset | None = None,
) -> xr.DataArray:
    """Features of every frame, all that are asked for in one pass over the pixels.

    Names: ``max min mean variance std median skew kurtosis entropy``; percentiles ``p0`` to
    ``p100``; bin heights ``bh0``, …; eigenface scores ``pc0``, …; means ``g<row>_<column>`` of
    a grid of 5 × 5 pixels. A pair is an inclusive interval: ``("p5", "p95")`` goes by fives
    where both ends are multiples of five, everything else by ones.

    Parameters
    ----------
    heat
        Heatmap ``(…, y, x)`` [°C]; ``y`` and ``x`` in one chunk each.
    names
        Names in the order of the result; what is named twice is given once. Case, spaces and
        hyphens do not matter, ``sd``, ``var``, ``kurt`` and the like are known. A pair of one
        numbered family alone, ``("p5", "p95")``, is an interval, a list of two is two features.
    threshold
        Pixels below it are left out [°C], compared as float64, see :func:`mask`.
        ``"recording"``: what the recording says, if it does: ``ds.fhemb.features(...)`` leaves
        the background out, as ``embed`` does. ``None``: no pixel is left out.
    bins
        Histogram bins, the same for all frames of a stack: ``"sturges"``, ``ceil(log2 N + 1)``
        equal bins over the range of the stack's N visible pixels; a number of equal bins over
        that range; or edges [°C].
    density
        Bin heights with area 1; else counts.
    entropy_bins
        Number of equal bins for ``entropy``.
    entropy_range
        Lowest and highest temperature of these bins [°C]; pixels outside are left out. By
        default each frame's own range: the value then depends on the number of pixels, see
        Notes.
    entropy_correction
        Correction of the bias that few pixels cause: ``"none"``, ``"miller_madow"`` (adds
        (occupied bins - 1) / 2 n for n pixels), or ``"grassberger"``, the least biased.
    pca
        Basis of the ``pc`` scores, from :func:`pca`.

    Returns
    -------
    DataArray
        ``embedding(…, time, feature)``, float32 for a float32 ``heat``, otherwise float64; lazy
        where it is. Variance, skew and kurtosis are biased, kurtosis is Fisher's; percentiles
        interpolate linearly; entropy is in nats. A frame without a visible pixel is NaN, so is
        a bin beyond a stack's number of bins. Coordinates ``bin_edges`` and ``bin_upper`` ``(…,
        feature)`` are the lower and upper edges of the bins [°C].

    Raises
    ------
    UnknownNameError
        A feature that is not there, with the nearest ones.
    ValueError
        ``pc`` scores without a basis, pixels in more than one chunk, impossible bins, or an
        option of ``entropy`` where it is not asked for.

    Notes
    -----
    Entropy, kurtosis and pixels. The same normal noise (s.d. 1 K), mean of 400 frames:

    ===============================================  =====  =====  =====  =====  =====
    pixels of the face                                  25    100    400   1500   5000
    ===============================================  =====  =====  =====  =====  =====
    entropy, own range, as by default                 2.70   3.02   3.00   2.91   2.83
    entropy, range 28 to 38 °C (truth 2.52)           2.19   2.43   2.50   2.51   2.52
    the same, ``"miller_madow"``                      2.38   2.50   2.52   2.52   2.52
    the same, ``"grassberger"``                       2.49   2.52   2.52   2.52   2.52
    kurtosis (truth 0)                                -.18   -.04    .01      0      0
    ===============================================  =====  =====  =====  =====  =====

    So a person who leans forward changes the first row: to compare people or moments, give
    ``entropy_range`` and ``"grassberger"``.

    Memory: the chunk, its features and 20 bytes per pixel of a frame for each running task.
    Tasks: one per chunk beside its reading; with ``bh`` or ``pc`` it reads too. Passes over the
    pixels: one; one before it for the range where ``bh`` is asked for without edges; one for
    ``pc``. Computes at call: none.

    References
    ----------
    - Sturges (1926), J. Am. Stat. Assoc. 21, 65-66, doi:10.1080/01621459.1926.10502161.
    - Paninski (2003), Neural Comput. 15, 1191-1253, doi:10.1162/089976603321780272 (bias,
      Miller and Madow).
    - Grassberger (2003), Entropy estimates from insufficient samplings,
      doi:10.48550/arXiv.physics/0307138.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> heat = xr.DataArray(np.arange(12.0).reshape(1, 3, 4), dims=("time", "y", "x"))
    >>> fx.features(heat, ["p50", "max", ("p0", "p10")], threshold=2).to_series().tolist()
    [6.5, 11.0, 2.0, 2.45, 2.9]
    """
    wanted = expand(names)
    entropy = entropy_options(wanted, entropy_bins, entropy_range, entropy_correction)
    option_tables.FEATURES.require_used(
        families(wanted),
        {"bins": bins, "density": density, "entropy_bins": entropy_bins, "pca": pca},
    )
    density = require_flag("density", density)
    _check_pixels(heat)
    threshold = background.chosen(heat, threshold)
    heat = background.celsius(heat, threshold)
    _check_basis(wanted, pca)
    columns = [n for n in wanted if not n.startswith("pc")]
    heights = [n for n in columns if n.startswith("bh")]
    edges = _edges(heat, threshold, bins) if heights else None
    scored = pca is not None and len(columns) < len(wanted)
    first = [pca["components"].data] if pca is not None and scored else []
    first += [] if edges is None else [edges.data]
    numbers = [int(n[2:]) for n in wanted if n.startswith("pc")]

    def made(heat: xr.DataArray) -> xr.DataArray:
        parts = []
        if columns:
            parts.append(_of_pixels(heat, columns, edges, threshold, density, entropy))
        if pca is not None and scored:
            visible = background.visible(heat, threshold)
            basis = pca.sel(component=numbers)
            parts.append(
                _as_features(projection.project(visible, basis, threshold=None), numbers)
            )
        return _in_order(parts, wanted, heat.dtype)

    out = made(heat)
    if any(isinstance(x, da.Array) for x in first) and isinstance(heat.data, da.Array):
        # a second pass: it must not keep the chunks of the first one
        alone = recipes.in_one(out.data)
        out = (
            made(heat.copy(data=after(heat.data, *first)))
            if alone is None
            else out.copy(data=alone)
        )
    out.attrs = {"long_name": "features of each frame"}
    if schema.TIME in heat.dims:
        out.attrs |= Clock.of(heat).attrs
    return (
        _with_edges(out, edges, wanted).rename(schema.EMBEDDING)
        if edges is not None
        else out.rename(schema.EMBEDDING)
    )


def _check_pixels(heat: xr.DataArray) -> None:
    schema.require_real(heat)
    clock = [schema.TIME] if schema.TIME in heat.dims else []
    schema.require_dims(heat, schema.Y, schema.X, *clock)
    if heat.dtype.kind == "b":
        raise SchemaError("a heatmap holds numbers, found dtype bool")
    require_whole_frames(heat)


def _check_basis(wanted: list[str], pca: xr.Dataset | None) -> None:
    numbers = [int(n[2:]) for n in wanted if n.startswith("pc")]
    if numbers and pca is None:
        raise ValueError("pc features need a basis: pca=fx.pca(heat), or use fx.embed(...)")
    if numbers and pca is not None and max(numbers) >= pca.sizes[schema.COMPONENT]:
        raise UnknownNameError(
            f"no feature 'pc{max(numbers)}': the basis has "
            f"{pca.sizes[schema.COMPONENT]} components"
        )


def _column(name: str, heat: xr.DataArray) -> tuple[int, float]:
    """The kernel's kind and argument of a feature."""
    grid = _GRID.match(name)
    if grid:
        row, column = int(grid[1]), int(grid[2])
        rows, columns = (math.ceil(heat.sizes[d] / CELL) for d in (schema.Y, schema.X))
        if row >= rows or column >= columns:
            raise UnknownNameError(f"no cell {name!r}: the grid has {rows} × {columns} cells")
        return _IN_CELL, row * columns + column
    if name in STATISTICS:
        return STATISTICS.index(name), 0
    return (_PERCENTILE, float(name[1:])) if name[1] != "h" else (_HEIGHT, int(name[2:]))


def _of_pixels(
    heat: xr.DataArray,
    names: list[str],
    edges: xr.DataArray | None,
    threshold: float | None,
    density: bool,
    entropy: dict[str, Any],
) -> xr.DataArray:
    x = heat if heat.dtype.kind == "f" else heat.astype(np.float64)
    kinds, arguments = zip(*(_column(n, heat) for n in names), strict=True)
    core: list[list[Hashable]] = [[schema.Y, schema.X], ["edge"]]
    out = apply_kernel(
        _block,
        *([x] if edges is None else [x, edges]),
        core=core[: 1 if edges is None else 2],
        new={schema.FEATURE: len(names)},
        dtype=x.dtype,
        kinds=kinds,
        arguments=arguments,
        threshold=math.nan if threshold is None else float(threshold),
        density=density,
        **entropy,
    )
    return out.assign_coords({schema.FEATURE: names})


def _block(x: Any, edges: Any = None, *, kinds: Any, arguments: Any, **options: Any) -> Any:
    """``(..., y, x), (..., edge) -> (..., feature)``: frames that share edges go together."""
    from fhemb_xr.kernels.frames import (
        frame_features as kernel,  # numba takes a second to import
    )

    columns = np.array(kinds, np.int64), np.array(arguments, np.float64)
    edges = np.full(1, np.nan) if edges is None else edges
    lead = np.broadcast_shapes(x.shape[:-2], edges.shape[:-1])
    edges = np.broadcast_to(edges, (*(1,) * (len(lead) + 1 - edges.ndim), *edges.shape))
    out = np.empty((*lead, len(kinds)), x.dtype)
    # along an axis where all share edges (time), one call does all
    shared = [n == 1 for n in edges.shape[:-1]]
    outer = [1 if s else n for s, n in zip(shared, lead, strict=True)]
    for where in np.ndindex(*outer):
        at = tuple(slice(None) if s else i for s, i in zip(shared, where, strict=True))
        e = edges[tuple(0 if s else i for s, i in zip(shared, where, strict=True))]
        frames = x[at]
        flat = np.ascontiguousarray(frames.reshape(-1, *x.shape[-2:]))
        found = kernel.features(flat, np.ascontiguousarray(e), columns, **options, cell=CELL)
        out[at] = found.reshape(*frames.shape[:-2], -1)
    return out


def _in_order(parts: list[xr.DataArray], wanted: list[str], dtype: Any) -> xr.DataArray:
    """Features of several kinds as one array, in the order asked for: one task a chunk."""
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    if len(parts) == 1:
        return parts[0].astype(dtype)
    names = [name for part in parts for name in part.indexes[schema.FEATURE]]
    # all have the coordinates of the frames, and lazy ones are not read to compare them
    first, *others = (p.drop_vars(schema.FEATURE) for p in parts)
    bare = [first, *(p.drop_vars(list(p.coords)) for p in others)]
    out = apply_kernel(
        _joined,
        *(p.rename({schema.FEATURE: f"feature {i}"}) for i, p in enumerate(bare)),
        core=[[f"feature {i}"] for i in range(len(bare))],
        new={schema.FEATURE: len(wanted)},
        dtype=dtype,
        order=[names.index(name) for name in wanted],
        to=dtype,
    )
    return out.assign_coords({schema.FEATURE: wanted})


def _joined(*parts: Any, order: list[int], to: Any) -> Any:
    return np.concatenate(parts, axis=-1, dtype=to, casting="same_kind")[..., order]


def _as_features(scores: xr.DataArray, numbers: list[int]) -> xr.DataArray:
    out = scores.rename({schema.COMPONENT: schema.FEATURE})
    return out.assign_coords({schema.FEATURE: [f"pc{n}" for n in numbers]})
