"""Policies, parts and inspection of feature streams, against NumPy and scikit-learn."""

import weakref

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import fhemb_xr as fx
from fhemb_xr.errors import UnknownNameError
from fhemb_xr.ops.streams.splits import recordings

LENGTHS = (70, 40, 90)


@pytest.fixture(scope="module")
def tree():
    return fx.testing.streams(3, LENGTHS)


def rows(ds, name):
    """One stream as a table: a row per frame, a column per quantity."""
    x = ds[name].values
    return x.reshape(-1, *x.shape[-ds[name].ndim + ds[name].dims.index("frame") + 1 :]).reshape(
        np.prod(x.shape[: ds[name].dims.index("frame") + 1]), -1
    )


@pytest.mark.parametrize(
    ("policy", "scaler"), [("minmax", MinMaxScaler), ("standard", StandardScaler)]
)
@pytest.mark.parametrize("name", ["face", "aus", "head", "vit"])
def test_normalise__equals_scikit_learn_fitted_on_the_training_part(
    tree, computes, policy, scaler, name
):
    parted = fx.split(tree, {"train": 2, "test": 1}, seed=1)
    with computes(0):
        done = fx.normalise(parted, {name: policy})
    each = [(ds.split.item(), rows(ds, name)) for _, ds in recordings(parted)]
    known = scaler().fit(
        np.concatenate([x for part, x in each if part == "train"]).astype("f8")
    )
    for (_, ds), (_, x) in zip(recordings(done), each, strict=True):
        assert ds[name].dtype == np.float32
        np.testing.assert_allclose(
            rows(ds, name), known.transform(x.astype("f8")), atol=2e-6, rtol=2e-6
        )
        assert ds[name].attrs["normalization"] == policy
        assert ds[name].attrs["normalization_dims"] == ["frame"]
        assert ds[name].attrs["normalization_part"] == "train"
        assert "decimals" not in ds[name].attrs
    assert {part for part, _ in each} == {"train", "test"}


def test_normalise__leaves_vit_untouched_bit_for_bit(tmp_path):
    ds = fx.testing.streams(2, 60).compute()
    odd = np.array([-0.0, np.nan, 1e-42, np.inf], "f4")
    ds["vit"][0, 0, 0, :4] = odd
    before = ds.vit.values.tobytes()
    done = fx.normalise(ds)
    assert done.vit.values.tobytes() == before
    assert done.vit.attrs["normalization"] == "none"
    assert "vit_offset" not in done
    fx.save(done, tmp_path / "a.zarr")
    assert fx.open_streams(tmp_path / "a.zarr").vit.values.tobytes() == before


def test_normalise__scales_each_rotation_by_itself_not_across_them():
    """What the scripts did: of the three angles of a frame, one was always 0 and one 1."""
    ds = fx.testing.streams(1, 200).isel(session=0, person=0).compute()
    turned = fx.normalise(ds)["head"].sel(pose=["Rx", "Ry", "Rz"])
    np.testing.assert_array_equal(turned.min("frame"), 0)
    np.testing.assert_array_equal(turned.max("frame"), 1)
    of_a_frame = np.sort(turned.values, axis=1)
    assert (of_a_frame[:, 0] > 0).mean() > 0.9
    x = ds["head"].sel(pose="Ry").astype("f8")
    alone = (x - x.min()) / (x.max() - x.min())
    np.testing.assert_array_equal(turned.sel(pose="Ry"), alone.astype("f4"))


def test_normalise__keeps_the_shape_of_a_face_where_asked():
    ds = fx.testing.streams(1, 100).compute()
    done = fx.normalise(ds, dims={"face": ("frame", "landmark")}).face
    assert done.attrs["normalization_dims"] == ["frame", "landmark"]
    assert (done.min(("session", "person", "frame", "landmark")) == 0).all()
    assert done.isel(landmark=0).max() < 1 or done.isel(landmark=0).min() > 0


def test_normalise__by_recording_knows_nothing_of_the_others(tree):
    done = fx.normalise(tree, per="recording")
    alone = fx.normalise(tree["002/novice"].to_dataset())
    np.testing.assert_array_equal(done["002/novice/aus"], alone["aus"])
    assert done["001/expert/face_offset"].dims == ("landmark", "xy")


