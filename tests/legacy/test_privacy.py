"""Who takes part is personal: no log and no repr says it, only how many."""

import logging
import re

import numpy as np
import pytest

import fhemb_xr.legacy as fhemb

pytest.importorskip("holoviews")
PEOPLE = (65, 67)
NAMED = re.compile(r"subj\d|\b6[5-9]\b")


def test_logs__say_how_many_people_and_not_who(don, caplog):
    wavelet = fhemb.wfactory("db2", 2)
    with caplog.at_level(logging.DEBUG, "fhemb_xr.legacy"):
        piece = fhemb.Piece("Don Giovanni", (10000, 10100), [PEOPLE], store=don)
        emb = piece.face_t.project([65, 66], features=["mean", "max"], wdfactory=wavelet)
        emb.project(["subj65"], ["mean"]).plot_signal(["subj65"])
        emb.create_wdecomposition("max", wavelet).create_wreconstruction([65], [1])
        plain = piece.face_t.project([65, 66], features=["mean", "max"])
        plain.project([65]).lagged_correlations_df(20, 2, 20)
        plain.project([65, 66], ["max"]).plot_lagged_correlations(20, 2, 20)
        three = piece.face_t.project(features=["mean"])
        fhemb.dtw_clustering(three, n_clusters=2, metric="euclidean")
        emb.get_ts_subjs("max")
        emb.bbootstrap([65], block_length=1, rseed=0)
    assert len(caplog.records) > 10
    assert "2 people" in caplog.text
    assert not NAMED.findall("".join(r.getMessage() for r in caplog.records))


def test_reprs__say_how_many_people_and_not_who(don):
    piece = fhemb.Piece("Don Giovanni", (10000, 10100), [PEOPLE], store=don)
    emb = piece.face_t.project(features=["mean"])
    shown = {
        repr(piece): "3 people",
        repr(piece.face_t): "3 people",
        repr(piece.face_t.rsfacebbox_t): "3 people",
        repr(piece.face_t.features_tint): "3 people",
        repr(emb): "3 people",
        repr(emb.project(65)): "1 person",
        repr(emb.features_tint): "3 people",
        repr(emb.create_wdecomposition()): "3 people",
        repr(fhemb.EmbeddingCollection(emb)): "features_ts",
        repr(piece.face_t.rsfacebbox_t.normfacevec_ts): "2400 features, 3 people",
    }
    for text, part in shown.items():
        assert part in text
        assert not NAMED.findall(text), text
    with pytest.raises(AttributeError, match="has no bins") as error:
        emb.binedges  # noqa: B018
    assert not NAMED.findall(str(error.value))
    with pytest.raises(ValueError, match="none of 1 person has a face") as error:
        fhemb.Piece("Don Giovanni", (10000, 10100), 45, store=don).face_t  # noqa: B018
    assert "45" not in str(error.value)
    assert np.isfinite(emb.features_tint["subj65"]).all()
