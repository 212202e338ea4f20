"""How often the right face is chosen, and how sure that is."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError, warn
from fhemb_xr.kernels.inference import forced_choice as kernel
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.cardiac.pairing_windows import CANDIDATE, HEART, KNOWN, METHOD
from fhemb_xr.ops.checks import require_choice, require_count, require_share

CONTROLS = ("own", "third")
EDGES_BPM = (0.0, 2.0, 5.0, 10.0, 20.0)
STRATUM, TRUTH, TOLD = "difference", "truth", "told"
_FOUND = (*kernel.FOUND, *kernel.SCORES)


def pairing_accuracy(
    scores: xr.Dataset,
    rate: xr.DataArray | None = None,
    *,
    heart: str = "own",
    n_trials: int = 1000,
    edges: Sequence[float] = EDGES_BPM,
    alpha: float = 0.05,
    n_boot: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Share of two-alternative forced choices that are right, with its uncertainty.

    A trial is a heart, its own face and the face of another person at the same time (session
    and window), drawn at random; the face with the higher score is chosen. Chance is one half.

    Parameters
    ----------
    scores
        :func:`pair` of every heart and every face: ``(heart, …, candidate)`` of the same
        people.
    rate
        Heart rate [1/min], ``(subject, …)``, to tell easy trials from hard ones.
    heart
        ``"own"``, or ``"third"``: a control, the trace of somebody who is neither of the two
        faces; whatever is right then is chance.
    n_trials
        Number of trials.
    edges
        Edges of the intervals of the difference in rate of the two people, the last open above.
    alpha
        Intervals hold ``1 - alpha``.
    n_boot
        Number of bootstrap draws of the people.
    seed
        Random seed of both draws.

    Returns
    -------
    Dataset
        Dataset along ``difference`` (``"all"``, and with ``rate`` each interval): ``accuracy``;
        how many ``trials`` had scores; ``wilson_low`` and ``_high``, as if trials were
        independent; ``person_low`` and ``_high``, of a bootstrap that draws people, because
        those of one person succeed or fail together: report this one. And as a classifier's:
        ``confusion(difference, truth, told)``, the number of choices where the right face was
        at the first or second place, drawn at random, and the first or second was told (a tie
        is half of both); ``precision``, ``recall`` and ``f1``, means over both places. Float64,
        lazy where ``scores`` or ``rate`` is.

    Raises
    ------
    UnknownNameError
        ``heart`` is neither (a ``KeyError``).
    SchemaError
        If hearts and candidates are not the same people, or ``rate`` has none of them.
    ValueError
        Too few people (two; three for a third's heart), or a number out of range.

    Warns
    -----
    UserWarning
        If people have the labels of those that the model was trained on.

    Notes
    -----
    Memory: one task holds all scores, and 16 bytes per trial and drawing. Tasks: one, and one
    per chunk to gather. Computes at call: none.

    References
    ----------
    - Wilson (1927), J. Am. Stat. Assoc. 22, 209-212, doi:10.1080/01621459.1927.10502953.
    - Owen (2007), Ann. Appl. Stat. 1, 386-411, doi:10.1214/07-AOAS122.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.hearts(n_persons=4, clips=2, snr_db=0)
    >>> out = fx.pairing_accuracy(fx.pair(ds, ds.trace), n_trials=50).compute()
    >>> bool(out.accuracy.sel(difference="all") > 0.7)
    True
    """
    heart = require_choice("heart", heart, CONTROLS)
    if trained := [str(p) for p in np.atleast_1d(scores.attrs.get(KNOWN, []))]:
        warn(
            f"the model was trained on {len(trained)} people with the labels of these: if they "
            "are the same people, the accuracy says nothing of people it has not seen; if they "
            "are others, give them other labels"
        )
    score, own = _matrix(scores, 3 if heart == "third" else 2)
    n_trials, n_boot = require_count("n_trials", n_trials), require_count("n_boot", n_boot)
    seed = require_count("seed", seed, 0)
    alpha = require_share("alpha", alpha)
    if rate is None and tuple(edges) != EDGES_BPM:
        raise ValueError(f"edges are of the heart rates, found {edges!r} without rate")
    budget.check(16 * n_trials * n_boot, "the drawings of people", "ask for fewer of them")
    edges = list(edges) if rate is not None else []
    names = ["all", *(f"{a:g}-{b:g}" for a, b in itertools.pairwise(edges))]
    names += [f">{edges[-1]:g}"] if edges else []
    rest = [d for d in score.dims if d not in (HEART, CANDIDATE)]
    core = [HEART, CANDIDATE, *rest]
    options: dict[str, Any] = {
        "n": n_trials,
        "third": heart == "third",
        "alpha": alpha,
        "n_boot": n_boot,
    }
    found = apply_kernel(
        _evaluated,
        score,
        _rates(rate, score, rest),
        core=[core, [CANDIDATE, *rest]],
        new={STRATUM: len(names), "_found": len(_FOUND) + 4},
        **options,
        seed=seed,
        edges=edges,
    )
    out = xr.Dataset({n: found.isel(_found=i) for i, n in enumerate(_FOUND)})
    counts = [found.isel(_found=len(_FOUND) + i) for i in range(4)]
    rows = [xr.concat(counts[i : i + 2], TOLD) for i in (0, 2)]
    places = {d: ["first", "second"] for d in (TRUTH, TOLD)}
    out["confusion"] = xr.concat(rows, TRUTH).transpose(STRATUM, TRUTH, TOLD)
    out = out.assign_coords(places)
    out = out.assign_coords({STRATUM: names})
    out[STRATUM].attrs = {"long_name": "difference in heart rate", "units": "1/min"}
    for var in out.data_vars.values():
        var.attrs["units"] = "1"
    out.attrs = {METHOD: own, "heart": heart, "chance": 0.5, "alpha": alpha, "seed": seed}
    return out


