"""Which face a heart belongs to: exact where it must be, right on simulated faces."""

import itertools
import tracemalloc

import numpy as np
import pytest
import scipy.fft
import scipy.special
import scipy.stats
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError, UnknownNameError
from fhemb_xr.kernels.cardiac import pairing_scores, pulse_band
from fhemb_xr.kernels.inference import forced_choice

TINY = {"epochs": 2, "batch": 8, "spatial": 2, "channels": 4}


@pytest.fixture(scope="module")
def people():
    """Ten simulated people with a strong pulse, two clips each, in memory."""
    return fx.testing.hearts(10, 2, snr_db=-4).compute()


@pytest.fixture(scope="module")
def models(people):
    return {
        "blind": None,
        "linear": fx.train_pairing(people, people.trace),
        "r2plus1d": fx.train_pairing(people, people.trace, method="r2plus1d", **TINY),
    }


@pytest.fixture(scope="module")
def strangers():
    return fx.testing.hearts(5, 2, snr_db=-4, first=500).compute()


METHODS = ("blind", "linear", "r2plus1d")


@pytest.mark.parametrize("method", METHODS)
def test_pair__flips_exactly_when_candidates_change_places(strangers, models, method):
    for heart, (a, b) in itertools.product((500, 502), ((500, 501), (503, 502))):
        trace = strangers.trace.sel(subject=heart, drop=True)
        options = {"method": method, "model": models[method]}
        one = strangers.fhemb.pair(trace, [a, b], **options)
        two = strangers.fhemb.pair(trace, [b, a], **options)
        for name in ("score", "probability"):
            np.testing.assert_array_equal(one[name].values, two[name].values[..., ::-1])
        margin = one.score.diff("candidate").values
        np.testing.assert_array_equal(margin, -two.score.diff("candidate").values)
        np.testing.assert_allclose(one.probability.sum("candidate"), 1)


def test_probability__is_of_the_candidate_wherever_it_stands():
    rng = np.random.default_rng(0)
    score = rng.normal(0, 3, size=(200, 7))
    order = rng.permutation(7)
    found = pairing_scores.probability(score)
    np.testing.assert_array_equal(pairing_scores.probability(score[:, order]), found[:, order])
    np.testing.assert_allclose(found, scipy.special.softmax(score, axis=-1), rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_pair__does_not_depend_on_chunks_or_on_who_else_is_there(strangers, models, method):
    options = {"method": method, "model": models[method]}
    whole = fx.pair(strangers, strangers.trace, **options)
    chunked = fx.pair(
        strangers.chunk(subject=2, session=1, time=40, y=7),
        strangers.trace.chunk(subject=1, time=33),
        **options,
    )
    few = fx.pair(
        strangers, strangers.trace.sel(subject=[501]), candidates=[504, 501], **options
    )
    np.testing.assert_array_equal(chunked.score.compute(), whole.score)
    some = whole.score.sel(heart=[501], candidate=[504, 501])
    np.testing.assert_array_equal(few.score, some)


def test_pair__computes_nothing_and_its_graph_is_linear(computes, models):
    def built(clips):
        ds = fx.testing.hearts(3, clips)
        ds = ds.assign_coords(subject=[501, 502, 503])  # unknown to the model
        with computes(0):
            out = fx.pair(ds, ds.trace, method="linear", model=models["linear"])
            right = fx.pairing_accuracy(out, ds.heart_rate)
        for a in (*out.data_vars.values(), right.accuracy):
            assert a.dtype == np.float64
        return len(out.score.__dask_graph__()) / (3 * clips)

    assert built(8) < 18
    assert built(8) <= 1.05 * built(4)


@pytest.mark.parametrize("method", ["blind", "linear"])
def test_pair__finds_unseen_people(strangers, models, method):
    out = fx.pair(strangers, strangers.trace, method=method, model=models[method])
    found = fx.pairing_accuracy(out, strangers.heart_rate, n_trials=400)
    assert float(found.accuracy.sel(difference="all")) > 0.85
    third = fx.pairing_accuracy(out, heart="third", n_trials=400).isel(difference=0)
    assert third.person_low < 0.5 < third.person_high


def test_pair__in_windows_of_a_long_recording(models):
    ds = fx.testing.hearts(3, 1, snr_db=0, seconds=35).compute()
    out = fx.pair(ds.chunk(time=100), ds.trace, method="blind", window_s=10)
    assert out.window.values.tolist() == [0, 10, 20]
    second = fx.pair(ds.isel(time=slice(150, 300)), ds.trace.isel(time=slice(150, 300)))
    np.testing.assert_array_equal(out.score.isel(window=1), second.score.isel(window=0))
    assert second.window.values.tolist() == [10]
    best = out.score.sum("window").isel(session=0).argmax("candidate")
    assert best.values.tolist() == [0, 1, 2]


def test_movie__is_the_band_of_scipy_where_there_is_no_slow_motion():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 4, 5))
    band = scipy.fft.dct(x, norm="ortho", axis=0)[14:61]  # 0.7-3 Hz in steps of 1/20 Hz
    found = pulse_band.movie(x, 15.0)
    assert pulse_band.cosines(150, 15.0, pulse_band.SLOW_HZ).shape == (150, 12)
    assert found.shape == band.shape
    # ten of twenty directions are the slow patterns' own; noise in them stays nearly as it is
    left = scipy.stats.pearsonr(found.ravel(), band.ravel()).statistic
    assert left > 0.9


