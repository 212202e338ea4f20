"""Recurrence quantification against dense matrices of all pairs of moments."""

import itertools
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError

T, HZ = 90, 25.0
MEASURES = ("RR", "DET", "L", "Lmax", "ENTR", "LAM", "TT")


def series(n=2, seed=0, gaps=False, t=T):
    rng = np.random.default_rng(seed)
    x = np.sin(np.arange(t) / 5 + np.arange(n)[:, None]) + 0.3 * rng.normal(size=(n, t))
    if gaps:
        x[0, 30:37] = np.nan
        x[-1, 60] = np.nan
    coords = {"time": np.arange(t) / HZ, "subject": np.arange(40, 40 + n)}
    return xr.DataArray(x, dims=("subject", "time"), coords=coords, attrs={"units": "degC"})


def embedded(x, dim, delay):
    """``(d, t) -> (n, d * dim)``."""
    n = x.shape[1] - (dim - 1) * delay
    return np.concatenate([x[:, k * delay : k * delay + n] for k in range(dim)]).T


def matrix(x, y, radius, metric):
    d = np.abs(x[:, None] - y[None])
    d = d.max(-1) if metric == "supremum" else np.sqrt((d * d).sum(-1))
    return np.where(np.isnan(d), np.nan, d <= radius), d


def runs(line):
    return [len([*g]) for k, g in itertools.groupby(line) if k == 1]


def dense(r, lmin=2, vmin=2, hz=HZ):
    """Measures of a matrix; NaN where there is no pair."""
    n, m = r.shape
    diagonal = [k for lag in range(1 - n, m) for k in runs(np.diagonal(r, lag))]
    vertical = [k for row in r for k in runs(row)]
    long, tall = [k for k in diagonal if k >= lmin], [k for k in vertical if k >= vmin]
    p = np.unique(long, return_counts=True)[1] / len(long)
    return np.array([
        np.nanmean(r), sum(long) / sum(diagonal), np.mean(long) / hz, max(long) / hz,
        -(p * np.log(p)).sum(), sum(tall) / sum(vertical), np.mean(tall) / hz,
    ])  # fmt: skip


def measures(out):
    return np.array([out[name].values for name in MEASURES])


def without_diagonal(r, k=1):
    near = np.abs(np.subtract.outer(np.arange(len(r)), np.arange(len(r)))) < k
    return np.where(near, np.nan, r)


PLAIN = {"normalize": "none"}


