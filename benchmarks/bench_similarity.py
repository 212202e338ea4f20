"""Warping and lagged correlation against their peers, in one run: seconds and ratios.

python benchmarks/bench_similarity.py [--full] [PART …]

Peers that are not installed are left out. Where a peer would take minutes, a part of its work
is timed and extrapolated. Results are compared before times are. Times are of the processor,
medians of three turns; a part that is extrapolated by numpy runs once.

Measured with --full on one of two cores with nothing beside it (float64; how many times as
long the peers take; the window is the same half-width for all, results equal to 1e-9):

    50 x 1 000            0.13 s    aeon 38, dtaidistance 44, wildboar 45, tslearn 105
    50 x 1 000, 10 %      0.028 s   aeon 33, dtaidistance 41, wildboar 45, tslearn 374
    12 x 5 000            0.18 s    aeon 38, wildboar 40, dtaidistance 43, tslearn 78
    4 x 25 000, 2 %       0.026 s   aeon 24, wildboar 26, dtaidistance 29, tslearn 815
    30 x 1 000 x 6        0.21 s    tslearn 13, aeon 25
    30 x 1 000 x 6, 10 %  0.047 s   tslearn 18, aeon 23
    lagged map, 25 000    0.0075 s  scipy FFT 26, pandas 208, numpy loop 2 400
    lagged map, 270 000   0.061 s   scipy FFT 24, pandas 279, numpy loop 2 800
    correlation of 20 people x 600 x 400 with all 600 shifts, p, bands and corrections:
        1.26 s; 1 000 shifts by np.roll of whole arrays 17 times as long. In an earlier run the
        shifts alone took 0.40 s, BrainIAK's 1 000 shifts 1 566 times as long
    nearest of 400 x 500 for 20 queries: 0.047 s, all distances 5.5 times as long; in a window
        of 5 % 0.027 s and 1.3
    distance correlation of 25 000 samples: 0.015 s, all pairs of samples 106 times as long
    pairwise of 70 x 3 000 on one and on two worker processes: 3.7 and 2.1 s, 1.77 times as
        fast; in one process without a cluster 2.6 s, and 1.4 s on two threads

Warping does 9 thousand million cells a second: a vector of eight takes a difference, two minima
and a fused product, 16 operations for a column of four rows in about 11 cycles. Six pairs of
long series (4 x 25 000) leave two of eight lanes idle; pairs that stand alone are half as fast.
"""

import argparse
import importlib
import time
from collections.abc import Callable

import dask
import numpy as np

from fhemb_xr.kernels.dtw import distances
from fhemb_xr.kernels.pairwise import cross_correlation