def _matrix(scores: xr.Dataset, least: int) -> tuple[xr.DataArray, str]:
    if "score" not in scores or HEART not in scores.dims or CANDIDATE not in scores.dims:
        raise SchemaError(
            f"accuracy needs score(heart, …, candidate), found {dict(scores.sizes)}: give "
            "fx.pair the trace of every subject"
        )
    score = _whole(scores["score"])
    if HEART in score.indexes and CANDIDATE in score.indexes:
        hearts, faces = (score.indexes[d] for d in (HEART, CANDIDATE))
        both = [h for h in hearts if h in set(faces)]
        score = score.sel({HEART: both, CANDIDATE: both})
    if score.sizes[HEART] != score.sizes[CANDIDATE] or score.sizes[HEART] < least:
        raise ValueError(
            f"choices need {least} people or more with a heart and a face, found "
            f"{score.sizes[HEART]}"
        )
    return _whole(score), str(scores.attrs.get(METHOD, ""))


def _whole(x: xr.DataArray) -> xr.DataArray:
    return rechunked(x, dict.fromkeys(x.dims, -1))


def _rates(rate: xr.DataArray | None, score: xr.DataArray, rest: list[Any]) -> xr.DataArray:
    """Heart rates of the candidates in every clip, ``(candidate, …)``."""
    like = score.isel({HEART: 0}, drop=True)
    if rate is None:
        return xr.zeros_like(like)
    if schema.SUBJECT not in rate.dims:
        raise SchemaError(f"rate needs the dimension 'subject', found {rate.dims}")
    named = rate.rename({schema.SUBJECT: CANDIDATE})
    missing = [s for s in score[CANDIDATE].values if s not in named.indexes[CANDIDATE]]
    if missing:
        raise SchemaError(f"there is no rate of subject {missing[0]!r}")
    out = named.sel({CANDIDATE: score[CANDIDATE]}).broadcast_like(like)
    out = out.transpose(CANDIDATE, *rest)
    return _whole(out)


def _evaluated(
    score: Any, rate: Any, *, n: int, third: bool, seed: int, edges: list[float], alpha: float,
    n_boot: int,
) -> Any:  # fmt: skip
    rng = np.random.default_rng(seed)
    people = score.shape[0]
    score, rate = score.reshape(people, people, -1), rate.reshape(people, -1)
    trials = kernel.drawn(people, score.shape[2], n, third, rng)
    right = kernel.judged(score, trials)
    difference = np.abs(rate[trials[1], trials[3]] - rate[trials[2], trials[3]])
    ends = np.array(edges)
    found = kernel.strata(right, trials, difference, ends, alpha=alpha, n_boot=n_boot, rng=rng)
    return np.concatenate([found, kernel.confusions(right, difference, ends, rng)], axis=1)
