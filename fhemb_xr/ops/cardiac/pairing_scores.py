"""Codes of faces and of hearts, and scores of their pairs, by each method."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock, require_same
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.cardiac import pairing_scores as kernel
from fhemb_xr.kernels.cardiac import pulse_band
from fhemb_xr.ops.blockwise.rechunk import rechunked

METHODS = ("blind", "linear", "r2plus1d")


HEART, CANDIDATE, METHOD = "heart", "candidate", "pairing_method"


LAGS_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
"""Delays from heart to face [s] at which they are compared."""


_SHORTEST_HZ = 2 * pulse_band.PULSE_HZ[1]


def require_clock(heat: xr.DataArray, trace: xr.DataArray) -> None:
    """Check that a trace is on the clock of the faces.

    Raises
    ------
    SchemaError
        If it is not.
    """
    try:
        require_same(Clock.of(heat), Clock.of(trace))
    except ValueError as error:
        raise SchemaError(
            f"the trace has another clock than the faces ({error}): put it on theirs with "
            "fx.align, or fx.cardiac_wave for an electrocardiogram"
        ) from None


def frames_of(window_s: float, rate_hz: float, length: int) -> int:
    """Frames of a window."""
    if rate_hz < _SHORTEST_HZ:
        raise SchemaError(
            f"a pulse of up to 3 Hz needs {_SHORTEST_HZ:g} frames a second, found {rate_hz:.4g}"
        )
    if not (np.isfinite(window_s) and window_s >= 2):
        raise ValueError(f"window_s is 2 seconds or more, found {window_s!r}")
    width = round(window_s * rate_hz)
    if width > length:
        raise ValueError(
            f"a window of {window_s:g} s is longer than the series of {length / rate_hz:g} s"
        )
    return width


def windows(x: xr.DataArray, width: int) -> xr.DataArray:
    """``time`` as ``window`` and ``_tick``, end to end; chunks become whole windows."""
    x = x.isel({schema.TIME: slice(x.sizes[schema.TIME] // width * width)})
    x = x.drop_vars([n for n, c in x.coords.items() if schema.TIME in c.dims])
    if x.chunks:
        frames = max(x.chunksizes[schema.TIME]) // width * width
        x = rechunked(x, {schema.TIME: max(width, frames)})
    out: xr.DataArray = x.coarsen({schema.TIME: width}).construct(
        {schema.TIME: (schema.WINDOW, "_tick")}
    )
    return out


def movies(x: xr.DataArray, rate_hz: float) -> xr.DataArray:
    """The pulse band of each window, ``(…, _f, y, x)``."""
    core = ["_tick", schema.Y, schema.X]
    one = 60 * int(np.prod([x.sizes[d] for d in core]))
    budget.check(one, "one window of a face", "choose a shorter window or a coarser grid")
    x = rechunked(x, dict.fromkeys(core, -1))
    n_f = pulse_band.cosines(x.sizes["_tick"], rate_hz, pulse_band.PULSE_HZ).shape[1]
    return over(
        pulse_band.movie, [x], [core], ["_f", schema.Y, schema.X],
        {"_f": n_f}, rate_hz=rate_hz, exclude=set(core),
    )  # fmt: skip


def face_codes(x: xr.DataArray, method: str, model: xr.Dataset | None) -> xr.DataArray:
    """What a method keeps of each movie, ``(…, _k, _g)``."""
    core, n_f = ["_f", schema.Y, schema.X], x.sizes["_f"]
    if method == "blind":
        return over(kernel.subspace, [x], [core], ["_g", "_k"], {"_g": n_f, "_k": n_f})
    assert model is not None
    if method == "linear":
        filters = model["filters"].values
        return over(
            kernel.filtered, [x, xr.DataArray(filters, dims=("_n", "_y", "_x"))],
            [core, ["_n", "_y", "_x"]], ["_k", "_g"], {"_k": len(filters), "_g": n_f},
        )  # fmt: skip
    from fhemb_xr.nn import two_towers as nn

    sizes = {"_k": model.attrs["channels"], "_g": model.attrs["ticks"]}
    return over(
        nn.face_code, [x, _weights(model)], [core, ["_n"]], ["_k", "_g"], sizes,
        design=nn.design(model.attrs),
    )  # fmt: skip


def heart_codes(
    x: xr.DataArray, method: str, model: xr.Dataset | None, rate_hz: float, width: int
) -> xr.DataArray:
    """What a method keeps of each window of a trace, ``(…, _l, _h)``."""
    n_f = pulse_band.cosines(width, rate_hz, pulse_band.PULSE_HZ).shape[1]
    if method == "linear":
        sizes = {"_l": len(LAGS_S), "_h": n_f}
        return over(
            pulse_band.waves,
            [x],
            [["_tick"]],
            ["_l", "_h"],
            sizes,
            rate_hz=rate_hz,
            lags_s=LAGS_S,
        )
    if method == "blind":
        return over(
            _blind_heart, [x], [["_tick"]], ["_l", "_h"], {"_l": 2, "_h": n_f}, rate_hz=rate_hz
        )
    from fhemb_xr.nn import two_towers as nn

    assert model is not None
    sizes = {"_l": model.attrs["channels"], "_h": model.attrs["ticks"]}
    return over(
        _network_heart, [x, _weights(model)], [["_tick"], ["_n"]], ["_l", "_h"], sizes,
        rate_hz=rate_hz, design=nn.design(model.attrs),
    )  # fmt: skip


def _blind_heart(h: Any, *, rate_hz: float) -> Any:
    now = pulse_band.waves(h, rate_hz, np.zeros(1))[..., 0, :]
    return pulse_band.quadrature(now, rate_hz, h.shape[-1])


def _network_heart(h: Any, weights: Any, *, rate_hz: float, design: Any) -> Any:
    from fhemb_xr.nn import two_towers as nn

    return nn.heart_code(
        pulse_band.waves(h, rate_hz, np.zeros(1))[..., 0, :], weights, design=design
    )


def scores(
    faces: xr.DataArray, hearts: xr.DataArray, method: str, model: xr.Dataset | None
) -> xr.DataArray:
    """Each face with each heart, ``(…)``."""
    core = [["_k", "_g"], ["_l", "_h"]]
    if method == "blind":
        return over(kernel.explained, [faces, hearts], [["_g", "_k"], core[1]], [], {})
    assert model is not None
    if method == "linear":
        weights = xr.DataArray(model["weights"].values, dims=("_a", "_b"))
        return over(kernel.weighed, [faces, hearts, weights], [*core, ["_a", "_b"]], [], {})
    from fhemb_xr.nn import two_towers as nn

    return over(
        nn.score, [faces, hearts, _weights(model)], [*core, ["_n"]], [], {},
        design=nn.design(model.attrs),
    )  # fmt: skip


def _weights(model: xr.Dataset) -> xr.DataArray:
    """All of a network's arrays in one."""
    from fhemb_xr.nn import two_towers as nn

    arrays = {str(n): model[n].values for n in model.data_vars if "epoch" not in model[n].dims}
    return xr.DataArray(nn.packed(arrays, nn.design(model.attrs)), dims="_n")


def over(
    function: Any, arrays: list[xr.DataArray], core: list[list[str]], new: list[str],
    sizes: dict[str, int], exclude: set[str] | None = None, **kwargs: Any,
) -> xr.DataArray:  # fmt: skip
    """A kernel over core dimensions, lazy where the arrays are; float64."""
    out: xr.DataArray = xr.apply_ufunc(
        function,
        *arrays,
        input_core_dims=core,
        output_core_dims=[new],
        exclude_dims=set() if exclude is None else exclude - set(new),
        kwargs=kwargs,
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": sizes} if sizes else {},
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    return out
