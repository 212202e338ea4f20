"""A call of every public function on tiny arrays, for the tests that try forms of its input.

A function of one array joins by the name of its first parameter. Any other has a line in
``CALLS``, or its reason in ``OUTSIDE``; a test counts that none is forgotten.
"""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.ops import doors

PACKAGE = str(Path(inspect.getfile(fx)).parent)
SENTENCE = 30
"""Letters that an error has at least."""
N, RATE_HZ = 96, 30
TIME = np.arange(N) / RATE_HZ
ARGUMENTS = {
    "hz": (1, 4), "n_clusters": 2, "names": ["mean", "max", "p50", "skew"], "window_s": 1.0,
    "step_s": 0.5, "max_lag_s": 0.4, "threshold": 22.5, "how": "minmax", "metric": "euclidean",
    "shape": (3, 2), "n": 1, "statistic": "correlation", "seed": 0, "n_permutations": 0,
    "n_components": 2, "classifiers": "knn_euclidean", "n_splits": 2, "method": None,
    "level": 2, "kind": "respiration", "frames": (8, 80),
    "spans": {"BAD": (0.5, 1.1), "aria": (0, 2)},
    "segments": {"calm": [(0, 0.6), (0.8, 1.4)], "storm": [(1.6, 2.2), (2.4, 3.0)]},
}  # fmt: skip
"""Arguments by the name of the parameter, for all functions that have it."""
OF: dict[str, dict[str, object]] = {
    "isc": {"how": "leave_one_out", "n": None, "seed": None},
    "pairwise": {"max_lag_s": None},
    "silhouette": {"k": [2, 3], "metric": None, "window_s": None, "step_s": None},
    "surrogates": {"method": "circular", "level": None},
    "shapelets": {"length_s": 0.2, "n_epochs": 2},
    "synchrony": {"n": 3, "level": None},
    "features": {"pca": None},
    "corrca": {"null": "circular"},
    "shared_response": {"null": "circular"},
    "recurrence": {"rate": 0.2, "how": None, "seed": None, "n": None},
    "respiration": {"hz": (2.5, 6.0), "window_s": 2.4, "step_s": 0.4, "alpha": 0.9},
    "pulse": {"hz": (2.5, 6.0), "window_s": 2.4, "step_s": 0.4, "alpha": 0.9},
    "gap_statistic": {"n": 5, "k": [1, 2]},
}
"""Arguments of one function; None: left out."""
OUTSIDE = {
    **dict.fromkeys(
        ("open_embedding", "open_recording", "open_result", "open_streams", "open_version",
         "version", "versions", "verify", "repair", "forget", "extend"),
        "takes a store, not an array",
    ),
    "recording": "takes plain arrays, and has a table of its own (tests/io)",
    "beats_at": "takes plain numbers (tests/ops/cardiac)",
    "audio_features": "reads a file, tests/io/interchange",
    **dict.fromkeys(("to_bids", "to_dataframe", "to_mne", "from_mne", "read_spans"),
                    "to and from other tools (tests/io/interchange)"),
    "local_cluster": "starts workers", "set_options": "sets options", "warm": "compiles",
    "show_versions": "prints", "view": "serves pages, tests/view",
    "save": "writes: every result of the others is saved here",
    "make_video": "writes a film (tests/plot/test_films.py)",
}  # fmt: skip
"""Public functions that take no array, with the reason."""
NOT_REAL = ("split",)
"""Functions that look at labels only, so that a form of the numbers changes nothing."""


