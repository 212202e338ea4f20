"""Units: what is added up unscaled warns, what is compared is in one unit, or refused."""

import warnings

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError

rng = np.random.default_rng(0)


def series(features=("mean", "skew"), **attrs):
    """Features of three people, ``(subject, feature, time)``."""
    values = rng.normal(size=(3, len(features), 30)) * np.arange(1, len(features) + 1)[:, None]
    coords = {"subject": [40, 41, 66], "feature": list(features), "time": np.arange(30) / 10}
    return xr.DataArray(values, coords, ("subject", "feature", "time"), attrs=attrs)


SUMS = {
    "dtw": lambda x: fx.pairwise(x, "dtw"),
    "fastdtw": lambda x: fx.pairwise(x, "fastdtw"),
    "soft_dtw": lambda x: fx.pairwise(x, "soft_dtw"),
    "euclidean": lambda x: fx.pairwise(x, "euclidean"),
    "dcor": lambda x: fx.pairwise(x, "dcor"),
    "clusters": lambda x: fx.clusters(x, 2),
    "clusters of prototypes": lambda x: fx.clusters(x, 2, method="dba"),
    "silhouette": lambda x: fx.silhouette(x, 2),
    "nearest": lambda x: fx.nearest(x, x),
    "warping_path": lambda x: fx.warping_path(x[0], x[1]),
    "barycentre": lambda x: fx.barycentre(x),
    "classify": lambda x: fx.classify(
        fx.prepare(x, {"a": [(0, 0.5), (0.5, 1)], "b": [(1, 1.5), (1.5, 2)]}),
        "knn_euclidean", n_splits=2, n_permutations=0, seed=0,
    ),
}  # fmt: skip
KNOWN = {
    "several statistics": ("mean", "skew"),
    "histogram and percentile": ("bh0", "p50"),
    "score and variance": ("pc0", "variance"),
    "head": ("Tx", "Rx"),
}


@pytest.mark.parametrize("name", list(SUMS))
def test_features_of_several_units__warn_where_they_are_added_up_unscaled(name):
    with pytest.warns(UserWarning, match=r"different units \(mean \[celsius\], skew \[1\]\)"):
        SUMS[name](series().chunk())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SUMS[name](series(("mean", "p5")).chunk())
        SUMS[name](series(("mean", "skew"), units="1").chunk())  # said to have one scale


@pytest.mark.parametrize("names", KNOWN.values(), ids=KNOWN)
def test_features_of_several_units__are_told_by_name_or_coordinate(names):
    with pytest.warns(UserWarning, match="in different units"):
        fx.pairwise(series(names), "dtw")
    channels = series(("left", "right"))
    fx.pairwise(channels, "dtw")
    with pytest.warns(UserWarning, match=r"left \[uV\], right \[uS\]"):
        fx.pairwise(channels.assign_coords(units=("feature", ["uV", "uS"])), "dtw")


@pytest.mark.parametrize(
    "how",
    [{"normalize": n} for n in ("zscore", "minmax", "meanvar", "frame", (0, 9))]
    + [{"normalize": [20, np.int64(40)]}]
    + [{"local": n} for n in ("mahalanobis", "canberra")]
    + [{"metric": "correlation"}, {"metric": "max_lagged_correlation", "max_lag_s": 0.5}],
    ids=str,
)  # fmt: skip
def test_features_of_several_units__may_be_added_up_once_they_are_scaled(how):
    fx.pairwise(series(), **{"metric": "dtw", **how}).compute()


TWO = {
    "pairwise": lambda a, b: fx.pairwise(a, "dtw", other=b),
    "nearest": lambda a, b: fx.nearest(a, b),
    "warping_path": lambda a, b: fx.warping_path(a[0], b[0]),
    "plot.warping": lambda a, b: fx.plot.warping(a[0, 0], b[0, 0]),
}


@pytest.mark.parametrize("name", list(TWO))
def test_two_arrays__of_different_units_are_refused(name):
    a, b = series(("mean",), units="degC"), series(("mean",), units="K")
    with pytest.raises(SchemaError, match=r"unit 'degC', .* 'K': convert one"):
        TWO[name](a, b)
    TWO[name](a, b.assign_attrs(units="celsius"))
    TWO[name](a, b.drop_attrs())


def test_pairwise__of_a_fixed_range_or_of_each_frame_equals_scaling_by_hand():
    x = series(("p5", "p50", "p95"))
    by_hand = fx.pairwise((x - 20) / 15, "dtw")
    found = fx.pairwise(x.chunk(subject=1), "dtw", normalize=(20, 35))
    np.testing.assert_allclose(found, by_hand)
    assert found.attrs["normalize"] == [20.0, 35.0]
    of_frames = (x - x.mean("feature")) / x.std("feature")
    np.testing.assert_allclose(
        fx.pairwise(x, "euclidean", normalize="frame"), fx.pairwise(of_frames, "euclidean")
    )
    near = fx.nearest(x, x + 0.01, 1, normalize=(20, 35))
    assert near["match"].values.ravel().tolist() == [40, 41, 66]


@pytest.mark.parametrize("wrong", [(35, 20), (1,), (0, np.nan), None, 3, ("a", "b")])
def test_pairwise__refuses_a_range_that_is_none(wrong):
    with pytest.raises((ValueError, UnknownNameError), match=r"\(low, high\)|no normalization"):
        fx.pairwise(series(("p5",)), "dtw", normalize=wrong)


def test_pairwise__refuses_frames_of_one_feature():
    with pytest.raises(ValueError, match="normalize='frame' scales the features"):
        fx.pairwise(series()[:, 0], "dtw", normalize="frame")


def test_streams__of_recordings_in_two_units_are_not_joined():
    tree = fx.testing.streams(2, (60, 40))
    odd = tree["002/expert"].to_dataset()
    odd["face"] = odd.face.assign_attrs(units="mm")
    tree["002/expert"] = xr.DataTree(odd)
    for join in (
        lambda: fx.normalise(tree),
        lambda: fx.inspect(tree, "face"),
        lambda: fx.to_torch(tree, 10),
    ):
        with pytest.raises(SchemaError, match="'face' with the units 'pixel', 'mm'"):
            join()
    scaled = fx.normalise(fx.testing.streams(2, (60, 40)))
    plain = fx.testing.streams(2, (60, 40))
    scaled["002/expert"] = plain["002/expert"]
    with pytest.raises(SchemaError, match="units '1', 'pixel'"):
        fx.to_torch(scaled, 10)
