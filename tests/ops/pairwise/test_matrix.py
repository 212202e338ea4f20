import tracemalloc

import dask
import numpy as np
import pandas as pd
import pytest
import scipy.spatial.distance
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from fhemb_xr.errors import BudgetError, EmptySelectionError, SchemaError, UnknownNameError
from fhemb_xr.kernels._jit import keep
from fhemb_xr.kernels.dtw import distances as kernel
from fhemb_xr.kernels.dtw import soft_dtw as soft
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops.pairwise.matrix import pairwise
from fhemb_xr.ops.pairwise.metric_options import POINT_METRICS
from fhemb_xr.options import set_options

LENGTHS = np.array([1, 2, 5, 9, 30, 40, 40])


def people(n=11, n_time=60, n_features=3, sessions=("a", "b"), seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(sessions), n_time, n_features)).cumsum(axis=2)
    return xr.DataArray(
        x,
        dims=("subject", "session", "time", "feature"),
        coords={
            "subject": np.arange(40, 40 + n),
            "session": list(sessions),
            "time": np.arange(n_time) / 25,
            "feature": [f"p{i}" for i in range(n_features)],
            "group": ("subject", np.arange(n) % 3),
        },
        attrs={"sampling_rate": 25.0, "units": "degC", "fhemb_spec": "{}"},
        name="embedding",
    )


def ragged(n_features, seed=0):
    """Series of :data:`LENGTHS`, as tslearn wants them and as the kernel does."""
    rng = np.random.default_rng(seed)
    series = [rng.normal(size=(n, n_features)) for n in LENGTHS]
    block = np.full((len(LENGTHS), n_features, max(LENGTHS)), np.nan)
    for row, x in zip(block, series, strict=True):
        row[:, : len(x)] = x.T
    return series, block


def by_definition(x, y, local, p):
    """The table, cell by cell."""
    if local == "jaccard":  # scipy's takes truth values only, by now
        cost = (x[:, None] != y).sum(-1) / ((x[:, None] != 0) | (y != 0)).sum(-1)
    elif local == "minkowski":
        cost = scipy.spatial.distance.cdist(x, y, local, p=p)
    else:
        cost = scipy.spatial.distance.cdist(x, y, local)  # mahalanobis: by both their spread
    table = np.full((len(x) + 1, len(y) + 1), np.inf)
    table[0, 0] = 0
    for i, j in np.ndindex(cost.shape):
        best = min(table[i, j], table[i, j + 1], table[i + 1, j])
        table[i + 1, j + 1] = cost[i, j] + best
    return table[-1, -1]


@pytest.mark.parametrize("n_features", [1, 3, 4])
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({}, {}),
        ({"window": 0}, {"sakoe_chiba_radius": 0}),
        ({"window": 3}, {"sakoe_chiba_radius": 3}),
        ({"itakura": 2.0}, {"itakura_max_slope": 2.0}),
        ({"itakura": 1.3}, {"itakura_max_slope": 1.3}),
    ],
)
def test_dtw__is_that_of_tslearn(n_features, mine, theirs):
    from tslearn.metrics import dtw

    keep("tslearn")
    series, block = ragged(n_features)
    got = kernel.distances(block, block, LENGTHS, LENGTHS, **mine)
    for i, j in np.ndindex(got.shape):
        short, long = sorted((series[i], series[j]), key=len)
        try:
            expected = dtw(short, long, **theirs)
        except RuntimeWarning:  # no path satisfies the constraint
            expected = np.nan
        expected = np.nan if np.isinf(expected) else expected
        np.testing.assert_allclose(got[i, j], expected, rtol=0, atol=1e-12)


@given(
    n=st.integers(1, 90),
    m=st.integers(1, 90),
    n_features=st.integers(1, 3),
    window=st.none() | st.integers(0, 30) | st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_dtw__is_symmetric_and_at_most_the_distance_without_warping(
    n, m, n_features, window, seed
):
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(size=(1, n_features, k)) for k in (n, m))
    d = kernel.distances(x, y, np.array([n]), np.array([m]), window=window)
    e = kernel.distances(y, x, np.array([m]), np.array([n]), window=window)
    np.testing.assert_allclose(d, e, rtol=1e-12)
    assert np.isfinite(d).all()
    if n == m:
        assert d <= np.sqrt(((x - y) ** 2).sum()) + 1e-12


def test_dtw__window_as_a_fraction_is_rounded_down_of_the_longer_series():
    _, block = ragged(1)
    share = kernel.distances(block, block, LENGTHS, LENGTHS, window=0.1)
    i, j = 3, 6  # 9 and 40 samples
    samples = kernel.distances(block, block, LENGTHS, LENGTHS, window=4)
    np.testing.assert_allclose([share[i, j], share[j, i]], samples[i, j], rtol=1e-12)


