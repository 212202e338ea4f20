import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.frames import resizing as kernel


@pytest.fixture
def ds():
    return fx.testing.audience(2, seconds=8, shape=(21, 16), faceless=[41], chunk_frames=77)


def by_area(box, shape):
    """Each new pixel as the mean over its area, pixel by pixel."""
    out = np.zeros(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            top, bottom = i * box.shape[0] / shape[0], (i + 1) * box.shape[0] / shape[0]
            left, right = j * box.shape[1] / shape[1], (j + 1) * box.shape[1] / shape[1]
            total = weight = 0.0
            for y in range(box.shape[0]):
                for x in range(box.shape[1]):
                    h = max(0, min(bottom, y + 1) - max(top, y))
                    w = max(0, min(right, x + 1) - max(left, x))
                    if h * w > 1e-12 and np.isfinite(box[y, x]):
                        total += h * w * box[y, x]
                        weight += h * w
            out[i, j] = total / weight if weight else np.nan
    return out


@pytest.mark.parametrize("shape", [(10, 7), (30, 20), (21, 16), (1, 1)])
def test_area__matches_a_naive_loop_also_with_missing_pixels(shape):
    rng = np.random.default_rng(0)
    box = rng.normal(33, 1, (1, 13, 9))
    box[0, 3:5, 2:8] = np.nan
    found = kernel.resize(box, np.array([13]), np.array([9]), shape, "area")[0]
    np.testing.assert_allclose(found, by_area(box[0], shape), rtol=1e-10)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(kernel.METHODS))
def test_weights__of_each_new_sample_sum_to_one(old, new, method):
    w = kernel.weights(old, new, method)
    np.testing.assert_allclose(w.sum(axis=1), 1)
    assert (w >= 0).all()


def test_linear__is_exact_on_a_plane_inside():
    y, x = np.mgrid[0:12, 0:10]
    box = (2.0 * y + x)[None]
    found = kernel.resize(box, np.array([12]), np.array([10]), (24, 20), "linear")[0]
    rows, columns = ((np.arange(n) + 0.5) / 2 - 0.5 for n in (24, 20))
    expected = 2 * rows[:, None] + columns
    np.testing.assert_allclose(found[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-12)


def test_resize__keeps_each_frames_mean_and_its_own_box(ds):
    out = fx.resize(ds, (60, 40))
    assert out.shape == (2, 1, 200, 60, 40)
    mean = ds.heatmap.mean(("y", "x"))[0]
    np.testing.assert_allclose(out.mean(("y", "x"))[0], mean, atol=2e-5)  # some ulp of float32
    assert out[0].notnull().all()
    assert out[1].isnull().all()


def test_resize__finds_the_box_of_a_heatmap_that_does_not_say_it(ds):
    alone = fx.resize(ds.heatmap, (30, 20))
    xr.testing.assert_allclose(alone.compute(), fx.resize(ds, (30, 20)).compute(), atol=1e-4)


@given(cuts=st.sets(st.integers(1, 199)))
def test_resize__does_not_depend_on_chunks(cuts):
    ds = fx.testing.audience(1, seconds=8, shape=(9, 8))
    chunks = tuple(np.diff([0, *sorted(cuts), 200]).tolist())
    parts = fx.resize(ds.chunk(time=chunks), (6, 5)).compute()
    np.testing.assert_allclose(parts, fx.resize(ds.load(), (6, 5)), rtol=1e-6)


def test_resize__is_lazy_and_two_calls_stay_apart(ds, computes):
    more = ds.assign(heatmap=ds.heatmap + 1)
    with computes(0):
        calls = [
            ds.fhemb.resize((6, 5)),
            fx.resize(ds, (6, 5), "linear"),
            fx.resize(more, (6, 5)),
        ]
    assert calls[0].dtype == calls[0].compute().dtype == np.float32
    assert calls[0].attrs["units"] == "degC"
    assert calls[0].attrs["sampling_rate"] == 25
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


def test_errors__say_what_is_allowed(ds):
    with pytest.raises(ValueError, match="no method 'cubic': there are area, linear"):
        fx.resize(ds, (6, 5), "cubic")
    with pytest.raises(ValueError, match=r"two positive numbers, found \(0, 5\)"):
        fx.resize(ds, (0, 5))
    with pytest.raises(ValueError, match="a box of 22 × 16 pixels on a grid of 21 × 16"):
        fx.resize(ds.assign(height=ds.height * 0 + 22, width=ds.width * 0 + 16), (6, 5)).load()
    with pytest.raises(SchemaError, match=r"heat\.chunk\(y=-1, x=-1\)"):
        fx.resize(ds.chunk(y=3), (6, 5))
