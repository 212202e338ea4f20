import dask
import numpy as np
import pytest
import scipy.signal
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

METHODS = ("circular", "linear", "phase", "iaaft", "block")
FEW = "ignore:the smallest p:UserWarning"
"""Tests of a few surrogates, which are too few for the correction."""
pytestmark = pytest.mark.filterwarnings(FEW, "ignore:blocks laid end to end:UserWarning")


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
@settings(max_examples=4)
@given(chunks=st.tuples(st.integers(1, 5), st.integers(1, 60), st.integers(1, 3)))
def test_surrogates__are_the_same_in_any_chunks_on_any_scheduler(method, chunks):
    x = audience()
    x = x.isel(time=slice(24)) if method == "iaaft" else x  # which takes many rounds
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
    out, given = surrogates(x, 20, seed=1).values, x.values
    found = set()
    for r in range(20):
        for s in range(5):
            rolled = (np.roll(given[s], k, axis=0) for k in range(60))
            k = [k for k, row in enumerate(rolled) if np.array_equal(row, out[r, s])]
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
        ({"block_s": 2.0}, ValueError, "it belongs to block"),
        ({"method": "block", "block_s": 0.0}, ValueError, "no sample"),
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


def weibull(null, share):
    return np.quantile(null, share, method="weibull")


