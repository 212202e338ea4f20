import numpy as np
import pytest
import xarray as xr
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, UnknownNameError
from fhemb_xr.kernels.search import importance as kernel
from fhemb_xr.kernels.search import nested

RATE, PEOPLE = 10.0, 5
CALM = [(0, 4), (8, 12), (16, 20), (24, 28)]
STORM = [(4, 8), (12, 16), (20, 24), (28, 32)]
SEGMENTS = {"calm": CALM, "storm": STORM}
HOW = {"n_splits": 2, "n_repeats": 5, "seed": 0}


def series(loud="cheeks", when=(0, 4), gain=3.0, seed=0):
    """Noise of three regions; in storms one is louder, in some seconds of the segment."""
    rng = np.random.default_rng(seed)
    t = np.arange(320) / RATE
    x = rng.normal(size=(PEOPLE, 320, 3))
    names = ["forehead", "nose_tip", "cheeks"]
    on = ((t // 4) % 2 == 1) & (t % 4 >= when[0]) & (t % 4 < when[1])
    x[:, on, names.index(loud)] *= gain
    return xr.DataArray(
        x, dims=("subject", "time", "feature"),
        coords={"subject": 40 + np.arange(PEOPLE), "time": t, "feature": names},
        attrs={"sampling_rate": RATE},
    )  # fmt: skip


def ranks_first(out, what):
    by = out.importance.dims[0]
    first = out.importance.idxmax(by).item()
    assert first == what
    at = out.sel({by: first})
    assert at.p_fwer <= 0.15
    assert at.importance > 0.2
    assert at.low < at.importance < at.high
    others = out.drop_sel({by: first})
    assert (abs(others.importance) < at.importance / 2).all()
    assert at.alone > others.alone.max()


def test_importance__ranks_the_planted_region_band_and_moment_first(computes):
    with computes(0):
        lazy = fx.importance(series().chunk(time=50), SEGMENTS, n_permutations=39, **HOW)
    out = lazy.compute(scheduler="sync")
    ranks_first(out, "cheeks")
    assert out.by_person.sizes == {"person": PEOPLE, "feature": 3}
    assert out.subject.values.tolist() == [40, 41, 42, 43, 44]
    assert out.null.sizes == {"permutation": 39, "feature": 3}
    for name, var in lazy.data_vars.items():
        assert var.dtype == out[name].dtype, name
        assert var.attrs["units"] == "1", name
    late = fx.importance(
        series(when=(2, 3), gain=6.0), SEGMENTS, "time", window_s=1.0, n_permutations=39, **HOW
    ).compute(scheduler="sync")
    assert late.time.values.tolist() == [0, 1, 2, 3]
    ranks_first(late, 2.0)
    x = series(gain=1.0).sel(feature=["cheeks"])
    t = x.time.values
    x = x + 1.5 * (np.sin(2 * np.pi * 1.0 * t) * ((t // 4) % 2 == 1))[:, None]
    bands = fx.wavelet_bands(x.assign_attrs(sampling_rate=RATE), "db2", 3)
    out = fx.importance(bands, SEGMENTS, "band", n_permutations=39, **HOW)
    ranks_first(out.compute(scheduler="sync"), 1)
    assert out.frequency_low.values.tolist() == bands.frequency_low.values.tolist()


@pytest.mark.parametrize("how", ["permute", "refit"])
def test_importance__equals_models_of_scikit_learn(how):
    x = series(gain=1.5, seed=3)
    out = fx.importance(x, SEGMENTS, how=how, n_splits=2, n_permutations=0, seed=4).compute()
    table = np.log(fx.prepare(x, SEGMENTS).values.var(axis=-1))
    samples = fx.prepare(x, SEGMENTS)
    y = (samples.label.values == "storm").astype(int)
    groups, starts = samples.subject.values - 40, samples.start.values.astype(int) // 4
    for g in range(PEOPLE):
        table[groups == g] -= table[groups == g].mean(axis=0)
    who = nested.Samples(y, groups, starts)
    rng, lost, alone = np.random.default_rng([4, 3]), [], []
    for train, test in who.parts(2, np.random.default_rng([4, 0])):
        mixed = kernel.exchanges(groups[test], 20, rng) if how == "permute" else None
        full = _model().fit(table[train], y[train])
        right = (full.predict(table[test]) == y[test]).mean()
        row = []
        for part in range(3):
            rest = [p for p in range(3) if p != part]
            if how == "refit":
                one = _model().fit(table[train][:, rest], y[train])
                row.append(right - one.score(table[test][:, rest], y[test]))
                continue
            scores = []
            for order in mixed:
                changed = table[test].copy()
                changed[:, part] = changed[order, part]
                scores.append(full.score(changed, y[test]))
            row.append(right - np.mean(scores))
        lost.append(row)
        alone.append([
            _model().fit(table[train][:, [p]], y[train]).score(table[test][:, [p]], y[test])
            for p in range(3)
        ])  # fmt: skip
    np.testing.assert_allclose(out.importance, np.mean(lost, axis=0), atol=1e-12)
    np.testing.assert_allclose(out.alone, np.mean(alone, axis=0), atol=1e-12)
    np.testing.assert_allclose(out.by_person.mean("person"), out.importance, atol=0.1)


def _model():
    return make_pipeline(StandardScaler(), NearestCentroid())


def test_exchanges__stay_within_the_person():
    groups = np.array([2, 0, 2, 0, 0, 2])
    out = kernel.exchanges(groups, 50, np.random.default_rng(0))
    assert (groups[out] == groups).all()
    assert (np.sort(out, axis=1) == np.arange(6)).all()
    assert len(np.unique(out, axis=0)) > 20


def test_importance__of_two_parts_that_say_the_same_is_shared():
    x = series().sel(feature=["cheeks", "nose_tip"])
    twice = xr.concat([x, x.sel(feature=["cheeks"]).assign_coords(feature=["twin"])], "feature")
    out = fx.importance(twice.transpose("subject", "time", "feature"), SEGMENTS, how="refit",
                        n_splits=2, n_permutations=0, seed=0).compute()  # fmt: skip
    assert (abs(out.importance.sel(feature=["cheeks", "twin"])) < 0.1).all()
    assert (out.alone.sel(feature=["cheeks", "twin"]) > 0.9).all()


def test_importance__without_an_effect_is_nothing():
    p, lost = [], []
    for seed in range(10):
        out = fx.importance(series(gain=1.0, seed=seed), SEGMENTS, n_permutations=9, **HOW)
        out = out.compute(scheduler="sync")
        p += [out.p_fwer.min().item()]
        lost += [out.importance.mean().item()]
    assert abs(np.mean(lost)) < 0.06
    assert np.mean(np.array(p) <= 0.2) <= 0.6


def test_importance__leaves_out_who_misses_a_frame():
    x = series()
    x[1, 3:6] = np.nan
    out = fx.importance(x, SEGMENTS, n_permutations=3, **HOW).compute()
    assert out.n_used == 39
    nobody = fx.importance(x * np.nan, SEGMENTS, n_permutations=3, **HOW).compute()
    assert nobody.n_used == 0
    assert nobody[["importance", "p", "low", "score"]].to_array().isnull().all()


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda x: ask(x, "band"), UnknownNameError, "no dimension of parts 'band'"),
        (lambda x: ask(x, "time"), ValueError, "window_s=1.0"),
        (lambda x: ask(x, "time", window_s=9.0), ValueError, "no longer than a segment"),
        (lambda x: ask(x, window_s=1.0), ValueError, "belongs to time"),
        (lambda x: ask(x, how="refit", n_repeats=3), ValueError, "belongs to permute"),
        (lambda x: ask(x, how="drop"), UnknownNameError, "no way"),
        (lambda x: ask(x, summary="power"), UnknownNameError, "no summary"),
        (lambda x: ask(x.isel(feature=[0])), ValueError, "two parts or more, found 1"),
        (lambda x: ask(x[:1]), ValueError, "need 4 people"),
        (
            lambda x: fx.importance(x, {"a": CALM, "b": STORM[:1]}, seed=0),
            ValueError,
            "1 of 'b'",
        ),
    ],
)
def test_importance__names_what_is_wrong(ask, error, text):
    with pytest.raises(error, match=text):
        ask(series())


def few(x, segments):
    return fx.importance(x, segments, seed=0)


def ask(x, by="feature", **options):
    return fx.importance(x, SEGMENTS, by, seed=0, **options)


def test_importance__keeps_to_the_budget():
    with fx.set_options(budget=1000), pytest.raises(BudgetError, match="fewer parts"):
        ask(series())
