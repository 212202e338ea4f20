"""Phase locking by period."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError

hv = pytest.importorskip("holoviews")


@pytest.mark.filterwarnings("ignore:shifts span")
def test_phase_locking__curves_of_pairs_with_dots_where_p_is_small():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 300)) + [[1], [1], [0]] * rng.normal(size=300)
    x = xr.DataArray(x, dims=("subject", "time"), attrs={"sampling_rate": 5.0})
    out = fx.phase_locking(
        x, periods_s=(1, 4), per_octave=3, null="circular", n=19, seed=0
    ).compute()
    out["p_plv"][:] = [[0.05, *[1.0] * 6], [1.0] * 7, [1.0] * 7]
    figure = out.fhemb.plot.phase_locking()
    lines = [e for e in figure.traverse(lambda e: e, [hv.Curve]) if type(e) is hv.Curve]
    assert [c.label for c in lines[:3]] == ["0 and 1", "0 and 2", "1 and 2"]
    np.testing.assert_allclose(lines[0].dimension_values(1), out.plv[0])
    np.testing.assert_allclose(lines[5].dimension_values(1), out.wpli[2])
    dots = figure.traverse(lambda e: e, [hv.Scatter])[0]
    np.testing.assert_allclose(dots.dimension_values(0), [0.0])  # of octaves: 1 s
    with pytest.raises(SchemaError, match=r"make it with fx\.phase_locking"):
        out[["coherence"]].fhemb.plot.phase_locking()
    with pytest.raises(ValueError, match="alpha is a share"):
        out.fhemb.plot.phase_locking(alpha=2)
