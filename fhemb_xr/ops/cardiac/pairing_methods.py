"""Methods that pair hearts and faces: a code of each, and a score of a pair of codes."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.cardiac import pairing_scores as kernel
from fhemb_xr.kernels.cardiac import pulse_band
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.cardiac.pairing_windows import LAGS_S, METHOD, TICK

_MOVIE = ["_f", schema.Y, schema.X]
_FACE, _HEART = ["_k", "_g"], ["_l", "_h"]


class PairingMethod(Protocol):
    """What a method must be able to do; a new one is a class and a row of :data:`METHODS`."""

    def face_code(self, movies: xr.DataArray) -> xr.DataArray:
        """What is kept of each movie ``(…, _f, y, x)``: ``(…, _k, _g)``."""

    def heart_code(self, traces: xr.DataArray, rate_hz: float) -> xr.DataArray:
        """What is kept of each window of a trace ``(…, _tick)``: ``(…, _l, _h)``."""

    def score(self, faces: xr.DataArray, hearts: xr.DataArray) -> xr.DataArray:
        """Each face code with each heart code, ``(…)``."""


class Blind:
    """Regression of the wave on the courses that neighbouring pixels share, at any delay."""

    def __init__(self, model: xr.Dataset | None = None) -> None:
        pass  # nothing is learnt

    def face_code(self, movies: xr.DataArray) -> xr.DataArray:
        """Orthonormal courses of the face."""
        n_f = movies.sizes["_f"]
        return apply_kernel(
            kernel.subspace, movies, core=[_MOVIE], new={"_g": n_f, "_k": n_f}
        )  # fmt: skip

    def heart_code(self, traces: xr.DataArray, rate_hz: float) -> xr.DataArray:
        """The wave and the wave a quarter of a turn later."""
        new = {"_l": 2, "_h": _n_cosines(traces, rate_hz)}
        return apply_kernel(_quadrature, traces, core=[[TICK]], new=new, rate_hz=rate_hz)

    def score(self, faces: xr.DataArray, hearts: xr.DataArray) -> xr.DataArray:
        """Share of the wave that the face's courses explain, as a log likelihood ratio."""
        return apply_kernel(kernel.explained, faces, hearts, core=[["_g", "_k"], _HEART])


class Linear:
    """Learnt spatial filters, and learnt weights of the wave's delays."""

    def __init__(self, model: xr.Dataset) -> None:
        self._filters = xr.DataArray(model["filters"].values, dims=("_n", "_y", "_x"))
        self._weights = xr.DataArray(model["weights"].values, dims=("_a", "_b"))

    def face_code(self, movies: xr.DataArray) -> xr.DataArray:
        """Courses behind each filter."""
        return apply_kernel(
            kernel.filtered, movies, self._filters, core=[_MOVIE, self._filters.dims],
            new={"_k": len(self._filters), "_g": movies.sizes["_f"]},
        )  # fmt: skip

    def heart_code(self, traces: xr.DataArray, rate_hz: float) -> xr.DataArray:
        """The wave at each delay."""
        return apply_kernel(
            pulse_band.waves, traces, core=[[TICK]],
            new={"_l": len(LAGS_S), "_h": _n_cosines(traces, rate_hz)},
            rate_hz=rate_hz, lags_s=LAGS_S,
        )  # fmt: skip

    def score(self, faces: xr.DataArray, hearts: xr.DataArray) -> xr.DataArray:
        """Weighted sum of the likenesses of every filter and delay."""
        core = [_FACE, _HEART, self._weights.dims]
        return apply_kernel(kernel.weighed, faces, hearts, self._weights, core=core)


class Network:
    """Two towers of a convolutional network (torch)."""

    def __init__(self, model: xr.Dataset) -> None:
        from fhemb_xr.nn import two_towers

        self._towers = two_towers
        self._design = two_towers.design(model.attrs)
        arrays = {
            str(name): array.values
            for name, array in model.data_vars.items()
            if "epoch" not in array.dims
        }
        self._weights = xr.DataArray(two_towers.packed(arrays, self._design), dims="_n")

    def face_code(self, movies: xr.DataArray) -> xr.DataArray:
        """Output of the face's tower."""
        return self._through(self._towers.face_code, movies, _MOVIE, _FACE)

    def heart_code(self, traces: xr.DataArray, rate_hz: float) -> xr.DataArray:
        """Output of the heart's tower."""
        return self._through(_heart_tower, traces, [TICK], _HEART, rate_hz=rate_hz)

    def score(self, faces: xr.DataArray, hearts: xr.DataArray) -> xr.DataArray:
        """Correlations of the two outputs, weighted channel by channel."""
        return apply_kernel(
            self._towers.score, faces, hearts, self._weights, core=[_FACE, _HEART, ["_n"]],
            design=self._design,
        )  # fmt: skip

    def _through(
        self, tower: Callable[..., Any], x: xr.DataArray, core: list[str], code: list[str],
        **options: Any,
    ) -> xr.DataArray:  # fmt: skip
        sizes = (self._design.channels, self._design.ticks)
        return apply_kernel(
            tower, x, self._weights, core=[core, ["_n"]],
            new=dict(zip(code, sizes, strict=True)), design=self._design, **options,
        )  # fmt: skip


METHODS: dict[str, Callable[..., PairingMethod]] = {
    "blind": Blind,
    "linear": Linear,
    "r2plus1d": Network,
}


def method_of(name: str, model: xr.Dataset | None, heat: xr.DataArray) -> PairingMethod:
    """The method of this name with its model.

    Raises
    ------
    ValueError
        If a method that learns has no model.
    SchemaError
        If the model is of another method, or was trained on another grid.
    """
    if METHODS[name] is Blind:
        return Blind()
    if model is None:
        raise ValueError(
            f"method {name!r} needs a model: train one with fx.train_pairing, or take 'blind'"
        )
    if model.attrs.get(METHOD) != name:
        raise SchemaError(
            f"the model is of method {model.attrs.get(METHOD)!r}, asked for {name!r}"
        )
    trained, grid = tuple(model.attrs["grid"]), (heat.sizes[schema.Y], heat.sizes[schema.X])
    if grid != trained:
        raise SchemaError(
            f"the model was trained on {trained} pixels, the faces have {grid}: "
            f"fx.resize(ds, {trained})"
        )
    return METHODS[name](model)


def _n_cosines(traces: xr.DataArray, rate_hz: float) -> int:
    """Cosines of the pulse band in a window."""
    n_ticks = traces.sizes[TICK]
    return int(pulse_band.cosines(n_ticks, rate_hz, pulse_band.PULSE_HZ).shape[1])


def _undelayed(trace: Any, rate_hz: float) -> Any:
    return pulse_band.waves(trace, rate_hz, np.zeros(1))[..., 0, :]


def _quadrature(trace: Any, *, rate_hz: float) -> Any:
    """``(..., t) -> (..., 2, f)``."""
    return pulse_band.quadrature(_undelayed(trace, rate_hz), rate_hz, trace.shape[-1])


def _heart_tower(trace: Any, weights: Any, *, rate_hz: float, design: Any) -> Any:
    """``(..., t), (n) -> (..., channel, tick)``."""
    from fhemb_xr.nn import two_towers

    return two_towers.heart_code(_undelayed(trace, rate_hz), weights, design=design)
