"""Wavelet coherence against sums over time that are written out."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.coherence import nulls
from fhemb_xr.kernels.coherence import wavelets as kernel

T, HZ = 240, 5.0
OPTIONS = {"periods_s": (1.0, 8.0), "per_octave": 5}


def series(n=3, gaps=False, seed=0, t=T):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=t + 1)
    x = 30 + rng.normal(size=(n, t))
    x[0] += 3 * shared[1:]
    x[1] += 3 * shared[:-1]  # one sample late
    if gaps:
        x[0, 100:112] = np.nan
        x[2, 30] = np.nan
    coords = {"time": np.arange(t) / HZ, "subject": np.arange(40, 40 + n)}
    return xr.DataArray(x, dims=("subject", "time"), coords=coords, attrs={"units": "degC"})


def dense(x, y, periods):
    """Coherence and phase of two series without gaps, by matrices ``(t, t)``."""
    late = np.subtract.outer(np.arange(x.size), np.arange(x.size))
    omega = 6.0
    scales = periods * HZ * (omega + np.sqrt(2 + omega**2)) / (4 * np.pi)
    cross, power = [], []
    for s in scales:
        u = late / s
        wave = np.pi**-0.25 * np.exp(1j * omega * u - u * u / 2) / np.sqrt(s)
        a, b = (wave @ (v - v.mean()) for v in (x, y))
        gauss = np.exp(-u * u / 2) / (s * np.sqrt(2 * np.pi))
        cross.append(gauss @ (a * b.conj()) / s)
        power.append([gauss @ np.abs(v) ** 2 / s for v in (a, b)])
    weights = np.array([0.5, 1, 1, 1, 1, 0.5]) / 5  # round(2 * 0.6 * 5) = 6 periods
    p = len(periods)
    over = sum(w * np.eye(p, k=2 - k) for k, w in enumerate(weights))
    cross, power = over @ np.array(cross), np.tensordot(over, np.array(power), 1)
    r2 = np.abs(cross) ** 2 / (power[:, 0] * power[:, 1])
    ends = np.minimum(np.arange(1, x.size + 1), np.arange(x.size, 0, -1))
    inside = ends > np.sqrt(2) * scales[:, None]
    return np.where(inside, r2, np.nan), np.where(inside, np.angle(cross), np.nan)


def test_coherence__equals_sums_that_are_written_out():
    x = series()
    out = fx.wavelet_coherence(x, **OPTIONS)
    np.testing.assert_allclose(out.period, 2.0 ** (np.arange(16) / 5))
    assert list(zip(out.subject_0.values, out.subject_1.values, strict=True)) == [
        (40, 41), (40, 42), (41, 42),
    ]  # fmt: skip
    for k, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        r2, phase = dense(x.values[i], x.values[j], out.period.values)
        np.testing.assert_allclose(out.coherence[k], r2, atol=2e-8)
        np.testing.assert_allclose(out.phase[k], phase, atol=1e-6)


def test_coherence__is_high_where_planted_and_its_phase_says_who_leads():
    out = fx.wavelet_coherence(series(t=600), **OPTIONS)
    mean = out.coherence.mean("time").sel(period=4, method="nearest")
    assert mean[0] > 0.6
    assert (mean[1:] < 0.4).all()
    course = out.isel(pair=0, period=slice(7))
    lead = (course.phase * course.period / (2 * np.pi)).median("time")
    np.testing.assert_allclose(lead, 1 / HZ, atol=0.08)


def test_coherence__is_missing_in_the_cones_of_ends_and_gaps():
    out = fx.wavelet_coherence(series(gaps=True), **OPTIONS)
    whole = fx.wavelet_coherence(series(), **OPTIONS)
    scales = out.period.values * HZ / kernel.PERIOD_OF_SCALE
    t = np.arange(T)
    distance = np.minimum(t + 1, T - t)
    gap = np.where(t < 100, 100 - t, np.where(t > 111, t - 111, 0))
    near = np.minimum(distance, gap) <= np.sqrt(2) * scales[:, None]
    np.testing.assert_array_equal(np.isnan(out.coherence[0]), near)
    far = (gap > 11 * scales[:, None]) & ~near
    both = (v.coherence.values[0] for v in (out, whole))
    a, b = (v[far] for v in both)
    assert a.size
    np.testing.assert_allclose(a, b, atol=0.02)  # the gap moves the mean a little


@settings(max_examples=8)
@given(
    cuts=st.sets(st.integers(1, T - 1), max_size=6),
    people=st.integers(1, 3),
    spans=st.sets(st.integers(1, T - 1), max_size=3),
)
def test_coherence__does_not_depend_on_chunks_or_stretches(cuts, people, spans):
    chunks = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    x = series(gaps=True)
    lazy = fx.wavelet_coherence(x.chunk(time=chunks, subject=people), **OPTIONS)
    assert lazy.coherence.chunks
    whole = fx.wavelet_coherence(x, **OPTIONS)
    xr.testing.assert_identical(lazy.compute(), whole)
    scales = kernel.Scales(tuple(whole.period.values * HZ / kernel.PERIOD_OF_SCALE), 5)
    edges = [0, *sorted(spans), T]
    parts = [
        kernel.coherence(*(kernel.transform(v, scales, a, b) for v in x.values[:2]), scales)
        for a, b in itertools.pairwise(edges)
    ]
    np.testing.assert_allclose(np.concatenate(parts, -1)[0], whole.coherence[0], atol=1e-8)


@pytest.mark.filterwarnings("ignore:shifts span")
def test_coherence__transforms_each_person_once_and_computes_nothing(computes, monkeypatch):
    x = series(5).chunk(time=50)
    with computes(0):
        out = fx.wavelet_coherence(x, null="circular", n=2, seed=0, cluster=0.8, **OPTIONS)
        noise = fx.wavelet_coherence(x, null="noise", n=2, seed=0, **OPTIONS)
    seen = []
    original = kernel.transform
    monkeypatch.setattr(kernel, "transform", lambda *a: seen.append(1) or original(*a))
    out[["coherence", "phase"]].compute(scheduler="synchronous")
    assert len(seen) == 5
    assert len(out.coherence.__dask_graph__()) < 3 * (10 + 5) + 5 * 5 + 10
    assert noise.threshold.chunks
    assert {v.dtype for v in (*out.values(), *noise.values())} == {np.dtype("f8")}


def test_coherence__of_other_dimensions_and_any_order_is_each_by_itself():
    two = xr.concat([series(), series(seed=1)], xr.Variable("session", ["a", "b"]))
    out = fx.wavelet_coherence(two.transpose("time", "session", "subject"), **OPTIONS)
    alone = fx.wavelet_coherence(series(seed=1), **OPTIONS)
    xr.testing.assert_allclose(out.sel(session="b", drop=True), alone)


@pytest.mark.filterwarnings("ignore:shifts span")
def test_coherence__nulls_hold_for_drifts_and_find_coupling():
    rng = np.random.default_rng(2)
    walks = rng.normal(size=(30, 2, T)).cumsum(axis=-1)
    x = xr.DataArray(walks, dims=("row", "subject", "time"), attrs={"sampling_rate": HZ})
    some = {"periods_s": (1.0, 4.0), "per_octave": 2}
    p = fx.wavelet_coherence(x, null="linear", n=19, seed=0, **some).p
    share = (p <= 0.05).mean(("row", "pair"))
    assert (share <= 5 / 30).all()  # 97.5 % of binomial draws at .05
    for null in ("linear", "circular"):
        found = fx.wavelet_coherence(series(t=600), null=null, n=19, seed=0, **some).p
        assert (found[0] <= 2 / 20).all()  # a shift by a few samples may reach it
    noise = fx.wavelet_coherence(series(t=600), null="noise", n=60, seed=0, **OPTIONS)
    above = (noise.coherence > noise.threshold).sum("time") / noise.coherence.count("time")
    assert above[0].mean() > 0.6
    assert (above[1:].mean("period") < 0.15).all()
    wider = fx.wavelet_coherence(
        series(t=600), null="noise", n=60, seed=0, alpha=0.2, **OPTIONS
    )
    assert (wider.threshold < noise.threshold).all()


@pytest.mark.filterwarnings("ignore:shifts span")
def test_clusters__of_moments_that_cohere_for_a_while():
    x = series(t=600)
    own = np.random.default_rng(4).normal(size=300)
    x[0, 300:] = 30 + 3 * own  # the first two share the first half only
    options = {"null": "linear", "n": 19, "seed": 0, "cluster": 0.8}
    some = {"periods_s": (1.0, 4.0), "per_octave": 4}
    out = fx.wavelet_coherence(x.chunk(time=200, subject=1), **options, **some)
    assert out.p_cluster.dims == ("pair", "period", "time")
    out = out.compute()
    found = out.p_cluster.isel(pair=0).sel(period=2, method="nearest")
    assert (found[90:250] == 1 / 20).mean() > 0.4  # the margin is 75 samples
    assert not (found[340:] <= 0.05).any()
    assert not (out.p_cluster[1:] <= 0.05).mean() > 0.05
    high = (out.coherence > 0.8).sel(time=slice(15, 104.9))
    np.testing.assert_array_equal(np.isfinite(out.p_cluster.sel(time=slice(15, 104.9))), high)
    plain = fx.wavelet_coherence(x, null="linear", n=19, seed=0, **some)
    np.testing.assert_array_equal(out.p, plain.p)


@pytest.mark.parametrize(
    ("r2", "expected"),
    [
        ([0.9, 0.7, np.nan, 0.6, 0.2], [(0, 2, 0.6), (3, 4, 0.1)]),
        ([0.1, 0.2], []),
        ([0.5, 1.0], [(1, 2, 0.5)]),
    ],
)
def test_clusters__are_runs_above_the_level(r2, expected):
    found = nulls.clusters(np.array(r2), 0.5)
    assert [f[:2] for f in found] == [e[:2] for e in expected]
    np.testing.assert_allclose([f[2] for f in found], [e[2] for e in expected])


def strangers():
    """Two rows of two; all follow one stimulus, those of the first row each other too."""
    rng = np.random.default_rng(0)
    t = np.arange(400) / HZ
    stimulus, together = np.sin(2 * np.pi * t / 3), rng.normal(size=400)
    x = stimulus + rng.normal(size=(12, 400))
    x[:2] += 2 * together
    return xr.DataArray(
        x, dims=("subject", "time"),
        coords={"time": t, "row": ("subject", np.repeat(np.arange(6), 2))},
    )  # fmt: skip


def test_swap__finds_who_meets_and_not_who_follows_the_same_stimulus():
    x = strangers()
    options = {"periods_s": (2.0, 4.0), "per_octave": 2}
    out = fx.wavelet_coherence(x, null="swap", across="row", **options)
    means = out.coherence.mean("time").values
    who = np.array([*itertools.combinations(range(12), 2)])
    rows = who // 2
    same = rows[:, 0] == rows[:, 1]
    np.testing.assert_array_equal(np.isfinite(out.p), np.repeat(same[:, None], 3, axis=1))
    for q in np.flatnonzero(same):
        either = ~same & np.isin(who, who[q]).any(axis=1)
        assert either.sum() == 20
        p = (1 + (means[either] >= means[q]).sum(axis=0)) / 21
        np.testing.assert_allclose(out.p[q], p)
    assert (out.p[0] == 1 / 21).all()
    assert (out.p[same][1:] > 0.05).mean() > 0.7
    lazy = fx.wavelet_coherence(x.chunk(subject=5), null="swap", across="row", **options)
    xr.testing.assert_allclose(lazy.compute(), out)
    sessions = x.values.reshape(6, 2, -1)  # rows as sessions of the same two seats
    sessions = xr.DataArray(
        sessions, dims=("session", "subject", "time"), coords={"time": x.time.values}
    )
    by = fx.wavelet_coherence(sessions.chunk(), null="swap", across="session", **options)
    assert by.p.dims == ("session", "pair", "period")
    assert by.p[0, 0, 0] <= 1 / 11  # strangers are other seats of other sessions
    with pytest.raises(ValueError, match="found no across"):
        fx.wavelet_coherence(x, null="swap", **options)


def test_shifts__that_span_few_coherence_times_are_a_doubt():
    with pytest.warns(UserWarning, match=r"span 12 s: periods above 0\.438 s cohere for more"):
        fx.wavelet_coherence(series(), null="linear", n=2, seed=0, **OPTIONS)


@pytest.mark.parametrize("by", [7, -7])
@pytest.mark.parametrize("margin", [20, None])
def test_shift__of_a_copy_that_is_late_by_just_that_makes_it_coherent(by, margin):
    x = np.random.default_rng(0).normal(size=300)
    scales = kernel.Scales((4.0, 5.0, 6.0), 3)
    a, b = (kernel.transform(v, scales, 0, x.size) for v in (x, np.roll(x, by)))
    found = {k: nulls._mean(nulls._shifted(a, b, scales, margin, k)) for k in (by, -by, 0)}
    assert (found[by] > 0.995).all()
    assert max(found[-by].max(), found[0].max()) < 0.7


@pytest.mark.filterwarnings("ignore:shifts span")
def test_coherence__of_nothing_and_of_what_never_moves():
    x = series()
    x[0], x[1] = np.nan, 30.1
    out = fx.wavelet_coherence(x, **OPTIONS)
    assert np.isnan(out.coherence).all()
    assert np.isnan(out.phase).all()
    some = {"periods_s": (1.0, 2.0), "per_octave": 2}
    p = fx.wavelet_coherence(x, null="linear", n=2, seed=0, cluster=0.8, **some)
    assert np.isnan(p.p).all()
    assert np.isnan(p.p_cluster).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"periods_s": (0.5, 8)}, ValueError, "between 0.8 s"),
        ({"periods_s": (1, 60)}, ValueError, "and 17"),
        ({"periods_s": (8, 1)}, ValueError, "periods_s is a pair"),
        ({"per_octave": 0}, ValueError, "per_octave is a whole number"),
        ({"null": "linear"}, ValueError, "found no seed"),
        ({"null": "noise", "seed": 0, "margin_s": 1}, ValueError, "has no option 'margin_s'"),
        ({"null": "noise", "seed": 0, "alpha": 2}, ValueError, "alpha is a share"),
        ({"null": "noise", "seed": 0, "cluster": 0.8}, ValueError, "no option 'cluster'"),
        ({"dim": "feature"}, SchemaError, "feature"),
    ],
)
def test_coherence__refuses_what_it_cannot_do(change, error, words):
    with pytest.raises(error, match=words):
        fx.wavelet_coherence(series(), **(OPTIONS | change))


def test_coherence__needs_two_people_and_a_budget():
    with pytest.raises(ValueError, match="two people or more"):
        fx.wavelet_coherence(series().isel(subject=[0]), **OPTIONS)
    with fx.set_options(budget="100 KiB"), pytest.raises(BudgetError, match="16 periods"):
        fx.wavelet_coherence(series(), **OPTIONS)
