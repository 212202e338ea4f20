"""Which spec of an embedding tells segments apart, and is that more than a search finds?"""

import math
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.search import centroids
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice, require_count, require_flag, require_positive
from fhemb_xr.ops.classification import classifiers as zoo
from fhemb_xr.ops.classification.segments import SAMPLE
from fhemb_xr.ops.search import design, judging, report
from fhemb_xr.ops.search.judging import CENTROID
from fhemb_xr.ops.search.values import COLUMN, PARTS, SPEC, VALUE, spec_values

DRAWS_PER_TASK = 20
CLASSIFIERS = (CENTROID, *zoo.ROWS)


def search(
    ds: xr.Dataset | xr.DataArray,
    specs: Any = None,
    segments: Any = None,
    *,
    dim: str = "subject",
    classifier: str = CENTROID,
    score: str = "accuracy",
    centre: bool = True,
    min_energy: float = 0.0,
    max_mobility_hz: float | None = None,
    n_splits: int = 4,
    n_inner: int = 3,
    n_permutations: int = 199,
    seed: int,
) -> xr.Dataset:
    """Which spec of an embedding tells segments apart, by nested cross-validation.

    Every spec is scored on people **and** segments that it has not seen. The best of many specs
    is too good by chance. So the spec is also chosen anew inside the training part of every
    fold, and tested outside (``nested``); and ``p`` compares the best score with the best of
    the same search when labels mean nothing.

    Parameters
    ----------
    ds
        A recording, or its heatmap; or what :func:`spec_values` or an earlier search gave, from
        a store too: ``specs`` and ``segments`` are then left out, and no pixel is read.
    specs, segments, dim
        See :func:`spec_values`.
    classifier
        ``"centroid"``: the nearest class mean of scaled columns, all specs at once; with one
        column a threshold between two means. Or a classifier of :func:`classify` on rows of
        numbers (``"svm_linear"``, ``"knn_euclidean"``, …), columns scaled too: one fit for each
        spec, part and permutation.
    score
        ``"accuracy"``, the mean over the classes; chance is one over their number. Or, of two
        classes and ``"centroid"``, ``"auc"``, the area under the ROC curve.
    centre
        Whether each person's mean over all segments is subtracted, without regard to labels:
        people differ more from each other than from themselves.
    min_energy
        A spec can only be chosen if its filter leaves this share of the feature's variance, in
        the mean of the samples that are learnt from: without it, a band of noise may win.
    max_mobility_hz
        And if its series are no rougher than this root mean square frequency [Hz]; None: any.
    n_splits, n_inner
        Number of parts of the people, and of the segments where each class has as many; and the
        same inside the training part of each.
    n_permutations
        Number of times that the labels of whole segments are exchanged, alike for all people,
        and the whole search is done again. 0: no null, no p.
    seed
        Random seed of parts and permutations.

    Returns
    -------
    Dataset
        Lazy, float64. By ``spec``: ``score``, ``p_fwer`` (against the best of every
        permutation), ``chosen_share`` of the folds, ``allowed``, ``energy``, ``mobility_hz``,
        ``n_missing``. By ``fold``: ``nested_fold``, ``chosen`` (number of the spec, -1: none).
        By ``permutation``: ``null``, the best score, and ``null_nested``. ``best`` (number of
        the spec; ``out.spec[out.best]``), ``best_score``, ``p``; ``nested``, ``p_nested``;
        ``null_high``, which .95 of the null do not exceed; ``chance``, ``n_used``,
        ``n_subjects``. And what it rests on, as :func:`spec_values`. A
        sample is used if more than half of the columns have a value; a spec without a value in
        a used sample has no score.

    Raises
    ------
    UnknownNameError
        No such classifier, score, option or feature.
    ValueError
        Fewer people than parts, or than three; a class with fewer than three segments, or one
        class; numbers out of range; ``"auc"`` of more than two classes.
    SchemaError
        A Dataset that is neither a recording nor made by :func:`spec_values`.
    BudgetError
        The table of all values exceeds the budget of a task.

    Notes
    -----
    Report ``nested`` as what the chosen spec will do on others, and ``p``; never
    ``best_score`` alone. In 200 worlds without an effect the best of 20 specs had .66, and .79
    where all people share each segment's level; ``nested`` had .50 in both.

    p is cautious with few segments: many labellings then have the same accuracy, and ties count
    against. Of those worlds p was .05 or less in .015 and .030. With ties broken at random it
    is uniform; ``"auc"`` has fewer ties. All by
    ``benchmarks/calibrate_search.py --permutations 19 --segments 8``.

    The null holds where segments of all classes differ in nothing but their label. The number
    of segments bounds p: 4 of each of two classes have 35 labellings that differ, and no search
    can be below p = 1/35. A warning says so where p cannot reach .05.

    Passes over the pixels: as :func:`spec_values`, one for all specs. Memory: one task holds
    the table ``sample × column`` six times. Tasks: those of :func:`spec_values`, one per 20
    permutations, two per person. Computes at call: none. With the default classifier, 200 x 16
    x 10 scores of all specs take seconds.

    ``fx.save(out, store, resume=True)`` keeps finished values when it is interrupted, and goes
    on with the rest; pixels are not read again for what is finished.

    References
    ----------
    - Varma & Simon (2006), BMC Bioinformatics 7, 91, doi:10.1186/1471-2105-7-91 (nesting).
    - Cawley & Talbot (2010), On over-fitting in model selection, J. Mach. Learn. Res. 11,
      2079-2107.
    - Nichols & Holmes (2002), Hum. Brain Mapp. 15, 1-25, doi:10.1002/hbm.1058 (the largest
      statistic).
    - Ojala & Garriga (2010), Permutation tests for studying classifier performance, J. Mach.
      Learn. Res. 11, 1833-1863.
    - Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39, doi:10.2202/1544-6115.1585.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=6, seconds=16)
    >>> spans = {
    ...     "calm": [(0, 2), (4, 6), (8, 10), (12, 14)],
    ...     "storm": [(2, 4), (6, 8), (10, 12), (14, 16)],
    ... }
    >>> grid = {"names": ["mean", "std"], "wavelet": "db2", "level": 3, "bands": "each"}
    >>> out = fx.search(ds, grid, spans, n_permutations=19, seed=0)
    >>> out.sizes["spec"], out.sizes["fold"], out.chance.item()
    (8, 16, 0.5)
    """
    classifier = require_choice("classifier", classifier, CLASSIFIERS, synonyms.CLASSIFIERS)
    score = require_choice("score", score, centroids.SCORES)
    limits = _limits(min_energy, max_mobility_hz)
    n_permutations = require_count("n_permutations", n_permutations, 0)
    n_splits, n_inner = (
        require_count("n_splits", n_splits, 2),
        require_count("n_inner", n_inner, 2),
    )
    centre, seed = require_flag("centre", centre), require_count("seed", seed, 0)
    table = _table(ds, specs, segments, dim)
    plan = design.plan(
        table,
        n_specs=table.sizes[SPEC],
        n_splits=n_splits,
        n_inner=n_inner,
    )
    _check_score(score, classifier, plan.n_classes)
    if n_permutations:
        plan.warn_if_never_significant()
    _check_size(table)
    options: dict[str, Any] = {
        "classifier": classifier, "score": score, "centre": centre,
        "n_splits": plan.n_splits, "n_inner": plan.n_inner, "n_folds": plan.n_folds,
        "seed": seed, **limits,
    }  # fmt: skip
    found = _draws(table, plan, n_permutations, options)
    out = report.report(table, plan, found, score)
    shown = {k: v for k, v in options.items() if v is not None and k != "n_folds"}
    shown["centre"] = int(shown["centre"])
    out.attrs = {
        "long_name": "search over specs of an embedding",
        "split": f"by {plan.people} and segment",
        "n_permutations": n_permutations,
        "least_p": plan.least_p,
        **shown,
    }
    return out


