"""The commands and the functions behind them: same options, same defaults, same results."""

import inspect
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli import embed, similarity
from fhemb_cli.app import app

OWN = {
    # to compare people, on features of different units: said in the help of each
    "transform": None, "normalize": "zscore", "wavelet": "db4", "metric": "dtw",
    "features": ..., "bands": None, "clusters": 3,
}  # fmt: skip
NOT_GIVEN = {"threshold", "itakura", "local", "precision", "gamma", "radius", "window"}
"""None: the function's own default."""


@pytest.mark.parametrize(
    ("command", "functions"),
    [(embed.embed, (fx.embed, fx.select)),
     (similarity.similarity, (fx.pairwise, fx.clusters, fx.select))],
)  # fmt: skip
def test_options__have_the_defaults_of_the_functions(command, functions):
    known = {}
    for function in functions[::-1]:
        known |= inspect.signature(function).parameters
    renamed = {"max_lag": "max_lag_s"}
    compared = 0
    for name, option in inspect.signature(command).parameters.items():
        if name in NOT_GIVEN:
            assert option.default is None
        elif name in OWN:
            assert OWN[name] in (..., option.default)
        elif renamed.get(name, name) in known:
            assert option.default == known[renamed.get(name, name)].default, name
            compared += 1
    assert compared >= 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("parity")
    ds = fx.testing.audience(n_subjects=4, seconds=8, shape=(8, 6), dropout=0.02)
    fx.save(ds, place / "don.zarr")
    fx.save(fx.embed(ds, ["mean", "skew"]), place / "emb.zarr")
    return place


def fhemb(*args):
    done = CliRunner().invoke(app, [*map(str, args), "--json"])
    found = json.loads(done.stdout)
    return found.get("error", {}).get("message", "")


def test_embed__by_frequency_with_gaps_filled(folder):
    args = ["-f", "mean", "--seconds", "1:7", "--level", "3", "--hz", "1.5:6.3"]
    out = folder / "hz.zarr"
    assert not fhemb("embed", folder / "don.zarr", out, *args, "--gaps", "fill")
    ds = fx.open_recording(folder / "don.zarr").fhemb.select(seconds=(1, 7))
    how = {"wavelet": "db4", "level": 3, "hz": (1.5, 6.3), "gaps": "fill"}
    expected = fx.embed(ds, ["mean"], transform="modwt", **how)
    np.testing.assert_array_equal(fx.open_embedding(out), expected)
    assert "hz is low:high" in fhemb("embed", folder / "don.zarr", out, "--hz", "2")


def test_embed__without_a_wavelet_refuses_options_of_bands(folder):
    args = ["embed", folder / "don.zarr", folder / "x.zarr", "-f", "mean", "--wavelet", "none"]
    for option in (["--bands", "2"], ["--hz", "1:2"], ["--gaps", "fill"], ["--level", "3"],
                   ["--transform", "modwt"]):  # fmt: skip
        said = fhemb(*args, *option)
        assert "without a wavelet" in said, (option, said)


def test_similarity__takes_what_pairwise_and_clusters_take(folder):
    emb = fx.open_embedding(folder / "emb.zarr")
    asked = ["--metric", "max_lagged_correlation", "--max-lag", "0.4", "--seconds", "1:6",
             "--subjects", "40-42", "--method", "complete", "--clusters", "2"]  # fmt: skip
    assert not fhemb("similarity", folder / "emb.zarr", folder / "lag.zarr", *asked)
    part = fx.select(emb, subjects=[(40, 42)], seconds=(1, 6))
    expected = fx.pairwise(part, "max_lagged_correlation", normalize="zscore", max_lag_s=0.4)
    found = fx.open_result(folder / "lag.zarr")
    np.testing.assert_array_equal(found["relation"], expected)
    groups = fx.clusters(expected, 2, method="complete")
    np.testing.assert_array_equal(found["cluster"], groups)
    asked = ["--window", "0.2", "--metric", "soft_dtw", "--gamma", "0.5", "--nan", "propagate"]
    assert not fhemb("similarity", folder / "emb.zarr", folder / "soft.zarr", *asked)
    how = {"window": 5, "gamma": 0.5, "nan": "propagate", "normalize": "zscore"}
    found = fx.open_result(folder / "soft.zarr")["relation"]
    np.testing.assert_array_equal(found, fx.pairwise(emb, "soft_dtw", **how))


def test_similarity__refuses_an_option_that_the_metric_does_not_use(folder):
    args = ["similarity", folder / "emb.zarr", folder / "x.zarr", "--metric", "correlation"]
    said = fhemb(*args, "--window", "0.2")
    assert "'correlation' has no option 'window'" in said


@pytest.mark.parametrize("text", ["40,,41", "", "40, "])
def test_people__without_a_name_are_one_sentence(folder, text):
    said = fhemb("embed", folder / "don.zarr", folder / "x.zarr", "--subjects", text)
    assert "separated by commas" in said
