"""Any two frequencies: a band that optuna finds inside the training part of every fold."""

import contextlib
from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import extra
from fhemb_xr.kernels.search import band_power, centroids, nested
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_count, require_interval
from fhemb_xr.ops.classification.segments import SAMPLE, prepare
from fhemb_xr.ops.search import design, report
from fhemb_xr.ops.search.judging import centred
from fhemb_xr.typing import F64, Ints

FREQUENCY, DRAW = "frequency", "draw"
SUMMED = ("best_score", "best", "best_low_hz", "best_high_hz", "nested", "n_used")
PER_FOLD = ("nested_fold", "chosen", "low_hz", "high_hz")


def search_band(
    x: xr.DataArray,
    segments: Any,
    hz: tuple[float, float],
    *,
    dim: str = "subject",
    n_trials: int = 30,
    n_splits: int = 4,
    n_inner: int = 3,
    n_permutations: int = 19,
    seed: int,
) -> xr.Dataset:
    """The feature and the two frequencies that tell segments apart; optuna proposes them.

    As :func:`search`, for a band whose ends are any frequencies. Inside the training part of
    every fold, optuna proposes bands and features one after another, by the scores of those
    before; the best is tested on people and segments that no proposal has seen.

    Parameters
    ----------
    x
        Series ``(dim, …, time)``, of which ``feature`` is searched too: an embedding.
    segments, dim
        Classes of segments, and the people; see :func:`prepare`.
    hz
        Lowest and highest frequency of a band [Hz].
    n_trials
        Number of proposals in each fold.
    n_splits, n_inner, n_permutations, seed
        As in :func:`search`.

    Returns
    -------
    Dataset
        Lazy: by ``fold`` ``nested_fold``, ``chosen`` (number of the feature), ``low_hz``,
        ``high_hz``; ``nested``, ``null_nested(permutation)`` and ``p_nested``; ``best_score``
        (too high by choice), ``best``, ``best_low_hz`` and ``best_high_hz`` of all samples,
        ``null`` and ``p``; ``chance`` and ``n_used``. A sample with a missing frame is left
        out.

    Raises
    ------
    ImportError
        optuna is not installed: ``pip install 'fhemb_xr[search]'``.
    ValueError
        As :func:`search`; frequencies that segments of this length cannot tell.
    BudgetError
        The spectra of all samples exceed the budget of a task.

    Notes
    -----
    The value of a segment is the logarithm of its variance in the band, by the periodogram
    without the straight line; each person's mean is subtracted. So bands cost no filter, and
    the series is read once. Memory: one task holds the spectra of all samples three times.
    Tasks: two per chunk that a segment touches, one per permutation. Computes at call: none.
    ``(1 + n_permutations) · (folds + 1) · n_trials`` proposals of some milliseconds.

    References
    ----------
    - Akiba et al. (2019), KDD 25, 2623-2631, doi:10.1145/3292500.3330701 (optuna).
    - Varma & Simon (2006), BMC Bioinformatics 7, 91, doi:10.1186/1471-2105-7-91 (nesting).

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> x = fx.testing.audience(n_subjects=4, seconds=16).fhemb.embed(["mean"])
    >>> spans = {
    ...     "calm": [(0, 2), (4, 6), (8, 10), (12, 14)],
    ...     "storm": [(2, 4), (6, 8), (10, 12), (14, 16)],
    ... }
    >>> out = fx.search_band(x, spans, (0.5, 5), n_trials=3, n_splits=3, n_inner=2, seed=0)
    >>> dict(out.low_hz.sizes)
    {'fold': 9}
    """
    with extra("search"):
        import optuna  # noqa: F401  (said before the work, not after it)
    n_splits = require_count("n_splits", n_splits, 2)
    n_inner = require_count("n_inner", n_inner, 2)
    n = require_count("n_permutations", n_permutations, 0)
    options: dict[str, Any] = {
        "n_trials": require_count("n_trials", n_trials),
        "seed": require_count("seed", seed, 0),
    }
    clock = Clock.of(x).require_regular()
    cut = prepare(x, segments, dim=dim)
    if schema.FEATURE not in cut.dims:
        cut = cut.expand_dims(schema.FEATURE, 1)
    frames, count = cut.sizes[schema.TIME], cut.sizes[schema.FEATURE]
    step = clock.rate_hz / frames
    options |= {"hz": _band(hz, step, clock.rate_hz), "step_hz": step}
    plan = design.plan(cut, n_specs=count, n_splits=n_splits, n_inner=n_inner)
    if n:
        plan.warn_if_never_significant()
    budget.check(12 * cut.size * 3, "the spectra of all samples", "take shorter segments")
    out = _reported(_draws(cut, plan, n, options), plan, n)
    if schema.FEATURE in x.coords:
        out = out.assign_coords({schema.FEATURE: x[schema.FEATURE].values})
    out.attrs = {
        "long_name": "search for a band of any two frequencies", "n_permutations": n,
        "split": f"by {plan.people} and segment", "least_p": plan.least_p,
        "n_splits": n_splits, "n_inner": n_inner, "n_trials": options["n_trials"],
        "hz": list(options["hz"]), "seed": options["seed"],
    }  # fmt: skip
    return out


