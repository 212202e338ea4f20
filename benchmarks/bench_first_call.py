"""The first call in a new process: nothing kept, and with the compiled code kept.

python benchmarks/bench_first_call.py [repeats]

Each row is a new process of one thread: seconds of CPU for ``import fhemb_xr``, beside its peer
``import xarray, dask``, and for the first call on small data of a recording's dtype, with the
loading of what it needs. ``kernels`` counts compilations; ``twice``, of them, those of a kernel
that was compiled already for other types of its arguments.

One run beside four other jobs on two cores; dtw is before and after its loop had a stable type:

==============  ====  ====  ======  =====  =======  =====
call            kept  peer  import  call   kernels  twice
==============  ====  ====  ======  =====  =======  =====
embed           no    1.33  0.01    27.89  79       37
embed           yes   1.33  0.01     1.53   0        0
wavelet_filter  no    1.23  0.01    26.24  34       10
wavelet_filter  yes   1.21  0.01     1.43   0        0
lagged          no    1.35  0.01    18.92  64       24
lagged          yes   1.53  0.01     1.38   0        0
features        no    1.00  0.01    13.54  31       15
features        yes   0.96  0.01     1.25   0        0
dtw, before     no    1.17  0.01     8.65  27        8
dtw, before     yes   0.99  0.01     2.39   6        1
dtw             no    1.34  0.01     9.36  27        8
dtw             yes   1.23  0.01     1.50   0        0
==============  ====  ====  ======  =====  =======  =====

No kernel is compiled for two dtypes or layouts: ``twice`` are constants (0, 1, True) among the
arguments, which numba takes as types of their own, and numba's own functions.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

CALLS = {
    "embed": "fx.embed(ds, ['mean', 'skew', ('p5', 'p95'), 'pc0'], threshold=25, wavelet='db4',"
    " level=4, bands=[2, 3], transform='modwt').compute()",
    "wavelet_filter": "fx.wavelet_filter(one, [2, 3], level=4).compute()",
    "lagged": "fx.lagged_correlation(one, window_s=2, step_s=1, max_lag_s=1).compute()",
    "features": "fx.features(heat, ['mean', 'skew', 'p5', 'p95'], threshold=25).compute()",
    "dtw": "fx.pairwise(one, 'dtw', normalize='zscore').compute()",
}
PROCESS = """
import time
started = time.process_time()
import dask, numpy as np, xarray as xr
base = time.process_time() - started
import fhemb_xr as fx
imported = time.process_time() - started - base
rng = np.random.default_rng(0)
heat = xr.DataArray(
    rng.normal(31, 2, (3, 1, 256, 12, 10)).astype("f4"),
    {"subject": [0, 1, 2], "session": ["s"], "time": np.arange(256) / 25},
    ("subject", "session", "time", "y", "x"), "heatmap", {"units": "degC"},
).chunk(time=128)
ds = heat.to_dataset().assign_attrs(sampling_rate=25.0, temperature_threshold=25.0)
one = heat.mean(("y", "x")).isel(session=0).assign_attrs(sampling_rate=25.0).chunk(time=128)
dask.config.set(scheduler="synchronous")
from numba.core import event
class Count(event.Listener):
    seen = []
    def on_start(self, e):
        self.seen.append(e.data["dispatcher"].py_func.__qualname__)
    def on_end(self, e):
        pass
event.register("numba:compile", Count())
started = time.process_time()
CALL
spent = time.process_time() - started
import json
names = Count.seen
print(json.dumps([base, imported, spent, len(names), len(names) - len({*names})]))
"""


def measured(call: str, folder: str) -> list[float]:
    env = {**os.environ, "FHEMB_JIT_CACHE": folder, "OMP_NUM_THREADS": "1"}
    code = PROCESS.replace("CALL", call)
    return json.loads(subprocess.check_output([sys.executable, "-c", code], env=env, text=True))


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(
        f"{'call':16}{'kept':>6}{'peer':>7}{'import':>8}{'call':>7}{'kernels':>9}{'twice':>7}"
    )
    for name, call in CALLS.items():
        with tempfile.TemporaryDirectory() as folder:
            warm = [measured(call, f"{folder}/0") for _ in range(repeats + 1)][1:]
            cold = [measured(call, f"{folder}/{i + 1}") for i in range(repeats)]
        for kept, rows in (("no", cold), ("yes", warm)):
            peer, own, spent, kernels, twice = map(statistics.median, zip(*rows, strict=True))
            row = f"{peer:7.2f}{own:8.2f}{spent:7.2f}{kernels:9.0f}{twice:7.0f}"
            print(f"{name:16}{kept:>6}{row}", flush=True)


if __name__ == "__main__":
    main()
