"""The nearest series, and the error rates that the UCR archive publishes for them."""

from importlib.util import find_spec
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError
from fhemb_xr.kernels.dtw import nearest_neighbors

# half-width in samples, and the error rate of Dau et al. (2019), doi:10.1109/JAS.2019.1911747
PUBLISHED = [
    ("ArrowHead", 0, 0.2000),
    ("ArrowHead", None, 0.2971),
    ("GunPoint", 0, 0.0867),
    ("GunPoint", None, 0.0933),
    ("ItalyPowerDemand", 0, 0.0447),
    ("ItalyPowerDemand", None, 0.0496),
    ("OSULeaf", 0, 0.4793),
    ("OSULeaf", 30, 0.3884),  # 7 % of 427 samples, rounded up there
    ("ACSF1", 0, 0.4600),
    ("Trace", 0, 0.2400),
    ("Trace", 8, 0.0100),  # 3 % of 275
    ("Trace", None, 0.0000),
]


def archive(name):
    """Series and labels, of training and test, as they lie in a wheel."""
    if name == "Trace":
        found = np.load(Path(find_spec("tslearn").origin).parent / ".cached_datasets/Trace.npz")
        return [(found[f"X_{s}"][..., 0], found[f"y_{s}"]) for s in ("train", "test")]
    folder = Path(find_spec("sktime").origin).parent / "datasets/data" / name
    return [_read(folder / f"{name}_{s}.ts") for s in ("TRAIN", "TEST")]


def _read(path):
    lines = path.read_text().split("@data")[1].split()
    values, labels = zip(*(line.rsplit(":", 1) for line in lines), strict=True)
    return np.array([v.split(",") for v in values], dtype=np.float64), np.array(labels)


@pytest.mark.parametrize(("name", "window", "error"), PUBLISHED)
def test_nearest__errs_as_often_as_the_archive_says(name, window, error):
    (x, is_x), (y, is_y) = archive(name)
    train, test = (xr.DataArray(s, dims=("subject", "time")) for s in (x, y))
    found = fx.nearest(train, test, window=window).position.values[:, 0]
    assert round(float((is_x[found] != is_y).mean()), 4) == error


def people(n=13, n_time=40, n_features=1, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, n_time, n_features)).cumsum(axis=1)
    return xr.DataArray(
        x,
        dims=("subject", "time", "feature"),
        coords={"subject": 40 + np.arange(n), "feature": [f"p{i}" for i in range(n_features)]},
    )


@given(
    n_features=st.integers(1, 3),
    lengths=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=st.none() | st.integers(0, 12) | st.floats(0, 1),
    k=st.integers(1, 15),
    chunks=st.integers(1, 13),
    normalize=st.sampled_from(["none", "zscore"]),
    seed=st.integers(0, 99),
)
def test_nearest__are_the_smallest_of_all_distances(
    n_features, lengths, window, k, chunks, normalize, seed
):
    x, queries = (
        people(13, lengths[0], n_features, seed),
        people(4, lengths[1], n_features, 100),
    )
    queries[0] = queries[0].round()
    x[2], x[5] = np.nan, x[4]  # nobody, and two alike
    d = fx.pairwise(queries, "dtw", other=x, window=window, normalize=normalize).values
    d = np.where(np.isnan(d), np.inf, d)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    expected = np.full((4, k), np.nan)
    expected[:, : order.shape[1]] = np.take_along_axis(d, order, axis=1)
    out = fx.nearest(
        x.chunk(subject=chunks), queries.chunk(subject=2), k, window=window, normalize=normalize
    ).compute()
    expected[np.isinf(expected)] = np.nan
    np.testing.assert_allclose(out.distance, expected, rtol=1e-9, atol=1e-9)
    there = np.isfinite(expected)
    assert (out.position.values[~there] == -1).all()
    assert (out.match.values[~there] == -1).all()
    np.testing.assert_array_equal(out.match.values[there], 40 + out.position.values[there])
    mine = np.take_along_axis(d, np.maximum(out.position.values, 0), axis=1)
    np.testing.assert_allclose(mine[there], expected[there], rtol=1e-9, atol=1e-9)


def test_nearest__of_equals_is_the_first():
    x = people(3)
    x = xr.concat([x, x], "subject").assign_coords(subject=list("abcdef"))
    out = fx.nearest(x.chunk(subject=2), x.isel(subject=[4]), 2)
    assert out.match.values.tolist() == [["b", "e"]]


@settings(max_examples=10)
@given(window=st.none() | st.integers(0, 40), seed=st.integers(0, 99))
def test_bounds__are_below_the_distances(window, seed):
    x, q = (people(6, 40, 2, s).values.transpose(0, 2, 1) for s in (seed, seed + 100))
    n = np.full(6, 40)
    r = 40 if window is None else window
    around = nearest_neighbors.envelopes(x, n, r)
    for i in range(6):
        own = nearest_neighbors.envelopes(q[i : i + 1], n[:1], r)[0]
        bounds = nearest_neighbors._bounds(q[i], 40, x, n, own, around)
        d, where, _ = nearest_neighbors.nearest(q[i : i + 1], x, n[:1], n, 6, window)
        assert (bounds[where[0]] <= d[0] ** 2 * (1 + 1e-9)).all()
        assert bounds.max() > 0


def test_nearest__begins_few_tables_in_a_narrow_window():
    x = people(200, 100).values.transpose(0, 2, 1)
    n = np.full(200, 100)
    _, where, begun = nearest_neighbors.nearest(x[:20] + 0.01, x, n[:20], n, 1, 5)
    assert where[:, 0].tolist() == list(range(20))
    assert begun < 0.1 * 20 * 200


def test_nearest__computes_nothing_and_keeps_other_dimensions(computes):
    x = xr.concat([people(5), people(5, seed=1)], "session").assign_coords(session=["a", "b"])
    with computes(0):
        out = x.chunk(subject=1, time=10).fhemb.nearest(x.isel(subject=[3, 1]).chunk(), 1)
    assert out.distance.dims == ("session", "subject", "rank")
    assert out.distance.dtype == out.distance.compute().dtype == np.float64
    assert out.match.dtype == out.match.compute().dtype
    assert out.match.values.tolist() == [[[43], [41]]] * 2
    assert out.subject.values.tolist() == [43, 41]
    both = dask.compute(out, fx.nearest(x.chunk(), x.chunk() + 1, 1))
    xr.testing.assert_identical(both[0], out.compute())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"k": 0}, ValueError, "from 1 on"),
        ({"window": -1}, ValueError, "window is a number of samples"),
        ({"normalize": "zscor"}, UnknownNameError, "zscore"),
        ({"dim": "person"}, SchemaError, "person"),
    ],
)
def test_nearest__says_what_is_wrong(options, error, text):
    with pytest.raises(error, match=text):
        fx.nearest(people(), people(), **options)
    with pytest.raises(ValueError, match="different labels along 'feature'"):
        fx.nearest(people(n_features=2), people(n_features=3))