@dataclass(frozen=True)
class Call:
    """A function with the arguments of one call; ``arrays`` of them take other forms."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    arrays: int = 1


def series() -> xr.DataArray:
    """Whole numbers that every dtype can hold, ``(subject, time)``."""
    values = np.random.default_rng(0).integers(20, 40, (4, N)).astype("f8")
    values[:2] = np.sort(values[:2])
    return xr.DataArray(values, dims=("subject", "time"),
                        coords={"subject": [40, 41, 42, 43], "time": TIME})  # fmt: skip


def music() -> xr.DataArray:
    """Two features of a stimulus, whole numbers."""
    values = np.random.default_rng(5).integers(1, 9, (N, 2)).astype("f8")
    return xr.DataArray(values, dims=("time", "stimulus"),
                        coords={"time": TIME, "stimulus": ["rms", "flux"]})  # fmt: skip


def heat() -> xr.DataArray:
    """The same with pixels, ``(subject, time, y, x)``."""
    values = np.random.default_rng(1).integers(20, 40, (2, N, 4, 3)).astype("f8")
    return xr.DataArray(values, dims=("subject", "time", "y", "x"),
                        coords={"subject": [40, 41], "time": TIME})  # fmt: skip


def turning() -> xr.DataArray:
    """Turning heads in whole numbers, large enough for regions, ``(subject, time, y, x)``."""
    ds = fx.testing.audience(
        2, 24 / RATE_HZ, shape=(16, 12), rate_hz=RATE_HZ, turn_deg=4, breath_k=0
    )
    heat = ds.heatmap.isel(session=0, drop=True).compute()
    whole = (20 * (heat - 27)).clip(1, 255).round().fillna(0).astype("f8")
    bare = whole.drop_vars(["frame", "group", "true_lag", "breath_hz"])
    return bare.drop_attrs().assign_attrs(temperature_threshold=2.0)


def recording() -> xr.Dataset:
    """A Dataset with a heatmap."""
    return heat().to_dataset(name="heatmap").assign_attrs(temperature_threshold=22.5)


def relation() -> xr.DataArray:
    """Distances that are whole numbers."""
    points = np.array([0, 1, 9, 12])
    return xr.DataArray(np.abs(points[:, None] - points).astype("f8"),
                        dims=("subject_0", "subject_1"), attrs={"metric": "dtw"},
                        coords={f"subject_{k}": [40, 41, 42, 43] for k in (0, 1)})  # fmt: skip


def samples() -> xr.DataArray:
    """Labelled samples of four people."""
    return fx.prepare(series(), ARGUMENTS["segments"])


def embedding_of_four() -> xr.DataArray:
    """Whole numbers, ``(subject, time, feature)``, of the people of the series."""
    return xr.concat([series(), series().roll(time=3)], "feature").transpose(
        "subject", "time", "feature").assign_coords(feature=["mean", "max"])  # fmt: skip


def values_of_specs() -> xr.Dataset:
    """Whole numbers of two specs, four people and eight segments."""
    value = np.random.default_rng(6).integers(1, 40, (32, 2)).astype("f8")
    like = (("sample", "column"), np.ones((32, 2)))
    return xr.Dataset(
        {"value": (("sample", "column"), value), "sample_energy": like,
         "sample_mobility_hz": like},
        {"subject": ("sample", np.repeat(np.arange(4), 8)), "spec": ["mean", "std"],
         "start": ("sample", np.tile(np.arange(8.0), 4)), "spec_of": ("column", [0, 1]),
         "label": ("sample", np.tile(["calm", "storm"], 16))},
    )  # fmt: skip


def embedding() -> xr.DataArray:
    """Whole numbers, ``(subject, feature, time)``."""
    return fx.embed(heat(), ["mean", "max", "min"], threshold=None).round()


def trace() -> xr.DataArray:
    """A pulse of whole numbers, 1.25 Hz, ten seconds."""
    t = np.arange(300) / RATE_HZ
    wave = np.rint(100 + 20 * np.cos(2 * np.pi * 1.25 * t))
    return xr.DataArray(wave, dims="time", coords={"time": t}, attrs={"units": "1"})


def codes() -> xr.DataArray:
    """Trigger codes."""
    values = np.repeat([0, 7, 0, 3, 0, 9], N // 6).astype("f8")
    return xr.DataArray(values, dims="time", coords={"time": TIME})


def streams() -> xr.Dataset:
    """Feature streams of whole numbers."""
    ds = fx.testing.streams(2, 50, n_embedding=4).compute()
    return ds.assign({n: v.round().astype("f8").assign_attrs(v.attrs) for n, v in ds.items()})


def hearts() -> xr.Dataset:
    """Faces with a pulse, beside their traces."""
    return fx.testing.hearts(4, 1, snr_db=0, shape=(6, 5), seconds=4).compute()


BY_NAME = {"heat": heat, "x": series, "a": series, "d": relation, "d_or_x": relation,
           "samples": samples}  # fmt: skip
"""The first argument, by the name of the parameter."""
MATCHED = {"corrca": embedding, "shared_response": embedding}
"""The first argument of a function that asks for more than its name says."""


def _basis() -> xr.Dataset:
    return fx.pca(heat(), 2, threshold=None).compute()


def _spec() -> str:
    return str(fx.embed(recording(), ["mean", "p50"]).attrs["fhemb_spec"])


def _ones(x: xr.DataArray, *persons: int) -> tuple[xr.DataArray, ...]:
    return tuple(x.isel(subject=p, drop=True) for p in persons)


def _beats() -> xr.DataArray:
    return fx.beats(trace(), kind="pulse").compute()


def _scaler() -> Any:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit(np.arange(6.0).reshape(2, 3))


def _shared() -> xr.Dataset:
    return fx.shared_response(embedding(), 2).compute()


def _paired() -> xr.Dataset:
    ds = hearts()
    return fx.pair(ds, ds["trace"], window_s=2).compute()


SEVERAL: dict[str, Callable[[], Call]] = {
    "lagged_correlation of two": lambda: Call(
        fx.lagged_correlation, (series(), series().roll(time=3)),
        {"window_s": 1, "step_s": 0.5, "max_lag_s": 0.2}, 2),
    "wavelet_coherence": lambda: Call(
        fx.wavelet_coherence, (series(),),
        {"periods_s": (0.2, 0.8), "per_octave": 4, "null": "linear", "n": 3, "seed": 0}),
    "shared_scores": lambda: Call(
        lambda x: fx.shared_scores(x, _shared()), (embedding(),)),
    "shared_weights": lambda: Call(
        lambda x: fx.shared_weights(x, _shared()), (embedding(),)),
    "components": lambda: Call(fx.components, (embedding(), 2), {"n_iter": 2}),
    "components by lags": lambda: Call(
        fx.components, (embedding(), 3), {"method": "sobi", "lags_s": [0.1, 0.2]}),
    "states": lambda: Call(
        fx.states, (embedding(), 3), {"n_iter": 5, "null": "lengths", "n": 3, "seed": 0}),
    "states by k-means": lambda: Call(fx.states, (embedding(), 3), {"method": "kmeans"}),
    "apply_estimator": lambda: Call(
        fx.apply_estimator, (embedding(), _scaler(), "transform")),
    "state_likelihood": lambda: Call(
        fx.state_likelihood, (embedding(), [2, 3]),
        {"n_iter": 5, "null": "order", "n": 3, "seed": 0}),
    "phase_locking": lambda: Call(
        fx.phase_locking, (series(),),
        {"periods_s": (0.2, 0.8), "per_octave": 4, "null": "linear", "n": 3, "seed": 0}),
    "granger": lambda: Call(
        fx.granger, (series(), 0.1),
        {"given": "all", "null": "linear", "margin_s": 0.5, "n": 3, "seed": 0}),
    "granger given": lambda: Call(
        lambda x, s: fx.granger(x, 0.1, given=s), (series(), music()), {}, 2),
    "transfer_entropy": lambda: Call(
        fx.transfer_entropy, (series(), 0.1), {"null": "circular", "n": 3, "seed": 0}),
    "encode": lambda: Call(
        fx.encode, (series(), music()),
        {"lags_s": (0, 0.1), "folds": 3, "gap_s": 0.1, "alphas": [1.0, 100.0],
         "null": "circular", "n": 3, "seed": 0}, 2),
    "recurrence of two": lambda: Call(
        fx.recurrence, (series(), series().roll(time=3)),
        {"radius": 2.5, "normalize": "none", "dim": 2, "delay_s": 0.1, "max_lag_s": 0.2,
         "null": "linear", "margin_s": 0.6, "n": 3, "seed": 0}, 2),
    "pairwise with others": lambda: Call(
        lambda a, b: fx.pairwise(a, "dtw", other=b),
        (series(), series().isel(subject=[0, 2])), {}, 2),
    "clusters of series": lambda: Call(fx.clusters, (series(), 2)),
    "classify with a relation": lambda: Call(
        fx.classify, (samples(), "svm_precomputed"),
        {"relation": fx.pairwise(samples(), "dtw", "sample"), "n_splits": 2,
         "n_permutations": 0, "seed": 0}),
    "regions": lambda: Call(fx.regions, (turning(), ["nose_tip", "forehead"]), {"refine": 0}),
    "prepare": lambda: Call(fx.prepare, (series(), ARGUMENTS["segments"])),
    "nearest": lambda: Call(fx.nearest, (series(), series().isel(subject=[1, 2])), {}, 2),
    "warping_path": lambda: Call(fx.warping_path, _ones(series(), 0, 2), {}, 2),
    "project": lambda: Call(fx.project, (heat(), _basis()), {"threshold": None}),
    "reconstruct": lambda: Call(
        fx.reconstruct, (fx.project(heat(), _basis(), threshold=None).round(), _basis())),
    "from_coefficients": lambda: Call(
        fx.from_coefficients, (fx.wavelet_coefficients(series(), "db2", 2),)),
    "embed": lambda: Call(
        fx.embed, (recording(), ["mean", "p50", "pc0"]), {"pca": {"method": "covariance"}}),
    "replay": lambda: Call(lambda ds: fx.replay(_spec(), ds), (recording(),)),
    "select": lambda: Call(fx.select, (recording(),), {"frames": (8, 80)}),
    "anonymize": lambda: Call(fx.anonymize, (recording(),), {"key": b"k" * 32}),
    "importance": lambda: Call(
        fx.importance, (embedding_of_four(), ARGUMENTS["segments"]),
        {"n_splits": 2, "n_repeats": 3, "n_permutations": 2, "seed": 0}),
    "search_band": lambda: Call(
        fx.search_band, (series(), {"a": [(0, 0.5), (1, 1.5), (2, 2.5)],
                                    "b": [(0.5, 1), (1.5, 2), (2.5, 3)]}, (2.5, 10)),
        {"n_trials": 2, "n_splits": 3, "n_inner": 2, "n_permutations": 1, "seed": 0}),
    "search": lambda: Call(
        fx.search, (values_of_specs(),),
        {"n_splits": 3, "n_inner": 2, "n_permutations": 2, "seed": 0}),
    "spec_values": lambda: Call(
        fx.spec_values, (heat(), {"names": ["mean", "max"]}, ARGUMENTS["segments"])),
    "align": lambda: Call(fx.align, (heat(), trace()), {}, 2),
    "beats": lambda: Call(fx.beats, (trace(),), {"kind": "pulse"}),
    "events": lambda: Call(fx.events, (codes(),)),
    "rr": lambda: Call(fx.rr, (_beats(),)),
    "instantaneous_rate": lambda: Call(fx.instantaneous_rate, (_beats(), heat()), {}, 2),
    "cardiac_wave": lambda: Call(fx.cardiac_wave, (_beats(), heat()), {}, 2),
    "pair": lambda: Call(
        fx.pair, (hearts(), hearts()["trace"]), {"window_s": 2}, 2),
    "train_pairing": lambda: Call(
        fx.train_pairing, (hearts(), hearts()["trace"]), {"window_s": 2}, 2),
    "pairing_accuracy": lambda: Call(
        fx.pairing_accuracy, (_paired(),), {"n_trials": 20, "n_boot": 10}),
    "inspect": lambda: Call(fx.inspect, (streams(), "aus")),
    "normalise": lambda: Call(fx.normalise, (streams(),)),
    "split": lambda: Call(fx.split, (streams(),), {"parts": {"train": 1, "test": 1}}),
    "to_torch": lambda: Call(_windows, (streams(),)),
}  # fmt: skip
"""Calls that do not follow from a signature; the first word is the function."""


def _windows(ds: xr.Dataset) -> xr.Dataset:
    windows = fx.to_torch(ds, 20, variables=["aus", "head"])
    each = [{k: v.numpy() for k, v in windows[i].items()} for i in range(len(windows))]
    names = each[0] if each else []
    return xr.Dataset(
        {k: ((f"{k}_0", f"{k}_1", f"{k}_2"), np.stack([w[k] for w in each])) for k in names}
    )


def by_signature() -> dict[str, Callable[[], Call]]:
    """Calls of public functions whose first argument is one array that we can make."""
    out: dict[str, Callable[[], Call]] = {}
    for name in fx.__all__:
        plain = inspect.unwrap(getattr(fx, name))
        if not doors._checked(plain) or not doors._converts(plain):
            continue
        first, *rest = inspect.signature(plain).parameters.values()
        others = [p for p in rest if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        if first.name in BY_NAME and not any(p.name in doors._checked(plain) for p in others):
            out[name] = lambda name=name, first=first.name: _made(name, first)
    return out


def _made(name: str, first: str) -> Call:
    function = getattr(fx, name)
    known = inspect.signature(function).parameters
    given = {k: v for k, v in ARGUMENTS.items() if k in known} | OF.get(name, {})
    options = {k: v for k, v in given.items() if v is not None}
    return Call(function, (MATCHED.get(name, BY_NAME[first])(),), options)


CALLS = by_signature() | SEVERAL


def told(error: BaseException) -> bool:
    """Whether an error is a sentence that the library itself has raised."""
    where = error.__traceback__
    while where.tb_next is not None:
        where = where.tb_next
    ours = where.tb_frame.f_code.co_filename.startswith(PACKAGE)
    text = str(error.args[0]) if error.args else ""
    return ours and len(text) >= SENTENCE


def changed(x: Any, form: Callable[[xr.DataArray], Any]) -> Any:
    """``x`` in another form; of a Dataset each variable of numbers."""
    if isinstance(x, xr.DataArray):
        return form(x) if x.dtype.kind == "f" else x
    if not isinstance(x, xr.Dataset):
        return x
    return x.assign({n: form(v) for n, v in x.data_vars.items() if v.dtype.kind == "f"})


def results(call: Call, form: Callable[[Any], Any] | None = None) -> dict[str, np.ndarray]:
    """The values of all results that are numbers; dimensions in one order."""
    given = list(call.arguments)
    if form is not None:
        given[: call.arrays] = [form(x) for x in given[: call.arrays]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return numbers(call.function(*given, **call.options))


def numbers(out: Any) -> dict[str, np.ndarray]:
    """The values of a result by variable, time forwards."""
    out = out.compute()
    if "time" in out.dims and "time" in out.coords:
        out = out.sortby("time")
    each = out.data_vars if isinstance(out, xr.Dataset) else {"": out}
    return {
        str(k): v.transpose(*sorted(v.dims, key=str)).values.astype("f8")
        for k, v in each.items()
        if v.dtype.kind in "biuf"
    }


def basis() -> xr.Dataset:
    """Eigenfaces of the heatmap."""
    return fx.pca(heat(), 3, threshold=None)


def lagged_map() -> xr.DataArray:
    """Correlations by window and lag."""
    a, b = _ones(series(), 0, 1)
    return fx.lagged_correlation(a, b, window_s=1, step_s=0.5, max_lag_s=0.2)


def bands() -> xr.DataArray:
    """Bands of the series."""
    return fx.wavelet_bands(series(), "db2", 2)


def powers() -> xr.DataArray:
    """Power by time and frequency."""
    return fx.scalogram(series().isel(subject=0))


def places() -> xr.DataArray:
    """A map of the relation."""
    return fx.embed_relation(relation())


def positions() -> xr.DataArray:
    """Places of the faces in the camera's picture."""
    place = np.random.default_rng(0).uniform(0, 100, (4, N, 2)).astype("f4")
    return xr.DataArray(
        place, dims=("subject", "time", "axis"),
        coords={"subject": [40, 41, 42, 43], "time": TIME, "axis": ["x", "y"],
                "frame": ("time", np.arange(N))},
    )  # fmt: skip


