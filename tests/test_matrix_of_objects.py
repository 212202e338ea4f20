"""Every public function and figure on objects of the wrong kind.

It answers (the object is no wrong one for it), or the library itself says in a sentence what is
wanted, at the call or when the result is computed; never a raw error from inside.
"""

import calls
import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from calls import each, told

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, FhembError

pytest.importorskip("holoviews")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # doubts are said, and not asked
BOTH = calls.CALLS | {f"plot.{name}": make for name, make in calls.FIGURES.items()}
WRONG = {
    "numpy": lambda: np.zeros((4, 30)),
    "a list": lambda: [1.0, 2.0],
    "None": lambda: None,
    "a path": lambda: "a.zarr",
    "a number": lambda: 3.0,
    "series": lambda: calls.series(),
    "a heatmap": lambda: calls.heat(),
    "a recording": lambda: calls.recording(),
    "an embedding": lambda: calls.embedding(),
    "a relation": lambda: calls.relation(),
    "a basis": lambda: calls.basis(),
    "a Dataset of two": lambda: xr.Dataset({"a": calls.series(), "b": calls.relation()}),
    "an empty Dataset": lambda: xr.Dataset(),
    "no dimension": lambda: xr.DataArray(3.0),
    "objects": lambda: calls.series().astype(object),
    "text": lambda: calls.series().astype(str),
    "complex numbers": lambda: calls.series() * 1j,
    "dates": lambda: calls.series().astype("M8[s]"),
    "nobody": lambda: calls.series().isel(subject=slice(0)),
    "faces of nobody": lambda: calls.heat().isel(subject=slice(0)),
    "a recording of nobody": lambda: calls.recording().isel(subject=slice(0)),
    "a relation of nobody": lambda: calls.relation().isel(subject_0=[], subject_1=[]),
    "no frame": lambda: calls.heat().isel(time=slice(0)),
    "all missing": lambda: calls.series() * np.nan,
}


@pytest.fixture(scope="module")
def made():
    """Calls and wrong objects, made once."""
    table = {}

    def of(make, name):
        if (make, name) not in table:
            table[make, name] = make()
        return table[make, name]

    return of


def tried(call, given):
    """Whether the call answers; an error must be a sentence of the library."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = call.function(*given, **call.options)
            if hasattr(out, "__dask_graph__"):
                out.compute(scheduler="synchronous")
    except (FhembError, ValueError, TypeError, KeyError) as error:
        assert told(error), repr(error)  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize("name", list(BOTH))
def test_function__of_a_wrong_object_says_what_it_needs(name, made):
    call = made(BOTH[name], name)

    def test(wrong):
        odd = made(WRONG[wrong], wrong)
        for i in range(call.arrays):
            tried(call, [*call.arguments[:i], odd, *call.arguments[i + 1 :]])

    each(WRONG, test)


SECOND = ("nearest", "warping_path", "lagged_correlation of two", "recurrence of two", "encode",
          "project", "align",
          "reconstruct", "instantaneous_rate", "cardiac_wave", "plot.warping",
          "plot.clusters_at")  # fmt: skip


@pytest.mark.parametrize("name", SECOND)
def test_function__of_a_wrong_second_object_says_what_it_needs(name, made):
    call = made(BOTH[name], name)
    first, rest = call.arguments[0], call.arguments[2:]
    each(WRONG, lambda wrong: tried(call, [first, made(WRONG[wrong], wrong), *rest]))


def huge(dims, sizes):
    """Ten gigabytes and more that fail when they are computed."""
    shape = tuple(sizes.get(d, 1) for d in dims)

    def fail(block):
        raise AssertionError("computed")

    data = da.zeros(shape, chunks=tuple(min(n, 4000) for n in shape), dtype="f8")
    x = xr.DataArray(
        data.map_blocks(fail, dtype="f8", meta=np.empty((0,) * len(shape))), dims=dims
    )
    return x.assign_attrs(sampling_rate=25.0)


LARGE = {"subject": 80, "time": 40_000_000, "feature": 40, "subject_0": 40_000,
         "subject_1": 40_000, "band": 40, "frequency": 40, "window": 40_000, "lag": 40_000,
         "n_clusters": 40_000}  # fmt: skip
FIGURES_OF = {
    "signal": ("subject", "feature", "time"), "bands": ("subject", "band", "time"),
    "band_energy": ("subject", "band", "time"), "scalogram": ("frequency", "time"),
    "lagged": ("window", "lag"),
    "relation": ("subject_0", "subject_1"), "dendrogram": ("subject_0", "subject_1"),
    "histogram": ("subject", "time", "feature"), "silhouette": ("window", "n_clusters"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FIGURES_OF))
def test_figure__of_ten_gigabytes_refuses_at_once(name):
    x = huge(FIGURES_OF[name], LARGE)
    assert x.nbytes > 10**10
    with pytest.raises((BudgetError, FhembError, ValueError)) as error:
        getattr(fx.plot, name)(x)
    assert told(error.value)


def test_matrix__covers_every_figure():
    assert {*calls.FIGURES} == {n for n in fx.plot.__all__ if callable(getattr(fx.plot, n))} - {
        "files"
    }
    assert dask.config.get("scheduler", None) is None


SESSIONS = {
    "of one": lambda x: x.expand_dims(session=["a"]),
    "of one, at the end": lambda x: x.expand_dims(session=["a"], axis=-1),
    "scalar": lambda x: x.assign_coords(session="a"),
    "chosen": lambda x: x.expand_dims(session=["a"]).isel(session=0),
}


def in_session(x, form):
    if isinstance(x, xr.Dataset) and form == "of one, at the end":
        form = "of one"
    known = isinstance(x, xr.DataArray | xr.Dataset) and "session" not in x.dims
    return SESSIONS[form](x) if known else x


@pytest.mark.parametrize("form", list(SESSIONS))
@pytest.mark.parametrize("name", list(calls.FIGURES))
def test_figure__of_a_session_of_one_is_drawn(name, form, made):
    """Everything in the session, or only the first array, as the functions before give it."""
    call = made(calls.FIGURES[name], f"plot.{name}")
    every = [in_session(x, form) for x in call.arguments]
    options = {k: in_session(v, form) for k, v in call.options.items()}
    call.function(*every, **options)
    call.function(
        every[0], *every[1 : call.arrays], *call.arguments[call.arrays :], **call.options
    )


def test_chain__of_a_session_of_one_draws_what_it_makes():
    x = calls.series().expand_dims(session=["a"])
    samples = fx.prepare(x, calls.ARGUMENTS["segments"])
    alike = fx.pairwise(samples, "dtw", "sample")
    groups = fx.clusters(alike, 2)
    for d in (alike, alike.squeeze()):
        fx.plot.relation(d, clusters=groups)
        fx.plot.dendrogram(d, clusters=groups)
        fx.plot.projection(fx.embed_relation(d), clusters=groups)
        fx.plot.projection(fx.svd_relation(d)["left"], clusters=groups.squeeze())
        fx.plot.silhouette(fx.silhouette(d, [2, 3]))
    fx.isc(x, window_s=1, step_s=0.5).compute()
    fx.plot.lagged(fx.lagged_correlation(*[x.isel(subject=k) for k in (0, 1)],
                                         window_s=1, step_s=0.5, max_lag_s=0.2))  # fmt: skip
    components = fx.corrca(calls.embedding().expand_dims(session=["a"]), 1)
    fx.plot.signal(components["scores"])
