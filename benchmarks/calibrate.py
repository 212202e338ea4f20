"""How often each null calls independent people synchronous, and how often coupled ones.

Prints the table of docs/nulls.md: families of series x nulls, each cell the share of pairs with
p <= .05 and its Wilson interval; a cell that is said to hold must not lie above .05. Ends with
1 if one does.

    python benchmarks/calibrate.py [--runs 400] [--seeds 3] [--time 1000] [--nulls linear swap]
"""

import argparse
import sys
import warnings

import numpy as np
import xarray as xr
from scipy.signal import butter, lfilter, sosfiltfilt

import fhemb_xr as fx
from fhemb_xr.kernels.inference.binomial import wilson

RATE, ALPHA = 25.0, 0.05
STRANGERS = 38


def pink(rng, shape):
    """1/f noise, cut from twice the length, so not periodic."""
    *lead, n = shape
    f = np.fft.rfftfreq(2 * n)[1:]
    size = (*lead, f.size)
    z = (rng.normal(size=size) + 1j * rng.normal(size=size)) / np.sqrt(f)
    return np.fft.irfft(np.concatenate([np.zeros((*lead, 1)), z], axis=-1), 2 * n)[..., :n]


def ar(rng, shape):
    *lead, n = shape
    return lfilter([1], [1, -0.95], rng.normal(size=(*lead, n + 300)), axis=-1)[..., 300:]


def own_drifts(rng, shape):
    at = np.linspace(-1, 1, shape[-1])
    return rng.normal(size=shape) + 2 * at * rng.normal(size=(*shape[:-1], 1))


def shared_drift(rng, shape):
    return rng.normal(size=shape) + 2 * np.linspace(-1, 1, shape[-1])


def shared_envelope(rng, shape):
    at = np.arange(shape[-1]) / shape[-1]
    return rng.normal(size=shape) * np.exp(1.5 * np.sin(2 * np.pi * at))


def breathing(rng, shape):
    """One rate, phases at random."""
    at = 2 * np.pi * 0.25 * np.arange(shape[-1]) / RATE
    return np.sin(at + rng.uniform(0, 6.3, (*shape[:-1], 1))) + 0.3 * rng.normal(size=shape)


def stimulus(rng, shape):
    """A shared periodic stimulus: no error where a null finds it, except by strangers."""
    at = 2 * np.pi * 0.25 * np.arange(shape[-1]) / RATE
    return 0.3 * np.sin(at) + rng.normal(size=shape)


def band(rng, shape):
    sos = butter(4, [0.1, 0.4], "bandpass", fs=RATE, output="sos")
    return sosfiltfilt(sos, rng.normal(size=(*shape[:-1], shape[-1] + 500)))[..., 250:-250]


def gaps(rng, shape):
    """AR(.95) with a tenth of the samples missing, each person's own."""
    x = ar(rng, shape)
    x[rng.random(shape) < 0.1] = np.nan
    return x


FAMILIES = {
    "white": lambda rng, shape: rng.normal(size=shape),
    "AR(.95)": ar,
    "1/f": pink,
    "random walk": lambda rng, shape: np.cumsum(rng.normal(size=shape), axis=-1),
    "own drifts": own_drifts,
    "shared drift": shared_drift,
    "shared envelope": shared_envelope,
    "breathing, one rate": breathing,
    "shared stimulus": stimulus,
    "band .1-.4 Hz": band,
    "gaps, AR(.95)": gaps,
}
STATIONARY = {
    "white",
    "AR(.95)",
    "1/f",
    "breathing, one rate",
    "band .1-.4 Hz",
    "gaps, AR(.95)",
}


def _series(values):
    x = xr.DataArray(values, dims=("run", "subject", "time"))
    return x.assign_attrs(sampling_rate=RATE)


def _pair(out):
    return out["p"].isel(subject_0=0, subject_1=1).values


def _exact(null, flat=False):
    def p(values, seed):
        x = _series(values[:, :2])
        return _pair(fx.isc(fx.detrend(x, order=2) if flat else x, how="pairwise", null=null))

    return p