def _table(ds: Any, specs: Any, segments: Any, dim: str) -> xr.Dataset:
    """The values of all specs: computed here lazily, or given."""
    made = isinstance(ds, xr.Dataset) and {VALUE, SPEC} <= {*ds.variables}
    if not made and (specs is None or segments is None):
        raise SchemaError(
            "a search of a recording needs specs and segments, fx.search(ds, {'names': ...}, "
            "{'calm': ..., 'storm': ...}, seed=0), or what fx.spec_values gave"
        )
    if not made:
        return spec_values(ds, specs, segments, dim=dim)
    if specs is not None or segments is not None:
        raise ValueError(
            "values of specs are given, so that specs and segments have no effect: leave both "
            "out, or give the recording"
        )
    needed = [*PARTS, SPEC, "spec_of", "label"]
    if missing := [n for n in needed if n not in ds.variables]:
        raise SchemaError(f"values of specs lack {missing}: make them with fx.spec_values")
    own = (SAMPLE, COLUMN, SPEC)
    out: xr.Dataset = ds.drop_vars([n for n in ds.data_vars if n not in PARTS])
    out = out.squeeze([d for d, n in out.sizes.items() if n == 1 and d not in own], drop=True)
    if odd := {d: n for name in PARTS for d, n in out[name].sizes.items() if d not in own}:
        raise SchemaError(
            f"values of specs are of samples and columns, found {odd} too: choose one of each "
            "with .isel(...)"
        )
    return out


