"""States against enumeration, against the published rounds in numpy, and against BrainIAK."""

import itertools
import tracemalloc

import dask
import numpy as np
import pytest
import scipy.stats
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.states import events
from fhemb_xr.ops.blockwise import rechunk

N, T, D, K = 3, 60, 6, 4
LENGTHS = [[15, 15, 15, 15], [10, 22, 13, 15], [16, 10, 24, 10]]


def people(gaps=False, noise=1.2, lengths=LENGTHS):
    rng = np.random.default_rng(7)
    patterns = rng.normal(size=(len(lengths[0]), D))
    x = np.array([np.repeat(patterns, n, axis=0) for n in lengths])
    x = x + noise * rng.normal(size=x.shape)
    if gaps:
        x[1, 30:36] = np.nan
        x[2, 3, 4] = np.nan
    return xr.DataArray(
        x,
        dims=("subject", "time", "feature"),
        coords={
            "subject": 40 + np.arange(len(x)),
            "time": 500 + np.arange(x.shape[1]) / 2,
            "feature": [f"pc{i}" for i in range(D)],
        },
    )


@pytest.mark.parametrize("k", [2, 3, 4])
def test_posterior__is_the_sum_over_all_ways_to_pass(k):
    evidence = np.random.default_rng(k).normal(size=(8, k))
    weight, total, p = np.zeros((8, k)), 0.0, (k - 1) / 8
    for edges in itertools.combinations(range(1, 8), k - 1):
        at = np.searchsorted(edges, np.arange(8), side="right")
        way = np.exp(evidence[np.arange(8), at].sum()) * p ** (k - 1) * (1 - p) ** (8 - k)
        weight[np.arange(8), at] += way
        total += way
    found, likelihood = events.probabilities(evidence)
    np.testing.assert_allclose(found, weight / total, atol=1e-14)
    np.testing.assert_allclose(likelihood, np.log(total), rtol=1e-13)


def passed(evidence):
    """Scaled forward-backward recursion with whole matrices."""
    n, k = evidence.shape
    p = (k - 1) / n
    turn = (1 - p) * np.eye(k) + p * np.eye(k, k=1)
    ahead, scale, behind = np.zeros((n, k)), np.zeros(n), np.zeros((n, k))
    for t in range(n):
        ahead[t] = np.exp(evidence[t]) * (np.eye(k)[0] if t == 0 else ahead[t - 1] @ turn)
        scale[t] = ahead[t].sum()
        ahead[t] /= scale[t]
    behind[-1, -1] = 1
    for t in range(n - 2, -1, -1):
        behind[t] = turn @ (np.exp(evidence[t + 1]) * behind[t + 1]) / scale[t + 1]
    both = ahead * behind
    return both / both.sum(1, keepdims=True), np.log(scale).sum() + np.log(ahead[-1, -1])


def published(x, k, n_iter):
    """Rounds of Baldassano et al., people one by one; missing moments have no evidence."""
    there = np.isfinite(x).all(-1)
    z = [np.zeros_like(xi) for xi in x]
    for zi, xi, ti in zip(z, x, there, strict=True):
        zi[ti] = scipy.stats.zscore(xi[ti], ddof=1)
    found = [passed(np.zeros((x.shape[1], k)))[0] for _ in z]
    best = -np.inf, None, None, None
    for step in range(1, n_iter):
        variance = 4 * 0.98**step
        weights = [f * ti[:, None] for f, ti in zip(found, there, strict=True)]
        pattern = np.mean(
            [zi.T @ (w / w.sum(0)) for zi, w in zip(z, weights, strict=True)], axis=0
        )
        of_pattern = scipy.stats.zscore(pattern, ddof=1)
        found, likelihoods = [], []
        for zi, ti in zip(z, there, strict=True):
            evidence = np.zeros((x.shape[1], k))
            u = scipy.stats.zscore(zi[ti], axis=1, ddof=1)
            squares = ((u[:, :, None] - of_pattern) ** 2).sum(1)
            evidence[ti] = -0.5 * np.log(2 * np.pi * variance) - squares / (2 * variance * D)
            f, likelihood = passed(evidence)
            found.append(f)
            likelihoods.append(likelihood)
        if np.mean(likelihoods) < best[0]:
            break
        best = np.mean(likelihoods), likelihoods, pattern.T, found
    return best, step


