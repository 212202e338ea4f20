"""A saved embedding follows its recording, and computes only what changed."""

import numpy as np
import pytest
import xarray as xr
import zarr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io import lineage, provenance
from fhemb_xr.io.integrity import chunk_identity
from fhemb_xr.kernels.frames import frame_features
from ingest.run import ingest
from ingest.stacks import StackSource

SHARD = 64  # frames; of one chunk each
WAVES = {"wavelet": "db2", "level": 2, "bands": [1, 2]}


def frames(n):
    """Frames of two people; the first n are the same for every n. Some are missing."""
    rng = np.random.default_rng(0)
    faces = {f"subj{w}": rng.normal(33, 2, (1024, 4, 3)).astype("f4")[:n] for w in (40, 41)}
    faces["subj41"][30:40] = np.nan
    return faces


def recorded(folder, n, **more):
    """Ingest the first n frames, or those that are new."""
    (folder / "files").mkdir(exist_ok=True)
    np.savez(folder / "files" / "opera.npz", **frames(n))
    source = StackSource(folder / "files")
    ingest(source, folder / "r.zarr", shard_frames=SHARD, workers=1, grid=(4, 3), **more)
    return fx.open_recording(folder / "r.zarr")


@pytest.fixture
def n_frames(monkeypatch):
    """The numbers of frames whose features were computed."""
    seen, kernel = [], frame_features.features

    def counting(x, *args, **kwargs):
        seen.append(len(x))
        return kernel(x, *args, **kwargs)

    monkeypatch.setattr(frame_features, "features", counting)
    return seen


def require_same_as_anew(folder, *args, **kwargs):
    """The extended store holds the bits of a new embedding, and knows its sources."""
    found = fx.open_embedding(folder / "e.zarr")
    anew = fx.embed(fx.open_recording(folder / "r.zarr"), *args, **kwargs)
    assert found.values.tobytes() == anew.values.tobytes()
    xr.testing.assert_equal(found.drop_vars("bin_edges", errors="ignore"), anew)
    assert lineage.state(folder / "e.zarr") == "up to date"
    assert fx.verify(folder / "e.zarr") == []
    return found


def test_extend__computes_new_frames_and_the_partly_filled_chunk_only(tmp_path, n_frames):
    fx.save(fx.embed(recorded(tmp_path, 500), ["mean", "p50"]), tmp_path / "e.zarr")
    recorded(tmp_path, 600, append=True)
    assert lineage.state(tmp_path / "e.zarr").startswith("out of date")
    n_frames.clear()
    done = fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr")
    # of each person 7 of 10 chunks are whole and old; the last three have 64, 64 and 24 frames
    assert (done.kept, done.computed) == (14, 6)
    assert sum(n_frames) == 2 * (600 - 7 * SHARD)
    require_same_as_anew(tmp_path, ["mean", "p50"])
    n_frames.clear()
    assert fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr").computed == 0
    assert not n_frames
    recorded(tmp_path, 700, append=True)  # an extended embedding can be extended
    assert fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr").kept == 18
    require_same_as_anew(tmp_path, ["mean", "p50"])


def test_extend__computes_what_a_filter_reaches(tmp_path, n_frames):
    fx.save(fx.embed(recorded(tmp_path, 900), ["mean"], **WAVES), tmp_path / "e.zarr")
    recorded(tmp_path, 1000, append=True)
    n_frames.clear()
    done = fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr")
    assert 0 < done.computed < done.kept
    # the last blocks of the filter, of at least 92 samples, and 23 samples before them
    assert sum(n_frames) <= 2 * (1000 - 12 * SHARD)
    require_same_as_anew(tmp_path, ["mean"], **WAVES)


def test_extend__sees_what_changed_in_the_middle(tmp_path, n_frames):
    ds = recorded(tmp_path, 500)
    fx.save(fx.embed(ds, ["mean"]), tmp_path / "e.zarr")
    fx.save(fx.embed(ds, ["mean"], **WAVES), tmp_path / "b.zarr")
    group = zarr.open_group(tmp_path / "r.zarr")
    group["heatmap"][1, 0, 130] = 0  # as a shard that was read again
    provenance.restamp(group, "append")
    n_frames.clear()
    done = fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr")
    assert (done.computed, sum(n_frames)) == (1, SHARD)
    require_same_as_anew(tmp_path, ["mean"])
    assert fx.extend(tmp_path / "b.zarr", tmp_path / "r.zarr").kept >= 8  # the other person
    (tmp_path / "b.zarr").rename(tmp_path / "e2.zarr")
    found = fx.open_embedding(tmp_path / "e2.zarr").values
    anew = fx.embed(fx.open_recording(tmp_path / "r.zarr"), ["mean"], **WAVES).values
    assert found.tobytes() == anew.tobytes()


