"""Recurrence, coherence, encoding models, shared responses and states beside their peers.

    pip install pyunicorn pycwt brainiak mne-connectivity
    python benchmarks/bench_together.py

One process, one BLAS thread; each row alternates the two, medians of the runs. Errors are the
largest difference between what both define alike: DET, coherence outside the cones, weights of
the ridge, phase locking (mne-connectivity cuts wavelets at five standard deviations).
``pyunicorn`` holds all pairs of moments, scikit-learn the explicit lagged design. A peer that
is not installed is left out.
"""

import importlib.util
import itertools
import statistics
import time
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from fhemb_xr.kernels.coherence import locking as phases
from fhemb_xr.kernels.coherence import wavelets
from fhemb_xr.kernels.components import srm
from fhemb_xr.kernels.encoding import encoding, lagged_sums
from fhemb_xr.kernels.encoding.ridge import Model, stretches
from fhemb_xr.kernels.recurrence.plots import Plot
from fhemb_xr.kernels.recurrence.quantification import quantify
from fhemb_xr.kernels.states import events

RUNS = 5
RNG = np.random.default_rng(0)


def recurrence():
    """Auto-recurrence of 3 000 states of three delayed copies, at a fixed radius."""
    from pyunicorn.timeseries import RecurrencePlot

    x = RNG.normal(size=3008)
    plot = Plot(3, 4, 1.0, 0.0, False, False, 1, (2, 2), 0)

    def peer():
        found = RecurrencePlot(
            x, dim=3, tau=4, metric="euclidean", threshold=1.0, silence_level=5
        )
        found.laminarity()
        return found.determinism()

    return lambda: quantify(x[None], None, plot)[1], peer


def coherence():
    """All 66 pairs of 12 people, 3 000 samples, 60 periods."""
    import pycwt

    n, people = 3000, 12
    x = RNG.normal(size=(people, n)) + RNG.normal(size=n)
    scales = wavelets.Scales(tuple(4.0 * 2 ** (np.arange(60) / 12)), 12)
    pairs = [(i, j) for i in range(people) for j in range(i)]

    def ours():
        each = [wavelets.transform(row, scales, 0, n) for row in x]
        return [wavelets.coherence(each[i], each[j], scales)[0] for i, j in pairs][-1]

    def peer():
        return [
            pycwt.wct(x[i], x[j], 1.0, dj=1 / 12, s0=4.0, J=59, sig=False)[0] for i, j in pairs
        ][-1]

    return ours, peer


def locking():
    """Phase locking and wPLI of 8 series of 6 000 samples at 12 periods, the same moments."""
    from mne_connectivity import spectral_connectivity_time

    hz, periods = 5.0, 2.0 * 2.0 ** (np.arange(12) / 4)
    x = RNG.normal(size=(8, 6000)) + RNG.normal(size=6000)
    scales = wavelets.Scales(tuple(periods * hz / wavelets.PERIOD_OF_SCALE), 4)
    edge = int(np.ceil(wavelets.CONE * max(scales.samples)))
    middle = 12 / (6 + np.sqrt(38))  # of a wavelet, in frequencies of its period

    def ours():
        waves = [phases.waves(person, scales, 0, x.shape[1])[:, edge:-edge] for person in x]
        sums = np.stack([phases.sums(a, b) for a, b in itertools.combinations(waves, 2)])
        return phases.measures(sums[..., 0])[:, :2]

    def peer():
        hertz = np.sort(middle / periods)
        found = spectral_connectivity_time(
            x[None], hertz, average=True, method=["plv", "wpli"], sfreq=hz, n_cycles=6.0,
            padding=edge / hz, faverage=False,
            indices=np.triu_indices(8, 1), n_jobs=1, verbose=False,
        )  # fmt: skip
        return np.stack([np.abs(c.get_data())[:, ::-1] for c in found], axis=1)

    return ours, peer


