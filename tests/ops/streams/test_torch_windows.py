"""Windows for training, in workers of both kinds, and the networks; names of the scripts."""

import time

import numpy as np
import pytest
import torch
import xarray as xr
from torch.utils.data import DataLoader

import fhemb_xr as fx
from fhemb_xr import noxi
from fhemb_xr.errors import EmptySelectionError, SchemaError, UnknownNameError
from fhemb_xr.nn.streams import OneStream, TwoStream
from ingest.streams import write_hdf5


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two sessions of unequal length, each frame labelled by its own number."""
    path = tmp_path_factory.mktemp("training") / "a.zarr"
    tree = fx.testing.streams(2, (95, 130))

    def numbered(ds):
        if "frame" not in ds.dims:
            return ds
        return ds.assign(engagement=("frame", ds.frame.values.astype("f4")))

    fx.save(fx.split(tree.map_over_datasets(numbered), {"train": 1, "test": 1}), path)
    return path


def test_windows__hold_features_and_labels_of_the_same_frames(store):
    """The scripts cut features at the number of the window, and labels at its frame."""
    tree = fx.open_streams(store, chunks=None)
    windows = fx.to_torch(tree, 30, 10)
    assert len(windows) == 2 * ((95 - 30) // 10 + 1 + (130 - 30) // 10 + 1)
    for i in (0, 3, len(windows) - 1):
        at, got = windows.where(i), windows[i]
        span = slice(at["frame"], at["frame"] + 30)
        want = tree[f"{at['session']}/{at['person']}"].isel(frame=span)
        np.testing.assert_array_equal(got["face"], want["face"])
        np.testing.assert_array_equal(got["engagement"], np.arange(span.start, span.stop))
    assert windows[3]["vit"].dtype == torch.float32


def test_windows__of_dask_and_of_lazily_indexed_arrays_are_equal(store, computes):
    with computes(0):
        a = fx.to_torch(fx.open_streams(store), 40, variables=["aus"])
    b = fx.to_torch(fx.open_streams(store, chunks=None), 40, variables=["aus"])
    assert len(a) == len(b) == 10
    for i in range(len(a)):
        torch.testing.assert_close(a[i]["aus"], b[i]["aus"], rtol=0, atol=0)


@pytest.mark.parametrize(
    "part",
    [{"landmark": [5, 2]}, {"frame": np.arange(0, 80, 2)}, {"frame": slice(None, None, -1)}],
)
def test_windows__of_what_was_chosen_are_what_was_chosen(store, part):
    tree = fx.open_streams(store, chunks=None)
    tree = tree.map_over_datasets(lambda ds: ds.isel(part, missing_dims="ignore"))
    windows = fx.to_torch(tree, 10, variables=["face", "head"])
    at = windows.where(0)
    own = tree[f"{at['session']}/{at['person']}"].isel(frame=slice(10))
    for name, found in windows[0].items():
        np.testing.assert_array_equal(found, own[name])


def test_windows__of_a_part_share_no_recording_with_another(store):
    tree = fx.open_streams(store, chunks=None)
    who = [{d["session"] for d in fx.to_torch(tree, 20, part=p).who} for p in ("train", "test")]
    assert who[0].isdisjoint(who[1])
    with pytest.raises(UnknownNameError, match="no recording is in the part 'valid'"):
        fx.to_torch(tree, 20, part="valid")


def starts(loader):
    """First frame and length of each window that a loader gives."""
    return [int(x[0]) for batch in loader for x in batch["engagement"]]


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffled_blocks__give_every_window_once_and_the_same_for_a_seed(store, workers):
    tree = fx.open_streams(store, chunks=None)
    plain = fx.to_torch(tree, 20, 5, ["engagement"])
    blocks = fx.to_torch(tree, 20, 5, ["engagement"], shuffle=True, block=4, pool=3, seed=1)
    loader = DataLoader(
        blocks,
        batch_size=8,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    first = starts(loader)
    want = [int(plain[i]["engagement"][0]) for i in range(len(plain))]
    assert sorted(first) == sorted(want)
    assert first != want
    assert starts(loader) == first
    blocks.set_epoch(1)
    assert starts(loader) != first


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("forkserver", 1)])
def test_workers__read_while_the_parent_has_read_by_zarrs(store, method, workers):
    with fx.set_options(codec_pipeline="zarrs"):
        windows = fx.to_torch(fx.open_streams(store, chunks=None), 50, variables=["face"])
    here = [windows[i]["face"] for i in range(len(windows))]  # its threads are running now
    loader = DataLoader(
        windows, batch_size=1, num_workers=workers, multiprocessing_context=method, timeout=120
    )
    started = time.perf_counter()
    for a, b in zip(loader, here, strict=True):
        assert torch.equal(a["face"][0], b)
    assert time.perf_counter() - started < 120


def test_to_torch__says_what_is_wrong(store):
    tree = fx.open_streams(store, chunks=None)
    with pytest.raises(EmptySelectionError, match=r"no window of 131 frames: .* has 130"):
        fx.to_torch(tree, 131)
    with pytest.raises(
        UnknownNameError, match=r"no stream 'fase': there are .*; the nearest are face"
    ):
        fx.to_torch(tree, 10, variables=["fase"])
    with pytest.raises(ValueError, match="stride is a whole number from 1 on, found 0"):
        fx.to_torch(tree, 10, 0)


def test_two_stream__learns_what_each_kind_tells():
    """A class in the embedding, another in the action units: one branch alone is at chance."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    ds = fx.normalise(fx.testing.streams(1, 40))
    model = TwoStream.of(ds, n_hidden=16, n_classes=4)
    assert model.handmade[0].in_features == 159
    assert model.learned[0].in_features == 16
    kinds = torch.from_numpy(rng.integers(0, 2, (64, 2)))
    hand = torch.rand(64, 10, 159) * 0.2 + kinds[:, :1, None] * 0.5
    learned = torch.randn(64, 10, 16) * 0.2 + kinds[:, 1:, None].float()
    target = kinds[:, 0] * 2 + kinds[:, 1]
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(25):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(hand, learned), target).backward()
        optimiser.step()
    model.eval()
    assert (model(hand, learned).argmax(1) == target).float().mean() > 0.95
    batch = next(iter(DataLoader(fx.to_torch(ds, 20), batch_size=2)))
    assert model.scores(batch).shape == (2, 4)


