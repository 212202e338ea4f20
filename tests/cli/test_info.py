"""``fhemb info``, ``--version`` and the questions that are asked, in this process."""

import json

import pytest
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli.app import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("demo")
    fx.save(fx.testing.audience(n_subjects=2, seconds=1, shape=(8, 6)), place / "don.zarr")
    return place


def fhemb(*args, **options):
    return CliRunner().invoke(app, [str(a) for a in args], **options)


def test_version__is_said():
    done = fhemb("--version")
    assert done.exit_code == 0
    assert done.stdout.startswith("fhemb_xr ")


def test_info__is_whole_as_json(folder):
    found = json.loads(fhemb("info", folder / "don.zarr", "--json").stdout)
    assert found["sampling_rate"] == 25
    assert found["labels"]["subject"] == [40, 41]
    assert found["variables"]["heatmap"]["units"] == "degC"
    assert found["attributes"]["temperature_threshold"] == 25


def test_info__of_an_array_has_the_attributes_of_the_array(folder, tmp_path):
    mean = fx.open_recording(folder / "don.zarr").fhemb.embed("mean", threshold=25)
    fx.save(mean, tmp_path / "mean.zarr")
    found = json.loads(fhemb("info", tmp_path / "mean.zarr", "--json").stdout)
    assert found["attributes"]["fhemb_kind"] == "embedding"
    assert "threshold" in found["attributes"]["fhemb_spec"]
    assert "fhemb_kind embedding" in fhemb("info", tmp_path / "mean.zarr").output


def test_info__of_a_folder_names_its_stores(folder):
    done = fhemb("info", folder)
    assert done.exit_code == 0
    assert "don.zarr" in done.stdout


def test_forget__looks_before_it_asks(folder):
    done = fhemb("forget", "999", folder / "don.zarr")
    assert done.exit_code == 0
    assert "for ever" not in done.output
    assert "is in none of them" in done.output
    asked = fhemb("forget", "40", folder / "don.zarr", input="n\n")
    assert "Remove 40 from don.zarr for ever?" in asked.output
    assert fx.open_recording(folder / "don.zarr").sizes["subject"] == 2


def test_existing_result__names_the_option_that_replaces_it(folder):
    args = [
        "embed",
        folder / "don.zarr",
        folder / "don.zarr",
        "-f",
        "mean",
        "--wavelet",
        "none",
    ]
    done = fhemb(*args)
    assert done.exit_code == 1
    assert "--overwrite replaces it" in " ".join(done.output.split())


def test_seconds__that_are_none_are_named(folder):
    done = fhemb("embed", folder / "don.zarr", folder / "x.zarr", "--seconds", "4-8")
    assert done.exit_code == 1
    assert "start:stop" in done.output
