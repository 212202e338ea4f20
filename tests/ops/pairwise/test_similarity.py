"""Distance or similarity: one answer for groups, trees, maps and classifiers."""

import numpy as np
import pytest
import scipy.cluster.hierarchy
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.pairwise.matrix_scaling import SCALES
from fhemb_xr.ops.pairwise.similarity import as_distance, is_similarity
from fhemb_xr.plot.pairwise import linkage


def people(n=9):
    """Three groups of series that differ in shape and in level, in mixed order."""
    rng = np.random.default_rng(1)
    t = np.linspace(0, 6, 40)
    shapes = np.stack([np.sin(t), np.cos(2 * t) + 4, t - 6])
    data = shapes[np.arange(n) % 3] + rng.normal(0, 0.2, (n, 40))
    return xr.DataArray(data, dims=("subject", "time"), coords={"subject": np.arange(n)})


@pytest.mark.parametrize("metric", ["euclidean", "correlation", "dcor"])
@pytest.mark.parametrize("how", SCALES)
def test_clusters__are_the_cut_of_the_drawn_tree_for_every_scale(how, metric):
    d = fx.normalize_relation(fx.pairwise(people(), metric), how).compute()
    labels = fx.clusters(d, 3).values
    tree, rows, _ = linkage.tree(linkage.square(d)[0], "average")
    cut = scipy.cluster.hierarchy.cut_tree(tree, 3)[:, 0]
    same = labels[rows][:, None] == labels[rows]
    np.testing.assert_array_equal(same, cut[:, None] == cut)
    assert (tree[:, 2] >= 0).all()


@pytest.mark.parametrize("how", ["gauss", "invert", "complement", "none", "zscore", "log"])
def test_clusters__find_the_groups_whatever_the_scale(how):
    d = fx.pairwise(people(), "euclidean")
    for again in ("none", "minmax", "zscore"):  # a second scale keeps what the first made
        scaled = fx.normalize_relation(fx.normalize_relation(d, how), again)
        assert fx.clusters(scaled, 3).values.tolist() == [0, 1, 2] * 3, again
        assert float(fx.silhouette(scaled, [2, 3, 4]).idxmax("n_clusters")) == 3, again


def test_is_similarity__reads_the_attributes():
    def of(**attrs):
        return is_similarity(xr.DataArray(np.eye(2), dims=("a_0", "a_1"), attrs=attrs))

    assert not of()
    assert of(metric="dcor")
    assert of(metric="dtw", scale="gauss")
    assert not of(metric="dcor", scale="complement")
    assert of(metric="dtw", kind="similarity")
    with pytest.raises(SchemaError, match="kind"):
        of(kind="affinity")


def test_as_distance__is_lazy_and_never_negative(computes):
    d = xr.DataArray(
        [[[np.nan, 3.0, -1.0], [3.0, 0.0, 2.0], [-1.0, 2.0, 0.0]]],
        dims=("session", "subject_0", "subject_1"),
    )
    with computes(0):
        lazy = as_distance(d.chunk())
    expected = [[[0, 4, 0], [4, 1, 3], [0, 3, 1]]]
    np.testing.assert_array_equal(lazy.values, expected)
    assert lazy.dtype == np.float64
    assert lazy.attrs["kind"] == "distance"


def test_clusters__warn_of_a_matrix_that_looks_like_correlations():
    r = xr.DataArray(np.corrcoef(people().values), dims=("subject_0", "subject_1"))
    with pytest.warns(UserWarning, match="kind='similarity'"):
        fx.clusters(r, 3)
    assert fx.clusters(r.assign_attrs(kind="similarity"), 3).values.tolist() == [0, 1, 2] * 3


def test_classify__takes_a_similarity_for_what_it_is():
    v = np.random.default_rng(0).normal(size=(6, 20)) + (np.arange(20) >= 10) * 4
    x = xr.DataArray(v, dims=("subject", "time"), coords={"time": np.arange(20.0)})
    samples = fx.prepare(x, {"calm": (0, 10), "storm": (10, 20)}).drop_vars("start")
    d = fx.normalize_relation(fx.pairwise(samples, "euclidean", "sample"), "gauss")
    out = fx.classify(
        samples, "knn_precomputed", relation=d, n_permutations=0, n_splits=3, seed=0
    )
    assert out.accuracy.values.tolist() == [1.0]
