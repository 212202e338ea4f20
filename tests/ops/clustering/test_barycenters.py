import dask
import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from sklearn.metrics import silhouette_score
from tslearn import barycenters, clustering, metrics

from fhemb_xr.errors import BudgetError, SchemaError, UnknownNameError
from fhemb_xr.kernels.clustering import kshape
from fhemb_xr.ops.clustering.barycenters import BARYCENTRES, METHODS, barycentre
from fhemb_xr.ops.clustering.clusters import clusters, silhouette
from fhemb_xr.ops.pairwise.matrix import pairwise
from fhemb_xr.options import set_options

GROUP = np.array([0, 1, 0, 1, 0, 1, 0, 1])


def waves(features=0, sessions=0, t=24):
    """Two groups: a bump and a dip, each moved a little in time."""
    rng = np.random.default_rng(0)
    at = 11 + rng.integers(-2, 3, GROUP.size)
    bump = np.exp(-0.5 * ((np.arange(t) - at[:, None]) / 2) ** 2)
    data = np.where(GROUP[:, None] == 0, 1, -1) * 3 * bump + 0.05 * rng.normal(size=bump.shape)
    x = xr.DataArray(
        data,
        dims=("subject", "time"),
        coords={"subject": np.arange(47, 39, -1), "time": np.arange(t) / 25},
        attrs={"units": "degC", "sampling_rate": 25.0},
    )
    if features:
        x = xr.concat([x, 2 * x], "feature").assign_attrs(x.attrs)
    return x.expand_dims(session=list("ab")[:sessions]).copy() if sessions else x


def partition(labels):
    return np.equal.outer(np.asarray(labels), np.asarray(labels))


@pytest.mark.parametrize("method", METHODS)
def test_clusters__by_prototypes_find_the_groups(method):
    got = clusters(waves(), 2, method=method, seed=1)
    np.testing.assert_array_equal(partition(got), partition(GROUP))
    assert got.sortby("subject").values[0] == 0
    assert got.attrs["method"] == got.attrs["metric"] == method


@pytest.mark.parametrize("method", ["dba", "kshape"])
def test_clusters__by_prototypes_do_not_depend_on_the_order_or_the_chunks(method, computes):
    x = waves(features=2, sessions=2)
    expected = clusters(x, 3, method=method, seed=3)
    turned = x.isel(subject=[3, 1, 0, 2, 7, 5, 6, 4]).chunk(subject=3, time=7, session=1)
    with computes(0):
        got = clusters(turned, 3, method=method, seed=3)
    assert got.dtype == got.compute().dtype == np.int64
    xr.testing.assert_identical(got.compute().sortby("subject"), expected.sortby("subject"))


def test_clusters__by_prototypes_leave_out_who_misses_a_sample_or_has_no_shape():
    x = waves()
    expected = clusters(x[2:], 2, method="dba", seed=0)
    x[0, 3] = np.nan
    x[1] = 30.0
    got = clusters(x, 2, method="kshape", seed=0)
    assert got[:2].values.tolist() == [-1, -1]
    np.testing.assert_array_equal(partition(got[2:]), partition(expected))
    assert (clusters(x * np.nan, 2, method="dba", seed=0) == -1).all()
    assert clusters(x[2:5], 9, method="dba", seed=0).sortby("subject").values.tolist() == [
        0,
        1,
        2,
    ]


def test_silhouette__by_prototypes_is_that_of_sklearn(computes):
    x = waves(sessions=2)
    with computes(0):
        got = silhouette(x.chunk(session=1), [2, 3], method="dba", seed=0)
    d = metrics.cdist_dtw(x[0].values[..., None])
    labels = clusters(x[0], 3, method="dba", seed=0)
    expected = silhouette_score(d, labels.values, metric="precomputed")
    np.testing.assert_allclose(got.sel(n_clusters=3), expected, atol=1e-9)
    assert got.idxmax("n_clusters").values.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [("euclidean", "euclidean"), ("soft_dtw_divergence", "softdtw"), ("dtw", "dtw")],
)
@pytest.mark.parametrize("features", [0, 2])
def test_silhouette__by_a_metric_is_that_of_tslearn(metric, theirs, features, computes):
    x = waves(features=features)
    with computes(0):
        got = silhouette(x.chunk(time=9), [2, 3], method="kmeans", metric=metric, seed=0)
    labels = clusters(x, 3, method="kmeans", seed=0).values
    values = x.transpose("subject", "time", ...).values.reshape(8, 24, -1)
    expected = clustering.silhouette_score(values, labels, metric=theirs)
    np.testing.assert_allclose(got.sel(n_clusters=3), expected, atol=1e-9)
    assert got.attrs["metric"] == metric


def test_silhouette__by_a_metric_cuts_the_tree_of_that_metric_and_leaves_relations_alone():
    x = waves()
    for metric in ("correlation", "euclidean"):
        d = pairwise(x, metric)
        xr.testing.assert_equal(silhouette(x, [2, 3], metric=metric), silhouette(d, [2, 3]))
    with pytest.raises(ValueError, match="a relation has its metric, found metric='euclidean'"):
        silhouette(d, [2], metric="euclidean")
    with pytest.raises(UnknownNameError, match="no metric 'cosine'"):
        silhouette(x, [2], metric="cosine")