@pytest.mark.parametrize("null", ["circular", "linear"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("how", ["leave_one_out", "pairwise"])
def test_isc__and_its_null_are_those_of_a_loop_of_shifts(how, gaps, null):
    n, margin = 31, 6
    x = audience(n=4, n_time=n, gaps=gaps)
    given = {} if null == "circular" else {"margin_s": 0.6}
    lazy = x.chunk(subject=1, feature=1, time=10)
    out = isc(lazy, how=how, null=null, alpha=0.1, **given)
    shifts = range(n) if null == "circular" else [0, *range(-margin, 0), *range(1, margin + 1)]
    stay = slice(None) if null == "circular" else slice(margin, n - margin)
    largest = np.full(len(shifts), -np.inf)
    expected = {}
    for f, i in np.ndindex(3, 4):
        rows = x.values[:, :, f]
        partners = rows if how == "pairwise" else [np.nanmean(np.delete(rows, i, 0), axis=0)]
        for j, partner in enumerate(partners):
            if how == "pairwise" and i == j:
                continue
            # row: who stands still; column: who is shifted
            values = [brute(np.roll(rows[i], k)[stay], partner[stay]) for k in shifts]
            largest = np.maximum(largest, values)
            expected[(f, i) if how == "leave_one_out" else (f, j, i)] = np.array(values)
    out = out.transpose("feature", ...).compute()
    for where, values in expected.items():
        np.testing.assert_allclose(out["isc"].values[where], values[0], atol=1e-12)
        assert out["p"].values[where] == (values >= values[0] - 1e-12).mean()
        ends = [out[k].values[where] for k in ("null_low", "null_high")]
        np.testing.assert_allclose(ends, weibull(values, [0.05, 0.95]), atol=1e-12)
        assert out["p_fwer"].values[where] == (largest >= values[0] - 1e-12).mean()
    p = out["p"].values
    there = np.isfinite(p)
    np.testing.assert_allclose(
        out["p_fdr"].values[there], scipy.stats.false_discovery_control(p[there]), rtol=1e-12
    )
    assert np.isfinite(p).sum() == len(expected)


@pytest.mark.parametrize("null", ["circular", "linear"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("tail", ["less", "both"])
def test_isc__in_windows_shifts_whole_series_and_cuts_then(gaps, null, tail):
    x = audience(n=3, n_time=40, n_features=1, gaps=gaps).isel(feature=0)
    margin = 0 if null == "circular" else 5  # an eighth
    out = isc(x, window_s=1.0, step_s=0.7, null=null, tail=tail)
    starts = np.arange(margin, 40 - margin - 10 + 1, 7)
    np.testing.assert_allclose(out["window"], starts / 10)
    np.testing.assert_allclose(out["time"], starts / 10)
    rows = x.values
    size = {"less": np.negative, "both": np.abs}[tail]
    for w, start in enumerate(starts):
        cut = slice(start, start + 10)
        for i in range(3):
            partner = np.nanmean(np.delete(rows, i, 0), axis=0)[cut]
            shifts = range(40) if null == "circular" else range(-margin, margin + 1)
            values = np.array([brute(np.roll(rows[i], k)[cut], partner) for k in shifts])
            observed = brute(rows[i][cut], partner)
            np.testing.assert_allclose(out["isc"][w, i], observed, atol=1e-12)
            expected = (size(values) >= size(observed) - 1e-12).mean()
            assert out["p"].values[w, i] == expected


@settings(max_examples=4)
@given(chunks=st.tuples(st.integers(1, 5), st.integers(1, 60), st.integers(1, 3)))
@pytest.mark.parametrize("null", ["linear", "phase", "iaaft", "swap"])
def test_isc__of_every_null_is_the_same_in_any_chunks(null, chunks):
    x = audience(gaps=True).assign_coords(row=("subject", list("aabbb")))
    options = {"swap": {"across": "row"}, "linear": {"margin_s": 1.0}}
    options = {"window_s": 2.0, "null": null, **options.get(null, {"n": 4, "seed": 1})}
    lazy = isc(x.chunk(dict(zip(x.dims, chunks, strict=True))), **options)
    xr.testing.assert_identical(lazy.compute(), isc(x, **options))


@pytest.mark.parametrize("null", ["phase", "iaaft"])
def test_isc__of_surrogates_moves_the_tested_alone(null):
    x = audience(n=4, n_time=40)
    out = isc(x.chunk(subject=2), null=null, n=9, seed=5)
    copies = surrogates(x, 9, method=null, seed=5)
    for i in range(4):
        others = x.drop_isel(subject=i).mean("subject")
        null_values = xr.corr(copies.isel(subject=i), others, "time")
        observed = xr.corr(x.isel(subject=i), others, "time")
        p = (1 + (null_values >= observed).sum("replicate")) / 10
        np.testing.assert_allclose(out["p"].isel(subject=i), p)


def in_rows(seed=0, n_time=60):
    """Three rows of people; those of a row share a course, all share a stimulus."""
    x = audience(n=9, n_time=n_time, n_features=1, seed=seed).isel(feature=0, drop=True)
    rng = np.random.default_rng(seed + 1)
    own = rng.normal(size=(3, n_time))[[0, 1, 2, 0, 1, 2, 0, 1, 2]]
    x = x + xr.DataArray(own, dims=("subject", "time"))
    return x.assign_coords(row=("subject", list("abcabcabc"))).assign_attrs(sampling_rate=10.0)


def test_isc__exchanged_for_strangers_is_a_loop_over_strangers():
    x = in_rows()
    rows = x["row"].values
    pairs = isc(x.chunk(subject=2), how="pairwise", null="swap", across="row").compute()
    r = np.corrcoef(x.values)
    for i, j in np.ndindex(9, 9):
        if i == j or rows[i] != rows[j]:
            assert np.isnan(pairs["p"][i, j])
            continue
        null = r[i, rows != rows[i]]
        assert pairs["p"].values[i, j] == (1 + (null >= r[i, j]).sum()) / 7
        np.testing.assert_allclose(pairs["null_high"][i, j], weibull(null, 0.975))
        assert pairs["p_fwer"].values[i, j] == min(1, 18 * pairs["p"].values[i, j])
    alone = isc(x, null="swap", across="row")
    for i in range(9):
        mates = x.values[(rows == rows[i]) & (np.arange(9) != i)].mean(axis=0)
        null = np.array([brute(v, mates) for v in x.values[rows != rows[i]]])
        observed = brute(x.values[i], mates)
        np.testing.assert_allclose(alone["isc"][i], observed)
        assert alone["p"].values[i] == (1 + (null >= observed - 1e-12).sum()) / 7


@pytest.mark.parametrize("statistic", ["correlation", "dtw", "lagged_correlation", "isc"])
def test_synchrony__exchanged_across_sessions_takes_other_people_of_other_sessions(statistic):
    x = audience(n=2, n_time=30, n_features=4).rename(feature="session")
    lag = {"window_s": 2.0, "step_s": 1.0, "max_lag_s": 0.1}
    given = {"lagged_correlation": lag, "isc": {"how": "pairwise"}}.get(statistic, {})
    lazy = x.chunk(subject=1, session=1, time=7)
    out = synchrony(lazy, statistic, method="swap", across="session", **given).compute()
    assert {"subject_0", "subject_1", "session"} <= {*out["p"].dims}

    def value(a, b):
        both = xr.concat([a, b], "subject", coords="minimal", compat="override").assign_coords(
            subject=[0, 1]
        )
        if statistic == "lagged_correlation":
            one, two = (both.isel(subject=k, drop=True) for k in (0, 1))
            return fx.lagged_correlation(one, two, **lag).values
        if statistic == "isc":
            return fx.isc(both, how="pairwise")["isc"].values[0, 1]
        return fx.pairwise(both, statistic).values[0, 1]

    size = np.abs if statistic == "lagged_correlation" else np.asarray
    size = np.negative if statistic == "dtw" else size
    a, others = x.isel(subject=0, session=1), [0, 2, 3]
    observed = value(a, x.isel(subject=1, session=1))
    null = np.array([value(a, x.isel(subject=1, session=s)) for s in others])
    p = out["p"].isel(subject_0=0, subject_1=1, session=1).values
    count = (size(null) >= size(observed) - 1e-12).sum(axis=0)
    there = np.isfinite(observed)
    np.testing.assert_allclose(p[there], ((1 + count) / 4)[there])


def test_swap__says_which_groups_it_needs():
    x = in_rows()
    for across, text in (
        (None, "no across"),
        ("seat", r"coordinates \['row'"),
        ("time", "seat"),
    ):
        with pytest.raises(ValueError, match=text if across != "time" else "across names"):
            isc(x, null="swap", across=across)
    with pytest.raises(ValueError, match="found one"):
        isc(x.assign_coords(row=("subject", ["a"] * 9)), null="swap", across="row")
    with pytest.raises(ValueError, match=r"no option 'across'.*swap"):
        isc(x, null="linear", across="row")
    with pytest.raises(ValueError, match="a function"):
        synchrony(x, lambda a: a.mean("time"), method="swap", across="row")
    with pytest.raises(ValueError, match=r"'swap' has no option 'n'"):
        synchrony(x, "dtw", 9, method="swap", across="row")
    with pytest.raises(ValueError, match="those of other people"):
        surrogates(x, 2, method="swap", seed=0)


def test_leave_one_out__does_not_call_a_bystander_synchronous():
    hits, power, runs = 0, 0.0, 24
    for run in range(runs):
        rng = np.random.default_rng(run)
        slow = scipy.signal.lfilter([1], [1, -0.98], rng.normal(size=(2, 800)))[:, 200:]
        slow /= slow.std(axis=1, keepdims=True)
        v = np.vstack([slow[0] + 1.5 * rng.normal(size=(5, 600)), slow[1]])
        x = xr.DataArray(v, dims=("subject", "time"), attrs={"sampling_rate": 25.0})
        p = synchrony(x, "isc", 39, method="circular", seed=run)["p"].values
        hits, power = hits + int(p[-1] <= 0.05), power + float((p[:5] <= 0.05).mean())
    assert hits <= 5  # the chance of more is .002 where the rate is .05; .18 before
    assert power > 0.5 * runs


def drifting(n_runs, n_time=300):
    """Pairs of people who each drift, and nothing else."""
    t = np.linspace(-1, 1, n_time)
    for run in range(n_runs):
        rng = np.random.default_rng(run)
        v = rng.normal(size=(2, n_time)) + 2 * t * rng.normal(size=(2, 1))
        yield run, xr.DataArray(v, dims=("subject", "time"), attrs={"sampling_rate": 25.0})


def test_linear__holds_for_people_who_drift_where_circular_does_not():
    hits = dict.fromkeys(("linear", "circular"), 0)
    drawn = 0
    for run, x in drifting(24):
        for null in hits:
            hits[null] += float(isc(x, how="pairwise", null=null)["p"][0, 1]) <= 0.05
        drawn += float(synchrony(x, "correlation", 39, seed=run)["p"][0, 1]) <= 0.05
    assert hits["linear"] <= 5  # more: .002 where the rate is .05
    assert drawn <= 5
    assert hits["circular"] > 6


def test_linear__slides_the_middle_and_wraps_nothing():
    x = xr.DataArray(
        np.arange(80.0), dims="time", coords={"time": np.arange(80) / 10},
        attrs={"sampling_rate": 10.0},
    )  # fmt: skip
    out = surrogates(x, 60, method="linear", margin_s=1.5, seed=0, dim=None)
    assert out.sizes["time"] == 50
    np.testing.assert_allclose(out["time"], x["time"][15:65])
    assert (np.diff(out) == 1).all()
    starts = np.unique(out[:, 0])
    assert starts.min() >= 0
    assert starts.max() <= 30
    assert 15 not in starts
    assert starts.size > 20
    for margin_s in (0, 4.0, np.nan, True):
        with pytest.raises(ValueError, match="margin"):
            surrogates(x, 2, method="linear", margin_s=margin_s, seed=0, dim=None)


def test_iaaft__keeps_values_and_nearly_the_spectrum_and_who_moves_with_whom():
    rng = np.random.default_rng(0)
    slow = np.exp(np.cumsum(rng.normal(size=(2, 400)), axis=1) / 20)
    x = np.stack([slow[0], slow[0] + 0.1 * slow[1]])
    y = nulls.iaaft(x, 100, np.random.default_rng(1))
    np.testing.assert_allclose(np.sort(y), np.sort(x), rtol=1e-12)
    f, g = (np.abs(np.fft.rfft(a - a.mean(axis=-1, keepdims=True))) for a in (x, y))
    assert np.abs(g - f).sum() < 0.1 * f.sum()
    assert np.corrcoef(y)[0, 1] > 0.9
    assert not np.allclose(x, y)


def test_null_band__holds_what_it_says_of_new_draws():
    rng = np.random.default_rng(0)
    null, new = rng.normal(size=(4000, 39)), rng.normal(size=4000)
    ends = kernel.band(null, alpha=0.05)
    share = ((new < ends[:, 0]) | (new > ends[:, 1])).mean()
    assert abs(share - 0.05) < 0.012  # three standard errors; 8 % by plain quantiles


def test_extrapolated__is_near_the_true_tail_and_never_zero():
    rng = np.random.default_rng(0)
    null = rng.normal(size=(200, 400))
    for z, factor in ((3.5, 4), (4.0, 12)):  # 1 / 401 is 11 and 79 times too large
        p = kernel.extrapolated(np.full(200, z), null, tail="greater")
        assert 0.5 < np.exp(np.log(p / scipy.stats.norm.sf(z)).mean()) < factor
    bounded = kernel.extrapolated(np.full(200, 2.0), rng.uniform(size=(200, 400)), tail="both")
    assert (bounded > 0).all()
    common = kernel.extrapolated(np.zeros(200), null, tail="greater")
    plain = kernel.p_value(np.zeros(200), null, tail="greater", exact=False)
    np.testing.assert_array_equal(common, plain)
    new = rng.normal(size=200)
    assert (kernel.extrapolated(new, null, tail="greater") <= 0.05).mean() < 0.1


def test_too_few_surrogates__are_told_with_the_number_needed():
    x = audience(n=6, n_features=1).isel(feature=0)
    with pytest.warns(UserWarning, match="15 are tested.* only where 3 tests .* of 300 values"):
        synchrony(x, "correlation", 99, seed=0)
    with pytest.warns(UserWarning, match="no p_fdr can be 0.05 or less"):
        synchrony(x, "correlation", 9, seed=0)
    with pytest.warns(UserWarning, match="15 are tested"):
        isc(x, how="pairwise", null="circular")
    options = {"method": "circular", "seed": 0, "extrapolate": True}
    found = synchrony(x.chunk(), "correlation", 150, **options)  # no warning
    assert float(found["p"].min()) < 1 / 151


def test_blocks__are_no_null_and_say_so():
    x = audience(n=2, n_features=1).isel(feature=0)
    with pytest.warns(UserWarning, match="correlation time is below 0.1 s"):
        synchrony(x, "correlation", 99, method="block", block_s=2.0, seed=0)


@pytest.mark.parametrize("cost", ["memory"])
def test_linear__costs_no_more_memory_than_circular(cost):
    import tracemalloc

    x = np.random.default_rng(0).normal(size=(8, 4000))
    peaks = []
    for margin in (None, 500):
        width = 4000 - 2 * (margin or 0)
        tracemalloc.start()
        shifts.tested(
            x, shifts.others(x), how="leave_one_out", alpha=0.05, tail="greater", width=width,
            step=width, margin=margin, group=8, itself=True,
        )  # fmt: skip
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 1.1 * peaks[0]
    assert peaks[0] <= 400 * 8 * 4000


@settings(max_examples=4)
@given(chunks=st.tuples(st.integers(1, 5), st.integers(1, 60), st.integers(1, 3)))
def test_isc__is_the_same_in_any_chunks(chunks):
    x = audience(gaps=True)
    options = {"window_s": 2.0, "step_s": 0.7, "null": "circular"}
    lazy = isc(x.chunk(dict(zip(x.dims, chunks, strict=True))), **options)
    xr.testing.assert_identical(lazy.compute(), isc(x, **options))


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
        ({"null": "fase"}, UnknownNameError, "phase"),
        ({"null": "phase"}, ValueError, "no seed"),
        ({"null": "circular", "n": 9}, ValueError, r"no option 'n'.*phase, iaaft"),
        ({"seed": 0}, ValueError, "null None has no option 'seed'"),
        ({"margin_s": 1.0}, ValueError, "belongs to linear"),
        ({"null": "linear", "margin_s": 3.0}, ValueError, "two samples between"),
        ({"null": "linear", "tail": "top"}, UnknownNameError, "greater"),
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

    x = x.sel(time=copies["time"])  # the middle, where copies slide

    def value(a):
        if statistic == "isc":  # the others stay
            people = [x.drop_isel(subject=i).mean("subject") for i in range(4)]
            each = [xr.corr(a.isel(subject=i), people[i], "time") for i in range(4)]
            return np.stack(each, axis=-1)
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
    low = np.quantile(null, 0.025, axis=0, method="weibull")
    np.testing.assert_allclose(out["null_low"].values[there], low[there], rtol=1e-9, atol=1e-12)


def test_synchrony__takes_its_null_by_one_word_and_by_the_older_one():
    x = audience(n=3, n_features=1).isel(feature=0)
    by_null = synchrony(x, "correlation", 9, null="circular", seed=0)
    by_method = synchrony(x, "correlation", 9, method="circular", seed=0)
    xr.testing.assert_identical(by_null, by_method)
    assert by_null.attrs["null"] == "circular"
    default, named = (
        synchrony(x, "correlation", 9, seed=0, **given) for given in ({}, {"null": "linear"})
    )
    xr.testing.assert_identical(default, named)
    with pytest.raises(ValueError, match="two names of one option"):
        synchrony(x, "correlation", 9, null="linear", method="phase", seed=0)


def test_synchrony__keeps_its_null_where_asked():
    x = audience(n=3, n_features=1).isel(feature=0)
    out = synchrony(x.chunk(), "correlation", 9, null="circular", seed=0, keep_null=True)
    expected = fx.pairwise(surrogates(x, 9, seed=0), "correlation")
    apart = ~np.eye(3, dtype=bool)
    found = out["null"].transpose("replicate", ...).values[:, apart]
    np.testing.assert_allclose(found, expected.transpose("replicate", ...).values[:, apart])
    with pytest.raises(ValueError, match="'swap' has no option 'keep_null'"):
        synchrony(x, "correlation", null="swap", across="row", keep_null=True)


def test_matrix__of_whole_series_is_that_of_series_with_gaps_and_of_numpy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 40)) + 30, rng.normal(size=(3, 40))
    y[1] = 30.7
    found = shifts.matrix(x, y)
    expected = np.corrcoef(np.concatenate([y[[0, 2]], x]))[:2, 2:]
    np.testing.assert_allclose(found[[0, 2]], expected, rtol=1e-12)
    assert np.isnan(found[1]).all()
    each = np.array([shifts.pearson(x, np.broadcast_to(row, x.shape)) for row in y])
    np.testing.assert_allclose(found, each, rtol=1e-12, atol=1e-14)


def test_warnings__are_said_once_a_call_at_the_line_of_the_user():
    x = audience(n=6, n_features=1).isel(feature=0).assign_coords(row=("subject", [0, 1] * 3))
    calls = (
        lambda: fx.synchrony(x, "correlation", 9, seed=0),
        lambda: x.fhemb.isc(null="linear", how="pairwise"),
        lambda: fx.synchrony(x, "isc", null="swap", across="row"),
        lambda: fx.synchrony(x, "correlation", null="swap", across="row"),
        lambda: fx.isc(x, null="swap", across="row"),
        lambda: fx.isc(x, null="phase", seed=0, n=9),
    )
    for call in calls:
        with pytest.warns(UserWarning, match="the smallest p") as told:
            call()
        assert [w.filename for w in told] == [__file__], call
    enough = {"how": "leave_one_out", "null": "circular"}
    fx.isc(x.isel(subject=slice(3)), **enough)  # 3 tests, 60 shifts: no warning


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
        out = synchrony(x.chunk(subject=1), mean, 5, method="circular", seed=0, tail="both")
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
    with pytest.raises(ValueError, match=r"no option 'level'.*block"):
        surrogates(x, 3, level=4, seed=0, dim=None)


def test_synchrony__of_lagged_maps_tests_every_cell(computes):
    x = audience(n=3, n_time=40, n_features=1).isel(feature=0)
    options = {"window_s": 2.0, "step_s": 1.0, "max_lag_s": 0.5}
    with computes(0):
        out = synchrony(
            x.chunk(subject=1), "lagged_correlation", 9, method="circular", seed=2, **options
        )
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