SHORT = (("12 x 500", 12, 500, 1, None), ("50 x 1 000, 10 %", 50, 1000, 1, 0.1))
PARTS = ("warping", "search", "lags", "shifts", "dependence", "processes")
FULL = (
    ("50 x 1 000", 50, 1000, 1, None),
    ("50 x 1 000, 10 %", 50, 1000, 1, 0.1),
    ("12 x 5 000", 12, 5000, 1, None),
    ("4 x 25 000, 2 %", 4, 25000, 1, 0.02),
    ("30 x 1 000 x 6", 30, 1000, 6, None),
    ("30 x 1 000 x 6, 10 %", 30, 1000, 6, 0.1),
)


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Processor time of this process, the median of some runs."""
    return float(np.median([_once(function) for _ in range(repeats)]))


def _once(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def walks(n: int, n_time: int, n_features: int) -> np.ndarray:
    """Random walks ``(n, feature, time)``."""
    return np.random.default_rng(0).normal(size=(n, n_features, n_time)).cumsum(axis=2)


def ours(x: np.ndarray, window: float | None, dtype: str) -> np.ndarray:
    x = x.astype(dtype)
    n = np.full(len(x), x.shape[-1])
    return distances.distances(x, x, n, n, upper=True, window=window)


def tslearn_pairs(x: np.ndarray, window: float | None) -> Callable[[int, int], float]:
    from tslearn.metrics import dtw as peer

    series = np.ascontiguousarray(x.transpose(0, 2, 1))
    how = {} if window is None else {"sakoe_chiba_radius": int(window * x.shape[-1] + 1e-9)}
    return lambda i, j: peer(series[i], series[j], **how)


def aeon_pairs(x: np.ndarray, window: float | None) -> Callable[[int, int], float]:
    peer = importlib.import_module("aeon.distances").dtw_distance
    return lambda i, j: float(np.sqrt(peer(x[i], x[j], window=window)))


def dtaidistance_pairs(x: np.ndarray, window: float | None) -> Callable[[int, int], float]:
    peer = importlib.import_module("dtaidistance.dtw").distance_fast
    width = None if window is None else int(window * x.shape[-1] + 1e-9) + 1
    if x.shape[1] > 1:
        raise ImportError("one variable only")
    return lambda i, j: peer(x[i, 0], x[j, 0], window=width)


def wildboar_pairs(x: np.ndarray, window: float | None) -> Callable[[int, int], float]:
    checks = importlib.import_module("wildboar.utils.validation")
    if not hasattr(checks, "plain"):  # it asks scikit-learn by the old name of an argument
        checks.plain = checks.sklearn_check_array
        checks.sklearn_check_array = lambda a, **how: checks.plain(
            a, **{k.replace("force_all", "ensure_all"): v for k, v in how.items()}
        )
    peer = importlib.import_module("wildboar.distance").pairwise_distance
    if x.shape[1] > 1:
        raise ImportError("one variable only")
    n = x.shape[-1]  # its width leaves out the last cell
    r = 1.0 if window is None else (int(window * n + 1e-9) + 1.5) / n
    how = {"metric": "dtw", "metric_params": {"r": r}}
    return lambda i, j: float(peer(x[i : i + 1, 0], x[j : j + 1, 0], **how)[0, 0])


PEERS = {
    "aeon": aeon_pairs,
    "dtaidistance": dtaidistance_pairs,
    "tslearn": tslearn_pairs,
    "wildboar": wildboar_pairs,
}


def warping(
    cases: tuple[tuple[str, int, int, int, float | None], ...], budget_s: float
) -> None:
    """One table row per case: ours, then each peer and how many times as long it takes."""
    print("\nWarping, all pairs of different series, one core [s]")
    for name, n, n_time, n_features, window in cases:
        x = walks(n, n_time, n_features)
        d = ours(x, window, "float64")  # compiles
        ours(x[:2, :, :50], window, "float32")
        pairs = [(i, (i + k) % n) for k in range(1, n) for i in range(n)][: n * (n - 1) // 2]
        peers, some = {}, {}
        for peer, make in PEERS.items():
            try:
                peers[peer] = one = make(x, window)
            except ImportError:
                continue
            np.testing.assert_allclose(one(0, 1), d[0, 1], rtol=1e-9)
            took = _once(lambda one=one: one(0, 1))
            some[peer] = pairs[: max(1, int(budget_s / max(took, 1e-6)))]
        times: dict[str, list[float]] = {}
        for _ in range(3):  # in turn, so that all meet the same noise
            for dtype in ("float64", "float32"):
                whole = _once(lambda t=dtype: ours(x, window, t))  # noqa: B023
                times.setdefault(dtype, []).append(whole)
            for peer, one in peers.items():
                part = _once(lambda f=one, p=some[peer]: [f(i, j) for i, j in p])
                times.setdefault(peer, []).append(part * len(pairs) / len(some[peer]))
        middle = {k: float(np.median(v)) for k, v in times.items()}
        print(f"  {name:21}", *(_beside(k, v, middle["float64"]) for k, v in middle.items()))


def _beside(name: str, took: float, mine: float) -> str:
    return f" {name} {took:.3g}" + ("" if "float" in name else f" = {took / mine:.0f}x")


def looped(
    a: np.ndarray, b: np.ndarray, window: int, step: int, lags: int, n: int
) -> np.ndarray:
    """The first ``n`` windows by numpy."""
    out = np.full((n, 2 * lags + 1), np.nan)
    for i, k in np.ndindex(out.shape):
        s, t = i * step, i * step + k - lags
        if 0 <= t <= b.size - window:
            out[i, k] = np.corrcoef(a[s : s + window], b[t : t + window])[0, 1]
    return out


def by_pandas(a: np.ndarray, b: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """All windows of 250 at some lags: a rolling correlation with the other series shifted."""
    import pandas as pd

    x, y = pd.Series(a), pd.Series(b)
    each = [x.rolling(250).corr(y.shift(-int(k))).to_numpy()[249::25] for k in lags]
    return np.stack(each, axis=1)


def by_fft(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """The first ``n`` windows that have all lags: products by scipy's FFT, moments by sums."""
    from scipy.signal import correlate

    out = np.empty((n, 501))
    for i, s in enumerate(range(250, 250 + 25 * n, 25)):
        u, v = a[s : s + 250], b[s - 250 : s + 500]
        u, v = u - u.mean(), v - v.mean()
        one, two = (np.concatenate([[0], np.cumsum(x)]) for x in (v, v * v))
        one, two = one[250:] - one[:-250], two[250:] - two[:-250]
        spread = np.sqrt((two - one * one / 250) * (u @ u))
        out[i] = correlate(v, u, mode="valid", method="fft") / spread
    return out