@pytest.mark.parametrize("local", [m for m in POINT_METRICS if m != "euclidean"])
def test_dtw__takes_every_point_metric(local):
    series, block = ragged(4)
    series, block = series[3:], block[3:]
    n = LENGTHS[3:]
    if local in ("hamming", "jaccard"):
        series, block = [np.round(s) + 5 for s in series], np.round(block) + 5
    got = kernel.distances(block, block, n, n, local=local, p=2.5)
    for i, j in np.ndindex(got.shape):
        expected = by_definition(series[i], series[j], local, 2.5)
        np.testing.assert_allclose(got[i, j], expected, atol=1e-9)


def test_dtw__mahalanobis_is_free_of_scale_and_needs_a_spread():
    _, block = ragged(3)
    block, n = block[3:], LENGTHS[3:]
    d = kernel.distances(block, block, n, n, local="mahalanobis")
    mixed = np.array([[2.0, 1, 0], [0, 30, 0], [1, 0, 1]]) @ block
    e = kernel.distances(mixed, mixed, n, n, local="mahalanobis")
    np.testing.assert_allclose(d, e, rtol=1e-9)
    block[:, 1] = 5.0
    assert np.isnan(kernel.distances(block, block, n, n, local="mahalanobis")).all()


@pytest.mark.parametrize("limits", [{}, {"window": 0}, {"window": 2}, {"itakura": 1.5}])
@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize(
    ("n", "m"), [(1, 1), (1, 6), (2, 2), (3, 7), (4, 4), (17, 23), (19, 17), (40, 40), (41, 41)]
)
def test_dtw__pairs_abreast_are_those_alone(n, m, n_features, limits):
    rng = np.random.default_rng(n + m)
    x = np.full((9, n_features, max(n, m)), np.nan)
    lengths = np.repeat([n, m], [4, 5])  # three groups: 16, 40 and 25 pairs
    for series, k in zip(x, lengths, strict=True):
        series[:, :k] = rng.normal(size=(n_features, k)).cumsum(axis=1)
    got = kernel.distances(x, x, lengths, lengths, **limits)
    for i, j in np.ndindex(got.shape):
        one = x[i : i + 1], x[j : j + 1], lengths[i : i + 1], lengths[j : j + 1]
        np.testing.assert_allclose(
            got[i, j], kernel.distances(*one, **limits)[0, 0], rtol=1e-12
        )


def test_dtw__single_precision_is_close_and_stays_float32():
    x = people().values[:, 0].transpose(0, 2, 1)
    n = np.full(11, 60)
    got = kernel.distances(*[x.astype("float32")] * 2, n, n)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, kernel.distances(x, x, n, n), rtol=1e-4, atol=1e-4)


LAGGED = {"max_lagged_correlation": {"max_lag_s": 0.4}}


def of(metric):
    """The arguments that a metric cannot do without."""
    return {"metric": metric, **LAGGED.get(metric, {})}


@pytest.mark.parametrize("gamma", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("window", [None, 4])
def test_soft_dtw__is_that_of_tslearn(gamma, window):
    from tslearn.metrics import soft_dtw, soft_dtw_normalized

    keep("tslearn")
    series, block = ragged(2)
    theirs = {"gamma": gamma} | ({} if window is None else {"sakoe_chiba_radius": window})
    mine = {"gamma": gamma, "window": window}
    got = soft.values(block, block, LENGTHS, LENGTHS, **mine)
    apart = soft.divergences(block, block, LENGTHS, LENGTHS, **mine)
    for i, j in np.ndindex(got.shape):
        short, long = sorted((series[i], series[j]), key=len)
        np.testing.assert_allclose(got[i, j], soft_dtw(short, long, **theirs), atol=1e-9)
        expected = soft_dtw_normalized(short, long, **theirs)
        np.testing.assert_allclose(apart[i, j], expected, atol=1e-9)


def test_soft_dtw__without_smoothing_is_the_square_of_dtw():
    x = people()
    soft_, hard = pairwise(x, "soft_dtw", gamma=1e-6), pairwise(x, "dtw")
    np.testing.assert_allclose(soft_, hard**2, atol=1e-2)
    divergence = pairwise(x, "soft_dtw_divergence").isel(session=0).values
    np.testing.assert_allclose(np.diag(divergence), 0, atol=1e-9)


def test_dcor__is_the_definition():
    x = people().isel(session=0)

    def centred(y):
        d = scipy.spatial.distance.cdist(y, y)
        return d - d.mean(0) - d.mean(1, keepdims=True) + d.mean()

    for features in (slice(1), slice(None)):
        a = [
            centred(s.T)
            for s in x.isel(feature=features).transpose(..., "feature", "time").values
        ]
        cov = np.array([[(p * q).mean() for q in a] for p in a])
        expected = np.sqrt(cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov))))
        got = pairwise(x.isel(feature=features), "dcor")
        np.testing.assert_allclose(got, expected, atol=1e-9)


