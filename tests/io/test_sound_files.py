"""Features of sound files, written by a library of sound, against sounds of known features."""

import numpy as np
import pytest
import soundfile
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, SourceError, UnknownNameError

HZ, RATE = 25.0, 16000
FRAMES = xr.DataArray(np.zeros(100), dims="time", coords={"time": np.arange(100) / HZ})
T = np.arange(4 * RATE) / RATE


def tone(hz, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hz * T)


@pytest.fixture
def write(tmp_path):
    def writer(x, name="sound.wav", **options):
        soundfile.write(tmp_path / name, x, RATE, **options)
        return tmp_path / name

    return writer


def inner(x, feature):
    """Away from the ends, where no window leaves the sound."""
    return x.sel(stimulus=feature).isel(time=slice(10, 90)).values


@pytest.mark.parametrize(("hz", "weight"), [(1000, 0.0), (100, -19.1), (4000, 1.0)])
def test_level__is_that_of_the_tone_by_curve_a(write, hz, weight):
    out = fx.audio_features(write(tone(hz)), FRAMES).compute()
    wanted = 20 * np.log10(0.5 / np.sqrt(2)) + weight  # IEC 61672, table of weights
    np.testing.assert_allclose(inner(out, "level"), wanted, atol=0.1)


def test_flux_and_onset__rise_where_a_tone_begins(write):
    x = np.where(T < 2, 0, tone(800))
    out = fx.audio_features(write(x), FRAMES, window_s=0.08).compute()
    assert (np.abs(T[T >= 2][0] - out.time[out.sel(stimulus="flux").argmax("time")])) <= 0.04
    flux, onset = (inner(out, name) for name in ("flux", "onset"))
    loud = np.abs(out.time.values[10:90] - 2) < 0.1
    assert flux[~loud].max() < 1e-3
    assert flux[loud].max() > 0.3
    assert onset[loud].max() > 1
    assert onset[~loud].max() < 1e-2
    np.testing.assert_allclose(
        out.sel(stimulus="level").isel(time=slice(5, 45)), -120, atol=1e-6
    )


def test_novelty__is_high_where_the_harmony_changes(write):
    x = np.where(T < 2, tone(440) + tone(660, 0.2), tone(523.25) + tone(784, 0.2))
    out = fx.audio_features(write(x), FRAMES, novelty_s=0.8).compute().sel(stimulus="novelty")
    assert float(out.idxmax("time")) == pytest.approx(2, abs=0.05)
    assert out.max() > 0.9
    assert out.sel(time=slice(1.0, 1.1)).max() < 1e-3
    assert np.isnan(out[:20]).all()


def test_roughness__is_that_of_sethares_and_least_of_an_octave(write):
    def rough(*hz):
        x = sum(tone(f, 0.4) for f in hz)
        return inner(fx.audio_features(write(x), FRAMES, window_s=0.5), "roughness").mean()

    s = 0.24 / (0.0207 * 500 + 18.96)
    wanted = 0.4 * 5 * (np.exp(-3.51 * s * 40) - np.exp(-5.75 * s * 40))
    np.testing.assert_allclose(rough(500, 540), wanted, rtol=1e-2)
    assert rough(500, 1000) < 0.1 * rough(500, 540)
    assert rough(500) < 1e-3


def test_features__follow_the_clock_with_offset_and_drift(write):
    x = np.zeros(T.size)
    x[2 * RATE : 2 * RATE + 400] = 1
    path = write(x, subtype="PCM_24")
    for offset, drift in ((0.0, 0), (0.4, 0), (-0.6, 0), (0.0, 1e5)):
        options = {"window_s": 0.04, "offset_s": offset, "drift_ppm": drift}
        out = fx.audio_features(path, FRAMES, **options).sel(stimulus="level").compute()
        per_second = 1 + drift * 1e-6
        wanted = offset + 2.0125 / per_second
        assert float(out.idxmax("time")) == pytest.approx(wanted, abs=0.021)
        outside = (out.time - 0.02 < offset) | (
            out.time + 0.02 > offset + 4 / (1 + drift * 1e-6)
        )
        np.testing.assert_array_equal(np.isnan(out), outside)


def test_features__are_lazy_and_do_not_depend_on_blocks_or_channels(
    write, computes, monkeypatch
):
    from fhemb_xr.io.interchange import sound_files

    x = np.random.default_rng(0).normal(size=T.size).clip(-3, 3) / 5
    whole = fx.audio_features(write(x, subtype="FLOAT"), FRAMES, novelty_s=0.5).compute()
    monkeypatch.setattr(sound_files, "_BLOCK", 17)
    monkeypatch.setattr(sound_files, "_TOGETHER", 5)
    both = write(np.column_stack([x * 1.5, x * 0.5]), "both.flac", subtype="PCM_24")
    with computes(0):
        lazy = fx.audio_features(both, FRAMES.to_dataset(name="face"), novelty_s=0.5)
    assert lazy.chunks[0] == (17,) * 5 + (15,)
    assert lazy.dtype == np.float64
    np.testing.assert_allclose(lazy, whole, rtol=1e-3, atol=1e-3)
    assert dict(zip(lazy.stimulus.values, lazy.units.values, strict=True))["level"] == "dB"


def test_features__of_a_recording_explain_its_faces(write):
    rng = np.random.default_rng(0)
    loud = np.repeat(rng.uniform(0, 1, 40), RATE // 10)
    music = fx.audio_features(write(loud * tone(440)), FRAMES, features=["level", "flux"])
    faces = FRAMES + np.roll(np.nan_to_num(music[:, 0]), 5) + rng.normal(size=100)
    out = fx.encode(faces, music, (0, 0.4), folds=3)
    assert out.r > 0.5
    assert float(abs(out.weights.sel(stimulus="level")).idxmax("lag")) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"features": "loudness"}, UnknownNameError, "no feature 'loudness' of a sound"),
        ({"features": []}, ValueError, "found none"),
        ({"window_s": 1e-4}, ValueError, "8 samples of sound or more"),
        ({"novelty_s": 0}, ValueError, "novelty_s a frame or more"),
        ({"path": "none.wav"}, SourceError, "no sound file 'none.wav'"),
        ({"like": FRAMES.drop_vars("time")}, SchemaError, "sampling rate is needed"),
        ({"like": FRAMES.values}, SchemaError, "need an xarray.DataArray"),
    ],
)
def test_features__refuse_what_they_cannot_do(write, change, error, words):
    given = {"path": write(tone(440)), "like": FRAMES} | change
    with pytest.raises(error, match=words):
        fx.audio_features(**given)


def test_features__refuse_what_is_no_sound(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(SourceError, match=r"'text\.wav' is no sound that can be read"):
        fx.audio_features(tmp_path / "text.wav", FRAMES)
