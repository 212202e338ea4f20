"""Learning to pair: models are Datasets, weights are arrays."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import UnknownNameError, nearest
from fhemb_xr.kernels.cardiac import pairing_scores as kernel
from fhemb_xr.kernels.cardiac import pulse_band
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.cardiac import pairing_windows
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.option_tables import TRAINING
from fhemb_xr.ops.pipeline import heatmap

_FOILS = 8  # trials of each heart
_FOLDS = 3
_NETWORK_HZ = 7.5  # rate of the network's clock
OPTIONS: dict[str, dict[str, Any]] = {
    "linear": {"n_filters": 4},
    "r2plus1d": {
        "epochs": 35, "batch": 48, "learning_rate": 4e-3, "weight_decay": 2e-2, "noise": 0.2,
        "spatial": 8, "channels": 16,
    },
}  # fmt: skip


def train_pairing(
    ds: xr.Dataset | xr.DataArray,
    trace: xr.DataArray,
    *,
    method: str = "linear",
    window_s: float = 10.0,
    validation: float = 0.0,
    seed: int = 0,
    report: Callable[[int, Mapping[str, float]], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Model that pairs hearts and faces, learnt from people whose hearts are known.

    Parameters
    ----------
    ds
        A recording, or its heatmap ``(subject, …, time, y, x)``.
    trace
        Traces of the same people's hearts, ``(subject, …, time)`` on the clock of ``ds``, as
        for :func:`pair`.
    method
        ``"linear"`` or ``"r2plus1d"``.
    window_s
        Length of a clip [s].
    validation
        Share of the people (not of the clips) who are held out of training and tested after
        each epoch. Only ``"r2plus1d"`` uses it.
    seed
        Random seed of the draws.
    report
        Called after each epoch with its number and figures.
    **options
        ``"linear"``: ``n_filters`` (4). ``"r2plus1d"``: ``epochs`` (35), ``batch`` (48),
        ``learning_rate`` (0.004), ``weight_decay`` (0.02), ``noise`` (0.2, added to faces of
        unit root mean square), ``spatial`` (8), ``channels`` (16).

    Returns
    -------
    Dataset
        Dataset of the model's arrays, for :func:`pair`; it is saved like any result. With
        ``"r2plus1d"`` it also has the history along ``epoch``.

    Raises
    ------
    UnknownNameError
        No such method or option (a ``KeyError``).
    ValueError
        Fewer than three people with a face and a trace, or a share out of range.
    BudgetError
        If the clips are larger than the budget of a task.

    Notes
    -----
    Memory: all clips in the pulse band, 300 bytes per pixel and second of a clip for
    ``"linear"``. Computes at call: one, of everything; the rest is in this process.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> known = fx.testing.hearts(n_persons=6, clips=2, snr_db=0)
    >>> model = fx.train_pairing(known, known.trace, method="linear")
    >>> new = fx.testing.hearts(n_persons=2, clips=1, snr_db=0, first=100)
    >>> out = fx.pair(new, new.trace, method="linear", model=model)
    >>> out.score.isel(session=0, window=0).argmax("candidate").values.tolist()
    [0, 1]
    """
    method = require_choice("method to train", method, OPTIONS)
    TRAINING.require_used(method, {"validation": validation, "report": report})
    options = _options(method, options)
    heat = heatmap(ds)
    schema.require_dims(heat, schema.SUBJECT, schema.TIME, schema.Y, schema.X)
    schema.require_dims(trace, schema.SUBJECT, schema.TIME)
    if not 0 <= validation < 1:
        raise ValueError(f"validation is a share from 0 to below 1, found {validation!r}")
    pairing_windows.require_clock(heat, trace)
    rate_hz = Clock.of(heat).require_regular().rate_hz
    width = pairing_windows.frames_of(window_s, rate_hz, heat.sizes[schema.TIME])
    clips = _clips(heat, trace, width, rate_hz)
    lesson = _Lesson(*clips, width, rate_hz, validation, seed, report)
    out = _TRAINERS[method](lesson, **options)
    grid = [heat.sizes[schema.Y], heat.sizes[schema.X]]
    about = {
        pairing_windows.METHOD: method,
        pairing_windows.KNOWN: [str(p) for p in np.unique(lesson.persons)],
        "grid": grid,
        "window_s": width / rate_hz,
        "seed": seed,
    }
    return out.assign_attrs(
        about | {"people": len(lesson.people), "clips": len(lesson.persons)}
    )


