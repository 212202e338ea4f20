"""Correlation at every shift, beside numpy's roll."""

import numpy as np
import pytest

from fhemb_xr.kernels.inference.random_shifts import RandomShifts
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


def test_random_shifts__are_as_long_as_asked_to_both_sides():
    circular = RandomShifts(2000, 3, None, 0).drawn(10)
    assert set(circular) == {3, 4, 5, 6, 7}
    linear = RandomShifts(2000, 3, 5, 0)
    assert set(linear.drawn(10)) == {-5, -4, -3, 3, 4, 5}
    assert linear.drawn(10) == linear.drawn(10)
