"""Recordings, people and their features by the original's names, against numpy and scipy."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SchemaError
from fhemb_xr.legacy import Datasource, Embedding, EmbeddingCollection, Piece, pca_factory
from fhemb_xr.legacy.piece import _noted

FACELESS = [45, 46, 55, 72, 76]
START, STOP = 10000, 10200
SEEN = [f"subj{i}" for i in range(40, 77) if i not in FACELESS]


def pixels(raw, person):
    """The visible pixels of every frame."""
    heat = raw.heatmap.sel(subject=person).values.reshape(raw.sizes["time"], -1)
    return [f[np.isfinite(f)].astype("f8") for f in heat]


def test_piece__has_32_of_37_people_each_with_its_own_series(piece, raw):
    """The original gave 32 series the first 32 of 37 names: all after 44 were wrong."""
    emb = piece.face_t.project(features=["max"])
    assert piece.face_t.subjects == emb.subjects == SEEN
    assert list(emb.features_tint) == SEEN
    expected = raw.heatmap.max(["y", "x"])
    for person in (44, 47, 54, 56, 71, 73, 75):
        mine = emb.features_tint[f"subj{person}"]
        np.testing.assert_array_equal(mine[0], expected.sel(subject=person).values)
    with pytest.raises(KeyError, match="no subject 'subj45'"):
        emb.features_tint["subj45"]
    with pytest.raises(KeyError, match="no subject 45"):
        piece.face_t.project([45])


def test_piece__takes_numbers_labels_pairs_and_lists(don):
    for asked in ([44, (46, 48)], ["subj44", ("subj46", "subj48")], (44, 48)):
        face = Piece("Don Giovanni", (START, STOP), asked, store=don).face_t
        assert face.subjects == ["subj44", "subj47", "subj48"]
        assert face.project("subj47").subjects == ["subj47"]


def test_piece__says_what_it_is(piece, capsys):
    assert (piece.title, piece.time_interval) == ("Don Giovanni", (START, STOP))
    piece.face_t  # noqa: B018
    assert piece.info() is None
    text = capsys.readouterr().out
    for part in (
        "Don Giovanni",
        "200 frames",
        "[(40, 44), (47, 54), (56, 71), (73, 75)]",
        "32",
    ):
        assert part in text
    assert "face_t" in piece.api()


def test_piece__catalogue_works_without_an_instance(don, monkeypatch):
    monkeypatch.setenv("FHEMB_STORE", str(don))
    every = Piece.get_piece_attribute_values(0, "all")
    assert every["percentile_interval"] == 5
    assert (every["temperature_threshold"], every["resize"]) == (25.0, (40, 60))
    assert (every["db_schema"], every["number_of_subjects"]) == ("dg", 37)
    assert Piece.get_piece_attribute_values("Don Giovanni") == {"piece": "Don Giovanni"}
    assert Piece.classinfo()["number_of_subjects"].tolist() == [37]
    with pytest.raises(KeyError, match="no piece 'Tosca'"):
        Piece.get_piece_attribute_values("Tosca")


def test_piece__needs_a_store_with_its_title(don, monkeypatch):
    monkeypatch.delenv("FHEMB_STORE", raising=False)
    with pytest.raises(ConfigError, match="set FHEMB_STORE"):
        Piece("Don Giovanni", (START, STOP))
    with pytest.raises(SchemaError, match="asked for 'Tosca', the store holds 'Don Giovanni'"):
        Piece("Tosca", (START, STOP), store=don)


def test_piece__other_tables_are_groups_of_the_store_or_the_same_faces(piece, don, tmp_path):
    _noted.discard((str(don), "facebbox_t"))
    with pytest.warns(UserWarning, match="facebbox_t gives the same faces"):
        assert piece.facebbox_t.subjects == SEEN
    ds = fx.testing.audience(subjects=[40, 41], seconds=2, shape=(6, 5), title="two")
    fx.save(ds, tmp_path / "two.zarr")
    fx.save(ds.isel(subject=[1]), tmp_path / "two.zarr" / "roi")
    assert Piece("two", store=tmp_path / "two.zarr").roi.subjects == ["subj41"]
    fx.save(ds, tmp_path / "other.zarr")
    for name in ("two.zarr", "other.zarr", "two.zarr"):  # once for a table of a store
        _noted.discard((str(tmp_path / name), "facebbox"))
        with pytest.warns(UserWarning, match="facebbox gives the same faces"):
            Piece("two", store=tmp_path / name).facebbox  # noqa: B018


def test_piece__finds_tables_at_an_address():
    ds = fx.testing.audience(subjects=[40, 41], seconds=2, shape=(6, 5), title="two")
    fx.save(ds, "memory://tables/two.zarr")
    fx.save(ds.isel(subject=[1]), "memory://tables/two.zarr/roi")
    far = Piece("two", store="memory://tables/two.zarr")
    assert far.roi.subjects == ["subj41"]
    with pytest.warns(UserWarning, match="roi_t gives the same faces"):
        assert far.roi_t.subjects == ["subj40", "subj41"]


def test_faces__statistics_are_those_of_scipy(piece, raw):
    found = piece.face_t.features_ts
    names = ["max", "min", "mean", "variance", "std", "median", "skew", "kurtosis", "entropy"]
    assert found.features == names
    assert (found.type, found.sr) == ("features_ts", 25)
    for k, frame in list(enumerate(pixels(raw, 65)))[:200:40]:
        share = np.histogram(frame, 30)[0] / frame.size
        expected = [
            frame.max(), frame.min(), frame.mean(), frame.var(), frame.std(), np.median(frame),
            stats.skew(frame), stats.kurtosis(frame), stats.entropy(share),
        ]  # fmt: skip
        np.testing.assert_allclose(found.features_tint["subj65"][:, k], expected, rtol=2e-4)


def test_faces__percentiles_are_those_of_numpy(piece, raw):
    found = piece.percentiles_face([65, 66])
    assert found.features == [f"p{i}" for i in range(0, 101, 5)]
    assert found.type == "percentiles_ts"
    assert piece.percentiles_face(65, features=[90]).features == ["p90"]
    expected = np.percentile(pixels(raw, 66)[7], range(0, 101, 5))
    np.testing.assert_allclose(found.features_tint["subj66"][:, 7], expected, rtol=1e-6)
    assert piece.face_t.percentiles_ts.features == found.features


def test_faces__histograms_have_the_bins_of_each_person(piece, raw):
    emb = piece.face_t.binheights_ts
    edges = emb.binedges["subj66"]
    every = np.concatenate(pixels(raw, 66))
    n = int(np.ceil(np.log2(every.size) + 1))
    np.testing.assert_allclose(edges[:, 0], np.linspace(every.min(), every.max(), n + 1)[:-1],
                               rtol=1e-6)  # fmt: skip
    assert edges.shape == (n, 2)
    heights = emb.features_tint["subj66"]
    assert len(emb.features) == max(len(e) for e in emb.binedges.values())
    density = np.histogram(pixels(raw, 66)[3], np.append(edges[:, 0], edges[-1, 1]))[0]
    width = edges[0, 1] - edges[0, 0]
    assert np.isnan(heights[n:]).all()
    np.testing.assert_allclose(heights[:n, 3].sum() * width, 1, rtol=1e-5)
    assert abs(heights[:n, 3] * width * density.sum() - density).max() <= 1 + 1e-3


def test_faces__eigenfaces_are_the_librarys_and_have_a_recipe(piece):
    recipe = pca_factory(scaler_kwargs={"with_std": False}, pca="PCA",
                         pca_kwargs={"n_components": 3})  # fmt: skip
    emb, key = piece.face_t.create_pca_embedding(recipe)
    assert (emb.features, emb.type) == (["pc0", "pc1", "pc2"], "pcomponents_ts")
    assert "covariance" in key
    heat = piece.face_t._heat.sel(subject=[65])
    expected = fx.embed(heat, [("pc0", "pc2")], threshold=25.0, pca={"n_components": 3})
    np.testing.assert_allclose(
        emb.features_tint["subj65"], expected.values[0, 0].T, rtol=1e-4, atol=1e-4
    )
    figures = emb.visualize_eigenfaces([65, 66], components=[0, 2])
    assert [len(figures[who]) for who in ("subj65", "subj66")] == [2, 2]


def test_factories__refuse_what_scikit_learn_has_and_we_have_not():
    with pytest.raises(KeyError, match="no option of pca 'whiten': there are n_components"):
        pca_factory(pca_kwargs={"whiten": True})
    with pytest.raises(KeyError, match="no pca 'Nonlinear'"):
        pca_factory(pca="Nonlinear")
    for kwargs in ({"kernel": "linear", "gamma": 1}, {"fit_inverse_transform": True}):
        key = pca_factory(pca_kwargs=kwargs).key
        assert key == "pca(kernel='linear', method='kernel', n_components=5, scaler='standard')"
    made = pca_factory(scaler="Robust", pca="Sparse", pca_kwargs={"alpha": 0.5})
    assert (made.options["scaler"], made.options["alpha"], made.n_components) == (
        "robust",
        0.5,
        5,
    )


def test_project__of_several_families_reads_the_pixels_once_for_a_person(piece, monkeypatch):
    names = ["skew", "p80", "p20", "kurtosis"]
    both = piece.face_t.project([65, 66], features=names)
    assert isinstance(both, EmbeddingCollection)
    assert both.features == {
        "percentiles_ts": ["p80", "p20"],
        "features_ts": ["skew", "kurtosis"],
    }
    assert piece.face_t.project(65, features=["p20"]).type == "percentiles_ts"
    computes = []
    original = xr.Variable.compute
    monkeypatch.setattr(xr.Variable, "compute", lambda v: computes.append(1) or original(v))
    tint = both.features_tint["subj65"]
    assert [m.shape for m in tint.values()] == [(2, 200), (2, 200)]
    assert both["features_ts"].features_tint["subj65"].shape == (2, 200)
    assert len(computes) == 1
    with pytest.raises(ValueError, match="without a wavelet"):
        piece.face_t.project(features=["p20"], fbands=[1])
    with pytest.raises(NotImplementedError, match="g0_0"):
        piece.face_t.project(heatmap=[0])


def test_table__has_frames_and_labels(piece, raw):
    emb = piece.face_t.project([65, (66, 68)], features=["mean", "max"])
    table = emb.get_df_ts_subjs("max")
    assert list(table.columns) == ["subj65", "subj66", "subj67", "subj68"]
    assert table.index.tolist() == list(range(200))
    np.testing.assert_array_equal(
        table["subj67"], raw.heatmap.sel(subject=67).max(["y", "x"]).values
    )
    pd.testing.assert_frame_equal(emb.get_ts_subjs(), emb.get_ts_subjs(0))
    assert list(emb.get_ts_subjs(["mean", "max"])) == ["mean", "max"]
    both = piece.face_t.project(65, features=["mean", "p5"]).get_df_ts_subjs("p5")
    assert both["features_ts"].empty
    assert both["percentiles_ts"].shape == (200, 1)


def test_faces__have_frames_of_their_own_size_and_places(piece, raw):
    face = piece.face_t
    frames, sizes = face.features_tint["subj65"], face.facesizes_t["subj65"]
    assert [f.shape for f in frames] == [tuple(s) for s in sizes.T.tolist()]
    top, left = (15 - sizes[0, 9]) // 2, (10 - sizes[1, 9]) // 2
    whole = raw.heatmap.sel(subject=65).values[9]
    np.testing.assert_array_equal(
        frames[9], whole[top : top + sizes[0, 9], left : left + sizes[1, 9]]
    )
    assert face.position.features == ["fp0", "fp1"]
    np.testing.assert_array_equal(
        face.position.features_tint["subj65"].T, raw.position.sel(subject=65).values
    )
    assert piece.faceposition_t.type == "faceposition_ts"
    assert (face.sr, face.piece_attributes["resize"]) == (25, (40, 60))


def test_resized_faces__are_vectors_and_coarse_grids(piece):
    small = piece.face_t.rsfacebbox_t
    vectors = small.normfacevec_ts.project([65])
    assert vectors.features_tint["subj65"].shape == (2400, 200)
    assert {f.shape for f in small.features_tint["subj65"]} == {(60, 40)}
    cells = small.bboxheatmap_ts.project([65]).features_tint["subj65"]
    grid = vectors.features_tint["subj65"].reshape(12, 5, 8, 5, 200)
    assert cells.shape == (96, 200)
    with np.errstate(invalid="ignore"):
        counts = np.isfinite(grid).sum((1, 3))
        expected = np.nansum(grid, axis=(1, 3)) / np.where(counts, counts, np.nan)
    np.testing.assert_allclose(cells, expected.reshape(96, 200), rtol=1e-5)
    recipe = pca_factory(pca="PCA", pca_kwargs={"n_components": 2})
    assert small.create_pca_embedding(recipe)[0].features_tint["subj65"].shape == (2, 200)


def test_datasource__of_lists_of_frames(piece):
    face = piece.face_t
    given = {who: face.features_tint[who] for who in ("subj65", "subj66")}
    place = {who: face.position.features_tint[who] for who in given}
    mine = Datasource((START, STOP), given, position=place)
    for name in ("max", "mean"):
        np.testing.assert_allclose(
            mine.project(features=[name]).features_tint["subj66"],
            face.project(66, features=[name]).features_tint["subj66"],
            rtol=1e-6,
        )
    assert mine.position.features_tint["subj65"].shape == (2, 200)
    lost = Datasource((0, 2), {40: [np.ones((2, 2)), np.nan]})
    assert [f.shape for f in lost.features_tint["subj40"]] == [(2, 2), (0, 0)]


def test_embedding__of_a_dict_of_matrices():
    emb = Embedding((5, 8), {66: np.ones((2, 3)), "subj65": np.zeros((2, 3))}, ["a", "b"])
    assert (emb.subjects, emb.features) == (["subj65", "subj66"], ["a", "b"])
    assert (emb.frequencies, emb.temperature_threshold) == ("All", 30)
    assert emb.get_ts_subjs("b")["subj66"].tolist() == [1, 1, 1]
    assert Embedding((0, 3), {1: np.ones((1, 3))}, frequencies=[(0.1, 0.2)]).frequencies == [
        (0.1, 0.2)
    ]
    with pytest.raises(AttributeError, match="no bins"):
        emb.binedges  # noqa: B018
    with pytest.raises(ValueError, match="a name for each feature"):
        Embedding((0, 3), {1: np.ones((2, 3))}, ["a"])
