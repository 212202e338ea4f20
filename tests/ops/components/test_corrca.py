"""Correlated components against the explicit matrix of all pairs of people."""

import dask
import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.components import corrca as kernel
from fhemb_xr.ops.components import shared_parts

N, T, D = 6, 240, 5


def series(gaps=False, seed=0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(T, 1)) * [0.0, 1.0, 0.5, 0.0, 0.0]
    x = rng.normal(size=(N, T, D)) + shared + 30 * rng.normal(size=(N, 1, D))
    if gaps:
        x[1, 50:90] = np.nan
        x[3, 200:, 2] = np.nan
    return xr.DataArray(
        x,
        dims=("subject", "time", "feature"),
        coords={
            "subject": np.arange(40, 40 + N),
            "time": np.arange(T) / 25,
            "feature": [f"pc{i}" for i in range(D)],
        },
        attrs={"sampling_rate": 25.0, "units": "degC"},
    )


def covariances(x):
    """All pairs of people, explicitly: ``(n, n, d, d)`` and the samples of each pair."""
    there = np.isfinite(x).all(axis=-1)
    x = np.where(there[..., None], x, np.nan)
    d = np.nan_to_num(x - np.nanmean(x, axis=1, keepdims=True))
    w = there.astype(float)
    return np.einsum("ita,jtb->ijab", d, d), w @ w.T


def explicit(x, gamma):
    r, n = covariances(x)
    own = np.eye(len(x), dtype=bool)
    r_w, r_b = r[own].sum(0) / n[own].sum(), r[~own].sum(0) / n[~own].sum()
    shrunk = (1 - gamma) * r_w + gamma * np.trace(r_w) / len(r_w) * np.eye(len(r_w))
    v = scipy.linalg.eigh((r_b + r_b.T) / 2, shrunk)[1][:, ::-1].T
    return np.einsum("ka,ab,kb->k", v, r_b, v) / np.einsum("ka,ab,kb->k", v, r_w, v)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("gamma", [0, 0.1, 1])
def test_corrca__equals_the_matrix_of_all_pairs(gaps, gamma):
    x = series(gaps)
    out = fx.corrca(x, 3, gamma=gamma)
    np.testing.assert_allclose(out.strength, explicit(x.values, gamma)[:3], rtol=1e-10)


@given(cuts=st.sets(st.integers(1, T - 1), max_size=8), people=st.integers(1, N))
@settings(max_examples=8)
def test_corrca__does_not_depend_on_chunks(cuts, people):
    x = series(gaps=True)
    chunks = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    lazy = fx.corrca(x.chunk(time=chunks, subject=people, feature=2), 2, window_s=2)
    whole = fx.corrca(x, 2, window_s=2)
    xr.testing.assert_allclose(lazy.compute(), whole, rtol=1e-9, atol=1e-9)


def test_corrca__each_person_with_the_others():
    x = series()
    out = fx.corrca(x, 2, gamma=0)
    r, _ = covariances(x.values)
    w = out.weights.values[0]
    for i in range(N):
        others = [j for j in range(N) if j != i]
        shared = sum(w @ (r[i, j] + r[j, i]) @ w for j in others)
        own = sum(w @ (r[i, i] + r[j, j]) @ w for j in others)
        np.testing.assert_allclose(out.strength_of[i, 0], shared / own, rtol=1e-10)


def test_corrca__scores_have_unit_variance_and_the_pattern_is_their_regression():
    x = series()
    out = fx.corrca(x, 2)
    variance = out.scores.var("time").mean("subject")
    np.testing.assert_allclose(variance, 1, rtol=1e-10)
    d = x - x.mean("time")
    within = xr.dot(out.scores, d, dim=["subject", "time"]) / (N * T)
    np.testing.assert_allclose(within.transpose(*out.patterns.dims), out.patterns, atol=1e-10)
    assert (np.abs(out.patterns).max("feature") == out.patterns.max("feature")).all()


