"""Write the golden stores of the present version: ``python tests/golden/make.py``.

One folder for each released version of the schema, made once by that version and never again:
``io/formats/test_golden.py`` opens them all with whatever the code has become.
"""

import sys
from pathlib import Path

import numpy as np
import psycopg

import fhemb_xr as fx
from fhemb_xr import schema
from ingest.postgres.embedded_server import serve
from ingest.postgres.source import PostgresSource
from ingest.run import ingest

PEOPLE, FRAMES, RATE_HZ = (40, 42), 12, 25.0


def face(who, t):
    """A frame that tells whose and which it is, in whole hundredths of a degree."""
    return np.round(20 + who / 10 + t / 100 + np.arange(12).reshape(4, 3) ** 2 / 50, 2)


def recording(folder):
    """An ingested recording: 42 has no face in frame 7, and the last shard is a short one."""
    with serve() as server, psycopg.connect(server.conninfo(), autocommit=True) as db:
        db.execute("CREATE SCHEMA opera")
        columns = ", ".join(f"subj{who} real[]" for who in PEOPLE)
        db.execute(f"CREATE TABLE opera.face_t (frame_number integer PRIMARY KEY, {columns})")
        for t in range(FRAMES):
            cells = [None if (who, t) == (42, 7) else face(who, t).tolist() for who in PEOPLE]
            db.execute("INSERT INTO opera.face_t VALUES (%s, %s, %s)", (t, *cells))
        source = PostgresSource(server.conninfo(), "opera")
        ingest(source, folder / "recording.zarr", title="golden", threshold=20, shard_frames=10)


def main():
    """All four kinds of store."""
    folder = Path(__file__).parent / schema.VERSION
    folder.mkdir()
    recording(folder)
    ds = fx.open_recording(folder / "recording.zarr")
    fx.save(fx.embed(ds, ["mean", "p50", "pc0"]), folder / "embedding.zarr")
    fx.save(fx.pca(ds.heatmap.chunk(time=-1), 2), folder / "basis.zarr")
    emb = fx.open_embedding(folder / "embedding.zarr").isel(time=slice(0, 7))
    relation = fx.pairwise(emb.sel(feature=["mean"]), "euclidean").to_dataset(name="relation")
    fx.save(relation, folder / "relation.zarr")


if __name__ == "__main__":
    sys.exit(main())
