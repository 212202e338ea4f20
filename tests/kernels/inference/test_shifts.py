"""Correlation at every shift, beside numpy's roll."""

import numpy as np
import pytest

from fhemb_xr.kernels.inference.shifts import Shifts


@pytest.mark.parametrize("gaps", [False, True])
def test_circular__shifts_as_roll_does(gaps):
    a, b = np.random.default_rng(0).normal(size=(2, 1, 25))
    a[0, :3] = np.nan if gaps else a[0, :3]
    table = Shifts(a, 0, 25, None, whole=not gaps).against(b)[0]
    for k in range(25):
        x = np.roll(a[0], -k)  # the window begins k samples later
        both = np.isfinite(x)
        np.testing.assert_allclose(table[k], np.corrcoef(x[both], b[0, both])[0, 1], atol=1e-12)
