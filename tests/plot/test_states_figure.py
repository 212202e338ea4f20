"""States as bars, a row for each person."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError

hv = pytest.importorskip("holoviews")


def test_states__bars_run_from_begin_to_begin():
    rng = np.random.default_rng(0)
    patterns = np.repeat(rng.normal(size=(3, 5)), [20, 30, 10], axis=0)
    x = patterns + 0.3 * rng.normal(size=(2, 60, 5))
    x = xr.DataArray(
        x, dims=("subject", "time", "feature"),
        coords={"subject": [40, 65], "time": 7 + np.arange(60) / 2},
    )  # fmt: skip
    out = fx.states(x, 3, null="lengths", n=3, seed=0).compute()
    figure = out.fhemb.plot.states()
    bars = figure.traverse(lambda e: e, [hv.Rectangles])
    spans = [tuple(b.dimension_values(d).tolist() for d in (0, 2)) for b in bars]
    assert spans == [
        ([7.0] * 2, [17.0] * 2),
        ([17.0] * 2, [32.0] * 2),
        ([32.0] * 2, [37.0] * 2),
    ]
    ticks = hv.Store.lookup_options("bokeh", figure, "plot").kwargs["yticks"]
    assert ticks == [(1, "40"), (0, "65")]
    hv.render(figure, backend="matplotlib")
    assert out.sel(subject=40).drop_vars("p").fhemb.plot.states() is not None
    with pytest.raises(SchemaError, match=r"make it with fx\.states"):
        out[["pattern"]].fhemb.plot.states()
