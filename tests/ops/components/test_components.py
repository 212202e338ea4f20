"""Components against scikit-learn's FastICA, planted sources, and plain eigenvectors."""

import tracemalloc

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.components import sobi, unmixing
from fhemb_xr.ops.blockwise import rechunk

T, D = 600, 5


def sources(seed=0):
    """A square wave, sparse noise and a slow noise: different in distribution and in time."""
    rng = np.random.default_rng(seed)
    slow = np.convolve(rng.normal(size=T + 29), np.hanning(30), "valid")
    found = np.stack([np.sign(np.sin(np.arange(T) / 15)), rng.laplace(size=T), slow])
    return found / found.std(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def planted():
    """Series of two people with the same three patterns, and the patterns."""
    patterns = np.random.default_rng(9).normal(size=(3, D)) * [[3], [2], [1]]
    values = np.stack([sources(i).T @ patterns + 30 + i for i in range(2)])
    x = xr.DataArray(
        values, dims=("subject", "time", "feature"),
        coords={"subject": [40, 41], "feature": [f"pc{i}" for i in range(D)]},
        attrs={"sampling_rate": 10.0, "units": "degC"},
    )  # fmt: skip
    return x, patterns


@pytest.fixture(scope="module")
def x(planted):
    """The same with a gap."""
    x = planted[0].copy()
    x[1, 100:120, 2] = np.nan
    return x


def amari(p):
    """0 where ``p`` is a permutation with signs and scales, 1 at most."""
    p = np.abs(p)
    rows = (p / p.max(axis=1, keepdims=True)).sum(axis=1) - 1
    columns = (p / p.max(axis=0)).sum(axis=0) - 1
    return (rows.sum() + columns.sum()) / (2 * len(p) * (len(p) - 1))


@pytest.mark.parametrize("method", ["fastica", "sobi"])
def test_components__find_planted_patterns(planted, method):
    x, patterns = planted
    found = fx.components(x, 3, method=method)
    assert amari(found.weights.values @ patterns.T) < 0.05
    order = np.argsort(-(patterns**2).sum(axis=1))
    signs = np.sign(patterns[np.arange(3), np.abs(patterns).argmax(axis=1)])
    alike = np.corrcoef(found.patterns, (signs[:, None] * patterns)[order])[:3, 3:]
    assert (np.diagonal(alike) > 0.99).all()
    assert found.explained_variance_ratio.sum() == pytest.approx(1)
    assert found.converged.item() is True


def test_fastica__is_scikit_learns(x):
    decomposition = pytest.importorskip("sklearn.decomposition")
    rows = np.concatenate([unmixing.centred(p)[0][unmixing.centred(p)[1]] for p in x.values])
    for contrast in unmixing.CONTRASTS:
        model = unmixing.Mixture(3, D, contrast, 200, 1e-10, 4)
        state = unmixing.begin(unmixing.moments(x.values, model), model)
        first = model.state.part(state, "rotation").copy()
        z = rows @ model.state.part(state, "white").T
        theirs = decomposition.FastICA(
            whiten=False, fun=contrast, w_init=first, tol=1e-10, max_iter=200
        ).fit(z)
        fit = unmixing.whole(x.values, model)
        weights = theirs.components_ @ model.state.part(state, "white")
        ours = model.fit.part(fit, "weights")
        match = np.abs(np.corrcoef(ours, weights)[:3, 3:]).argmax(axis=1)
        np.testing.assert_allclose(np.abs(ours), np.abs(weights[match]), atol=1e-8)


def test_fastica__of_the_public_function_is_scikit_learns(x):
    decomposition = pytest.importorskip("sklearn.decomposition")
    rows = (x - x.where(x.notnull().all("feature")).mean("time")).values.reshape(-1, D)
    rows = rows[np.isfinite(rows).all(axis=1)]
    theirs = decomposition.FastICA(3, tol=1e-9, max_iter=500, random_state=0).fit(rows)
    found = fx.components(x, 3, tol=1e-9)
    courses = found.scores.stack(row=("subject", "time")).dropna("row").values
    assert amari(courses @ theirs.transform(rows)) < 1e-3
    ours, mixing = (np.abs(p) for p in (found.patterns.values, theirs.mixing_.T))
    np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(mixing, axis=0), atol=1e-2)