def test_normalise__each_frame_by_itself_takes_out_place_and_size(computes):
    ds = fx.testing.streams(2, 50)
    with computes(0):
        done = fx.normalise(
            ds, {"face": "standard", "aus": "none", "head": "none"}, per="frame"
        )
    x = ds.face.values.astype("f8")
    wanted = (x - x.mean(-2, keepdims=True)) / x.std(-2, keepdims=True)
    np.testing.assert_allclose(done.face, wanted, atol=2e-6)
    assert done.face.attrs["normalization_dims"] == ["landmark"]
    assert done.face.attrs["normalization_part"] == "own"
    assert "face_offset" not in done  # else it would be taken for a stream
    far = ds.assign(face=ds.face * 3 + 7)
    policies = {"face": "standard", "head": "none"}
    moved = fx.normalise(far, policies, per="frame", dims={"aus": "au"})
    np.testing.assert_allclose(moved.face, wanted, atol=2e-5)


@pytest.mark.filterwarnings("error")
def test_normalise__each_frame_warns_of_quantities_without_a_common_scale():
    ds = fx.testing.streams(1, 50)
    with pytest.warns(UserWarning, match="'head' is scaled over quantities in 'mm, rad'"):
        fx.normalise(ds, {"face": "none", "aus": "none"}, per="frame")
    with pytest.raises(
        UnknownNameError, match=r"each frame of 'aus' run over some of \['au'\]"
    ):
        fx.normalise(ds, dims={"aus": ("frame", "au")}, per="frame")


def test_normalise__by_a_fixed_range_needs_no_other_recording(tmp_path, tree):
    done = fx.normalise(tree, {"aus": (0, 5)})
    for path in ("001/expert", "003/novice"):
        np.testing.assert_allclose(done[path]["aus"], tree[path]["aus"] / 5, atol=1e-6)
        assert done[path]["aus"].attrs["normalization_part"] == "range"
        assert done[path]["face"].attrs["normalization_part"] == "all"
    fx.save(done, tmp_path / "a.zarr")
    again = fx.open_streams(tmp_path / "a.zarr").to_dataset()
    new = fx.testing.streams(1, 30, seed=9)
    np.testing.assert_allclose(fx.normalise(new, statistics=again).aus, new.aus / 5, atol=1e-6)
    for wrong in ((5, 0), (0, np.inf), 3, None):
        with pytest.raises(ValueError, match=r"a range is \(low, high\)"):
            fx.normalise(tree, {"aus": wrong})


def test_normalise__every_stream_computes_alone_also_outside_the_training_part(tmp_path):
    from ingest.openface import columns
    from ingest.streams import open_folder

    names = ["frame", "timestamp", "confidence", "success", *columns("aus")]
    for k, session in enumerate("abc"):
        n = 150 + k  # so long that dask makes a task of the list of frames
        rows = np.random.default_rng(k).uniform(0, 5, (n, len(names))).round(2)
        rows[:, 0], rows[:, 1], rows[:, 2:4] = np.arange(1, n + 1), np.arange(n) / 25, 1
        for person in ("expert", "novice"):
            np.savetxt(tmp_path / f"{session}_{person}.csv", rows, "%g", ",",
                       header=",".join(names), comments="")  # fmt: skip
    plain = fx.split(open_folder(tmp_path, variables=["aus"]), by="session")
    done = fx.normalise(plain)
    for leaf in done.leaves:
        aus = plain[leaf.path]["aus"].compute()
        wanted = (aus.astype("f8") - done["aus_offset"]) / done["aus_scale"]
        np.testing.assert_allclose(leaf["aus"].compute(), wanted, atol=1e-6)


def test_normalise__of_a_tree_equals_that_of_a_dataset():
    ds = fx.testing.streams(2, 50)
    tree = xr.DataTree.from_dict({
        f"{s}/{p}": ds.sel(session=s, person=p).drop_vars(["session", "person"])
        for s in ds.session.values for p in ds.person.values
    })  # fmt: skip
    a, b = fx.normalise(ds), fx.normalise(tree)
    np.testing.assert_array_equal(
        a.face.sel(session="002", person="expert"), b["002/expert/face"]
    )
    np.testing.assert_array_equal(a.face_scale, b["face_scale"])


def test_normalise__a_constant_becomes_0_and_nan_stays():
    x = xr.Dataset({"aus": (("frame", "au"), np.array([[2.0, 1], [2, np.nan], [2, 3]], "f4"))})
    for policy in ("minmax", "standard"):
        done = fx.normalise(x, {"aus": policy}).aus.values
        assert done[:, 0].tolist() == [0, 0, 0]
        assert np.isnan(done[1, 1])
        assert not np.isnan(done[[0, 2], 1]).any()


