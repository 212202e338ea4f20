"""Rows of the checklist: recordings, faces, features over time and their bands."""

import contextlib
import io
import os
import warnings

import numpy as np
import pywt
from scipy import stats
from sklearn.decomposition import PCA

import fhemb_xr.legacy as fhemb
from fhemb_xr.legacy import Datasource, Embedding, EmbeddingCollection, Piece

close = np.testing.assert_allclose
START, STOP = 10000, 10200
LEVEL = 3
SEEN = [f"subj{i}" for i in range(40, 77) if i not in (45, 46, 55, 72, 76)]
OF_SCIPY = {
    "max": np.max, "min": np.min, "mean": np.mean, "variance": np.var, "std": np.std,
    "median": np.median, "skew": stats.skew, "kurtosis": stats.kurtosis,
    "entropy": lambda x: stats.entropy(np.histogram(x, 30)[0] / x.size),
}  # fmt: skip


def run(call, world):
    """All of them."""
    pieces(call, world)
    statistics(call, world)
    faces(call, world)
    resized(call, world)
    embeddings(call, world)
    lags(call, world)
    bands(call, world)
    collections(call, world)


def band(x, keep, wavelet="db2"):
    """Some bands of a series by PyWavelets."""
    parts = pywt.wavedec(x, wavelet, level=LEVEL)
    kept = [c if b in keep else np.zeros_like(c) for b, c in enumerate(parts)]
    return pywt.waverec(kept, wavelet)[: x.size]


def pieces(call, world):
    piece = call(
        "Piece.Piece", Piece, title="Don Giovanni", time_interval=(START, STOP),
        subjs=["subj65", (66, 67)], temperature_threshold=25, store=world.store,
    )  # fmt: skip
    assert (piece.title, piece.time_interval) == ("Don Giovanni", (START, STOP))
    assert piece.face_t.subjects == ["subj65", "subj66", "subj67"]
    assert world.piece.face_t.subjects == SEEN
    for table in ("facebbox_t", "facebbox", "roi_t", "roi"):
        assert getattr(piece, table).subjects == piece.face_t.subjects
    place = world.raw.position.sel(subject=66).values.T
    np.testing.assert_array_equal(piece.faceposition_t.features_tint[66], place)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert call("Piece.info", piece.info) is None
    assert "subj65, subj66, subj67" in said.getvalue()
    assert "face_t" in call("Piece.api", piece.api)
    how = {"store": world.store, "idx": 0, "attributes": "all"}
    every = call("Piece.get_piece_attribute_values", Piece.get_piece_attribute_values, **how)
    assert (every["resize"], every["number_of_subjects"]) == ((40, 60), 37)
    os.environ["FHEMB_STORE"] = str(world.store)
    try:
        assert call("Piece.classinfo", Piece.classinfo)["piece"].tolist() == ["Don Giovanni"]
    finally:
        del os.environ["FHEMB_STORE"]
    call.read(
        "Piece", *["title", "time_interval", "face_t", "facebbox_t", "facebbox", "roi_t", "roi"]
    )
    call.read("Piece", "faceposition_t")


def statistics(call, world):
    wavelet = fhemb.wfactory("db2", LEVEL)
    for name, expected in OF_SCIPY.items():
        emb = call(f"Piece.{name}", getattr(world.piece, name), subjs=[65, 66])
        mine = emb.features_tint["subj66"][0]
        for frame in (0, 77, 199):
            close(mine[frame], expected(world.pixels(66, frame)), rtol=2e-4)
        how = {"subjs": 66, "factory": wavelet, "fbands": [1, 2]}
        filtered = call(f"Piece.{name}", getattr(world.piece, name), **how)
        tolerance = 1e-4 * np.ptp(mine)
        close(filtered.features_tint[66][0], band(mine, [1, 2]), atol=max(tolerance, 1e-5))
    how |= {"features": ["p20", 80]}
    emb = call("Piece.percentiles_face", world.piece.percentiles_face, **how)
    assert emb.features == ["p20", "p80"]
    plain = world.piece.percentiles_face(66).features_tint[66]
    close(plain[:, 9], np.percentile(world.pixels(66, 9), range(0, 101, 5)), rtol=1e-6)
    close(emb.features_tint[66][1], band(plain[16], [1, 2]), atol=1e-4)


