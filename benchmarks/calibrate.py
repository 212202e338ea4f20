"""How often each null calls independent people synchronous, and how often coupled ones.

Prints the table of docs/nulls.md: families of series x nulls, each cell the share of pairs with
p <= .05 and its Wilson interval. A cell that is said to hold must not lie above .05, over all
seeds together and in each; ends with 1 if one does. ``--keep`` adds the cells to a JSON file,
``--draw`` makes the picture of such a file and measures nothing.

    python benchmarks/calibrate.py [--runs 400] [--seeds 3] [--time 1000] [--nulls linear swap]
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

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


def _drawn(null, n=99, at_once=10):
    """Runs stand beside each other as people, so that each is drawn by itself."""

    def p(values, seed):
        found = []
        for first in range(0, len(values), at_once):
            some = values[first : first + at_once, :2]
            x = xr.DataArray(some.reshape(-1, some.shape[-1]), dims=("subject", "time"))
            x = x.assign_attrs(sampling_rate=RATE)
            out = fx.synchrony(x, "correlation", n, null=null, seed=seed + 1000 * first)
            found += np.diagonal(out["p"].values, 1)[::2].tolist()
        return np.array(found)

    return p


def _alone(values, seed):
    return fx.isc(_series(values[:, :5]), null="linear")["p"].isel(subject=0).values


def _swap(values, seed):
    rows = np.r_[0, 0, 1 + np.arange(STRANGERS)]
    x = _series(values).assign_coords(row=("subject", rows))
    return _pair(fx.isc(x, how="pairwise", null="swap", across="row"))


def _each(test):
    """p of runs one by one, of series ``(subject, time)``."""

    def p(values, seed):
        found = []
        for k, run in enumerate(values):
            x = xr.DataArray(run, dims=("subject", "time"), attrs={"sampling_rate": RATE})
            found.append(float(test(x, {"null": "linear", "n": 19, "seed": seed + 1000 * k})))
        return np.array(found)

    return p


def _of_people(test):
    """The same of four people, who have ``series / 4`` features."""

    def p(x, how):
        some = x.values.reshape(-1, PEOPLE, x.sizes["time"]).transpose(1, 2, 0)
        return test(xr.DataArray(some, dims=("subject", "time", "feature"), attrs=x.attrs), how)

    return _each(p)


def _corrca(x, how):
    return fx.corrca(x, 1, **how).p[0]


def _shared_response(x, how):
    return fx.shared_response(x, 1, n_iter=3, **how).p[0]


def _states(x, how):
    return fx.states(x, 5, n_iter=15, **how | {"null": "lengths"}).p[0]


def _encode(x, how):
    faces, music = x[0], x[1].rename("music")
    return fx.encode(faces, music, (0, 0.4), [1.0, 100.0], 3, gap_s=0.4, **how).p


def _recurrence(x, how):
    return fx.recurrence(x[0], x[1], rate=0.1, max_lag_s=0.2, **how).p_profile.sel(lag=0)


def _coherence(x, how):
    return fx.wavelet_coherence(x, periods_s=(2.0, 4.0), per_octave=2, **how).p[0, 1]


def _locking(x, how):
    return fx.phase_locking(x, periods_s=(2.0, 4.0), per_octave=2, **how).p_plv[0, 1]


def _granger(x, how):
    return fx.granger(x, 0.2, **how).p[0, 1]


def _transfer(x, how):
    return fx.transfer_entropy(x, 0.2, **how).p[0, 1]


def _exchanged(test):
    """p of the first of 20 people in two sessions, each of which has a course of its own."""

    def p(values, seed):
        found = []
        for run in values:
            faces = np.concatenate([run[:1], run[3:]]).reshape(2, 20, -1)
            x = xr.DataArray(faces, dims=("session", "subject", "time"))
            course = xr.DataArray(run[1:3], dims=("session", "time"))
            both = (v.assign_attrs(sampling_rate=RATE) for v in (x, course))
            out = test(*both, {"null": "swap", "across": "session"})
            found.append(float(out.isel(session=0, subject=0)))
        return np.array(found)

    return p


def _encode_swap(x, course, how):
    return fx.encode(x, course, (0, 0.4), [1.0, 100.0], 3, gap_s=0.4, **how).p


def _recurrence_swap(x, course, how):
    return fx.recurrence(course, x, rate=0.1, max_lag_s=0.2, **how).p_profile.sel(lag=0)


PEOPLE = 4
SERIES = {
    "encode, swap": 42, "recurrence, swap": 42,
    "swap": 2 + STRANGERS, "linear, leave one out": 5, "corrca": 3 * PEOPLE,
    "shared_response": 3 * PEOPLE, "states": 4 * PEOPLE,
}  # fmt: skip
"""Series of a run, where they are not two."""
COUPLED = dict.fromkeys(("corrca", "shared_response", "states"), PEOPLE)
"""Series that have the shared course, where they are not two."""
LINES = {"own drifts", "shared drift"}
DRIFTING = STATIONARY | LINES | {"random walk"}
NULLS = {  # what is asked, and for which families it is said to hold
    "circular": (_exact("circular"), STATIONARY),
    "circular, detrended": (_exact("circular", flat=True), STATIONARY | LINES),
    "phase": (_drawn("phase"), STATIONARY - {"1/f", "gaps, AR(.95)"}),
    "iaaft": (_drawn("iaaft", 39), {"white", "AR(.95)", "band .1-.4 Hz"}),
    "block": (_drawn("block"), set()),
    "linear": (_exact("linear"), DRIFTING),
    "linear, drawn": (_drawn("linear"), DRIFTING),
    "linear, windows": (_windows, DRIFTING),
    "linear, leave one out": (_alone, DRIFTING - {"shared drift"}),
    "swap": (_swap, DRIFTING | {"shared stimulus"}),
    "corrca": (_of_people(_corrca), DRIFTING),
    "shared_response": (_of_people(_shared_response), DRIFTING),
    "states": (_of_people(_states), DRIFTING),
    "encode": (_each(_encode), DRIFTING - {"random walk", "own drifts"}),
    "recurrence": (_each(_recurrence), DRIFTING),
    "encode, swap": (_exchanged(_encode_swap), set(FAMILIES)),
    "recurrence, swap": (_exchanged(_recurrence_swap), set(FAMILIES)),
    "wavelet_coherence": (_each(_coherence), DRIFTING - {"breathing, one rate"}),
    "phase_locking": (_each(_locking), DRIFTING),
    "granger": (_each(_granger), DRIFTING),
    "transfer_entropy": (_each(_transfer), DRIFTING - {"random walk"}),
}


def cell(family, null, runs, n_time, seed, coupling=0.0):
    """How many of ``runs`` independent (or coupled) pairs the null calls synchronous."""
    rng = np.random.default_rng([seed, list(FAMILIES).index(family)])
    values = FAMILIES[family](rng, (runs, SERIES.get(null, 2), n_time))
    if coupling:
        course = ar(rng, (runs, 1, n_time))
        course /= course.std(axis=-1, keepdims=True)
        n = COUPLED.get(null, 2)
        values[:, :n] += coupling * np.nanstd(values, axis=-1, keepdims=True)[:, :n] * course
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return int((NULLS[null][0](values, seed) <= ALPHA).sum())


def holds(hits, n, z=2.576):
    """Whether Wilson's interval reaches down to alpha."""
    return wilson(hits / n, n, z)[0] <= ALPHA


