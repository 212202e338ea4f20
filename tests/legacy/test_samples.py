"""Relations, groups, classifiers by the original's names, against tslearn and scikit-learn."""

import numpy as np
import pytest
from scipy.spatial import distance

import fhemb_xr as fx
import fhemb_xr.legacy as fhemb
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.legacy import scores
from fhemb_xr.legacy.relations import related

pytest.importorskip("holoviews")
metrics = pytest.importorskip("tslearn.metrics")
sklearn = pytest.importorskip("sklearn")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def tables(piece):
    table = piece.face_t.project(features=["p80"]).get_df_ts_subjs("p80")
    return [t.reset_index(drop=True).T for t in (table.iloc[:60], table.iloc[140:])]


@pytest.fixture(scope="module")
def split(tables):
    x, y = fhemb.prepare_data(*tables)
    scores._same_faces.cache_clear()
    with pytest.warns(UserWarning, match="same people are in both parts"):
        return fhemb.split_scale_data(x, y, random_state=0, normalize="meanvar")


def test_prepare_data__balances_sound_and_different_samples(tables):
    x, y = fhemb.prepare_data(*tables)
    assert x.shape == (64, 60)
    assert np.bincount(y).tolist() == [32, 32]
    a = RNG.normal(size=(5, 4, 3))
    a[1, 0, 0], a[3] = np.nan, a[0]
    x, y = fhemb.prepare_data(a, RNG.normal(size=(4, 4, 3)))
    np.testing.assert_array_equal(x[:3], a[[0, 2, 4]])
    assert y.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="need samples of one shape"):
        fhemb.prepare_data(a, np.ones((2, 3)))


def test_split__is_scikit_learns_scaled_by_tslearn(tables, split):
    from sklearn.model_selection import train_test_split
    from tslearn.preprocessing import TimeSeriesScalerMeanVariance

    x, y = fhemb.prepare_data(*tables)
    a, b, ya, yb = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
    assert [p.shape for p in split[:4]] == [a.shape, b.shape, ya.shape, yb.shape]
    expected = TimeSeriesScalerMeanVariance().fit_transform(b)[..., 0]
    np.testing.assert_allclose(split[1], expected, rtol=1e-12)
    np.testing.assert_array_equal(split[3], yb)
    same = fhemb.split_scale_data(x, y, random_state=0, normalize=split[4])
    np.testing.assert_array_equal(same[1], split[1])
    assert fhemb.split_scale_data(x, y, normalize=False)[4] is None


@pytest.mark.filterwarnings("ignore:the same people are in both parts")
def test_split__fits_its_own_scaler_to_the_training_part_and_a_given_one_never(tables):
    from sklearn.preprocessing import StandardScaler

    x, y = fhemb.prepare_data(*tables)
    other = RNG.normal(50, 4, (9, x.shape[1]))
    given = StandardScaler().fit(other)
    train, test, _, _, back = fhemb.split_scale_data(x, y, random_state=0, normalize=given)
    plain = fhemb.split_scale_data(x, y, random_state=0)
    assert back is given
    for mine, raw in ((train, plain[0]), (test, plain[1])):
        np.testing.assert_allclose(mine, (raw - other.mean(0)) / other.std(0), rtol=1e-9)
    np.testing.assert_array_equal(given.mean_, other.mean(0))
    with pytest.raises(ValueError, match="StandardScaler was not fitted: fit it to the"):
        fhemb.split_scale_data(x, y, normalize=StandardScaler())
    seen = []
    fit = fhemb.split_scale_data(x, y, random_state=0, normalize="minmax")[4].fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(fit.__self__), "fit", lambda s, a, y=None: seen.append(a) or fit(a))
        fhemb.split_scale_data(x, y, random_state=0, normalize="minmax")
    (only,) = seen
    np.testing.assert_array_equal(only, plain[0])


