"""Can segments be told apart by the faces, and by more than chance?"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.inference import cross_validation as kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice, require_count
from fhemb_xr.ops.classification import classifiers as zoo
from fhemb_xr.ops.classification.segments import LABEL, PEOPLE, SAMPLE
from fhemb_xr.ops.pairwise.pair_dims import pair_dims
from fhemb_xr.ops.pairwise.similarity import as_distance
from fhemb_xr.typing import F64, Ints

DRAWS_PER_TASK = 20


def classify(
    samples: xr.DataArray,
    classifiers: str | Sequence[str] | None = None,
    *,
    relation: xr.DataArray | None = None,
    own: Mapping[str, zoo.Factory] | None = None,
    scale: str = "none",
    n_splits: int = 5,
    n_repeats: int = 1,
    n_permutations: int = 100,
    alpha: float = 0.05,
    seed: int,
) -> xr.Dataset:
    """How well classifiers tell the labels of people that they have never seen.

    Cross-validation in which a person, with all samples of all sessions, is either learnt from
    or tested. Samples that miss a frame, or are equal to an earlier one, are left out; a person
    keeps as many samples of every label as of the rarest.

    Parameters
    ----------
    samples
        Of :func:`prepare`, or any ``(sample, [feature], time)`` with the coordinates ``label``
        and ``subject`` along ``sample``.
    classifiers
        Some of ``knn_euclidean knn_nan_euclidean knn_minkowski knn_cosine knn_l1`` (3
        neighbours; Minkowski's power 3), ``svm_linear svm_poly svm_rbf svm_sigmoid``, ``randf``
        and ``rotf`` (random and rotation forest, 100 trees), ``svm_gak`` (global alignment
        kernel), ``shapelet_rotationforest`` (10 of 100 shapelets, 3 trees); all by default.
    relation
        Of the samples, ``fx.pairwise(samples, "dtw", "sample")``: a sample is then described by
        its distances to those that are learnt from, and ``knn_precomputed`` and
        ``svm_precomputed`` (kernel ``exp(-d² / 2 s²)``, ``s`` the median distance of those
        learnt from) take the place of the two on series.
    own
        Further classifiers: a name, and a function of the seed that gives what has
        ``fit(x, y)`` and ``predict(x)``.
    scale
        ``"minmax"`` or ``"meanvar"``: columns scaled as those learnt from.
    n_splits, n_repeats
        Parts that the people are split into, each tested once; how often anew.
    n_permutations
        How many times the labels are exchanged, within each person (between people where each
        has one label), for the null.
    alpha
        Intervals hold ``1 - alpha``.
    seed
        Of splits, permutations and classifiers.

    Returns
    -------
    Dataset, float64, always lazy, by ``classifier``: ``accuracy``; its interval ``wilson_low``
    to ``wilson_high``, as if samples were independent, and ``subject_low`` to ``subject_high``,
    which lets the samples of a person be alike; ``chance``, the share of the commonest label;
    ``null(classifier, permutation)``; ``p``, and ``p_fwer`` against the best classifier of
    every permutation; ``by_repeat(classifier, repeat)``; ``right(classifier, sample)``, NaN for
    samples left out; ``n_used`` and ``n_subjects``.

    Raises
    ------
    UnknownNameError
        No such classifier or scale (a ``KeyError``).
    SchemaError
        If the samples have no labels or subjects, or the relation is not of them.
    ValueError
        If a number is out of range, or a classifier needs a relation.
    BudgetError
        If the samples are larger than the budget of a task.

    Notes
    -----
    Memory: one task holds all samples three times, and the relation. Tasks: one per classifier
    and 20 permutations, and two per chunk to gather. Computes at call: none; scikit-learn has
    no lazy form, so all of it is computed when a value is asked for, ``n_splits · n_repeats ·
    (1 + n_permutations)`` fits for each classifier.

    The samples of different people at the same moment share the music: what is told apart are
    these segments, which is a matter of their mood only if each class has many.

    References
    ----------
    Wilson (1927), J. Am. Stat. Assoc. 22, 209-212, doi:10.1080/01621459.1927.10502953.
    Korn & Graubard (1998), Surv. Methodol. 24, 193-201.
    Ojala & Garriga (2010), Permutation tests for studying classifier performance, J. Mach.
    Learn. Res. 11, 1833-1863.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> x = xr.DataArray(
    ...     rng.normal(size=(10, 20)) + (np.arange(20) >= 10) * 4,
    ...     dims=("subject", "time"),
    ...     coords={"time": np.arange(20.0)},
    ... )
    >>> samples = fx.prepare(x, {"calm": (0, 10), "storm": (10, 20)})
    >>> out = fx.classify(samples, "svm_linear", n_permutations=19, seed=0)
    >>> out.accuracy.values.tolist(), out.chance.values.tolist(), out.p.values.tolist()
    ([1.0], [0.5], [0.05])
    """
    own = dict(own or {})
    chosen = zoo.names(classifiers, own, relation is not None)
    scale = require_choice("scale", scale, zoo.SCALES)
    n_splits = require_count("n_splits", n_splits, 2)
    n_repeats = require_count("n_repeats", n_repeats)
    n_permutations = require_count("n_permutations", n_permutations, 0)
    labels, groups = _who(samples)
    given = [_series(samples, relation is not None), labels, groups]
    cores = [[SAMPLE, schema.FEATURE, schema.TIME], [SAMPLE], [SAMPLE]]
    if relation is not None:
        given.append(_distances(relation, samples))
        cores.append([f"{SAMPLE}_0", f"{SAMPLE}_1"])
    options = {"scale": scale, "n_splits": n_splits, "n_repeats": n_repeats}
    options |= {"seed": int(seed), "own": own}
    right = _trials(given, cores, chosen, n_permutations, options)
    out = _report(right, labels, groups, alpha)
    out = out.assign_coords({c: v for c, v in samples.coords.items() if v.dims == (SAMPLE,)})
    out.attrs = {
        "long_name": "accuracy of classifiers on people never seen",
        "split": f"by {_people(samples)}", "alpha": alpha, "n_permutations": n_permutations,
        **{k: v for k, v in options.items() if k != "own"},
    }  # fmt: skip
    if relation is not None:
        out.attrs["metric"] = str(relation.attrs.get("metric", ""))
    return out


def _people(samples: xr.DataArray) -> str:
    return str(samples.attrs.get(PEOPLE, schema.SUBJECT))


def _who(samples: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Numbers of the labels and of the people."""
    schema.require_dims(samples, SAMPLE)
    codes = []
    for name in (LABEL, _people(samples)):
        if name not in samples.coords or samples[name].dims != (SAMPLE,):
            raise SchemaError(
                f"samples have a coordinate {name!r} along 'sample', found "
                f"{sorted(map(str, samples.coords))}: make them with fx.prepare"
            )
        given = samples[name].reset_coords(drop=True).drop_vars(SAMPLE, errors="ignore")
        if not given.chunks and len(kinds := np.unique(given.values).tolist()) < 2:
            raise ValueError(f"need two {name}s or more, found {kinds}")
        given = rechunked(given, -1)
        codes.append(
            xr.apply_ufunc(
                _numbered, given, input_core_dims=[[SAMPLE]], output_core_dims=[[SAMPLE]],
                dask="parallelized", output_dtypes=[np.int64], keep_attrs=False,
            )
        )  # fmt: skip
    return codes[0], codes[1]


def _numbered(names: NDArray[Any]) -> Ints:
    return np.asarray(np.unique(names, return_inverse=True)[1], np.int64)


def _series(samples: xr.DataArray, related: bool) -> xr.DataArray:
    """``(sample, feature, time)`` in one piece."""
    names = [d for d in samples.dims if d not in (SAMPLE, schema.TIME)]
    if len(names) > 1 or schema.TIME not in samples.dims:
        raise SchemaError(
            f"samples have the dimensions (sample, [feature], time), found {samples.dims}"
        )
    x = samples.reset_coords(drop=True).drop_vars(samples.indexes, errors="ignore")
    x = x.rename({names[0]: schema.FEATURE}) if names else x.expand_dims(schema.FEATURE)
    x = x.transpose(SAMPLE, schema.FEATURE, schema.TIME)
    needed = 24 * math.prod(x.shape) + (16 * x.shape[0] ** 2 if related else 0)
    budget.check(needed, "all samples in one piece", "take shorter segments or fewer features")
    return rechunked(x, -1)


def _distances(relation: xr.DataArray, samples: xr.DataArray) -> xr.DataArray:
    rows, columns = pair_dims(relation)
    if (rows, relation.ndim, relation.sizes[rows]) != (f"{SAMPLE}_0", 2, samples.sizes[SAMPLE]):
        raise SchemaError(
            f"the relation is of the {samples.sizes[SAMPLE]} samples, found "
            f"{dict(relation.sizes)}: make it with fx.pairwise(samples, 'dtw', 'sample')"
        )
    d = as_distance(relation).transpose(rows, columns).reset_coords(drop=True)
    return rechunked(d.drop_vars([rows, columns], errors="ignore"), -1)


def _trials(
    given: list[xr.DataArray],
    cores: list[list[str]],
    chosen: tuple[str, ...],
    n_permutations: int,
    options: dict[str, Any],
) -> xr.DataArray:
    """``(classifier, draw, repeat, sample)``, a task for a classifier and some draws."""
    names = xr.DataArray(da.from_array(np.array(chosen), chunks=1), dims="classifier")
    numbers = da.arange(1 + n_permutations, chunks=DRAWS_PER_TASK)
    draws = xr.DataArray(numbers, dims="draw")
    out: xr.DataArray = xr.apply_ufunc(
        _judged,
        names,
        draws,
        *given,
        input_core_dims=[[], [], *cores],
        output_core_dims=[["repeat", SAMPLE]],
        kwargs=options,
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"repeat": options["n_repeats"]}},
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    return out.assign_coords(classifier=list(chosen))


