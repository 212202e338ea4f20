import json

import dask
import numpy as np
import pytest
import pywt
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError


@pytest.fixture
def faces(heat):
    """As ``heat``, long enough for two levels of db2 and chunked unevenly."""
    return (
        heat.chunk(time=(7, 20, 13))
        .to_dataset(name="heatmap")
        .assign_attrs(sampling_rate=25.0, temperature_threshold=30.5)
    )


NAMES = ["skew", ("p10", "p20"), "pc1", "mean"]


def test_embed__computes_nothing_and_keeps_the_order_asked_for(faces, computes):
    with computes(0):
        emb = faces.fhemb.embed(NAMES, wavelet="db2", level=2, bands=[1])
    assert emb.dims == ("subject", "session", "time", "feature")
    assert emb.feature.values.tolist() == ["skew", "p10", "p15", "p20", "pc1", "mean"]
    assert emb.name == "embedding"
    assert emb.attrs["sampling_rate"] == 25
    assert "units" not in emb.attrs


@pytest.mark.filterwarnings("ignore:the smallest p:UserWarning")  # of three surrogates
def test_everything__leaves_the_coordinates_of_a_recording_in_memory(computes):
    ds = fx.testing.audience(n_subjects=2, seconds=4, shape=(8, 6), chunk_frames=50)
    with computes(0):  # of frame(time), group(subject): what compares lazy ones reads them
        emb = ds.fhemb.embed(["skew", "pc0"])
        one = emb.isel(session=0, feature=0)
        people = [one.sel(subject=s) for s in (40, 41)]
        window = {"window_s": 1, "step_s": 1, "max_lag_s": 0.2}
        found = [
            emb,
            ds.fhemb.mask(25).fhemb.project(ds.fhemb.pca(1)),
            fx.lagged_correlation(one, **window),
            fx.synchrony(one, "lagged_correlation", 3, seed=0, **window),
            fx.isc(one),
            fx.warping_path(*people),
        ]
    for out in found:
        assert not [n for n, c in out.coords.items() if c.chunks]


def test_embed__equals_numpy_and_pywt_done_by_hand(faces):
    emb = faces.fhemb.embed(["mean"], wavelet="db2", level=2, bands=[0, 2])
    x = faces.heatmap.values.astype("f8")
    means = np.nanmean(np.where(x >= np.float32(30.5), x, np.nan), axis=(-2, -1))
    coefficients = pywt.wavedec(means, "db2", level=2, axis=-1)
    coefficients[1] = np.zeros_like(coefficients[1])
    expected = pywt.waverec(coefficients, "db2", axis=-1)[..., :40]
    # float32 features of about 32 degC: half an ulp is 2e-6, the filters' gain below 4
    np.testing.assert_allclose(emb.isel(feature=0), expected, atol=1.6e-5)


def test_embed__uses_the_threshold_of_the_recording_unless_told(faces):
    own = fx.embed(faces, ["min"])
    assert float(own.min()) >= 30.5
    assert fx.embed(faces, ["min"], threshold=31).identical(
        fx.embed(faces.assign_attrs(temperature_threshold=31.0), ["min"])
    )
    assert float(fx.embed(faces, ["min"], threshold=None).min()) < 30.5


def test_replay__gives_the_same_array(faces):
    emb = fx.embed(faces, NAMES, pca={"scaler": "standard"}, wavelet="haar", level=1, bands=1)
    again = fx.replay(json.loads(emb.attrs["fhemb_spec"]), faces)
    xr.testing.assert_identical(again.compute(), emb.compute())


def test_embed__chooses_bands_by_hertz_and_treats_gaps_as_the_filter_does(faces):
    how = {"level": 2, "transform": "modwt", "hz": (6, 12.5), "gaps": "fill", "max_gap_s": 0.2}
    holes = faces.assign(heatmap=faces.heatmap.where(faces.time != faces.time[7]))
    emb = fx.embed(holes, ["mean"], wavelet="haar", **how)
    plain = fx.embed(holes, ["mean"])
    xr.testing.assert_equal(emb, fx.wavelet_filter(plain, wavelet="haar", **how))
    xr.testing.assert_identical(fx.replay(emb.attrs["fhemb_spec"], holes), emb)
    spec = json.loads(fx.embed(holes, ["mean"], wavelet="haar", level=2).attrs["fhemb_spec"])
    assert not {"hz", "period_s", "gaps", "max_gap_s"} & {*spec}  # older versions read it
    with pytest.raises(ValueError, match=r"asked for hz=.* without a wavelet"):
        fx.embed(holes, ["mean"], hz=(6, 12.5))
    with pytest.raises(ValueError, match="choose by one of bands, hz, period_s"):
        fx.embed(holes, ["mean"], wavelet="haar", level=2, bands=1, hz=(6, 12.5))


def test_replay__asks_for_the_basis_that_was_given(faces):
    basis = fx.pca(faces.heatmap, 2)
    emb = fx.embed(faces, ["pc1"], threshold=None, pca=basis)
    spec = emb.attrs["fhemb_spec"]
    with pytest.raises(SchemaError, match=r"a basis of its own: give it as pca="):
        fx.replay(spec, faces)
    xr.testing.assert_identical(fx.replay(spec, faces, pca=basis).compute(), emb.compute())


def test_embed__of_two_calls_stay_apart(faces):
    calls = [
        fx.embed(faces, ["mean"]),
        fx.embed(faces, ["mean"], threshold=32),
        fx.embed(faces, ["max"]),
    ]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


def test_embed__says_what_is_allowed(faces):
    with pytest.raises(UnknownNameError, match=r"'skwe'.*skew"):
        fx.embed(faces, ["skwe"])
    with pytest.raises(ValueError, match="without a wavelet: add wavelet='db4'"):
        fx.embed(faces, ["skew"], bands=[1])
    with pytest.raises(ValueError, match="threshold is °C, None or 'recording', found '25'"):
        fx.embed(faces, ["skew"], threshold="25")
    with pytest.raises(SchemaError, match=r"no variable 'heatmap' among \['face'\]"):
        fx.embed(faces.rename(heatmap="face"))
    with pytest.raises(SchemaError, match="not a specification"):
        fx.replay("{]", faces)
    with pytest.raises(SchemaError, match="version 99"):
        fx.replay({"version": 99}, faces)