def test_normalise__keeps_its_statistics_for_new_data(tmp_path, tree):
    fx.save(fx.normalise(tree), tmp_path / "a.zarr")
    again = fx.open_streams(tmp_path / "a.zarr")
    new = fx.testing.streams(1, 30, seed=9)
    done = fx.normalise(new, statistics=again.to_dataset())
    offset, scale = again["aus_offset"].values, again["aus_scale"].values
    want = (new.aus.values.astype("f8") - offset) / scale
    np.testing.assert_array_equal(done.aus, want.astype("f4"))
    assert done.aus.attrs["normalization_part"] == "given"
    whole = fx.normalise(tree)
    xr.testing.assert_equal(again["003/novice/face"].load(), whole["003/novice/face"].compute())


def test_normalise__reads_twice_and_holds_nothing_between():
    reads, live, most = [], set(), [0]

    def read(block_info=None):
        out = np.full((10, 17), len(reads), "f4")
        reads.append(len(reads))
        live.add(reads[-1])
        most[0] = max(most[0], len(live))
        weakref.finalize(out, live.discard, reads[-1])
        return out

    x = da.map_blocks(read, chunks=((10,) * 40, (17,)), dtype="f4", meta=np.empty((0, 0), "f4"))
    done = fx.normalise(xr.Dataset({"aus": (("frame", "au"), x)}))
    with dask.config.set(scheduler="sync"):
        done.aus.mean().compute()
    assert len(reads) == 80  # each chunk once for the statistics and once for the result
    assert most[0] < 5  # x - x.min() holds all 40


@pytest.mark.parametrize("n", [10, 80])
def test_normalise__graph_is_linear(n):
    x = da.zeros((n * 10, 17), chunks=(10, 17), dtype="f4")
    done = fx.normalise(xr.Dataset({"aus": (("frame", "au"), x)}))
    assert len(done.aus.__dask_graph__()) < 20 * n + 40


def test_normalise__says_what_is_wrong(tree):
    for words, kwargs in (
        ("no stream 'eyes'", {"policies": {"eyes": "minmax"}}),
        (r"no policy 'zscore': there are \('none', 'minmax'", {"policies": {"aus": "zscore"}}),
        ("no recording is in the part 'tset': .*; the nearest are test", {"part": "tset"}),
        ("run over 'frame' and others", {"dims": {"aus": ("au",)}}),
        ("no range of statistics 'person': .* recording, frame", {"per": "person"}),
    ):
        with pytest.raises(UnknownNameError, match=words):
            fx.normalise(fx.split(tree), **kwargs)
    done = fx.normalise(tree)
    with pytest.raises(ValueError, match=r"'aus' is normalised already \(minmax\)"):
        fx.normalise(done, {"aus": "standard"})
    assert fx.normalise(done)["001/expert/aus"].identical(done["001/expert/aus"])


@given(st.integers(3, 30), st.integers(0, 5), st.randoms())
def test_split__is_disjoint_complete_and_free_of_order(n, seed, random):
    names = [f"s{i}" for i in range(n)]
    ds = xr.Dataset(coords={"session": names})
    found = fx.split(ds, seed=seed).split.to_series()
    counts = found.value_counts()
    assert counts.sum() == n
    assert set(counts.index) == {"train", "validation", "test"}
    assert abs(counts["train"] - 0.6 * n) <= 1.5
    random.shuffle(names)
    again = fx.split(xr.Dataset(coords={"session": names}), seed=seed).split.to_series()
    assert (again[found.index] == found).all()


def test_split__by_who_is_who_where_a_person_is_a_role(tmp_path):
    ds = fx.testing.streams(4, 20)
    ids = [["a", "b"], ["c", "a"], ["d", "b"], ["e", "c"]]
    ds = fx.split(ds.assign_coords(subject=(("session", "person"), ids)), by="subject", seed=2)
    parts = {}
    for label, part in zip(ds.subject.values.ravel(), ds.split.values.ravel(), strict=True):
        assert parts.setdefault(label, part) == part
    done = fx.normalise(ds)
    fx.save(done, tmp_path / "a.zarr")
    assert (
        fx.open_streams(tmp_path / "a.zarr").split.values.tolist() == ds.split.values.tolist()
    )
    with pytest.raises(
        UnknownNameError, match=r"no coordinate 'subjct': there are .*; the nearest are subject"
    ):
        fx.split(ds, by="subjct")
    with pytest.raises(ValueError, match="4 labels of 'session' cannot be split"):
        fx.split(ds, dict.fromkeys("abcde", 1))


