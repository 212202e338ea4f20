"""Feature streams: what is stored comes back, packed without loss, equally long or not."""

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SchemaError
from fhemb_xr.io.formats import codec_pipeline, decimals


@given(
    npst.arrays("int32", st.integers(1, 50), elements=st.integers(-(10**6), 10**6)),
    st.integers(0, 4),
)
def test_decimals__come_back_as_the_float_of_their_text(whole, places):
    text = [f"{w / 10**places:.{places}f}" for w in whole.tolist()]
    x = np.array([float(t) for t in text], "f4")
    x[::7] = np.nan
    packed = decimals.pack(x, places)
    assert packed.dtype == np.int32
    np.testing.assert_array_equal(decimals.unpack(packed, places), x)


@pytest.mark.parametrize("x", [0.123456, 1e30, np.inf, -np.inf])
def test_decimals__that_are_more_are_refused(x):
    with pytest.raises(decimals.Inexact, match="has not 2 decimals"):
        decimals.pack(np.array([0.25, x], "f4"), 2)


@pytest.mark.parametrize("lengths", [300, (300, 130)])
@pytest.mark.parametrize(
    ("pipeline", "chunks"), [("zarr", None), ("zarrs", {}), ("zarrs", {"frame": 50})]
)
def test_streams__come_back_as_they_were(tmp_path, computes, lengths, pipeline, chunks):
    made = fx.testing.streams(2, lengths)
    fx.save(made, tmp_path / "a.zarr")
    with computes(0), fx.set_options(codec_pipeline=pipeline):
        again = fx.open_streams(tmp_path / "a.zarr", chunks=chunks)
    assert isinstance(again, xr.Dataset if lengths == 300 else xr.DataTree)
    xr.testing.assert_equal(again.load(), made.compute())
    one = again if lengths == 300 else again["002/novice"]
    assert one["face"].attrs["normalization"] == "none"
    assert one["face"].attrs["units"] == "pixel"
    assert one["time"].attrs["units"] == "s"
    assert one.attrs["sampling_rate"] == 25.0


