"""Breathing: error against signal and noise, false alarms, and neurokit2 on the same trace.

    pip install neurokit2
    python benchmarks/bench_respiration.py

Simulated faces that turn (5 degrees, 0.5 pixels), 20 x 16 pixels at 10 Hz, noise of 30 mK a
pixel, windows of 60 s. SNR: power of the wave of the nose over that of the same faces without
breathing. The tables of ``docs/regions.md`` come from here.
"""

import importlib.util

import numpy as np
import xarray as xr
from scipy import signal

import fhemb_xr as fx
from fhemb_xr.kernels.respiration import rates

PEOPLE, SECONDS, HZ = 8, 120, 10.0
DEPTHS_K = (0.5, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.0)
RNG = np.random.default_rng(0)


def faces(breath_k):
    """A turning audience that breathes so deeply."""
    ds = fx.testing.audience(
        PEOPLE, SECONDS, shape=(20, 16), rate_hz=HZ, turn_deg=5, shift_px=0.5,
        breath_k=breath_k, seed=3,
    )  # fmt: skip
    return fx.regions(ds, ["nose_tip", "forehead", "cheeks"]).compute(), ds.breath_hz


def errors():
    """Error in breaths a minute, and how often there is a rate."""
    made = {k: faces(k) for k in DEPTHS_K}
    noise = fx.respiration(made[0.0][0]).wave.var("time").mean()
    print("| breathing at the nose [K] | SNR [dB] | windows with a rate | mean error [1/min] "
          "| largest error | quality |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for depth, (regions, hz) in made.items():
        out = fx.respiration(regions)
        wrong = abs(out.rate - 60 * hz)
        power = float(out.wave.var("time").mean() - noise)
        snr = f"{10 * np.log10(power / float(noise)):.0f}" if power > 0 else "none"
        told = float(out.rate.notnull().mean())
        worst = [f"{float(v):.2f}" if told else "" for v in (wrong.mean(), wrong.max())]
        print(f"| {depth:g} | {snr} | {told:.0%} | {worst[0]} | {worst[1]} "
              f"| {float(out.quality.mean()):.2f} |")  # fmt: skip
    return made[0.5]


KINDS = {
    "white": lambda e: e,
    "AR(.95)": lambda e: signal.lfilter([1], [1, -0.95], e),
    "random walk": lambda e: e.cumsum(axis=-1),
    "own linear drifts": lambda e: e + 30 * RNG.normal(size=(len(e), 1)) * np.linspace(
        0, 1, e.shape[1]),
    "walk and white": lambda e: e[::-1] + 0.1 * e.cumsum(axis=-1),
    "1/f": lambda e: np.fft.irfft(
        np.fft.rfft(e) / np.sqrt(np.maximum(np.arange(e.shape[1] // 2 + 1), 1)), e.shape[1]),
}  # fmt: skip


def false_alarms(n=2000):
    """Share of windows of noise with a rate, at two values of alpha."""
    print(
        "\n| noise | breathing, 60 s: p <= .05 | p <= .01 | pulse, 20 s: p <= .05 | p <= .01 |"
    )
    print("|---|---|---|---|---|")
    bands = rates.Band(0.1, 0.7, HZ, 600), rates.Band(0.8, 3.0, 25.0, 500)
    for kind, make in KINDS.items():
        x = make(RNG.normal(size=(n, 2400)))[:, -600:]
        cells = []
        for band in bands:
            p = rates.rates(x, np.array([0]), band)[:, 0, 2]
            cells += [f"{(p <= a).mean():.3f}" for a in (0.05, 0.01)]
        print(f"| {kind} | {' | '.join(cells)} |")


def beside_neurokit(regions, hz):
    """The wave and the mean rate of neurokit2 of the same trace."""
    import neurokit2 as nk

    x = regions.embedding.squeeze()
    nose = x.sel(feature="nose_tip") - x.sel(feature=["forehead", "cheeks"]).mean("feature")
    nose = nose.interpolate_na("time", fill_value="extrapolate")
    out = fx.respiration(nose)
    alike, theirs = [], []
    for row, wave in zip(nose.values, out.wave.values, strict=True):
        cleaned = nk.rsp_clean(row, sampling_rate=int(HZ), method="biosppy")
        alike.append(np.corrcoef(cleaned[100:-100], wave[100:-100])[0, 1])
        clean = nk.rsp_clean(row, sampling_rate=int(HZ), method="khodadad2018")
        _, info = nk.rsp_peaks(clean, sampling_rate=int(HZ))
        theirs.append(np.mean(nk.rsp_rate(clean, info, sampling_rate=int(HZ))))
    ours = out.rate.mean("window")
    mean = [abs(np.array(v) - 60 * hz.values).mean() for v in (theirs, ours)]
    print(f"\nbeside neurokit2 {nk.__version__}: r of the waves {min(alike):.3f} and more;")
    print(f"error of the mean rate {mean[0]:.3f} (neurokit2), {mean[1]:.3f} 1/min (here)")


if __name__ == "__main__":
    xr.set_options(keep_attrs=False)
    deepest = errors()
    false_alarms()
    if importlib.util.find_spec("neurokit2"):
        beside_neurokit(*deepest)
    else:
        print("\nneurokit2 is not installed")
