import dask
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fhemb_xr.errors import BudgetError, EmptySelectionError, SchemaError, UnknownNameError
from fhemb_xr.kernels.inference import binomial
from fhemb_xr.kernels.inference import cross_validation as kernel
from fhemb_xr.ops.classification import classifiers as zoo
from fhemb_xr.ops.classification import forests
from fhemb_xr.ops.classification.cross_validation import classify
from fhemb_xr.ops.classification.segments import prepare
from fhemb_xr.ops.pairwise.matrix import pairwise
from fhemb_xr.options import set_options

CALM, STORM = (100.0, 100.8), (101.6, 102.4)
SEGMENTS = {"calm": CALM, "storm": STORM}


def faces(n=10, signal=0.0, features=0, sessions=0, seed=0, t=60):
    """Noise; from the 40th frame on, higher by ``signal``."""
    rng = np.random.default_rng(seed)
    x = xr.DataArray(
        rng.normal(size=(n, t)) + signal * (np.arange(t) >= 40),
        dims=("subject", "time"),
        coords={"subject": np.arange(40, 40 + n), "time": 100 + np.arange(t) / 25},
        attrs={"units": "degC", "sampling_rate": 25.0},
        name="embedding",
    )
    if features:
        x = xr.concat([x, 2 * x], "feature").assign_coords(feature=["p80", "mean"])
    return x.expand_dims(session=list("ab")[:sessions]).copy() if sessions else x


def scenes(x):
    """Samples of one segment a class, which nothing tells: people alone are split."""
    return prepare(x, SEGMENTS).drop_vars("start")


def test_prepare__cuts_every_person_out_of_every_segment(computes):
    x = faces(3, features=2, sessions=2)
    with computes(0):
        got = prepare(x.chunk(time=7, subject=2), SEGMENTS)
    assert got.dims == ("sample", "feature", "time")
    assert got.shape == (12, 2, 20)
    assert got.subject.values.tolist() == [40] * 4 + [41] * 4 + [42] * 4
    assert got.attrs["units"] == "degC"
    np.testing.assert_allclose(got.time, np.arange(20) / 25)
    for sample in got:
        start = {"calm": 0, "storm": 40}[sample.label.item()]
        one = x.sel(subject=sample.subject, session=sample.session.item())
        np.testing.assert_array_equal(sample, one[:, start : start + 20])
        assert sample.start == 100 + start / 25


def test_prepare__takes_several_segments_of_a_class():
    got = prepare(faces(2), {"calm": [CALM, (100.8, 101.6)], "storm": STORM})
    assert got.label.values.tolist() == ["calm", "calm", "storm"] * 2
    np.testing.assert_array_equal(got.start, [100.0, 100.8, 101.6] * 2)


def test_prepare__cuts_marks_of_any_length_into_windows_that_stay_together():
    x = faces(2)
    marks = [(100.0, 0.85, "calm"), (101.2, 0.4, "storm")]
    got = prepare(x, marks, window_s=0.4)
    assert got.label.values.tolist() == ["calm", "storm", "calm"] * 2
    np.testing.assert_array_equal(got.start, [100.0, 101.2, 100.0] * 2)
    np.testing.assert_allclose(got.offset, [0.0, 0.0, 0.4] * 2)
    np.testing.assert_array_equal(got[5], x[1, 10:20])
    np.testing.assert_allclose(got.time, np.arange(10) / 25)
    with pytest.raises(ValueError, match="a class needs two segments or more"):
        classify(got, "knn_euclidean", seed=0)  # two windows are no two segments