def test_accuracies__are_those_of_the_classifiers(split):
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    found = fhemb.calc_accuracies(*split[:4])
    assert {*found} == {
        "knn_euclidean", "knn_nan_euclidean", "knn_minkowski", "knn_cosine", "knn_l1",
        "svm_linear", "svm_poly", "svm_rbf", "svm_sigmoid", "randf", "rotf",
        "shapelet_rotationforest",
    }  # fmt: skip
    a, b, ya, yb = split[:4]
    for name, model in {
        "knn_l1": KNeighborsClassifier(3, metric="l1"),
        "svm_rbf": SVC(kernel="rbf"),
    }.items():
        assert found[name] == model.fit(a, ya).score(b, yb)
    d = metrics.cdist_dtw(np.concatenate([a[:12], b[:6]]))
    y = [ya[:12], yb[:6]]
    some = fhemb.calc_accuracies(d[:12, :12], d[12:, :12], *y)
    assert {"knn_precomputed", "svm_precomputed"} <= {*some}
    model = KNeighborsClassifier(3, metric="precomputed").fit(d[:12, :12], y[0])
    assert some["knn_precomputed"] == model.score(d[12:, :12], y[1])


def test_similarity__is_accuracy_or_weighted_f1():
    truth, told = [0] * 10 + [1] * 10, [0] * 8 + [1] * 2 + [1] * 7 + [0] * 3
    assert fhemb.calc_similarity(truth, told) == 0.75
    found = fhemb.calc_similarity(truth, told, "f1")
    assert found == pytest.approx((16 / 21 + 14 / 19) / 2)
    with pytest.raises(KeyError, match="no score 'auc'"):
        fhemb.calc_similarity(truth, told, "auc")


def test_relations__are_those_of_tslearn_and_scipy():
    x = RNG.normal(size=(4, 2, 12))
    turned = x.transpose(0, 2, 1)
    np.testing.assert_allclose(related(x), metrics.cdist_dtw(turned), rtol=1e-10)
    for name, expected in {
        "tslearn_dtw": metrics.cdist_dtw(turned),
        "soft_dtw": metrics.cdist_soft_dtw(turned, gamma=0.5),
        "soft_dtw_div": metrics.cdist_soft_dtw_normalized(turned, gamma=0.5),
    }.items():
        np.testing.assert_allclose(related(x, name, gamma=0.5), expected, rtol=1e-8, atol=1e-8)
    by_function = related(x, dist=distance.cosine)
    np.testing.assert_array_equal(by_function, related(x, dist="cosine"))
    d = np.asarray(related(x))
    scaled = (d - d.mean()) / d.std()
    for how in ("z-score", "zscore"):
        np.testing.assert_allclose(related(x, normalize=how), scaled, rtol=1e-9)
    np.testing.assert_allclose(related(x, normalize="log"), np.log1p(d), rtol=1e-12)
    with pytest.raises(KeyError, match="no alignment 'dtw'"):
        related(x, "dtw")


def test_relation_figures__keep_or_find_an_order():
    x = RNG.normal(size=(6, 12))
    kept = fhemb.plot_pr_heatmap(x, labels=list("abcdef"), n_jobs=2, base_size=10, title="mine")
    ticks = kept.opts.get("plot").kwargs["xticks"]
    assert [name for _, name in ticks] == list("abcdef")
    assert fhemb.plot_dm_heatmap(x, dist="cityblock", normalize="minmax", njobs=2) is not None
    found = fhemb.plot_clustered_dm_heatmap(x).opts.get("plot").kwargs["xticks"]
    assert sorted(name for _, name in found) == [f"TS{k}" for k in range(6)]
    assert fhemb.plot_dm_dendrogram(x, method="complete") is not None
    for how in ("mds", "pca"):
        points = fhemb.plot_pr_projection(x[:3], x[3:], projection=how, transformation="invert")
        assert points is not None
    assert fhemb.plot_dm_projection(x[:3], x[3:], projection="pca", dimensions=3) is not None
    with pytest.raises(KeyError, match="no transformation 'gaus': there are gauss, invert"):
        fhemb.plot_pr_projection(x[:3], x[3:], transformation="gaus")
    with pytest.raises(TypeError, match="no option 'metod'"):
        fhemb.plot_pr_heatmap(x, metod="average")


