"""The original's recording, simulated: people 40 to 76, of whom five have no face."""

import pytest

import fhemb_xr as fx
from fhemb_xr.legacy import Piece

FACELESS = [45, 46, 55, 72, 76]
START, STOP = 10000, 10200


@pytest.fixture(scope="session")
def don(tmp_path_factory):
    path = tmp_path_factory.mktemp("legacy") / "don.zarr"
    ds = fx.testing.audience(
        subjects=range(40, 77),
        seconds=10,
        shape=(15, 10),
        start_frame=START,
        faceless=FACELESS,
        title="Don Giovanni",
        chunk_frames=250,
        gap=(START + 230, START + 240),  # beyond the pieces
    )
    fx.save(ds, path)
    return path


@pytest.fixture(scope="session")
def piece(don):
    return Piece("Don Giovanni", (START, STOP), subjs=(40, 76), store=don)


@pytest.fixture(scope="session")
def raw(don):
    """The recording itself, of those who have a face, masked, in memory."""
    ds = fx.open_recording(don).fhemb.select(frames=(START, STOP)).isel(session=0).load()
    return ds.assign(heatmap=ds.heatmap.where(ds.heatmap >= 25))
