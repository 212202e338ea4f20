import json

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from counting_store import CountingStore
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError, UnknownNameError
from fhemb_xr.kernels.inference import cross_validation as folding
from fhemb_xr.kernels.search import centroids, nested

RATE, LENGTH = 10.0, 4
CALM = [(0, 4), (8, 12), (16, 20), (24, 28)]
STORM = [(4, 8), (12, 16), (20, 24), (28, 32)]
SEGMENTS = {"calm": CALM, "storm": STORM}
GRID = {"names": ["mean", "std"], "wavelet": "db2", "level": 3, "bands": "each"}
PEOPLE, FRAMES, FRAME = 6, 320, (4, 3)


def pixels():
    """In storms, a 1 Hz oscillation of random phase spreads the pixels: std in band 1."""
    rng = np.random.default_rng(0)
    t = np.arange(FRAMES) / RATE
    x = rng.normal(30, 0.3, (PEOPLE, FRAMES, *FRAME))
    storm = (t // LENGTH) % 2 == 1
    for person in x:
        phase = rng.uniform(0, 6.3, int(t[-1] // LENGTH) + 1)[(t // LENGTH).astype(int)]
        swing = 0.25 * np.sin(2 * np.pi * 1.0 * t + phase) * storm
        person += np.array([1, 1, -1, -1])[:, None] * (2 + swing)[:, None, None]
    return x.astype("f4")


def recorded(values, chunk=40):
    """A recording whose chunks are counted as they are read."""
    store = CountingStore(values)
    none = np.empty((0,) * 4, values.dtype)  # else dask asks the store for nothing
    heat = xr.DataArray(
        da.from_array(store, chunks=(1, chunk, *FRAME), asarray=False, meta=none),
        dims=("subject", "time", "y", "x"),
        coords={"subject": 40 + np.arange(len(values)), "time": np.arange(FRAMES) / RATE},
        attrs={"sampling_rate": RATE, "units": "degC"},
    )
    return store, heat


def world(rng, people=6, segments=8, specs=5, shared=0.0, columns=1, effect=0.0):
    """Values of specs without pixels; ``shared``: each segment's level, alike for all."""
    own = rng.normal(size=(people, segments, specs * columns))
    own += shared * rng.normal(size=(segments, specs * columns))
    y = np.arange(segments) % 2
    own[..., 0] += effect * y
    n = people * segments
    value = (("sample", "column"), own.reshape(n, -1))
    like = (("sample", "column"), np.ones((n, specs * columns)))
    return xr.Dataset(
        {"value": value, "sample_energy": like, "sample_mobility_hz": like},
        coords={
            "subject": ("sample", np.repeat(np.arange(people), segments)),
            "start": ("sample", np.tile(np.arange(segments) * 10.0, people)),
            "label": ("sample", np.tile(np.array(["calm", "storm"])[y], people)),
            "spec_of": ("column", np.repeat(np.arange(specs), columns)),
            "spec": [f"spec {i}" for i in range(specs)],
        },
    )


@pytest.fixture(scope="module")
def found():
    """A search of planted pixels, computed once; the store counts."""
    store, heat = recorded(pixels())
    lazy = fx.search(heat, GRID, SEGMENTS, n_splits=3, n_inner=2, n_permutations=39, seed=0)
    assert not store.places
    return store, lazy, lazy.compute(scheduler="sync")


def test_search__finds_the_planted_feature_and_band(found):
    _, lazy, out = found
    best = out.spec[out.best].item()
    assert best == "std, bands 1"
    assert (out.frequency_low[out.best], out.frequency_high[out.best]) == (0.625, 1.25)
    assert out.nested > 0.9
    # of 39 labellings one or two may be the true one
    assert out.p == out.p_fwer[out.best] <= 3 / 40
    assert out.p_nested <= 3 / 40
    assert out.chosen_share[out.best] > 0.8
    assert (out.spec[out.chosen[out.chosen >= 0]] == best).mean() == out.chosen_share[out.best]
    assert out.null.sizes == {"permutation": 39}
    assert np.unique(out.null).size > 3  # not one exchange again and again
    for p, score, null in (("p_fwer", "score", "null"), ("p_nested", "nested", "null_nested")):
        reached = out[null] >= out[score] - 1e-12
        xr.testing.assert_allclose(out[p].drop_attrs(), (1 + reached.sum("permutation")) / 40)
    assert out.null_high == np.quantile(out.null, 0.95, method="weibull")
    for name, var in lazy.data_vars.items():
        assert var.dtype == out[name].dtype, name
        assert "long_name" in var.attrs, name
    assert (out.n_used, out.n_subjects, out.chance) == (48, 6, 0.5)


def test_search__reads_each_chunk_once(found):
    store, _, _ = found
    assert len(store.places) == len({*store.places}) == PEOPLE * FRAMES // 40
    # also where pixels are masked in several ways, in one graph
    store, heat = recorded(pixels())
    grid = {"names": ["max", "std"], "threshold": [None, 20.0, 30.0]}
    fx.spec_values(heat, grid, SEGMENTS).compute(scheduler="sync")
    assert len(store.places) == len({*store.places}) == PEOPLE * FRAMES // 40


def test_spec_values__are_those_of_embed(found):
    _, heat = recorded(pixels())
    grids = [
        {"names": [["mean", "p80"], "std"], "wavelet": "db2", "level": 3, "bands": [[1, 3]]},
        {"names": "std", "bandpass_hz": [(0.5, 2.0)], "summary": ["log_variance", "mean"]},
        {"names": "mean", "threshold": 28.0, "summary": "mobility_hz"},
    ]
    out = fx.spec_values(heat.chunk(time=64), grids, SEGMENTS).compute()
    for i in range(out.sizes["spec"]):
        asked = json.loads(out.options[i].item())
        how, band = asked.pop("summary"), asked.pop("bandpass_hz", None)
        x = fx.embed(heat, **asked).compute()
        x = x if band is None else fx.bandpass(x, band)
        cut = fx.prepare(x, SEGMENTS).values
        raw = fx.embed(heat, asked["names"], threshold=asked.get("threshold", "recording"))
        raw = fx.prepare(raw, SEGMENTS).values
        moved = np.sqrt((np.diff(cut) ** 2).mean(-1) / cut.var(-1)) * RATE / 2 / np.pi
        expected = {
            "log_variance": np.log(cut.var(-1)), "mean": cut.mean(-1), "mobility_hz": moved,
        }[how]  # fmt: skip
        mine = out.isel(column=out.spec_of.values == i)
        assert mine.feature.values.tolist() == asked["names"]
        np.testing.assert_allclose(mine.value, expected, rtol=1e-4)
        np.testing.assert_allclose(mine.sample_energy, cut.var(-1) / raw.var(-1), rtol=1e-4)
        np.testing.assert_allclose(mine.sample_mobility_hz, moved, rtol=1e-4)


def test_mobility__of_a_sine_is_its_frequency():
    from fhemb_xr.kernels.search.summaries import mobility

    t = np.arange(1000) / 50
    assert mobility(np.sin(2 * np.pi * 2 * t), 50.0) == pytest.approx(2, rel=0.01)
    assert np.isnan(mobility(np.ones(9), 50.0))


class Pick(TransformerMixin, BaseEstimator):
    """Columns of one spec."""

    def __init__(self, spec=0, of=None):
        self.spec, self.of = spec, of

    def fit(self, x, y=None):
        return self

    def transform(self, x):
        return x[:, np.asarray(self.of) == self.spec]


@pytest.mark.parametrize("score", ["accuracy", "auc"])
def test_search__equals_nested_grid_search_of_scikit_learn(score):
    table = world(np.random.default_rng(3), people=8, specs=3, columns=2, effect=1.2)
    # with two inner parts, exchanged ones would score the same
    how = {"n_splits": 2, "n_inner": 3, "n_permutations": 0}
    out = fx.search(table, score=score, seed=5, **how).compute()
    x = table.value.values.reshape(8, 8, -1)
    x = (x - x.mean(axis=1, keepdims=True)).reshape(64, -1)
    y = np.tile(np.arange(8) % 2, 8)
    samples = nested.Samples(y, table.subject.values, table.start.values.astype(int))
    outer = samples.parts(2, np.random.default_rng([5, 0]))
    scoring = {"accuracy": "balanced_accuracy", "auc": _area}[score]
    model = make_pipeline(Pick(of=table.spec_of.values), StandardScaler(), NearestCentroid())
    tests = []
    for k, (train, test) in enumerate(outer):
        inner = samples.only(train).parts(3, np.random.default_rng([5, 2, k]))
        grid = {"pick__spec": np.arange(3)}
        tuned = GridSearchCV(model, grid, scoring=scoring, cv=inner).fit(x[train], y[train])
        assert tuned.best_params_["pick__spec"] == out.chosen[k]
        tests.append(tuned.score(x[test], y[test]))
    np.testing.assert_allclose(out.nested_fold, tests, atol=1e-12)
    assert out.nested == pytest.approx(np.mean(tests), abs=1e-12)
    plain = GridSearchCV(model, grid, scoring=scoring, cv=outer).fit(x, y)
    np.testing.assert_allclose(out.score, plain.cv_results_["mean_test_score"], atol=1e-12)


def _area(model, x, y):
    from sklearn.metrics import roc_auc_score

    scaled = model[:-1].transform(x)
    near = [((scaled - c) ** 2).sum(axis=1) for c in model[-1].centroids_]
    return roc_auc_score(y, near[0] - near[1])


def test_search__keeps_tested_people_and_segments_apart():
    rng = np.random.default_rng(1)
    samples = nested.Samples(
        np.tile(np.arange(8) % 2, 6), np.repeat(np.arange(6), 8), np.tile(np.arange(8), 6)
    )
    for n in (2, 3, 5):
        outer = samples.parts(n, rng)
        tested = np.concatenate([test for _, test in outer])
        assert sorted(tested) == list(range(48))
        for train, test in outer:
            assert {*samples.labels[test]} == {*samples.labels[train]} == {0, 1}
            for who in (samples.groups, samples.segments):
                assert not {*who[train]} & {*who[test]}
    # what is left of one segment cannot be split again
    assert samples.only(np.flatnonzero(samples.segments < 2)).parts(2, rng) == []


def test_search__asks_limits_of_what_is_learnt_from_alone():
    samples = nested.Samples(
        np.tile(np.arange(8) % 2, 4), np.repeat(np.arange(4), 8), np.tile(np.arange(8), 4)
    )
    asked = []

    def allowed(rows):
        asked.append(rows)
        return np.ones(3, bool)

    how = {"n_splits": 2, "n_inner": 2, "n_folds": 4, "seed": 0}
    nested.searched(lambda y, train, test: np.arange(3.0), samples, allowed, **how)
    parts = samples.parts(2, np.random.default_rng([0, 0]))
    for rows, (train, _) in zip(asked, parts, strict=True):
        np.testing.assert_array_equal(rows, train)


def test_search__without_an_effect_is_at_chance_also_where_segments_have_a_level():
    rng = np.random.default_rng(7)
    for shared in (0.0, 2.0):
        p, scores = [], []
        for seed in range(12):
            table = world(rng, people=4, specs=4, shared=shared)
            how = {"n_splits": 2, "n_inner": 2, "n_permutations": 19}
            out = fx.search(table, seed=seed, **how)[["p", "nested"]].compute(scheduler="sync")
            p.append(out.p.item())
            scores.append(out.nested.item())
        # 12 draws of a mean of 0.5; p of 20 values, and labels change places with others
        assert abs(np.mean(scores) - 0.5) < 4 * np.std(scores) / np.sqrt(12)
        assert np.mean(np.array(p) <= 0.25) <= 0.5
        assert 0.3 < np.mean(p) < 0.8


def test_null__exchanges_whole_segments_alike_for_all():
    rng = np.random.default_rng(0)
    samples = nested.Samples(
        np.tile([0, 0, 1, 1], 3), np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    )
    drawn = {tuple(samples.exchanged(rng).labels[:4]) for _ in range(60)}
    assert len(drawn) == 6
    for _ in range(5):
        new = samples.exchanged(rng)
        assert folding.of_segments(new.labels, new.segments)
        assert sorted(new.labels) == sorted(samples.labels)


def test_search__subtracts_the_mean_of_each_person_if_asked():
    far = world(np.random.default_rng(2), specs=2, effect=4.0)
    far["value"] = far.value + 50.0 * far.subject
    how = {"n_splits": 2, "n_inner": 2, "n_permutations": 0, "seed": 0}
    assert fx.search(far, **how).score[0] > 0.9
    assert fx.search(far, centre=False, **how).score[0] < 0.7


def test_accuracy__is_the_mean_over_the_classes():
    y, d = np.repeat([0, 1, 2], [2, 5, 9]), np.random.default_rng(0).random((3, 16, 4))
    told = d.argmin(axis=0)
    expected = [balanced_accuracy_score(y, some) for some in told.T]
    np.testing.assert_allclose(centroids.accuracy(d, y), expected)


def test_search__chooses_within_limits():
    table = world(np.random.default_rng(2), effect=6.0)
    table["sample_energy"] = table.sample_energy.copy(deep=True)
    table["sample_energy"][:, 0] = 0.01
    table["sample_mobility_hz"] = table.sample_mobility_hz.copy(deep=True)
    table["sample_mobility_hz"][:, 1] = 9.0
    how = {"n_splits": 3, "n_permutations": 0, "seed": 0}
    free = fx.search(table, **how).compute()
    assert free.best == 0
    assert free.nested > 0.95
    assert np.isnan(free.p)
    tied = fx.search(table, min_energy=0.1, max_mobility_hz=5, **how).compute()
    assert tied.allowed.values.tolist() == [False, False, True, True, True]
    assert tied.best > 1
    assert (tied.chosen > 1).all()
    none = fx.search(table, max_mobility_hz=0.5, **how).compute()
    assert none.best == -1
    assert (none.chosen == -1).all()
    assert np.isnan(none.nested)


def test_search__leaves_out_samples_without_a_face_and_specs_without_a_value():
    table = world(np.random.default_rng(2), effect=6.0)
    how = {"n_splits": 3, "n_permutations": 3, "seed": 0}
    lost = table.copy(deep=True)
    lost["value"][3] = np.nan
    out = fx.search(lost, **how).compute()
    assert (out.n_used, out.best) == (47, 0)
    assert (out.n_missing == 0).all()
    lost["value"][5, 0] = np.nan
    out = fx.search(lost, **how).compute()
    assert np.isnan(out.score[0])
    assert out.n_missing[0] == 1
    assert out.best > 0
    lost["value"][:] = np.nan
    out = fx.search(lost, **how).compute()
    assert (out.n_used, out.best) == (0, -1)
    assert out[["best_score", "nested", "p"]].to_array().isnull().all()


def test_search__by_another_classifier_and_by_chunks_is_the_same():
    table = world(np.random.default_rng(4), specs=2, effect=1.0, people=4)
    how = {"n_splits": 2, "n_inner": 2, "n_permutations": 0, "seed": 0}
    one = fx.search(table, classifier="knn_euclidean", **how).compute()
    again = fx.search(table.chunk(sample=8, column=1), classifier="knn_euclidean", **how)
    xr.testing.assert_equal(one, again.compute())
    assert one.score[0] > 0.6
    other = fx.search(table, **how).compute()
    assert not (other.score == one.score).all()


def test_search__goes_on_where_it_was_interrupted(tmp_path, found):
    _, _, expected = found
    store, heat = recorded(pixels())
    out = fx.search(heat, GRID, SEGMENTS, n_splits=3, n_inner=2, n_permutations=39, seed=0)
    good = store.values

    class BrokenError(Exception):
        pass

    class Failing:
        """Breaks when most of the people are read."""

        def __getitem__(self, where):
            if len(store.places) > 36:
                raise BrokenError
            return good[where]

    store.values = Failing()
    with dask.config.set(scheduler="sync"), pytest.raises(BrokenError):
        fx.save(out, tmp_path / "found.zarr", resume=True)
    store.values = good
    store.places.clear()
    fx.save(out, tmp_path / "found.zarr", resume=True)
    assert 0 < len(store.places) < PEOPLE * FRAMES // 40
    again = fx.open_result(tmp_path / "found.zarr").compute()
    more = fx.search(again, n_splits=3, n_inner=2, n_permutations=0, seed=0).compute()
    xr.testing.assert_equal(more.score.drop_attrs(), expected.score.drop_attrs())
    xr.testing.assert_equal(again.drop_attrs(), expected.drop_attrs())
    assert "pickle" not in str([*tmp_path.rglob("*")])


def test_search__does_not_go_on_from_another_search(tmp_path):
    table = world(np.random.default_rng(4), specs=2, people=4).chunk()
    how = {"n_splits": 2, "n_inner": 2, "n_permutations": 3}
    for seed in (0, 1):
        out = fx.search(table, seed=seed, **how)
        fx.save(out, tmp_path / "found.zarr", resume=True, mode="w")
        again = fx.open_result(tmp_path / "found.zarr").compute()
        xr.testing.assert_equal(again.drop_attrs(), out.compute().drop_attrs())


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda x: fx.search(x, GRID, seed=0), SchemaError, "needs specs and segments"),
        (lambda x: fx.search(x, GRID, {"calm": CALM}, seed=0), ValueError, "two classes"),
        (lambda x: fx.search(x[:4], GRID, SEGMENTS, n_splits=5, seed=0), ValueError, "need 5"),
        (lambda x: fx.search(x[:2], GRID, SEGMENTS, n_splits=2, seed=0), ValueError, "need 3"),
        (lambda x: fx.search(x[:3], GRID, SEGMENTS, n_splits=2, seed=0), ValueError, "person"),
        (lambda x: ask(x, {"calm": CALM, "storm": STORM[:2]}), ValueError, "2 of 'storm'"),
        (lambda x: ask(x, names=["maen"]), UnknownNameError, "nearest"),
        (lambda x: ask(x, nmes=["mean"]), UnknownNameError, "option of a spec 'nmes'"),
        (lambda x: ask(x, summary="power"), UnknownNameError, "no summary"),
        (lambda x: ask(x, names=[]), ValueError, r"names=\[\]"),
        (lambda x: ask(x, names="mean", bands=2), ValueError, "two specs or more, found 1"),
        (lambda x: ask(x, names=["mean", "Mean"]), ValueError, "give the same"),
        (lambda x: ask(x, level=[3, 4]), ValueError, "give the same"),
        (lambda x: ask(x, wavelet=None), ValueError, "without a wavelet"),
        (lambda x: fx.search(x, {"bandpass_hz": [5, 6]}, SEGMENTS, seed=0), ValueError, "pair"),
        (lambda x: ask(x, bandpass_hz=(1, 2)), ValueError, "two grids"),
        (lambda x: ask(x, pca=fx.pca(x, 2)), SchemaError, "an xarray.Dataset as 'pca'"),
        (lambda x: fx.search(x, "mean", SEGMENTS, seed=0), SchemaError, "specs are a mapping"),
        (lambda x: more(x, classifier="svm"), UnknownNameError, "no classifier"),
        (lambda x: more(x, score="f1"), UnknownNameError, "no score"),
        (lambda x: more(x, score="auc", classifier="randf"), ValueError, "score='accuracy'"),
        (lambda x: more(x, min_energy=1.5), ValueError, "min_energy"),
        (lambda x: more(x, max_mobility_hz=0), ValueError, "max_mobility_hz"),
        (lambda x: more(x, n_inner=1), ValueError, "n_inner"),
        (lambda x: fx.search(given(), GRID, seed=0), ValueError, "no effect"),
    ],
)  # fmt: skip
def test_search__names_what_is_wrong(ask, error, text):
    with pytest.raises(error, match=text):
        ask(recorded(pixels())[1])


