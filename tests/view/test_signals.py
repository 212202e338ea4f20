"""Series in memory: every spike shows, gaps stay gaps, what is in view is read first."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError
from fhemb_xr.view.memory import series
from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.memory.pyramid import Pyramid
from fhemb_xr.view.memory.reading import Signal, Window


@pytest.fixture(scope="module")
def filled():
    values = np.random.default_rng(1).normal(size=(3, 5000)).astype("f4")
    values[0, 700:2100] = np.nan
    values[1, 4999] = 50
    pyramid = Pyramid(3, 5000)
    for first in range(0, 5000, 700):  # no piece begins at a step
        pyramid.fill(slice(0, 3), first, values[:, first : first + 700])
    return values, pyramid


@pytest.mark.parametrize(
    ("start", "stop", "most"), [(0, 5000, 10), (333, 4777, 50), (0, 900, 100)]
)
def test_envelope__has_the_extremes_of_every_step(filled, start, stop, most):
    values, pyramid = filled
    x, y = pyramid.envelope([2, 0, 1], start, stop, most)
    size = 2 ** int(np.ceil(np.log2((stop - start) / most)))
    first = start // size * size
    assert y.shape == (3, x.size)
    assert x.size <= 2 * (most + 2)
    for k in range(x.size // 2):
        part = values[[2, 0, 1], first + k * size : first + (k + 1) * size]
        with np.errstate(all="ignore"):
            low, high = np.fmin.reduce(part, axis=1), np.fmax.reduce(part, axis=1)
        np.testing.assert_array_equal(y[:, 2 * k], low)
        np.testing.assert_array_equal(y[:, 2 * k + 1], high)
        assert first + k * size <= x[2 * k] <= first + (k + 1) * size - 1


def test_envelope__of_few_samples_is_the_samples(filled):
    values, pyramid = filled
    x, y = pyramid.envelope([1], 4900, 6000, 60)
    np.testing.assert_array_equal(x, np.arange(4900, 5000))
    np.testing.assert_array_equal(y[0], values[1, 4900:])


def test_pyramid__adds_less_than_a_third_to_the_series(filled):
    values, pyramid = filled
    assert values.nbytes < pyramid.nbytes < 1.3 * values.nbytes


def test_signal__reads_what_is_in_view_first_and_each_piece_once():
    read = []

    def piece(people, samples):
        read.append((people.start, samples.start))
        return np.zeros((people.stop - people.start, samples.stop - samples.start), "f4")

    found = series.Series("a", "", tuple(range(5)), np.arange(100.0), piece, (2, 40))
    signal = Signal(found)
    place = signal.claim(Window((4, 5), (85.0, 90.0)))
    signal.read(place)
    assert read == [(4, 80)]
    assert signal.share == pytest.approx(1 / 9)
    signal.read_all()
    assert (len(read), len({*read}), signal.share) == (9, 9, 1.0)
    assert np.isfinite(signal.pyramid.values).all()


def test_signal__keeps_what_went_wrong_as_a_sentence():
    def broken(people, samples):
        raise SchemaError("a chunk is lost")

    signal = Signal(series.Series("a", "", (1,), np.arange(9.0), broken, (1, 9))).read_all()
    assert (signal.error, signal.version) == ("a chunk is lost", 1)


def test_series__are_every_feature_and_session_with_its_unit(embedding):
    two = xr.concat([embedding, embedding + 1], "session").assign_coords(session=["a", "b"])
    found = series.of_array(two)
    assert [s.name for s in found] == ["mean · a", "skew · a", "mean · b", "skew · b"]
    assert [s.units for s in found] == ["degC", "1", "degC", "1"]
    block = found[2].read(slice(3, 5), slice(10, 20))
    np.testing.assert_array_equal(block, embedding.values[3:5, 10:20, 0] + 1)


def test_band__is_that_of_the_library(embedding):
    source = series.of_array(embedding)[0]
    names = series.bands_of(source)
    assert [*names.values()] == [*range(7)]
    name, number = [*names.items()][3]
    whole = slice(0, 1000)
    got = series.in_band(source, name).read(slice(3, 4), whole)
    x = embedding.isel(subject=[3], feature=0, drop=True).astype("f8")
    bands = fx.wavelet_bands(x, "db4", 6, transform="modwt")
    np.testing.assert_allclose(got, bands.sel(band=number).values, atol=1e-5)
    middle = np.sqrt(bands.frequency_low * bands.frequency_high).sel(band=number)
    low, high = (float(v) for v in name.removesuffix(" Hz").split(" to "))
    assert low < middle < high


def test_recording__alone_gives_the_features_of_its_faces(recording):
    material = Material([recording])
    signal = Signal(material.series["mean"]).read_all()
    expected = fx.embed(recording, ["mean"]).isel(session=0, feature=0)
    np.testing.assert_allclose(signal.pyramid.values, expected.values, rtol=1e-6)
    assert material.series["skew"].units == "1"
    material.close()


def test_material__sorts_out_what_is_given(recording, embedding):
    isc = fx.isc(embedding.isel(feature=0), window_s=5)
    material = Material([embedding, recording, isc])
    assert material.recording is recording
    assert [*material.series] == ["mean", "skew"]
    assert [*material.results] == ["isc"]
    assert material.people == recording.subject.values.tolist()
    assert material.extent == (0.0, 40.0)
    material.close()


def test_material__refuses_what_has_no_time(recording):
    with pytest.raises(SchemaError, match="found two"):
        Material([recording, recording])
    with pytest.raises(SchemaError, match="need 'time' or 'window'"):
        Material([xr.DataArray(np.zeros(3), dims="subject")])
    with pytest.raises(SchemaError, match="found ndarray"):
        Material([np.zeros(3)])
    with pytest.raises(SchemaError, match="nothing to view"):
        Material([])
    with pytest.raises(ValueError, match="no feature 'men' to view; the nearest are mean"):
        fx.view(recording, feature="men")


def test_stores__elsewhere_are_read_like_folders(recording, embedding):
    fx.save(embedding, "memory://view/emb.zarr")
    material = Material(["memory://view/emb.zarr"])
    signal = Signal(material.series["mean"]).read_all()
    np.testing.assert_array_equal(signal.pyramid.values, embedding.values[..., 0])
    assert material.marks.path is None
    material.close()


def test_store__is_read_chunk_by_chunk_without_dask(tmp_path, embedding, computes):
    fx.save(embedding.chunk(subject=2, time=-1, feature=-1), tmp_path / "emb.zarr")
    with computes(0):
        material = Material([tmp_path / "emb.zarr"])
        material.readers.close()
        signal = material.signal("mean").read_all()
    assert signal.series.piece == (2, 1000)
    np.testing.assert_array_equal(signal.pyramid.values, embedding.values[..., 0])