def _judged(
    names: NDArray[Any],
    draws: Ints,
    series: F64,
    labels: Ints,
    groups: Ints,
    distance: F64 | None = None,
    *,
    n_repeats: int,
    **options: Any,
) -> F64:
    """Which samples were right, 1 or 0, NaN where left out: ``(…) -> (…, repeat, sample)``."""
    names, draws = np.broadcast_arrays(names, draws)
    out = np.full((*names.shape, n_repeats, labels.size), np.nan)
    order = np.lexsort((labels, groups))  # so that the order of the input does not matter
    use = order[kernel.kept(series[order], labels[order], groups[order])]
    if distance is not None:
        use = use[np.isfinite(distance[np.ix_(use, use)]).all(axis=1)]
        distance = np.asarray(distance[np.ix_(use, use)], np.float64)
    if np.unique(groups[use]).size < 2:
        return out
    samples = zoo.Samples(np.asarray(series[use], np.float64), distance)
    for i in np.ndindex(names.shape):
        judge = _judge(str(names[i]), samples, labels[use], groups[use], options)
        for repeat in range(n_repeats):
            out[(*i, repeat, use)] = judge(int(draws[i]), repeat)
    return out


def _judge(
    name: str, samples: zoo.Samples, labels: Ints, groups: Ints, options: dict[str, Any]
) -> Callable[[int, int], F64]:
    """A function of the draw of labels and of the repeat; draw 0 has the true labels."""
    seed, n_splits = options["seed"], options["n_splits"]
    how = {k: options[k] for k in ("scale", "seed", "own")}

    def judge(draw: int, repeat: int) -> F64:
        y = labels
        if draw:
            y = kernel.shuffled(labels, groups, np.random.default_rng([seed, 1, draw]))
        fold = kernel.folds(y, groups, n_splits, np.random.default_rng([seed, 0, repeat]))
        right = np.empty(y.size)
        for part in np.unique(fold):
            train, test = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
            right[test] = zoo.predict(name, samples, y, train, test, **how) == y[test]
        return right

    return judge


