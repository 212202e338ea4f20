"""The null of strangers for two inputs, beside loops over all of them."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx

GROUPS, PEOPLE, T, HZ = 3, 3, 120, 5.0
LAGS = {"lags_s": (0.0, 0.4), "alphas": 10.0, "folds": 3}
PLOT = {"rate": 0.2, "max_lag_s": 0.4}
pytestmark = pytest.mark.filterwarnings("ignore:3 groups of 3 have 4 strangers")


@pytest.fixture(scope="module")
def series():
    """Faces and the music of each session, which moves the first person; a drift of all."""
    rng = np.random.default_rng(0)
    music = rng.normal(size=(GROUPS, T))
    faces = rng.normal(size=(GROUPS, PEOPLE, T)) + np.linspace(0, 4, T)
    faces[:, 0] += 2 * np.roll(music, 1, axis=-1)
    dims, coords = ("session", "subject", "time"), {"time": np.arange(T) / HZ}
    faces = xr.DataArray(faces, coords | {"subject": [40, 41, 42]}, dims)
    return faces, xr.DataArray(music, coords, ("session", "time"))


def share(own, others):
    return (1 + sum(v >= own - 1e-12 for v in others)) / (1 + len(others))


def strangers(g, i):
    return [(h, j) for h in range(GROUPS) for j in range(PEOPLE) if h != g and j != i]


def test_encode__beside_faces_that_followed_other_music(series, computes):
    faces, music = series
    with computes(0):
        out = fx.encode(faces.chunk(time=50, subject=2), music.chunk(), **LAGS,
                        null="swap", across="session")  # fmt: skip
    assert out.p.dims == out.r.dims == ("session", "subject")
    assert out.p.dtype == np.float64
    for g in range(GROUPS):
        each = fx.encode(faces, music[g], **LAGS).r.values
        np.testing.assert_allclose(out.r[g], each[g], atol=1e-9)
        for i in range(PEOPLE):
            expected = share(each[g, i], [each[other] for other in strangers(g, i)])
            assert float(out.p[g, i]) == pytest.approx(expected)
    assert (out.p[:, 0] == 1 / 5).all()


@pytest.mark.parametrize("how", ["cross", "joint"])
def test_recurrence__of_one_person_beside_strangers(series, how):
    faces, other = series[0].isel(time=slice(40)), series[0].isel(time=slice(40)) ** 2
    options = PLOT | {"how": how, "null": "swap", "across": "session"}
    out = fx.recurrence(faces.chunk(), other.chunk(subject=1), **options).compute()
    assert out.p.dims == ("session", "subject", "measure")
    both = other.rename(session="group", subject="person")
    every = fx.recurrence(faces, both, **PLOT, how=how)
    for g, i in [(0, 0), (2, 1)]:
        own = every.isel(session=g, subject=i)
        for name in ("RR", "DET"):
            values = own[name].values
            expected = share(values[g, i], [values[other] for other in strangers(g, i)])
            found = out.p.isel(session=g, subject=i).sel(measure=name)
            assert float(found) == pytest.approx(expected)
        if how == "joint":
            assert "p_profile" not in out
            continue
        highest = own.profile.max("lag").values
        expected = share(
            own.profile.sel(lag=0).values[g, i], [highest[other] for other in strangers(g, i)]
        )
        found = out.p_profile.isel(session=g, subject=i).sel(lag=0)
        assert float(found) == pytest.approx(expected)


def test_recurrence__of_every_pair_beside_strangers(series):
    faces = series[0].isel(time=slice(40))
    partners = faces.rename(subject="partner")
    out = fx.recurrence(faces, partners, radius=1.0, null="swap", across="session",
                        people="partner")  # fmt: skip
    every = fx.recurrence(faces[1, 0], partners, radius=1.0).RR.values
    expected = share(every[1, 2], [every[other] for other in strangers(1, 2)])
    found = out.p.sel(measure="RR").isel(session=1, subject=0, partner=2)
    assert float(found) == pytest.approx(expected)


def test_swap__is_refused_where_nobody_is_a_stranger(series):
    faces, music = series
    with pytest.raises(ValueError, match="across=None: name a dimension of both stimulus"):
        fx.encode(faces, music, **LAGS, null="swap")
    with pytest.raises(ValueError, match="name a dimension of both stimulus and faces"):
        fx.encode(faces, music[0], **LAGS, null="swap", across="session")
    with pytest.raises(ValueError, match="people names the dimension of the other"):
        fx.recurrence(faces, faces, rate=0.1, null="swap", across="session", people="person")
    with pytest.raises(ValueError, match="two groups or more in both, found 1"):
        fx.encode(faces[:1], music[:1], **LAGS, null="swap", across="session")
    with pytest.raises(ValueError, match="seed"):
        fx.encode(faces, music, **LAGS, null="swap", across="session", seed=0)
    with pytest.warns(UserWarning, match="1 strangers for each: the smallest p is 1/2"):
        fx.encode(faces[:2, :2], music[:2], **LAGS, null="swap", across="session")