def given():
    return world(np.random.default_rng())


def ask(x, segments=SEGMENTS, **changed):
    return fx.search(x, {**GRID, **changed}, segments, n_splits=3, seed=0)


def more(x, **options):
    return fx.search(x, GRID, SEGMENTS, **{"n_splits": 3, "seed": 0, **options})


def test_search__says_where_p_cannot_be_small_and_keeps_to_the_budget():
    few = world(np.random.default_rng(0), segments=6)
    with pytest.warns(UserWarning, match="in 10 ways that differ, so p is hardly below 0.1"):
        out = fx.search(few, n_splits=3, n_inner=2, seed=0)
    assert out.attrs["least_p"] == 0.1
    with fx.set_options(budget=1000), pytest.raises(BudgetError, match="fewer specs"):
        fx.search(world(np.random.default_rng(0)), n_permutations=0, seed=0)


def test_search__of_one_spec_for_each_method_of_the_accessor(computes):
    _, heat = recorded(pixels())
    ds = heat.to_dataset(name="heatmap")
    with computes(0):
        a = ds.fhemb.search(GRID, SEGMENTS, n_splits=3, n_permutations=0, seed=0)
        values = ds.fhemb.spec_values(GRID, SEGMENTS)
        b = values.fhemb.search(n_splits=3, n_permutations=0, seed=0)
    xr.testing.assert_equal(a, b)
    # tasks grow with chunks and people, not with specs times permutations
    some = len(fx.search(values, n_splits=3, n_permutations=20, seed=0).__dask_graph__())
    assert some - len(a.__dask_graph__()) < 20
    assert len(values.__dask_graph__()) < 40 * heat.data.npartitions
