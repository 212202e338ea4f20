"""Which of two simulated faces a simulated heart belongs to, by our methods and by peers.

    python benchmarks/bench_pairing.py

Everything here is synthetic (fx.testing.hearts): the figures order methods, and say nothing
about real faces. Models learn from 240 people at -16 dB; all methods are tested on 60 others.
"""

import resource
import time

import numpy as np
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.kernels.cardiac import pulse_band

TRAINED, CLIPS, TESTED, FIRST = 240, 6, 60, 100_000
LEVELS_DB = (-10, -16, -20, -40, -200)  # the last has no pulse to speak of
TRIALS = 4000
GOALS = {"blind": 0.74, "linear": 0.93, "r2plus1d": 0.97}


def timed(label, function, *args, **kwargs):
    start = time.perf_counter()
    out = function(*args, **kwargs)
    print(f"{label:44}{time.perf_counter() - start:8.1f} s", flush=True)
    return out


def whole_face(ds):
    """Peer: the mean of the face in the pulse band, correlated with the trace."""
    fast = pulse_band.cosines(ds.sizes["time"], 15.0, pulse_band.PULSE_HZ)
    face = ds.heatmap.mean(["y", "x"]).values @ fast
    heart = ds.trace.values @ fast
    face, heart = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (face, heart))
    return matrix(np.einsum("csf,hsf->hcs", face, heart), ds)


def rate_only(ds):
    """Peer: nearest heart rate, the strongest frequency of the mean of the face."""
    n = 8 * ds.sizes["time"]
    hz = np.fft.rfftfreq(n, 1 / 15.0)
    band = (hz >= pulse_band.PULSE_HZ[0]) & (hz <= 2.0)
    face = ds.heatmap.mean(["y", "x"]).values
    power = np.abs(np.fft.rfft(face - face.mean(axis=-1, keepdims=True), n)) ** 2
    seen = 60 * hz[band][np.argmax(power[..., band], axis=-1)]
    return matrix(-np.abs(seen[None] - ds.heart_rate.values[:, None]), ds)


def matrix(score, ds):
    coords = {"heart": ds.subject.values, "candidate": ds.subject.values}
    return xr.DataArray(
        score, dims=("heart", "candidate", "session"), coords=coords
    ).to_dataset(name="score")


def line(name, scores, rate=None):
    found = fx.pairing_accuracy(scores, rate, n_trials=TRIALS)
    all_of = found.isel(difference=0)
    text = f"{float(all_of.accuracy):.3f} [{float(all_of.person_low):.3f}, "
    return found, f"{name:22}{text}{float(all_of.person_high):.3f}]"


def main():
    known = timed(f"simulate {TRAINED} people x {CLIPS} clips",
                  lambda: fx.testing.hearts(TRAINED, CLIPS).compute())  # fmt: skip
    models = {"blind": None}
    models["linear"] = timed("train linear", fx.train_pairing, known, known.trace)
    models["r2plus1d"] = timed(
        "train (2+1)D", fx.train_pairing, known, known.trace, method="r2plus1d", epochs=26
    )
    print(f"(2+1)D has {models['r2plus1d'].attrs['parameters']} parameters\n")
    for db in LEVELS_DB:
        ds = fx.testing.hearts(TESTED, 8, first=FIRST, snr_db=db).compute()
        print(f"synthetic faces at {db} dB, {TESTED} unseen people, {TRIALS} trials, chance .5")
        for name, peer in (("mean of the face", whole_face), ("heart rate only", rate_only)):
            print("  " + line(name, peer(ds))[1])
        for method, model in models.items():
            start = time.perf_counter()
            scores = fx.pair(ds, ds.trace, method=method, model=model).compute()
            took = time.perf_counter() - start
            found, text = line(method, scores, ds.heart_rate)
            third = fx.pairing_accuracy(scores, heart="third", n_trials=TRIALS).isel(
                difference=0
            )
            print(f"  {text}  third's heart {float(third.accuracy):.3f} "
                  f"[{float(third.person_low):.3f}, {float(third.person_high):.3f}]  "
                  f"{took:.1f} s for {scores.score.size} scores")  # fmt: skip
            if db == -16:
                shifts = np.random.default_rng(0).integers(3 * 15, 7 * 15)
                late = ds.trace.roll(time=int(shifts))
                moved = fx.pair(ds, late, method=method, model=model).compute()
                text = line("", moved)[1].strip()
                print(f"    own trace shifted by {shifts / 15:.1f} s: {text}")
                steps = found.isel(difference=slice(1, None)).accuracy
                by = [
                    f"{d} bpm {float(a):.2f}"
                    for d, a in zip(steps.difference.values, steps, strict=True)
                ]
                print(f"    by difference in heart rate: {', '.join(by)}")
                share = float(found.accuracy[0])
                verdict = "reached" if share >= GOALS[method] else "MISSED"
                print(f"    goal {GOALS[method]:.2f}: {verdict}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
