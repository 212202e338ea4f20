import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr import schema
from fhemb_xr.testing import audience


def test_audience__is_a_recording_and_lazy_however_long(computes):
    with computes(0):
        ds = audience(n_subjects=12, seconds=62_000, shape=(48, 36))
        schema.validate(ds)
    assert ds.heatmap.nbytes > 30 * 2**30
    assert ds.heatmap.dtype == ds.heatmap[0, 0, :1].compute().dtype == np.float32


@given(chunk=st.integers(1, 700))
def test_audience__does_not_depend_on_chunks(chunk):
    options = {"seconds": 24, "shape": (8, 6), "dropout": 0.1, "gap": (100, 130)}
    a = audience(2, chunk_frames=max(chunk, 40), **options)
    xr.testing.assert_identical(a.compute(), audience(2, **options).compute())


def test_audience__has_the_people_gaps_and_boxes_that_were_asked_for():
    ds = audience(
        subjects=[40, 45, 65], seconds=40, shape=(20, 16), start_frame=9000,
        faceless=[45], gap=(9100, 9150), dropout=0.05,
    ).load()  # fmt: skip
    assert ds.subject.values.tolist() == [40, 45, 65]
    assert ds.frame.values[0] == 9000
    assert float(ds.time[0]) == 360
    seen = ds.heatmap.notnull().any(("y", "x"))
    np.testing.assert_array_equal(seen, ds.height > 0)
    np.testing.assert_array_equal(seen, ds.position.notnull().all("axis"))
    assert not seen.sel(subject=45).any()
    assert not seen[:, :, 100:150].any()
    rest = seen.sel(subject=[40, 65])[..., np.r_[0:100, 150:1000]]
    assert 0.93 < float(rest.mean()) < 0.97
    box = np.isfinite(ds.heatmap.sel(subject=40)[0]).sum(("y", "x"))
    np.testing.assert_array_equal(box, (ds.height * ds.width).sel(subject=40)[0])
    assert np.unique(ds.height.sel(subject=40)).size > 3


def test_audience__breathes_and_has_a_pulse():
    ds = audience(1, seconds=120, shape=(20, 16), seed=3)
    nose = ds.heatmap[0, 0, :, 11, 8].values
    spectrum = np.abs(np.fft.rfft(nose - nose.mean())) ** 2
    hz = np.fft.rfftfreq(nose.size, 1 / 25)
    breath = hz[np.argmax(np.where((hz > 0.15) & (hz < 0.6), spectrum, 0))]
    assert 0.19 < breath < 0.41
    skin = fx.mask(ds.heatmap, 25).mean(("y", "x"))[0, 0].values
    spectrum = np.abs(np.fft.rfft(skin - skin.mean())) ** 2
    pulse = hz[np.argmax(np.where(hz > 0.8, spectrum, 0))]
    assert 1.09 < pulse < 1.31


def test_audience__members_of_a_group_follow_each_other_by_the_lag_it_says():
    ds = audience(6, seconds=80, shape=(16, 12), n_groups=2, lag_s=1.2)
    skin = fx.embed(
        ds, ["mean"], wavelet="db4", level=6, bands=[0, 1, 2], transform="modwt"
    ).squeeze()
    for person, lag in ((42, 1.2), (44, 2.4)):
        found = fx.lagged_correlation(
            skin.sel(subject=40), skin.sel(subject=person),
            window_s=40, step_s=20, max_lag_s=4,
        )  # fmt: skip
        best = found.mean("window").idxmax("lag")
        assert float(best) == pytest.approx(lag, abs=0.12)
        assert float(ds.true_lag.sel(subject=person)) == pytest.approx(lag)
    assert ds.group.values.tolist() == [0, 1, 0, 1, 0, 1]


def test_audience__turns_heads_and_says_where_their_parts_are():
    options = {"subjects": [40], "seconds": 4, "shape": (40, 30), "noise_k": 0, "breath_k": 0}
    still = audience(**options)
    assert "true_landmark" not in still
    ds = audience(turn_deg=8, shift_px=1.5, chunk_frames=30, **options).compute()
    xr.testing.assert_identical(
        ds, audience(turn_deg=8, shift_px=1.5, chunk_frames=100, **options).compute()
    )
    nose = ds.true_landmark.sel(feature="nose_tip").squeeze()
    assert float(nose.std("time").min()) > 1
    faces = fx.mask(ds.heatmap, 25).squeeze()
    near = faces.where(abs(faces.y - nose.sel(axis="y")) < 4).where(
        abs(faces.x - nose.sel(axis="x")) < 4
    )
    coldest = near.argmin(("y", "x"))  # the nose is the coldest spot of its surroundings
    for dim in ("y", "x"):
        assert float(abs(coldest[dim] - nose.sel(axis=dim)).max()) <= 1.2
    assert float(abs(still.heatmap.compute() - ds.heatmap).max()) > 1