def _options(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    allowed = OPTIONS[method]
    for name, value in given.items():
        if name not in allowed:
            raise UnknownNameError(
                f"no option {name!r} of method {method!r}{nearest(name, allowed)}"
            )
        if isinstance(value, bool) or not np.isfinite(value) or value < 0:
            raise ValueError(f"{name} is a number from 0 on, found {value!r}")
    return {**allowed, **given}


def _clips(
    heat: xr.DataArray, trace: xr.DataArray, width: int, rate_hz: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Movies ``(m, f, y, x)``, waves ``(m, l, f)``, the first without delay, and persons."""
    import dask

    x = pairing_windows.movies(pairing_windows.windows(heat, width), rate_hz)
    budget.check(
        2 * x.nbytes, "all clips of the pulse band", "train on fewer people or windows"
    )
    lags = np.array([0.0, *pairing_windows.LAGS_S])
    trace_windows = pairing_windows.windows(trace, width).chunk({pairing_windows.TICK: -1})
    h = apply_kernel(
        pulse_band.waves, trace_windows, core=[[pairing_windows.TICK]],
        new={"_l": lags.size, "_g": x.sizes["_f"]}, rate_hz=rate_hz, lags_s=lags,
    )  # fmt: skip
    lead = [d for d in x.dims if d not in ("_f", schema.Y, schema.X)]
    x, h = xr.align(x.transpose(*lead, "_f", schema.Y, schema.X), h, join="inner")
    h = h.broadcast_like(x.isel({"_f": 0, schema.Y: 0, schema.X: 0}, drop=True))
    who = x[schema.SUBJECT].broadcast_like(x.isel({"_f": 0, schema.Y: 0, schema.X: 0}))
    values = dask.compute(x.data, h.transpose(*lead, "_l", "_g").data)
    movies, waves = (v.reshape(-1, *v.shape[len(lead) :]) for v in values)
    persons = who.transpose(*lead).values.ravel()
    good = np.isfinite(movies).all(axis=(1, 2, 3)) & np.isfinite(waves).all(axis=(1, 2))
    if len(np.unique(persons[good])) < 3:
        raise ValueError(
            f"training needs three people or more with a face and a trace, found "
            f"{len(np.unique(persons[good]))} of {heat.sizes[schema.SUBJECT]}"
        )
    return movies[good], waves[good], persons[good]


@dataclass(frozen=True)
class _Lesson:
    """Clips of known people, and how to learn from them."""

    movies: NDArray[Any]
    waves: NDArray[Any]
    """``(clip, lag, f)``; the first is without delay."""
    persons: NDArray[Any] = field(repr=False)
    width: int
    rate_hz: float
    validation: float
    seed: int
    report: Callable[[int, Mapping[str, float]], None] | None

    @property
    def people(self) -> NDArray[Any]:
        """Every person once."""
        return np.unique(self.persons)


def _linear(lesson: _Lesson, *, n_filters: int) -> xr.Dataset:
    """Filters of all people; weights from people whom the filters have not seen."""
    rng = np.random.default_rng(lesson.seed)
    movies, waves, persons = lesson.movies, lesson.waves, lesson.persons
    grid = movies.shape[2:]
    flat = movies.reshape(*movies.shape[:2], -1)
    people = rng.permutation(lesson.people)
    rows = []
    for fold in np.array_split(people, min(_FOLDS, len(people))):
        held_out = np.isin(persons, fold)
        if len(fold) < 2:
            held_out = np.isin(persons, people[:2])  # few people: some are seen twice
        filters = kernel.learn_filters(flat[~held_out], waves[~held_out, 1:], n_filters)
        faces = kernel.filtered(movies[held_out], filters.reshape(-1, *grid))
        rows.append(_differences(faces, waves[held_out, 1:], persons[held_out], rng))
    weights = kernel.learn_weights(np.concatenate(rows))
    filters = kernel.learn_filters(flat, waves[:, 1:], n_filters)
    out = xr.Dataset(
        {
            "filters": (("filter", schema.Y, schema.X), filters.reshape(-1, *grid)),
            "weights": (("term", "lag"), weights.reshape(1 + n_filters, -1)),
        },
        coords={"lag": ("lag", np.array(pairing_windows.LAGS_S), {"units": "s"})},
    )
    out["filters"].attrs = {"long_name": "spatial filters of the pulse", "units": "1"}
    out["weights"].attrs = {"long_name": "weights of the likenesses", "units": "1"}
    return out


def _differences(faces: Any, waves: Any, persons: Any, rng: np.random.Generator) -> Any:
    """Likeness with the own face minus that with another's, for some trials of each heart."""
    rows = []
    for i, who in enumerate(persons):
        others = np.flatnonzero(persons != who)
        own = kernel.likenesses(faces[i], waves[i])
        foils = rng.choice(others, size=min(_FOILS, others.size), replace=False)
        rows += [(own - kernel.likenesses(faces[j], waves[i])).ravel() for j in foils]
    return np.array(rows)


def _network(
    lesson: _Lesson, *, spatial: int, channels: int, epochs: int, batch: int, **schedule: Any
) -> xr.Dataset:
    """Weights of the towers and the history of their training."""
    from fhemb_xr.nn import training, two_towers

    movies, waves, persons = lesson.movies, lesson.waves[:, 0], lesson.persons
    slow = lesson.rate_hz <= _NETWORK_HZ
    ticks = lesson.width if slow else math.ceil(lesson.width * _NETWORK_HZ / lesson.rate_hz)
    band = two_towers.band(lesson.width, lesson.rate_hz)
    sizes = {"spatial": int(spatial), "channels": int(channels)}
    design = two_towers.Design(movies.shape[2:], ticks, band, **sizes)
    people = np.random.default_rng(lesson.seed).permutation(lesson.people)
    held_out = np.isin(persons, people[: round(lesson.validation * len(people))])
    kept, tested = (
        training.Clips(movies[k], waves[k], persons[k]) for k in (~held_out, held_out)
    )
    how = training.Schedule(**schedule, epochs=int(epochs), batch=int(batch), seed=lesson.seed)
    tested_or_none = tested if held_out.any() else None
    arrays, history = training.fit(kept, tested_or_none, design, how, lesson.report)
    out = xr.Dataset(
        {n: ([f"{n}_{i}" for i in range(v.ndim)], v) for n, v in arrays.items()}
        | {n: ("epoch", v) for n, v in history.items()},
        coords={"epoch": np.arange(how.epochs)},
    )
    return out.assign_attrs(
        ticks=ticks, frequencies=list(band), **sizes,
        parameters=int(sum(v.size for v in arrays.values())),
    )  # fmt: skip


_TRAINERS: dict[str, Callable[..., xr.Dataset]] = {"linear": _linear, "r2plus1d": _network}