def faces(call, world):
    face = world.piece.face_t
    frames = face.features_tint["subj65"]
    sizes = face.facesizes_t["subj65"]
    assert [f.shape for f in frames] == [tuple(s) for s in sizes.T.tolist()]
    assert np.isfinite(frames[3]).sum() == world.pixels(65, 3).size
    recipe = fhemb.pca_factory(pca="PCA", scaler_kwargs={"with_std": False},
                               pca_kwargs={"n_components": 2})  # fmt: skip
    how = {"subjs": [65], "features": ["p50", "pc0", "skew"], "fbands": [0, 1],
           "pcfactory": recipe, "wdfactory": fhemb.wfactory("db2", LEVEL), "heatmap": None,
           "fvector": None, "factory": None}  # fmt: skip
    found = call("Datasource.project", face.project, **how)
    assert list(found) == ["percentiles_ts", "pcomponents_ts", "features_ts"]
    p50 = face.project(65, ["p50"]).features_tint[65][0]
    close(found["percentiles_ts"].features_tint[65][0], band(p50, [0, 1]), atol=1e-4)
    close(p50[5], np.median(world.pixels(65, 5)), rtol=1e-6)
    scores, key = call("Datasource.create_pca_embedding", face.create_pca_embedding,
                       factory=recipe)  # fmt: skip
    assert "covariance" in key
    whole = world.raw.heatmap.sel(subject=65).values.reshape(STOP - START, -1)
    always = whole[:, np.isfinite(whole).all(axis=0)].astype("f8")
    expected = PCA(2).fit_transform(always).T
    close(np.abs(scores.features_tint[65]), np.abs(expected), rtol=1e-3, atol=1e-3)
    close(face.features_ts.features_tint[65][2, 4], world.pixels(65, 4).mean(), rtol=1e-6)
    close(face.percentiles_ts.features_tint[65][0, 4], world.pixels(65, 4).min(), rtol=1e-6)
    edges = face.binedges["subj65"]
    every = np.concatenate([world.pixels(65, k) for k in range(STOP - START)])
    n = int(np.ceil(np.log2(every.size) + 1))
    close(edges[:, 0], np.linspace(every.min(), every.max(), n + 1)[:-1], rtol=1e-6)
    width, heights = edges[0, 1] - edges[0, 0], face.binheights_ts.features_tint[65]
    close(np.nansum(heights[:, 7]) * width, 1, rtol=1e-5)
    place = {i: world.raw.position.sel(subject=i).values.T for i in (65, 66)}
    np.testing.assert_array_equal(face.position.features_tint[65], place[65])
    assert call("Datasource.plot_pdf", face.plot_pdf, subj=65, secs=[401], bw_method=0.2)
    assert (face.sr, face.piece_attributes["percentile_interval"]) == (25, 5)
    mine = call(
        "Datasource.Datasource", Datasource, time_interval=(START, STOP),
        features_tint={i: face.features_tint[i] for i in (65, 66)}, subjects=[66],
        piece_attributes={"temperature_threshold": 25}, position=place,
    )  # fmt: skip
    assert mine.subjects == ["subj66"]
    close(mine.project(features=["max"]).features_tint[66][0, 8], world.pixels(66, 8).max())
    call.read("Datasource", *["percentiles_ts", "binheights_ts", "features_ts", "rsfacebbox_t"])
    call.read("Datasource", *["position", "features_tint", "piece_attributes", "subjects"])
    call.read("Datasource", "binedges", "facesizes_t", "sr")


def resized(call, world):
    small = world.piece.face_t.rsfacebbox_t
    assert {f.shape for f in small.features_tint[65]} == {(60, 40)}
    vectors = small.normfacevec_ts.project([65]).features_tint[65]
    frame = vectors[:, 11].reshape(60, 40)
    cells = small.bboxheatmap_ts.project([65]).features_tint[65][:, 11]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # cells without a pixel
        means = np.nanmean(frame.reshape(12, 5, 8, 5), axis=(1, 3))
    close(cells, means.ravel(), rtol=1e-5)
    recipe = fhemb.pca_factory(pca="PCA", pca_kwargs={"n_components": 2})
    how = {"factory": recipe}
    scores, _ = call(
        "DatasourceResized.create_pca_embedding", small.create_pca_embedding, **how
    )
    assert scores.features_tint[65].shape == (2, STOP - START)
    close(scores.features_tint[65].mean(axis=1), 0, atol=1e-3)  # about the mean face
    call.read("DatasourceResized", "normfacevec_ts", "bboxheatmap_ts", "features_tint")


