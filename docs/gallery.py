"""The gallery: one picture of every figure, each with the code that draws it."""

import os
from collections.abc import Iterator
from pathlib import Path

BEFORE = """
import numpy as np
import xarray as xr

import fhemb_xr as fx

ds = fx.testing.audience(8, 120, shape=(40, 30), title="Don Giovanni", seed=1)
emb = ds.fhemb.embed(["mean", "skew", ("p5", "p95")], threshold=25)
emb = emb.isel(session=0).compute()
skew = emb.sel(feature="skew", drop=True)
moves = skew.fhemb.wavelet_filter([2, 3], level=8, transform="modwt").compute()
apart = moves.fhemb.pairwise("corr", dim="subject").compute()
who = apart.fhemb.clusters(3)
"""
"""What all pictures begin with."""

FIGURES = {
    "Faces": {
        "frames": """
face = fx.mask(ds.heatmap.isel(subject=0, session=0, time=slice(0, 500)), 25)
fx.plot.frames(face)""",
        "eigenfaces": """
one = ds.heatmap.isel(subject=[0], time=slice(0, 1000)).chunk(time=-1)
basis = fx.pca(one, 6, threshold=25).isel(subject=0, session=0)
fx.plot.eigenfaces(basis, n=5)""",
        "scree": "fx.plot.scree(basis)",
        "regions": "fx.plot.regions(fx.regions(ds.isel(subject=[0], time=slice(0, 500))))",
        "respiration": "fx.plot.respiration(fx.respiration(skew.isel(subject=0)))",
        "pdf": "fx.plot.pdf(fx.mask(ds.heatmap.isel(subject=0, session=0), 25), [1, 60])",
        "values": "fx.plot.values(skew.isel(subject=[0, 1]), interval=(0, 500))",
        "histogram": """
shares = fx.features(ds.heatmap.isel(subject=0, session=0), [('bh0', 'bh31')], threshold=25)
fx.plot.histogram(shares)""",
    },
    "Features and bands": {
        "signal": "fx.plot.signal(emb.isel(subject=slice(0, 4)).sel(feature=['mean', 'skew']))",
        "bands": "fx.plot.bands(fx.wavelet_bands(skew.isel(subject=0), level=5))",
        "band_energy": "fx.plot.band_energy(fx.wavelet_bands(skew, level=8))",
        "scalogram": "fx.plot.scalogram(fx.scalogram(skew.isel(subject=0)))",
    },
    "Who moves with whom": {
        "relation": "fx.plot.relation(apart, clusters=who)",
        "dendrogram": "fx.plot.dendrogram(apart, clusters=who)",
        "projection": "fx.plot.projection(apart.fhemb.embed_relation('mds'), clusters=who)",
        "silhouette": "fx.plot.silhouette(apart.fhemb.silhouette(range(2, 7)))",
        "clusters_at": "fx.plot.clusters_at(who, ds.position.assign_attrs(ds.attrs), 1500)",
        "lagged": """
first, second = (moves.isel(subject=i, drop=True) for i in (0, 3))
map_of_lags = fx.lagged_correlation(first, second, window_s=20, step_s=1, max_lag_s=8)
fx.plot.lagged(map_of_lags)""",
        "lagged_at": "fx.plot.lagged_at(map_of_lags, 1.2)",
        "warping": "fx.plot.warping(first[:500], second[:500])",
    },
    "By more than chance": {
        "isc": "fx.plot.isc(fx.isc(moves, window_s=60, step_s=30, null='linear'))",
        "synchrony": "fx.plot.synchrony(fx.synchrony(moves, 'correlation', 599, seed=0))",
        "group_isc": """
result = fx.group_isc(moves, n=199, seed=0)
fx.plot.group_isc(result)""",
        "null_histogram": "fx.plot.null_histogram(result.sel(summary='mean'))",
    },
    "What faces share": {
        "corrca": "fx.plot.corrca(fx.corrca(emb, 2))",
        "components": """
even = ((emb - emb.mean("time")) / emb.std("time")).assign_attrs(units="1", sampling_rate=25.0)
fx.plot.components(fx.components(even, 2, method="sobi"))""",
        "shared_response": """
shared = fx.shared_response(emb, 2)
fx.plot.shared_response(shared)""",
        "coherence": """
slow = moves.isel(subject=[0, 3], time=slice(None, None, 5)).assign_attrs(sampling_rate=5.0)
fx.plot.coherence(fx.wavelet_coherence(slow, periods_s=(2, 30)))""",
        "phase_locking": "fx.plot.phase_locking(fx.phase_locking(slow, periods_s=(2, 20)))",
        "encoding": """
music = moves.isel(subject=0, drop=True)
fx.plot.encoding(fx.encode(moves.isel(subject=[3]), music, (0, 4)))""",
        "states": """
slowly = emb.coarsen(time=25).mean().assign_attrs(sampling_rate=1.0)
fx.plot.states(fx.states(slowly, 4))""",
        "recurrence": """
shown = fx.recurrence(first[:1500], second[:1500], rate=0.05, max_lag_s=5)
fx.plot.recurrence(shown)""",
    },
    "Hearts, streams, classifiers": {
        "pair": """
hearts = fx.testing.hearts(n_persons=3, clips=1, snr_db=0)
whose = hearts.trace.sel(subject=1, drop=True)
fx.plot.pair(hearts.fhemb.pair(whose, candidates=[0, 1, 2]))""",
        "normalisation": "fx.plot.normalisation(fx.testing.streams(n_frames=500), 'head')",
        "scores": """
random = np.random.default_rng(0).normal(0.6, 0.05, (1, 2, 20))
names = {"metric": ["accuracy"], "classifier": ["knn", "svm"]}
fx.plot.scores(xr.DataArray(random, names, ("metric", "classifier", "split")))""",
        "accuracy": """
scenes = moves.fhemb.prepare(
    {"calm": [(i, i + 5) for i in (0, 10, 20)], "storm": [(i, i + 5) for i in (60, 70, 80)]}
)
fx.plot.accuracy(scenes.fhemb.classify("knn_euclidean", n_permutations=39, seed=0))""",
        "search": """
grid = {"names": ["mean", "std", "skew"], "wavelet": "db4", "level": 4, "bands": "each"}
spans = {
    "calm": [(i, i + 5) for i in range(0, 40, 10)],
    "storm": [(i, i + 5) for i in range(5, 45, 10)],
}
fx.plot.search(ds.fhemb.search(grid, spans, n_splits=3, n_permutations=39, seed=0))""",
        "importance": """
each = fx.wavelet_bands(skew, level=5)
fx.plot.importance(fx.importance(each, spans, "band", n_permutations=39, seed=0))""",
    },
}
"""By topic: the name of a figure, and the code whose last line draws it."""


def page(folder: Path) -> Iterator[str]:
    """The page, its pictures written into ``folder``."""
    from fhemb_xr.plot.files import save_figure

    os.environ["FHEMB_PLOTS"] = "png"
    known: dict[str, object] = {}
    exec(BEFORE, known)
    yield "# Gallery\n"
    yield "Each figure with the code that draws it. All of them begin with\n"
    yield f"```python\n{BEFORE.strip()}\n```\n"
    for topic, figures in FIGURES.items():
        yield f"## {topic}\n"
        for name, code in figures.items():
            *before, last = code.strip().splitlines()
            exec("\n".join(before), known)
            figure = eval(last, known)
            save_figure(figure, folder / f"{name}.png", dpi=110, faces=True)  # simulated
            yield f"### `{name}`\n"
            yield f"![{name}]({name}.png)\n"
            yield f"```python\n{code.strip()}\n```\n"
