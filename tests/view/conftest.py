"""What the tests of the viewer share: a small audience, and a window without a page."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.window import app


@pytest.fixture(scope="module")
def recording():
    """Five faces of 6 × 5 pixels for 40 s, each with a place in the camera's image."""
    ds = fx.testing.audience(n_subjects=5, seconds=40, shape=(6, 5)).compute()
    return ds.assign_attrs(fhemb_uuid="0f0f0f0f-aaaa-bbbb-cccc-121212121212")


@pytest.fixture(scope="module")
def embedding():
    """Two features of five people for 40 s; 42 is absent, 41 has one spike and a gap."""
    rng = np.random.default_rng(0)
    values = rng.normal(30, 1, (5, 1000, 2)).astype("f4")
    values[2] = np.nan
    values[1, 500, 0] = 90
    values[1, 100:150, 0] = np.nan
    return xr.DataArray(
        values,
        dims=("subject", "time", "feature"),
        coords={
            "subject": [40, 41, 42, 43, 44],
            "time": np.arange(1000) / 25,
            "feature": ["mean", "skew"],
        },
        name="embedding",
    )


@pytest.fixture
def window_of():
    """``window_of(*things)``: a window without a page, all of its first signals read."""
    made = []

    def make(*things, **options):
        made.append(Material(things))
        made[-1].readers.close()  # pieces are read here, so that nothing is by chance
        window = app.Window(made[-1], **options)
        for signal in window.rows.signals():
            signal.read_all()
        window.tick()
        return window

    return make