def test_two_stream__refuses_what_is_on_the_wrong_scale():
    ds = fx.testing.streams(1, 40)
    with pytest.raises(SchemaError, match=r"\['face', 'aus', 'head'\] are normalised as"):
        TwoStream.of(ds)
    with pytest.raises(SchemaError, match=r"\['vit'\] are normalised as \['minmax'\]"):
        TwoStream.of(fx.normalise(ds, {"vit": "minmax"}))
    with pytest.raises(SchemaError, match="two kinds of streams are needed"):
        TwoStream.of(ds[["face"]])


@pytest.mark.parametrize("kind", ["h5", "zarr"])
def test_scripts__run_with_their_import_line_changed(tmp_path, store, kind):
    path = store
    tree = fx.open_streams(store)
    if kind == "h5":
        path = tmp_path / "a.h5"
        write_hdf5(tree, path)
    whole = tree["002/novice"].load()
    data = noxi.load_sample(path, sample_idx=1, person="novice")
    np.testing.assert_array_equal(data["face"], whole["face"])
    assert data["vit_normalization"] == "none"
    assert list(noxi.load_sample(path, 0, "expert", features=["aus"])) == ["aus"]
    again = noxi.load_sample_by_name(path, "002", "novice")
    np.testing.assert_array_equal(again["head"], data["head"])
    part = noxi.load_slice(path, 1, "novice", "face", 100, 120)
    np.testing.assert_array_equal(part, whole["face"].isel(frame=slice(100, 120)))
    info = noxi.get_dataset_info(path)
    assert info["sample_names"] == ["001", "002"]
    assert info["features"]["expert"]["face"] == ((95, 68, 2), "float32", "none")
    assert noxi.search_samples_by_frame_count(path, "novice", 100, 500) == [(1, "002", 130)]
    for error, call in (
        ("no sample 2: there are 2", lambda: noxi.load_sample(path, 2)),
        ("no sample '003' among 2; the nearest", lambda: noxi.load_sample_by_name(path, "003")),
        ("has no 'nobody': there are", lambda: noxi.load_sample(path, 0, "nobody")),
        ("no stream 'fase'", lambda: noxi.load_slice(path, 0, feature="fase")),
    ):
        with pytest.raises(UnknownNameError, match=error):
            call()