def test_movie__brings_motion_down_to_the_noise():
    rng = np.random.default_rng(1)
    t = np.arange(150) / 15
    noise = 0.03 * rng.normal(size=(150, 8, 8))
    shape = rng.normal(size=(8, 8))
    course = 2 * np.sin(2 * np.pi * 0.2 * t) + 0.5 * np.sin(2 * np.pi * 1.1 * t)
    moved = pulse_band.movie(noise + course[:, None, None] * shape, 15.0)
    unit = shape / np.linalg.norm(shape)
    along = np.einsum("fyx,yx->f", moved, unit)
    assert np.sum(along**2) < 3 * len(along)  # that of noise of unit variance, about
    before = np.einsum("tyx,yx->t", noise + course[:, None, None] * shape, unit)
    band = pulse_band.cosines(150, 15.0, pulse_band.PULSE_HZ).T @ before
    assert np.sum(band**2) / 0.03**2 > 1000 * np.sum(along**2)


def test_movie__takes_the_memory_that_it_says():
    x = np.random.default_rng(0).normal(size=(150, 40, 40)).astype("float32")
    pulse_band.movie(x, 15.0)
    tracemalloc.start()
    pulse_band.movie(x, 15.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * x.size


def test_blind__is_the_regression_that_it_says():
    """Ridge regression of the wave on the blurred pixels, solved as such."""
    rng = np.random.default_rng(2)
    movie = rng.normal(size=(30, 6, 6))
    wave, _ = np.linalg.qr(rng.normal(size=(30, 2)))
    blurred = pairing_scores._blurred(movie).reshape(30, -1)
    gram = blurred @ blurred.T
    ridge = pairing_scores._RIDGE * np.median(np.linalg.eigvalsh(gram))
    shares = [w @ gram @ np.linalg.solve(gram + ridge * np.eye(30), w) for w in wave.T]
    expected = -15 * np.mean(np.log1p(-np.array(shares)))
    found = pairing_scores.explained(pairing_scores.subspace(movie), wave.T)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_weights__are_those_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    d = rng.normal(0.3, 1, size=(200, 3))
    both, label = np.concatenate([d, -d]), np.repeat([1, 0], 200)
    # our loss is a mean over n rows with ridge |w|²; theirs C · sum + |w|² / 2
    theirs = LogisticRegression(fit_intercept=False, C=1 / (2 * 1e-4 * 400), tol=1e-10)
    found = pairing_scores.learn_weights(d)
    np.testing.assert_allclose(found, theirs.fit(both, label).coef_[0], rtol=1e-3)


def test_wilson__is_that_of_scipy():
    expected = scipy.stats.binomtest(37, 50).proportion_ci(0.9, "wilson")
    np.testing.assert_allclose(
        forced_choice.wilson(37 / 50, 50, 0.1), (expected.low, expected.high)
    )


def test_trials__are_of_different_people():
    rng = np.random.default_rng(0)
    heart, own, foil, clip = forced_choice.drawn(4, 3, 5000, True, rng)
    assert not ((heart == own) | (heart == foil) | (own == foil)).any()
    counts = np.unique(np.stack([heart, own, foil]), axis=1, return_counts=True)[1]
    assert counts.size == 24
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    assert set(clip) == {0, 1, 2}
    heart, own, foil, _ = forced_choice.drawn(2, 1, 50, False, rng)
    assert (heart == own).all()
    assert (own != foil).all()


def test_accuracy__counts_what_a_loop_counts(strangers):
    rng = np.random.default_rng(4)
    score = strangers.trace.isel(time=0, drop=True).rename(subject="heart")
    score = score.expand_dims(candidate=strangers.subject.values, axis=-1)
    score = score.copy(data=rng.normal(size=score.shape).round(1))
    scores = score.to_dataset(name="score").expand_dims("window")
    scores.score[0, 0, 0] = np.nan
    out = fx.pairing_accuracy(scores, strangers.heart_rate, n_trials=300, seed=5)
    drawn = forced_choice.drawn(5, 2, 300, False, np.random.default_rng(5))
    data = scores.score.transpose("heart", "candidate", "window", "session").values
    rate = strangers.heart_rate.values
    right, difference = [], []
    for h, a, b, m in drawn.T:
        margin = data[h, a, 0, m] - data[h, b, 0, m]
        if np.isfinite(margin):
            right.append(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0)
            difference.append(abs(rate[a, m] - rate[b, m]))
    right, difference = np.array(right), np.array(difference)
    assert out.trials.sel(difference="all") == right.size < 300
    np.testing.assert_allclose(out.accuracy.sel(difference="all"), right.mean())
    far = difference >= 20
    np.testing.assert_allclose(out.accuracy.sel(difference=">20"), right[far].mean())
    assert out.trials.sel(difference="5-10") == ((difference >= 5) & (difference < 10)).sum()
    all_of = out.sel(difference="all")
    assert all_of.person_high - all_of.person_low > all_of.wilson_high - all_of.wilson_low
    assert out.confusion.sum(("truth", "told")).values.tolist() == out.trials.values.tolist()
    counts = out.confusion.sel(difference=">20").transpose("truth", "told").values
    np.testing.assert_allclose(np.trace(counts), right[far].sum())


def test_accuracy__has_the_scores_of_a_classifier():
    from sklearn import metrics

    rng = np.random.default_rng(3)
    right, edges = rng.integers(2, size=400).astype(float), np.array([0.0, 5.0])
    difference = rng.uniform(0, 10, 400)
    right[:4] = np.nan
    found = forced_choice.confusions(right, difference, edges, np.random.default_rng(7))
    truth = np.random.default_rng(7).integers(2, size=400)
    told = np.where(right == 1, truth, 1 - truth)
    for row, here in ((0, difference >= 0), (2, difference >= 5)):
        kept = here & np.isfinite(right)
        of = (truth[kept], told[kept])
        np.testing.assert_array_equal(
            found[row, 3:].reshape(2, 2), metrics.confusion_matrix(*of)
        )
        expected = [f(*of, average="macro") for f in (metrics.precision_score,
                    metrics.recall_score, metrics.f1_score)]  # fmt: skip
        np.testing.assert_allclose(found[row, :3], expected)


def test_shifted_trace__loses_its_face(strangers, models):
    """A pulse half a beat late fits its face less, where a method knows the delay."""
    beat = 60 / strangers.heart_rate.mean().item()
    late = strangers.trace.roll(time=round(beat * 7.5))  # half a beat at 15 frames a second
    scores = [
        fx.pair(strangers, t, method="linear", model=models["linear"]).score
        for t in (strangers.trace, late)
    ]
    own = [np.mean([s.sel(heart=p, candidate=p) for p in s.heart.values]) for s in scores]
    other = [float(s.mean()) for s in scores]
    assert own[0] - other[0] > 1.5 * (own[1] - other[1])


def test_models__are_data_that_a_store_keeps(tmp_path, strangers, models):
    for method in ("linear", "r2plus1d"):
        fx.save(models[method], tmp_path / f"{method}.zarr")
        again = fx.open_result(tmp_path / f"{method}.zarr")
        options = {"method": method, "candidates": [500, 501]}
        a = fx.pair(strangers, strangers.trace, model=models[method], **options)
        b = fx.pair(strangers, strangers.trace, model=again, **options)
        np.testing.assert_array_equal(a.score, b.score)


def test_network__learns_on_seeded_data(people):
    """Its loss falls, the same seed gives the same arrays, and validation is of others."""
    seen = []
    how = {"method": "r2plus1d", "validation": 0.2, "seed": 3}
    how |= {**TINY, "epochs": 6, "report": lambda n, figures: seen.append((n, {**figures}))}
    model = fx.train_pairing(people, people.trace, **how)
    assert model.loss[-1] < model.loss[0]
    assert [n for n, _ in seen] == list(range(6))
    assert {"loss", "validation_loss", "validation_accuracy"} <= set(seen[0][1])
    again = fx.train_pairing(people, people.trace, **how)
    xr.testing.assert_identical(model, again)


def test_loss__knows_no_order_of_faces():
    import torch

    from fhemb_xr.nn.training import contest

    score = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    person = torch.tensor([0, 0, 1, 1, 2, 2])
    turn = torch.tensor([5, 3, 0, 1, 4, 2])
    moved = contest(score[turn][:, turn], person[turn])
    np.testing.assert_allclose(contest(score, person), moved, rtol=1e-6)


def test_network__leaves_torch_as_it_was(strangers, models):
    import torch

    threads = torch.get_num_threads()
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    fx.pair(strangers, strangers.trace, method="r2plus1d", model=models["r2plus1d"])
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(1), expected)


