"""Faces and traces cut into windows, in the pulse band."""

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock, require_same
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.cardiac import pulse_band
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked

HEART, CANDIDATE, METHOD = "heart", "candidate", "pairing_method"
KNOWN = "trained_people"
"""Attribute of a model: labels of the people that it was trained on (or validated by). Of
scores: those of them who are candidates."""
TICK = "_tick"
"""Frames within a window."""
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
        {schema.TIME: (schema.WINDOW, TICK)}
    )
    return out


def movies(x: xr.DataArray, rate_hz: float) -> xr.DataArray:
    """The pulse band of each window, ``(…, _f, y, x)``."""
    core = [TICK, schema.Y, schema.X]
    one = 60 * int(np.prod([x.sizes[d] for d in core]))
    budget.check(one, "one window of a face", "choose a shorter window or a coarser grid")
    x = rechunked(x, dict.fromkeys(core, -1))
    n_f = pulse_band.cosines(x.sizes[TICK], rate_hz, pulse_band.PULSE_HZ).shape[1]
    return apply_kernel(
        pulse_band.movie, x, core=[core], new={"_f": n_f, schema.Y: None, schema.X: None},
        rate_hz=rate_hz,
    )  # fmt: skip
