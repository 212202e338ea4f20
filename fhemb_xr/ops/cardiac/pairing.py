"""Which face a heart belongs to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError, UnknownNameError, nearest
from fhemb_xr.kernels.cardiac import pairing_scores, pulse_band
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.pairwise.pair_dims import among

METHODS = ("blind", "linear", "r2plus1d")
HEART, CANDIDATE, METHOD = "heart", "candidate", "pairing_method"
LAGS_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
"""Delays from heart to face [s] at which they are compared."""
_SHORTEST_HZ = 2 * pulse_band.PULSE_HZ[1]


def pair(
    ds: xr.Dataset | xr.DataArray,
    trace: xr.DataArray,
    candidates: str | Sequence[Any] = "all",
    *,
    method: str = "blind",
    model: xr.Dataset | None = None,
    window_s: float = 10.0,
) -> xr.Dataset:
    """Which of the candidates' faces a heart belongs to.

    Slow motion, breathing and drift are projected down to the noise, window by window; then the
    course of the pulse (0.7 to 3 Hz) in each face is compared with the waveform of the trace. A
    score is of one face and one heart alone: two candidates that change places get each other's
    scores, and probabilities, to the last bit.

    Parameters
    ----------
    ds
        A recording, or its heatmap ``(subject, …, time, y, x)``.
    trace
        The heart, ``(…, time)`` on the clock of ``ds``: of :func:`cardiac_wave` (from an
        electrocardiogram) or :func:`align` (a pulse wave). A dimension ``subject`` becomes
        ``heart``, so that every heart meets every face; ``session`` stays with its session.
    candidates
        Two subjects or more, or ``"all"``.
    method
        ``"blind"``: regression on the courses that neighbouring pixels share, at any delay;
        nothing is learnt. ``"linear"``: learnt spatial filters, delays of 0.05 to 0.4 s.
        ``"r2plus1d"``: a convolutional network, first in space, then in time (torch).
    model
        Of :func:`train_pairing`, for the methods that learn.
    window_s
        Each window [s], end to end, is a trial of its own; what is left over is not used.

    Returns
    -------
    Dataset, float64, lazy: ``score(…, window, candidate)``, a log likelihood ratio up to a
    constant, so that scores of windows add up; ``probability``, of each candidate among the
    others (of a blind method, overconfident: only its order counts). NaN where more than a
    fifth of the window lacks the face or the trace.

    Raises
    ------
    UnknownNameError
        No such method or candidate (a ``KeyError``).
    SchemaError
        If the clocks differ or are slower than 6 Hz, or the model is of another method or grid.
    ValueError
        Fewer than two candidates, a method that needs a model without one, or a window that is
        longer than the series or shorter than 2 s.
    ImportError
        If torch is not installed: ``pip install 'fhemb_xr[learn]'``.

    Notes
    -----
    Memory: 60 bytes per sample of a chunk, which is made of whole windows. Tasks: under 18 per
    chunk of faces, its source included, before dask fuses them. Computes at call: none, but for
    a model that is not loaded yet.

    References
    ----------
    Galvez-Pol et al. (2022), Cortex 151, 176-187, doi:10.1016/j.cortex.2022.03.003.
    Tran et al. (2018), CVPR, 6450-6459, doi:10.1109/CVPR.2018.00675 ((2+1)D).

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.hearts(n_persons=2, clips=1, snr_db=0)
    >>> out = ds.fhemb.pair(ds.trace.sel(subject=1, drop=True), candidates=[0, 1]).compute()
    >>> out.candidate[out.score.argmax("candidate")].values.ravel().tolist()
    [1]
    """
    among("method", method, METHODS)
    heat = ds[schema.HEATMAP] if isinstance(ds, xr.Dataset) else ds
    schema.require_dims(heat, schema.SUBJECT, schema.TIME, schema.Y, schema.X)
    schema.require_dims(trace, schema.TIME)
    _check_model(model, method, heat)
    heat = _candidates(heat, candidates)
    require_clock(heat, trace)
    rate_hz = schema.sampling_rate(heat)
    width = frames_of(window_s, rate_hz, heat.sizes[schema.TIME])
    faces = face_codes(movies(windows(heat, width), rate_hz), method, model)
    hearts = heart_codes(_hearts(trace, width), method, model, rate_hz, width)
    score = scores(faces, hearts, method, model).rename(subject=CANDIDATE)
    return _finished(score, heat, method, rate_hz, width)


def _check_model(model: xr.Dataset | None, method: str, heat: xr.DataArray) -> None:
    if method == "blind":
        return
    if model is None:
        raise ValueError(
            f"method {method!r} needs a model: train one with fx.train_pairing, or take 'blind'"
        )
    if model.attrs.get(METHOD) != method:
        raise SchemaError(
            f"the model is of method {model.attrs.get(METHOD)!r}, asked for {method!r}"
        )
    grid = tuple(model.attrs["grid"])
    found = heat.sizes[schema.Y], heat.sizes[schema.X]
    if found != grid:
        raise SchemaError(
            f"the model was trained on {grid} pixels, the faces have {found}: "
            f"fx.resize(ds, {grid})"
        )


def _candidates(heat: xr.DataArray, asked: str | Sequence[Any]) -> xr.DataArray:
    if isinstance(asked, str):
        if asked != "all":
            raise ValueError(f"candidates are 'all' or a list of subjects, found {asked!r}")
    else:
        there = heat.indexes[schema.SUBJECT].tolist()
        for name in asked:
            if name not in there:
                raise UnknownNameError(f"no subject {name!r}{nearest(name, there)}")
        heat = heat.sel({schema.SUBJECT: list(asked)})
    if heat.sizes[schema.SUBJECT] < 2:
        raise ValueError(
            f"a choice needs two candidates or more, found {heat.sizes[schema.SUBJECT]}"
        )
    return heat


def require_clock(heat: xr.DataArray, trace: xr.DataArray) -> None:
    """Check that a trace is on the clock of the faces.

    Raises
    ------
    SchemaError
        If it is not.
    """
    a, b = heat.indexes.get(schema.TIME), trace.indexes.get(schema.TIME)
    same = heat.sizes[schema.TIME] == trace.sizes[schema.TIME]
    if a is not None and b is not None and same:
        same = bool(np.allclose(a, b, rtol=0, atol=1e-6))
    if not same:
        raise SchemaError(
            "the trace has another clock than the faces: put it on theirs with fx.align, or "
            "fx.cardiac_wave for an electrocardiogram"
        )


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


def _hearts(trace: xr.DataArray, width: int) -> xr.DataArray:
    x = windows(trace, width)
    x = x.rename({schema.SUBJECT: HEART}) if schema.SUBJECT in x.dims else x
    return rechunked(x, {d: -1 for d in ("_tick", HEART) if d in x.dims})


def face_codes(x: xr.DataArray, method: str, model: xr.Dataset | None) -> xr.DataArray:
    """What a method keeps of each movie, ``(…, _k, _g)``."""
    core, n_f = ["_f", schema.Y, schema.X], x.sizes["_f"]
    if method == "blind":
        return over(pairing_scores.subspace, [x], [core], ["_g", "_k"], {"_g": n_f, "_k": n_f})
    assert model is not None
    if method == "linear":
        filters = model["filters"].values
        return over(
            pairing_scores.filtered, [x, xr.DataArray(filters, dims=("_n", "_y", "_x"))],
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
        return over(pairing_scores.explained, [faces, hearts], [["_g", "_k"], core[1]], [], {})
    assert model is not None
    if method == "linear":
        weights = xr.DataArray(model["weights"].values, dims=("_a", "_b"))
        return over(
            pairing_scores.weighed, [faces, hearts, weights], [*core, ["_a", "_b"]], [], {}
        )
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


def _finished(
    score: xr.DataArray, heat: xr.DataArray, method: str, rate_hz: float, width: int
) -> xr.Dataset:
    score = score.transpose(..., schema.WINDOW, CANDIDATE)
    if score.chunks:
        score = score.chunk({CANDIDATE: -1})
    probability = over(pairing_scores.probability, [score], [[CANDIDATE]], [CANDIDATE], {})
    out = xr.Dataset({"score": score, "probability": probability})
    out["score"].attrs = {"long_name": "likeness of heart and face", "units": "1"}
    out["probability"].attrs = {"long_name": "probability of the candidate", "units": "1"}
    start = 0.0
    if schema.TIME in heat.indexes:
        start = float(heat.indexes[schema.TIME][0])
    clock = start + np.arange(score.sizes[schema.WINDOW]) * width / rate_hz
    out = out.assign_coords({schema.WINDOW: clock})
    out[schema.WINDOW].attrs = {"long_name": "start of window", "units": "s"}
    out.attrs = {
        METHOD: method,
        "window_s": width / rate_hz,
        "chance": 1 / heat.sizes["subject"],
    }
    return out
