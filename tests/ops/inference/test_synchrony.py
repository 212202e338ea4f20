import dask
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError, UnknownNameError
from fhemb_xr.kernels.inference import isc as shifts
from fhemb_xr.kernels.inference import p_values as kernel
from fhemb_xr.kernels.inference import surrogates as nulls
from fhemb_xr.ops.inference.isc import isc
from fhemb_xr.ops.inference.surrogates import surrogates
from fhemb_xr.ops.inference.synchrony import synchrony

METHODS = ("circular", "block", "phase")


def audience(n=5, n_time=60, n_features=3, shared=1.0, seed=0, gaps=False):
    """People who share a course in the first feature only."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_time, n_features)) + 30
    x[..., 0] += shared * rng.normal(size=n_time)
    if gaps:
        x[rng.random(x.shape) < 0.05] = np.nan
    return xr.DataArray(
        x,
        dims=("subject", "time", "feature"),
        coords={
            "subject": np.arange(40, 40 + n),
            "time": np.arange(n_time) / 10,
            "feature": [f"pc{k}" for k in range(n_features)],
        },
        attrs={"sampling_rate": 10.0, "units": "degC"},
    )


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=8)
@given(chunks=st.tuples(st.integers(1, 5), st.integers(1, 60), st.integers(1, 3)))
def test_surrogates__are_the_same_in_any_chunks_on_any_scheduler(method, chunks):
    x = audience()
    expected = surrogates(x, 4, method=method, seed=3)
    with dask.config.set(scheduler="threads"):
        lazy = surrogates(
            x.chunk(dict(zip(x.dims, chunks, strict=True))), 4, method=method, seed=3
        )
        xr.testing.assert_identical(lazy.chunk(replicate=1).compute(), expected)
    fewer = surrogates(x, 2, method=method, seed=3)
    xr.testing.assert_identical(fewer, expected.isel(replicate=slice(2)))


def test_surrogates__keep_labels_units_clock_and_dtype():
    x = audience().astype("float32")
    out = surrogates(x.chunk(subject=2), 3, seed=0)
    assert out.dims == ("replicate", *x.dims)
    assert out.dtype == out.compute().dtype == np.float32
    xr.testing.assert_equal(out.subject, x.subject)
    assert out.attrs["units"] == "degC"
    assert out.attrs["sampling_rate"] == 10.0


def test_surrogates__shift_whole_people_in_a_circle():
    x = audience()
    out = surrogates(x, 20, seed=1)
    found = set()
    for r in range(20):
        for s in range(5):
            k = [k for k in range(60) if np.array_equal(np.roll(x[s], k, axis=0), out[r, s])]
            assert len(k) == 1
            assert k[0] > 0
            found.add(k[0])
    assert len(found) > 30


def test_surrogates__of_everybody_alike_keep_who_moves_with_whom():
    x = audience()
    out = surrogates(x, 3, dim=None, seed=1)
    k = [k for k in range(60) if np.array_equal(np.roll(x, k, axis=1), out[0])]
    assert len(k) == 1


def test_surrogates__lay_blocks_end_to_end():
    x = xr.DataArray(np.arange(100.0), dims="time", attrs={"sampling_rate": 10.0})
    out = surrogates(x, 5, method="block", block_s=1.2, seed=0, dim=None).values
    steps = np.diff(out, axis=-1).reshape(-1)
    assert (np.diff(out.reshape(5, 100)[:, :96].reshape(5, 8, 12), axis=-1) == 1).all()
    assert (steps != 1).any()
    assert (surrogates(x, 1, method="block", seed=0, dim=None).values == x.values).all()


@given(n=st.integers(1, 40))
def test_surrogates__of_other_phases_have_the_same_spectrum_and_cross_spectrum(n):
    x = np.random.default_rng(n).normal(size=(2, n)) + 30
    y = nulls.phases(x, 0, np.random.default_rng(0))
    f, g = np.fft.rfft(x), np.fft.rfft(y)
    np.testing.assert_allclose(np.abs(g), np.abs(f), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(g[0] * g[1].conj(), f[0] * f[1].conj(), rtol=1e-9, atol=1e-7)
    if n > 3:
        assert not np.allclose(x, y)


def test_surrogates__leave_gaps_where_they_are_in_phases_and_take_them_along_else():
    x = audience(gaps=True)
    gone = np.isnan(x.values)
    out = surrogates(x, 2, method="phase", seed=0).values
    assert (np.isnan(out) == gone).all()
    out = surrogates(x, 2, seed=0).values
    assert (np.isnan(out).sum(axis=2) == gone.sum(axis=1)).all()


def test_surrogates__compute_nothing_and_stay_linear_in_chunks(computes):
    x = audience(n=8, n_time=64)
    sizes = []
    with computes(0):
        for n in (1, 2, 4, 8):
            out = surrogates(x.chunk(subject=1, time=64 // n), 2, method="phase", seed=0)
            sizes.append(len(out.__dask_graph__()) / n)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"method": "blok"}, UnknownNameError, "block"),
        ({"dim": "person"}, SchemaError, "person"),
        ({"n": 0}, ValueError, "from 1 on"),
        ({"seed": -1}, ValueError, "from 0 on"),
        ({"block_s": 2.0}, ValueError, "method 'block'"),
        ({"method": "block", "block_s": 0.0}, ValueError, "seconds"),
    ],
)
def test_surrogates__say_what_is_wrong(options, error, text):
    options = {"n": 2, "seed": 0, **options}
    with pytest.raises(error, match=text):
        surrogates(audience(), options.pop("n"), **options)


def test_surrogates__refuse_what_is_larger_than_the_budget():
    with fx.set_options(budget=1000), pytest.raises(BudgetError, match="budget"):
        surrogates(audience().chunk(), 2, seed=0)


def brute(a, b):
    """Pearson by hand, of what both have."""
    both = np.isfinite(a) & np.isfinite(b)
    return scipy.stats.pearsonr(a[both], b[both])[0]


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("how", ["leave_one_out", "pairwise"])
def test_isc__and_its_null_are_those_of_a_loop_of_rolls(how, gaps):
    x = audience(n=4, n_time=31, gaps=gaps)
    out = isc(x.chunk(subject=1, feature=1, time=10), how=how, null="circular", alpha=0.1)
    largest = np.full(31, -np.inf)
    expected = {}
    for f, i in np.ndindex(3, 4):
        rows = x.values[:, :, f]
        partners = rows if how == "pairwise" else [np.nanmean(np.delete(rows, i, 0), axis=0)]
        for j, partner in enumerate(partners):
            if how == "pairwise" and i == j:
                continue
            # row: who stands still; column: who is shifted
            me = rows[i]
            null = [brute(np.roll(me, k), partner) for k in range(31)]
            largest = np.maximum(largest, null)
            expected[(f, i) if how == "leave_one_out" else (f, j, i)] = np.array(null)
    out = out.transpose("feature", ...).compute()
    for where, null in expected.items():
        np.testing.assert_allclose(out["isc"].values[where], null[0], atol=1e-12)
        assert out["p"].values[where] == (null >= null[0] - 1e-12).mean()
        ends = [out[k].values[where] for k in ("null_low", "null_high")]
        np.testing.assert_allclose(ends, np.quantile(null, [0.05, 0.95]), atol=1e-12)
        assert out["p_fwer"].values[where] == (largest >= null[0] - 1e-12).mean()
    p = out["p"].values
    there = np.isfinite(p)
    np.testing.assert_allclose(
        out["p_fdr"].values[there], scipy.stats.false_discovery_control(p[there]), rtol=1e-12
    )
    assert np.isfinite(p).sum() == len(expected)


@settings(max_examples=8)
@given(chunks=st.tuples(st.integers(1, 5), st.integers(1, 60), st.integers(1, 3)))
def test_isc__is_the_same_in_any_chunks(chunks):
    x = audience(gaps=True)
    options = {"window_s": 2.0, "step_s": 0.7, "null": "circular"}
    lazy = isc(x.chunk(dict(zip(x.dims, chunks, strict=True))), **options)
    xr.testing.assert_identical(lazy.compute(), isc(x, **options))


@pytest.mark.parametrize("how", ["leave_one_out", "pairwise"])
def test_isc__in_windows_is_that_of_each_window(how):
    x = audience()
    out = isc(x, how=how, window_s=2.0, step_s=1.5, null="circular")
    assert out.window.values.tolist() == [0, 1.5, 3.0]
    for w in range(3):
        alone = isc(x.isel(time=slice(15 * w, 15 * w + 20)), how=how, null="circular")
        for name in ("isc", "p", "null_low", "null_high"):
            xr.testing.assert_allclose(
                out[name].isel(window=w, drop=True).drop_vars("time", errors="ignore"),
                alone[name],
                atol=1e-12,
            )


def test_isc__computes_nothing_and_is_right_in_type_units_and_labels(computes):
    x = audience().astype("float32")
    x = x.assign_coords(group=("subject", np.arange(x.sizes["subject"]) % 2))
    with computes(0):
        plain = isc(x.chunk(feature=1))
        out = isc(x.chunk(feature=1), null="circular")
    assert plain["isc"].dims == ("feature", "subject")
    assert plain["isc"].dtype == plain["isc"].compute().dtype == np.float64
    assert plain["isc"].attrs["units"] == out["p"].attrs["units"] == "1"
    for found in (plain, out):
        np.testing.assert_array_equal(found["subject"], x["subject"])
        np.testing.assert_array_equal(found["group"], x["group"])
    both = dask.compute(isc(x.chunk(feature=1)), isc(2 - x.chunk(feature=1)))
    np.testing.assert_allclose(both[0]["isc"], both[1]["isc"], atol=1e-6)


def test_isc__grows_with_the_blocks_alone():
    x = audience(n_features=8)
    tasks = [
        len(isc(x.chunk(feature=8 // n), null="circular").__dask_graph__()) for n in (2, 4, 8)
    ]
    assert (tasks[2] - tasks[1]) <= 2 * (tasks[1] - tasks[0])


def test_isc__of_a_constant_of_one_person_and_of_nothing_is_nan():
    x = audience(n=3)
    x[0] = 31.7
    x[1, :, 1] = np.nan
    out = isc(x, null="circular")
    assert np.isnan(out["isc"][:, 0]).all()
    assert np.isnan(out["p"][:, 0]).all()
    assert np.isnan(out["isc"].sel(feature="pc1", subject=41))
    assert np.isnan(isc(audience(n=1))["isc"]).all()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"how": "all"}, UnknownNameError, "pairwise"),
        ({"null": "phase"}, UnknownNameError, "circular"),
        ({"window_s": 7.0}, ValueError, "the largest is 6 s"),
        ({"window_s": 0.0}, ValueError, "positive"),
        ({"step_s": 1.0}, ValueError, "without window_s"),
        ({"alpha": 1.0}, ValueError, "between 0 and 1"),
        ({"dim": "person"}, SchemaError, "person"),
    ],
)
def test_isc__says_what_is_wrong(options, error, text):
    with pytest.raises(error, match=text):
        isc(audience(), **options)


def test_circular__is_the_plain_correlation_at_no_shift():
    x = audience(gaps=True).values[..., 0]
    np.testing.assert_allclose(
        shifts.circular(x, shifts.others(x))[:, 0],
        shifts.pearson(x, shifts.others(x)),
        atol=1e-12,
    )


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_false_discovery__is_that_of_scipy(p):
    got = kernel.false_discovery(np.array([*p, np.nan]))
    np.testing.assert_allclose(got[:-1], scipy.stats.false_discovery_control(p), rtol=1e-12)
    assert np.isnan(got[-1])


@pytest.mark.parametrize("statistic", ["correlation", "dtw", "isc"])
@pytest.mark.parametrize("method", METHODS)
def test_synchrony__is_a_loop_over_surrogates(statistic, method):
    x = audience(n=4, n_time=40, n_features=2)
    options = {"block_s": 0.5} if method == "block" else {}
    out = synchrony(x.chunk(subject=1), statistic, 9, method=method, seed=2, **options)
    copies = surrogates(x, 9, method=method, seed=2, **options)

    def value(a):
        if statistic == "isc":
            return isc(a)["isc"].values
        return np.where(np.eye(4), np.nan, fx.pairwise(a, statistic).values)

    sign = -1 if statistic == "dtw" else 1
    observed, null = value(x), np.array([value(copies.isel(replicate=r)) for r in range(9)])
    np.testing.assert_allclose(out["observed"], observed, rtol=1e-12)
    there = np.isfinite(observed)
    count = ((sign * null) >= sign * observed - 1e-12 * np.abs(observed)).sum(axis=0)
    np.testing.assert_allclose(out["p"].values[there], (1 + count[there]) / 10, rtol=1e-12)
    most = np.nanmax(sign * null, axis=tuple(range(1, null.ndim)))
    count = (most >= (sign * observed)[..., None] - 1e-12 * np.abs(observed)[..., None]).sum(-1)
    np.testing.assert_allclose(out["p_fwer"].values[there], (1 + count[there]) / 10, rtol=1e-12)
    low = np.quantile(null, 0.025, axis=0)
    np.testing.assert_allclose(out["null_low"].values[there], low[there], rtol=1e-9, atol=1e-12)


def test_synchrony__finds_who_shares_a_course_and_nobody_else():
    x = audience(n=6, n_time=200, n_features=2, shared=2.0)
    out = synchrony(x.chunk(subject=2), "isc", 99, seed=0).compute()
    assert (out["p_fwer"].sel(feature="pc0") == 0.01).all()
    assert (out["p_fwer"].sel(feature="pc1") > 0.05).all()


def test_synchrony__takes_any_function_and_two_tails(computes):
    x = audience(n=3)

    def mean(a):
        return a.mean("time")

    with computes(0):
        out = synchrony(x.chunk(subject=1), mean, 5, seed=0, tail="both")
    assert (out["p"] == 1).all()
    assert out.attrs["statistic"] == "mean"
    with pytest.raises(ValueError, match="lost 'replicate'"):
        synchrony(x, lambda a: a.mean(), 5, seed=0)
    with pytest.raises(UnknownNameError, match="dtw"):
        synchrony(x, "dtww", 5, seed=0)
    with pytest.raises(UnknownNameError, match="greater"):
        synchrony(x, "dtw", 5, seed=0, tail="grater")


def test_surrogates__blocks_are_as_long_as_a_wavelet_level_asks():
    x = xr.DataArray(np.arange(100.0), dims="time", attrs={"sampling_rate": 10.0})
    by_level = surrogates(x, 3, method="block", level=4, seed=0, dim=None)
    by_time = surrogates(x, 3, method="block", block_s=1.6, seed=0, dim=None)
    np.testing.assert_array_equal(by_level, by_time)
    with pytest.raises(ValueError, match="give one of the two"):
        surrogates(x, 3, method="block", level=4, block_s=1.6, seed=0, dim=None)
    with pytest.raises(ValueError, match="level is of method 'block'"):
        surrogates(x, 3, level=4, seed=0, dim=None)


def test_synchrony__of_lagged_maps_tests_every_cell(computes):
    x = audience(n=3, n_time=40, n_features=1).isel(feature=0)
    options = {"window_s": 2.0, "step_s": 1.0, "max_lag_s": 0.5}
    with computes(0):
        out = synchrony(x.chunk(subject=1), "lagged_correlation", 9, seed=2, **options)
    assert out["p"].dims == ("subject_0", "subject_1", "window", "lag")
    a, b = x.isel(subject=0, drop=True), x.isel(subject=2, drop=True)
    expected = fx.lagged_correlation(a, b, **options)
    np.testing.assert_allclose(out["observed"][0, 2], expected, atol=1e-12)
    copies = surrogates(x, 9, seed=2)
    null = fx.lagged_correlation(
        copies.isel(subject=0, drop=True), copies.isel(subject=2, drop=True), **options
    )
    count = (np.abs(null) >= np.abs(expected) - 1e-12).sum("replicate")
    there = np.isfinite(expected)
    np.testing.assert_allclose(out["p"][0, 2].where(there), ((1 + count) / 10).where(there))
    assert np.isnan(out["p"][1, 1]).all()