def _report(
    right: xr.DataArray, labels: xr.DataArray, groups: xr.DataArray, alpha: float
) -> xr.Dataset:
    """The Dataset of :func:`classify` from the trials."""
    right = right.chunk(draw=-1)
    found: xr.DataArray = xr.apply_ufunc(
        _summaries,
        right,
        labels,
        groups,
        input_core_dims=[["draw", "repeat", SAMPLE], [SAMPLE], [SAMPLE]],
        output_core_dims=[["_found"]],
        kwargs={"alpha": alpha},
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"_found": len(kernel.SUMMARY)}},
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    out = xr.Dataset({n: found.isel(_found=i) for i, n in enumerate(kernel.SUMMARY)})
    scores = right.mean(["repeat", SAMPLE]).rename(draw="permutation")
    null = scores.isel(permutation=slice(1, None))
    out["p_fwer"] = _against_the_best(out["accuracy"], null)
    out["null"] = null
    out["by_repeat"] = right.isel(draw=0).mean(SAMPLE)
    out["right"] = right.isel(draw=0).mean("repeat")
    for name, text in _NAMES.items():
        out[name].attrs = {"long_name": text, "units": "1"}
    return out


def _against_the_best(accuracy: xr.DataArray, null: xr.DataArray) -> xr.DataArray:
    n = null.sizes["permutation"]
    if not n:
        return xr.full_like(accuracy, np.nan)
    reached = null.max("classifier") >= accuracy - 1e-12
    return ((1 + reached.sum("permutation")) / (1 + n)).where(accuracy.notnull())


def _summaries(right: F64, labels: Ints, groups: Ints, *, alpha: float) -> F64:
    """``(…, draws, repeats, k), (k,), (k,) -> (…, 9)``."""
    out = np.empty((*right.shape[:-3], len(kernel.SUMMARY)))
    for i in np.ndindex(right.shape[:-3]):
        out[i] = kernel.summary(right[i], labels, groups, alpha)
    return out


_NAMES = {
    "accuracy": "accuracy, share of tested samples",
    "wilson_low": "lower end of Wilson's interval, samples independent",
    "wilson_high": "upper end of Wilson's interval, samples independent",
    "subject_low": "lower end of the interval, samples of a person alike",
    "subject_high": "upper end of the interval, samples of a person alike",
    "chance": "share of the commonest label",
    "p": "p-value, labels exchanged",
    "p_fwer": "p-value against the best classifier, labels exchanged",
    "null": "accuracy with labels exchanged",
    "by_repeat": "accuracy of every repeat",
    "right": "share of repeats in which the sample was told right",
    "n_used": "samples used",
    "n_subjects": "people used",
}