def test_classify__says_that_too_few_segments_are_whole():
    x = faces(3).copy()
    x[:, 5] = np.nan
    samples = prepare(x, {"calm": [CALM, (100.8, 101.6)], "storm": [STORM, (101.2, 102)]})
    with pytest.raises(ValueError, match=r"left without 6 samples .*fill short gaps"):
        classify(samples, "knn_euclidean", seed=0).compute()


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda x: prepare(x, {"calm": CALM}), ValueError, "two classes or more"),
        (
            lambda x: prepare(x, {"a": CALM, "b": (101, 101.4)}),
            ValueError,
            r"\[10, 20\] frames; window_s=",
        ),
        (
            lambda x: prepare(x, {"a": CALM, "b": (101, 101.4)}, window_s=0.6),
            ValueError,
            "segment 'b' of 0.4 s at 101 s: choose window_s=0.4",
        ),
        (lambda x: prepare(x, {"a": CALM, "b": (102, 103)}), EmptySelectionError, "102.4 s"),
        (lambda x: prepare(x.expand_dims(band=2), SEGMENTS), SchemaError, "'band'"),
        (lambda x: prepare(x, SEGMENTS, dim="seat"), SchemaError, "'seat'"),
        (lambda x: classify(x, seed=0), SchemaError, "'sample'"),
        (lambda x: classify(x.rename(subject="sample"), seed=0), SchemaError, "fx.prepare"),
        (lambda x: ask(x, "knn_euclid"), UnknownNameError, "nearest are knn_euclidean"),
        (lambda x: ask(x, "knn_precomputed"), ValueError, "needs relation=fx.pairwise"),
        (lambda x: ask(x, scale="loud"), UnknownNameError, "no scale 'loud'"),
        (lambda x: ask(x, n_splits=1), ValueError, "n_splits is a whole number from 2"),
        (lambda x: ask(x, n_permutations=1.5), ValueError, "found 1.5"),
        (lambda x: ask(x, relation=pairwise(x, "dtw")), SchemaError, "of the 20 samples"),
        (lambda x: ask(x[:1]), ValueError, "need two subjects or more"),
    ],
)
def test_classify__names_what_is_wrong(ask, error, text):
    with pytest.raises(error, match=text):
        ask(faces())


def ask(x, *args, **kwargs):
    return classify(scenes(x), *args, seed=0, **kwargs)


def test_classify__refuses_more_than_the_budget():
    with set_options(budget=1000), pytest.raises(BudgetError, match="shorter segments"):
        ask(faces())


class Spy:
    """Learns nothing but whom it saw; the first number of a sample is the person."""

    def fit(self, x, y):
        self.seen = set(x[:, 0])
        return self

    def predict(self, x):
        assert not self.seen & set(x[:, 0]), "a person is on both sides"
        return np.zeros(len(x), int)


@pytest.mark.parametrize("n_splits", [2, 4, 9])
def test_classify__never_has_a_person_on_both_sides(n_splits):
    samples = scenes(faces(9, sessions=2))
    person = samples.subject.values[:, None]
    noise = np.random.default_rng(0).normal(size=samples.shape)
    samples = samples.copy(data=np.where(np.arange(20) == 0, person, noise))
    out = classify(
        samples, "spy", own={"spy": lambda seed: Spy()}, n_splits=n_splits, n_permutations=3,
        n_repeats=3, seed=1,
    ).compute()  # fmt: skip
    assert np.isfinite(out.right).all()  # everybody was tested
    assert out.n_subjects == 9


def test_classify__does_not_recognise_people():
    """Every person is unmistakable and has one label by chance: a leak would score 1."""
    rng = np.random.default_rng(3)
    n = 24
    own = rng.normal(size=(n, 1, 20)) * 10
    data = (own + rng.normal(size=(n, 4, 20)) / 10).reshape(4 * n, 20)
    samples = xr.DataArray(data, dims=("sample", "time")).assign_coords(
        subject=("sample", np.repeat(np.arange(n), 4)),
        label=("sample", np.repeat(rng.permutation(np.arange(n) % 2), 4)),
    )
    out = classify(samples, ["knn_euclidean", "svm_rbf", "randf"], n_permutations=0, seed=0)
    low, high = scipy.stats.binom.interval(1 - 1e-4, n, 0.5)  # a person is one trial
    assert ((out.accuracy >= low / n) & (out.accuracy <= high / n)).all()


@given(
    groups=st.lists(st.integers(0, 6), min_size=2, max_size=30),
    n=st.integers(2, 5),
    seed=st.integers(0, 9),
)
@settings(max_examples=60)
def test_folds__hold_all_samples_of_a_person(groups, n, seed):
    groups = np.array(groups)
    labels = np.random.default_rng(seed).integers(0, 2, groups.size)
    fold = kernel.folds(labels, groups, n, np.random.default_rng(seed))
    for g in np.unique(groups):
        assert np.ptp(fold[groups == g]) == 0
    people = np.unique(np.stack([fold, groups]), axis=1)[0]
    counts = np.bincount(people, minlength=n)
    assert np.ptp(counts) <= 1  # folds are alike