def maps(lengths: tuple[int, ...], n_rows: int) -> None:
    """Window 250, step 25, lags to 250 either way."""
    print("\nLagged correlation, window 250, step 25, lags -250 to 250, one core [s]")
    for n_time in lengths:
        a, b = walks(2, n_time, 1)[:, 0]
        holes = np.where(np.random.default_rng(1).random(n_time // 100) < 0.02, np.nan, 0.0)
        gaps = a + np.repeat(holes, 100)
        r = cross_correlation.pearson(a, b, 250, 25, 250)
        cross_correlation.pearson(gaps[:2000], b[:2000], 250, 25, 250)
        mine = seconds(lambda: cross_correlation.pearson(a, b, 250, 25, 250))  # noqa: B023
        with_gaps = seconds(lambda: cross_correlation.pearson(gaps, b, 250, 25, 250))  # noqa: B023
        start = time.process_time()
        expected = looped(a, b, 250, 25, 250, n_rows)
        loop = (time.process_time() - start) / n_rows * len(r)
        error = np.nanmax(np.abs(r[:n_rows] - expected))
        some, n_fft = np.array([-100, 0, 100]), 20 * n_rows
        np.testing.assert_allclose(by_pandas(a, b, some), r[:, 250 + some], atol=1e-6)
        np.testing.assert_allclose(by_fft(a, b, n_fft), r[10 : 10 + n_fft], atol=1e-8)
        pandas = seconds(lambda: by_pandas(a, b, some)) * 501 / 3  # noqa: B023
        fft = seconds(lambda: by_fft(a, b, n_fft)) / n_fft * len(r)  # noqa: B023
        print(
            f"  T = {n_time:7}  fhemb_xr {mine:.4f}  2 % gaps {with_gaps:.4f}  numpy loop "
            f"{loop:.1f} ({n_rows} of {len(r)} windows) = {loop / mine:.0f}x, error "
            f"{error:.0e}\n      pandas {pandas:.1f} (3 of 501 lags) = "
            f"{pandas / mine:.0f}x, scipy FFT "
            f"{fft:.2f} ({n_fft} windows) = {fft / mine:.0f}x"
        )


def rolled(x: np.ndarray, n: int) -> np.ndarray:
    """Leave-one-out correlation at the first ``n`` shifts by ``np.roll``: ``(n, s, f)``."""
    out = np.empty((n, len(x), x.shape[2]))
    total = x.sum(axis=0)
    for s, own in enumerate(x):
        rest = (total - own) / (len(x) - 1)
        rest = rest - rest.mean(axis=0)
        norm = np.sqrt((rest * rest).sum(axis=0))
        for k in range(n):
            d = np.roll(own, k, axis=0)
            d = d - d.mean(axis=0)
            out[k, s] = (d * rest).sum(axis=0) / np.sqrt((d * d).sum(axis=0)) / norm
    return out


def shifted(n_shifts: int = 10) -> None:
    """Correlation of 20 people, 600 frames, 400 features, with all shifts as null."""
    import xarray as xr

    from fhemb_xr.ops.inference.isc import isc

    x = np.random.default_rng(0).normal(size=(20, 600, 400)) + 30
    audience = xr.DataArray(x, dims=("subject", "time", "feature"))

    with dask.config.set(scheduler="synchronous"):
        plain = seconds(lambda: isc(audience))
        whole = seconds(lambda: isc(audience, null="circular"))
    loop = seconds(lambda: rolled(x, n_shifts)) / n_shifts * 1000
    print(
        f"\nLeave-one-out correlation, 20 people x 600 frames x 400 features, one core [s]\n"
        f"  fhemb_xr {plain:.2f}  all 600 shifts with p, bands and corrections {whole:.2f}\n"
        f"  1 000 rolls of whole arrays by numpy {loop:.1f} ({n_shifts} timed) = "
        f"{loop / whole:.0f}x as long"
    )
    try:
        peer = importlib.import_module("brainiak.isc")
    except ImportError:
        return
    scans = np.moveaxis(x, 0, 2)  # (time, voxel, subject)
    np.testing.assert_allclose(
        peer.isc(scans), isc(audience)["isc"].transpose("subject", "feature"), atol=1e-12
    )
    again = seconds(lambda: peer.isc(scans), 1)
    shift = seconds(lambda: peer.timeshift_isc(scans, n_shifts=2, random_state=0), 1) / 2
    print(
        f"  BrainIAK isc {again:.2f}  timeshift_isc of 1 000 shifts {1000 * shift:.0f} "
        f"(2 timed) = {1000 * shift / whole:.0f}x all of ours, with p, bands and corrections"
    )


def dependences(n_time: int = 25_000) -> None:
    """Distance correlation of one pair, by sorting and by all pairs of samples."""
    from fhemb_xr.kernels.pairwise import distance_correlation

    x, y = walks(2, n_time, 1)
    n = np.array([n_time])
    both = [np.concatenate([s, np.zeros_like(s)])[None] for s in (x, y)]  # the same distances
    run = lambda a, b: distance_correlation.distance_correlations(a, n, b, n)  # noqa: E731
    np.testing.assert_allclose(run(x[None], y[None]), run(*both), rtol=1e-7)
    fast, slow = seconds(lambda: run(x[None], y[None])), seconds(lambda: run(*both), 1)
    print(f"\nDistance correlation, {n_time} samples: {fast:.4f} s, all pairs {slow:.2f} s")


def _clock(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def searches(n: int = 400, n_time: int = 500) -> None:
    """The nearest of many series, beside all distances."""
    from fhemb_xr.kernels.dtw import nearest_neighbors

    x, lengths = walks(n, n_time, 1), np.full(n, n_time)
    q = x[:20] + np.random.default_rng(2).normal(size=(20, 1, n_time))
    for window in (0.05, None):
        run = lambda w=window: nearest_neighbors.nearest(q, x, lengths[:20], lengths, 1, w)  # noqa: E731
        every = lambda w=window: distances.distances(q, x, lengths[:20], lengths, window=w)  # noqa: E731
        np.testing.assert_array_equal(run()[1][:, 0], every().argmin(axis=1))
        fast, slow = seconds(run), seconds(every)
        print(
            f"  nearest of {n} x {n_time}, 20 queries, window {window}: {fast:.3f} s, all "
            f"distances {slow:.3f} = {slow / fast:.1f}x, {run()[2]} of {20 * n} tables begun"
        )


def processes(n: int, n_time: int) -> None:
    """The pair grid on one and on two worker processes of one thread."""
    import xarray as xr
    from distributed import Client, LocalCluster

    from fhemb_xr.ops.pairwise.matrix import pairwise

    x = xr.DataArray(walks(n, n_time, 1)[:, 0], dims=("subject", "time")).chunk(subject=1)
    d = pairwise(x, "dtw")
    best = {}
    for k in (1, 2):
        options = {"n_workers": k, "threads_per_worker": 1, "dashboard_address": None}
        with LocalCluster(processes=True, **options) as cluster, Client(cluster):
            d.compute()  # compiles in every worker
            best[k] = min(_clock(d.compute) for _ in range(3))
    print(
        f"\npairwise {n} x {n_time}, 1 and 2 worker processes: {best[1]:.2f} {best[2]:.2f} s "
        f"= {best[1] / best[2]:.2f}x"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the sizes of the goals, minutes")
    parser.add_argument("part", nargs="*", help=f"some of {PARTS}, else all")
    asked = parser.parse_args()
    full, parts = asked.full, asked.part or PARTS
    if "warping" in parts:
        warping(FULL if full else SHORT, 3.0 if full else 0.5)
    if "search" in parts:
        searches()
    if "lags" in parts:
        maps((25_000, 270_000) if full else (25_000,), 10 if full else 3)
    if "shifts" in parts:
        shifted()
    if "dependence" in parts:
        dependences()
    if "processes" in parts:
        processes(70 if full else 24, 3000 if full else 1500)