@pytest.mark.parametrize(
    ("kind", "model"), [("openface", noxi.OpenFaceModel), ("vit", noxi.ViTModel)]
)
def test_scripts__training_snippet_runs(store, kind, model):
    dataset = noxi.NoXiReHDF5Dataset(store, feature_type=kind, sequence_length=100)
    loader = DataLoader(dataset, batch_size=16, shuffle=True)
    network = model(input_dim=159 if kind == "openface" else 16, hidden_dim=8, num_classes=7)
    for features, index in loader:
        assert network(features).shape == (2, 7)
        short = index.tolist().index(0)  # 95 frames, padded with 0
        assert (features[short, 95:] == 0).all()
        assert (features[1 - short, 95:] != 0).any()


def test_scripts__mixed_features_are_cropped_at_the_same_frames(store):
    dataset = noxi.NoXiReHDF5Dataset(store, feature_type="mixed", sequence_length=60)
    features, index = dataset[1]
    ds = fx.open_streams(store)["002/expert"].load()
    face = ds["face"].values.reshape(130, -1)
    start = next(
        i for i in range(71) if (face[i] == features["openface"][0, :136].numpy()).all()
    )
    np.testing.assert_array_equal(
        features["vit"], ds["vit"].isel(frame=slice(start, start + 60))
    )
    assert index == 1
    assert isinstance(noxi.MixedModel(hidden_dim=8), TwoStream)
    assert isinstance(noxi.ViTModel(hidden_dim=8), OneStream)
    with pytest.raises(UnknownNameError, match="no kind of features 'audio'"):
        noxi.NoXiReHDF5Dataset(store, feature_type="audio")
    assert isinstance(fx.open_streams(store), xr.DataTree)


def with_lost_faces():
    ds = fx.testing.streams(n_frames=60)
    return ds.assign(aus=ds.aus.where((ds.frame < 24) | (ds.frame > 27)).load())


@pytest.mark.parametrize("shuffle", [False, True])
def test_windows__with_a_lost_face_are_refused_by_default(shuffle):
    windows = fx.to_torch(with_lost_faces(), 20, variables=["aus"], shuffle=shuffle)
    with pytest.raises(ValueError, match=r"'aus' is missing in 4 of 20 .* in frame 24: choose"):
        [*iter(windows)] if shuffle else [windows[i] for i in range(len(windows))]


@pytest.mark.parametrize("shuffle", [False, True])
def test_windows__with_a_lost_face_are_skipped_filled_or_marked(shuffle):
    ds = with_lost_faces()

    def all_of(missing):
        windows = fx.to_torch(ds, 20, variables=["aus"], missing=missing, shuffle=shuffle)
        return [*iter(windows)] if shuffle else [windows[i] for i in range(len(windows))]

    kept, filled, marked = all_of("skip"), all_of("fill"), all_of("mask")
    assert len(kept) * 3 == len(filled) * 2 == len(marked) * 2
    for window in (*kept, *filled, *marked):
        assert bool(window["aus"].isfinite().all())
    assert sum(int(w["aus_missing"].any(dim=1).sum()) for w in marked) == 4 * len(kept) // 2
    held = [w["aus"] for w in filled if bool((w["aus"][4:8] == w["aus"][3]).all())]
    assert len(held) == len(kept) // 2  # as it was last


GAPS = {
    "frames left out": lambda ds: ds.isel(frame=[*range(25), *range(40, 60)]),
    "two parts": lambda ds: xr.concat(
        [ds.isel(frame=slice(25)), ds.isel(frame=slice(20))], "frame"
    ),
    "moments jump": lambda ds: ds.assign_coords(
        time=("frame", ds.time.values + 5.0 * (ds.frame.values >= 25))
    ),
}


