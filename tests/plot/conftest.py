"""What the tests of figures and of the report share."""

import numpy as np
import pytest
import xarray as xr

from fhemb_xr.plot.pairwise import linkage


@pytest.fixture(scope="module")
def relation():
    """Distances of five people, with an attribute that must reach no page."""
    d = np.abs(np.subtract.outer(*[np.arange(5.0) ** 2] * 2))
    ids = range(40, 45)
    attrs = {"metric": "dtw", "units": "degC", "source": "/secret/folder"}
    return xr.DataArray(
        d,
        dims=linkage.PAIR,
        coords=dict.fromkeys(linkage.PAIR, ids)
        | dict(zip(linkage.PAIR, (ids, ids), strict=True)),
        attrs=attrs,
    )