@pytest.mark.parametrize("gaps", [False, True])
def test_states__equal_the_published_rounds(gaps):
    x = people(gaps)
    out = fx.states(x, K)
    (_, likelihoods, pattern, found), rounds = published(x.values, K, 200)
    assert out.rounds == rounds < 200
    np.testing.assert_allclose(out.log_likelihood, likelihoods, rtol=1e-11)
    np.testing.assert_allclose(out.pattern, pattern, atol=1e-11)
    np.testing.assert_allclose(out.probability, found, atol=1e-11)


BRAINIAK_LIKELIHOOD = [-81.92392401341745, -82.44129016555813, -89.0006956633716]
BRAINIAK_VARIANCE = 0.827358809171348
BRAINIAK_BEGIN = [[0, 16, 32, 44], [0, 13, 32, 45], [0, 11, 27, 50]]


def test_states__equal_what_brainiak_found():
    """EventSegment of BrainIAK 0.12, which is not among our pins, on ``people()``."""
    out = fx.states(people(), K)
    np.testing.assert_allclose(out.log_likelihood, BRAINIAK_LIKELIHOOD, rtol=1e-12)
    np.testing.assert_allclose(out.variance, BRAINIAK_VARIANCE, rtol=1e-14)
    np.testing.assert_array_equal(out.begin, 500 + np.array(BRAINIAK_BEGIN) / 2)


def test_states__begin_where_they_do_and_run_on():
    x = people(noise=0.3)
    out = fx.states(x, K)
    planted = 500 + np.cumsum(np.c_[np.zeros(N), np.array(LENGTHS)[:, :-1]], axis=1) / 2
    np.testing.assert_array_equal(out.begin, planted)
    for i, person in enumerate(LENGTHS):
        np.testing.assert_array_equal(out.state_at[i], np.repeat(np.arange(K), person))
    np.testing.assert_allclose(out.probability.sum("state"), 1)
    assert {v.dtype for v in out.values()} == {np.dtype("f8")}
    assert out.begin.attrs["units"] == "s"
    one = fx.states(x.isel(subject=0), K, dim=None)
    np.testing.assert_array_equal(one.begin, planted[0])
    alone = fx.states(x.rename(subject="seat"), K, dim=None)
    assert alone.pattern.dims == ("seat", "state", "feature")
    np.testing.assert_allclose(alone.begin[0], one.begin)


def test_states__do_not_depend_on_chunks_and_read_once_a_round(monkeypatch, computes):
    x = people(gaps=True)
    n_iter = 6
    whole = fx.states(x, K, n_iter=n_iter)
    lazy = x.chunk(time=25, feature=2, subject=1)
    xr.testing.assert_allclose(fx.states(lazy, K, n_iter=n_iter).compute(), whole)
    monkeypatch.setattr(rechunk, "_TARGET", 8 * T * D)  # one person a block
    read = []

    def block(b):
        read.append(b.shape)
        return b

    counted = x.chunk(subject=1)
    counted = counted.copy(data=counted.data.map_blocks(block, meta=np.empty((0, 0, 0))))
    with computes(0):
        out = fx.states(counted, K, n_iter=n_iter, null="lengths", n=9, seed=0)
    with dask.config.set(scheduler="synchronous"):
        found = out.drop_vars("p").compute()
    assert len(read) == (n_iter + 1) * N  # once a round, and once to tell when
    xr.testing.assert_allclose(found, whole)


def test_states__that_have_ended_stay(monkeypatch):
    """Beyond the fall of the likelihood, rounds of the graph change nothing."""
    monkeypatch.setattr(rechunk, "_TARGET", 8 * T * D)
    x = people(noise=2.5)
    lazy = fx.states(x.chunk(subject=1), K, n_iter=70).compute()
    assert lazy.rounds < 70
    xr.testing.assert_allclose(lazy, fx.states(x, K))


def test_states__of_other_dimensions_are_each_by_itself():
    x = people()
    two = xr.concat([x, x[:, ::-1].assign_coords(time=x.time)], "session")
    two = two.assign_coords(session=["a", "b"])
    both = fx.states(two.transpose("time", "session", ...).chunk(time=20), K)
    alone = fx.states(two.sel(session="b", drop=True), K)
    xr.testing.assert_allclose(both.sel(session="b", drop=True).compute(), alone)


def test_null__finds_common_boundaries_and_no_others():
    lengths = [14, 30, 9, 24, 8, 35]
    together = people(noise=0.6, lengths=[lengths] * 4)
    found = fx.states(together, 6, null="lengths", n=99, seed=0, lag_s=1).p
    assert (found <= 0.05).sum() >= 3
    assert (found <= 0.1).all()
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(8, 4, 60, 4)).cumsum(axis=2)
    apart = xr.DataArray(
        walks, dims=("session", "subject", "time", "feature"), attrs={"sampling_rate": 1.0}
    )
    p = fx.states(apart, 4, n_iter=15, null="lengths", n=39, seed=1).p
    assert (p <= 0.05).sum() <= 5  # of 32: 98 % of binomial draws


