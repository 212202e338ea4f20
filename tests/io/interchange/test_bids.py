"""Export to BIDS: names, numbers, missing samples; read back by our own reader and pandas."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fhemb_xr as fx
import ingest
from fhemb_xr.clock import spans
from fhemb_xr.errors import SchemaError, StoreError


def test_tables__hold_every_digit_under_the_names_of_bids(emb, tmp_path):
    paths = fx.to_bids(emb.chunk(time=130), tmp_path, task="opera")
    assert [p.relative_to(tmp_path).as_posix() for p in paths] == [
        f"sub-{s}/ses-dg/beh/sub-{s}_ses-dg_task-opera_recording-face_physio.tsv.gz"
        for s in (65, 68)
    ]
    for who, path in zip((65, 68), paths, strict=True):
        table = pd.read_csv(path, sep="\t", header=None, na_values="n/a")
        words = gzip.decompress(path.read_bytes()).decode().split()  # pandas reads nan too
        assert words.count("n/a") == (100 if who == 68 else 0)
        assert "nan" not in words
        np.testing.assert_array_equal(
            table.to_numpy("f4"), emb.sel(subject=who).isel(session=0).values
        )
        about = json.loads(path.with_name(path.name.replace(".tsv.gz", ".json")).read_text())
        assert about["SamplingFrequency"] == 25
        assert about["StartTime"] == 400
        assert about["Columns"] == ["mean", "skew"]
        assert about["mean"]["Units"] == "oC"
        assert path.stat().st_mode & 0o077 == 0
    assert json.loads((tmp_path / "dataset_description.json").read_text())["BIDSVersion"]
    assert not [*tmp_path.rglob("*.partial")]


def test_tables__are_read_back_by_open_trace(emb, tmp_path):
    path = fx.to_bids(emb, tmp_path, task="opera")[1]
    trace = ingest.open_trace(path)
    np.testing.assert_array_equal(
        trace.transpose("time", "channel").values.astype("f4"), emb.values[1, 0]
    )
    assert trace.attrs["sampling_rate"] == 25


def test_events__go_to_each_person(emb, tmp_path):
    table = spans.table({"aria": (402, 404), "laughs": (410, 411)})
    path = fx.to_bids(emb, tmp_path, task="opera", spans=table)[0]
    file = path.with_name("sub-65_ses-dg_task-opera_events.tsv")
    assert file.read_text() == "onset\tduration\ttrial_type\n402\t2\taria\n410\t1\tlaughs\n"
    xr.testing.assert_identical(fx.read_spans(file), table)
    of_one = table.assign(subject=("event", [65, 68]))
    fx.to_bids(emb, tmp_path, task="opera", spans=of_one, overwrite=True)
    assert fx.read_spans(file).label.values.tolist() == ["aria"]


def test_blocks__no_chunk_is_computed_twice(emb, tmp_path, monkeypatch):
    from fhemb_xr.io.interchange import bids

    seen = []

    def count(block):
        seen.append(block.shape)
        return block

    monkeypatch.setattr(bids, "_BLOCK_BYTES", 200 * 4 * 8)
    x = emb.chunk(time=60, subject=1)
    x.data = x.data.map_blocks(count, meta=x.data)
    path = fx.to_bids(x, tmp_path, task="opera")[0]
    assert len(seen) == x.data.npartitions
    assert len(pd.read_csv(path, sep="\t", header=None)) == 500


def test_fault__leaves_no_table_and_the_old_ones(emb, tmp_path):
    path = fx.to_bids(emb, tmp_path, task="opera")[0]
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is there already: overwrite=True"):
        fx.to_bids(emb, tmp_path, task="opera")

    def broken(block):
        if block.size:
            raise OSError("the disk is gone")
        return block

    x = emb.chunk(time=100)
    x.data = x.data.map_blocks(broken, meta=x.data)
    with pytest.raises(OSError, match="the disk is gone"):
        fx.to_bids(x, tmp_path, task="opera", overwrite=True)
    assert path.read_bytes() == before
    assert not [*tmp_path.rglob("*.partial")]


def test_wrong__is_refused(emb, tmp_path):
    for x, sentence in (
        (emb.isel(time=[0, 1, 2, 5, 6, 7]), "not regular"),
        (emb.expand_dims(window=2), "no window: choose"),
        (emb.assign_coords(subject=["a-b", "ab"]), "two tables would be called"),
        (emb.assign_coords(subject=["-", "b"]), "letters and digits"),
    ):
        with pytest.raises(SchemaError, match=sentence):
            fx.to_bids(x, tmp_path, task="opera")
