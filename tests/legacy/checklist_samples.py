"""Rows of the checklist: samples, relations, groups, classifiers, films, loggers."""

import logging
import os
from pathlib import Path

import av
import numpy as np
from scipy.spatial import distance
from sklearn.metrics import f1_score, silhouette_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from tslearn import metrics
from tslearn.preprocessing import TimeSeriesScalerMeanVariance

import fhemb_xr.legacy as fhemb
from fhemb_xr.legacy import scores as scoring

close = np.testing.assert_allclose


def run(call, world):
    """All of them."""
    factories(call)
    rows = samples(call, world)
    relations(call)
    groups(call, world)
    learned(call, rows)
    summaries(call, world, rows)
    others(call, world, rows)


def factories(call):
    made = call("factories.wfactory", fhemb.wfactory, wtype="sym2", level=3)
    assert (made.wtype, made.level) == ("sym2", 3)
    assert (
        call("factories.ConcreteEmbFactory", fhemb.ConcreteEmbFactory, level=3, wtype="sym2")
        == made
    )
    how = {"name": "mine", "scaler": "Standard", "pca": "Kernel",
           "scaler_kwargs": {"with_std": True}, "pca_kwargs": {"kernel": "rbf"}}  # fmt: skip
    made = call("factories.pca_factory", fhemb.pca_factory, **how)
    assert (made.options["method"], made.options["scaler"]) == ("kernel", "standard")
    assert call("factories.ConcretePcaFactory", fhemb.ConcretePcaFactory, **how) == made
    assert fhemb.wfactories["bior13"].wtype == "bior1.3"
    call.read("factories", "wfactories")


def samples(call, world):
    """Two scenes of the same people, told apart."""
    table = world.piece.face_t.project(features=["p80"]).get_df_ts_subjs("p80")
    a, b = (t.reset_index(drop=True).T for t in (table.iloc[:30], table.iloc[170:]))
    x, y = call("cutils.prepare_data", fhemb.prepare_data, X0=a, X1=b)
    assert (x.shape, np.bincount(y).tolist()) == ((64, 30), [32, 32])
    split = call("cutils.split_scale_data", fhemb.split_scale_data, X=x, y=y, test_size=0.25,
                 random_state=0, normalize="meanvar")  # fmt: skip
    expected = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    close(split[1], TimeSeriesScalerMeanVariance().fit_transform(expected[1])[..., 0])
    np.testing.assert_array_equal(split[3], expected[3])
    parts = dict(zip(("X_train", "X_test", "y_train", "y_test"), split, strict=False))
    found = call("cutils.calc_accuracies", fhemb.calc_accuracies, **parts)
    model = KNeighborsClassifier(3, metric="cosine").fit(split[0], split[2])
    assert found["knn_cosine"] == model.score(split[1], split[3])
    assert len(found) == 12
    told = model.predict(split[1])
    f1 = call("cutils.calc_similarity", fhemb.calc_similarity, y_test=split[3], y_pred=told,
              sim_metric="f1")  # fmt: skip
    close(f1, f1_score(split[3], told, average="weighted"))
    return a.to_numpy(), b.to_numpy(), parts


def relations(call):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 12))
    d = metrics.cdist_dtw(x[..., None])
    labels = list("abcde")
    how = {"alignment_type": "fastdtw", "gamma": 1, "dist": distance.euclidean, "p": 3,
           "radius": 1, "normalize": "minmax", "n_jobs": 2, "labels": labels,
           "title": "mine"}  # fmt: skip
    scaled = (d - d.min()) / (d.max() - d.min())
    look = {"color_continuous_scale": "Viridis", "base_size": 20}
    for name in ("plot_pr_heatmap", "plot_dm_heatmap"):
        figure = call(f"cutils.{name}", getattr(fhemb, name), ts=x, **how, **look)
        drawn = figure.dimension_values(2, flat=False)
        close(np.sort(drawn.ravel()), np.sort(scaled.ravel()), atol=1e-6)
    tree = {"ts": x, "method": "average", **how}
    for name in ("plot_clustered_pr_heatmap", "plot_clustered_dm_heatmap"):
        ticks = call(f"cutils.{name}", getattr(fhemb, name), **tree).opts.get("plot")
        assert sorted(label for _, label in ticks.kwargs["xticks"]) == labels
    for name in ("plot_pr_dendrogram", "plot_dm_dendrogram"):
        assert call(f"cutils.{name}", getattr(fhemb, name), **tree) is not None
    options = {"projection": "pca", "transformation": "invert", "dimensions": 2}
    for name in ("plot_pr_projection", "plot_dm_projection"):
        function = getattr(fhemb, name)
        assert call(f"cutils.{name}", function, x[:2], x[2:], **how, **options) is not None
    for key in ("labels", "title"):
        del how[key]
    similarity = 1 / (1 + scaled)
    for name in ("svd_pr", "svd_dmatrix"):
        u, s, vt = call(f"cutils.{name}", getattr(fhemb, name), ts=x, transformation="invert",
                        **how)  # fmt: skip
        close(u * s @ vt, similarity, atol=1e-8)
    figure = call("cutils.depict_DTW", fhemb.depict_DTW, x1=x[0], x2=x[1],
                  dist=distance.euclidean, radius=1)  # fmt: skip
    assert f"{d[0, 1]:.3g}" in figure.opts.get("plot").kwargs["title"]