def _limits(min_energy: float, max_mobility_hz: float | None) -> dict[str, float | None]:
    found = np.asarray(min_energy)
    if found.dtype.kind not in "iuf" or found.ndim or not 0 <= found < 1:
        raise ValueError(f"min_energy is a share from 0 to below 1, found {min_energy!r}")
    if max_mobility_hz is not None:
        max_mobility_hz = require_positive("max_mobility_hz", max_mobility_hz)
    return {"min_energy": float(found), "max_mobility_hz": max_mobility_hz}


def _check_score(score: str, classifier: str, n_classes: int) -> None:
    if score == "auc" and (n_classes != 2 or classifier != CENTROID):
        raise ValueError(
            f"an area under the curve is of two classes and of 'centroid', found {n_classes} "
            f"classes and {classifier!r}: use score='accuracy'"
        )


def _check_size(table: xr.Dataset) -> None:
    needed = 48 * math.prod(table[VALUE].shape)
    budget.check(needed, "the table of all values", "search fewer specs at once")


def _draws(
    table: xr.Dataset, plan: design.Plan, n_permutations: int, options: dict[str, Any]
) -> xr.DataArray:
    """``(draw, found)``: a task for some draws of labels; the first has the true ones."""
    numbers = da.arange(1 + n_permutations, chunks=DRAWS_PER_TASK)
    given = [rechunked(table[n].reset_coords(drop=True), -1) for n in PARTS]
    given = [x.drop_vars(list(x.coords)).transpose(SAMPLE, COLUMN) for x in given]
    owners = table["spec_of"].reset_coords(drop=True).drop_vars("spec_of", errors="ignore")
    who = [xr.DataArray(v, dims=SAMPLE) for v in (plan.labels, plan.groups, plan.segments)]
    return apply_kernel(
        judging.judged,
        xr.DataArray(numbers, dims="draw"),
        *given,
        xr.DataArray(owners.values, dims=COLUMN),
        *who,
        core=[[], *[[SAMPLE, COLUMN]] * 3, [COLUMN], *[[SAMPLE]] * 3],
        new={"found": judging.width(plan.n_specs, plan.n_folds)},
        n_specs=plan.n_specs,
        **options,
    )