def test_dcor__sees_what_correlation_does_not():
    t = np.linspace(-1, 1, 101)
    x = xr.DataArray([t, t**2], dims=("subject", "time"))
    assert abs(pairwise(x, "correlation")[0, 1]) < 1e-9
    assert pairwise(x, "dcor")[0, 1] > 0.4


def test_max_lagged_correlation__is_the_best_of_a_loop():
    x = people(n=4, n_features=1).isel(session=0, feature=0)
    x[1, 10:15] = np.nan
    got = pairwise(x, "max_lagged_correlation", max_lag_s=0.4, nan="drop")
    for i, j in np.ndindex(4, 4):
        a, b = pd.Series(x[i].values), pd.Series(x[j].values)
        r = {lag: a.corr(b.shift(-lag)) for lag in range(-10, 11)}
        np.testing.assert_allclose(got[i, j], max(r.values()), atol=1e-9)
        np.testing.assert_allclose(got.lag_at_max[i, j], max(r, key=r.get) / 25)
    assert got.lag_at_max.attrs["units"] == "s"


def test_max_lagged_correlation__says_who_follows(computes):
    wave = np.random.default_rng(0).normal(size=300)
    x = xr.DataArray(
        [wave[8:], wave[:-8], wave[5:-3]],
        dims=("subject", "time"),
        attrs={"sampling_rate": 25.0},
    ).chunk(subject=1)
    with computes(0):
        r = pairwise(x, "max_lagged_correlation", max_lag_s=1)
    r = r.compute()
    np.testing.assert_allclose(r, 1)
    np.testing.assert_allclose(r.lag_at_max[0], [0, 8 / 25, 3 / 25])
    np.testing.assert_allclose(r.lag_at_max, -r.lag_at_max.values.T)


@pytest.mark.parametrize("metric", metrics.METRICS)
@given(cuts=st.sets(st.integers(1, 59)), subjects=st.integers(1, 11))
@settings(max_examples=6)
def test_pairwise__does_not_depend_on_chunks(metric, cuts, subjects):
    x = people(n_features=1)
    x[3], x[4, :, 40:] = np.nan, np.nan
    chunks = tuple(np.diff([0, *sorted(cuts), 60]).tolist())
    whole = pairwise(x, **of(metric))
    lazy = pairwise(x.chunk(time=chunks, subject=subjects), **of(metric))
    xr.testing.assert_allclose(lazy.compute(), whole, rtol=1e-9, atol=1e-12)
    assert lazy.attrs == whole.attrs


@pytest.mark.parametrize("metric", metrics.METRICS)
def test_pairwise__is_lazy_symmetric_and_keeps_the_promised_dtype(metric, computes):
    x = people()
    with computes(0):
        d = pairwise(x.astype("float32").chunk(subject=1, time=7), **of(metric))
    assert d.dims == ("session", "subject_0", "subject_1")
    assert d.dtype == d.compute().dtype == np.float64
    np.testing.assert_array_equal(d, d.transpose("session", "subject_1", "subject_0"))
    assert (
        d.subject_0.values.tolist() == d.subject_1.values.tolist() == x.subject.values.tolist()
    )
    diagonal = d.isel(session=0).values.diagonal()
    if metric in ("dtw", "fastdtw", "euclidean", "soft_dtw_divergence"):
        np.testing.assert_allclose(diagonal, 0, atol=1e-9)
    elif metric != "soft_dtw":
        np.testing.assert_allclose(diagonal, 1)


def test_pairwise__says_what_it_is():
    d = pairwise(people(), "dtw", window=5)
    assert d.name == "relation"
    assert d.attrs["metric"] == "dtw"
    assert d.attrs["window"] == 5
    assert d.attrs["units"] == "degC"
    assert "fhemb_spec" not in d.attrs
    assert pairwise(people(), "dtw", normalize="zscore").attrs["units"] == "1"
    assert pairwise(people(), "correlation").attrs["units"] == "1"


