"""Anonymised objects tell no name, place or date, and hold the same values."""

import hashlib
import json
import stat

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli.app import app
from fhemb_xr.errors import ConfigError
from fhemb_xr.io.privacy.pseudonyms import new_key, pseudonym, read_key

KEY, CANARY = bytes(range(32)), "Anna-Canary"


@pytest.fixture(scope="module")
def ds():
    found = fx.testing.audience(
        n_subjects=5, seconds=2, shape=(4, 3), title=f"seen by {CANARY}"
    )
    clock = np.datetime64("2019-05-03T20:00:00", "us") + np.arange(50) * np.timedelta64(
        40, "ms"
    )
    found = found.assign_coords(
        name=("subject", [CANARY] * 5), seen=("time", clock), birth=("subject", [1950] * 5)
    )
    found["note"] = ("subject", [CANARY] * 5)
    found["start"] = ("session", [np.datetime64("2019-05-03T19:00:00", "us")])
    found.heatmap.attrs["operator"] = CANARY
    return found.assign_attrs(operator=CANARY, history=f"1999 by {CANARY}", fhemb_uuid="u-1")


def test_anonymize__tells_nothing_and_keeps_the_values(ds, computes, tmp_path):
    with computes(0):
        out = fx.anonymize(ds, key=KEY, keep=["start"])
    fx.save(out, tmp_path / "a.zarr")
    content = b"".join(p.read_bytes() for p in (tmp_path / "a.zarr").rglob("*") if p.is_file())
    for secret in (CANARY, "1999", "2019", "operator", "u-1"):
        assert secret.encode() not in content, secret
    names = {"name", "birth", "note", "position", "true_lag"}
    assert not names & set(out.variables)
    labels = {who: pseudonym(who, KEY) for who in ds.subject.values.tolist()}
    assert out.subject.values.tolist() == sorted(labels.values())
    for who, name in labels.items():
        one, was = out.sel(subject=name), ds.sel(subject=who)
        np.testing.assert_array_equal(one.heatmap, was.heatmap)
        np.testing.assert_array_equal(one.height, was.height)
    np.testing.assert_allclose(out.seen, np.arange(50) * 0.04, atol=1e-9)
    assert out.start.dtype.kind == "f"
    assert out.attrs["fhemb_sensitivity"] == "face"
    assert "of" not in out.attrs["history"]
    assert fx.open_recording(tmp_path / "a.zarr").sizes["subject"] == 5


def test_anonymize__shifts_clocks_by_whole_days(ds):
    out = fx.anonymize(ds, key=KEY, shift_days=1000)
    assert (ds.seen - out.seen == np.timedelta64(1000, "D")).all()
    assert out.seen.dtype == ds.seen.dtype


def test_anonymize__keeps_what_is_asked_for(ds):
    out = ds.fhemb.anonymize(key=KEY, keep=["position", "title"])
    assert out.attrs["title"] == ds.attrs["title"]
    assert "position" in out
    assert "operator" not in out.attrs


def test_anonymize__names_a_person_alike_in_everything(ds):
    emb = ds.heatmap.mean(("y", "x")).rename("embedding")
    matrix = xr.DataArray(
        np.arange(25.0).reshape(5, 5),
        dims=("subject_0", "subject_1"),
        coords={f"subject_{i}": ds.subject.values for i in (0, 1)},
        attrs={"metric": "dtw", "made_by": CANARY},
    )
    hidden, pairs = fx.anonymize(emb, key=KEY), fx.anonymize(matrix, key=KEY)
    assert hidden.subject.values.tolist() == pairs.subject_0.values.tolist()
    assert pairs.attrs["metric"] == "dtw"
    assert "made_by" not in pairs.attrs
    a, b = (pseudonym(s, KEY) for s in ds.subject.values[[1, 3]].tolist())
    assert pairs.sel(subject_0=a, subject_1=b) == matrix[1, 3]
    one = fx.anonymize(emb.isel(subject=2), key=KEY)
    assert one.subject.item() == pseudonym(ds.subject.values[2].item(), KEY)


def test_anonymize__keeps_lags_and_how_people_were_compared(ds):
    emb = fx.embed(ds, ["mean"], threshold=None).isel(session=0)
    lagged = fx.pairwise(emb, "max_lagged_correlation", max_lag_s=0.2)
    warped = fx.pairwise(emb, "dtw", itakura=2.0)
    for found in (lagged, warped):
        hidden = found.fhemb.anonymize(key=KEY)
        assert found.attrs.items() <= hidden.attrs.items()
    assert "lag_at_max" in lagged.fhemb.anonymize(key=KEY).coords


def test_anonymize__keeps_coefficients_that_can_be_turned_back(ds):
    x = ds.heatmap.mean(["y", "x"])
    hidden = fx.anonymize(fx.wavelet_coefficients(x, "db2", 2), key=KEY)
    again = fx.from_coefficients(hidden)
    np.testing.assert_allclose(np.sort(again, 0), np.sort(x, 0), atol=1e-4)  # float32


def test_pseudonym__is_keyed_and_no_plain_hash():
    name = pseudonym(57, KEY)
    assert name != pseudonym(57, KEY[::-1])
    assert len({pseudonym(i, KEY) for i in range(1000)}) == 1000
    plain = [hashlib.sha256(t.encode()).hexdigest() for t in ("57", "subject:57", "subj57")]
    assert name[1:] not in {h[:16] for h in plain}


def test_anonymize__refuses_a_session_called_by_a_date(ds):
    dated = ds.assign_coords(session=["dg_2019-05-03"])
    with pytest.raises(ValueError, match=r"'dg_2019-05-03' may be called by a date: rename it"):
        fx.anonymize(dated, key=KEY)
    assert fx.anonymize(dated, key=KEY, keep=["session"]).session.item() == "dg_2019-05-03"


def test_key__is_private_outside_of_stores_and_long(tmp_path):
    key = new_key(tmp_path / "keys" / "a.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(read_key(key)) == 32
    with pytest.raises(FileExistsError):
        new_key(key)
    key.chmod(0o640)
    with pytest.raises(ConfigError, match=r"others can read the key 'a\.key': chmod 600 it"):
        read_key(key)
    with pytest.raises(ConfigError, match="there is no key 'b'"):
        read_key(tmp_path / "b")
    (tmp_path / "zarr.json").touch()
    with pytest.raises(ConfigError, match="inside a store"):
        new_key(tmp_path / "c" / "d")
    with pytest.raises(ConfigError, match="the key has 3 bytes"):
        fx.anonymize(xr.DataArray([1.0], dims="time"), key=b"abc")


def test_command__makes_a_key_once(ds, tmp_path):
    fx.save(ds.drop_vars(["note", "name"]), tmp_path / "a.zarr")
    key = tmp_path / "keys" / "k"
    names = []
    for out in ("b.zarr", "c.zarr"):
        stores = [str(tmp_path / name) for name in ("a.zarr", out)]
        done = CliRunner().invoke(app, ["anonymize", *stores, "--key", str(key), "--json"])
        assert json.loads(done.stdout)["key"].startswith("made" if out == "b.zarr" else "as it")
        assert read_key(key).hex() not in done.stdout + done.stderr
        names.append(fx.open_recording(tmp_path / out).subject.values.tolist())
    assert names[0] == names[1]