@given(groups=st.lists(st.integers(0, 5), min_size=4, max_size=30), seed=st.integers(0, 9))
def test_shuffled__labels_stay_where_they_may(groups, seed):
    groups, rng = np.array(groups), np.random.default_rng(seed)
    mixed = rng.integers(0, 2, groups.size)
    whole = rng.integers(0, 2, 6)[groups]
    got = kernel.shuffled(mixed, groups, rng)
    if kernel.within(mixed, groups):
        for g in np.unique(groups):
            assert sorted(got[groups == g]) == sorted(mixed[groups == g])
    got = kernel.shuffled(whole, groups, rng)
    for g in np.unique(groups):
        assert np.ptp(got[groups == g]) == 0


@pytest.mark.parametrize("scale", ["none", "meanvar"])
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("knn_minkowski", KNeighborsClassifier(3, metric="minkowski", p=3)),
        ("knn_cosine", KNeighborsClassifier(3, metric="cosine")),
        ("svm_poly", SVC(kernel="poly")),
    ],
)
def test_classify__is_cross_validation_by_sklearn(name, model, scale):
    samples = scenes(faces(12, signal=0.4, features=2))
    out = classify(samples, name, scale=scale, n_permutations=0, seed=7)
    y, who = ((samples[c] if c == "subject" else samples[c] == "storm").values.astype(int)
              for c in ("label", "subject"))  # fmt: skip
    fold = kernel.folds(y, who, 5, np.random.default_rng([7, 0, 0]))
    model = make_pipeline(StandardScaler(), model) if scale == "meanvar" else model
    found = cross_val_predict(
        model, samples.values.reshape(24, -1), y, cv=PredefinedSplit(fold)
    )
    np.testing.assert_array_equal(out.right, (found == y)[None])


@pytest.mark.parametrize("metric", ["dtw", "correlation"])
def test_classify__on_a_relation_learns_from_distances_to_the_others(metric, computes):
    samples = scenes(faces(12, signal=1.5).chunk(subject=5, time=20))
    with computes(0):
        relation = pairwise(samples, metric, "sample")
        out = classify(samples, ["knn_precomputed", "svm_precomputed", "svm_linear"],
                       relation=relation, n_permutations=0, seed=2)  # fmt: skip
    out = out.compute()
    d = relation.values if metric == "dtw" else 1 - relation.values
    y = (samples.label == "storm").values.astype(int)
    fold = kernel.folds(y, samples.subject.values, 5, np.random.default_rng([2, 0, 0]))
    for part in range(5):
        train, test = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        near = np.argsort(d[np.ix_(test, train)], axis=1, kind="stable")[:, :3]
        expected = (y[train][near].mean(1) > 0.5) == y[test]
        np.testing.assert_array_equal(
            out.right.sel(classifier="knn_precomputed")[test], expected
        )
        rows = d[np.ix_(train, train)], d[np.ix_(test, train)]
        expected = SVC(kernel="linear").fit(rows[0], y[train]).predict(rows[1]) == y[test]
        np.testing.assert_array_equal(out.right.sel(classifier="svm_linear")[test], expected)
    if metric == "dtw":
        assert (out.accuracy > 0.8).all()
    assert out.attrs["metric"] == metric


def test_classify__of_noise_is_chance():
    """p is uniform: on six recordings of noise its mean is near one half."""
    found = [
        classify(scenes(faces(12, seed=s)), ["knn_l1", "svm_rbf"], n_permutations=19,
                 seed=s).compute() for s in range(6)
    ]  # fmt: skip
    p = np.array([f.p.values for f in found])
    # the mean of 6 uniform p has a standard error of 0.12
    assert 0.525 - 3 * 0.12 < p.mean() < 0.525 + 3 * 0.12
    assert (np.array([f.p_fwer.values for f in found]) >= p - 1e-12).all()
    inside = [(f.subject_low <= 0.5) & (f.subject_high >= 0.5) for f in found]
    assert np.mean(inside) > 0.7
    assert all((f.chance == 0.5).all() for f in found)


def test_classify__of_noise_is_neither_above_nor_below_chance():
    found = [
        ask(faces(8, seed=s), "knn_euclidean", n_permutations=0).accuracy.values[0]
        for s in range(24)
    ]
    error = np.std(found, ddof=1) / np.sqrt(24)
    assert abs(np.mean(found) - 0.5) < 4 * error


