"""Which face a heart belongs to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import UnknownNameError, nearest
from fhemb_xr.kernels.cardiac import pairing_scores as kernel
from fhemb_xr.ops import option_tables
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.cardiac.pairing_methods import METHODS, method_of
from fhemb_xr.ops.cardiac.pairing_windows import (
    CANDIDATE,
    HEART,
    KNOWN,
    METHOD,
    TICK,
    frames_of,
    movies,
    require_clock,
    windows,
)
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.pipeline import heatmap


def pair(
    ds: xr.Dataset | xr.DataArray,
    trace: xr.DataArray,
    candidates: str | Sequence[Any] = "all",
    *,
    method: str = "blind",
    model: xr.Dataset | None = None,
    window_s: float = 10.0,
) -> xr.Dataset:
    """Scores that tell to which candidate's face a heart belongs.

    In every window, slow motion, breathing and drift are projected out, down to the noise. Then
    the pulse in each face (0.7 to 3 Hz) is compared with the waveform of the trace. A score
    depends on one face and one heart only: if two candidates change places, their scores and
    probabilities change places exactly.

    Parameters
    ----------
    ds
        A recording, or its heatmap ``(subject, …, time, y, x)``.
    trace
        Trace of the heart, ``(…, time)`` on the clock of ``ds``: the result of
        :func:`cardiac_wave` (electrocardiogram) or :func:`align` (pulse wave). A dimension
        ``subject`` becomes ``heart``: every heart is compared with every face of its session.
    candidates
        Two subjects or more, or ``"all"``.
    method
        ``"blind"``: regression on the courses that neighbouring pixels share, at any delay. It
        needs no model. ``"linear"``: learnt spatial filters, at delays of 0.05 to 0.4 s.
        ``"r2plus1d"``: convolutional network, first in space, then in time (torch).
    model
        Result of :func:`train_pairing`, for the methods that learn.
    window_s
        Length of a window [s]. Windows lie end to end, and each is one trial. A shorter rest at
        the end is not used.

    Returns
    -------
    Dataset
        Dataset, float64, lazy: ``score(…, window, candidate)``, a log likelihood ratio up to a
        constant, so scores of several windows can be added; and ``probability`` of each
        candidate among all. Probabilities of ``"blind"`` are too close to 0 and 1: use their
        order only. NaN where the face or the trace is missing in more than a fifth of the
        window. ``attrs["trained_people"]`` lists the candidates who have the label of somebody
        that the model was trained on.

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
    - Galvez-Pol et al. (2022), Cortex 151, 176-187, doi:10.1016/j.cortex.2022.03.003.
    - Tran et al. (2018), CVPR, 6450-6459, doi:10.1109/CVPR.2018.00675 ((2+1)D).

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.hearts(n_persons=2, clips=1, snr_db=0)
    >>> out = ds.fhemb.pair(ds.trace.sel(subject=1, drop=True), candidates=[0, 1]).compute()
    >>> out.candidate[out.score.argmax("candidate")].values.ravel().tolist()
    [1]
    """
    method = require_choice("method", method, METHODS)
    option_tables.PAIR.require_used(method, {"model": model})
    heat = heatmap(ds)
    schema.require_dims(heat, schema.SUBJECT, schema.TIME, schema.Y, schema.X)
    schema.require_dims(trace, schema.TIME)
    way = method_of(method, model, heat)
    heat = _candidates(heat, candidates)
    require_clock(heat, trace)
    rate_hz = Clock.of(heat).require_regular().rate_hz
    width = frames_of(window_s, rate_hz, heat.sizes[schema.TIME])
    faces = way.face_code(movies(windows(heat, width), rate_hz))
    hearts = way.heart_code(_hearts(trace, width), rate_hz)
    score = way.score(faces, hearts).rename(subject=CANDIDATE)
    out = _finished(score, heat, method, rate_hz, width)
    known = set() if model is None else {*model.attrs.get(KNOWN, [])}
    people = heat.indexes.get(schema.SUBJECT, [])
    if trained := [str(s) for s in people if str(s) in known]:
        out.attrs[KNOWN] = trained
    return out


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


def _hearts(trace: xr.DataArray, width: int) -> xr.DataArray:
    x = windows(trace, width)
    x = x.rename({schema.SUBJECT: HEART}) if schema.SUBJECT in x.dims else x
    return rechunked(x, {d: -1 for d in (TICK, HEART) if d in x.dims})


def _finished(
    score: xr.DataArray, heat: xr.DataArray, method: str, rate_hz: float, width: int
) -> xr.Dataset:
    score = score.transpose(..., schema.WINDOW, CANDIDATE)
    if score.chunks:
        score = score.chunk({CANDIDATE: -1})
    probability = apply_kernel(kernel.probability, score, core=[[CANDIDATE]], new=[CANDIDATE])
    out = xr.Dataset({"score": score, "probability": probability})
    out["score"].attrs = {"long_name": "likeness of heart and face", "units": "1"}
    out["probability"].attrs = {"long_name": "probability of the candidate", "units": "1"}
    clock = Clock.of(heat).start_s + np.arange(score.sizes[schema.WINDOW]) * width / rate_hz
    out = out.assign_coords({schema.WINDOW: clock})
    out[schema.WINDOW].attrs = {"long_name": "start of window", "units": "s"}
    out.attrs = {
        METHOD: method,
        "window_s": width / rate_hz,
        "chance": 1 / heat.sizes["subject"],
    }
    return out
