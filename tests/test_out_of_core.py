"""Recordings larger than the workers that embed them."""

import threading
import time

import numpy as np
import psutil
import pytest

import fhemb_xr as fx

LIMIT = 3 * 2**28


class PeakMemory:
    """The largest resident memory of any process that is a child when the block begins."""

    def __enter__(self):
        self.peak, self._on = 0, True
        self._children = psutil.Process().children(recursive=True)  # finding them is work
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while self._on:
            for child in self._children:
                try:
                    self.peak = max(self.peak, child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.1)

    def __exit__(self, *_):
        self._on = False
        self._thread.join()


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_embed__of_twice_the_memory_of_all_workers(tmp_path, workers):
    frames = 2 * workers * LIMIT // (4 * 48 * 36 * 4)
    ds = fx.testing.audience(n_subjects=4, seconds=frames / 25, shape=(48, 36))
    assert ds.heatmap.nbytes > 1.99 * workers * LIMIT
    options = {"threshold": 25, "wavelet": "db4", "level": 8, "bands": [2, 3, 5]}
    with (
        fx.local_cluster(workers, memory_limit=LIMIT) as client,
        PeakMemory() as memory,
    ):
        fx.embed(ds, ["mean", "skew", "p95"], **options).fhemb.save(tmp_path / "emb.zarr")
        spilled = client.run(lambda dask_worker: dask_worker.data.spilled_total.disk)
    assert sum(spilled.values()) == 0
    assert memory.peak < 0.9 * LIMIT
    emb = fx.open_embedding(tmp_path / "emb.zarr")
    part = ds.isel(subject=[0], time=slice(0, 4000))
    alone = fx.embed(part, ["mean"], **options).isel(time=slice(0, 1500))
    found = emb.sel(feature=["mean"]).isel(subject=[0], time=slice(0, 1500))
    # far from the cut's end both see the same samples; half an ulp of 35 degC is 2e-6
    np.testing.assert_allclose(found, alone, atol=2e-5)