def test_corrca__finds_what_is_shared_and_when():
    x = series()
    alone = np.random.default_rng(1).normal(size=(N, T // 2, D))
    x[:, : T // 2] = x.mean("time").values[:, None] + alone
    out = fx.corrca(x, 1, window_s=T / 50)
    assert abs(out.patterns[0]).argmax("feature") == 1
    early, late = out.window_strength.values[:, 0]
    assert abs(early) < 0.1
    assert late > 0.3
    np.testing.assert_allclose(out.window, [0, T / 50])


def test_corrca__computes_nothing_and_reads_each_chunk_once_for_the_components(computes):
    with computes(0):
        out = fx.corrca(series().chunk(time=20), 2, window_s=2, null="linear", seed=0)
    read = []

    def block(b):
        read.append(b.shape)
        return b

    x = series().chunk(time=20)
    counted = x.copy(data=x.data.map_blocks(block, dtype=x.dtype, meta=np.empty((0, 0, 0))))
    fits = fx.corrca(counted, 2)[["weights", "strength"]]
    with dask.config.set(scheduler="synchronous"):
        fits.compute()
    assert len(read) == x.data.npartitions
    assert out.strength.dtype == np.float64


def test_corrca__cuts_chunks_whose_people_are_more_than_a_task_holds(monkeypatch):
    x = series(gaps=True)
    whole = fx.corrca(x, 2)
    monkeypatch.setattr(shared_parts, "_TARGET", 8 * N * D * 100)
    lazy = x.chunk(time=150, subject=1)
    assert fx.corrca(lazy, 2).scores.chunksizes["time"] == (75, 75, 90)
    xr.testing.assert_allclose(fx.corrca(lazy, 2).compute(), whole)


@pytest.mark.parametrize("chunks", [8, 32])
def test_corrca__graph_is_linear_in_the_chunks(chunks):
    x = series().isel(time=np.arange(chunks * 10) % T).drop_vars("time")
    x = x.chunk(time=10)
    out = fx.corrca(x, 2)
    assert len(out.strength.__dask_graph__()) < 4 * chunks + 25
    assert len(out.scores.__dask_graph__()) < 8 * chunks + 30


def test_corrca__of_other_dimensions_is_each_by_itself():
    two = xr.concat([series(seed=0), series(seed=1)], "session")
    two = two.assign_coords(session=["a", "b"])
    both = fx.corrca(two.transpose("time", "session", "feature", "subject").chunk(time=50), 2)
    alone = fx.corrca(series(seed=1), 2)
    xr.testing.assert_allclose(both.sel(session="b", drop=True).compute(), alone)


def test_corrca__null_holds_for_drifts_and_finds_coupling():
    rng = np.random.default_rng(3)
    below = 0
    for seed in range(40):
        walks = rng.normal(size=(5, 300, 3)).cumsum(axis=1)
        x = xr.DataArray(
            walks, dims=("subject", "time", "feature"), attrs={"sampling_rate": 25.0}
        )
        below += float(fx.corrca(x, 1, null="linear", n=39, seed=seed).p[0]) <= 0.05
    assert below <= 6  # 97.5 % of binomial draws at .05
    found = fx.corrca(series(), 2, null="linear", n=39, seed=0).p
    assert found[0] == 1 / 40
    assert found[1] > 0.05


def test_corrca__p_is_against_the_first_component_of_every_shift():
    x = series().transpose("subject", "time", "feature")
    found = fx.corrca(x, 3, null="circular", n=19, seed=4).p
    rng = np.random.default_rng(4)
    strength = kernel.strengths_of_shifted(x.values, 3, 0.1, rng, n=19, margin=None)
    reached = (strength[1:, :1] >= strength[0]).sum(axis=0)
    np.testing.assert_allclose(found, (1 + reached) / 20)


def test_corrca__of_people_without_a_sample_and_of_flat_features():
    x = series()
    x[2] = np.nan
    x[..., 4] = 7.0
    out = fx.corrca(x, 5, gamma=0)
    assert np.isnan(out.strength_of[2]).all()
    assert np.isfinite(out.strength[:4]).all()
    assert np.isnan(out.strength[4])
    rest = fx.corrca(x.isel(subject=[0, 1, 3, 4, 5], feature=slice(4)), 4, gamma=0)
    np.testing.assert_allclose(out.strength[:4], rest.strength, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        (lambda x: x.isel(subject=[0]), {}, ValueError, "two people or more, found 1"),
        (lambda x: x, {"n_components": 9}, ValueError, "n_components=9 for 5 along 'feature'"),
        (lambda x: x, {"gamma": 2}, ValueError, "gamma is a number from 0 to 1, found 2"),
        (lambda x: x, {"null": "linear"}, ValueError, "found no seed"),
        (lambda x: x.rename(feature="band"), {}, SchemaError, "feature"),
    ],
)
def test_corrca__refuses_what_it_cannot_do(change, options, error, words):
    with pytest.raises(error, match=words):
        fx.corrca(change(series()), **options)


def test_corrca__refuses_covariances_beyond_the_budget():
    x = xr.DataArray(np.zeros((2, 3, 4000), "f4"), dims=("subject", "time", "feature"))
    with pytest.raises(BudgetError, match="2 people and 4000 features"):
        fx.corrca(x)
