"""The picture of the README: a face, its features, who follows whom, who is like whom.

python examples/overview.py demo/recording.zarr docs/overview.png
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

import fhemb_xr as fx
from fhemb_xr.plot.files import save_figure

WIDTH_PX, GAP_PX = 1400, 60


def main(recording: str, target: str) -> None:
    """Draw four figures and put them on one page."""
    ds = fx.open_recording(recording)
    people = ds.fhemb.select(subjects=[(40, 44), (65, 69)])
    emb = people.fhemb.embed(
        ["mean", "skew"], wavelet="db4", level=8, bands=[2, 3], transform="modwt"
    ).load()
    mean = emb.sel(feature="mean").isel(session=0)
    lagged = fx.lagged_correlation(
        mean.sel(subject=40), mean.sel(subject=43), window_s=10, step_s=1, max_lag_s=8
    )
    relation = emb.isel(session=0).fhemb.pairwise("dtw", normalize="zscore", window=150)
    figures = [
        fx.plot.frames(ds.heatmap.sel(subject=65).where(ds.heatmap.sel(subject=65) > 25)),
        fx.plot.signal(mean),
        fx.plot.lagged(lagged),
        fx.plot.dendrogram(relation, clusters=relation.fhemb.clusters(3)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{i}.png") for i in range(len(figures))]
        for figure, path in zip(figures, paths, strict=True):
            save_figure(figure, path, faces=True)  # of a simulated person
        _page([Image.open(p).convert("RGB") for p in paths]).save(target, optimize=True)


def _page(images: list[Image.Image]) -> Image.Image:
    """Two wide pictures, then two side by side; one scale, so that all text has one size."""
    face, signals, lagged, tree = images
    rows = [[face], [signals], [lagged, tree]]
    width = max(sum(i.width for i in row) for row in rows) + 2 * GAP_PX
    height = sum(max(i.height for i in row) + GAP_PX for row in rows)
    page, y = Image.new("RGB", (width, height), "white"), 0
    for row in rows:
        free = (width - sum(i.width for i in row)) // (len(row) + 1)
        x = free
        for image in row:
            page.paste(image, (x, y))
            x += image.width + free
        y += max(i.height for i in row) + GAP_PX
    return page.resize((WIDTH_PX, height * WIDTH_PX // width))


if __name__ == "__main__":
    main(*sys.argv[1:])