def test_classify__finds_what_is_there_and_says_how_sure():
    names = ["knn_l1", "knn_cosine", "svm_linear", "svm_sigmoid"]
    samples = scenes(faces(10, signal=6))
    out = classify(samples, names, n_permutations=24, n_repeats=2, seed=0)
    out = out.compute()
    assert (out.accuracy.drop_sel(classifier="knn_cosine") == 1).all()
    sure = out.sel(classifier="svm_linear")
    assert sure.p == sure.p_fwer == 1 / 25
    assert sure.by_repeat.values.tolist() == [1, 1]
    assert sure.wilson_low == pytest.approx(20 / (20 + scipy.stats.norm.ppf(0.975) ** 2))
    assert sure.subject_low < sure.wilson_low
    assert sure.null.sizes["permutation"] == 24
    assert abs(float(sure.null.mean()) - 0.5) < 0.1
    assert out.accuracy.attrs["units"] == "1"


def test_classify__computes_nothing_and_gives_the_same_in_any_chunks_and_order(computes):
    samples = scenes(faces(8, signal=0.5))
    names = ["knn_euclidean", "rotf"]
    own = {"rotf": lambda seed: forests.RotationForest(2, seed=seed)}
    expected = classify(samples, names, own=own, n_permutations=21, seed=4)
    mixed = samples.isel(sample=np.random.default_rng(0).permutation(16))
    with computes(0):
        got = classify(mixed.chunk(sample=3, time=6), names, own=own, n_permutations=21, seed=4)
        more = classify(mixed.chunk(), names, own=own, n_permutations=221, seed=4)
    assert len(more.__dask_graph__()) < len(got.__dask_graph__()) + 2 * 10 * 5
    assert got.accuracy.dtype == got.accuracy.compute().dtype == np.float64
    got, expected = got.compute().sortby("sample"), expected.compute()
    xr.testing.assert_identical(got, expected)


def test_classify__leaves_out_who_misses_a_frame_and_what_is_there_twice():
    x = faces(8)
    x[0, 3] = np.nan  # calm of 40: its storm goes too
    x[2] = x[1]  # 42 is 41 again
    out = ask(x, "knn_euclidean", n_permutations=0).compute()
    lost = out.subject.where(out.right.isnull()[0], drop=True)
    assert lost.values.tolist() == [40, 40, 42, 42]
    assert out.n_used == 12
    assert out.n_subjects == 6
    nobody = ask(x * np.nan, "knn_euclidean", n_permutations=2).compute()
    assert nobody.n_used == 0
    assert np.isnan(nobody.accuracy).all()
    assert np.isnan(nobody.p_fwer).all()


def test_classify__of_two_calls_stay_apart():
    s = scenes(faces(6)).chunk()
    how = {"n_permutations": 2, "seed": 0}
    calls = [
        classify(s, "knn_l1", **how), classify(s + 1, "knn_l1", scale="minmax", **how),
        classify(s, "knn_l1", n_permutations=2, seed=1), classify(s, "knn_cosine", **how),
    ]  # fmt: skip
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


@pytest.mark.parametrize("alpha", [0.05, 0.3])
@pytest.mark.parametrize(("k", "n"), [(0, 9), (5, 12), (30, 30)])
def test_wilson__is_that_of_scipy(k, n, alpha):
    z = scipy.stats.norm.ppf(1 - alpha / 2)
    expected = scipy.stats.binomtest(k, n).proportion_ci(1 - alpha, "wilson")
    np.testing.assert_allclose(binomial.wilson(k / n, n, z), expected, atol=1e-12)


def test_clustered__holds_the_truth_where_samples_of_a_person_are_alike():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 4)
    held = {"clustered": 0, "wilson": 0}
    for _ in range(400):
        p = rng.beta(1.4, 0.6, 20)  # mean 0.7, people differ widely
        right = (rng.random(80) < p[groups]).astype(float)
        low, high = kernel.clustered(right, groups, 0.05)
        held["clustered"] += low <= 0.7 <= high
        low, high = binomial.wilson(right.mean(), 80, 1.96)
        held["wilson"] += low <= 0.7 <= high
    # 4 standard errors of 400 trials below 95 %
    assert held["clustered"] / 400 > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 400)
    assert held["wilson"] < held["clustered"]