def test_sobi__of_one_lag_is_the_eigenvectors_of_its_covariance(planted):
    x, _ = planted
    found = fx.components(x, 3, method="sobi", lags_s=[0.3])
    y = (x - x.mean("time")).values
    zero = sum(p.T @ p for p in y) / (2 * T)
    lagged = sum(p[:-3].T @ p[3:] for p in y) / (2 * (T - 3))
    values, vectors = np.linalg.eigh(zero)
    white = vectors[:, -3:] / np.sqrt(values[-3:])
    expected, rotation = np.linalg.eigh(white.T @ (lagged + lagged.T) @ white / 2)
    np.testing.assert_allclose(np.sort(found.autocorrelation[:, 0]), expected, atol=1e-9)
    assert amari(found.weights.values @ np.linalg.pinv((white @ rotation).T)) < 1e-6


def test_sobi__counts_pairs_of_which_both_are_there(x):
    model = unmixing.Mixture(3, D, lags=(1, 25))  # of the second person 20 samples are missing
    pairs = model.moments.part(unmixing.moments(x.values, model), "pairs")
    assert pairs.tolist() == [T - 1 + T - 1 - 21, T - 25 + T - 25 - 40]


def test_sobi__diagonalises_together_what_can_be():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    matrices = np.stack([turn.T @ np.diag(rng.normal(size=6)) @ turn for _ in range(4)])
    rotation, left, change, _ = sobi.diagonalised(matrices, 1e-9)
    assert change <= 1e-9
    off = left * (1 - np.eye(6))
    assert np.abs(off).max() < 1e-8
    np.testing.assert_allclose(np.abs(rotation @ turn.T).max(axis=1), 1)
    np.testing.assert_allclose(rotation @ matrices @ rotation.T, left, atol=1e-12)


def test_components__scores_are_white_and_make_the_features_again(x):
    found = fx.components(x, D - 2, method="sobi")
    rows = found.scores.stack(row=("subject", "time")).dropna("row")
    np.testing.assert_allclose(np.cov(rows, ddof=0), np.eye(3), atol=1e-8)
    there = x.notnull().all("feature")
    np.testing.assert_allclose(found["mean"], x.where(there).mean("time"))
    again = found["mean"] + (found.scores * found.patterns).sum("component", skipna=False)
    xr.testing.assert_allclose(again.transpose(*x.dims), x.where(there).drop_attrs())
    weighted = ((x - found["mean"]) * found.weights).sum("feature", skipna=False)
    np.testing.assert_allclose(weighted.transpose(*found.scores.dims), found.scores, atol=1e-9)
    assert found.patterns.attrs["units"] == "degC"
    assert found.weights.attrs["units"] == "1/(degC)"
    assert found.scores.attrs["units"] == "1"


def test_kernels__peak_memory_is_what_they_say():
    x = np.random.default_rng(0).normal(size=(3, 20000, 20)).astype("f4")
    lagged, model = unmixing.Mixture(8, 20, lags=(1, 5)), unmixing.Mixture(8, 20)
    state = unmixing.begin(unmixing.moments(x, model), model)
    for work, more in (
        (lambda: unmixing.moments(x, lagged), 0.5),
        (lambda: unmixing.sums(x, state, model), 40 * 8 / 20),
    ):
        tracemalloc.start()
        work()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < (24 + more) * x[0].size


def test_components__missing_samples_are_as_if_they_were_not_there(x):
    short = x.isel(subject=[1], time=np.flatnonzero(x[1].notnull().all("feature")))
    found, expected = fx.components(x[[1]], 3), fx.components(short, 3)
    np.testing.assert_allclose(found.weights, expected.weights)
    assert np.isnan(found.scores[0, 100:120]).all()


