"""Every method with every option: used, or refused in one sentence."""

import inspect
import itertools
import re

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr import plot
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops import option_tables
from fhemb_xr.ops.option_tables import TABLES
from fhemb_xr.ops.pairwise.metric_options import POINT_METRICS
from fhemb_xr.ops.pca.pca_options import METHODS as PCA_METHODS

RNG = np.random.default_rng(0)
X = xr.DataArray(
    RNG.normal(size=(3, 60)), dims=("subject", "time"), attrs={"sampling_rate": 10}
)
GAPPED = X.where(abs(X.time - 30) > 2)
HEAT = xr.DataArray(30 + RNG.normal(size=(40, 4, 3)), dims=("time", "y", "x"))


def function_of(name):
    return inspect.unwrap(
        getattr(plot, name[5:]) if name.startswith("plot.") else getattr(fx, name)
    )


@pytest.mark.parametrize("name", TABLES)
def test_table__has_the_defaults_of_the_signature(name):
    parameters = inspect.signature(function_of(name)).parameters
    for table in TABLES[name]:
        for option, usual in table.usual.items():
            if option in parameters:
                assert parameters[option].default == usual, option
        asked = {option for names in table.takes.values() for option in names}
        assert asked <= {*table.usual}


PAIRWISE = {
    "window": {"window": 3}, "itakura": {"itakura": 2.0}, "local": {"local": "cityblock"},
    "p": {"p": 2.0, "local": "minkowski"}, "precision": {"precision": "single"},
    "gamma": {"gamma": 0.5}, "radius": {"radius": 4}, "max_lag_s": {"max_lag_s": 0.4},
}  # fmt: skip
PCA = {
    "kernel": {"kernel": "sigmoid"}, "gamma": {"gamma": 0.3},
    "degree": {"kernel": "poly", "degree": 2}, "coef0": {"kernel": "poly", "coef0": 0.5},
    "landmarks": {"landmarks": 9, "seed": 0}, "alpha": {"alpha": 3.0},
}  # fmt: skip
SAMPLES = fx.prepare(
    xr.DataArray(
        RNG.normal(size=(8, 40)), dims=("subject", "time"), attrs={"sampling_rate": 1}
    ),
    {"calm": [(0, 10), (10, 20)], "storm": [(20, 30), (30, 40)]},
)


def pairwise(metric, **options):
    more = {"max_lag_s": 0.2} if metric == "max_lagged_correlation" else {}
    return fx.pairwise(X, metric, **more | options)


def pca(method, **options):
    more = {"seed": 0} if method == "randomized" else {}
    return fx.pca(HEAT, 2, method=method, **more | options)["explained_variance"]


def pca_of_kernel(kernel, **options):
    return fx.pca(HEAT, 2, method="kernel", kernel=kernel, **options)["explained_variance"]


def isc(null, **options):
    more = {"phase": {"seed": 0}, "iaaft": {"seed": 0}, "swap": {"across": "row"}}.get(null, {})
    x = X.isel(subject=[0, 1, 2, 0, 1]) + RNG.normal(size=(5, 60)) * 0
    x = x.assign_coords(row=("subject", [*"aabbb"]), line=("subject", [*"ababa"]))
    found = fx.isc(x.assign_attrs(X.attrs), null=null, **more | options)
    return xr.merge([found, xr.Dataset(attrs=found.attrs)]) if null else found


def surrogates(method, **options):
    return fx.surrogates(X, 2, method=method, seed=0, **options)


def bands(function):
    def call(gaps, **options):
        return function(GAPPED, gaps=gaps, **options)

    return call


def features(family, **options):
    name = {"bh": "bh0", "pc": "pc0", "p": "p5"}.get(family, family)
    basis = fx.pca(HEAT, 2)
    if family == "pc" and "pca" not in options:
        options["pca"] = basis
    if isinstance(options.get("pca"), str):
        options["pca"] = basis.assign(mean=basis["mean"] + 1)
    return fx.features(HEAT, [name], **options)


FAMILIES = {
    "pairwise": (pairwise, option_tables.PAIRWISE, metrics.METRICS, PAIRWISE),
    "points": (
        lambda local, **options: fx.pairwise(X, "dtw", local=local, **options),
        option_tables.POINTS,
        [m for m in POINT_METRICS if m != "mahalanobis"],
        {"p": {"p": 2.0}},
    ),
    "pca": (pca, option_tables.PCA, PCA_METHODS, PCA),
    "kernels": (
        pca_of_kernel,
        option_tables.KERNEL,
        ("linear", "rbf", "poly", "sigmoid"),
        {"gamma": {"gamma": 0.2}, "degree": {"degree": 2}, "coef0": {"coef0": 0.2}},
    ),
    "barycentre": (
        lambda method, **options: fx.barycentre(X, method, **options),
        option_tables.BARYCENTRE,
        ("dba", "soft_dtw", "mean"),
        {"gamma": {"gamma": 0.1}, "max_iter": {"max_iter": 1}},
    ),
    "isc": (
        isc,
        option_tables.NULL,
        (None, "circular", "linear", "swap", "phase", "iaaft"),
        {
            "margin_s": {"margin_s": 1.0}, "across": {"across": "line"}, "n": {"n": 19},
            "tail": {"tail": "both"}, "alpha": {"alpha": 0.3}, "seed": {"seed": 4},
        },
    ),
    "surrogates": (
        surrogates,
        option_tables.SURROGATE,
        ("circular", "linear", "phase", "iaaft", "block"),
        {"block_s": {"block_s": 0.5}, "level": {"level": 2}, "margin_s": {"margin_s": 1.0}},
    ),
    "bands": (
        bands(lambda x, **o: fx.wavelet_filter(x, [1], "haar", 2, **o)),
        option_tables.GAPS,
        ("split", "fill", "propagate"),
        {"max_gap_s": {"max_gap_s": 0.1}},
    ),
    "bandpass": (
        bands(lambda x, **o: fx.bandpass(x, (1, 3), **o)),
        option_tables.GAPS,
        ("split", "fill"),
        {"max_gap_s": {"max_gap_s": 0.1}},
    ),
    "features": (
        features,
        option_tables.FEATURES,
        ("mean", "p", "bh", "entropy", "pc"),
        {
            "bins": {"bins": 3}, "density": {"density": False},
            "entropy_bins": {"entropy_bins": 4}, "pca": {"pca": "other"},
        },
    ),
}  # fmt: skip
CELLS = [
    pytest.param(name, method, option, id=f"{name}-{method}-{option}")
    for name, (_, table, methods, _) in FAMILIES.items()
    for method, option in itertools.product(methods, FAMILIES[name][3])
]


@pytest.mark.filterwarnings("ignore:.*surrogates|the smallest p|blocks laid")
@pytest.mark.parametrize(("name", "method", "option"), CELLS)
def test_option__is_used_or_refused(name, method, option):
    call, table, _, values = FAMILIES[name]
    if option not in table.takes.get(method, ()):
        said = rf"{re.escape(repr(method))} has no option '\w+', found .*belongs to "
        with pytest.raises(ValueError, match=said):
            call(method, **values[option])
        return
    context = {k: v for k, v in values[option].items() if k != option}
    usual, changed = call(method, **context), call(method, **values[option])
    assert not usual.identical(changed)
