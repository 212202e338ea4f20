import dask
import numpy as np
import pytest
import scipy.cluster.hierarchy
import scipy.spatial.distance
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from fhemb_xr.errors import BudgetError, SchemaError, UnknownNameError
from fhemb_xr.kernels.clustering import clusters as trees
from fhemb_xr.kernels.pairwise.matrix_scaling import SCALES
from fhemb_xr.ops.clustering.clusters import clusters, leaf_order, linkage, silhouette
from fhemb_xr.ops.clustering.manifold import embed_relation
from fhemb_xr.ops.clustering.svd import svd_relation
from fhemb_xr.ops.pairwise.matrix import pairwise
from fhemb_xr.ops.pairwise.matrix_scaling import normalize_relation
from fhemb_xr.options import set_options


def points(n=12, seed=0, groups=3):
    """Points of the plane in groups that are far apart."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) + 20 * np.eye(groups)[np.arange(n) % groups][:, :2]


def relation(x=None, ids=None, sessions=0):
    d = scipy.spatial.distance.cdist(*[points() if x is None else x] * 2)
    ids = np.arange(40, 40 + len(d)) if ids is None else ids
    out = xr.DataArray(
        d,
        dims=("subject_0", "subject_1"),
        coords={"subject_0": ids, "subject_1": ids},
        attrs={"metric": "euclidean", "units": "degC"},
        name="relation",
    )
    return out.expand_dims(session=list("ab")[:sessions]).copy() if sessions else out


@pytest.mark.parametrize("method", trees.LINKAGES)
@pytest.mark.parametrize("k", [1, 2, 3, 5, 12])
def test_clusters__are_those_of_scipy(method, k):
    x = points(seed=3)
    tree = scipy.cluster.hierarchy.linkage(scipy.spatial.distance.pdist(x), method)
    expected = scipy.cluster.hierarchy.fcluster(tree, k, "maxclust")
    got = clusters(relation(x), k, method=method)
    assert set(got.values) == set(range(k))
    pairs = np.equal.outer(expected, expected)
    np.testing.assert_array_equal(np.equal.outer(got.values, got.values), pairs)


@pytest.mark.parametrize("method", ["average", "kmedoids", "spectral"])
@given(order=st.permutations(range(12)))
def test_clusters__do_not_depend_on_the_order_of_the_input(method, order):
    d = relation()
    expected = clusters(d, 4, method=method, seed=5)
    got = clusters(d.isel(subject_0=order, subject_1=order), 4, method=method, seed=5)
    xr.testing.assert_identical(got.sortby("subject"), expected)
    np.testing.assert_array_equal(got.subject, d.subject_0[list(order)])


def test_clusters__spectral_follows_groups_that_are_drawn_out():
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    got = clusters(relation(np.concatenate([ring, 4 * ring])), 2, method="spectral", seed=0)
    assert got.values.tolist() == [0] * 40 + [1] * 40
    whole = clusters(relation(np.concatenate([ring, 4 * ring])), 2, method="kmedoids", seed=0)
    assert whole.values.tolist() != got.values.tolist()


def test_clusters__are_numbered_as_the_sorted_labels_first_have_them():
    got = clusters(relation(ids=np.arange(12)[::-1]), 3)
    first = got.sortby("subject").values
    assert [first.tolist().index(c) for c in range(3)] == sorted(
        first.tolist().index(c) for c in range(3)
    )
    assert first[0] == 0


@pytest.mark.parametrize("method", trees.METHODS)
def test_clusters__people_without_data_are_minus_one_and_disturb_nobody(method):
    d = relation()
    expected = clusters(
        d.isel(subject_0=slice(10), subject_1=slice(10)), 3, method=method, seed=0
    )
    d[10:], d[:, 10:] = np.nan, np.nan
    got = clusters(d, 3, method=method, seed=0)
    assert got.values[10:].tolist() == [-1, -1]
    np.testing.assert_array_equal(got[:10], expected)
    assert (clusters(d * np.nan, 3) == -1).all()


def test_clusters__a_single_missing_pair_costs_one_person():
    d = relation()
    d[2, 5] = d[5, 2] = np.nan
    got = clusters(d, 3)
    assert (got == -1).sum() == 1
    assert got.sel(subject=[42, 45]).min() == -1


def test_clusters__find_groups_that_are_there():
    for method in trees.METHODS:
        got = clusters(relation(), 3, method=method, seed=1)
        np.testing.assert_array_equal(got, np.arange(12) % 3)


def test_clusters__are_lazy_and_keep_the_promised_dtype(computes):
    d = relation(sessions=2).chunk(subject_0=3, subject_1=5, session=1)
    with computes(0):
        got = clusters(d, 3)
    assert got.dims == ("session", "subject")
    assert got.name == "cluster"
    assert got.dtype == got.compute().dtype == np.int64
    assert got.attrs["n_clusters"] == 3
    assert got.attrs["method"] == "average"
    xr.testing.assert_identical(got.compute(), clusters(d.compute(), 3))


def test_clusters__of_series_are_those_of_their_warping():
    x = xr.DataArray(
        np.repeat(points(), 10, axis=1), dims=("subject", "time"), coords={"subject": range(12)}
    )
    got = clusters(x.chunk(subject=3, time=7), 3)
    np.testing.assert_array_equal(got, clusters(pairwise(x, "dtw"), 3))
    assert got.attrs["metric"] == "dtw"


def test_clusters__of_a_similarity_put_the_similar_together():
    wave = np.random.default_rng(0).normal(size=(2, 50))
    x = xr.DataArray(wave[[0, 1, 0, 1]] * [[1], [2], [3], [4]], dims=("subject", "time"))
    assert clusters(pairwise(x, "correlation"), 2).values.tolist() == [0, 1, 0, 1]


def test_clusters__of_two_calls_stay_apart():
    d = relation().chunk()
    calls = [
        clusters(d, 2), clusters(d, 3), clusters(d**2, 3, method="single"),
        clusters(d, 3, method="kmedoids", seed=1), silhouette(d, [2, 3]), embed_relation(d),
    ]  # fmt: skip
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (
            lambda d: clusters(d, 0),
            ValueError,
            "n_clusters is a whole number from 1 on, found 0",
        ),
        (lambda d: clusters(d, 2.5), ValueError, "found 2.5"),
        (lambda d: silhouette(d, [0]), ValueError, "k is a whole number"),
        (lambda d: embed_relation(d, n_dims=0), ValueError, "n_dims is a whole number"),
        (lambda d: clusters(d, 2, method="avrage"), UnknownNameError, "nearest are average"),
        (lambda d: embed_relation(d, "mdss"), UnknownNameError, "no map 'mdss'.*mds"),
        (lambda d: normalize_relation(d, "maxx"), UnknownNameError, "no scale 'maxx'.*max"),
        (lambda d: clusters(d[:3], 2), SchemaError, "same entries in rows and columns"),
        (lambda d: normalize_relation(d.rename(subject_0="a"), "max"), SchemaError, "pairwise"),
    ],
)
def test_grouping__names_what_is_wrong(ask, error, text):
    with pytest.raises(error, match=text):
        ask(relation())


def test_clusters__refuse_a_matrix_above_the_budget():
    with set_options(budget=1000), pytest.raises(BudgetError, match="fewer series"):
        clusters(relation().chunk(), 2)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_silhouette__is_that_of_sklearn(k):
    d = relation(points(seed=2))
    expected = silhouette_score(d.values, clusters(d, k).values, metric="precomputed")
    got = silhouette(d.chunk(subject_0=4), [k])
    np.testing.assert_allclose(got.sel(n_clusters=k), expected, atol=1e-12)


def test_silhouette__is_best_for_the_groups_that_are_there(computes):
    with computes(0):
        score = silhouette(relation(sessions=2).chunk(session=1))
    assert score.dims == ("session", "n_clusters")
    assert score.shape == score.compute().shape == (2, 9)
    assert score.idxmax("n_clusters").values.tolist() == [3, 3]


def test_silhouette__of_one_group_of_all_and_of_more_than_all_is_nan():
    assert np.isnan(silhouette(relation(), [1, 12, 13])).all()


def test_mds__gives_the_distances_back():
    x = points()
    d = relation(x)
    out = embed_relation(d.chunk(subject_0=5))
    assert out.dims == ("subject", "component")
    np.testing.assert_allclose(
        scipy.spatial.distance.cdist(*[out.values] * 2), d.values, atol=1e-9
    )
    largest = np.take_along_axis(out.values, np.abs(out.values).argmax(0)[None], 0)
    assert (largest > 0).all()


@pytest.mark.parametrize("method", ["mds", "pca"])
def test_embed_relation__keeps_people_without_data_as_nan(method):
    d = relation()
    expected = embed_relation(d.isel(subject_0=slice(10), subject_1=slice(10)), method)
    d[10:], d[:, 10:] = np.nan, np.nan
    out = embed_relation(d, method)
    assert np.isnan(out[10:]).all()
    np.testing.assert_allclose(out[:10], expected, atol=1e-9)


def test_embed_relation__pca_is_that_of_sklearn():
    from sklearn.decomposition import PCA

    d = relation()
    expected = PCA(2).fit_transform(d.values)
    np.testing.assert_allclose(np.abs(embed_relation(d, "pca")), np.abs(expected), atol=1e-9)


def test_embed_relation__tsne_is_seeded():
    a, b = (embed_relation(relation(), "tsne", seed=4) for _ in range(2))
    xr.testing.assert_identical(a, b)
    assert np.isfinite(a).all()


def test_embed_relation__has_as_many_axes_as_were_asked_for():
    out = embed_relation(relation(), n_dims=20)
    assert out.shape == (12, 20)
    np.testing.assert_allclose(out[:, 12:], 0)


def test_tree__is_that_of_scipy_and_orders_its_leaves():
    d = relation()
    expected = scipy.cluster.hierarchy.linkage(d.values[np.triu_indices(12, 1)], "average")
    tree, rows = linkage(d)
    np.testing.assert_allclose(tree[:, 2:], expected[:, 2:])
    assert rows.tolist() == list(range(12))
    order = leaf_order(d.chunk()).values
    assert sorted(order) == list(range(12))
    assert (np.diff(np.arange(12)[order] % 3) != 0).sum() == 2  # each group lies together
    d[3], d[:, 3] = np.nan, np.nan
    assert leaf_order(d).values[-1] == 3
    assert len(linkage(d)[0]) == 10


@pytest.mark.parametrize("how", SCALES)
def test_normalize_relation__is_the_formula(how):
    m = relation().values + 1
    e = np.exp(m - m.max(1, keepdims=True))
    s = np.diag((m.sum(1) + 1e-8) ** -0.5)
    expected = {
        "none": m, "max": m / m.max(), "minmax": (m - m.min()) / np.ptp(m),
        "zscore": (m - m.mean()) / m.std(), "log": np.log(1 + m), "sym": s @ m @ s,
        "l1": m / np.abs(m).sum(1, keepdims=True), "softmax": e / e.sum(1, keepdims=True),
        "gauss": np.exp(-(m**2) / 2 / np.median(m[~np.eye(12, dtype=bool)]) ** 2),
        "invert": 1 / (1 + m), "complement": 1 - (m - m.min()) / np.ptp(m),
        "l2": m / np.linalg.norm(m, axis=1, keepdims=True),
    }[how]  # fmt: skip
    d = relation(sessions=2) + 1
    d.attrs = relation().attrs
    out = normalize_relation(d.chunk(subject_0=5), how)
    assert out.dims == d.dims
    assert out.dtype == np.float64
    assert out.attrs["units"] == ("degC" if how == "none" else "1")
    np.testing.assert_allclose(out.isel(session=1), expected, atol=1e-12)


@pytest.mark.parametrize("how", SCALES)
def test_normalize_relation__leaves_people_without_data_out(how):
    d = relation()
    expected = normalize_relation(d.isel(subject_0=slice(10), subject_1=slice(10)), how)
    d[10:], d[:, 10:] = np.nan, np.nan
    out = normalize_relation(d, how)
    assert np.isnan(out[10:]).all()
    np.testing.assert_allclose(out[:10, :10], expected, atol=1e-12)
    assert np.isfinite(normalize_relation(d.fillna(0) * 0, how)).all()


def test_embed_relation__of_a_similarity_is_that_of_its_complement():
    d = normalize_relation(relation(), "gauss")
    rows = d.values - d.values.mean(axis=0)
    u, s, _ = np.linalg.svd(rows)
    np.testing.assert_allclose(
        np.abs(embed_relation(d, "pca")), np.abs(u * s)[:, :2], atol=1e-9
    )
    np.testing.assert_array_equal(clusters(d, 3), clusters(1 - d.drop_attrs(), 3))


def test_svd_relation__multiplies_back_and_leaves_people_out(computes):
    d = relation(sessions=2)
    d[1, 3], d[1, :, 3] = np.nan, np.nan
    with computes(0):
        out = svd_relation(d.chunk(session=1, subject_0=5))
    out = out.compute()
    assert out.left.dims == out.right.dims == ("session", "subject", "component")
    back = np.einsum("suc,sc,svc->suv", out.left, out.singular_value, out.right)
    np.testing.assert_allclose(back, d, atol=1e-9)
    assert np.isnan(out.left[1, 3]).all()
    np.testing.assert_allclose(out.singular_value[0], np.linalg.svd(d[0])[1], atol=1e-9)
    assert out.singular_value[1, -1] == 0
    assert out.subject.values.tolist() == d.subject_0.values.tolist()


def test_silhouette__in_intervals_is_that_of_each(computes):
    x = np.random.default_rng(0).normal(size=(8, 60)).cumsum(axis=1)
    x = xr.DataArray(x, dims=("subject", "time"), coords={"time": np.arange(60) / 25})
    with computes(0):
        out = silhouette(x.chunk(subject=3, time=7), [2, 3], window_s=0.8, step_s=0.4)
    assert out.dims == ("window", "n_clusters")
    assert out.window.values.tolist() == [0, 0.4, 0.8, 1.2, 1.6]
    for w in range(5):
        alone = silhouette(x.isel(time=slice(10 * w, 10 * w + 20)), [2, 3])
        np.testing.assert_allclose(out[w], alone, atol=1e-12)
    with pytest.raises(ValueError, match="longer than the series"):
        silhouette(x, window_s=9)
    with pytest.raises(SchemaError, match="'time'"):
        silhouette(relation(), window_s=1)