def encode():
    """40 series of 6 000 samples, 2 features at 60 lags, 5 folds, 6 penalties."""
    from sklearn.linear_model import Ridge

    s, y = RNG.normal(size=(2, 6000)), RNG.normal(size=(40, 6000))
    y[:20] += np.roll(s[0], 20)
    model = Model(0, 60, (1.0, 10.0, 100.0, 1e3, 1e4, 1e5), 5, 60)
    fields, chosen = model.fields(2), {}

    def ours():
        out = encoding.encoded(y, s, model=model, standardised=False)
        chosen["alpha"] = out[0, fields["alpha"]]
        return fields.part(out, "weights")[0].ravel()

    def peer():
        """Thirty fits, of the folds without the choice of a penalty, and one of the whole."""
        z = lagged_sums.design(s, 0, 60, 0, 6000)
        cut = stretches(59, 6000, model)
        for tested in cut.learnt:
            spans = zip(cut.edges[:-1], cut.edges[1:], tested, strict=True)
            rows = np.concatenate([np.arange(a, b) for a, b, used in spans if used])
            for alpha in model.alphas:
                Ridge(alpha=alpha).fit(z[rows], y[:, rows].T)
        return Ridge(alpha=chosen["alpha"]).fit(z[59:], y[:, 59:].T).coef_[0]

    return ours, peer


def shared_response():
    """20 people, 5 000 samples of 50 features, 10 components, ten rounds."""
    from brainiak.funcalign.srm import DetSRM

    own = np.linalg.qr(RNG.normal(size=(20, 50, 10)))[0]
    course = 3 * RNG.normal(size=(5000, 10)) * np.linspace(2, 1, 10)
    x = course @ own.transpose(0, 2, 1) + RNG.normal(size=(20, 5000, 50))
    x -= x.mean(axis=1, keepdims=True)
    model = srm.Model(*x.shape[::2], 10, 10, False, 0)

    def ours():
        return model.fit.part(srm.whole(x, model), "explained").sum()

    def peer():
        found = DetSRM(n_iter=10, features=10)
        found.fit([person.T for person in x])
        return len(x) * (found.s_**2).sum() / (x**2).sum()

    return ours, peer


def states():
    """1 500 samples of 30 features, 12 states; rounds until the likelihood falls."""
    from brainiak.eventseg.event import EventSegment

    x = np.repeat(RNG.normal(size=(12, 30)), 125, axis=0) + 1.5 * RNG.normal(size=(1500, 30))
    model = events.Chain(12, 30, 500, True)

    def ours():
        return model.fit.part(events.whole(x[None], model), "mean_ll")

    def peer():
        found = EventSegment(12)
        found.fit(x)
        return found.ll_[-1, 0]

    return ours, peer


ROWS = {
    "pyunicorn": recurrence, "pycwt": coherence, "mne_connectivity": locking,
    "sklearn": encode,
    "brainiak.funcalign": shared_response, "brainiak.eventseg": states,
}  # fmt: skip


def main():
    warnings.simplefilter("ignore")
    print("what        peer             ours [s]  peer [s]  ratio  error")
    for name, build in ROWS.items():
        if importlib.util.find_spec(name.split(".")[0]) is None:
            print(f"{build.__name__:11} {name:16} not installed")
            continue
        functions, seconds, found = build(), ([], []), [None, None]
        with threadpool_limits(1):
            for _ in range(RUNS + 1):  # the first compiles
                for k, function in enumerate(functions):
                    begun = time.perf_counter()
                    found[k] = function()
                    seconds[k].append(time.perf_counter() - begun)
        a, b = (statistics.median(s[1:]) for s in seconds)
        error = np.nanmax(np.abs(np.asarray(found[0]) - np.asarray(found[1])))
        print(f"{build.__name__:11} {name:16} {a:8.3f} {b:9.3f} {b / a:6.1f}  {error:.0e}")


if __name__ == "__main__":
    main()