def test_rotation_forest__turns_without_stretching_and_learns():
    x, y = load_wine(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    split = np.arange(len(x)) % 2 == 0
    forest = forests.RotationForest(20, seed=1).fit(x[split], y[split])
    _, axes, _ = forest.trees[0]
    np.testing.assert_allclose(
        np.einsum("gij,gik->gjk", axes, axes),
        np.broadcast_to(np.eye(3), axes.shape),
        atol=1e-12,
    )
    assert {*forest.trees[0][0].ravel()} == {*range(13)}
    assert (forest.predict(x[~split]) == y[~split]).mean() > 0.9


def test_shapelets__distances_are_those_of_the_loop():
    rng = np.random.default_rng(2)
    x, piece = rng.normal(size=(4, 30)) + 30, rng.normal(size=7)
    x[3] = 31.0  # constant: nothing to compare
    z = scipy.stats.zscore
    expected = [
        min(np.sqrt(((z(s[i : i + 7]) - z(piece)) ** 2).mean()) for i in range(24))
        for s in x[:3]
    ]
    np.testing.assert_allclose(forests.nearest(x, piece), [*expected, 1.0], atol=1e-9)
    assert forests.gain(np.array([1.0, 2, 3, 4]), np.array([0, 0, 1, 1])) == pytest.approx(
        np.log(2)
    )
    assert forests.gain(np.ones(4), np.array([0, 0, 1, 1])) == 0


def test_shapelet_forest__finds_a_form_wherever_it_is():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = 0.3 * rng.normal(size=(40, 1, 60))
    form = [
        np.sin(np.linspace(0, 2 * np.pi, 15)),
        np.sign(np.sin(np.linspace(0, 2 * np.pi, 15))),
    ]
    for series, label in zip(x[:, 0], y, strict=True):
        at = int(rng.integers(45))
        series[at : at + 15] += 4 * np.roll(form[0], 7 * label)
    forest = forests.ShapeletForest(seed=0).fit(x[:24], y[:24])
    assert (forest.predict(x[24:]) == y[24:]).mean() > 0.85


def test_classifiers__on_series_learn():
    samples = zoo.Samples(scenes(faces(8, signal=5)).values[:, None])
    y = np.arange(16) % 2
    train, test = np.arange(10), np.arange(10, 16)
    for name in zoo.SERIES:
        got = zoo.predict(name, samples, y, train, test, scale="none", seed=0, own={})
        assert (got == y[test]).mean() >= 0.5, name
    one = zoo.predict("svm_rbf", samples, 0 * y + 1, train, test, scale="none", seed=0, own={})
    assert one.tolist() == [1] * 6


def shared_levels(seed, n=10, segments=4):
    """Segments that have one level for all people each, and labels without a meaning."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.normal(size=segments), 20)
    x = xr.DataArray(
        rng.normal(size=(n, level.size)) * 0.7 + level,
        dims=("subject", "time"),
        coords={"subject": 40 + np.arange(n), "time": np.arange(level.size) / 20},
        attrs={"sampling_rate": 20.0},
    )
    spans = [(float(k), float(k + 1)) for k in range(segments)]
    return prepare(x, {"calm": spans[::2], "storm": spans[1::2]})


def test_classify__does_not_learn_a_segment_from_other_people():
    found = [
        classify(shared_levels(s), ["knn_euclidean"], n_permutations=19, seed=0).compute()
        for s in range(6)
    ]
    # the least that 19 permutations can give is .05: one of six by chance, all six by learning
    assert sum(float(f["p"][0]) <= 0.05 for f in found) <= 1
    assert all((f["null_low"] <= f["null_high"]).all() for f in found)


def test_classify__finds_a_label_that_many_segments_share():
    x = shared_levels(0, segments=12)
    x = x + 4.0 * (x["label"] == "storm")
    out = classify(x.assign_attrs(people="subject"), "knn_euclidean", n_permutations=19, seed=0)
    out = out.compute()
    assert float(out["accuracy"][0]) > 0.9
    assert float(out["p"][0]) <= 0.05


def test_classify__refuses_a_class_of_one_segment():
    x = prepare(faces(4), SEGMENTS)
    with pytest.raises(ValueError, match="two segments or more, found 1"):
        classify(x, "knn_l1", seed=0)
    lazy = x.chunk()
    with pytest.raises(ValueError, match="two segments or more, found 1"):
        classify(lazy, "knn_l1", n_permutations=0, seed=0).compute()


def test_segment_folds__hold_a_segment_in_one_fold_and_every_class_in_each():
    labels, segments = np.array([0, 0, 0, 1, 1, 1] * 3), np.arange(18) % 6
    fold = kernel.segment_folds(labels, segments, 5, np.random.default_rng(0))
    assert fold.max() == 2
    for s in range(6):
        assert np.unique(fold[segments == s]).size == 1
    for k in range(3):
        assert {*labels[fold == k]} == {0, 1}
    y = kernel.exchanged_segments(labels, segments, np.random.default_rng(1))
    assert kernel.of_segments(y, segments)
    assert sorted(y) == sorted(labels)
