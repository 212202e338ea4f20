"""The shared response model: one course of an audience, and how each face shows it."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.components import srm as kernel
from fhemb_xr.kernels.components.srm import Model
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise import iterations
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.reductions import reduce_blocks, unchanged
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.checks import require_choice, require_count, require_seed
from fhemb_xr.ops.components.shared_parts import COMPONENT, courses, described, in_blocks
from fhemb_xr.ops.inference.nulls import margin_of
from fhemb_xr.ops.option_tables import SHARED
from fhemb_xr.typing import F64


def shared_response(
    x: xr.DataArray,
    n_components: int = 10,
    *,
    dim: Hashable = "subject",
    feature: Hashable = "feature",
    n_iter: int = 10,
    normalize: str = "zscore",
    null: str | None = None,
    n: int = 99,
    margin_s: float | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Shared response: a few courses that people share, each in their own features.

    Every person has weights of their own, orthonormal, so that the courses of all people are as
    alike as they can be: two people may show the same course in different features. (With
    :func:`corrca` the weights are those of all.)

    Parameters
    ----------
    x
        Series ``(..., dim, time, feature)`` in any order and chunks, e.g. scores of each
        person's own eigenfaces. Every entry of another dimension, such as ``session``, is
        analysed separately.
    n_components
        Number of shared courses, at most as many as features.
    dim
        Dimension of the people.
    feature
        Dimension of the features.
    n_iter
        Rounds; each reads ``x`` once.
    normalize
        ``"zscore"``: each feature of each person gets mean 0 and variance 1. ``"none"``: mean 0
        only, so that people and features with a large variance count more.
    null
        ``"linear"`` or ``"circular"``: people are shifted against each other at random, and the
        model is fitted again. The linear shift holds for series that drift, the circular one
        does not. With the linear shift only the middle of the series is compared.
    n
        Number of shifts for the null.
    margin_s
        Seconds that people slide to either side in a linear shift (default: an eighth of the
        series).
    seed
        Random seed of the first weights, and of the shifts.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is: ``weights(dim, feature, component)``,
        ``shared(time, component)``, the mean of the people's courses; ``scores(dim, time,
        component)``, the course of each person; ``mean(dim, feature)`` and ``scale(dim,
        feature)`` that features were scaled by; ``explained(component)``, the share of the
        variance of all people that the component explains; ``explained_of(dim, component)`` the
        same of each person, below 0 for who does not follow the others;
        ``explained_by(iteration)`` of all components, before each round and after the last.
        With a null ``p(component)``. Components are ordered by ``explained``, their shared
        courses do not correlate, and the largest sum of weights of each is positive.

    Raises
    ------
    SchemaError
        If a dimension is missing.
    ValueError
        If there are fewer than two people, more components than features or moments, or an
        option is out of its range.
    BudgetError
        If one moment of all people, or a null's series, are larger than a task may hold.

    Notes
    -----
    Minimises ``sum |z_i(t) - W_i s(t)|²`` by turns from random weights, as DetSRM of BrainIAK
    (without the 0.001 that it adds to each product): another seed may give another local
    minimum; compare ``explained``. A sample counts where all its features are there; the shared
    course is the mean of those who are there. It is not held out: take weights from one half
    of the time, and :func:`shared_scores` of the other.
    With N people, D features and k components: memory per task 24 bytes per number of a block,
    and ``8 N D (k + 2)`` bytes; all in one task below 32 MiB. Reads ``x`` ``n_iter + 3`` times.
    Tasks: under three per chunk and reading; computes at call: none. A null holds all series
    of one session in one task. p is ``(1 + number of shifts whose first component explains as
    much) / (n + 1)``, so it holds for all components together.

    References
    ----------
    - Chen, Chen, Yeshurun, Hasson, Haxby & Ramadge (2015), A reduced-dimension fMRI shared
      response model, Adv. Neural Inf. Process. Syst. 28, 460-468.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> own = np.linalg.qr(rng.normal(size=(6, 8, 1)))[0]  # each shows it in their own features
    >>> course = 4 * rng.normal(size=(500, 1))
    >>> values = course @ own.transpose(0, 2, 1) + rng.normal(size=(6, 500, 8))
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> out = fx.shared_response(x.chunk(time=100), 2, normalize="none")
    >>> float(abs(np.corrcoef(out.shared[:, 0], course[:, 0])[0, 1]).round(2))
    1.0
    """
    schema.require_dims(x, dim, schema.TIME, feature)
    SHARED.require_used(null, {"n": n, "margin_s": margin_s})
    normalize = require_choice("normalize", normalize, ("none", "zscore"),
                               synonyms.NORMALIZATIONS)  # fmt: skip
    model = Model(
        x.sizes[dim], x.sizes[feature], require_count("n_components", n_components),
        require_count("n_iter", n_iter), normalize == "zscore", require_seed(seed) or 0,
    )  # fmt: skip
    _check(x, model, dim, feature)
    lines = x.transpose(..., dim, schema.TIME, feature)
    lead = [d for d in lines.dims if d not in (dim, schema.TIME, feature)]
    lines = in_blocks(lines, dim, feature, lead)
    fits = _fits(lines.data, model)
    dims = {
        "weights": (dim, feature, COMPONENT), "mean": (dim, feature), "scale": (dim, feature),
        "explained": (COMPONENT,), "explained_of": (dim, COMPONENT),
        "explained_by": ("iteration",),
    }  # fmt: skip
    fields = model.fit
    out = xr.Dataset({k: ((*lead, *dims[k]), fields.part(fits, k)) for k in fields.shapes})
    out = out.assign_coords(
        {name: c.variable for name, c in x.coords.items() if schema.TIME not in c.dims}
    )
    second = lines
    if isinstance(fits, da.Array):
        second = lines.copy(deep=False, data=again(lines.data, fits))
    out["scores"] = courses(second, out, dim, feature)
    out["shared"] = _shared(out["scores"], dim)
    if null is not None:
        out["p"] = _p_values(lines, dim, feature, model, null, n, margin_s)
    return described(out, x, normalize)