def test_streams__of_printed_decimals_are_packed_and_open_anywhere(tmp_path):
    made = fx.testing.streams(1, 400)
    fx.save(made, tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert {n: group[n].dtype.name for n in ("face", "aus", "head", "vit")} == {
        "face": "int32", "aus": "int32", "head": "int32", "vit": "float32",
    }  # fmt: skip
    plain = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    for name in ("face", "aus", "head"):
        np.testing.assert_array_equal(plain[name].astype("f4"), made[name].values)


def test_streams__with_more_decimals_than_they_say_keep_every_bit(tmp_path):
    made = fx.testing.streams(1, 60).compute()
    made["aus"] = made["aus"] + np.float32(1e-4)
    for name in ("set", "array"):
        obj = made if name == "set" else made["aus"]
        fx.save(obj, tmp_path / name)
        assert zarr.open_group(tmp_path / name, mode="r")["aus"].dtype == np.float32
        again = fx.open_result(tmp_path / name)
        np.testing.assert_array_equal(again["aus"] if name == "set" else again, made["aus"])


def test_streams__that_a_recording_lacks_are_lacking_again(tmp_path):
    made = fx.testing.streams(2, (50, 80))
    lacking = made["002/novice"].to_dataset(inherit=False).drop_vars("vit")
    made = xr.DataTree.from_dict({**made.to_dict(), "/002/novice": lacking})
    fx.save(made, tmp_path / "a.zarr")
    again = fx.open_streams(tmp_path / "a.zarr")
    assert "vit" not in again["002/novice"].data_vars
    xr.testing.assert_equal(again.load(), made.compute())


def test_streams__of_many_recordings_are_as_many_arrays_as_of_one(tmp_path):
    fx.save(fx.testing.streams(5, range(40, 45)), tmp_path / "a.zarr")
    arrays = dict(zarr.open_group(tmp_path / "a.zarr", mode="r").arrays())
    assert arrays["face"].shape == (2 * sum(range(40, 45)), 68, 2)
    assert arrays["n_frame"][:].tolist() == [n for n in range(40, 45) for _ in range(2)]


def test_streams__with_other_dimensions_do_not_join(tmp_path):
    made = fx.testing.streams(2, (50, 80))
    odd = made["002/novice"].to_dataset(inherit=False)
    odd = odd.isel(embedding=slice(3))
    made = xr.DataTree.from_dict({**made.to_dict(), "/002/novice": odd})
    with pytest.raises(SchemaError, match=r"'vit' is .* streams differ in their frames only"):
        fx.save(made, tmp_path / "a.zarr")
    flat = xr.DataTree.from_dict({"one": fx.testing.streams(1, 40).isel(session=0, person=0)})
    with pytest.raises(SchemaError, match="recordings at /session/person, found \\['/one'\\]"):
        fx.save(flat, tmp_path / "a.zarr")


def test_open_streams__refuses_what_holds_none(tmp_path):
    fx.testing.audience(n_subjects=1, seconds=1).fhemb.save(tmp_path / "a.zarr")
    with pytest.raises(
        SchemaError, match="expected feature streams, the store holds a recording"
    ):
        fx.open_streams(tmp_path / "a.zarr")


def test_pipeline__is_chosen_at_opening_and_never_writes(tmp_path, monkeypatch):
    from zarrs import ZarrsCodecPipeline

    async def refuse(*_, **__):
        raise AssertionError("zarrs was asked to write")

    monkeypatch.setattr(ZarrsCodecPipeline, "write", refuse)
    with fx.set_options(codec_pipeline="zarrs"):
        fx.save(fx.testing.streams(1, 50), tmp_path / "a.zarr")
        fx.save(fx.open_streams(tmp_path / "a.zarr"), tmp_path / "b.zarr")
        with codec_pipeline.reading(tmp_path):
            opened = zarr.open_array(tmp_path / "b.zarr" / "vit", mode="r+")
    assert isinstance(opened.async_array.codec_pipeline, ZarrsCodecPipeline)
    opened[:] = 1  # what was opened to be read is written by zarr-python all the same
    plain = zarr.open_array(tmp_path / "b.zarr" / "vit", mode="r")
    assert not isinstance(plain.async_array.codec_pipeline, ZarrsCodecPipeline)
    assert (plain[:] == 1).all()


def test_pipeline__of_a_forked_process_is_that_of_zarr_python(tmp_path, monkeypatch):
    """The threads of zarrs stay in the parent: what waits for them waits for ever."""
    from zarrs import ZarrsCodecPipeline

    fx.save(fx.testing.streams(1, 50), tmp_path / "a.zarr")
    with codec_pipeline.reading(tmp_path):
        opened = zarr.open_array(tmp_path / "a.zarr" / "vit", mode="r")
    here = opened[:]

    async def hang(*_, **__):
        raise AssertionError("zarrs was asked to read in a forked process")

    monkeypatch.setattr(ZarrsCodecPipeline, "read", hang)
    with pytest.raises(AssertionError, match="in a forked process"):
        opened[:]
    monkeypatch.setattr("fhemb_xr.io.formats.zarrs_pipeline.os.getpid", lambda: -1)
    np.testing.assert_array_equal(opened[:], here)


def test_pipeline__that_is_not_there_is_named(monkeypatch, tmp_path):
    with (
        pytest.raises(ValueError, match="no codec pipeline 'rust': there are"),
        fx.set_options(codec_pipeline="rust"),
    ):
        pass
    monkeypatch.setattr(codec_pipeline, "find_spec", lambda name: None)
    assert not codec_pipeline.compiled(tmp_path)
    with (
        fx.set_options(codec_pipeline="zarrs"),
        pytest.raises(ConfigError, match="not installed"),
    ):
        codec_pipeline.compiled(tmp_path)


def test_pipeline__can_be_set_by_the_environment(monkeypatch):
    from fhemb_xr.options import Options

    monkeypatch.setenv("FHEMB_CODEC_PIPELINE", "zarr")
    assert Options().codec_pipeline == "zarr"