def _band(hz: Any, step_hz: float, rate_hz: float) -> tuple[float, float]:
    low, high = require_interval("hz", hz)
    if low < step_hz or high > rate_hz / 2 or high < 2 * low:
        raise ValueError(
            f"hz is a pair (lowest, highest) with an octave or more between {step_hz:.3g} Hz "
            f"(one cycle in a segment) and {rate_hz / 2:.3g} Hz, found {hz!r}"
        )
    return low, high


def _draws(
    cut: xr.DataArray, plan: design.Plan, n: int, options: dict[str, Any]
) -> xr.DataArray:
    whole = rechunked(cut, {schema.TIME: -1})
    spectra = apply_kernel(
        _spectra, whole.drop_vars(list(whole.coords)), core=[[schema.TIME]],
        new={FREQUENCY: cut.sizes[schema.TIME] // 2 + 1},
    )  # fmt: skip
    spectra = rechunked(spectra.transpose(SAMPLE, schema.FEATURE, FREQUENCY), -1)
    who = [xr.DataArray(v, dims=SAMPLE) for v in (plan.labels, plan.groups, plan.segments)]
    return apply_kernel(
        _tuned,
        xr.DataArray(da.arange(1 + n, chunks=1), dims=DRAW),
        spectra,
        *who,
        core=[[], [SAMPLE, schema.FEATURE, FREQUENCY], *[[SAMPLE]] * 3],
        new={"found": len(SUMMED) + len(PER_FOLD) * plan.n_folds},
        n_splits=plan.n_splits,
        n_inner=plan.n_inner,
        n_folds=plan.n_folds,
        **options,
    )


def _spectra(x: Any) -> F64:
    return band_power.cumulative(np.asarray(x, np.float64))


def _reported(found: xr.DataArray, plan: design.Plan, n: int) -> xr.Dataset:
    """The Dataset of :func:`search_band` from ``(draw, found)``."""
    first = found.isel({DRAW: 0})
    parts = {name: first.isel(found=i) for i, name in enumerate(SUMMED)}
    place = len(SUMMED)
    for name in PER_FOLD:
        parts[name] = first.isel(found=slice(place, place + plan.n_folds)).rename(found="fold")
        place += plan.n_folds
    null = found.isel({DRAW: slice(1, None)}).rename({DRAW: report.PERMUTATION})
    for name, of in (("null", "best_score"), ("null_nested", "nested")):
        parts[name] = rechunked(null.isel(found=SUMMED.index(of)), -1)
    parts["p"] = report.p_of(parts["best_score"], parts["null"])
    parts["p_nested"] = report.p_of(parts["nested"], parts["null_nested"])
    parts["chance"] = xr.DataArray(1 / plan.n_classes)
    for name in ("best", "chosen", "n_used"):
        parts[name] = parts[name].astype(np.int64)
    for name, part in parts.items():
        units = "Hz" if name.endswith("_hz") else "1"
        part.attrs = {"long_name": _NAMES[name], "units": units}
    return xr.Dataset(parts)


def _tuned(
    draws: Ints, spectra: F64, labels: Ints, groups: Ints, segments: Ints, *, n_splits: int,
    n_inner: int, n_folds: int, **options: Any,
) -> F64:  # fmt: skip
    """What is found in some draws of labels: ``(d,), (n, f, k), … -> (d, found)``."""
    used = np.flatnonzero(np.isfinite(spectra).all(axis=(1, 2)))
    samples = nested.Samples(labels[used], groups[used], segments[used])
    out = np.full((draws.size, len(SUMMED) + len(PER_FOLD) * n_folds), np.nan)
    for row, draw in zip(out, draws.ravel().tolist(), strict=True):
        given = samples
        if draw:
            given = samples.exchanged(np.random.default_rng([options["seed"], 1, draw]))
        folds = row[len(SUMMED) :].reshape(len(PER_FOLD), n_folds)
        folds[1] = nested.NONE
        row[: len(SUMMED)] = np.nan, nested.NONE, np.nan, np.nan, np.nan, used.size
        study = _Study(spectra[used], given, options)
        rng = [options["seed"], 0]
        outer = given.parts(n_splits, np.random.default_rng(rng))
        if not outer:
            continue
        row[:4] = study.best(np.arange(used.size), outer)
        for k, (train, test) in enumerate(outer):
            rng = [options["seed"], 2, k]
            inner = given.only(train).parts(n_inner, np.random.default_rng(rng))
            if inner:
                _, feature, low, high = study.best(train, inner)
                score = study.score(feature, low, high, train, test)
                folds[:, k] = score, feature, low, high
        if np.isfinite(folds[0]).any():
            row[4] = np.nanmean(folds[0])
    return out


class _Study:
    """Proposals for some labels, on spectra in memory."""

    def __init__(self, spectra: F64, samples: nested.Samples, options: dict[str, Any]) -> None:
        self.spectra, self.samples, self.options = spectra, samples, options

    def score(self, feature: float, low: float, high: float, train: Ints, test: Ints) -> float:
        """Accuracy of one proposal on one part."""
        below = self.spectra[:, int(feature)]
        value = band_power.between(below, self.options["step_hz"], low, high)
        cube = centred(value[None, :, None], self.samples.groups)
        y = self.samples.labels
        d = centroids.distances(cube[:, train], y[train], cube[:, test], int(y.max()) + 1)
        return float(centroids.accuracy(d, y[test])[0])

    def best(
        self, rows: Ints, parts: list[tuple[Ints, Ints]]
    ) -> tuple[float, float, float, float]:
        """Score, feature and frequencies of the best proposal for some rows."""
        import optuna

        low, high = self.options["hz"]
        octaves = float(np.log2(high / low))
        with _quiet():
            sampler = optuna.samplers.TPESampler(seed=self.options["seed"])
            study = optuna.create_study(direction="maximize", sampler=sampler)
            found = list[tuple[float, float, float, float]]()
            for _ in range(self.options["n_trials"]):
                trial = study.ask()
                feature = trial.suggest_int("feature", 0, self.spectra.shape[1] - 1)
                width = trial.suggest_float("octaves", min(0.5, octaves / 2), octaves)
                start = trial.suggest_float("start", 0, 1)
                a = low * 2 ** (start * (octaves - width))
                b = a * 2**width
                scores = [self.score(feature, a, b, rows[i], rows[j]) for i, j in parts]
                score = float(np.mean(scores))
                study.tell(trial, score if np.isfinite(score) else 0.0)
                found.append((score, feature, a, b))
        return max(found, key=lambda one: one[0])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without optuna's line for every study."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


_NAMES = {
    "best_score": "score of the best proposal, too high by choice",
    "best": "number of the feature of the best proposal",
    "best_low_hz": "lowest frequency of the best proposal",
    "best_high_hz": "highest frequency of the best proposal",
    "nested": "score of the whole search on people and segments never seen",
    "n_used": "samples used",
    "nested_fold": "score of what was chosen inside the training part",
    "chosen": "number of the feature chosen inside the training part",
    "low_hz": "lowest frequency chosen inside the training part",
    "high_hz": "highest frequency chosen inside the training part",
    "null": "best score with labels of segments exchanged",
    "null_nested": "nested score with labels of segments exchanged",
    "p": "p-value of the best score, labels of segments exchanged",
    "p_nested": "p-value of the nested score, labels of segments exchanged",
    "chance": "score of guessing",
}
