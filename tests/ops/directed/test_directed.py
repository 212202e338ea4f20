"""Granger causality and transfer entropy against regressions that are written out."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError

T, HZ, LAGS = 160, 5.0, 3
MAX_LAG_S = LAGS / HZ


def series(n=3, gaps=False, seed=0, t=T):
    """Person 40 leads 41 by two samples."""
    x = np.random.default_rng(seed).normal(size=(n, t))
    x[:, 1:] += 0.5 * x[:, :-1]
    x[1, 2:] += 0.8 * x[0, :-2]
    if gaps:
        x[0, 50:55] = np.nan
        x[2, [20, 90]] = np.nan
    coords = {"time": np.arange(t) / HZ, "subject": np.arange(40, 40 + n)}
    return xr.DataArray(30 + x, dims=("subject", "time"), coords=coords)


def music(t=T):
    x = np.random.default_rng(9).normal(size=(t, 2))
    return xr.DataArray(x, dims=("time", "feature"), coords={"time": np.arange(t) / HZ})


def past(x, first=1):
    return [x[LAGS - k : len(x) - k] for k in range(first, LAGS + 1)]


def regressed(y, known, source, beside):
    """Log ratio, F, p and moments, by least squares on a design that is written out."""
    small = np.stack([np.ones(len(y)), *known], axis=1)
    large = np.column_stack([small, *source])
    rows = np.isfinite(np.column_stack([large, y, *beside])).all(axis=1)
    rss = []
    for z in (small, large):
        fit = np.linalg.lstsq(z[rows], y[rows], rcond=None)[0]
        rss.append(((y[rows] - z[rows] @ fit) ** 2).sum())
    n, free = rows.sum(), rows.sum() - large.shape[1]
    f = (rss[0] - rss[1]) / LAGS / (rss[1] / free)
    return np.log(rss[0] / rss[1]), f, stats.f.sf(f, LAGS, free), n


def explicit(x, given, source, target):
    known, beside = past(x[target]), [x[source][LAGS:]]
    if isinstance(given, str):
        others = [v for i, v in enumerate(x) if i not in (source, target)]
        known += [c for v in others for c in past(v)]
        beside += [v[LAGS:] for v in others]
    elif given is not None:
        known += [c for v in given.values.T for c in past(v, 0)]
    return regressed(x[target][LAGS:], known, past(x[source]), beside)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("given_what", [None, "all", "music"])
def test_granger__equals_least_squares(gaps, given_what):
    x = series(gaps=gaps)
    what = music() if given_what == "music" else given_what
    out = fx.granger(x.chunk(time=33), MAX_LAG_S, given=what)
    assert out.granger.dims == ("subject_0", "subject_1")
    for i, j in itertools.permutations(range(3), 2):
        found = [v.values[i, j] for v in out.compute().values()]
        np.testing.assert_allclose(found, explicit(x.values, what, i, j), rtol=1e-9)
    assert np.isnan(np.diagonal(out.granger)).all()
    assert out.subject_0.values.tolist() == [40, 41, 42]


def test_granger__equals_statsmodels():
    from statsmodels.tsa.stattools import grangercausalitytests

    x = series()
    out = fx.granger(x, MAX_LAG_S)
    both = x.values[[1, 0]].T  # whether the second column foretells the first
    f, p, *_ = grangercausalitytests(both, [LAGS])[LAGS][0]["ssr_ftest"]
    np.testing.assert_allclose([out.f[0, 1], out.p_f[0, 1]], [f, p], rtol=1e-9)


@settings(max_examples=8)
@given(
    cuts=st.sets(st.integers(1, T - 1), max_size=12),
    people=st.integers(1, 3),
    everyone=st.booleans(),
)
def test_granger__does_not_depend_on_chunks(cuts, people, everyone):
    chunks = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    x, what = series(gaps=True), "all" if everyone else music()
    lazy = fx.granger(x.chunk(time=chunks, subject=people), MAX_LAG_S, given=what)
    assert lazy.granger.chunks
    xr.testing.assert_allclose(lazy, fx.granger(x, MAX_LAG_S, given=what), rtol=1e-9)


def test_directed__are_lazy_and_linear_in_the_chunks(computes):
    sizes = []
    for t in (640, 1280):
        x = series(t=t).chunk(time=32)
        with computes(0):
            out = fx.granger(x, MAX_LAG_S, null="linear", n=2, seed=0)
            other = fx.transfer_entropy(x, MAX_LAG_S, null="circular", n=2, seed=0)
        assert {v.dtype for v in (*out.values(), *other.values())} == {np.dtype("f8")}
        assert all(v.chunks for v in (*out.values(), *other.values()))
        sizes.append(len(out.granger.__dask_graph__()) - len(x.__dask_graph__()))
    assert sizes[1] - sizes[0] <= 3 * 20
    together = fx.granger(x, 0.4).granger - fx.granger(x, 0.6).granger  # no shared keys
    assert (abs(together.compute()).max() > 0).item()


def test_directed__of_other_dimensions_is_each_by_itself():
    two = xr.concat([series(), series(seed=1)], xr.Variable("session", ["a", "b"]))
    sound = xr.concat([music(), -(music() ** 2)], xr.Variable("session", ["a", "b"]))
    mixed = two.transpose("time", "session", "subject").chunk(time=40, session=1)
    out = fx.granger(mixed, MAX_LAG_S, given=sound.chunk(time=60))
    alone = fx.granger(series(seed=1), MAX_LAG_S, given=-(music() ** 2))
    xr.testing.assert_allclose(out.sel(session="b", drop=True), alone)


def test_granger__of_many_features_has_as_few_tasks_as_chunks():
    x = xr.concat([series(seed=i) for i in range(9)], "feature").chunk(time=40, subject=1)
    graphs = [fx.granger(v, MAX_LAG_S).f.__dask_graph__() for v in (x.isel(feature=[0]), x)]
    passes = [
        sum(
            len(layer) for n, layer in g.layers.items() if n.startswith(("fhemb-cut", "merged"))
        )
        for g in graphs
    ]
    assert passes[0] == passes[1] > 4
    blockwise = fx.granger(x.chunk(feature=2), MAX_LAG_S)
    xr.testing.assert_allclose(blockwise, fx.granger(x.compute(), MAX_LAG_S))


def test_granger__tells_who_leads_and_what_is_given_takes_away():
    rng = np.random.default_rng(3)
    a, b, c, m = rng.normal(size=(4, 1000))
    b[1:] += a[:-1]
    c[1:] += b[:-1]  # a leads c through b only
    x = xr.DataArray([a, b, c], dims=("subject", "time"), attrs={"sampling_rate": HZ})
    pairs, known = (fx.granger(x, MAX_LAG_S, given=g).p_f for g in (None, "all"))
    assert max(pairs[0, 1], pairs[1, 2], pairs[0, 2], known[0, 1], known[1, 2]) < 1e-10
    assert min(known[0, 2], pairs[1, 0], pairs[2, 1]) > 0.01
    d, e = rng.normal(size=(2, 1000))
    d += m
    e[2:] += m[:-2]  # the music reaches e later
    y = xr.DataArray([d, e], dims=("subject", "time"), attrs={"sampling_rate": HZ})
    sound = xr.DataArray(m, dims="time", attrs={"sampling_rate": HZ})
    assert fx.granger(y, MAX_LAG_S, null="linear", n=19, seed=0).p[0, 1] == 1 / 20  # a driver
    assert fx.granger(y, MAX_LAG_S, given=sound).p_f[0, 1] > 0.01


def test_granger__null_holds_for_drifts_and_finds_coupling():
    rng = np.random.default_rng(2)
    walks = rng.normal(size=(25, 2, T)).cumsum(axis=-1)
    x = xr.DataArray(walks, dims=("row", "subject", "time"), attrs={"sampling_rate": HZ})
    p = fx.granger(x, MAX_LAG_S, null="linear", n=19, seed=0).p.stack(pair=("row", "subject_0"))
    p = p.values[np.isfinite(p.values)]
    assert p.size == 50
    assert (p <= 0.05).sum() <= 7  # 99 % of binomial draws at .05
    for name in ("linear", "circular"):
        for what in (None, "all", music()):
            found = fx.granger(series(), MAX_LAG_S, given=what, null=name, n=19, seed=0).p
            assert found[0, 1] == 1 / 20


def test_transfer_entropy__is_half_of_granger_and_ranks_forget_the_scale():
    x = series(gaps=True)
    plain = fx.transfer_entropy(x, MAX_LAG_S, estimator="gaussian")
    xr.testing.assert_allclose(2 * plain.transfer_entropy, fx.granger(x, MAX_LAG_S).granger)
    scores = xr.full_like(x, np.nan)
    for i, row in enumerate(x.values):
        ok = np.isfinite(row)
        scores[i, ok] = stats.norm.ppf(stats.rankdata(row[ok]) / (ok.sum() + 1))
    for y in (x, np.exp(x - 30).chunk(time=37, subject=1)):
        out = fx.transfer_entropy(y, MAX_LAG_S).transfer_entropy
        xr.testing.assert_allclose(2 * out, fx.granger(scores, MAX_LAG_S).granger)


def test_transfer_entropy__is_a_difference_of_entropies():
    x = series().values
    y, own, source = x[1][LAGS:], past(x[1]), past(x[0])

    def entropy(*columns):
        return 0.5 * np.linalg.slogdet(np.atleast_2d(np.cov(columns)))[1]

    bits = entropy(y, *own) - entropy(*own) + entropy(*own, *source) - entropy(y, *own, *source)
    found = fx.transfer_entropy(series(), MAX_LAG_S, estimator="gaussian").transfer_entropy
    np.testing.assert_allclose(found[0, 1], bits, rtol=1e-9)


def test_granger__of_copies_of_what_never_moves_and_of_nothing():
    x = series(6)
    x[2] = 2 * x[0].values - 3
    x[3], x[4] = 30.1, np.nan
    x[5] = np.sin(np.arange(T))  # two of its samples foretell the next
    out = fx.granger(x, MAX_LAG_S)
    same = out.sel(subject_0=42, subject_1=41, drop=True)
    xr.testing.assert_allclose(same, out.sel(subject_0=40, subject_1=41, drop=True))
    assert out.granger.sel(subject_0=40, subject_1=42) == 0  # nothing that its own past lacks
    still = out.granger.sel(subject_0=[43, 44]), out.granger.sel(subject_1=[43, 44, 45])
    assert all(np.isnan(v).all() for v in still)
    known = fx.granger(x.isel(subject=[0, 1, 2]), MAX_LAG_S, given="all").granger
    assert known[0, 1] == known[2, 1] == 0  # the other one tells the same
    copy = x[:2].copy(data=[x[0], np.roll(x[0], 1)])[:, 1:]
    assert fx.granger(copy, MAX_LAG_S).granger[0, 1] > 20  # foretold but for rounding


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"max_lag_s": 0}, ValueError, "max_lag_s of 0 s holds no sample"),
        ({"max_lag_s": 20}, ValueError, "found 60 moments for 202 terms"),
        ({"given": "al"}, ValueError, "no given 'al'"),
        ({"given": series()}, ValueError, "the same for all people"),
        ({"given": music(100)}, ValueError, "160 and 100 samples"),
        ({"null": "linear"}, ValueError, "found no seed"),
        ({"null": "linear", "seed": 0, "margin_s": 0.6}, ValueError, "larger margin_s"),
        ({"null": "circular", "seed": 0, "margin_s": 1}, ValueError, "no option 'margin_s'"),
        ({"seed": 0}, ValueError, "no option 'seed'"),
        ({"dim": "person"}, SchemaError, "person"),
    ],
)
def test_directed__refuse_what_they_cannot_do(change, error, words):
    for function in (fx.granger, fx.transfer_entropy):
        with pytest.raises(error, match=words):
            function(series(), **({"max_lag_s": MAX_LAG_S} | change))


def test_directed__need_two_people_an_estimator_and_a_budget():
    with pytest.raises(ValueError, match="one person leads another"):
        fx.granger(series().isel(subject=[0]), MAX_LAG_S)
    with pytest.raises(KeyError, match="no estimator 'ksg'"):
        fx.transfer_entropy(series(), MAX_LAG_S, estimator="ksg")
    with (
        fx.set_options(budget="1 MiB"),
        pytest.raises(BudgetError, match="3 groups of 8 lagged"),
    ):
        fx.granger(series(), MAX_LAG_S)


def rows():
    """Five rows of two who hear one music at different times; in the first, one leads."""
    rng = np.random.default_rng(0)
    sound = rng.normal(size=400)
    x = np.array([np.roll(sound, k % 3) for k in range(10)]) + rng.normal(size=(10, 400))
    x[1, 2:] += 3 * x[0, :-2]
    return xr.DataArray(
        x, dims=("subject", "time"), attrs={"sampling_rate": HZ},
        coords={"subject": np.arange(40, 50), "row": ("subject", np.arange(10) // 2)},
    )  # fmt: skip


def test_swap__compares_a_source_with_strangers_of_the_target():
    x = rows()
    out = fx.granger(x, MAX_LAG_S, null="swap", across="row")
    f, row = out.f.values, np.arange(10) // 2
    for i, j in itertools.permutations(range(10), 2):
        if row[i] != row[j]:
            assert np.isnan(out.p[i, j])
            continue
        strange = f[row != row[j], j]
        assert out.p[i, j] == (1 + (strange >= f[i, j]).sum()) / 9
    assert out.p.sel(subject_0=40, subject_1=41) == 1 / 9
    lazy = fx.granger(x.chunk(time=150, subject=3), MAX_LAG_S, null="swap", across="row")
    xr.testing.assert_allclose(lazy.compute(), out)
    evenings = x.values.reshape(5, 2, -1)
    evenings = xr.DataArray(
        evenings, dims=("session", "subject", "time"), attrs={"sampling_rate": HZ}
    )
    by = fx.transfer_entropy(evenings.chunk(), MAX_LAG_S, null="swap", across="session")
    assert by.p.dims == by.transfer_entropy.dims == ("session", "subject_0", "subject_1")
    alone = fx.transfer_entropy(evenings[0], MAX_LAG_S)
    np.testing.assert_allclose(by.transfer_entropy[0], alone.transfer_entropy)
    assert by.p[0, 0, 1] == 1 / 5  # strangers: the first seat of four other evenings
    with pytest.raises(ValueError, match="found given"):
        fx.granger(evenings, MAX_LAG_S, given="all", null="swap", across="session")
    with pytest.raises(ValueError, match="no option 'seed'"):
        fx.granger(x, MAX_LAG_S, null="swap", across="row", seed=0)
