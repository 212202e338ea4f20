"""k-means of moments against scikit-learn, dask-ml, and planted states."""

import tracemalloc

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError
from fhemb_xr.kernels.states import events, kmeans, kmeans_start
from fhemb_xr.ops.blockwise import rechunk

N, T, D, K = 3, 300, 3, 4


@pytest.fixture(scope="module")
def planted():
    """Series that jump between four patterns every second, with a gap; and who is where."""
    rng = np.random.default_rng(3)
    patterns = rng.normal(size=(K, D)) * 5
    where = rng.integers(0, K, (N, T // 10)).repeat(10, axis=1)
    values = patterns[where] + rng.normal(size=(N, T, D)) * 0.7
    values[1, 50:60] = np.nan
    values[2, 100, 1] = np.nan
    x = xr.DataArray(
        values, dims=("subject", "time", "feature"), coords={"subject": [40, 41, 66]},
        attrs={"sampling_rate": 10.0},
    )  # fmt: skip
    return x, where


@pytest.fixture(scope="module")
def x(planted):
    return planted[0]


def rows(x):
    """Scaled moments of all people."""
    each = [events.scaled(p, True) for p in x.values]
    return np.concatenate([z[there] for z, there in each])


def test_kmeans__finds_planted_states(planted):
    x, where = planted
    out = fx.states(x, K, method="kmeans")
    label = out.state_at.values
    there = np.isfinite(label)
    np.testing.assert_array_equal(there, x.notnull().all("feature"))
    table = np.zeros((K, K))
    np.add.at(table, (label[there].astype(int), where[there]), 1)
    assert table.max(axis=1).sum() > 0.97 * table.sum()
    share = np.bincount(label[there].astype(int), minlength=K)
    assert (np.diff(share) <= 0).all()  # the most frequent state is first
    for i, person in enumerate(label):
        held = [np.mean(person[there[i]] == s) for s in range(K)]
        np.testing.assert_allclose(out.share[i], held)
        runs = [
            sum(1 for t in range(T) if person[t] == s and (t == 0 or person[t - 1] != s))
            for s in range(K)
        ]
        counts = [(person == s).sum() / 10 for s in range(K)]
        np.testing.assert_allclose(out.dwell[i], np.array(counts) / runs)
    assert out.dwell.attrs["units"] == "s"
    assert out.converged.item() is True


def test_kmeans__from_one_start_is_scikit_learns(x):
    cluster = pytest.importorskip("sklearn.cluster")
    model = kmeans.Clusters(K, D, 300, True, 5)
    candidates = kmeans_start.nobody(model)
    for _ in range(1 + kmeans.DRAWS):
        found = kmeans_start.draw(x.values, candidates, model)
        candidates = kmeans_start.added(candidates, found, model)
    weight = kmeans_start.count(x.values, candidates, model)
    state = kmeans_start.begin(candidates, weight, model)
    theirs = cluster.KMeans(
        K, init=model.state.part(state, "centre").copy(), n_init=1, tol=0, max_iter=300
    ).fit(rows(x))
    out = fx.states(x, K, method="kmeans", seed=5)
    order = np.argsort(-np.bincount(theirs.labels_), kind="stable")
    np.testing.assert_allclose(out.pattern, theirs.cluster_centers_[order], atol=1e-10)
    label = out.state_at.values[np.isfinite(out.state_at.values)]
    np.testing.assert_array_equal(order[label.astype(int)], theirs.labels_)
    assert out.inertia.item() == pytest.approx(theirs.inertia_ / len(theirs.labels_))


def test_kmeans__is_as_good_as_dask_mls(x):
    cluster = pytest.importorskip("dask_ml.cluster")
    z = rows(x)
    with dask.config.set(scheduler="synchronous"):
        theirs = cluster.KMeans(K, random_state=0).fit(dask.array.from_array(z, (200, D)))
    out = fx.states(x, K, method="kmeans")
    assert out.inertia.item() <= 1.001 * float(theirs.inertia_) / len(z)


def test_start__leads_near_the_best_of_twenty_of_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(12, 2)) * 8
    x = (centres[rng.integers(0, 12, 1200)] + rng.normal(size=(1200, 2)))[None]
    best = cluster.KMeans(12, n_init=20, random_state=0).fit(x[0] - x[0].mean(axis=0))
    found = []
    for seed in range(5):
        model = kmeans.Clusters(12, 2, 200, False, seed)
        found.append(kmeans_start.whole(x, model)[model.fit["inertia"]] * 1200 / best.inertia_)
    assert min(found) < 1.02
    assert max(found) < 1.15


def test_kernels__peak_memory_is_what_they_say():
    x = np.random.default_rng(0).normal(size=(3, 20000, 20)).astype("f4")
    model = kmeans.Clusters(8, 20, 5, True)
    candidates = kmeans_start.added(
        kmeans_start.nobody(model),
        kmeans_start.draw(x, kmeans_start.nobody(model), model),
        model,
    )
    state = kmeans_start.begin(candidates, kmeans_start.count(x, candidates, model), model)
    most = 33 * x[0].size + 2**16 * len(model.candidates.part(candidates, "row"))
    for work, known in ((kmeans_start.draw, candidates), (kmeans.sums, state)):
        tracemalloc.start()
        work(x, known, model)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < most


def test_draw__is_uniform_and_of_the_values_alone():
    z = np.random.default_rng(0).normal(size=(20000, 2))
    u = kmeans_start.uniform(z, 0, 1)
    assert abs(np.histogram(u, 10, (0, 1))[0] - 2000).max() < 5 * 2000**0.5
    assert abs(np.corrcoef(u, kmeans_start.uniform(z, 0, 2))[0, 1]) < 0.03
    np.testing.assert_array_equal(kmeans_start.uniform(z[::-1], 0, 1), u[::-1])


@given(cuts=st.sets(st.integers(1, T - 1), max_size=4), people=st.integers(1, 3))
@settings(max_examples=4, deadline=None)
def test_kmeans__does_not_depend_on_chunks(x, cuts, people):
    time = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    lazy = x.chunk(subject=people, time=time)
    found = fx.states(lazy, K, method="kmeans").compute()
    xr.testing.assert_allclose(found, fx.states(x, K, method="kmeans"))


def test_kmeans__in_blocks_of_people_is_that_of_all_in_one(x, monkeypatch, computes):
    whole = fx.states(x, K, method="kmeans")
    monkeypatch.setattr(rechunk, "_TARGET", 1)
    lazy = x.chunk(subject=1, time=100)
    with computes(0):
        found = lazy.fhemb.states(K, method="kmeans", n_iter=10)
    xr.testing.assert_allclose(found.compute(), whole)
    xr.testing.assert_allclose(  # nor does the order of people matter
        fx.states(lazy[::-1], K, method="kmeans", n_iter=10).compute()[{"subject": [2, 1, 0]}],
        whole,
    )
    sizes = []
    for people in (3, 6):
        many = lazy.isel(subject=np.arange(people) % 3).drop_vars("subject")
        graph = fx.states(many, K, method="kmeans", n_iter=5).__dask_graph__()
        sizes.append(len(graph) - len(many.__dask_graph__()))
    assert sizes[1] < 2.1 * sizes[0]


def test_kmeans__of_sessions_apart_and_of_each_person(x):
    two = xr.concat([x, x + 1], "session")
    found = fx.states(two, K, method="kmeans")
    assert found.pattern.dims == ("session", "state", "feature")
    np.testing.assert_allclose(found.pattern[0], found.pattern[1])
    alone = fx.states(x, K, method="kmeans", dim=None)
    for i in range(N):
        pooled = fx.states(x[[i]], K, method="kmeans")
        np.testing.assert_allclose(alone.pattern[i], pooled.pattern)
        np.testing.assert_array_equal(alone.state_at[i], pooled.state_at[0])


def test_kmeans__of_two_calls_stay_apart(x):
    lazy = x.chunk(time=100)
    calls = [fx.states(lazy, k, method="kmeans", seed=s) for k, s in ((2, 0), (3, 0), (3, 1))]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


def test_kmeans__of_few_different_moments_and_of_nobody(x):
    steps = x.copy(
        data=np.where(np.arange(T)[:, None] < 200, 1.0, 2.0) + 0 * x.fillna(0).values
    )
    out = fx.states(steps, 3, method="kmeans")
    assert np.isfinite(out.pattern[:2]).all()
    assert np.isnan(out.pattern[2]).all()
    np.testing.assert_array_equal(out.state_at[0], np.arange(T) >= 200)
    nobody = fx.states(x.where(x.subject != 41), 2, method="kmeans")
    assert np.isnan(nobody.state_at[1]).all()
    assert np.isnan(nobody.share[1]).all()
    assert np.isnan(fx.states(x * np.nan, 2, method="kmeans").pattern).all()


def test_kmeans__says_that_it_has_not_come_to_rest(x):
    noise = x.copy(data=np.random.default_rng(0).normal(size=x.shape))
    for data in (noise, noise.chunk()):
        with pytest.warns(UserWarning, match="patterns still move after 1 rounds"):
            found = fx.states(data, 8, method="kmeans", n_iter=1).compute()
        assert found.converged.item() is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "kmeans", "null": "lengths"}, "'kmeans' has no option 'null'"),
        ({"method": "kmeans", "lag_s": 1}, "'kmeans' has no option 'lag_s'"),
        ({"method": "kmedoids"}, "no method 'kmedoids'"),
        ({"method": "kmeans", "n_states": 10**6}, "at most as many states as moments"),
        ({"method": "kmeans", "seed": -1}, "seed is a whole number from 0 on"),
        ({"seed": 1}, "has no option 'seed'"),
    ],
)
def test_kmeans__refuses_what_it_cannot_understand(x, options, words):
    with pytest.raises((ValueError, KeyError), match=words):
        fx.states(x, **{"n_states": 3} | options)
    with (
        fx.set_options(budget="48 KiB"),
        pytest.raises(BudgetError, match="beside 31 candidates"),
    ):
        fx.states(x, 3, method="kmeans")


def test_figure__draws_the_state_of_most_moments(x):
    hv = pytest.importorskip("holoviews")
    out = fx.states(x, K, method="kmeans").compute()
    figure = out.fhemb.plot.states()
    boxes = figure.traverse(lambda e: e, [hv.Rectangles])
    assert len(boxes) == K
    drawn = np.full((N, T), np.nan)
    for state, of_state in enumerate(boxes):
        for a, low, b, _ in of_state.array():
            drawn[N - 1 - round(low + 0.4), round(a * 10) : round(b * 10)] = state
    np.testing.assert_array_equal(drawn, out.state_at)