def measured(family, null, runs, seeds, n_time):
    """Share of a cell with its interval, and whether each seed holds too."""
    hits = [cell(family, null, runs, n_time, s) for s in range(seeds)]
    n = runs * seeds
    low, high = wilson(sum(hits) / n, n, 1.96)
    fits = holds(sum(hits), n) and all(holds(h, runs, 3.29) for h in hits)
    return {"share": sum(hits) / n, "low": low, "high": high, "n": n, "fits": fits}


def table(nulls, families, given):
    """Print the false positives; give the cells."""
    print("| series |", " | ".join(nulls), "|\n" + "|---" * (1 + len(nulls)) + "|")
    cells = {}
    for family in families:
        row = []
        for null in nulls:
            found = measured(family, null, given.runs, given.seeds, given.time)
            found["said"] = family in NULLS[null][1]
            cells[f"{family} / {null}"] = found
            text = "{share:.3f} [{low:.3f}, {high:.3f}]".format(**found).replace("0.", ".")
            row.append(text if found["said"] else f"*{text}*")
        print(f"| {family} |", " | ".join(row), "|", flush=True)
    return cells


def power(nulls, given):
    """Print how often each null finds a coupling."""
    print("\nPower, a shared AR(.95) course of .7 standard deviations:\n")
    for family in ("white", "AR(.95)", "random walk", "own drifts"):
        found = [
            cell(family, null, given.runs, given.time, 0, 0.7) / given.runs for null in nulls
        ]
        print(f"| {family} |", " | ".join(f"{v:.2f}" for v in found), "|", flush=True)


def drawn(file):
    """The picture of the cells in ``file``, beside it: a panel for each null."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    cells = json.loads(file.read_text())
    nulls = [n for n in NULLS if any(key.endswith(f" / {n}") for key in cells)]
    figure, axes = pyplot.subplots(1, len(nulls), sharey=True, figsize=(1.3 * len(nulls), 3.4))
    rows = {family: -i for i, family in enumerate(FAMILIES)}
    for axis, null in zip(np.atleast_1d(axes), nulls, strict=True):
        axis.axvline(np.sqrt(ALPHA), color="#8c8c8c", linewidth=0.8)
        for family, row in rows.items():
            if (found := cells.get(f"{family} / {null}")) is None:
                continue
            colour = "#0072b2" if found["said"] else "#d55e00"
            ends = np.sqrt([found["low"], found["high"]])
            axis.plot(ends, [row, row], color=colour, linewidth=1.2)
            axis.plot(np.sqrt(found["share"]), row, "o", color=colour, markersize=3.5)
        axis.set_title(null.replace(", ", ",\n"), fontsize=8)
        axis.set_xlim(0, 1.02)
        axis.set_xticks(np.sqrt([0, 0.05, 0.25, 1]), ["0", ".05", ".25", "1"], fontsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    np.atleast_1d(axes)[0].set_yticks(list(rows.values()), list(rows), fontsize=7)
    figure.supxlabel("Share of independent data sets that are called coupled", fontsize=8)
    figure.savefig(file.with_suffix(".png"), dpi=160, bbox_inches="tight")


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--runs", type=int, default=400)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--time", type=int, default=1000)
    ask.add_argument("--nulls", nargs="+", default=list(NULLS), choices=list(NULLS))
    ask.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    ask.add_argument("--keep", type=Path)
    ask.add_argument("--draw", type=Path)
    given = ask.parse_args()
    if given.draw:
        return drawn(given.draw)
    cells = table(given.nulls, given.families, given)
    power(given.nulls, given)
    if given.keep:
        before = json.loads(given.keep.read_text()) if given.keep.exists() else {}
        given.keep.write_text(json.dumps(before | cells, indent=1) + "\n")
    wrong = [key for key, found in cells.items() if found["said"] and not found["fits"]]
    print("\nabove .05 though said to hold:", wrong or "none")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