def _windows(values, seed):
    out = fx.isc(_series(values[:, :2]), how="pairwise", null="linear", window_s=8.0)
    return _pair(out)[..., 1]  # one window: those of a run are not independent


def _drawn(method):
    def p(values, seed):
        x = _series(values[:, :2])
        return _pair(fx.synchrony(x, "correlation", 99, method=method, seed=seed))

    return p


def _alone(values, seed):
    return fx.isc(_series(values[:, :5]), null="linear")["p"].isel(subject=0).values


def _swap(values, seed):
    rows = np.r_[0, 0, 1 + np.arange(STRANGERS)]
    x = _series(values).assign_coords(row=("subject", rows))
    return _pair(fx.isc(x, how="pairwise", null="swap", across="row"))


LINES = {"own drifts", "shared drift"}
DRIFTING = STATIONARY | LINES | {"random walk"}
NULLS = {  # what is asked, and for which families it is said to hold
    "circular": (_exact("circular"), STATIONARY),
    "circular, detrended": (_exact("circular", flat=True), STATIONARY | LINES),
    "phase": (_drawn("phase"), STATIONARY - {"1/f", "gaps, AR(.95)"}),
    "iaaft": (_drawn("iaaft"), {"white", "band .1-.4 Hz"}),
    "linear": (_exact("linear"), DRIFTING),
    "linear, drawn": (_drawn("linear"), DRIFTING),
    "linear, windows": (_windows, DRIFTING),
    "linear, leave one out": (_alone, DRIFTING - {"shared drift"}),
    "swap": (_swap, DRIFTING | {"shared stimulus"}),
}  # fmt: skip


def cell(family, null, runs, n_time, seed, coupling=0.0):
    """How many of ``runs`` independent (or coupled) pairs the null calls synchronous."""
    rng = np.random.default_rng([seed, list(FAMILIES).index(family)])
    people = 2 + STRANGERS if null == "swap" else 5 if "leave" in null else 2
    values = FAMILIES[family](rng, (runs, people, n_time))
    if coupling:
        course = ar(rng, (runs, 1, n_time))
        course /= course.std(axis=-1, keepdims=True)
        values[:, :2] += coupling * np.nanstd(values, axis=-1, keepdims=True)[:, :2] * course
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return int((NULLS[null][0](values, seed) <= ALPHA).sum())


def holds(hits, n):
    """Whether Wilson's interval reaches down to alpha."""
    return wilson(hits / n, n, 2.576)[0] <= ALPHA


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--runs", type=int, default=400)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--time", type=int, default=1000)
    ask.add_argument("--nulls", nargs="+", default=list(NULLS), choices=list(NULLS))
    given = ask.parse_args()
    nulls = {name: NULLS[name] for name in given.nulls}
    wrong = []
    print("| series |", " | ".join(nulls), "|\n" + "|---" * (1 + len(nulls)) + "|")
    for family in FAMILIES:
        row = []
        for null, (_, families) in nulls.items():
            n = given.runs * given.seeds
            hits = sum(
                cell(family, null, given.runs, given.time, s) for s in range(given.seeds)
            )
            low, high = wilson(hits / n, n, 1.96)
            said = family in families
            wrong += [(family, null)] if said and not holds(hits, n) else []
            text = f"{hits / n:.3f} [{low:.3f}, {high:.3f}]".replace("0.", ".")
            row.append(text if said else f"*{text}*")
        print(f"| {family} |", " | ".join(row), "|", flush=True)
    print("\nPower, a shared AR(.95) course of .7 standard deviations:\n")
    for family in ("white", "AR(.95)", "random walk", "own drifts"):
        found = [
            cell(family, null, given.runs, given.time, 0, 0.7) / given.runs for null in nulls
        ]
        print(f"| {family} |", " | ".join(f"{v:.2f}" for v in found), "|", flush=True)
    print("\nabove .05 though said to hold:", wrong or "none")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