def test_families__together_are_samples_and_series_of_several_features(piece):
    """A collection has any attribute that is asked of it, so it passed for an Embedding."""
    both = piece.face_t.project([65, 66, 67], features=["p50", "mean"])
    names = both.subjects["features_ts"]
    for given in (both, dict(both)):
        d = np.asarray(related(given))
        stacked = np.stack([np.stack([both[k].features_tint[who][0] for k in both])
                            for who in names])  # fmt: skip
        np.testing.assert_allclose(d, metrics.cdist_dtw(stacked.transpose(0, 2, 1)), rtol=1e-6)
        centroids = fhemb.dtw_clustering(given, (0, 20), n_clusters=2, metric="euclidean")[4]
        assert centroids.shape == (2, 20, 2)
    tables = fhemb.dtw_clustering(
        both.get_df_ts_subjs("mean"), (0, 20), n_clusters=2, metric="euclidean"
    )
    assert sorted(tables[1]) == names
    apart = fhemb.EmbeddingCollection(both["features_ts"].project([65]), both["percentiles_ts"])
    with pytest.raises(SchemaError, match=r"same people and frames, found .*\(1, 200\)"):
        related(apart)


def test_svd__gives_back_the_similarity():
    x = RNG.normal(size=(5, 12))
    d = np.asarray(related(x))
    u, s, vt = fhemb.svd_pr(x, transformation="invert")
    np.testing.assert_allclose(u * s @ vt, 1 / (1 + d), atol=1e-10)
    u, s, vt = fhemb.svd_dmatrix(x)
    sigma = np.median(d[np.triu_indices(5, 1)])
    np.testing.assert_allclose(u * s @ vt, np.exp(-(d**2) / (2 * sigma**2)), atol=1e-10)
    low, high = d.min(), d.max()
    u, s, vt = fhemb.svd_pr(x, transformation="minmax")
    np.testing.assert_allclose(u * s @ vt, 1 - (d - low) / (high - low), atol=1e-10)


def test_warping__is_drawn_for_any_point_metric():
    a, b = np.cumsum(RNG.normal(size=(2, 30)), axis=1)
    plain = fhemb.depict_DTW(a, b, dist=distance.euclidean, radius=2)
    assert f"{metrics.dtw(a, b):.3g}" in plain.opts.get("plot").kwargs["title"]
    other = fhemb.depict_DTW(a[:, None], b, dist="cityblock")
    cost = np.asarray(fx.ops.pairwise.matrix.pairwise(
        fhemb.utils.cutils.svd_pr.__globals__["samples"]([a, b]), "dtw", "sample",
        local="cityblock"))[0, 1]  # fmt: skip
    assert f"{cost:.3g}" in other.opts.get("plot").kwargs["title"]


def test_learned_classifiers__have_the_originals_shapes(tables, split):
    pytest.importorskip("torch")
    a, b = (t.to_numpy() for t in tables)
    found = fhemb.calc_prototype_accuracy(
        a, b, normalize="meanvar", num_epochs=2, random_states=2
    )
    assert len(found) == 2
    assert all(0 <= share <= 1 for share in found)
    train, test = fhemb.calc_shapelet(*split[:3])
    assert (train.shape, test.shape) == ((44, 10), (20, 10))


@pytest.fixture(scope="module")
def eight(piece):
    return piece.face_t.project([(40, 44), (47, 49)], features=["p80"])


def test_clusters__of_one_seed_are_one_answer_by_label(eight, piece, tmp_path):
    how = {"interval": (0, 40), "normalize": "meanvar", "n_clusters": 2, "max_iter": 3}
    groups, of, labels, width, centroids = fhemb.dtw_clustering(eight, **how)
    assert sorted(n for some in groups.values() for n in some) == eight.subjects
    assert labels.tolist() == [of[name] for name in eight.subjects]
    assert centroids.shape == (2, 40, 1)
    assert -1 <= width <= 1
    turned = eight.get_ts_subjs().iloc[:, ::-1]  # another order of the same people
    again = fhemb.dtw_clustering(turned, **how)
    assert again[0] == {k: some[::-1] for k, some in groups.items()} or again[1] == of
    figure = fhemb.depict_clusters(groups, piece.face_t.position)
    assert len(fhemb.depict_clusters(groups, piece.face_t.position, frame=[0, 5])) == 2
    assert figure is not None
    place = {who: piece.face_t.position.features_tint[who].T for who in eight.subjects}
    assert fhemb.depict_clusters(groups, place, frame=3) is not None


