"""TAB: names of stores, choices, features and people; and the tables of the names."""

import pytest
import typer
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli import completion
from fhemb_cli.app import app
from fhemb_xr.kernels.clustering import clusters
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops.frames import entropy_options, feature_names
from fhemb_xr.ops.pairwise import metric_options
from fhemb_xr.ops.time_frequency import band_spec


def test_choices__are_those_of_the_library():
    assert {*completion.METRICS} == {*metrics._KERNELS}
    assert completion.LOCAL == metric_options.POINT_METRICS
    assert {*completion.NORMALIZATIONS} == {*metrics.NORMALIZATIONS}
    assert {*completion.TRANSFORMS} == {*band_spec.TRANSFORMS}
    assert {*completion.GAPS} == {*band_spec.GAPS}
    assert completion.CORRECTIONS == entropy_options.CORRECTIONS
    assert completion.STATISTICS == feature_names.STATISTICS
    assert {*completion.METHODS} == {*clusters.METHODS}
    for family in completion.FAMILIES:
        assert len(feature_names.expand([tuple(family.split(":"))])) > 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tab")
    ds = fx.testing.audience(n_subjects=20, seconds=1, shape=(8, 6))
    fx.save(ds, place / "don.zarr")
    fx.save(ds.assign_coords(subject=[f"p{i}" for i in range(20)]), place / "named.zarr")
    fx.save(fx.embed(ds, ["mean", "skew", ("p5", "p10")]), place / "demo" / "emb.zarr")
    (place / "notes").mkdir()
    return place


def offered(line, folder, monkeypatch):
    """What TAB offers at the end of a line, as bash asks for it."""
    monkeypatch.chdir(folder)
    words = f"fhemb {line}"
    env = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = CliRunner().invoke(app, [], env={"_FHEMB_COMPLETE": "complete_bash", **env},
                              prog_name="fhemb")  # fmt: skip
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("info ", ["demo/emb.zarr", "don.zarr", "named.zarr"]),
        ("info d", ["demo/emb.zarr", "don.zarr"]),
        ("info demo/", ["demo/emb.zarr"]),
        ("report don.zarr ", ["demo/emb.zarr", "don.zarr", "named.zarr"]),
        ("forget p1 na", ["named.zarr"]),
        ("embed don.zarr e.zarr --transform m", ["modwt"]),
        ("similarity x y --metric dt", ["dtw"]),
        ("similarity demo/emb.zarr y -f mean,p", ["mean,p5", "mean,p10"]),
        ("embed don.zarr y -f sk", ["skew"]),
        ("embed don.zarr y --subjects 40,5", ["40,50", "40,51", "40,52", "40,53", "40,54",
                                              "40,55", "40,56", "40,57", "40,58", "40,59"]),
        ("embed named.zarr y --subjects p19", ["p19"]),
        ("embed absent.zarr y --subjects ", []),
    ],
)  # fmt: skip
def test_tab__offers_what_is_there(line, found, folder, monkeypatch):
    assert offered(line, folder, monkeypatch) == found


def test_people__of_a_store_that_another_tool_wrote_are_left_out(tmp_path):
    labels = tmp_path / "subject"
    labels.mkdir()
    (labels / "zarr.json").write_text('{"shape": [2], "codecs": [{"name": "zip"}]}')
    context = typer.Context(typer.main.get_command(app))
    context.params = {"recording": tmp_path}
    assert completion.people(context, "") == []