def test_pair__of_gaps_and_of_no_face(strangers):
    ds = strangers.copy(deep=True)
    ds.heatmap[0] = np.nan  # never seen
    ds.heatmap[1, :, 20:28] = np.nan  # half a second lost
    ds.heatmap[2, :, 60:] = np.nan  # most is lost
    ds.heatmap[3, :, :, 0, :] = np.nan  # a row outside the face
    ds.heatmap[4] = 31.0
    out = fx.pair(ds, strangers.trace)
    known = np.isfinite(out.score).all(["heart", "session", "window"])
    assert known.values.tolist() == [False, True, False, True, False]
    lost = strangers.trace.copy(deep=True)
    lost[:, :, :60] = np.nan
    assert np.isnan(fx.pair(strangers, lost).score).all()


def test_pair__says_what_is_wrong(strangers, models):
    ds, trace = strangers, strangers.trace
    with pytest.raises(UnknownNameError, match=r"no method 'cnn': there are blind, linear"):
        fx.pair(ds, trace, method="cnn")
    with pytest.raises(UnknownNameError, match=r"no subject 499; the nearest are 500"):
        fx.pair(ds, trace, [499, 500])
    with pytest.raises(ValueError, match=r"two candidates or more, found 1"):
        fx.pair(ds, trace, [500])
    with pytest.raises(ValueError, match=r"'linear' needs a model: train one"):
        fx.pair(ds, trace, method="linear")
    with pytest.raises(SchemaError, match=r"model is of method 'linear', asked for 'r2plus1d'"):
        fx.pair(ds, trace, method="r2plus1d", model=models["linear"])
    with pytest.raises(SchemaError, match=r"trained on \(20, 16\) pixels, .* \(19, 16\)"):
        fx.pair(ds.isel(y=slice(1, None)), trace, method="linear", model=models["linear"])
    with pytest.raises(SchemaError, match=r"another clock than the faces"):
        fx.pair(ds, trace.isel(time=slice(None, None, 2)))
    with pytest.raises(ValueError, match=r"window of 11 s is longer than the series of 10 s"):
        fx.pair(ds, trace, window_s=11)
    slow = ds.heatmap.drop_vars("time").assign_attrs(sampling_rate=1.0)
    with pytest.raises(SchemaError, match=r"needs 6 frames a second, found 1"):
        fx.pair(slow, trace.drop_vars("time").drop_attrs())
    with pytest.raises(SchemaError, match=r"says 1 Hz, 'time' has 15 Hz"):
        fx.pair(ds.heatmap.assign_attrs(sampling_rate=1.0), trace)
    with pytest.raises(UnknownNameError, match=r"no option 'layers' of method 'linear'"):
        fx.train_pairing(ds, trace, layers=3)
    with pytest.raises(ValueError, match=r"three people or more .* found 2 of 2"):
        fx.train_pairing(ds.isel(subject=[0, 1]), trace.isel(subject=[0, 1]))
    with pytest.raises(SchemaError, match=r"give fx.pair the trace of every subject"):
        fx.pairing_accuracy(fx.pair(ds, trace.isel(subject=0, drop=True)))
    with fx.set_options(budget=1000), pytest.raises(BudgetError, match=r"one window of a face"):
        fx.pair(ds, trace)


def test_hearts__are_the_same_people_in_any_set():
    a = fx.testing.hearts(3, 2).isel(subject=[2])
    b = fx.testing.hearts(1, 2, first=2)
    xr.testing.assert_identical(a.compute(), b.compute())
    other = fx.testing.hearts(1, 2, first=2, seed=1)
    assert not np.array_equal(b.heatmap, other.heatmap)
    fx.schema.validate(b)


def test_hearts__have_the_pulse_that_they_say():
    """The difference of two recordings that differ in the pulse alone."""
    quiet, loud = (
        fx.testing.hearts(2, 1, snr_db=db).heatmap.isel(session=0) for db in (-300, -16)
    )
    pulse = (loud - quiet).std("time").max(["y", "x"])
    np.testing.assert_allclose(pulse, 0.03 * 10 ** (-16 / 20), rtol=0.2)
    still = quiet.isel(time=slice(1, None)).values - quiet.isel(time=slice(-1)).values
    assert np.quantile(still.std(axis=1), 0.1) == pytest.approx(0.03 * np.sqrt(2), rel=0.15)