@given(cuts=st.sets(st.integers(1, T - 1), max_size=6), people=st.integers(1, 2))
@settings(max_examples=3, deadline=None)
def test_components__do_not_depend_on_chunks(x, cuts, people):
    time = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    lazy = x.chunk(subject=people, time=time)
    for method in ("fastica", "sobi"):
        whole = fx.components(x, 3, method=method)
        xr.testing.assert_allclose(fx.components(lazy, 3, method=method).compute(), whole)


def test_fastica__in_blocks_of_people_is_that_of_all_in_one(x, monkeypatch):
    whole = fx.components(x, 3)
    monkeypatch.setattr(rechunk, "_TARGET", 1)
    xr.testing.assert_allclose(fx.components(x.chunk(subject=1), 3, n_iter=20).compute(), whole)


def test_components__compute_nothing_and_their_graph_is_linear(x, computes, monkeypatch):
    monkeypatch.setattr(rechunk, "_TARGET", 1)
    tasks = []
    for people in (2, 4):
        many = x.isel(subject=[0, 1] * (people // 2)).drop_vars("subject").chunk(subject=1)
        with computes(0):
            found = many.fhemb.components(3, n_iter=5)
        tasks.append(len(found.__dask_graph__()) - len(many.__dask_graph__()))
        assert all(v.dtype == (bool if n == "converged" else float) for n, v in found.items())
    assert tasks[1] - tasks[0] < 2 * 5 * 3 + 2 * 8
    assert tasks[1] < 2.2 * tasks[0]


def test_sobi__reads_the_series_once_for_the_fit(x):
    reads = []

    def read(block):
        reads.append(block.size)
        return block

    lazy = x.chunk(subject=1, time=100)
    lazy = lazy.copy(data=lazy.data.map_blocks(read, dtype=float, meta=np.empty((0, 0, 0))))
    found = fx.components(lazy, 3, method="sobi")
    with dask.config.set(scheduler="synchronous"):
        found.weights.compute()
        assert sum(reads) == x.size
        found.compute()
    assert sum(reads) == 3 * x.size  # the fit again, and the scores


def test_components__of_two_calls_stay_apart(x):
    lazy = x.chunk(time=100)
    calls = [
        fx.components(lazy, 3), fx.components(lazy, 2), fx.components(lazy, 3, method="sobi"),
        fx.components(lazy, 3, method="own", own=lambda rows: rows[:, :3]),
        fx.components(lazy, 3, method="own", own=lambda rows: rows[:, 1:4]),
    ]  # fmt: skip
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


def test_components__of_each_person_are_those_of_one_alone(x):
    found = fx.components(x, 3, fit="subject")
    assert found.weights.dims == ("subject", "component", "feature")
    assert found.scores.dims == ("subject", "time", "component")
    for i in range(2):
        alone = fx.components(x[i], 3, dim=None)
        xr.testing.assert_allclose(found.isel(subject=i), alone)
        pooled = fx.components(x[[i]], 3)
        np.testing.assert_allclose(alone.weights, pooled.weights)
    two = xr.concat([x, x[::-1].assign_coords(subject=x.subject)], "session")
    found = fx.components(two, 3)
    np.testing.assert_allclose(found.patterns[0], found.patterns[1], atol=1e-6)


def test_components__beyond_the_rank_are_missing(planted):
    x, _ = planted
    for method in ("fastica", "sobi"):
        found = fx.components(x, 5, method=method)
        assert np.isfinite(found.patterns[:3]).all()
        assert np.isnan(found.patterns[3:]).all()
        assert np.isnan(found.scores[..., 3:]).all()
        nothing = fx.components(x * 0 + 3, 2, method=method)
        assert np.isnan(nothing.scores).all()
        assert np.isnan(fx.components(x * np.nan, 2, method=method).weights).all()


def test_fastica__says_that_it_has_not_converged(x):
    for data in (x, x.chunk()):
        lazy = data if data.chunks is None else fx.components(data, 3, n_iter=1, tol=1e-9)
        with pytest.warns(UserWarning, match="after 1 rounds the rotation still changes"):
            found = (
                fx.components(data, 3, n_iter=1, tol=1e-9)
                if data.chunks is None
                else lazy.compute()
            )
        assert found.converged.item() is False
        assert found.rounds == 1


def test_own__gets_all_moments_and_its_scores_are_regressed(x):
    seen = []

    def own(rows):
        seen.append(rows)
        return rows @ np.array([[1.0, 0, 0, 0, 0], [0, 2.0, 0, 0, 0]]).T

    found = fx.components(x, 2, method="own", own=own)
    assert seen[0].shape == (2 * T - 20, D)
    np.testing.assert_allclose(seen[0][:T].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(found.scores[0], seen[0][:T, :2] * [1, 2])
    assert np.isnan(found.scores[1, 100:120]).all()
    fitted = np.linalg.lstsq(own(seen[0]), seen[0], rcond=None)[0]
    expected = fitted * own(seen[0]).std(axis=0)[:, None]
    np.testing.assert_allclose(found.patterns, expected, atol=1e-12)
    assert "weights" not in found
    xr.testing.assert_allclose(
        fx.components(x.chunk(time=50), 2, method="own", own=own).compute(), found
    )
    with pytest.raises(ValueError, match=r"\(1180, 2\), found \(1180, 5\)"):
        fx.components(x, 2, method="own", own=lambda rows: rows)


def test_maps__are_what_a_component_adds_to_the_face():
    ds = fx.testing.audience(2, 8, shape=(8, 6), seed=1)
    heat = ds.heatmap.isel(session=0).fhemb.mask(25)
    basis = fx.pca(heat, 4, per="pooled", scaler="standard").compute()
    scores = fx.project(heat, basis).compute()
    found = fx.components(scores, 3, method="sobi", basis=basis)
    assert found.patterns.dims == ("component", "feature")
    zero = xr.zeros_like(found.patterns.rename(component="who", feature="component"))
    patterns = found.patterns.rename(component="who", feature="component")
    base = {d: 0 for d in ("subject", "session") if d in basis.dims}
    one = basis.isel(base, drop=True)
    expected = fx.reconstruct(patterns, one) - fx.reconstruct(zero, one)
    np.testing.assert_allclose(found.maps, expected.transpose("who", "y", "x"), atol=1e-12)
    assert found.maps.attrs["units"] == "degC"
    own = fx.pca(heat, 4).compute()
    with pytest.raises(SchemaError, match="per='pooled'"):
        fx.components(scores, 3, method="sobi", basis=own)
    named = scores.rename(component="feature").assign_coords(feature=["mean", *"abc"])
    with pytest.raises(SchemaError, match="'mean' is no score of a basis with 4 components"):
        fx.components(named, 3, method="sobi", basis=basis)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_components": 6}, "at most as many components as features, found n_components=6"),
        ({"method": "sobi", "n_iter": 9}, "'sobi' has no option 'n_iter'"),
        ({"lags_s": [1]}, "'fastica' has no option 'lags_s'"),
        ({"method": "sobi", "lags_s": [60]}, "each shorter than the series of 60 s"),
        ({"method": "own"}, "method 'own' needs a function"),
        ({"tol": 0}, "tol is a positive number"),
        ({"fit": "all"}, "no fit 'all'"),
        ({"dim": "person"}, "person"),
    ],
)
def test_components__refuse_what_they_cannot_understand(x, options, words):
    with pytest.raises((ValueError, KeyError), match=words):
        fx.components(x, **{"n_components": 2} | options)


def test_components__larger_than_a_task_may_hold_are_refused(x):
    with fx.set_options(budget="48 KiB"):
        with pytest.raises(BudgetError, match="one person of 600 moments"):
            fx.components(x, 3)
        with pytest.raises(BudgetError, match="all series in one task"):
            fx.components(x.isel(time=slice(200)), 3, method="own", own=lambda rows: rows)