def embeddings(call, world):
    given = {66: np.ones((2, 3)), "subj65": np.arange(6.0).reshape(2, 3)}
    mine = call(
        "Embedding.Embedding", Embedding, time_interval=(5, 8), features_tint=given,
        features=["a", "b"], subjects=[65], temperature_threshold=30, percentile_intv=5,
        binedges={65: [[0, 1]]}, periods=[(1, 2)], frequencies=[(0.5, 1)],
    )  # fmt: skip
    assert (mine.subjects, mine.binedges["subj65"]) == (["subj65"], [[0, 1]])
    assert (mine.frequencies, mine.periods) == ([(0.5, 1)], [(1, 2)])
    face = world.piece.face_t
    emb = face.project([65, 66, 67], features=[("p0", "p10"), "p50"])
    assert (emb.features, emb.type, emb.sr) == (
        ["p0", "p5", "p10", "p50"],
        "percentiles_ts",
        25,
    )
    series = emb.features_tint["subj66"]
    close(series[3, 12], np.median(world.pixels(66, 12)), rtol=1e-6)
    part = call("Embedding.project", emb.project, subjs=66, features=["p50"], heatmap=None,
                fvector=None, fbands=[1], factory=fhemb.wfactory("db2", LEVEL),
                wdfactory=None)  # fmt: skip
    close(part.features_tint[66][0], band(series[3], [1]), atol=1e-4)
    for name in ("get_ts_subjs", "get_df_ts_subjs"):
        table = call(f"Embedding.{name}", getattr(emb, name), args=["p5"])["p5"]
        np.testing.assert_array_equal(table["subj66"], series[1])
        assert table.index.tolist() == list(range(STOP - START))
    assert len(call("Embedding.plot_signal", emb.plot_signal, subjs=[65, 66], feature="p50",
                    title="mine", label="a", linestyle="--", show=False)) == 2  # fmt: skip
    drawn = call("Embedding.bbootstrap", emb.bbootstrap, subjs=[65, 66], err_ts=emb,
                 block_length=1, max_level=8, rseed=3).features_tint[65]  # fmt: skip
    errors = drawn - emb.features_tint[65]  # columns of the series, in blocks
    columns = emb.features_tint[65].T
    assert all((np.abs(columns - e).max(axis=1) < 1e-4).any() for e in errors.T[::20])
    heights = face.project([65, 66], features=[("bh0", "bh9")])
    assert list(heights.binedges) == ["subj65", "subj66"]
    both = {"subjs": [65, 66], "frms": [0, 5], "sharex": True, "sharey": True}
    bars = call("Embedding.plot_temperaturebars", heights.plot_temperaturebars,
                centralized=True, **both)  # fmt: skip
    x = heights.features_tint[66]
    close(list(bars)[3].dimension_values("height")[:8], (x[:, 5] - x.mean(axis=1))[:8],
          atol=1e-4)  # fmt: skip
    (one, *_) = call("Embedding.plot_temperaturehist", emb.plot_temperaturehist, **both)
    assert one.dimension_values("height").sum() == 4  # features of a frame
    (one,) = call("Embedding.plot_intvlhist", emb.plot_intvlhist, subjs=66, intvl=(10, 60),
                  sharex=True, sharey=True, feature="p50")  # fmt: skip
    assert one.dimension_values("height").sum() == 50
    recipe = fhemb.pca_factory(pca="PCA", pca_kwargs={"n_components": 2})
    scores = face.project([65], features=["pc0", "pc1"], pcfactory=recipe)
    shown = call("Embedding.visualize_eigenfaces", scores.visualize_eigenfaces, subjs=[65],
                 components=[1], cmap="hot")  # fmt: skip
    assert [len(v) for v in shown.values()] == [1]
    call.read("Embedding", "features_tint", "subjects", "features", "type", "sr")
    call.read("Embedding", "frequencies", "periods", "binedges")


