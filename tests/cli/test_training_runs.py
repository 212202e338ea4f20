"""Runs: from YAML to a group that xarray reads, and the commands around it."""

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli.app import app
from fhemb_xr import training_runs
from fhemb_xr.errors import ConfigError, UnknownNameError


def process(*args):
    return subprocess.run(
        [sys.executable, "-m", "fhemb_cli", "pair", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
        timeout=240,
    )


def here(*args):
    """The same in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # no errors, as in a process
        done = CliRunner().invoke(app, ["pair", *map(str, args)], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two recordings of different simulated people, as a store keeps them."""
    folder = tmp_path_factory.mktemp("runs")
    fx.save(fx.testing.hearts(8, 2, snr_db=0), folder / "known.zarr")
    fx.save(fx.testing.hearts(4, 2, snr_db=0, first=100), folder / "new.zarr")
    (folder / "net.yaml").write_text(
        "method: r2plus1d\nepochs: 2\nbatch: 8\nspatial: 2\nchannels: 4\nvalidation: 0.25\n"
    )
    return folder


def test_run__is_kept_with_its_configuration_and_its_curves(folder):
    ds = fx.open_recording(folder / "known.zarr")
    config = training_runs.read_config(folder / "net.yaml")
    first = training_runs.train(ds, ds.trace, folder / "r", training_runs.PairingConfig())
    second = training_runs.train(ds, ds.trace, folder / "r", config, tensorboard=folder / "tb")
    assert training_runs.names(folder / "r") == [first, second]
    tree = xr.open_datatree(folder / "r", engine="zarr", consolidated=False)
    assert set(tree.children) == {first, second}
    run = tree[second]
    stored = json.loads(run.attrs["pairing_config"])
    assert training_runs.PairingConfig(**stored) == config
    assert run.attrs["trained_on"] == ds.attrs["fhemb_uuid"]
    assert run["validation_loss"].dims == ("epoch",)
    assert np.isfinite(run["loss"]).all()
    kinds = {v.dtype.kind for n in tree.subtree for v in n.data_vars.values()}
    assert kinds == {"f"}  # weights and curves; nothing to unpickle

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tb")).Reload()
    np.testing.assert_allclose(
        [e.value for e in events.Scalars("loss")], run["loss"], rtol=1e-6
    )


def test_commands__train_predict_evaluate(folder):
    done = process("train", folder / "known.zarr", "--runs", folder / "cli", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["people"] == 8
    where = ("--runs", folder / "cli", "--json")
    out = folder / "out.zarr"
    done = here("predict", folder / "new.zarr", out, "--candidates", "100,102", *where)
    chosen = json.loads(done.stdout)["chosen"]
    assert (chosen["100"], chosen["102"]) == ("100", "102")
    new = fx.open_recording(folder / "new.zarr")
    model = training_runs.open_run(folder / "cli")
    expected = fx.pair(new, new.trace, [100, 102], method="linear", model=model)
    np.testing.assert_array_equal(fx.open_result(out).score, expected.score)
    done = here("evaluate", folder / "new.zarr", "--trials", 200, *where)
    found = json.loads(done.stdout)
    assert found["synthetic"] is True
    every = found["accuracy"]["all"]
    assert every["accuracy"] > 0.8
    assert {"precision", "recall", "f1"} < set(every)
    (a, b), (c, d) = every["confusion"]
    assert (a + d) / (a + b + c + d) == pytest.approx(every["accuracy"], abs=1e-4)
    assert {"third person's trace", "own trace shifted by 5 s"} < set(found["accuracy"])
    assert "trained_on" not in found
    done = here("evaluate", folder / "known.zarr", "--trials", 20, *where)
    assert "already known" in json.loads(done.stdout)["trained_on"]


def test_evaluate__marks_the_people_of_the_training(folder):
    ds = fx.open_recording(folder / "known.zarr")
    name = training_runs.train(ds, ds.trace, folder / "own", training_runs.PairingConfig())
    model = training_runs.open_run(folder / "own", name)
    fx.save(ds.isel(subject=slice(4)), folder / "part.zarr")  # the same people, another store
    part, new = (fx.open_recording(folder / n) for n in ("part.zarr", "new.zarr"))
    assert training_runs.trained_people(model, ds) == ([*map(str, range(8))], True)
    assert training_runs.trained_people(model, part) == (["0", "1", "2", "3"], True)
    assert training_runs.trained_people(model, new) == ([], False)
    alike = new.assign_coords(subject=[6, 7, 8, 9])  # others, who have the same labels
    assert training_runs.trained_people(model, alike) == (["6", "7"], False)
    where = ("--runs", folder / "own", "--trials", 20)
    marked = here("evaluate", folder / "part.zarr", *where, "--json")
    assert "4 of 4 people (0, 1, 2, 3)" in json.loads(marked.stdout)["trained_on"]
    assert "says nothing of people it has not seen" in marked.stderr


def test_evaluate__of_people_who_were_put_aside(folder):
    ds = fx.open_recording(folder / "known.zarr")
    config = training_runs.PairingConfig(test=0.4, seed=1)
    name = training_runs.train(ds, ds.trace, folder / "aside", config)
    model = training_runs.open_run(folder / "aside", name)
    known = training_runs.known_people(model)
    assert len(known) == 5 == model.attrs["people"]  # 3 of 8 were put aside
    again = training_runs.open_run(folder / "aside", training_runs.train(
        ds, ds.trace, folder / "aside", config))  # fmt: skip
    assert training_runs.known_people(again) == known
    where = ("--runs", folder / "aside", "--trials", 20, "--json")
    done = here("evaluate", folder / "known.zarr", "--unseen", *where)
    found = json.loads(done.stdout)
    assert not {"trained_on", "labels_trained_on"} & set(found)
    with pytest.raises(ConfigError, match="puts 1 of 8 people aside: two or more"):
        training_runs.train(ds, ds.trace, folder / "aside", config.model_copy(
            update={"test": 0.1}))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("methd: linear", r"methd: Extra inputs .*; the keys are method, window_s"),
        ("method: cnn\nepochs: 0", r"method: .*'linear' or 'r2plus1d'; epochs: .*equal to 1"),
        ("a: [", r"is not YAML"),
    ],
)
def test_config__names_every_fault(tmp_path, text, sentence):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=sentence) as error:
        training_runs.read_config(tmp_path / "c.yaml")
    assert str(tmp_path) not in str(error.value)


def test_runs__say_what_is_wrong(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no file 'none.yaml'"):
        training_runs.read_config(tmp_path / "none.yaml")
    with pytest.raises(UnknownNameError, match=r"no run 'latest' among 0"):
        training_runs.open_run(tmp_path / "none")
