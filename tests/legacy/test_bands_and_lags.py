"""Bands, bootstrap, lags and figures by the original's names, against pywt and numpy."""

import numpy as np
import pytest
import pywt

from fhemb_xr.errors import SchemaError
from fhemb_xr.legacy import Embedding, EmbeddingCollection, pca_factory, wfactories, wfactory

pytest.importorskip("holoviews")
pytestmark = pytest.mark.filterwarnings("ignore:the series are bands of a decimated DWT")
LEVEL = 4


@pytest.fixture(scope="module")
def emb(piece):
    return piece.face_t.project([65, 66, 67], features=[("p0", "p10"), "p50"])


@pytest.fixture(scope="module")
def bands(emb):
    return emb.create_wdecomposition([("p0", "p10")], wfactory("db4", LEVEL))


def by_pywt(x, keep):
    coefficients = pywt.wavedec(x, "db4", level=LEVEL)
    kept = [c if b in keep else np.zeros_like(c) for b, c in enumerate(coefficients)]
    return pywt.waverec(kept, "db4")[: x.size]


def test_decomposition__has_the_bands_of_pywt(emb, bands):
    assert bands.features == ["p0", "p5", "p10"]
    assert (bands.wavelet, bands.level, bands.sr) == ("db4", LEVEL, 25)
    assert bands.subjects == emb.subjects
    assert bands.decomposed_embedding.features == bands.features
    series = emb.features_tint["subj66"][1]
    for band in range(LEVEL + 1):
        mine = bands.subsignals["subj66"][band]
        assert mine.shape == (3, 200)
        np.testing.assert_allclose(mine[1], by_pywt(series, [band]), atol=1e-6)
    assert list(bands.fband_embedding) == list(range(LEVEL + 1))
    np.testing.assert_array_equal(bands.fband_embedding[2].features_tint["subj66"],
                                  bands.subsignals["subj66"][2])  # fmt: skip


def test_decomposition__names_its_bands_in_hertz_and_seconds(bands):
    assert bands.frequencies == [
        (0, 0.78), (0.78, 1.56), (1.56, 3.12), (3.12, 6.25), (6.25, 12.5),
    ]  # fmt: skip
    assert bands.periods[:2] == [(1.28, "inf"), (0.64, 1.28)]
    assert bands.fband_embedding[0].periods == [(1.28, "inf")]
    assert bands.fband_embedding[3].frequencies == [(3.12, 6.25)]


@pytest.mark.filterwarnings("ignore:level 8 of 'db4' is too deep")
def test_reconstruction__merges_adjacent_bands_in_its_names(emb):
    deep = emb.create_wdecomposition("p50", wfactory("db4", 8))
    some = deep.create_wreconstruction("all", [1, 2, 4])
    assert some.frequencies == [(0.05, 0.2), (0.39, 0.78)]
    assert {*some.periods} == {(5.12, 20.48), (1.28, 2.56)}
    one = deep.create_wreconstruction("all", [2, 3, 4])
    assert (one.frequencies, one.periods) == ([(0.1, 0.78)], [(1.28, 10.24)])
    assert deep.create_wreconstruction("all", [0]).periods == [(20.48, "inf")]
    assert (emb.frequencies, emb.periods) == ("All", "All")


def test_reconstruction__is_the_sum_of_bands_and_all_is_the_series(emb, bands):
    part = bands.create_wreconstruction([66], [1, 3])
    assert (part.subjects, part.features) == (["subj66"], bands.features)
    np.testing.assert_allclose(
        part.features_tint["subj66"][2],
        by_pywt(emb.features_tint["subj66"][2], [1, 3]),
        atol=1e-6,
    )
    whole = bands.create_wreconstruction("all", "all").features_tint["subj67"]
    np.testing.assert_allclose(whole, emb.features_tint["subj67"][:3], atol=1e-10)
    raw = bands.create_wreconstruction("all", [])
    assert (raw.features, raw.frequencies) == (bands.features, "All")
    mine = emb.project(66, ["p50"], fbands=[1], factory=wfactory("db4", LEVEL))
    same = emb.project(66, ["p50"], fbands=[1], wdfactory=wfactory("db4", LEVEL))
    np.testing.assert_array_equal(mine.features_tint[66], same.features_tint[66])


def test_wavelets__have_the_originals_names():
    assert sorted(wfactories) == [
        "bior13", "coif1", "coif5", "db10", "db2", "db4", "sym10", "sym2",
    ]  # fmt: skip
    assert wfactories["bior13"].wtype == "bior1.3"
    assert {w.level for w in wfactories.values()} == {8}


def test_collection__of_bands_is_one_matrix_band_by_band(bands):
    every = EmbeddingCollection(bands.fband_embedding)
    matrix = every.features_tint["subj65"]
    assert matrix.shape == (3 * (LEVEL + 1), 200)
    np.testing.assert_array_equal(matrix[3 * 2 + 1], bands.subsignals["subj65"][2][1])
    assert every.features[1] == ["p0", "p5", "p10"]
    assert every.frequencies[0] == [(0, 0.78)]