def test_pairwise__correlation_is_that_of_numpy():
    x = people(n_features=2).isel(session=0)
    expected = np.mean([np.corrcoef(x.isel(feature=f)) for f in range(2)], axis=0)
    np.testing.assert_allclose(pairwise(x, "correlation"), expected, atol=1e-12)
    univariate = pairwise(x.isel(feature=0), "correlation")
    np.testing.assert_allclose(univariate, np.corrcoef(x.isel(feature=0)), atol=1e-12)


def test_pairwise__correlation_leaves_out_gaps_pairwise():
    x = people(n_features=1).isel(session=0, feature=0) + 1e4
    x = x.where(np.random.default_rng(1).random(x.shape) > 0.2)
    got = pairwise(x, "correlation", nan="drop")
    np.testing.assert_allclose(got, pd.DataFrame(x.values.T).corr(), atol=1e-9)


def test_pairwise__euclidean_is_that_of_scipy():
    x = people().isel(session=1)
    flat = x.values.reshape(11, -1)
    expected = scipy.spatial.distance.cdist(flat, flat)
    np.testing.assert_allclose(pairwise(x, "euclidean"), expected, atol=1e-9)


@pytest.mark.filterwarnings("ignore:h5py not installed")
@pytest.mark.parametrize("how", ["zscore", "meanvar", "minmax"])
def test_pairwise__normalizes_as_tslearn(how):
    from tslearn.metrics import cdist_dtw
    from tslearn.preprocessing import TimeSeriesScalerMeanVariance, TimeSeriesScalerMinMax

    x = people(n_features=2).isel(session=0)
    x[2, :, 0] = 30.0  # a constant
    scaler = TimeSeriesScalerMinMax() if how == "minmax" else TimeSeriesScalerMeanVariance()
    expected = cdist_dtw(scaler.fit_transform(x.values))
    np.testing.assert_allclose(pairwise(x, "dtw", normalize=how), expected, atol=1e-9)


def test_pairwise__a_subject_without_a_face_keeps_its_label():
    x = people()
    x.loc[{"subject": [45, 46]}] = np.nan
    d = pairwise(x.chunk(subject=2), "dtw").compute()
    assert np.isnan(d.sel(subject_0=[45, 46])).all()
    others = [s for s in x.subject.values if s not in (45, 46)]
    expected = pairwise(x.sel(subject=others), "dtw")
    np.testing.assert_allclose(d.sel(subject_0=others, subject_1=others), expected, rtol=1e-12)


@pytest.mark.parametrize("metric", metrics.METRICS)
def test_pairwise__a_gap_spoils_its_row_or_is_dropped(metric):
    x = people(n=4).isel(session=0)
    x[1, 20:30, 0] = np.nan
    spoilt = pairwise(x, **of(metric), nan="propagate")
    assert np.isnan(spoilt[1]).all()
    assert np.isfinite(spoilt[[0, 2, 3]][:, [0, 2, 3]]).all()
    assert np.isfinite(pairwise(x, **of(metric), nan="drop")).all()


def test_pairwise__dtw_drops_a_gap_by_closing_it():
    x = people(n=3).isel(session=0)
    short = x.isel(time=np.r_[:20, 30:60]).copy()
    x[1, 20:30, 1] = np.nan
    dropped = pairwise(x, "dtw", nan="drop")
    by_hand = pairwise(x.isel(subject=[0]), "dtw", other=short.isel(subject=[1]))
    np.testing.assert_allclose(dropped[0, 1], by_hand[0, 0])


def test_pairwise__with_others_is_a_part_of_the_whole():
    x = people().chunk(subject=3)
    d = pairwise(x, "dtw")
    part = pairwise(x.isel(subject=slice(3)), "dtw", other=x.isel(subject=slice(2, None)))
    assert part.shape == (2, 3, 9)
    np.testing.assert_allclose(part, d[:, :3, 2:], rtol=1e-12)
    np.testing.assert_array_equal(part.subject_1, x.subject[2:])


def test_pairwise__compares_members_of_any_dimension():
    x = people(n=2).isel(session=0, drop=True)
    d = pairwise(x.chunk(time=20), "correlation", dim="feature")
    assert d.dims == ("subject", "feature_0", "feature_1")
    np.testing.assert_allclose(d[1], np.corrcoef(x[1].values.T), atol=1e-12)
    assert d.feature_0.values.tolist() == ["p0", "p1", "p2"]


def test_pairwise__of_two_calls_stay_apart():
    x = people().chunk(time=30, subject=2)
    calls = [
        pairwise(x, "dtw"),
        pairwise(x, "dtw", window=2),
        pairwise(x, "euclidean"),
        pairwise(x**2, "dtw"),
        pairwise(x, "dtw", other=x),
    ]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())
    assert not np.allclose(calls[0], calls[1])