def test_silhouettes__name_the_best_number_of_groups(eight, tmp_path):
    how = {"interval": (0, 30), "metric": "euclidean", "max_iter": 3}
    found = fhemb.compute_silhouette_vs_k(eight, max_k=8, **how)
    assert found["k_values"] == [2, 3, 4, 5, 6, 7, 8]
    assert found["invalid"] == [8]
    assert found["best_score"] == max(s for s in found["scores"] if s == s)
    assert found["scores"][found["best_k"] - 2] == found["best_score"]
    assert found["centroids"][2].shape == (2, 30, 1)
    file = tmp_path / "curves.png"
    fhemb.plot_silhouette_curves([found, found], file, labels=["a", "b"])
    assert file.stat().st_size > 1000
    fhemb.plot_silhouette_curves({0: found}, tmp_path / "bare")
    assert (tmp_path / "bare.png").stat().st_size > 1000
    with pytest.raises(KeyError, match="no metric 'cosine'"):
        fhemb.compute_silhouette_vs_k(eight, metric="cosine")


def test_summary__is_written_and_drawn(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(scores.one_split, "RELATED", ("knn_euclidean", "knn_precomputed"))
    monkeypatch.setattr(scores, "POINT_METRICS", ("euclidean", "cityblock"))
    a, b = (t.to_numpy()[:8, :20] for t in tables)
    path = fhemb.calc_and_save_pr_accuracy(
        a, b, tmp_path, feature="p80", random_states=2, njobs=4
    )
    pandas = pytest.importorskip("pandas")
    assert path.name == "acc_summ_p80.xlsx"
    summary = pandas.read_excel(path, sheet_name="summary")
    assert summary["metric"].unique().tolist() == ["euclidean", "cityblock"]
    one = pandas.read_excel(path, sheet_name="knn_precomputed", index_col=0)
    stored = fx.open_result(tmp_path / "acc_summ_p80.zarr").load()
    np.testing.assert_allclose(one.to_numpy(), stored.sel(classifier="knn_precomputed").values)
    assert summary["median"][0] == pytest.approx(float(stored[0, 0].median()))
    figure = fhemb.plot_accuracy_summary(tmp_path, features=["p80"], dtw_filter="cityblock")
    assert figure is not None
    assert fhemb.depict_accuracy(tmp_path, "p80", statistics="iqr") is not None
    with pytest.raises(StoreError, match="write them first"):
        fhemb.plot_accuracy_summary(tmp_path)


def test_summary__is_of_distances_also_of_similarities_and_of_negative_ones(
    tables, tmp_path, monkeypatch
):
    from sklearn.model_selection import train_test_split
    from sklearn.neighbors import KNeighborsClassifier

    monkeypatch.setattr(scores.one_split, "RELATED", ("knn_precomputed",))
    a, b = (t.to_numpy()[:10, :20] for t in tables)
    x, y = fhemb.prepare_data(a, b)
    for kind in ("dcor", "soft_dtw"):
        fhemb.calc_dtw_accuracy(a, b, tmp_path, dtw_type=kind, random_states=3)
        found = fx.open_result(tmp_path / "acc_summ.zarr").load()
        assert found.metric.values.tolist() == [kind]
        d = related(x, kind).values
        d = 1 - d if kind == "dcor" else d - d.min()
        for seed, got in enumerate(found.values[0, 0]):
            train, test = train_test_split(
                np.arange(len(y)), test_size=0.3, random_state=seed, stratify=y
            )
            model = KNeighborsClassifier(3, metric="precomputed")
            model.fit(d[np.ix_(train, train)], y[train])
            assert got == pytest.approx(model.score(d[np.ix_(test, train)], y[test]))


def test_film__is_of_a_table_alone_too(piece, tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    tables = piece.face_t.project([65], features=["p20", "skew"]).get_ts_subjs("p20")
    how = {"interval": (1, 2), "interval_shift": 400, "feature": tables, "title": "curve"}
    with av.open(str(fhemb.makeVideo(subj=[65], **how))) as film:
        assert sum(1 for _ in film.decode(video=0)) == 25
    with pytest.raises(KeyError, match="no subject 'subj66'"):
        fhemb.makeVideo(subj=66, **how)