def lags(call, world):
    two = world.piece.face_t.project([65], features=["skew", "kurtosis"])
    a, b = two.features_tint[65]
    how = {"twin": 50, "max_lag": 6, "step": 25, "n_jobs": 2}
    table = call("Embedding.lagged_correlations_df", two.lagged_correlations_df, **how)["df"]
    assert list(table.columns) == [f"lag_{k}" for k in range(-6, 7)]
    close(table.loc[2, "lag_4"], np.corrcoef(a[50:100], b[54:104])[0, 1], rtol=1e-6)
    assert table["lag_-3"].isna().tolist() == [True] + [False] * 6
    assert call("Embedding.plot_lagged_correlations", two.plot_lagged_correlations, **how)
    both = world.piece.face_t.project([65], features=["p50", "skew"])
    of = "EmbeddingCollection"
    table = call(f"{of}.lagged_correlations_df", both.lagged_correlations_df, **how)["df"]
    p50 = both["percentiles_ts"].features_tint[65][0]
    close(table.loc[2, "lag_4"], np.corrcoef(p50[50:100], a[54:104])[0, 1], rtol=1e-6)
    assert call(f"{of}.plot_lagged_correlations", both.plot_lagged_correlations, **how)
    many = world.piece.face_t.project([65, 66], features=["p50", "skew"])
    graph = many.lagged_correlation_graph
    labels = [e.label for e in call(f"{of}.lagged_correlation_graph", graph, lag=2, **how)]
    assert [x for x in labels if x] == ["subject subj65", "subject subj66"]


def bands(call, world):
    emb = world.piece.face_t.project([65, 66], features=[("p0", "p10"), "p50"])
    how = {"features": [("p0", "p10")], "factory": fhemb.wfactory("db2", LEVEL)}
    found = call("Embedding.create_wdecomposition", emb.create_wdecomposition, **how)
    assert (found.features, found.subjects) == (["p0", "p5", "p10"], ["subj65", "subj66"])
    assert (found.wavelet, found.level, found.sr) == ("db2", LEVEL, 25)
    assert found.decomposed_embedding.features == found.features
    series = emb.features_tint[66][1]
    for k in range(LEVEL + 1):
        close(found.subsignals[66][k][1], band(series, [k]), atol=1e-4)
        np.testing.assert_array_equal(
            found.fband_embedding[k].features_tint[66], found.subsignals[66][k]
        )
    assert found.frequencies == [(0, 1.56), (1.56, 3.12), (3.12, 6.25), (6.25, 12.5)]
    assert found.periods[:2] == [(0.64, "inf"), (0.32, 0.64)]
    made = call("Wdecomposition.create_wreconstruction", found.create_wreconstruction,
                subjs=[66], fbands=[0, 2])  # fmt: skip
    close(made.features_tint[66][1], band(series, [0, 2]), atol=1e-4)
    names = "fband_embedding frequencies periods features subsignals subjects wavelet level sr"
    call.read("Wdecomposition", *names.split(), "decomposed_embedding")


def collections(call, world):
    of, face = "EmbeddingCollection", world.piece.face_t
    emb = face.project([65, 66], features=["p50", "p80"])
    heights = face.project([65, 66], features=[("bh0", "bh2")])
    both = call(f"{of}.EmbeddingCollection", EmbeddingCollection, heights)
    call(f"{of}.add", both.add, embedding=emb)
    assert both.features == {"binheights_ts": ["bh0", "bh1", "bh2"],
                             "percentiles_ts": ["p50", "p80"]}  # fmt: skip
    assert both.subjects["percentiles_ts"] == ["subj65", "subj66"]
    assert both.frequencies == both.periods == dict.fromkeys(both, "All")
    assert list(both.binedges["binheights_ts"]) == ["subj65", "subj66"]
    assert both.features_tint[65]["percentiles_ts"].shape == (2, STOP - START)
    for name in ("get_df_ts_subjs", "get_ts_subjs"):
        tables = call(f"{of}.{name}", getattr(both, name), args="p80")
        assert tables["binheights_ts"].empty
        close(tables["percentiles_ts"]["subj65"][6],
              np.percentile(world.pixels(65, 6), 80), rtol=1e-6)  # fmt: skip
    shown = call(f"{of}.plot_signal", both.plot_signal, subjs=[65], feature="p50")
    assert list(shown) == ["percentiles_ts"]
    drawn = call(f"{of}.bbootstrap", both.bbootstrap, [65], block_length=1, rseed=1)
    values = drawn["percentiles_ts"].features_tint[65][0]
    assert np.isin(values, emb.features_tint[65][0]).all()
    recipe = fhemb.pca_factory(pca="PCA", pca_kwargs={"n_components": 1})
    scores = face.project([65], features=["pc0", "p50"], pcfactory=recipe)
    faces_of = call(f"{of}.visualize_eigenfaces", scores.visualize_eigenfaces, [65])
    assert list(faces_of["pcomponents_ts"]) == ["subj65"]
    call.read(of, "features", "features_tint", "binedges", "subjects", "frequencies", "periods")