def test_collection__by_family_asks_its_members(piece, emb):
    heights = piece.face_t.project([65, 66], features=[("bh0", "bh2")])
    both = EmbeddingCollection(heights)
    both.add(emb)
    assert list(both) == ["binheights_ts", "percentiles_ts"]
    assert both.subjects["percentiles_ts"] == emb.subjects
    assert (both.periods["percentiles_ts"], both.sr["binheights_ts"]) == ("All", 25)
    assert list(both.binedges) == ["binheights_ts"]
    assert list(both.features_tint) == ["subj65", "subj66"]
    assert list(both.plot_signal([65], feature="p50")) == ["percentiles_ts"]
    with pytest.raises(KeyError, match=r"no feature 'p51': there are .*; the nearest"):
        both.plot_signal(feature="p51")
    with pytest.raises(SchemaError, match="has eigenfaces"):
        both.visualize_eigenfaces()
    drawn = both.bbootstrap([65], block_length=2, rseed=1)
    assert drawn["binheights_ts"].features_tint["subj65"].shape == (3, 200)
    recipe = pca_factory(pca="PCA", pca_kwargs={"n_components": 2})
    scores = piece.face_t.project([65], features=["pc0", "p50"], pcfactory=recipe)
    assert list(scores.visualize_eigenfaces(components=[0])) == ["pcomponents_ts"]


def test_bootstrap__lays_blocks_end_to_end_alike_for_people_and_features(emb):
    drawn = emb.bbootstrap([65, 66], block_length=1, rseed=3)
    again = emb.bbootstrap([65, 66], block_length=1, rseed=3)
    mine, series = drawn.features_tint["subj65"], emb.features_tint["subj65"]
    np.testing.assert_array_equal(mine, again.features_tint["subj65"])
    where = [int(np.flatnonzero((column == series.T).all(axis=1))[0]) for column in mine.T]
    assert np.median(np.diff(where)) == 1
    other = emb.features_tint["subj66"][:, where]
    np.testing.assert_array_equal(drawn.features_tint["subj66"], other)
    added = emb.bbootstrap([65, 66], err_ts=emb, block_length=1, rseed=3)
    np.testing.assert_allclose(
        added.features_tint["subj66"], emb.features_tint["subj66"] + other, rtol=1e-6
    )
    assert emb.bbootstrap(65, max_level=5).features == emb.features


def pearson(a, b, start, lag, n):
    return np.corrcoef(a[start : start + n], b[start + lag : start + lag + n])[0, 1]


def test_lags__are_windows_of_frames_of_two_features_or_two_people(piece, emb):
    two = piece.face_t.project([65], features=["skew", "kurtosis"])
    a, b = two.features_tint["subj65"]
    table = two.lagged_correlations_df(50, 10, 25)["df"]
    assert list(table.columns) == [f"lag_{k}" for k in range(-10, 11)]
    assert table.index.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert table["lag_-3"].isna().tolist() == [True] + [False] * 6
    assert table["lag_3"].isna().tolist() == [False] * 6 + [True]
    assert table.loc[2, "lag_4"] == pytest.approx(pearson(a, b, 50, 4, 50), rel=1e-6)
    pair = emb.project([65, 66], ["p50"])
    x, y = (pair.features_tint[who][0] for who in pair.subjects)
    between = pair.lagged_correlations_df(50, 5, 50)["df"]
    assert between.loc[2, "lag_-5"] == pytest.approx(pearson(x, y, 50, -5, 50), rel=1e-6)
    families = piece.face_t.project([65], features=["p50", "skew"])
    assert families.lagged_correlations_df(50, 5, 50)["df"].shape == (4, 11)
    with pytest.raises(SchemaError, match="3 features of 1 people"):
        emb.project([65], [("p0", "p10")]).lagged_correlations_df(50, 5, 50)
    title = two.plot_lagged_correlations(50, 10, 25).opts.get("plot").kwargs["title"]
    assert "skew and kurtosis of subj65" in title
    assert families.plot_lagged_correlations(50, 10, 25) is not None
    many = piece.face_t.project([65, 66], features=["skew", "p50"])
    labels = [e.label for e in many.lagged_correlation_graph(0, 50, 25, 25)]
    assert [x for x in labels if x] == ["subject subj65", "subject subj66"]
    assert two.lagged_correlation_graph(5, 50, 25, 25) is not None


def test_figures__show_what_they_are_asked_for(piece, emb):
    with pytest.raises(SchemaError, match="which feature to draw"):
        emb.plot_signal()
    assert len(emb.plot_signal([65, 66], feature="p50", title="mine", show=False)) == 2
    assert piece.max(subjs=[65, 66], factory=wfactory("db4", 4), fbands=[2, 3]).plot_signal()
    heights = piece.face_t.binheights_ts
    bars = heights.plot_temperaturebars([65, 66], frms=[0, 5], centralized=True)
    assert len(bars) == 4
    mine = heights.features_tint["subj66"]
    n = len(heights.binedges["subj66"])
    np.testing.assert_allclose(
        list(bars)[3].dimension_values("height")[:n],
        mine[:n, 5] - mine[:n].mean(axis=1),
        atol=1e-5,
    )
    (drawn,) = emb.plot_intvlhist([66], intvl=(10, 60), feature="p50")
    assert drawn.dimension_values("height").sum() == 50
    pixels = piece.face_t.rsfacebbox_t.normfacevec_ts.project([65])
    (drawn,) = pixels.plot_temperaturehist(frms=[3])
    assert (
        drawn.dimension_values("height").sum()
        == np.isfinite(pixels.features_tint["subj65"][:, 3]).sum()
    )
    assert piece.face_t.plot_pdf(65, [401, 405], bw_method=0.1) is not None


def test_embedding__repr_is_short(emb):
    text = "features=['p0', 'p5', 'p10', 'p50'], 3 people"
    assert repr(emb) == f"Embedding({text})"
    assert isinstance(emb, Embedding)
