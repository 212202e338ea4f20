"""Videos in every container: frames equal those of decoding from the start."""

import contextlib
import struct

import av
import numpy as np
import pytest

from fhemb_xr.errors import SourceError
from ingest.video import open_video

N, HIGH, WIDE = 72, 32, 64


def film(path, codec, pix_fmt="yuv420p", rate=25, frames=None, **options):
    try:
        av.codec.Codec(codec, "w")
    except ValueError:  # this build of FFmpeg has no such encoder
        pytest.skip(f"no encoder {codec}")
    grey = np.add.outer(np.arange(HIGH), np.arange(WIDE)).astype(np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = HIGH, WIDE, pix_fmt
        for i in range(N if frames is None else len(frames)):
            if frames is None:
                frame = av.VideoFrame.from_ndarray(grey + np.uint8(2 * i), format="gray")
            else:
                frame = av.VideoFrame.from_ndarray(frames[i], format=pix_fmt)
            frame.pts = i
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decoded(path, kind="gray"):
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format=kind) for f in container.decode(video=0)])


B = {"g": "12", "bf": "2"}
KINDS = [
    ("a.ts", "libx264", B), ("a.m2ts", "libx264", B), ("b.ts", "mpeg2video", B),
    ("a.mpg", "mpeg2video", B), ("a.avi", "mpeg4", B), ("b.avi", "libx264", B),
    ("c.avi", "mpeg4", {"g": "12"}), ("a.mkv", "mpeg2video", B), ("a.mov", "libx264", B),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "options"), KINDS, ids=lambda v: str(v)[:10])
@pytest.mark.parametrize("block", [1, 20, 500])
def test_containers__frames_equal_a_plain_decode(tmp_path, name, codec, options, block):
    path = film(tmp_path / name, codec, **options)
    video = open_video(path, block_frames=block)
    np.testing.assert_array_equal(video, decoded(path))
    np.testing.assert_allclose(video.time, np.arange(N) / 25, atol=1e-3)
    np.testing.assert_array_equal(video[50:53], decoded(path)[50:53])


def test_edit_list__hides_frames(tmp_path):
    path = film(tmp_path / "a.mp4", "libx264", bf="0", g="12")
    raw = bytearray(path.read_bytes())
    at, media = raw.find(b"elst"), raw.find(b"mdhd")
    scale = struct.unpack(">I", raw[media + 16 : media + 20])[0]
    raw[at + 16 : at + 20] = struct.pack(">i", 15 * scale // 25)
    path.write_bytes(raw)
    want = decoded(path)
    assert len(want) < N
    for block in (1, 20):
        video = open_video(path, block_frames=block)
        np.testing.assert_array_equal(video, want)
        assert float(video.time[0]) == 0


@pytest.mark.parametrize(
    ("bits", "pix_fmt"), [(10, "gray10le"), (12, "gray12le"), (16, "gray16le")]
)
def test_bits__all_of_them_are_kept(tmp_path, bits, pix_fmt):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 2**bits, (5, HIGH, WIDE)).astype(np.uint16)
    path = film(tmp_path / "a.mkv", "ffv1", pix_fmt, 9, frames)
    video = open_video(path)
    assert (video.dtype, video.attrs["bits"]) == (np.uint16, bits)
    np.testing.assert_array_equal(video, frames)
    assert video.attrs["sampling_rate"] == 9


TURNS = {
    -90: (0, 65536, 0, -65536, 0, 0, 0, 0, 2**30),
    180: (-65536, 0, 0, 0, -65536, 0, 0, 0, 2**30),
    90: (0, -65536, 0, 65536, 0, 0, 0, 0, 2**30),
}


@pytest.mark.parametrize("angle", TURNS)
@pytest.mark.parametrize("gray", [True, False])
def test_rotation__frames_are_as_players_show_them(tmp_path, angle, gray):
    path = film(tmp_path / "a.mp4", "libx264")
    plain = decoded(path, "gray" if gray else "rgb24")
    raw = bytearray(path.read_bytes())
    at = raw.find(b"tkhd") + 44
    raw[at : at + 36] = struct.pack(">9i", *TURNS[angle])
    path.write_bytes(raw)
    video = open_video(path, gray=gray)
    assert abs(video.attrs["rotation"]) == abs(angle)
    k = video.attrs["rotation"] // 90
    np.testing.assert_array_equal(video, np.rot90(plain, k, axes=(1, 2)))
    # a matrix that puts the stored x axis downwards turns clockwise
    assert (k % 4 == 3) == (angle == -90)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mpg"])
def test_truncated__gives_what_a_plain_decode_gives(tmp_path, name):
    path = film(tmp_path / name, "mpeg2video", g="12")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 6 // 10])
    # a header says how long the film is in one of these formats
    cut_off = pytest.warns(UserWarning, match=r"lasts 2\.88 s .* for 1\.52 s: is it cut off")
    with cut_off if name == "a.mkv" else contextlib.nullcontext():
        video = open_video(path, block_frames=12)
    np.testing.assert_array_equal(video, decoded(path))


def test_damaged__is_an_error_with_its_name(tmp_path):
    path = film(tmp_path / "film.mp4", "libx264")
    raw = bytearray(path.read_bytes())
    start = raw.find(b"mdat") + 400
    raw[start : start + 600] = bytes(600)
    path.write_bytes(raw)
    with pytest.raises(SourceError, match=r"film\.mp4"):
        open_video(path, block_frames=10).load()
