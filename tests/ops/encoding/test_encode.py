"""Encoding models against scikit-learn's Ridge on the explicit design."""

import itertools

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from counting_store import CountingStore
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.encoding import lagged_sums
from fhemb_xr.ops.encoding import encode

T, HZ, DELAY = 400, 10.0, 7
ALPHAS = (1.0, 30.0, 1e3)
OPTIONS = {"lags_s": (-0.2, 1.0), "alphas": ALPHAS, "folds": 4, "gap_s": 0.5}
LO, HI = -2, 10


def music(gaps=False, seed=0):
    rng = np.random.default_rng(seed)
    s = rng.normal(size=(T, 3)) + rng.normal(size=(T, 3)).cumsum(axis=0) / 10 + 5
    if gaps:
        s[300:305, 1] = np.nan
    coords = {"time": np.arange(T) / HZ, "stimulus": ["rms", "flux", "roughness"]}
    return xr.DataArray(s, dims=("time", "stimulus"), coords=coords)


def faces(gaps=False, seed=0):
    rng = np.random.default_rng(seed + 1)
    y = 30 + rng.normal(size=(4, T))
    y[:2] += np.roll(np.nan_to_num(music(seed=seed).values[:, 1]), DELAY)
    if gaps:
        y[1, 50:90] = np.nan
        y[3, 200] = np.nan
    coords = {"time": np.arange(T) / HZ, "subject": [40, 41, 42, 43]}
    return xr.DataArray(y, dims=("subject", "time"), coords=coords, attrs={"units": "degC"})


def rows_of(y, s):
    """The explicit design ``(t, lag, stimulus)`` and the rows that count."""
    z = np.full((T, HI - LO + 1, s.shape[1]), np.nan)
    for k, lag in enumerate(range(LO, HI + 1)):
        z[max(lag, 0) : T + min(lag, 0), k] = s[max(-lag, 0) : T - max(lag, 0)]
    return z.reshape(T, -1), np.isfinite(z).all((1, 2)) & np.isfinite(y)


def explicit(y, s, n_folds=4, gap=5):
    """Held-out correlations of each fold, the penalties chosen, and the whole model."""
    z, known = rows_of(y, s)
    edges = np.linspace(HI, T + LO, n_folds + 1).round().astype(int)
    t = np.arange(T)
    spans = [*itertools.pairwise(edges)]
    tested = [known & (t >= a) & (t < b) for a, b in spans]
    learnt = [known & ((t < a - gap) | (t >= b + gap)) for a, b in spans]

    def r(rows, test, alpha):
        fit = Ridge(alpha=alpha).fit(z[rows], y[rows])
        return np.corrcoef(fit.predict(z[test]), y[test])[0, 1]

    outer = np.array([[r(learnt[i], tested[i], a) for a in ALPHAS] for i in range(n_folds)])
    chosen = []
    for i in range(n_folds):
        others = [j for j in range(n_folds) if j != i]
        inner = [[r(learnt[i] & learnt[j], tested[j], a) for a in ALPHAS] for j in others]
        chosen.append(int(np.mean(inner, axis=0).argmax()))
    best = ALPHAS[int(outer.mean(axis=0).argmax())]
    return outer, chosen, Ridge(alpha=best).fit(z[known], y[known])


@pytest.mark.parametrize("gaps", [False, True])
def test_encode__equals_ridge_on_the_explicit_design(gaps):
    y, s = faces(gaps), music(gaps)
    out = fx.encode(y, s, normalize="none", **OPTIONS)
    for i in range(len(y)):
        outer, chosen, model = explicit(y.values[i], s.values)
        got = out.isel(subject=i)
        np.testing.assert_allclose(got.r_alpha, outer.mean(axis=0), atol=1e-9)
        np.testing.assert_array_equal(got.alpha_fold, [ALPHAS[k] for k in chosen])
        np.testing.assert_allclose(got.r_fold, outer[range(4), chosen], atol=1e-9)
        np.testing.assert_allclose(got.r, got.r_fold.mean(), atol=1e-12)
        assert got.alpha == model.alpha
        np.testing.assert_allclose(got.weights.values.ravel(), model.coef_, atol=1e-9)
        np.testing.assert_allclose(got.intercept, model.intercept_, rtol=1e-9)
    assert (out.r[:2] > 0.5).all()
    assert (out.r[2:] < 0.3).all()
    peaks = np.abs(out.weights[:2]).sel(stimulus="flux").idxmax("lag")
    np.testing.assert_allclose(peaks, DELAY / HZ)