@pytest.mark.parametrize(("n", "chunks"), [(16, 8), (16, 64), (64, 8)])
def test_pairwise__graph_is_blocks_and_chunks(n, chunks):
    x = xr.DataArray(np.zeros((n, chunks * 5)), dims=("subject", "time"))
    x = x.chunk(time=5, subject=1)
    d = pairwise(x, "dtw")
    assert d.data.numblocks == (8, 8)
    assert len(d.__dask_graph__()) - len(x.__dask_graph__()) < 64 + 5 * n * chunks + 20


def test_pairwise__works_each_pair_out_once(monkeypatch):
    seen = []
    original = metrics._KERNELS["dtw"]

    def counting(a, na, b, nb, *, upper, **options):
        n, m = len(a), len(b)
        seen.append(n * (n + 1) // 2 if upper else n * m)
        return original(a, na, b, nb, upper=upper, **options)

    monkeypatch.setitem(metrics._KERNELS, "dtw", counting)
    x = people(sessions="a").chunk(subject=1)
    pairwise(x, "dtw").compute(scheduler="sync")
    assert sum(seen) == 11 * 12 // 2


def test_pairwise__refuses_what_is_larger_than_the_budget():
    x = people(n=100).chunk(subject=1)
    with set_options(budget=5_000), pytest.raises(BudgetError, match="select less time"):
        pairwise(x, "dtw")
    with set_options(budget=20_000), pytest.raises(BudgetError, match="fewer series"):
        pairwise(x, "dtw")
    with set_options(budget=150_000):  # smaller blocks instead
        assert pairwise(people(n=20, n_time=600).chunk(), "dtw").data.numblocks == (2, 20, 20)


@pytest.mark.parametrize(
    ("metric", "beside", "options"),
    [
        ("euclidean", 0, {}),
        ("correlation", 0, {}),
        ("dtw", 128 * 2 + 152, {"window": 1, "itakura": None, "local": "euclidean", "p": 3.0}),
    ],
)
def test_kernels__peak_memory_is_what_the_op_says(metric, beside, options):
    how = {"upper": False, "nan": "drop", "normalize": "zscore", **options}
    a, b = np.random.default_rng(0).normal(size=(2, 4, 2, 20_000))
    metrics.relation(a[..., :50], b[..., :50], metric, **how)
    tracemalloc.start()
    metrics.relation(a, b, metric, **how)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (28 - 8) * 2 * a.size + beside * 20_000  # less the series


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"metric": "dwt"}, UnknownNameError, "no metric 'dwt'.*nearest are dtw"),
        ({"normalize": "zscor"}, UnknownNameError, "no normalization 'zscor'.*zscore"),
        ({"local": "euclids"}, UnknownNameError, "no point metric 'euclids'.*euclidean"),
        ({"nan": "omit"}, UnknownNameError, "no treatment of NaN 'omit'"),
        ({"window": -1}, ValueError, "window is a number of samples"),
        ({"window": 1.5}, ValueError, "found 1.5"),
        ({"itakura": 0.5}, ValueError, "itakura is the largest slope"),
        ({"metric": "soft_dtw", "gamma": 0}, ValueError, "gamma is a positive number, found 0"),
        ({"metric": "max_lagged_correlation"}, ValueError, "max_lag_s is a number of seconds"),
        (
            {"metric": "max_lagged_correlation", "max_lag_s": 9},
            ValueError,
            r"less than the series \(2.4 s\), found 9",
        ),
        ({"itakura": 2, "window": 3}, ValueError, "give one of the two"),
        ({"dim": "person"}, SchemaError, "'person'"),
        ({"dim": "time"}, ValueError, "cannot compare along 'time'"),
    ],
)
def test_pairwise__names_what_is_wrong(options, error, text):
    with pytest.raises(error, match=text):
        pairwise(people(n=2), **{"metric": "dtw"} | options)


def test_pairwise__refuses_others_with_other_features():
    x = people(n=2)
    with pytest.raises(ValueError, match="different labels along 'feature'"):
        pairwise(x, "dtw", other=x.assign_coords(feature=["a", "b", "c"]))
    with pytest.raises(ValueError, match="other has the dimensions"):
        pairwise(x, "dtw", other=x.isel(session=0))


def test_pairwise__of_nobody_and_of_one():
    x = people().isel(session=0)
    with pytest.raises(EmptySelectionError, match=r"nothing is left along \['subject'\]"):
        pairwise(x.isel(subject=slice(0)).chunk(), "dtw")
    assert pairwise(x.isel(subject=slice(1)).chunk(), "dtw").compute().item() == 0
