"""Files of cameras: TIFF stacks and radiometric videos; temperatures are the library's own."""

import sys

import av
import numpy as np
import pytest

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SourceError
from ingest.hints import Hints
from ingest.run import ingest
from ingest.stacks import StackSource

tifffile = pytest.importorskip("tifffile")
N, SHAPE = 30, (16, 32)


@pytest.fixture
def counts():
    return np.random.default_rng(0).integers(30400, 30900, (N, *SHAPE)).astype("u2")


def ingested(path, tmp_path, **hints):
    done = ingest(StackSource(path, hints=Hints(**hints)), tmp_path / "a.zarr")
    return fx.open_recording(tmp_path / "a.zarr"), " | ".join(done.doubts)


@pytest.mark.parametrize("how", [{}, {"compression": "lzw"}, {"byteorder": ">"}], ids=str)
def test_tiff__of_16_bits_is_a_stack(tmp_path, counts, how):
    tifffile.imwrite(tmp_path / "anna.TIF", counts, photometric="minisblack", **how)
    ds, doubts = ingested(tmp_path / "anna.TIF", tmp_path, units="cK")
    np.testing.assert_allclose(ds.heatmap[0, 0], counts / 100 - 273.15, atol=0.0051)
    assert ds.subject.values.tolist() == ["anna"]
    assert "25 Hz is assumed" in doubts
    with pytest.raises(SourceError, match="integers: say their unit"):
        StackSource(tmp_path / "anna.TIF").found()


@pytest.mark.parametrize(
    "how", [{}, {"truncate": True}, {"imagej": True, "metadata": {"axes": "TYX"}}], ids=str
)
def test_tiff__in_one_piece_is_read_at_once(tmp_path, counts, monkeypatch, how):
    """Also where the first page alone describes all, as in ImageJ's files beyond 4 GB."""
    tifffile.imwrite(tmp_path / "a.tif", counts, photometric="minisblack", **how)
    monkeypatch.setattr(tifffile.TiffFile, "asarray", None)
    ds, _ = ingested(tmp_path / "a.tif", tmp_path, units="cK")
    np.testing.assert_allclose(ds.heatmap[0, 0], counts / 100 - 273.15, atol=0.0051)


def test_tiff__written_a_page_at_a_time_is_a_stack(tmp_path, counts):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in counts:
            file.write(page, contiguous=False)
    ds, _ = ingested(tmp_path / "a.tif", tmp_path, units="cK")
    np.testing.assert_allclose(ds.heatmap[0, 0], counts / 100 - 273.15, atol=0.0051)


def test_tiff__of_imagej_tells_its_clock(tmp_path, counts):
    celsius = (counts / 100 - 273.15).astype("f4")
    about = {"axes": "TYX", "finterval": 1 / 9}
    tifffile.imwrite(tmp_path / "subj40.tif", celsius, imagej=True, metadata=about)
    ds, doubts = ingested(tmp_path / "subj40.tif", tmp_path)
    assert ds.attrs["sampling_rate"] == 9
    np.testing.assert_allclose(ds.heatmap[0, 0], celsius, atol=0.0051)
    assert "assumed" not in doubts


def test_tiff__that_is_no_stack_is_refused(tmp_path, counts):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 3), "u1"), photometric="rgb")
    with pytest.raises(SourceError, match="expected grey pages"):
        StackSource(tmp_path / "a.tif").found()
    two = np.stack([counts, counts + 90], axis=1)
    tifffile.imwrite(tmp_path / "a.tif", two, imagej=True, metadata={"axes": "TCYX"})
    with pytest.raises(SourceError, match=r"axes T \(30\), C \(2\).*one channel"):
        StackSource(tmp_path / "a.tif", hints=Hints(units="cK")).found()
    for i in (0, 1):
        tifffile.imwrite(tmp_path / f"f{i}.tif", counts[i])
    with pytest.raises(SourceError, match="one frame of several in its folder"):
        StackSource(tmp_path / "f0.tif").found()
    (tmp_path / "b.tif").write_bytes(b"II*\0\x08\0\0\0" + bytes(200))
    with pytest.raises(SourceError, match=r"'b\.tif'"):
        StackSource(tmp_path / "b.tif").found()


def test_tiff__without_its_library_names_the_line(tmp_path, counts, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", counts)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ConfigError, match=r"pip install 'fhemb_xr\[camera\]'"):
        StackSource(tmp_path / "a.tif").found()


def test_video__of_16_bits_is_a_stack_with_its_own_clock(tmp_path, counts):
    with av.open(str(tmp_path / "subj7.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=9)
        stream.height, stream.width, stream.pix_fmt = *SHAPE, "gray16le"
        for i, image in enumerate(counts):
            frame = av.VideoFrame.from_ndarray(image, format="gray16le")
            frame.pts = i
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    ds, _ = ingested(tmp_path / "subj7.mkv", tmp_path, units="cK")
    np.testing.assert_allclose(ds.heatmap[0, 0], counts / 100 - 273.15, atol=0.0051)
    assert ds.attrs["sampling_rate"] == pytest.approx(9, rel=1e-3)
    with pytest.raises(SourceError, match="integers: say their unit"):
        StackSource(tmp_path / "subj7.mkv").found()