def test_encode__of_a_standardised_stimulus_predicts_the_same_as_its_weights_say():
    y, s = faces(), music()
    scale = s.std("time")
    plain = fx.encode(y, s / scale, normalize="none", **OPTIONS)
    out = fx.encode(y, s, **OPTIONS)
    np.testing.assert_allclose(out.r, plain.r, atol=1e-10)
    np.testing.assert_allclose(out.weights * scale, plain.weights, atol=1e-10)
    np.testing.assert_allclose(out.intercept, plain.intercept, rtol=1e-10)
    assert out.weights.attrs["units"] == "degC"
    mixed = music().assign_coords(units=("stimulus", ["dB", "1", "1"]))
    plain = fx.encode(faces(), mixed, normalize="none", **OPTIONS)
    assert plain.weights.attrs["units"] == "degC/(unit of the stimulus)"
    level = fx.encode(faces(), mixed[:, :1], normalize="none", **OPTIONS)
    assert level.weights.attrs["units"] == "degC/(dB)"
    named = faces().rename(subject="feature").assign_coords(feature=["p5", "p50", "skew", "g1"])
    named = fx.encode(named.drop_attrs(), music(), **OPTIONS)
    assert named.weights.attrs["units"] == "unit of the series"
    np.testing.assert_allclose(out.lag, np.arange(LO, HI + 1) / HZ)


@pytest.mark.parametrize(("lo", "n_lags"), [(0, 12), (-4, 9), (3, 2)])
def test_gram__of_a_lagged_design_equals_its_products(lo, n_lags):
    rng = np.random.default_rng(0)
    s, rows = rng.normal(size=(3, 300)), np.ones(300, bool)
    rows[[100, 130, 131, 133]] = False
    z = lagged_sums.design(s, lo, n_lags, 30, 260)[rows[30:260]]
    found = lagged_sums.gram(s, rows, lo, n_lags, 30, 260)
    np.testing.assert_allclose(found, z.T @ z, atol=1e-11)
    np.testing.assert_allclose(
        lagged_sums.with_series(s, s[:1] * rows, rows, lo, n_lags, 30, 260),
        z.T @ np.column_stack([s[0, 30:260][rows[30:260]], np.ones(len(z))]),
        atol=1e-11,
    )


@settings(max_examples=4)
@given(cuts=st.sets(st.integers(1, T - 1), max_size=6), people=st.integers(1, 4))
def test_encode__does_not_depend_on_chunks(cuts, people):
    chunks = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    y, s = faces(gaps=True), music()
    lazy = fx.encode(y.chunk(time=chunks, subject=people), s.chunk(time=chunks), **OPTIONS)
    assert lazy.r.chunks
    xr.testing.assert_allclose(lazy.compute(), fx.encode(y, s, **OPTIONS), atol=1e-12)


def test_encode__computes_nothing_and_a_session_has_its_own_music(computes):
    y = xr.concat([faces(), faces(seed=2)], xr.Variable("session", ["a", "b"]))
    s = xr.concat([music(), music(seed=2)], xr.Variable("session", ["a", "b"]))
    short = "times as long as the range of lags: where they drift"
    with computes(0), pytest.warns(UserWarning, match=short):
        lazy = fx.encode(y.chunk(time=50), s, null="linear", n=3, seed=0, **OPTIONS)
    assert len(lazy.r.__dask_graph__()) < 100
    assert {v.dtype for v in lazy.values()} == {np.dtype("f8")}
    out = fx.encode(y.transpose("time", "subject", "session"), s, **OPTIONS)
    alone = fx.encode(faces(seed=2), music(seed=2), **OPTIONS)
    xr.testing.assert_allclose(out.sel(session="b", drop=True), alone)
    shared = fx.encode(y, music(), **OPTIONS)
    np.testing.assert_allclose(shared.r.sel(session="a"), out.r.sel(session="a"))