def test_split__of_a_tree_is_stored(tmp_path, tree):
    parted = fx.split(tree, {"train": 1, "test": 1}, by="person")
    fx.save(parted, tmp_path / "a.zarr")
    again = fx.open_streams(tmp_path / "a.zarr")
    labels = {p: again[p]["split"].item() for p in ("001/expert", "003/expert", "002/novice")}
    assert labels["001/expert"] == labels["003/expert"] != labels["002/novice"]


def test_inspect__equals_numpy(tree, computes):
    with computes(0):
        seen = fx.inspect(tree, "head")
    x = np.concatenate([rows(ds, "head") for _, ds in recordings(tree)]).astype("f8")
    np.testing.assert_allclose(seen["mean"], x.mean(0))
    np.testing.assert_allclose(seen["std"], x.std(0), rtol=1e-6)
    np.testing.assert_allclose(seen["max"], x.max(0))
    cosines = []
    for _, ds in recordings(tree):
        r = rows(ds, "head").astype("f8")
        unit = r / np.linalg.norm(r, axis=1, keepdims=True)
        cosines += (unit[1:] * unit[:-1]).sum(1).tolist()
    np.testing.assert_allclose(seen.likeness, np.mean(cosines))
    np.testing.assert_allclose(seen.likeness_min, np.min(cosines))
    assert np.isnan(seen.outside).all()


def test_inspect__sees_what_does_not_fit_the_policy():
    ds = fx.testing.streams(2, 60).compute()
    ds["aus"][:, :, 5] = np.nan
    done = fx.normalise(fx.split(ds, {"train": 1, "test": 1}))
    seen = fx.inspect(done.assign(aus=done.aus.where(done.au != "AU45", 3)), "aus")
    assert (seen.outside.sel(au="AU45"), seen.outside.sel(au="AU01").item() < 0.2) == (1, True)
    assert seen.missing.sel(au="AU01").item() == pytest.approx(1 / 60)
    assert seen.attrs["normalization"] == "minmax"
    still = fx.inspect(xr.DataArray(np.ones((9, 4), "f4"), dims=("frame", "k"), name="still"))
    assert still.likeness.item() == pytest.approx(1)
    with pytest.raises(UnknownNameError, match=r"which stream to inspect\? There are \['face'"):
        fx.inspect(ds)
    with pytest.raises(
        UnknownNameError, match=r"no stream 'vti': there are .*; the nearest are vit"
    ):
        ds.fhemb.inspect("vti")


def test_streams__take_part_in_everything_that_has_a_time_axis():
    """The notebook's loop of dyadic correlations in windows of 250 frames is one call."""
    ds = fx.testing.streams(1, 600).isel(session=0).compute()
    a, b = (ds.aus.sel(person=p, drop=True).swap_dims(frame="time").rename(au="feature")
            for p in ("expert", "novice"))  # fmt: skip
    r = fx.lagged_correlation(a, b, window_s=10, step_s=2, max_lag_s=0).squeeze("lag")
    for w, start in enumerate(range(0, 350, 50)):
        for k in (0, 16):
            x, y = (v.values[start : start + 250, k] for v in (a, b))
            np.testing.assert_allclose(
                r.isel(window=w, feature=k), np.corrcoef(x, y)[0, 1], atol=1e-6
            )
    low = fx.wavelet_filter(a, [0, 1, 2], "db2", 4)
    assert low.dims == a.dims


def test_plot__shows_every_policy_beside_the_others():
    tree = fx.testing.streams(2, (60, 40), n_embedding=30)
    figure = fx.plot.normalisation(tree, "vit")
    titles = [p.opts.get("plot", backend="bokeh").kwargs["title"] for p in figure]
    assert [t.split("\n")[0] for t in titles] == ["As it is", "Min-max", "Standard"]
    for panel, (low, high) in zip(figure, ((-9, 9), (0, 1), (-5, 5)), strict=True):
        ends = panel.get(0).data
        assert len(ends) == 24  # of 30, evenly chosen
        assert ends["value"].min() >= low
        assert ends["value_1"].max() <= high
    with pytest.raises(UnknownNameError, match="no stream 'vti'"):
        fx.plot.normalisation(tree, "vti")