def test_kshape__correlates_at_every_shift_as_the_loop_does():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(3, 2, 15)), rng.normal(size=(2, 2, 15))
    best, shift = kshape.nearest_shift(x, y)
    for i, j in np.ndindex(3, 2):
        cross = {
            s: (kshape.moved(x[i : i + 1], np.array([s]))[0] * y[j]).sum()
            for s in range(-14, 15)
        }
        top = max(cross, key=cross.get)
        expected = cross[top] / np.linalg.norm(x[i]) / np.linalg.norm(y[j])
        assert shift[i, j] == top
        assert best[i, j] == pytest.approx(expected, abs=1e-12)


def test_kshape__finds_the_eigenvector_of_the_paper():
    x = kshape.standardised(np.random.default_rng(5).normal(size=(4, 1, 12)))
    q = np.eye(12) - 1 / 12
    _, vectors = scipy.linalg.eigh(q @ x[:, 0].T @ x[:, 0] @ q)
    expected = kshape.standardised(vectors[:, -1])
    got = kshape.middle(x, np.zeros((1, 12)))[0]
    np.testing.assert_allclose(
        got * np.sign(got[0]), expected * np.sign(expected[0]), atol=1e-9
    )
    assert (x[:, 0] @ got).sum() > 0


def test_kshape__leaves_no_group_empty():
    x = waves().values[:, None]
    groups, centres = kshape.kshape(np.repeat(x[:1], 6, 0), 4, np.random.default_rng(0))
    assert set(groups) == {0, 1, 2, 3}
    assert np.isfinite(centres).all()


@pytest.mark.parametrize("features", [0, 2])
@pytest.mark.parametrize("method", BARYCENTRES)
def test_barycentre__is_that_of_tslearn(method, features, computes):
    x = waves(features)
    with computes(0):
        how = {"gamma": 0.5} if method == "soft_dtw" else {}
        got = barycentre(x.chunk(subject=3, time=5), method, **how)
    series = x.transpose("subject", "time", ...).values.reshape(len(GROUP), x.sizes["time"], -1)
    expected = {
        "dba": lambda: barycenters.dtw_barycenter_averaging(series, max_iter=50),
        "soft_dtw": lambda: barycenters.softdtw_barycenter(series, gamma=0.5),
        "mean": lambda: barycenters.euclidean_barycenter(series),
    }[method]()
    assert got.dtype == got.compute().dtype == np.float64
    assert got.attrs["units"] == "degC"
    np.testing.assert_array_equal(got.time, x.time)
    got = got.transpose("time", ...).values.reshape(expected.shape)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_barycentre__by_dba_is_nearer_to_all_than_the_mean():
    x = waves()[GROUP == 0]
    cost = {
        m: sum(metrics.dtw(barycentre(x, m).values, s) ** 2 for s in x.values)
        for m in ("dba", "mean")
    }
    assert cost["dba"] < cost["mean"] / 2


def test_barycentre__of_every_group_is_that_of_its_members(computes):
    x = waves(sessions=2)
    labels = clusters(x.chunk(), 2, method="dba", seed=0)
    with computes(0):
        got = barycentre(x.chunk(session=1), "mean", labels=labels)
    assert got.dims == ("session", "cluster", "time")
    first = x[0][labels[0].values == 0]
    np.testing.assert_allclose(got.sel(session="a", cluster=0), first.mean("subject"))
    few = labels.compute()[..., 2:]  # who has no label is in no group
    kept = x[0, 2:][few[0].values == 1]
    with_few = barycentre(x, "mean", labels=few)
    np.testing.assert_allclose(with_few.sel(session="a", cluster=1), kept.mean("subject"))


def test_barycentre__leaves_out_who_misses_a_sample():
    x = waves()
    expected = barycentre(x[1:])
    x[0, 5] = np.nan
    np.testing.assert_array_equal(barycentre(x), expected)
    assert np.isnan(barycentre(x[:1])).all()


def test_prototypes__of_two_calls_stay_apart():
    x = waves().chunk()
    calls = [
        barycentre(x), barycentre(x, "mean"), barycentre(x + 1), barycentre(x, max_iter=1),
        clusters(x, 2, method="dba", seed=0), clusters(x, 3, method="dba", seed=0),
    ]  # fmt: skip
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda x: barycentre(x, "dbaa"), UnknownNameError, "no barycentre 'dbaa'.*dba"),
        (lambda x: barycentre(x, gamma=0), ValueError, "gamma is a positive number, found 0"),
        (lambda x: barycentre(x, max_iter=-1), ValueError, "max_iter is a whole number from 1"),
        (lambda x: barycentre(x, dim="seat"), SchemaError, "'seat'"),
        (lambda x: barycentre(x, labels=x[:, 0]), SchemaError, "fx.clusters"),
        (
            lambda x: clusters(x.rename(subject="a_0", time="a_1"), 2, method="dba"),
            SchemaError,
            "give the series",
        ),
    ],
)
def test_prototypes__name_what_is_wrong(ask, error, text):
    with pytest.raises(error, match=text):
        ask(waves())


def test_prototypes__refuse_more_than_the_budget():
    with set_options(budget=1000), pytest.raises(BudgetError, match="less time or fewer"):
        barycentre(waves())