@pytest.mark.parametrize("name", GAPS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_windows__never_lie_across_a_gap(name, shuffle):
    ds = GAPS[name](fx.testing.streams(1, 60).isel(session=0, person=0).load())
    frame = ds.frame.values.astype("f4")
    ds = ds.assign(number=("frame", frame), moment=("frame", ds.time.values))
    windows = fx.to_torch(ds.expand_dims("session"), 10, variables=["number", "moment"],
                          shuffle=shuffle)  # fmt: skip
    each = [*iter(windows)] if shuffle else [windows[i] for i in range(len(windows))]
    assert {len(w["number"]) for w in each} == {10}
    for window in each:
        assert (np.diff(window["number"]) == 1).all()
        np.testing.assert_allclose(np.diff(window["moment"]), 0.04)
    if not shuffle:
        firsts = [windows.where(i)["frame"] for i in range(len(windows))]
        assert firsts == [int(w["number"][0]) for w in each]
        assert len(firsts) == 2 + {"moments jump": 3}.get(name, 2)


def test_windows__longer_than_every_run_say_how_long_it_is():
    ds = GAPS["frames left out"](fx.testing.streams(1, 60))
    with pytest.raises(EmptySelectionError, match="without a gap has 25"):
        fx.to_torch(ds, 30)
    assert len(fx.to_torch(ds.isel(frame=slice(None, None, 2)), 10)) == 2 * 2


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """Streams with frames without a face: in memory, lazy, and from two kinds of store."""
    folder = tmp_path_factory.mktemp("lost")

    def cut(ds):
        if "frame" not in ds.dims:
            return ds
        return ds.assign(aus=ds.aus.where((ds.frame < 22) | (ds.frame > 25)))

    tree = fx.split(
        fx.testing.streams(2, (40, 50)).map_over_datasets(cut), {"train": 1, "test": 1}
    )
    fx.save(tree, folder / "a.zarr")
    write_hdf5(tree, folder / "a.h5")
    ways = {"lazy": tree, "in memory": tree.compute()}
    ways |= {"store": fx.open_streams(folder / "a.zarr")}
    ways |= {"store, not dask": fx.open_streams(folder / "a.zarr", chunks=None)}
    ways |= {"HDF5": fx.open_streams(folder / "a.h5"), "path": folder / "a.h5"}
    return ways


@pytest.mark.parametrize(
    ("way", "how"),
    [(way, "windows") for way in ("lazy", "in memory", "store", "store, not dask", "HDF5")]
    + [("store", how) for how in ("a part", "shuffled", "workers", "normalised")]
    + [("HDF5", "workers"), ("in memory", "normalised")],
)
def test_lost_faces__never_reach_a_batch_whatever_the_way(lost, way, how):
    streams = fx.normalise(lost[way], part=None) if how == "normalised" else lost[way]
    options = {"part": "test"} if how == "a part" and way != "HDF5" else {}
    options |= {"shuffle": True, "block": 2} if how == "shuffled" else {}
    loading = {"num_workers": 1, "multiprocessing_context": "fork"} if how == "workers" else {}

    def batches(missing):
        windows = fx.to_torch(streams, 10, 10, ["aus", "face"], missing=missing, **options)
        return [b["aus"] for b in DataLoader(windows, batch_size=4, **loading)]

    with pytest.raises(ValueError, match="'aus' is missing in"):
        batches("raise")
    n = {m: sum(len(b) for b in batches(m)) for m in ("skip", "fill", "mask")}
    assert n["fill"] == n["mask"] > n["skip"] > 0
    for missing in n:
        assert all(torch.isfinite(b).all() for b in batches(missing))


def test_lost_faces__never_leave_the_dataset_of_the_scripts(lost):
    dataset = noxi.NoXiReHDF5Dataset(lost["path"])
    with pytest.raises(ValueError, match="miss values in 4 of 40 frames"):
        dataset[0]
    filled = noxi.NoXiReHDF5Dataset(lost["path"], sequence_length=60, missing="fill")[0][0]
    assert filled.shape == (60, 159)
    assert torch.isfinite(filled).all()