def test_encode__holds_the_chunks_of_one_person(monkeypatch):
    rng = np.random.default_rng(0)
    people, length, features = 6, 200, 12
    store = CountingStore(rng.normal(size=(people, length, features)))
    none = np.empty((0, 0, 0))
    x = da.from_array(store, chunks=(1, 50, features), asarray=False, meta=none)
    faces = xr.DataArray(x, dims=("subject", "time", "feature"), attrs={"sampling_rate": 5.0})
    music = xr.DataArray(rng.normal(size=length), dims="time", attrs={"sampling_rate": 5.0})
    monkeypatch.setattr(encode, "_TARGET", 8 * length * 4)  # a third of a person's features
    with dask.config.set(scheduler="synchronous"):
        out = fx.encode(faces, music, (0, 1), 1.0, 2).compute()
    assert store.reads == people * 4
    assert store.most <= 4 + 1  # those of the person, and one that is read
    alone = fx.encode(faces.copy(data=store.values), music, (0, 1), 1.0, 2)
    xr.testing.assert_allclose(out, alone)


@pytest.mark.filterwarnings("ignore:the series are")
def test_encode__null_holds_for_drifts_and_finds_what_follows():
    rng = np.random.default_rng(3)
    walks = rng.normal(size=(40, T)).cumsum(axis=1)
    x = xr.DataArray(walks, dims=("subject", "time"), attrs={"sampling_rate": HZ})
    drift = xr.DataArray(
        rng.normal(size=(T, 2)).cumsum(axis=0), dims=("time", "sound"), attrs=x.attrs
    )
    options = {"lags_s": (0, 0.4), "folds": 3, "alphas": 10.0, "n": 19, "seed": 0}
    p = fx.encode(x, drift, null="linear", **options).p
    assert (p <= 0.05).sum() <= 6  # 97.5 % of binomial draws at .05
    for null in ("linear", "circular"):
        p = fx.encode(faces(), music(), **(OPTIONS | {"null": null, "n": 19, "seed": 0})).p
        assert (p[:2] == 1 / 20).all()
        assert (p[2:] > 0.05).any()
    options = OPTIONS | {"null": "linear", "n": 3, "seed": 0}
    one = fx.encode(faces().isel(subject=0), music(), **options)
    many = fx.encode(faces(gaps=True), music(), **options)
    np.testing.assert_allclose(one.r, many.r[0], atol=1e-10)
    assert (many.p >= 0.25).all()


def test_encode__of_nothing_and_of_what_never_moves():
    y = faces()
    y[0], y[1] = np.nan, 30.0
    out = fx.encode(y, music(), **OPTIONS)
    for name in ("r", "r_fold", "alpha", "intercept", "weights"):
        assert np.isnan(out[name][:2]).all(), name
        assert np.isfinite(out[name][2:]).all(), name
    xr.testing.assert_allclose(out.isel(subject=[2, 3]), fx.encode(y[2:], music(), **OPTIONS))
    still = music()
    still[:, 0] = 1.0
    weights = fx.encode(y[2:], still, **OPTIONS).weights
    assert np.abs(weights.sel(stimulus="rms")).max() < 1e-15


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"gap_s": 6}, ValueError, "longer than twice the gap"),
        ({"lags_s": (2, 1)}, ValueError, "lags_s is a pair"),
        ({"lags_s": (np.inf, np.inf)}, ValueError, "lags_s is a number of seconds, found inf"),
        ({"alphas": []}, ValueError, "found none"),
        ({"alphas": [1, -1]}, ValueError, "alphas is a positive number"),
        ({"folds": 2}, ValueError, "folds is a whole number from 3 on"),
        ({"null": "linear", "seed": 0, "margin_s": 0.5}, ValueError, "13 samples or more"),
        ({"null": "linear"}, ValueError, "found no seed"),
        ({"seed": 0}, ValueError, "has no option 'seed'"),
        ({"stimulus": music().rename(stimulus="feature")}, SchemaError, "renam"),
        ({"stimulus": music().expand_dims("a").expand_dims("b")}, SchemaError, "one dimension"),
        ({"stimulus": music().isel(time=slice(300))}, ValueError, "400 and 300 samples"),
    ],
)
def test_encode__refuses_what_it_cannot_do(change, error, words):
    y, stimulus = faces(), change.pop("stimulus", music())
    if "feature" in stimulus.dims:
        y = y.expand_dims(feature=stimulus.feature.values)
    with pytest.raises(error, match=words):
        fx.encode(y, stimulus, **(OPTIONS | change))


def test_encode__refuses_products_beyond_the_budget():
    with fx.set_options(budget="100 KiB"), pytest.raises(BudgetError, match="13 lags of 3"):
        fx.encode(faces(), music(), **OPTIONS)