def _drifting() -> xr.DataArray:
    values = np.random.default_rng(2).normal(size=(4, N))
    return series().copy(data=values)


def _scores() -> xr.DataArray:
    values = np.random.default_rng(4).uniform(size=(2, 3, 4))
    return xr.DataArray(values, dims=("metric", "classifier", "split"))


def _film() -> xr.Dataset:
    ds = fx.testing.audience(2, 4, shape=(6, 5)).compute()
    return ds.drop_encoding()


FIGURES: dict[str, Callable[[], Call]] = {
    "accuracy": lambda: Call(
        fx.plot.accuracy,
        (fx.classify(samples(), "knn_euclidean", n_splits=2, n_permutations=3, seed=0),)),
    "band_energy": lambda: Call(fx.plot.band_energy, (bands(),)),
    "bands": lambda: Call(fx.plot.bands, (bands(),)),
    "clusters_at": lambda: Call(
        fx.plot.clusters_at, (fx.clusters(relation(), 2), positions(), 8)),
    "coherence": lambda: Call(
        fx.plot.coherence,
        (fx.wavelet_coherence(_drifting(), periods_s=(0.2, 0.8), per_octave=4),)),
    "phase_locking": lambda: Call(
        fx.plot.phase_locking,
        (fx.phase_locking(_drifting(), periods_s=(0.2, 0.8), per_octave=4),)),
    "encoding": lambda: Call(
        fx.plot.encoding,
        (fx.encode(series(), music(), (0, 0.1), [1.0, 100.0], 3, gap_s=0.1),)),
    "recurrence": lambda: Call(
        fx.plot.recurrence, (fx.recurrence(_drifting(), rate=0.2, max_lag_s=0.4),)),
    "corrca": lambda: Call(
        fx.plot.corrca, (fx.corrca(_drifting().expand_dims(feature=["pc0"]), 1),)),
    "components": lambda: Call(
        fx.plot.components, (fx.components(embedding(), 2, n_iter=2),)),
    "shared_response": lambda: Call(
        fx.plot.shared_response,
        (fx.shared_response(_drifting().expand_dims(feature=["pc0"]), 1),)),
    "states": lambda: Call(fx.plot.states, (fx.states(embedding(), 3, n_iter=5),)),
    "pair": lambda: Call(fx.plot.pair, (_paired(),)),
    "dendrogram": lambda: Call(
        fx.plot.dendrogram, (relation(),), {"clusters": fx.clusters(relation(), 2)}),
    "eigenfaces": lambda: Call(fx.plot.eigenfaces, (basis(),)),
    "frames": lambda: Call(fx.plot.frames, (heat(),)),
    "isc": lambda: Call(
        fx.plot.isc,
        (fx.isc(_drifting(), window_s=1, step_s=0.5, null="circular"),)),
    "synchrony": lambda: Call(
        fx.plot.synchrony, (fx.synchrony(_drifting(), "correlation", 19, seed=0),)),
    "group_isc": lambda: Call(fx.plot.group_isc, (fx.group_isc(_drifting(), n=19, seed=0),)),
    "null_histogram": lambda: Call(
        fx.plot.null_histogram,
        (fx.group_isc(_drifting(), n=19, seed=0).sel(summary="mean"),)),
    "histogram": lambda: Call(
        fx.plot.histogram, (fx.features(heat(), [("bh0", "bh3")], threshold=None),)),
    "lagged": lambda: Call(fx.plot.lagged, (lagged_map(),)),
    "lagged_at": lambda: Call(fx.plot.lagged_at, (lagged_map(),)),
    "normalisation": lambda: Call(fx.plot.normalisation, (streams(), "aus")),
    "pdf": lambda: Call(fx.plot.pdf, (heat(), [0.2, 1.2])),
    "player": lambda: Call(fx.plot.player, (_film(),)),
    "projection": lambda: Call(
        fx.plot.projection, (places(),), {"clusters": fx.clusters(relation(), 2)}),
    "regions": lambda: Call(fx.plot.regions, (fx.regions(turning(), refine=0),)),
    "respiration": lambda: Call(
        fx.plot.respiration,
        (fx.respiration(series(), hz=(2.5, 6), window_s=2.4, step_s=0.4, alpha=0.9),)),
    "relation": lambda: Call(
        fx.plot.relation, (relation(),), {"clusters": fx.clusters(relation(), 2)}),
    "scalogram": lambda: Call(fx.plot.scalogram, (powers(),)),
    "importance": lambda: Call(
        fx.plot.importance,
        (fx.importance(series().expand_dims(feature=["a", "b"], axis=-1),
                       ARGUMENTS["segments"], n_splits=2, n_permutations=9, seed=0),)),
    "search": lambda: Call(
        fx.plot.search,
        (fx.search(values_of_specs(), n_splits=3, n_inner=2, n_permutations=9, seed=0),)),
    "scores": lambda: Call(fx.plot.scores, (_scores(),)),
    "scree": lambda: Call(fx.plot.scree, (basis(),)),
    "signal": lambda: Call(fx.plot.signal, (series(),)),
    "silhouette": lambda: Call(fx.plot.silhouette, (fx.silhouette(relation(), [2, 3]),)),
    "values": lambda: Call(fx.plot.values, (series(),), {"interval": (8, 80)}),
    "warping": lambda: Call(fx.plot.warping, _ones(series(), 0, 1), {}, 2),
}  # fmt: skip
"""A call of every figure, of what the functions before it give."""


def each(options, test):
    """Run ``test`` of every option, as one test; the error names all that fail, and how."""
    faults = {}
    for option in options:
        try:
            test(option)
        except (Exception, pytest.fail.Exception) as error:
            faults[option] = repr(error)[:500]
    assert not faults, "\n".join(f"{option}: {fault}" for option, fault in faults.items())
