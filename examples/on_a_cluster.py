"""A recording larger than any worker, embedded by two processes of 1 GiB.

python examples/on_a_cluster.py results 6
"""

import sys
from pathlib import Path

import fhemb_xr as fx


def main(folder: str, gib: float) -> None:
    """Simulate ``gib`` GiB of heatmaps piece by piece, and embed them."""
    frames = int(gib * 2**30 / (4 * 64 * 48 * 4))
    ds = fx.testing.audience(n_subjects=4, seconds=frames / 25, shape=(64, 48))
    print(f"{ds.heatmap.nbytes / 2**30:.1f} GiB in {ds.heatmap.data.npartitions} chunks")
    with fx.local_cluster(2, memory_limit="1GiB"):
        emb = ds.fhemb.embed(
            ["mean", "skew", "p95"], threshold=25, wavelet="db4", bands=[2, 3, 5]
        )
        emb.fhemb.save(Path(folder) / "emb.zarr", mode="w")
    print(fx.open_embedding(Path(folder) / "emb.zarr"))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