def test_extend__keeps_people_and_beginning_and_an_end_that_was_chosen(tmp_path):
    ds = recorded(tmp_path, 500)
    some = fx.select(ds, subjects=[41], frames=(70, 500))
    fx.save(fx.embed(some, ["mean"]), tmp_path / "open.zarr")
    fx.save(fx.embed(fx.select(ds, frames=(0, 200)), ["mean"]), tmp_path / "closed.zarr")
    recorded(tmp_path, 600, append=True)
    assert fx.extend(tmp_path / "open.zarr", tmp_path / "r.zarr").kept == 6
    found = fx.open_embedding(tmp_path / "open.zarr")
    assert found.subject.values.tolist() == [41]
    assert found.frame.values[[0, -1]].tolist() == [70, 599]
    assert fx.extend(tmp_path / "closed.zarr", tmp_path / "r.zarr").computed == 0
    assert fx.open_embedding(tmp_path / "closed.zarr").sizes["time"] == 200
    assert lineage.state(tmp_path / "closed.zarr") == "up to date"


@pytest.mark.parametrize(("name", "why"), [("pc0", "eigenfaces"), ("bh1", "histograms")])
def test_extend__refuses_what_depends_on_every_frame(tmp_path, name, why):
    fx.save(fx.embed(recorded(tmp_path, 200), ["mean", name]), tmp_path / "e.zarr")
    recorded(tmp_path, 300, append=True)
    before = fx.open_embedding(tmp_path / "e.zarr").values
    with pytest.raises(ValueError, match=rf"{why} depend on every frame.* anew=True"):
        fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr")
    assert fx.open_embedding(tmp_path / "e.zarr").values.tobytes() == before.tobytes()
    fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr", anew=True)
    found = fx.open_embedding(tmp_path / "e.zarr")
    anew = fx.embed(fx.open_recording(tmp_path / "r.zarr"), ["mean", name])
    assert found.values.tobytes() == anew.values.tobytes()


def test_extend__keeps_scores_on_a_given_basis_and_bins_with_given_edges(tmp_path):
    ds = recorded(tmp_path, 200)
    basis = fx.pca(ds.heatmap, 2).compute()
    how = {"bins": [30.0, 33.0, 36.0]}
    fx.save(fx.embed(ds, ["pc0", "bh1"], pca=basis, **how), tmp_path / "e.zarr")
    recorded(tmp_path, 300, append=True)
    with pytest.raises(SchemaError, match="give it as pca="):
        fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr")
    assert fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr", pca=basis).kept == 6
    found = fx.open_embedding(tmp_path / "e.zarr").values
    anew = fx.embed(fx.open_recording(tmp_path / "r.zarr"), ["pc0", "bh1"], pca=basis, **how)
    assert found.tobytes() == anew.values.tobytes()


def test_extend__refuses_what_is_no_embedding_of_this_recording(tmp_path):
    ds = recorded(tmp_path, 100)
    emb = fx.embed(ds, ["mean"])
    (tmp_path / "other").mkdir()
    recorded(tmp_path / "other", 100)
    fx.save(emb, tmp_path / "e.zarr")
    with pytest.raises(StoreError, match="not made from this recording"):
        fx.extend(tmp_path / "e.zarr", tmp_path / "other" / "r.zarr")
    with xr.set_options(keep_attrs=True):
        fx.save(emb * 2, tmp_path / "twice.zarr")  # its attributes say that embed made it
    recorded(tmp_path, 200, append=True)
    with pytest.raises(ValueError, match="changed after embed"):
        fx.extend(tmp_path / "twice.zarr", tmp_path / "r.zarr")
    fx.forget(41, tmp_path / "e.zarr")
    attrs = zarr.open_group(tmp_path / "e.zarr").attrs
    assert chunk_identity.MADE_OF not in attrs  # hashes of the person's faces
    with pytest.raises(ValueError, match="does not say what its chunks were made of"):
        fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr")
    with pytest.raises(SchemaError, match="expected an embedding"):
        fx.extend(tmp_path / "r.zarr", tmp_path / "r.zarr")


def test_extend__that_died_keeps_the_old_result_and_goes_on(tmp_path, n_frames, monkeypatch):
    fx.save(fx.embed(recorded(tmp_path, 200), ["mean"]), tmp_path / "e.zarr")
    before = fx.open_embedding(tmp_path / "e.zarr").values
    recorded(tmp_path, 500, append=True)

    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("fhemb_xr.io.store._publish", die)
        with pytest.raises(KeyboardInterrupt):
            fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr")
    assert fx.open_embedding(tmp_path / "e.zarr").values.tobytes() == before.tobytes()
    n_frames.clear()
    fx.extend(tmp_path / "e.zarr", tmp_path / "r.zarr")
    assert not n_frames  # all chunks were on the disk already
    require_same_as_anew(tmp_path, ["mean"])
    assert not list(tmp_path.glob(".e.zarr.*"))


@pytest.mark.parametrize("n", [60, 500])
def test_save__names_the_chunks_of_scores_by_all_that_they_read(tmp_path, n):
    ds = recorded(tmp_path, n)
    for name, heat in (("e", ds.heatmap), ("same", ds.heatmap), ("warmer", ds.heatmap + 1)):
        emb = fx.embed(ds.assign(heatmap=heat.assign_attrs(ds.heatmap.attrs)), ["mean", "pc0"])
        fx.save(emb, tmp_path / f"{name}.zarr")
    said = [
        zarr.open_group(tmp_path / f"{n}.zarr", mode="r").attrs[chunk_identity.MADE_OF]
        for n in ("e", "same", "warmer")
    ]
    first, same, warmer = (chunk_identity.parsed(s)[1].ravel().tolist() for s in said)
    assert first == same
    assert not {*first} & {*warmer}
