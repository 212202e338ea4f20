"""Results that are older than what they were made from."""

import zarr

import fhemb_xr as fx
from fhemb_xr.io import lineage, provenance


def test_lineage__tells_a_result_whose_recording_has_changed(tmp_path):
    fx.save(fx.testing.audience(1, 4, shape=(8, 6)), tmp_path / "r.zarr")
    fx.save(fx.embed(fx.open_recording(tmp_path / "r.zarr"), ["mean"]), tmp_path / "e.zarr")
    assert lineage.state(tmp_path / "r.zarr") is None  # made from nothing that is stored
    assert lineage.state(tmp_path / "e.zarr") == "up to date"
    provenance.restamp(zarr.open_group(tmp_path / "r.zarr"), "append")  # as ingest does
    assert lineage.state(tmp_path / "e.zarr").startswith("out of date: 'r.zarr' has changed")
    fx.save(
        fx.embed(fx.open_recording(tmp_path / "r.zarr"), ["mean"]),
        tmp_path / "e.zarr",
        mode="w",
    )
    assert lineage.state(tmp_path / "e.zarr") == "up to date"


def test_lineage__is_silent_where_the_source_lies_elsewhere(tmp_path):
    fx.save(fx.testing.audience(1, 4, shape=(8, 6)), tmp_path / "a" / "r.zarr")
    emb = fx.embed(fx.open_recording(tmp_path / "a" / "r.zarr"), ["mean"])
    fx.save(emb, tmp_path / "b" / "e.zarr")
    assert lineage.state(tmp_path / "b" / "e.zarr") is None
