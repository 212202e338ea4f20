"""A recording, its embedding and who is like whom: what a notebook would hold.

python examples/first_look.py demo/recording.zarr results
"""

import sys
from pathlib import Path

import fhemb_xr as fx
from fhemb_xr.plot.files import save_figure


def main(recording: str, folder: str) -> None:
    """Embed, compare, save and draw."""
    out = Path(folder)
    out.mkdir(exist_ok=True)
    ds = fx.open_recording(recording)
    part = ds.fhemb.select(subjects=[(40, 44), 65, 66], seconds=(400, 440))
    emb = part.fhemb.embed(
        ["skew", "kurtosis", ("p5", "p95")],
        threshold=25,
        wavelet="db4",
        level=7,
        bands=[2, 3, 5],
    )
    emb.fhemb.save(out / "emb.zarr", mode="w")
    emb = fx.open_embedding(out / "emb.zarr")
    relation = emb.fhemb.pairwise("dtw", normalize="zscore", window=1.0 / 10)
    relation.fhemb.save(out / "dtw.zarr", mode="w")
    save_figure(relation.fhemb.plot.dendrogram(), out / "dendrogram.svg")
    print(relation.fhemb.clusters(3).to_series().to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
