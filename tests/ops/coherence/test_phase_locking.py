"""Phase locking against its definition, by transforms that are written out."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.coherence import request

T, HZ = 300, 5.0
OPTIONS = {"periods_s": (1.0, 4.0), "per_octave": 3}


def series(gaps=False):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=T + 2)
    x = 30 + rng.normal(size=(3, T))
    x[0] += 2 * shared[2:]
    x[1] += 2 * shared[:-2]  # two samples late
    if gaps:
        x[0, 100:112] = np.nan
    coords = {"time": np.arange(T) / HZ, "subject": np.arange(40, 43)}
    return xr.DataArray(x, dims=("subject", "time"), coords=coords)


def spectra(x, period):
    """Coefficients by a matrix ``(t, t)``, and the scale."""
    late = np.subtract.outer(np.arange(T), np.arange(T))
    scale = period * HZ * (6 + np.sqrt(38)) / (4 * np.pi)
    u = late / scale
    wave = np.pi**-0.25 * np.exp(6j * u - u * u / 2) / np.sqrt(scale)
    seen = np.isfinite(x)
    filled = np.interp(np.arange(T), np.flatnonzero(seen), x[seen])
    return wave @ (filled - x[seen].mean()), scale


@pytest.mark.parametrize("gaps", [False, True])
def test_phase_locking__equals_its_definition(gaps):
    x = series(gaps)
    out = fx.phase_locking(x, **OPTIONS)
    t = np.arange(T)
    lost = np.concatenate([[-1, T], np.flatnonzero(np.isnan(x[0]))])
    distance = np.abs(t[:, None] - lost).min(1)
    for q, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        near = distance if i == 0 else np.minimum(t + 1, T - t)
        for k, period in enumerate(out.period.values):
            (a, scale), (b, _) = (spectra(x.values[m], period) for m in (i, j))
            inside = near > np.sqrt(2) * scale
            a, b = a[inside], b[inside]
            s = a * b.conj()
            at = out.isel(pair=q, period=k)
            np.testing.assert_allclose(at.plv, np.abs((s / np.abs(s)).mean()), atol=1e-7)
            np.testing.assert_allclose(
                at.wpli, np.abs(s.imag.mean()) / np.abs(s.imag).mean(), atol=1e-6
            )
            powers = (np.abs(a) ** 2).mean() * (np.abs(b) ** 2).mean()
            np.testing.assert_allclose(at.coherence, np.abs(s.mean()) ** 2 / powers, atol=1e-7)
            np.testing.assert_allclose(at.phase, np.angle(s.mean()), atol=1e-5)


def test_phase_locking__does_not_depend_on_chunks_or_stretches(monkeypatch, computes):
    x = series(gaps=True)
    whole = fx.phase_locking(x, **OPTIONS)
    monkeypatch.setattr(request, "_LEAST", 1)  # stretches of four margins
    with computes(0):
        lazy = fx.phase_locking(x.chunk(time=70, subject=2), null="circular", n=3, seed=0,
                                periods_s=(0.8, 1.0), per_octave=3)  # fmt: skip
    assert lazy.plv.chunks
    parts = fx.phase_locking(x.chunk(time=70, subject=2), **OPTIONS)
    xr.testing.assert_allclose(parts.compute(), whole, atol=1e-7)
    assert {v.dtype for v in parts.values()} == {np.dtype("f8")}
    two = xr.concat([x, x[::-1].assign_coords(subject=x.subject)], "session")
    both = fx.phase_locking(two.transpose("time", ...), **OPTIONS)
    xr.testing.assert_allclose(both.isel(session=0), whole, atol=1e-12)


@pytest.mark.filterwarnings("ignore:shifts span")
def test_phase_locking__null_holds_for_drifts_and_finds_coupling():
    some = {"periods_s": (1.0, 2.0), "per_octave": 2, "n": 19, "seed": 0}
    for null in ("linear", "circular"):
        found = fx.phase_locking(series(), null=null, **some)
        assert (found.p_plv[0] <= 3 / 20).all()  # a shift by a few samples may reach it
        assert (found.p_wpli[0] <= 3 / 20).any()
    walks = np.random.default_rng(2).normal(size=(30, 2, 160)).cumsum(axis=-1)
    x = xr.DataArray(walks, dims=("row", "subject", "time"), attrs={"sampling_rate": HZ})
    out = fx.phase_locking(x, null="linear", **some)
    for p in (out.p_plv, out.p_wpli):
        assert ((p <= 0.05).mean(("row", "pair")) <= 5 / 30).all()


def test_phase_locking__of_copies_of_nothing_and_of_one():
    x = series()
    x[1] = x[0]
    x[2] = np.nan
    out = fx.phase_locking(x, **OPTIONS)
    np.testing.assert_allclose(out.plv[0], 1)
    np.testing.assert_allclose(out.phase[0], 0, atol=1e-12)
    assert np.isnan(out.wpli[0]).all()  # no delay, no lag
    assert all(np.isnan(v[1:]).all() for v in out.values())
    with pytest.raises(ValueError, match="two people or more"):
        fx.phase_locking(x.isel(subject=[0]), **OPTIONS)
    with pytest.raises(SchemaError, match="feature"):
        fx.phase_locking(x, "feature")
    with pytest.raises(KeyError, match="no null 'swap'"):
        fx.phase_locking(x, null="swap", **OPTIONS)
    with pytest.raises(ValueError, match="found no seed"):
        fx.phase_locking(x, null="linear", **OPTIONS)
