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
from fhemb_xr.ops import option_tables, synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice, require_count
from fhemb_xr.ops.classification import classifiers as zoo
from fhemb_xr.ops.classification.report import report
from fhemb_xr.ops.classification.segments import LABEL, PEOPLE, SAMPLE
from fhemb_xr.ops.pairwise.pair_dims import pair_dims
from fhemb_xr.ops.pairwise.similarity import as_distance
from fhemb_xr.ops.units import warn_if_mixed
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
    or tested, and so is a segment: what all people share in the tested segment is never learnt.
    Samples that miss a frame, or are equal to an earlier one, are left out. A person keeps as
    many samples of every label as of the rarest.

    Parameters
    ----------
    samples
        Samples of :func:`prepare`, or any ``(sample, [feature], time)`` with the coordinates
        ``label`` and ``subject`` along ``sample``. Segments are told by the coordinate
        ``start``, and by ``session`` where there are several.
    classifiers
        Some of ``knn_euclidean knn_nan_euclidean knn_minkowski knn_cosine knn_l1`` (3
        neighbours; Minkowski's power 3), ``svm_linear svm_poly svm_rbf svm_sigmoid``, ``randf``
        and ``rotf`` (random and rotation forest, 100 trees), ``svm_gak`` (global alignment
        kernel), ``shapelet_rotationforest`` (10 of 100 shapelets, 3 trees); all by default.
        And ``prototype``, only where it is asked for: the nearest class mean in a space that a
        small network learns (needs torch).
    relation
        Their relation, ``fx.pairwise(samples, "dtw", "sample")``: a sample is then described by
        its distances to those that are learnt from, and ``knn_precomputed`` and
        ``svm_precomputed`` (kernel ``exp(-d² / 2 s²)``, ``s`` the median distance of those
        learnt from) take the place of the two on series.
    own
        Further classifiers: a name, and a function of the seed that gives what has
        ``fit(x, y)`` and ``predict(x)``.
    scale
        ``"minmax"`` or ``"meanvar"``: columns scaled as those learnt from.
    n_splits, n_repeats
        Number of parts that the people are split into (and the segments, where each class has
        as many); each is tested once. Number of times that this is repeated.
    n_permutations
        Number of times that labels are exchanged for the null: between segments, alike for all
        people, where a segment has one label; between people where each has one label; within
        each person otherwise.
    alpha
        Intervals hold ``1 - alpha``.
    seed
        Random seed of splits, permutations and classifiers.

    Returns
    -------
    Dataset
        Dataset, float64, always lazy, by ``classifier``: ``accuracy``; its interval
        ``wilson_low`` to ``wilson_high``, as if samples were independent, and ``subject_low``
        to ``subject_high``, which lets the samples of a person be alike; ``chance``, the share
        of the commonest label; ``null(classifier, permutation)``; ``p``, and ``p_fwer`` against
        the best classifier of every permutation; ``null_low`` to ``null_high``, which holds ``1
        - alpha`` of the null; ``by_repeat(classifier, repeat)``; ``right(classifier, sample)``,
        NaN for samples left out; ``n_used`` and ``n_subjects``.

    Raises
    ------
    UnknownNameError
        No such classifier or scale (a ``KeyError``).
    SchemaError
        If the samples have no labels or subjects, or the relation is not of them.
    ValueError
        If a number is out of range, a classifier needs a relation, or a class has one segment:
        nobody can tell then whether the label or the segment is recognised.
    BudgetError
        If the samples are larger than the budget of a task.

    Notes
    -----
    Memory: one task holds all samples three times, and the relation. Tasks: one per classifier
    and 20 permutations, and two per chunk to gather. Computes at call: none; scikit-learn has
    no lazy form, so all of it is computed when a value is asked for, ``n_splits · n_repeats ·
    (1 + n_permutations)`` fits for each classifier.

    The null holds where segments of all classes differ in nothing but their label. The number
    of segments bounds p: four segments of two classes have six labellings, so p is about 1/3 at
    least; two times five have 252. Segments make ``n_splits`` times as many fits.

    Where every person has one label, people who are tested share the people who are learnt
    from: ``subject_low`` to ``subject_high`` is then too narrow (coverage .92 instead of .95).
    Judge by ``null_low`` to ``null_high`` and ``p``.

    References
    ----------
    - Wilson (1927), J. Am. Stat. Assoc. 22, 209-212, doi:10.1080/01621459.1927.10502953.
    - Korn & Graubard (1998), Surv. Methodol. 24, 193-201.
    - Snell, Swersky & Zemel (2017), NIPS 30, 4077-4087, doi:10.48550/arXiv.1703.05175.
    - Ojala & Garriga (2010), Permutation tests for studying classifier performance, J. Mach.
      Learn. Res. 11, 1833-1863.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> x = xr.DataArray(
    ...     rng.normal(size=(10, 40)) + (np.arange(40) >= 20) * 4,
    ...     dims=("subject", "time"),
    ...     coords={"time": np.arange(40.0)},
    ... )
    >>> samples = fx.prepare(x, {"calm": [(0, 10), (10, 20)], "storm": [(20, 30), (30, 40)]})
    >>> out = fx.classify(samples, "svm_linear", n_permutations=19, seed=0)
    >>> out.accuracy.values.tolist(), out.chance.values.tolist(), out.p.values > 0.1
    ([1.0], [0.5], array([ True]))
    """
    own = dict(own or {})
    chosen = zoo.names(classifiers, own, relation is not None)
    scale = require_choice("scale", scale, zoo.SCALES, synonyms.CLASSIFY_SCALES)
    if not {*own} & {*chosen}:  # ours are in the table, those of others see scaled samples
        option_tables.CLASSIFIER.require_used(chosen, {"scale": scale})
    n_splits = require_count("n_splits", n_splits, 2)
    n_repeats = require_count("n_repeats", n_repeats)
    n_permutations = require_count("n_permutations", n_permutations, 0)
    if scale == "none" and relation is None and {*chosen} - {"randf", *own}:
        warn_if_mixed(samples, "classifiers sum the differences", "choose scale='meanvar'")
    labels, groups = _who(samples)
    segments = _segments(samples)
    given = [_series(samples, relation is not None), labels, groups, segments]
    cores = [[SAMPLE, schema.FEATURE, schema.TIME], *[[SAMPLE]] * 3]
    if relation is not None:
        given.append(_distances(relation, samples))
        cores.append([f"{SAMPLE}_0", f"{SAMPLE}_1"])
    options = {"scale": scale, "n_splits": n_splits, "n_repeats": n_repeats}
    options |= {"seed": require_count("seed", seed, 0), "own": own}
    right = _trials(given, cores, chosen, n_permutations, options)
    out = report(right, labels, groups, alpha)
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
            apply_kernel(_numbered, given, core=[[SAMPLE]], new=[SAMPLE], dtype=np.int64)
        )  # fmt: skip
    return codes[0], codes[1]


def _segments(samples: xr.DataArray) -> xr.DataArray:
    """The number of each sample's segment; -1 where nothing tells it."""
    names = [c for c in ("start", schema.SESSION) if c in samples.coords]
    parts = [samples[c].reset_coords(drop=True) for c in names if samples[c].dims == (SAMPLE,)]
    if "start" not in names or not parts:
        return xr.DataArray(np.full(samples.sizes[SAMPLE], -1), dims=SAMPLE)
    parts = [rechunked(a.drop_vars(SAMPLE, errors="ignore"), -1) for a in parts]
    out = apply_kernel(
        _segment_numbers, *parts, core=[[SAMPLE]] * len(parts), new=[SAMPLE], dtype=np.int64
    )
    if not out.chunks and not samples[LABEL].chunks:
        _check_segments(_numbered(samples[LABEL].values), out.values)
    return out


def _segment_numbers(*parts: NDArray[Any]) -> Ints:
    numbers = np.stack([_numbered(a) for a in parts])
    return np.asarray(np.unique(numbers, axis=1, return_inverse=True)[1].ravel(), np.int64)


def _check_segments(labels: Ints, segments: Ints, left_out: int = 0) -> bool:
    """Whether segments have the labels, if each class has two of them or more."""
    shared = kernel.of_segments(labels, segments) and np.unique(segments).size > 1
    if shared and (fewest := kernel.fewest_segments(labels, segments)) < 2:
        gaps = (
            f" in what is left without {left_out} samples (those with a missing frame, and as "
            "many of the other classes: fill short gaps before, x.interpolate_na('time'))"
        )
        raise ValueError(
            f"a class needs two segments or more, found {fewest}{gaps if left_out else ''}: "
            "the classifier could tell "
            "the segment and not the label; give several, fx.prepare(x, {'calm': [(0, 5), "
            "(5, 10)], …}), or leave out what tells them, samples.drop_vars('start')"
        )
    return shared


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
    out = apply_kernel(
        _judged,
        names,
        draws,
        *given,
        core=[[], [], *cores],
        new={"repeat": options["n_repeats"], SAMPLE: None},
        **options,
    )
    return out.assign_coords(classifier=list(chosen))


def _judged(
    names: NDArray[Any],
    draws: Ints,
    series: F64,
    labels: Ints,
    groups: Ints,
    segments: Ints,
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
        given = (labels[use], groups[use], segments[use])
        _check_segments(labels[use], segments[use], labels.size - use.size)
        judge = _judge(str(names[i]), samples, *given, options)
        for repeat in range(n_repeats):
            out[(*i, repeat, use)] = judge(int(draws[i]), repeat)
    return out


def _judge(
    name: str, samples: zoo.Samples, labels: Ints, groups: Ints, segments: Ints,
    options: dict[str, Any],
) -> Callable[[int, int], F64]:  # fmt: skip
    """A function of the draw of labels and of the repeat; draw 0 has the true labels."""
    seed, n_splits = options["seed"], options["n_splits"]
    how = {k: options[k] for k in ("scale", "seed", "own")}
    shared = _check_segments(labels, segments)

    def judge(draw: int, repeat: int) -> F64:
        y = labels
        if draw:
            rng = np.random.default_rng([seed, 1, draw])
            y = (
                kernel.exchanged_segments(labels, segments, rng)
                if shared
                else kernel.shuffled(labels, groups, rng)
            )
        rng = np.random.default_rng([seed, 0, repeat])
        people = kernel.folds(y, groups, n_splits, rng)
        music = np.zeros(y.size, np.int64)
        if shared:
            music = kernel.segment_folds(y, segments, n_splits, rng)
        right = np.full(y.size, np.nan)
        for train, test in kernel.parts(people, music):
            right[test] = zoo.predict(name, samples, y, train, test, **how) == y[test]
        return right

    return judge
