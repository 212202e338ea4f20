"""Videos by blocks of frames, and embeddings by a small transformer with random weights."""

import av
import numpy as np
import pytest
import torch
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SchemaError, SourceError, StoreError
from ingest import vit
from ingest.video import open_video

N = 90


def film(path, codec, **options):
    """A square that moves over noise, at 25 frames a second."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 12
        for i in range(N):
            image = rng.integers(0, 60, (48, 64, 3), np.uint8)
            image[10:30, i % 40 : i % 40 + 20] = [200, i, 90]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module", params=["mpeg4", "libx264"])
def clip(request, tmp_path_factory):
    try:
        av.codec.Codec(request.param, "w")
    except ValueError:  # this build of FFmpeg has no such encoder
        pytest.skip(f"no encoder {request.param}")
    options = {"bf": "2"} if request.param == "mpeg4" else {"preset": "fast"}
    return film(tmp_path_factory.mktemp("film") / "a.mp4", request.param, **options)


@pytest.mark.parametrize("block", [1, 20, 1000])
@pytest.mark.parametrize("gray", [True, False])
def test_video__blocks_equal_decoding_from_the_start(clip, computes, block, gray):
    with av.open(str(clip)) as container:
        kind = "gray" if gray else "rgb24"
        frames = list(container.decode(video=0))
    whole = np.stack([f.to_ndarray(format=kind) for f in frames])
    keys = sum(f.key_frame for f in frames)
    with computes(0):
        video = open_video(clip, gray=gray, block_frames=block)
    assert video.shape == ((N, 48, 64) if gray else (N, 48, 64, 3))
    assert len(video.chunksizes["time"]) == {1: keys, 20: 4, 1000: 1}[block]
    assert keys > 4
    np.testing.assert_array_equal(video, whole)
    np.testing.assert_array_equal(video.isel(time=slice(37, 41)), whole[37:41])
    np.testing.assert_allclose(video.time, np.arange(N) / 25, atol=1e-6)
    assert video.attrs["sampling_rate"] == 25


def test_video__that_is_none_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no film" * 100)
    with pytest.raises(SourceError, match=r"'a.mp4' cannot be read: Invalid data"):
        open_video(tmp_path / "a.mp4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                       intermediate_size=32, image_size=32, patch_size=8)  # fmt: skip
    path = tmp_path_factory.mktemp("models") / "tiny"
    ViTModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def heat():
    heat = fx.testing.audience(n_subjects=2, seconds=2, chunk_frames=20).heatmap
    heat = heat.compute()
    heat[0, 0, 7] = np.nan
    return heat


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_embed__equals_the_model_frame_by_frame(model, heat, computes, pooling):
    from transformers import ViTModel

    with computes(0):
        got = vit.embed_vit(heat.chunk(time=20), model, pooling=pooling)
    assert got.dims == ("subject", "session", "time", "embedding")
    assert got.dtype == got.compute().dtype == np.float32
    network = ViTModel.from_pretrained(model).eval()
    for i in (0, 31):
        frame = torch.from_numpy(heat.values[1, 0, i]).nan_to_num(20.0)
        image = ((frame - 20) / 20).clip(0, 1)[None, None]
        image = torch.nn.functional.interpolate(image, 32, mode="bilinear", antialias=True)
        with torch.no_grad():
            seen = network(pixel_values=(image.repeat(1, 3, 1, 1) - 0.5) / 0.5)
        tokens = seen.last_hidden_state[0]
        want = tokens[0] if pooling == "cls" else tokens[1:].mean(0)
        np.testing.assert_allclose(got[1, 0, i], want, atol=2e-6)
    assert np.isnan(got[0, 0, 7]).all()
    assert not np.isnan(got[0, 0, 8]).any()


def test_embed__does_not_depend_on_chunks_beyond_rounding(model, heat):
    whole = vit.embed_vit(heat, model)
    for n in (1, 7, 50):
        cut = vit.embed_vit(heat.chunk(subject=1, time=n), model)
        np.testing.assert_allclose(cut.values, whole.values, atol=2e-6)


def test_embed__says_which_model_and_never_where(model, heat):
    attrs = vit.embed_vit(heat, model).attrs
    assert attrs["model"] == "tiny"
    assert len(attrs["weights_sha256"]) == 64
    assert attrs["normalization"] == "none"
    assert str(model.parent) not in str(attrs)
    with pytest.raises(
        ConfigError, match=r"'nothing' is no vision transformer with 'model\.saf"
    ):
        vit.embed_vit(heat, model.parent / "nothing")
    with pytest.raises(ValueError, match="pooling is 'cls' or 'mean', found 'max'"):
        vit.embed_vit(heat, model, pooling="max")
    with pytest.raises(ValueError, match="frames without units need limits="):
        vit.embed_vit(heat.drop_attrs(), model)
    with pytest.raises(SchemaError, match=r"frames are cut along \['x'\]"):
        vit.embed_vit(heat.chunk(x=5), model)


def test_extract__goes_on_where_it_was_stopped(model, clip, tmp_path, monkeypatch):
    video = open_video(clip, block_frames=20)
    keep, seen = vit._keep, []

    def stop_after_two(path, content):
        if path.suffix == ".npy":
            if len(seen) == 2:
                raise KeyboardInterrupt
            seen.append(path.name)
        keep(path, content)

    monkeypatch.setattr(vit, "_keep", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        vit.extract(video, tmp_path / "a.zarr", model, block_frames=25)
    assert not (tmp_path / "a.zarr").exists()
    done = []
    monkeypatch.setattr(vit, "_keep", lambda p, c: (done.append(p.name), keep(p, c)))
    with pytest.raises(StoreError, match="was begun with another model, other frames"):
        vit.extract(video, tmp_path / "a.zarr", model, block_frames=25, pooling="mean")
    ds = vit.extract(video, tmp_path / "a.zarr", model, block_frames=25)
    assert done == ["0000000050.npy", "0000000075.npy"]
    assert not [p.name for p in tmp_path.iterdir() if p.name.endswith(".vit")]
    whole = vit.embed_vit(video, model)
    np.testing.assert_allclose(ds.vit, whole, atol=2e-6)
    again = vit.extract(video, tmp_path / "b.zarr", model, block_frames=25)
    np.testing.assert_array_equal(ds.vit, again.vit)  # as if it had never been stopped
    np.testing.assert_allclose(ds.time, video.time)
    assert ds.vit.attrs["weights_sha256"] == whole.attrs["weights_sha256"]
    with pytest.raises(StoreError, match="is there already"):
        vit.extract(video, tmp_path / "a.zarr", model)
    assert isinstance(fx.open_streams(tmp_path / "a.zarr"), xr.Dataset)