def _check(x: xr.DataArray, model: Model, dim: Hashable, feature: Hashable) -> None:
    if model.n_people < 2:
        raise ValueError(
            f"a response is shared by two people or more, found {model.n_people} along {dim!r}"
        )
    most = min(model.n_features, x.sizes[schema.TIME])
    if model.k > most:
        raise ValueError(
            f"there are at most as many components as features and moments, found n_components="
            f"{model.k!r} for {model.n_features} along {feature!r} and {x.sizes[schema.TIME]} "
            "along 'time'"
        )
    budget.check(
        24 * model.n_people * model.n_features + 8 * (model.state.size + model.sums.size),
        f"weights and one moment of {model.n_people} people and {model.n_features} features",
        "take fewer features, e.g. scores of a basis",
    )


def _fits(data: Any, model: Model) -> Any:
    """``(..., n, t, d) -> (..., f)``: the fit of each leading index, as one vector."""
    size = model.fit.size
    if not isinstance(data, da.Array) or data.numblocks[-2] == 1:
        return iterations.of_whole(partial(kernel.whole, model=model), data, size=size)
    moments = reduce_blocks(
        data, _moments, partial(_merged, model=model), unchanged, n_core=3,
        width=(model.moments.size,), model=model,
    )  # fmt: skip
    state = iterations.each(partial(kernel.begin, model=model), moments, size=model.state.size)
    sums, width = partial(kernel.sums, model=model), model.sums.size
    state = iterations.rounds(
        data, state, sums, partial(kernel.advance, model=model), model.n_iter, size=width
    )
    found = iterations.summed(data, state, sums, size=width)
    return iterations.each(partial(kernel.finish, model=model), state, found, size=size)


def _moments(x: F64, model: Model) -> F64:
    out = np.empty((*x.shape[:-3], model.moments.size))
    for at in np.ndindex(x.shape[:-3]):
        out[at] = kernel.moments(x[at], model)
    return out


def _merged(states: F64, model: Model) -> F64:
    out = np.empty((*states.shape[:-2], states.shape[-1]))
    for at in np.ndindex(states.shape[:-2]):
        out[at] = kernel.merged(states[at], model)
    return out


def _shared(scores: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """The mean course of the people who are there."""
    bare = scores.drop_vars(
        [c for c in scores.coords if dim in scores[c].dims], errors="ignore"
    )
    core = [dim, schema.TIME, COMPONENT]
    return apply_kernel(
        _mean_of_people, bare, core=[[dim]], new=[]
    ).transpose(..., *core[1:])  # fmt: skip


def _mean_of_people(scores: F64) -> F64:
    there = np.isfinite(scores)
    count = there.sum(axis=-1)
    total = np.where(there, scores, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _p_values(
    lines: xr.DataArray, dim: Hashable, feature: Hashable, model: Model, null: str, n: int,
    margin_s: float | None,
) -> xr.DataArray:  # fmt: skip
    null = require_choice("null", null, ("circular", "linear"), synonyms.NULLS)
    Clock.of(lines).require_regular()
    core = [dim, schema.TIME, feature]
    one = 8 * int(np.prod([lines.sizes[d] for d in core]))
    budget.check(5 * one, "all series of one null", "take fewer features or less time")
    margin = margin_of(lines, margin_s) if null == "linear" else None
    return apply_kernel(
        _p_of_leading,
        rechunked(lines, dict.fromkeys(core, -1)).drop_vars(core, errors="ignore"),
        core=[core],
        new={COMPONENT: model.k},
        model=model,
        n=require_count("n", n),
        margin=margin,
    )


def _p_of_leading(x: F64, *, model: Model, n: int, margin: int | None) -> F64:
    out = np.full((*x.shape[:-3], model.k), np.nan)
    for at in np.ndindex(x.shape[:-3]):
        out[at] = kernel.p_values(x[at], model, n, margin)
    return out
