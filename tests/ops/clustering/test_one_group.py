import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

import fhemb_xr as fx
from fhemb_xr.errors import UnknownNameError
from fhemb_xr.kernels.clustering import one_group as kernel

K = range(1, 5)


def points(n=16, groups=1, seed=0, n_dims=3):
    x = np.random.default_rng(seed).normal(size=(n, n_dims))
    corners = 8 * np.array([[0, 0], [1, 0], [0.5, 0.87]])
    x[:, :2] += corners[np.arange(n) % groups]
    return x


def relation(x, start=40):
    ids = start + np.arange(len(x))
    return xr.DataArray(
        cdist(x, x),
        dims=("subject_0", "subject_1"),
        coords={"subject_0": ids, "subject_1": ids},
    )


def test_coordinates__have_the_distances_and_principal_axes():
    x = points()
    found = kernel.coordinates(cdist(x, x))
    np.testing.assert_allclose(cdist(found, found), cdist(x, x), atol=1e-10)
    spread = np.cov(found.T)
    np.testing.assert_allclose(spread, np.diag(np.diag(spread)), atol=1e-10)


def test_dispersion__is_the_sum_of_squares_about_the_means():
    x = points(groups=3)
    d = cdist(x, x)
    found = kernel.dispersions(d, [1, 3], "average", 0)
    labels = fx.clusters(relation(x), 3).values
    within = sum(((x[labels == g] - x[labels == g].mean(0)) ** 2).sum() for g in range(3))
    np.testing.assert_allclose(found, np.log([((x - x.mean(0)) ** 2).sum(), within]))


def test_gap_statistic__is_that_of_the_definition():
    x = points(n=10, groups=2)
    out = fx.gap_statistic(relation(x).chunk(subject_0=5), K, n=7, seed=3).compute()
    d = cdist(x, x)
    mapped, rng = kernel.coordinates(d), np.random.default_rng(3)
    low, high = mapped.min(0), mapped.max(0)
    null = []
    for _ in range(7):
        y = rng.uniform(low, high, mapped.shape)
        row = []
        for k in K:
            labels = fx.clusters(relation(y), k).values
            parts = [y[labels == g] for g in range(k)]
            row.append(np.log(sum(((p - p.mean(0)) ** 2).sum() for p in parts)))
        null.append(row)
    expected = np.mean(null, axis=0) - out["log_dispersion"]
    np.testing.assert_allclose(out["gap"], expected, rtol=1e-9)
    error = np.std(null, axis=0) * np.sqrt(1 + 1 / 7)
    np.testing.assert_allclose(out["gap_error"], error, rtol=1e-9)


def test_gap_rules__are_those_of_their_definitions():
    gap, error = np.array([0.1, 0.05, 0.9, 1.0, 0.8]), np.full(5, 0.15)
    tried = [1, 2, 3, 4, 5]
    assert kernel.chosen(gap, error, tried, "first") == 1
    assert kernel.chosen(gap, error, tried, "global") == 3
    assert kernel.chosen(gap, error / 9, tried, "global") == 4
    assert np.isnan(kernel.chosen(np.arange(5.0), error, tried, "first"))
    assert np.isnan(kernel.chosen(gap * np.nan, error, tried, "global"))


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_gap_statistic__finds_how_many_groups_there_are_one_too(groups):
    right = [
        float(fx.gap_statistic(relation(points(18, groups, s)), K, n=20, seed=0).n_groups)
        for s in range(6)
    ]
    assert sum(k == groups for k in right) >= 5


def test_silhouette__with_a_null_calls_one_group_one_and_two_two():
    hits = []
    for seed in range(12):
        out = fx.silhouette(relation(points(14, 1, seed)), range(2, 5), null=19, seed=0)
        hits.append(bool((out["p_fwer"] <= 0.05).any()))
    assert sum(hits) <= 3  # more: .002 where the rate is .05
    d = relation(points(14, 2))
    out = fx.silhouette(d, range(2, 5), null=39, seed=0)
    assert float(out["p_fwer"].sel(n_clusters=2)) == 1 / 40
    plain = fx.silhouette(d, range(2, 5))
    np.testing.assert_allclose(out["silhouette"], plain, rtol=1e-12)
    assert float(out["silhouette"].max()) > float(out["null_high"].max())


@pytest.mark.parametrize("method", ["kmedoids", "spectral"])
def test_silhouette__with_a_null_takes_the_methods_of_relations(method):
    d = relation(points(12, 2))
    out = fx.silhouette(d, [2, 3], method=method, null=9, seed=1)
    plain = fx.silhouette(d, [2, 3], method=method, seed=1)
    np.testing.assert_allclose(out["silhouette"], plain, rtol=1e-12)
    again = fx.silhouette(d.chunk(subject_0=5), [2, 3], method=method, null=9, seed=np.int64(1))
    xr.testing.assert_allclose(again.compute(), out)


def test_one_group__computes_nothing_and_leaves_out_who_has_no_data(computes):
    x = xr.DataArray(points(8, 2, n_dims=40), dims=("subject", "time")).chunk(subject=3)
    x = x.assign_attrs(sampling_rate=10.0)
    with computes(0):
        gap = fx.gap_statistic(x, range(1, 4), n=3, seed=0)
        tested = fx.silhouette(x, [2, 3], null=3, seed=0, window_s=2)
    assert gap["gap"].dtype == gap["n_groups"].compute().dtype == np.float64
    assert tested["p"].dims == ("window", "n_clusters")
    d = relation(points(9, 2))
    d[4] = d[:, 4] = np.nan
    rest = np.delete(np.arange(9), 4)
    few = d.isel(subject_0=rest, subject_1=rest)
    for function in (
        lambda r: fx.gap_statistic(r, K, n=5, seed=0),
        lambda r: fx.silhouette(r, [2, 3], null=5, seed=0),
    ):
        xr.testing.assert_allclose(function(d), function(few))
        assert all(np.isnan(v).all() for v in function(d * np.nan).values())
        assert all(np.isnan(v).all() for v in function(relation(points(2))).values() if v.ndim)


def test_one_group__says_what_is_wrong():
    d = relation(points())
    for options, error, text in (
        ({"null": 9}, ValueError, "give seed=0"),
        ({"alpha": 0.1}, ValueError, "without null"),
        ({"null": 0, "seed": 0}, ValueError, "null is a whole number"),
        ({"null": 9, "seed": 0, "method": "dba"}, UnknownNameError, "average"),
        ({"null": 9, "seed": 0, "alpha": 2}, ValueError, "between 0 and 1"),
    ):
        with pytest.raises(error, match=text):
            fx.silhouette(d, [2, 3], **options)
    for k in ([2], [1, 3], [3, 2]):
        with pytest.raises(ValueError, match="in a row"):
            fx.gap_statistic(d, k, seed=0)
    with pytest.raises(UnknownNameError, match="global"):
        fx.gap_statistic(d, seed=0, rule="best")


def test_plot__draws_silhouettes_over_those_of_one_group():
    plot = pytest.importorskip("fhemb_xr.plot")
    hv = pytest.importorskip("holoviews")
    out = fx.silhouette(relation(points(10, 2)), [2, 3], null=9, seed=0)
    figure = out.fhemb.plot.silhouette()
    (band,) = figure.traverse(lambda e: e, [hv.Area])
    np.testing.assert_allclose(band.dimension_values("silhouette_high"), out["null_high"])
    hv.render(figure, backend="matplotlib")
    with pytest.raises(ValueError, match="null=99"):
        plot.silhouette(out.drop_vars("null_low"))
