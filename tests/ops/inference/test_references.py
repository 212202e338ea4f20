"""Equal to the libraries of the field where they define the same.

BrainIAK's formulas are written here again, from its documentation: it is no dependency.
"""

import dask
import numpy as np
import pytest
import scipy.stats
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.kernels.inference import p_values

pytestmark = pytest.mark.filterwarnings("ignore:the smallest p:UserWarning")


def series(n=6, n_time=80, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_time)) + rng.normal(size=n_time)
    return xr.DataArray(x, dims=("subject", "time"), attrs={"sampling_rate": 10.0})


def brainiak_isc(data, pairwise):
    """``isc(data, pairwise=...)`` of one voxel, ``(time, subject)``."""
    n = data.shape[1]
    if pairwise:
        return np.corrcoef(data.T)[np.triu_indices(n, 1)]
    return np.array([
        np.corrcoef(data[:, i], np.delete(data, i, axis=1).mean(axis=1))[0, 1] for i in range(n)
    ])  # fmt: skip


def brainiak_summary(iscs, statistic):
    """``compute_summary_statistic``: the mean by Fisher's z, or the median."""
    return np.tanh(np.mean(np.arctanh(iscs))) if statistic == "mean" else np.median(iscs)


def test_isc__is_that_of_brainiak():
    x = series()
    alone = fx.isc(x)["isc"]
    np.testing.assert_allclose(alone, brainiak_isc(x.values.T, False), atol=1e-14)
    pairs = fx.isc(x, how="pairwise")["isc"].values[np.triu_indices(6, 1)]
    np.testing.assert_allclose(pairs, brainiak_isc(x.values.T, True), atol=1e-14)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_group_isc__is_that_of_brainiak(statistic):
    x = series()
    out = fx.group_isc(x, n=9, seed=0).sel(summary=statistic)
    expected = brainiak_summary(brainiak_isc(x.values.T, True), statistic)
    np.testing.assert_allclose(out["isc"], expected, atol=1e-14)


def test_p_fdr__is_that_of_statsmodels():
    from statsmodels.stats import multitest  # slow to import

    p = np.random.default_rng(0).uniform(size=200) ** 3
    expected = multitest.multipletests(p, method="fdr_bh")[1]
    np.testing.assert_allclose(p_values.false_discovery(p), expected, rtol=1e-12)


def test_p_value__of_correlation_is_near_that_of_scipy_where_samples_are_independent():
    rng = np.random.default_rng(1)
    x = series(2, 300)
    x[:] = rng.normal(size=x.shape)
    x[1] += 0.12 * x[0]
    out = fx.synchrony(x, "correlation", 999, null="circular", tail="both", seed=0)
    expected = scipy.stats.pearsonr(x.values[0], x.values[1]).pvalue
    assert abs(float(out["p"][0, 1]) - expected) < 0.05


@pytest.mark.parametrize("null", ["linear", "phase"])
def test_synchrony__is_the_same_to_the_bit_on_any_scheduler(null):
    x = series(4, 60).chunk(subject=3, time=11)
    found = []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            found.append(
                fx.synchrony(x, "correlation", 9, null=null, seed=np.int64(5)).compute()
            )
    xr.testing.assert_identical(*found)
    whole = fx.synchrony(x.compute(), "correlation", 9, null=null, seed=5)
    for name in ("p", "p_fdr", "p_fwer"):  # to the bit in any chunks, too
        xr.testing.assert_identical(found[0][name], whole[name])
    np.testing.assert_allclose(found[0]["observed"], whole["observed"], rtol=1e-12)


def test_isc__of_every_shift_is_the_same_to_the_bit_on_any_scheduler():
    x, found = series(4, 60), []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            found.append(fx.isc(x.chunk(subject=3, time=11), null="linear").compute())
    xr.testing.assert_identical(*found)
    xr.testing.assert_identical(found[0], fx.isc(x, null="linear"))
