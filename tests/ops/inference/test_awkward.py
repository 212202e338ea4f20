"""Awkward people: constant, missing, alone; awkward numbers. Nothing wrong in silence."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx

pytestmark = pytest.mark.filterwarnings("ignore:the smallest p:UserWarning")
NULLS = ("linear", "circular", "phase", "iaaft")


def people(n=5, n_time=64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, n_time)) + rng.normal(size=n_time)
    x = xr.DataArray(x, dims=("subject", "time"), attrs={"sampling_rate": 10.0})
    return x.assign_coords(row=("subject", np.arange(n) % 2))


def isc_with(x, null, **options):
    drawn = {"n": 19, "seed": np.int32(0)} if null in ("phase", "iaaft") else {}
    return fx.isc(x, null=null, **drawn, **options)


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("how", ["leave_one_out", "pairwise"])
def test_isc__of_a_constant_and_of_a_missing_face_is_not_tested(null, how):
    x = people()
    x[1], x[3] = 31.0, np.nan
    out = isc_with(x, null, how=how)
    whole = isc_with(x.isel(subject=[0, 2, 4]), null, how=how)
    pick = [0, 2, 4] if how == "leave_one_out" else np.ix_([0, 2, 4], [0, 2, 4])
    for name in ("isc", "p", "null_low"):
        lost = out[name].values.copy()
        there = lost[pick]
        lost[pick] = np.nan
        off_diagonal = ~np.eye(5, dtype=bool) if how == "pairwise" else slice(None)
        assert np.isnan(lost[off_diagonal]).all(), name
        assert (np.isfinite(there) == np.isfinite(whole[name].values)).all(), name
    p = out["p"].values[np.isfinite(out["p"].values)]
    assert ((p > 0) & (p <= 1)).all()


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("tail", ["greater", "less", "both"])
def test_isc__of_two_people_tests_them(null, tail):
    out = isc_with(people(2), null, tail=tail, alpha=0.3)
    assert np.isfinite(out["p"]).all()
    assert (out["null_low"] <= out["null_high"]).all()


@pytest.mark.parametrize("null", NULLS)
def test_isc__of_one_person_is_nothing(null):
    assert np.isnan(isc_with(people(1), null)["p"]).all()


def test_isc__with_one_surrogate_has_p_of_a_half_or_one():
    out = fx.isc(people(), null="phase", n=1, seed=0)
    assert set(out["p"].values.tolist()) <= {0.5, 1.0}


def test_swap__of_one_group_or_one_session_is_refused():
    x = people().assign_coords(row=("subject", [1] * 5))
    with pytest.raises(ValueError, match="two groups or more"):
        fx.isc(x, null="swap", across="row")
    with pytest.raises(ValueError, match="two groups or more"):
        fx.isc(people().expand_dims("session"), null="swap", across="session")


def test_swap__of_groups_of_one_tests_nobody():
    x = people(3).assign_coords(row=("subject", [0, 1, 2]))
    out = fx.isc(x, how="pairwise", null="swap", across="row")
    assert np.isnan(out["p"]).all()


def test_group_isc__of_groups_of_one_is_refused_and_gaps_are_left_out():
    x = people(4).assign_coords(row=("subject", [0, 1, 1, 1]))
    with pytest.raises(ValueError, match="two people or more"):
        fx.group_isc(x, by="row", n=9, seed=0)
    x = people(6)
    x[0] = np.nan
    out = fx.group_isc(x, n=19, seed=np.int64(3), alpha=0.2)
    rest = fx.group_isc(x[1:], n=19, seed=3, alpha=0.2)
    np.testing.assert_allclose(out["isc"], rest["isc"])


@pytest.mark.parametrize("alpha", [0, 1, -0.1, np.nan, 5])
def test_alpha__is_a_share_everywhere(alpha):
    x = people()
    for call in (
        lambda: fx.isc(x, null="linear", alpha=alpha),
        lambda: fx.synchrony(x, "correlation", 9, seed=0, alpha=alpha),
        lambda: fx.group_isc(x, n=9, seed=0, alpha=alpha),
    ):
        with pytest.raises(ValueError, match="alpha"):
            call()
