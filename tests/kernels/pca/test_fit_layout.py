import numpy as np
import pytest

from fhemb_xr.kernels.pca import fit_layout
from fhemb_xr.kernels.pca.fit_layout import FitLayout

ROWS = {"components", "mean", "scale", "mask"}
COLUMNS = {"pixels", "variance", "share"}
KERNEL = ({"origin", "samples"}, {"offset", "dual"})


@pytest.mark.parametrize(
    ("layout", "rows", "columns"),
    [
        (FitLayout(3, 7), ROWS, COLUMNS),
        (FitLayout(3, 7, sparse=True), ROWS | {"projection"}, COLUMNS),
        (FitLayout(3, 7, n_samples=5), ROWS | KERNEL[0], COLUMNS | KERNEL[1]),
    ],
)
def test_layout__names_every_row_and_column_once(layout, rows, columns):
    for names, size in zip((rows, columns), layout.shape, strict=True):
        used = np.zeros(size, int)
        for name in names:
            used[getattr(layout, name)] += 1
        np.testing.assert_array_equal(used, 1)


def test_layout__is_known_from_a_plain_fit():
    assert FitLayout.of_plain(np.empty(FitLayout(4, 9).shape)) == FitLayout(4, 9)


def test_fit__has_its_parts_where_the_layout_says():
    components, seen = np.array([[0.6, -0.8, 0.0]]), np.array([True, True, False])
    mean, scale = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    fit = fit_layout.layout(components, np.array([2.0]), 8.0, seen, mean, scale)
    at = FitLayout.of_plain(fit)
    np.testing.assert_array_equal(fit[at.components, at.pixels], [[-0.6, 0.8, np.nan]])
    np.testing.assert_array_equal(fit[at.mean, at.pixels], [1, 2, np.nan])
    np.testing.assert_array_equal(fit[at.scale, at.pixels], [4, 5, np.nan])
    np.testing.assert_array_equal(fit[at.mask, at.pixels], [1, 1, 0])
    assert fit[0, at.variance] == 2
    assert fit[0, at.share] == 0.25