def groups(call, world):
    emb = world.piece.face_t.project([(40, 44), (47, 49)], features=["p80"])
    how = {"ts": emb, "interval": (0, 30), "normalize": "meanvar", "metric": "euclidean",
           "max_iter": 5, "random_state": 0}  # fmt: skip
    clusters, of, labels, width, centroids = call(
        "cutils.dtw_clustering", fhemb.dtw_clustering, n_clusters=2, **how
    )
    x = np.stack([emb.features_tint[who][0, :30] for who in emb.subjects])
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    for k, members in clusters.items():
        rows = [emb.subjects.index(who) for who in members]
        close(centroids[k, :, 0], x[rows].mean(axis=0), atol=1e-5)
        assert {of[who] for who in members} == {k}
    close(width, silhouette_score(x, labels), rtol=1e-5)
    found = call("cutils.compute_silhouette_vs_k", fhemb.compute_silhouette_vs_k, max_k=3,
                 n_jobs=-1, **how)  # fmt: skip
    close(found["scores"][0], width, rtol=1e-6)
    file = world.folder / "curves.png"
    call("cutils.plot_silhouette_curves", fhemb.plot_silhouette_curves, results=[found],
         filepath=file, labels=["a"], show_best=True)  # fmt: skip
    assert file.stat().st_size > 1000
    place = {"subj_position": world.piece.face_t.position, "frame": [0, 5]}
    shown = call(
        "cutils.depict_clusters", fhemb.depict_clusters, clusters_subjs=clusters, **place
    )
    assert len(shown) == 2


def learned(call, rows):
    a, b, parts = rows
    found = call("cutils.calc_prototype_accuracy", fhemb.calc_prototype_accuracy, X0=a, X1=b,
                 normalize="meanvar", num_epochs=2, lr=0.001, opt_alg="adamw",
                 random_states=2)  # fmt: skip
    assert len(found) == 2
    some = {k: parts[k] for k in ("X_train", "X_test", "y_train")}
    train, test = call("cutils.calc_shapelet", fhemb.calc_shapelet, **some)
    assert (train.shape, test.shape) == ((48, 10), (16, 10))
    assert train.min() >= 0
    how = {"feature_dim": 30, "z_dim": 4, "hidden_dim": 8, "alpha1": 1e-5, "alpha2": 1,
           "beta": 1e-2, "corruption": 0.7, "seed": 0}  # fmt: skip
    told = [
        call("others.VAEClassifier", fhemb.VAEClassifier, **how).fit_predict_on(
            parts["X_train"], parts["y_train"], parts["X_test"], num_epochs=3
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*told)


def summaries(call, world, rows):
    a, b = (x[:8, :12] for x in rows[:2])
    kept = scoring.one_split.RELATED, scoring.POINT_METRICS
    scoring.one_split.RELATED, scoring.POINT_METRICS = ("knn_precomputed",), ("euclidean",)
    try:
        path = call(
            "cutils.calc_and_save_pr_accuracy", fhemb.calc_and_save_pr_accuracy, Xopera0=a,
            Xopera1=b, dirname=world.folder, alignment_type="fastdtw", gamma=1.0,
            normalize=False, radius=1, feature="p80", n_jobs=2, random_states=2,
        )  # fmt: skip
    finally:
        scoring.one_split.RELATED, scoring.POINT_METRICS = kept
    x, y = fhemb.prepare_data(a, b)
    d = metrics.cdist_dtw(x[..., None])
    train, test = train_test_split(np.arange(16), test_size=0.3, random_state=0, stratify=y)
    model = KNeighborsClassifier(3, metric="precomputed").fit(d[np.ix_(train, train)], y[train])
    import pandas

    table = pandas.read_excel(path, sheet_name="knn_precomputed", index_col=0)
    close(table.to_numpy().ravel()[0], model.score(d[np.ix_(test, train)], y[test]))
    assert call(
        "cutils.plot_accuracy_summary", fhemb.plot_accuracy_summary, dirname=world.folder,
        features=["p80"], filename="acc_summ.xlsx", statistics="median",
        dtw_filter="euclidean", columns_filter="knn_precomputed", verbose=True,
    ) is not None  # fmt: skip


def others(call, world, rows):
    emb = world.piece.face_t.project([65], features=["p50", "p20"])
    before = Path.cwd()
    os.chdir(world.folder)
    try:
        path = call("others.makeVideo", fhemb.makeVideo, emb, percentile_ts=emb,
                    interval=(0, 1), interval_shift=0, feature="p50", subj=65,
                    title="mine")  # fmt: skip
        with av.open(str(path)) as film:
            assert sum(1 for _ in film.decode(video=0)) == 25
    finally:
        os.chdir(before)
    root = logging.getLogger("fhemb_xr.legacy")
    handlers = list(root.handlers)
    try:
        call("others.setup_logging", fhemb.setup_logging, force=True,
             module_levels={"tutils": "ERROR"})  # fmt: skip
        call("others.set_log_levels", fhemb.set_log_levels, module_levels={"dbms": "DEBUG"})
        call("others.set_logger_level", fhemb.set_logger_level, name="tseries", level=50)
        levels = [root.getChild(n).level for n in ("tutils", "dbms", "tseries")]
        assert levels == [40, 10, 50]
    finally:
        fhemb.setup_logging(force=True)
        root.handlers, root.level = handlers, logging.NOTSET
    assert (fhemb.THERMO_SR, fhemb.FEATURE[0]) == (25, "max")
    call.read("others", "THERMO_SR", "FEATURE")
