"""Every public function of one array on every awkward form of the same numbers.

The result is that of float64, or an error of the library at the call. A new function of
``fx.__all__`` joins by its signature; if it needs an argument that is not in ``ARGUMENTS``, it
is asked for.
"""

import inspect
import warnings

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import FhembError
from fhemb_xr.ops import doors

N = 96
TIME = np.arange(N) / 25
ARGUMENTS = {
    "hz": (1, 4), "n_clusters": 2, "names": ["mean", "max", "p50", "skew"], "window_s": 1.0,
    "step_s": 0.5, "max_lag_s": 0.4, "threshold": 22.5, "how": "minmax", "metric": "euclidean",
    "shape": (3, 2), "n": 1, "statistic": "correlation", "seed": 0, "n_permutations": 0,
    "n_components": 2, "classifiers": "knn_euclidean", "n_splits": 2, "method": None,
    "level": 2, "kind": "respiration",
    "segments": {"calm": [(0, 0.8), (1, 1.8)], "storm": [(2, 2.8), (3, 3.8)]},
}  # fmt: skip
OF: dict[str, dict[str, object]] = {
    "isc": {"how": "leave_one_out", "n": None, "seed": None},
    "pairwise": {"max_lag_s": None},
    "silhouette": {"k": [2, 3], "window_s": None, "step_s": None},
    "surrogates": {"method": "circular", "level": None},
    "synchrony": {"n": 3, "level": None},
}
"""Arguments of one function; None: left out."""
KNOWN: dict[tuple[str, str], str] = {}
"""Failures that are known, ``(function, form): reason``; strict."""


def series() -> xr.DataArray:
    """Whole numbers that every dtype can hold, ``(subject, time)``."""
    values = np.random.default_rng(0).integers(20, 40, (4, N)).astype("f8")
    values[:2] = np.sort(values[:2])
    return xr.DataArray(values, dims=("subject", "time"),
                        coords={"subject": [40, 41, 42, 43], "time": TIME})  # fmt: skip


def heat() -> xr.DataArray:
    """The same with pixels, ``(subject, time, y, x)``."""
    values = np.random.default_rng(1).integers(20, 40, (2, N, 4, 3)).astype("f8")
    return xr.DataArray(values, dims=("subject", "time", "y", "x"),
                        coords={"subject": [40, 41], "time": TIME})  # fmt: skip


def relation() -> xr.DataArray:
    """Distances that are whole numbers."""
    points = np.array([0, 1, 9, 12])
    return xr.DataArray(np.abs(points[:, None] - points).astype("f8"),
                        dims=("subject_0", "subject_1"), attrs={"metric": "dtw"})  # fmt: skip


def samples() -> xr.DataArray:
    """Labelled samples of four people."""
    return fx.prepare(series(), ARGUMENTS["segments"])


BY_NAME = {"heat": heat, "x": series, "a": series, "d": relation, "d_or_x": relation,
           "samples": samples}  # fmt: skip
"""The first argument, by the name of the parameter."""
OF_FUNCTION = {
    "corrca": lambda: fx.embed(heat(), ["mean", "max", "min"], threshold=None).round()
}
"""The first argument of a function that asks for more than its name says."""
FORMS = {
    **{
        d: lambda x, d=d: x.astype(d)
        for d in ("f2", "f4", ">f4", ">f8", "g", "u1", ">i2", "i8")
    },
    "lazy": lambda x: x.chunk(),
    "turned": lambda x: x.transpose(),
    "masked": lambda x: x.copy(data=da.ma.masked_invalid(da.from_array(x.values, chunks=-1))),
}
CLOCKS = {
    "gap": lambda x: x.assign_coords(time=np.where(TIME > 2, TIME + 7, TIME)),
    "stale": lambda x: x.assign_attrs(sampling_rate=5.0),
}


def functions() -> dict[str, object]:
    """Public functions whose first argument is one array that we can make."""
    out = {}
    for name in fx.__all__:
        function = getattr(fx, name)
        plain = inspect.unwrap(function)
        if not doors._checked(plain) or not doors._converts(plain):
            continue
        first, *rest = inspect.signature(plain).parameters.values()
        others = [p for p in rest if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        if first.name in BY_NAME and not any(p.name in doors._checked(plain) for p in others):
            out[name] = function
    return out


FUNCTIONS = functions()


def called(name: str, x: xr.DataArray) -> dict[str, np.ndarray]:
    """The values of all results that are numbers; dimensions in one order."""
    function = FUNCTIONS[name]
    known = inspect.signature(function).parameters
    given = {k: v for k, v in ARGUMENTS.items() if k in known} | OF.get(name, {})
    given = {k: v for k, v in given.items() if v is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        out = function(x, **given)
        out = out.compute()
    each = out.data_vars if isinstance(out, xr.Dataset) else {"": out}
    return {
        str(k): v.transpose(*sorted(v.dims, key=str)).values.astype("f8")
        for k, v in each.items()
        if v.dtype.kind in "biuf"
    }


@pytest.fixture(scope="module")
def reference():
    """Results for native float64, made once."""
    made = {}

    def of(name):
        if name not in made:
            first = next(iter(inspect.signature(FUNCTIONS[name]).parameters))
            x = OF_FUNCTION.get(name, BY_NAME[first])()
            x.attrs.pop("fhemb_spec", None)
            made[name] = x, called(name, x)
        return made[name]

    return of


def cases(forms):
    for name in FUNCTIONS:
        for form in forms:
            mark = pytest.mark.xfail(strict=True, reason=KNOWN.get((name, form), ""))
            yield pytest.param(name, form, marks=mark if (name, form) in KNOWN else ())


@pytest.mark.parametrize(("name", "form"), [*cases(FORMS)])
def test_function__gives_what_float64_gives_or_refuses(name, form, reference):
    x, expected = reference(name)
    try:
        found = called(name, FORMS[form](x))
    except (FhembError, ValueError, TypeError) as error:
        assert "fhemb_xr" in type(error).__module__ or len(str(error)) > 20  # noqa: PT017
        return
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=2e-4, atol=2e-3, err_msg=key)


@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize("n", [0, 1])
def test_function__of_nothing_or_one_moment_answers_or_refuses(name, n, reference):
    x, _ = reference(name)
    dim = "time" if "time" in x.dims else x.dims[0]
    short = x.isel({d: slice(n) for d in x.dims if str(d).startswith(str(dim)[:4])})
    try:
        called(name, short)
    except FhembError:
        return
    except (ValueError, TypeError, KeyError) as error:
        assert len(str(error)) > 20  # noqa: PT017


def test_matrix__covers_the_functions_of_arrays():
    assert {"features", "pca", "pairwise", "clusters", "isc", "wavelet_bands"} <= {*FUNCTIONS}
