"""The command, run as a user runs it: in a process of its own where it computes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli.app import app


def fhemb(*args, env=None, cwd=None):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "fhemb_cli", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", **(env or {})},
        timeout=240,
    )


def here(*args, env=None):
    """The same in this process, where it computes little."""
    done = CliRunner().invoke(app, [*map(str, args)], env={"COLUMNS": "120", **(env or {})})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


SHORT = ["--level", "4", "--bands", "2,3"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A recording and what two commands made of it."""
    folder = tmp_path_factory.mktemp("cli")
    recording = folder / "don.zarr"
    fx.save(fx.testing.audience(n_subjects=4, seconds=12, shape=(20, 16)), recording)
    asked = ["-f", "skew,p5:p15", *SHORT, "--json"]
    first = fhemb("embed", recording, folder / "emb.zarr", *asked)
    second = fhemb(
        "similarity", folder / "emb.zarr", folder / "dtw.zarr", "--clusters", 2, "--json"
    )
    return folder, first, second


def test_embed__saves_what_the_function_gives(stores):
    folder, done, _ = stores
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)["sizes"]
    assert (sizes["subject"], sizes["feature"]) == (4, 4)
    emb = fx.open_embedding(folder / "emb.zarr")
    expected = fx.embed(
        fx.open_recording(folder / "don.zarr"),
        ["skew", ("p5", "p15")],
        wavelet="db4",
        level=4,
        bands=[2, 3],
        transform="modwt",
    )
    assert emb.feature.values.tolist() == ["skew", "p5", "p10", "p15"]
    np.testing.assert_array_equal(emb, expected)


def test_embed__extends_what_is_there_by_its_own_options(stores):
    folder, *_ = stores
    done = here("embed", folder / "don.zarr", folder / "emb.zarr", "--extend", "--json")
    told = json.loads(done.stdout)
    assert (told["computed"], told["kept"]) == (0, 4)
    wrong = here("embed", folder / "don.zarr", folder / "emb.zarr", "--extend", "--level", 3)
    assert wrong.exit_code == 1
    assert "--extend takes its options from the result: leave out --level" in wrong.stderr


def test_embed__takes_the_range_and_the_correction_of_entropy(stores):
    folder, _, _ = stores
    asked = ["-f", "entropy", "--entropy-range", "28:36", "--entropy-correction", "grassberger"]
    out = folder / "entropy.zarr"
    done = here("embed", folder / "don.zarr", out, *asked, "--wavelet", "none")
    assert done.exit_code == 0, done.stderr
    options = {"entropy_range": (28, 36), "entropy_correction": "grassberger"}
    expected = fx.embed(fx.open_recording(folder / "don.zarr"), ["entropy"], **options)
    np.testing.assert_array_equal(fx.open_embedding(out), expected)
    wrong = here("embed", folder / "don.zarr", out, "--entropy-range", "28-36")
    assert "entropy-range is low:high" in wrong.stderr


def test_similarity__saves_relation_and_groups(stores):
    folder, _, done = stores
    assert done.returncode == 0, done.stderr
    found = fx.open_result(folder / "dtw.zarr")
    assert found["relation"].dims[-2:] == ("subject_0", "subject_1")
    assert set(found["cluster"].values.ravel()) == {0, 1}


def test_info__says_what_is_there_without_reading_it(stores):
    folder, *_ = stores
    done = here("info", folder / "don.zarr", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["sizes"]["subject"] == 4
    table = here("info", folder / "don.zarr")
    assert "heatmap" in table.stdout
    assert "degC" in table.stdout


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["embed", "{}/absent.zarr", "{}/x.zarr"], 1, "absent.zarr"),
        (["embed", "{}/don.zarr", "{}/emb.zarr", *SHORT], 1, "'emb.zarr' is there already"),
        (["embed", "{}/don.zarr", "{}/x.zarr", "-f", "skwe"], 1, "skew"),
        (["embed", "{}/don.zarr", "{}/x.zarr", "--bands", "2;3"], 1, "separated by commas"),
        (["embed", "{}/don.zarr", "{}/x.zarr", "--subjects", "99"], 1, "no subject 99 among 4"),
        (["similarity", "{}/emb.zarr", "{}/x.zarr", "--metric", "dwt"], 1, "dtw"),
        (["embed", "--level"], 2, "requires an argument"),
        (["embde"], 2, "No such command"),
    ],
)
def test_errors__are_one_sentence_and_an_exit_code(stores, args, code, text):
    folder, *_ = stores
    done = here(*(a.format(folder) for a in args))
    assert done.exit_code == code, (done.stdout, done.stderr)
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "x.zarr").exists()


def test_errors__are_one_json_document_where_asked(stores):
    folder, *_ = stores
    done = here("info", folder / "absent.zarr", "--json")
    assert done.exit_code == 1
    assert set(json.loads(done.stdout)["error"]) == {"code", "message"}


@pytest.mark.parametrize("command", ["embed", "similarity", "report", "info", "doctor"])
def test_help__has_an_example(command):
    done = here(command, "--help")
    assert done.exit_code == 0, done.stderr
    assert "Example" in done.stdout


def test_help__of_a_command_of_another_package_has_an_example():
    done = fhemb("demo", "--help")
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout


def test_doctor__refuses_a_configuration_that_others_can_read(tmp_path):
    secret = tmp_path / ".env.db"
    secret.write_text(
        "DB_NAME=tcamera\nDB_USERNAME=u\nDB_PASSWORD=hunter22\nDB_HOST=localhost\n"
    )
    secret.chmod(0o644)
    done = here("doctor", "--json", env={"FHEMB_CONFIG_DIR": str(tmp_path)})
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    assert done.exit_code == 1
    assert rows["core"]["state"] == "OK"
    assert "chmod 600" in rows["configuration"]["found"]
    assert "hunter22" not in done.stdout + done.stderr


@pytest.mark.db
def test_doctor__says_that_the_database_answers(tmp_path, postgres):
    secret = tmp_path / ".env.db"
    secret.touch(0o600)
    secret.write_text(postgres.configuration())
    done = here("doctor", "--json", env={"FHEMB_CONFIG_DIR": str(tmp_path)})
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    assert rows["database"]["state"] == "OK"
    assert "answers" in rows["database"]["found"]
    assert postgres.password not in done.stdout + done.stderr
    secret.write_text(postgres.configuration().replace(f"PORT={postgres.port}", "PORT=1"))
    done = here("doctor", "--json", env={"FHEMB_CONFIG_DIR": str(tmp_path)})
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    assert rows["database"]["state"] == "FAIL"
    assert done.exit_code == 1


def test_text__in_brackets_is_printed_as_it_is(stores):
    done = here("embed", stores[0] / "don.zarr", "x.zarr", "-f", "a[b]c", *SHORT)
    assert done.exit_code == 1
    assert "a[b]c" in done.stderr
    assert "in seconds" in here("similarity", "--help").stdout
