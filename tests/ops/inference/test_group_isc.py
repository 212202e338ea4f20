import itertools

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.kernels.inference import group_isc as kernel


def audience(n=8, n_time=120, shared=1.0, seed=0):
    rng = np.random.default_rng(seed)
    at = np.arange(n_time) * 2 * np.pi / n_time
    course = np.sqrt(2) * np.sin([[5 * at], [7 * at]])  # of one size in both sessions
    x = rng.normal(size=(2, n, n_time)) + shared * course
    x = xr.DataArray(x, dims=("session", "subject", "time"))
    return x.assign_coords(
        session=["a", "b"],
        subject=np.arange(40, 40 + n),
        group=("subject", np.arange(n) % 2),
    ).assign_attrs(sampling_rate=10.0)


def pair_values(x):
    r = np.corrcoef(x)
    return r[np.triu_indices(len(r), 1)]


def test_group_isc__of_one_group_is_that_of_a_loop_over_signs():
    x = audience(n=4, shared=0.2).isel(session=0)
    out = fx.group_isc(x.chunk(), n=400, seed=0)
    r = np.corrcoef(x.values)
    upper = np.triu_indices(4, 1)
    mean = np.tanh(np.arctanh(r[upper]).mean())
    np.testing.assert_allclose(out["isc"], [mean, np.median(r[upper])], rtol=1e-12)
    signs = np.array(list(itertools.product([-1, 1], repeat=4)))
    turned = np.array([(r * np.outer(s, s))[upper] for s in signs])
    for k, null in enumerate([np.tanh(np.arctanh(turned).mean(axis=1)), np.median(turned, 1)]):
        exact = (np.abs(null) >= abs(out["isc"].values[k]) - 1e-12).mean()
        assert abs(out["p"].values[k] - exact) < 0.1  # four standard errors
    assert out["null"].sizes == {"summary": 2, "permutation": 400}
    np.testing.assert_array_equal(out["difference"], out["isc"])


def test_group_isc__bootstrap_draws_people_and_leaves_pairs_with_oneself_out():
    r = np.corrcoef(audience(n=5).values[0])
    who = np.array([0, 0, 2, 3, 3])
    expected = [r[a, b] for a, b in itertools.combinations(who, 2) if a != b]
    found = kernel._drawn(r, who)
    np.testing.assert_allclose(np.sort(found[np.isfinite(found)]), np.sort(expected))


def test_group_isc__of_two_groups_exchanges_people():
    x = audience(n=6).isel(session=0)
    x = x.where(x["group"] == 0, x + 3 * np.random.default_rng(1).normal(size=x.shape))
    out = fx.group_isc(x.chunk(subject=2), by="group", n=500, seed=0).compute()
    values = x.values
    means = [np.tanh(np.arctanh(pair_values(values[i::2])).mean()) for i in (0, 1)]
    np.testing.assert_allclose(out["isc"].sel(summary="mean"), means)
    assert out["group"].values.tolist() == [0, 1]
    null = []
    for first in itertools.combinations(range(6), 3):
        rest = [i for i in range(6) if i not in first]
        parts = [
            np.tanh(np.arctanh(pair_values(values[list(w)])).mean()) for w in (first, rest)
        ]
        null.append(parts[0] - parts[1])
    observed = means[0] - means[1]
    np.testing.assert_allclose(out["difference"].sel(summary="mean"), observed)
    exact = (np.abs(null) >= abs(observed) - 1e-12).mean()
    assert abs(float(out["p"].sel(summary="mean")) - exact) < 0.08


def test_group_isc__of_the_same_people_twice_finds_a_difference_and_its_interval():
    x = audience(n=10)
    noisy = x.isel(session=1) + 2 * np.random.default_rng(2).normal(size=(10, 120))
    x = xr.concat([x.isel(session=0), noisy], "session").assign_coords(session=["a", "b"])
    out = fx.group_isc(x.chunk(session=1), by="session", n=199, seed=0).compute()
    change = pair_values(x.values[0]) - pair_values(x.values[1])
    np.testing.assert_allclose(out["difference"], [change.mean(), np.median(change)])
    assert (out["p"] <= 0.05).all()
    assert (out["difference_low"] > 0).all()
    assert (out["low"] < out["isc"]).all()
    assert (out["isc"] < out["high"]).all()


def test_effects__of_pairs_that_add_are_those_of_the_people():
    part = np.random.default_rng(0).normal(size=6)
    d = part[:, None] + part
    np.testing.assert_allclose(kernel.effects(d), part, atol=1e-12)
    d[0, 1] = d[1, 0] = np.nan
    np.testing.assert_allclose(kernel.effects(d), part, atol=1e-12)


@pytest.mark.parametrize("by", [None, "group", "session"])
def test_group_isc__calls_about_five_of_a_hundred_null_data_sets_different(by):
    hits = 0
    for seed in range(30):
        x = audience(n=8, n_time=60, seed=seed, shared=0.0 if by is None else 1.0)
        x = x if by == "session" else x.isel(session=0)
        hits += float(fx.group_isc(x, by=by, n=19, seed=seed)["p"][0]) <= 0.05
    assert hits <= 6  # the chance of more is .001 where the rate is .05


def test_group_isc__computes_nothing_is_lazy_and_the_same_in_any_chunks(computes):
    x = audience().expand_dims(feature=3).copy()
    x[1] = x[1] * 2 + np.arange(120)
    for by in (None, "group", "session"):
        with computes(by == "group"):  # the labels
            lazy = fx.group_isc(x.chunk(feature=1, subject=3, time=50), by=by, n=9, seed=0)
        whole = fx.group_isc(x, by=by, n=9, seed=0)
        xr.testing.assert_identical(lazy.compute(), whole)
        assert all(v.dtype == np.float64 for v in whole.values())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"by": "seat"}, "coordinates"),
        ({"by": "subject"}, "select two"),
        ({"by": "feature"}, "select two"),
        ({"n": 0}, "n is a whole number"),
        ({"alpha": 2}, "alpha"),
    ],
)
def test_group_isc__says_what_is_wrong(options, text):
    x = audience(n=4).expand_dims(feature=3)
    with pytest.raises(ValueError, match=text):
        fx.group_isc(x, **{"n": 9, "seed": 0, **options})


@pytest.mark.parametrize("by", [["a", "b", "a"], np.array(["a", "b", "a"])])
def test_group_isc__takes_the_name_of_labels_not_the_labels(by):
    x = xr.DataArray(np.random.default_rng(0).normal(size=(3, 50)), dims=("subject", "time"))
    with pytest.raises(TypeError, match=r"assign_coords.*by='group'"):
        fx.group_isc(x, by=by, n=9, seed=0)