@pytest.mark.parametrize("metric", ["euclidean", "supremum"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("dim", [1, 3])
def test_recurrence__equals_the_matrix_of_all_pairs(metric, gaps, dim):
    x = series(gaps=gaps)
    a, b = (embedded(x.values[k : k + 1], dim, 4) for k in (0, 1))
    more = PLAIN | ({"dim": dim, "delay_s": 4 / HZ} if dim > 1 else {})
    (ra, _), (rb, _), (rc, _) = (matrix(*p, 0.6, metric) for p in ((a, a), (b, b), (a, b)))
    options = {"radius": 0.6, "metric": metric, **more}
    one, two = x.isel(subject=0, drop=True), x.isel(subject=1, drop=True)
    auto = fx.recurrence(one, lmin=3, vmin=3, **options)
    np.testing.assert_allclose(measures(auto), dense(without_diagonal(ra), 3, 3), rtol=1e-12)
    whole = fx.recurrence(one, theiler_s=0, **options)
    np.testing.assert_allclose(measures(whole), dense(ra), rtol=1e-12)
    cross = fx.recurrence(one, two, max_lag_s=0.2, **options)
    np.testing.assert_allclose(measures(cross), dense(rc), rtol=1e-12)
    profile = [np.nanmean(np.diagonal(rc, lag)) for lag in range(-5, 6)]
    np.testing.assert_allclose(cross.profile, profile, rtol=1e-12)
    joint = fx.recurrence(one, two, how="joint", theiler_s=3 / HZ, **options)
    both = without_diagonal(ra * rb, 3)
    np.testing.assert_allclose(measures(joint), dense(both), rtol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "supremum"])
def test_recurrence__of_a_rate_has_the_radius_of_that_quantile(metric):
    x = series(gaps=True)
    a, b = (embedded(x.values[k : k + 1], 1, 1) for k in (0, 1))
    distances = matrix(a, b, 0, metric)[1]
    known = np.sort(distances[np.isfinite(distances)])
    one, two = x.isel(subject=0, drop=True), x.isel(subject=1, drop=True)
    for rate in (1e-6, 0.05, 0.5, 0.9999):
        out = fx.recurrence(one, two, rate=rate, metric=metric, **PLAIN)
        wanted = max(int(np.ceil(rate * known.size)), 1)
        np.testing.assert_allclose(out.radius, known[wanted - 1], rtol=1e-14)
        assert wanted / known.size == out.RR
    whole = one.round()  # ties
    out = fx.recurrence(whole, rate=0.3, **PLAIN)
    assert out.radius == 0
    assert out.RR > 0.3


def test_recurrence__of_features_is_that_of_their_states():
    x = series(3)
    z = (x - x.mean("time")) / x.std("time")
    r = without_diagonal(matrix(z.values.T, z.values.T, 1.0, "euclidean")[0])
    out = fx.recurrence(x, feature="subject", radius=1.0)
    np.testing.assert_allclose(measures(out), dense(r), rtol=1e-12)
    assert out.radius.attrs["units"] == "1"
    assert fx.recurrence(x, radius=1.0, **PLAIN).radius.attrs["units"] == "degC"


def test_recurrence__in_windows_is_that_of_each_window():
    x = series()
    out = fx.recurrence(x, radius=0.5, window_s=1.2, step_s=0.8, **PLAIN)
    np.testing.assert_allclose(out.window, [0, 0.8, 1.6, 2.4])
    for k, start in enumerate(range(0, 61, 20)):
        part = fx.recurrence(x.isel(time=slice(start, start + 30)), radius=0.5, **PLAIN)
        xr.testing.assert_allclose(out.isel(window=k, drop=True), part)


@settings(max_examples=8)
@given(cuts=st.sets(st.integers(1, T - 1), max_size=8), people=st.integers(1, 2))
def test_recurrence__does_not_depend_on_chunks(cuts, people):
    x = series(gaps=True)
    chunks = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    lazy = x.chunk(time=chunks, subject=people)
    options = {"rate": 0.1, "window_s": 2, "max_lag_s": 0.2}
    found = fx.recurrence(lazy, lazy.rename(subject="other"), **options)
    assert found.RR.chunks
    whole = fx.recurrence(x, x.rename(subject="other"), **options)
    xr.testing.assert_identical(found.compute(), whole)


def test_recurrence__computes_nothing_and_has_few_tasks(computes):
    x = series(6).chunk(time=10, subject=2)
    with computes(0):
        out = fx.recurrence(
            x,
            x.rename(subject="other"),
            radius=0.5,
            null="linear",
            seed=0,
            window_s=1,
            max_lag_s=0,
        )  # fmt: skip
    assert len(out.DET.__dask_graph__()) < 3 * 36 + 2 * (27 + 6 * 9 + 36)
    assert {v.dtype for v in out.values()} == {np.dtype("f8")}


def test_recurrence__memory_is_linear_in_the_samples():
    from fhemb_xr.kernels.recurrence import plots, quantification

    x = series(1, t=4000).values
    plot = plots.Plot(2, 3, 0.5, 0, False, False, 1, (2, 2), 0)
    quantification.quantify(x[:, :200], None, plot)
    tracemalloc.start()
    quantification.quantify(x, None, plot)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < (16 * 2 + 100) * x.size  # all pairs would be 8 bytes * x.size**2


def test_recurrence__profile_says_who_leads():
    x = np.random.default_rng(1).normal(size=400).cumsum()
    a = xr.DataArray(x[20:-20], dims="time", attrs={"sampling_rate": HZ})
    b = a.copy(data=x[10:-30])  # ten samples late
    out = fx.recurrence(a, b, rate=0.05, max_lag_s=1, **PLAIN)
    np.testing.assert_allclose(out.profile.idxmax("lag"), 10 / HZ)
    auto = fx.recurrence(a, rate=0.05, max_lag_s=1).profile
    np.testing.assert_array_equal(auto, auto[::-1])
    assert np.isnan(auto.sel(lag=0))


def test_recurrence__null_holds_for_drifts_and_finds_coupling():
    rng = np.random.default_rng(4)
    walks = rng.normal(size=(2, 40, 160)).cumsum(axis=-1)
    a, b = (xr.DataArray(w, dims=("pair", "time"), attrs={"sampling_rate": HZ}) for w in walks)
    options = {"radius": 0.3, "null": "linear", "n": 19, "seed": 0}
    lags = {"max_lag_s": 0.12}
    late = a.copy(data=np.roll(a, 2, axis=-1) + 0.1 * rng.normal(size=a.shape))
    p = fx.recurrence(a, b, **lags, **options).p_profile.min("lag")
    assert (p <= 0.05).sum() <= 6  # 97.5 % of binomial draws at .05
    found = fx.recurrence(a, late, **lags, **options)
    assert (found.p_profile.sel(lag=0.08, method="nearest") == 1 / 20).mean() > 0.8
    assert float(found.profile.mean("pair").idxmax("lag")) == 0.08
    p = fx.recurrence(a, b, how="joint", **options).p
    assert (p.sel(measure="RR") <= 0.05).sum() <= 6
    noise = rng.normal(size=(3, 160))
    one, other, alike = (
        xr.DataArray(v, dims="time", attrs={"sampling_rate": HZ})
        for v in (noise[0], noise[1], noise[0] + 0.3 * noise[2])
    )
    options |= {"null": "circular", "how": "joint"}
    assert fx.recurrence(one, alike, **options).p.sel(measure="RR") == 1 / 20
    assert fx.recurrence(one, other, **options).p.sel(measure="RR") > 0.05


def test_recurrence__of_nothing_and_of_what_never_moves():
    x = series()
    x[0], x[1] = np.nan, 30.0
    out = fx.recurrence(x, rate=0.1)
    assert np.isnan(measures(out.isel(subject=0))).all()
    assert out.RR[1] == 1
    assert out.LAM[1] > 0.999
    nothing = fx.recurrence(series(), radius=1e-9)
    assert (nothing.RR == 0).all()
    assert np.isnan(nothing.DET).all()
    out = fx.recurrence(x, series(), radius=0.5)
    assert np.isnan(out.RR[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "exactly one of radius and rate"),
        ({"radius": 1, "rate": 0.1}, "exactly one of radius and rate"),
        ({"rate": 1.0}, "rate is a share"),
        ({"radius": 1, "dim": 2}, "dim=2 and delay_s=None: give both"),
        ({"radius": 1, "delay_s": 1}, "dim=1 and delay_s=1"),
        ({"radius": 1, "dim": 10, "delay_s": 0.4}, "10 copies 10 samples apart need 92"),
        ({"radius": 1, "how": "joint"}, "a joint plot is of two series"),
        ({"radius": 1, "null": "linear", "seed": 0}, "give other="),
        ({"radius": 1, "seed": 0}, "has no option 'seed'"),
        ({"radius": 1, "other": 0, "null": "linear", "max_lag_s": 0}, "found no seed"),
        ({"radius": 1, "other": 0, "theiler_s": 1}, "it belongs to how='joint'"),
        ({"radius": 1, "other": 1, "normalize": "none"}, "x has the unit 'degC', other 'K'"),
        ({"radius": 1, "metric": "cosine"}, "no metric 'cosine'"),
        ({"radius": 1, "other": 0, "null": "linear", "seed": 0}, "tests the profile"),
        (
            {"radius": 1, "other": 0, "null": "linear", "seed": 0, "max_lag_s": 1},
            "51 samples or more, found 11",
        ),
        (
            {
                "radius": 1,
                "other": 0,
                "null": "linear",
                "seed": 0,
                "window_s": 3,
                "max_lag_s": 0,
            },
            "between the margins",
        ),
    ],
)
def test_recurrence__refuses_what_it_cannot_do(options, words):
    if "other" in options:
        options = {
            **options,
            "other": series().assign_attrs(units=["degC", "K"][options["other"]]),
        }
    with pytest.raises((ValueError, KeyError), match=words):
        fx.recurrence(series(), **options)


def test_recurrence__needs_a_clock_and_a_budget():
    with pytest.raises(SchemaError, match="sampling rate is needed"):
        fx.recurrence(series().drop_vars("time"), radius=1)
    with fx.set_options(budget=1000), pytest.raises(BudgetError, match="one series"):
        fx.recurrence(series(), radius=1)