def test_likelihood__rises_up_to_the_states_that_there_are():
    x = people(noise=0.8, lengths=[[15, 15, 15, 15], [12, 20, 13, 15]] * 2)
    out = fx.state_likelihood(x.chunk(time=20), [2, 3, K, 5], null="order", n=19, seed=0)
    assert out.log_likelihood.dims == ("n_states", "subject")
    out = out.compute()
    assert int(out.log_likelihood.mean("subject").diff("n_states").idxmax()) == K
    assert (out.p.sel(n_states=K) <= 0.1).all()
    fit = fx.states(x.isel(subject=[1, 3]), K)
    z = (x - x.mean("time")) / x.std("time", ddof=1)
    of_pattern = scipy.stats.zscore(fit.pattern.values.T, ddof=1)
    u = scipy.stats.zscore(z.values[0], axis=1, ddof=1)
    squares = ((u[:, :, None] - of_pattern) ** 2).sum(1)
    v = float(fit.variance)
    likelihood = passed(-0.5 * np.log(2 * np.pi * v) - squares / (2 * v * D))[1]
    np.testing.assert_allclose(out.log_likelihood.sel(n_states=K)[0], likelihood / T)


def test_states__of_who_is_absent_and_of_flat_features():
    x = people()
    x[1] = np.nan
    x[..., 2] = 30.0
    out = fx.states(x, K, null="lengths", n=9, seed=0)
    rest = fx.states(x.isel(subject=[0, 2]), K)
    np.testing.assert_allclose(out.pattern, rest.pattern, atol=1e-12)
    for name in ("begin", "state_at", "probability", "log_likelihood", "p"):
        assert np.isnan(out[name][1]).all(), name
        assert np.isfinite(out[name][[0, 2]]).all(), name
    assert np.isnan(fx.states(x * np.nan, K).pattern).all()
    assert np.isnan(fx.states(x * 0, K).pattern).sum() == 0


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        (lambda x: x.isel(feature=[0, 1]), {}, ValueError, "3 features or more, found 2"),
        (lambda x: x, {"n_states": 31}, ValueError, "n_states=31 for 60 moments"),
        (lambda x: x, {"n_states": 1}, ValueError, "n_states is a whole number from 2 on"),
        (lambda x: x, {"lag_s": 1}, ValueError, "no option 'lag_s'"),
        (lambda x: x, {"null": "lengths"}, ValueError, "found no seed"),
        (lambda x: x.isel(subject=[0]), {"null": "lengths", "seed": 0}, ValueError, "found 1"),
        (
            lambda x: x,
            {"null": "lengths", "seed": 0, "lag_s": 30},
            ValueError,
            "found 60 of 60",
        ),
        (lambda x: x, {"null": "linear"}, KeyError, "no null 'linear'"),
        (lambda x: x.drop_vars("time"), {}, SchemaError, "the sampling rate is needed"),
        (lambda x: x.rename(feature="band"), {}, SchemaError, "feature"),
    ],
)
def test_states__refuse_what_they_cannot_do(change, options, error, words):
    with pytest.raises(error, match=words):
        fx.states(change(people()), **{"n_states": K} | options)
    if error is KeyError:
        with pytest.raises(ValueError, match="found 4 folds of 3 people"):
            fx.state_likelihood(people(), K, 4)


def test_states__refuse_a_person_beyond_the_budget():
    x = xr.DataArray(np.zeros((2, 300, 40), "f4"), dims=("subject", "time", "feature"))
    with fx.set_options(budget="256 KiB"), pytest.raises(BudgetError, match="coarsen"):
        fx.states(x.assign_attrs(sampling_rate=25.0), 4)


@pytest.mark.parametrize("gaps", [False, True])
def test_round__takes_the_memory_that_is_stated(gaps):
    model = events.Chain(k=5, n_features=40, n_iter=3, zscore=True)
    x = np.random.default_rng(0).normal(size=(2, 20_000, 40)).astype("f4")
    if gaps:
        x[:, ::9] = np.nan
    state = events.begin(model)
    state = events.advance(state, events.sums(x[:, :90], state, model), model)  # and compiles
    tracemalloc.start()
    events.sums(x, state, model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * x[0].size + (24 * model.k + 4) * x.shape[1] + 2**16
