"""Correlated components: the patterns that an audience shares."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.components import corrca as kernel
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.reductions import reduce_blocks, unchanged
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.checks import require_choice, require_count, require_number
from fhemb_xr.ops.components.corrca_strength import in_windows, p_values
from fhemb_xr.ops.components.shared_parts import in_blocks
from fhemb_xr.ops.option_tables import CORRCA
from fhemb_xr.typing import F64


def corrca(
    x: xr.DataArray,
    n_components: int = 3,
    *,
    dim: Hashable = "subject",
    feature: Hashable = "feature",
    gamma: float = 0.1,
    window_s: float | None = None,
    step_s: float | None = None,
    null: str | None = None,
    n: int = 200,
    margin_s: float | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Correlated components: combinations of features that people share in time.

    A component is a weighted sum of the features, with the same weights for all people. The
    weights are chosen so that its course correlates most between people. Its pattern shows how
    the component appears in the features.

    Parameters
    ----------
    x
        Series ``(..., dim, time, feature)`` in any order and chunks, e.g. scores of a pooled
        basis of eigenfaces. Every entry of another dimension, such as ``session``, is analysed
        separately.
    n_components
        Number of components, strongest first.
    dim
        Dimension of the people.
    feature
        Dimension of the features that are combined.
    gamma
        Shrinkage of the covariance within people towards its mean variance, from 0 (none) to 1.
        It keeps weak features from dominating. If ``gamma`` is not 0, the units of the
        features matter: standardise features of different units first.
    window_s, step_s
        Length of the windows and distance between their starts [s]. With windows, the result
        also has the strength in each window.
    null
        ``"linear"`` or ``"circular"``: people are shifted against each other at random, and the
        components are fitted again. The linear shift holds for series that drift, the circular
        one does not.
    n
        Number of shifts for the null.
    margin_s
        Seconds that people slide to either side in a linear shift (default: an eighth of the
        series).
    seed
        Random seed; needed for a null.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is: ``weights`` and ``patterns`` of ``(component,
        feature)``, ``strength(component)``, the inter-subject correlation from -1 / (N - 1) to
        1, ``strength_of(dim, component)`` of each person with the others, ``mean(dim,
        feature)`` and ``scores(dim, time, component)``, the courses; their variance within
        people is 1. With windows also ``window_strength(window, component)``, with a null
        ``p(component)``. The sign makes the largest absolute value of each pattern positive.

    Raises
    ------
    SchemaError
        If a dimension is missing.
    ValueError
        If there are fewer than two people, or an option is out of its range.
    BudgetError
        If the covariances of all people, or a null's series, are larger than a task may hold.

    Notes
    -----
    Definition: ``strength = v' R_b v / v' R_w v`` with the mean covariances R_w within people
    and R_b between them; features are combined by the eigenvectors of ``R_w^-1 R_b``. A sample
    counts where all its features are there; a pair of people counts where both are.
    With N people and D features: memory per task 24 bytes per number of a block, and 130 N D^2
    bytes; tasks: under four per chunk, and two for the scores; computes at call: none. The data
    are read once for the components and once more for ``scores``. A null holds all series of
    one session in one task. p is ``(1 + number of shifts whose first component is as strong) /
    (n + 1)``, so it holds for all components together.

    References
    ----------
    - Dmochowski, Sajda, Dias & Parra (2012), Front. Hum. Neurosci. 6, 112,
      doi:10.3389/fnhum.2012.00112.
    - Parra, Haufe & Dmochowski (2019), Neurons, Behavior, Data Analysis, and Theory,
      doi:10.51628/001c.7125.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(6, 500, 4))
    >>> shared = rng.normal(size=(500, 1)) * [0.0, 1.0, 0.0, 0.0]
    >>> x = xr.DataArray(noise + shared, dims=("subject", "time", "feature"))
    >>> out = fx.corrca(x.chunk(time=100), 2, gamma=0)
    >>> int(abs(out.patterns[0]).argmax("feature")), out.strength.round(1).values.tolist()
    (1, [0.5, 0.0])
    """
    schema.require_dims(x, dim, schema.TIME, feature)
    n_components = require_count("n_components", n_components)
    gamma = require_number("gamma", gamma)
    _check(x, n_components, gamma, dim, feature)
    if null is not None:
        null = require_choice("null", null, ("circular", "linear"), synonyms.NULLS)
    CORRCA.require_used(null, {"n": n, "seed": seed, "margin_s": margin_s})
    if null is not None or window_s is not None:  # samples are counted as time
        Clock.of(x).require_regular()
    lines = x.transpose(..., dim, schema.TIME, feature)
    lead = [d for d in lines.dims if d not in (dim, schema.TIME, feature)]
    people, width = x.sizes[dim], x.sizes[feature]
    budget.check(
        8 * 8 * kernel.size(people, width),
        f"the covariances of {people} people and {width} features",
        "take fewer features, e.g. scores of a basis",
    )
    lines = in_blocks(lines, dim, feature, lead, kernel.size(people, width))
    fits = _fits(lines.data, n_components, gamma)
    fields = kernel.fit_fields(people, width, n_components)
    dims = _dims(dim, feature)
    out = xr.Dataset({n: ((*lead, *dims[n]), fields.part(fits, n)) for n in fields.shapes})
    out = out.assign_coords(
        {name: c.variable for name, c in x.coords.items() if schema.TIME not in c.dims}
    )
    out["scores"] = _scores(lines, out, fits, dim, feature)
    if window_s is not None or step_s is not None:
        out["window_strength"] = in_windows(out["scores"], x, dim, window_s, step_s)
    if null is not None:
        out["p"] = p_values(lines, dim, feature, n_components, gamma, null, n, margin_s, seed)
    return _described(out, x, gamma)


def _check(x: xr.DataArray, k: int, gamma: float, dim: Hashable, feature: Hashable) -> None:
    if x.sizes[dim] < 2:
        raise ValueError(
            f"components are shared by two people or more, found {x.sizes[dim]} along {dim!r}"
        )
    if k > x.sizes[feature]:
        raise ValueError(
            f"there are at most as many components as features, found n_components={k!r} for "
            f"{x.sizes[feature]} along {feature!r}"
        )
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma is a number from 0 to 1, found {gamma!r}")


def _fits(data: Any, k: int, gamma: float) -> Any:
    """``(..., n, t, d) -> (..., f)``: the fit of each leading index, as one vector."""
    people, width = data.shape[-3], data.shape[-1]
    merge = partial(kernel.merge, n_people=people, n_features=width)
    if isinstance(data, da.Array):
        size = (kernel.size(people, width),)
        states = reduce_blocks(data, kernel.state, merge, unchanged, n_core=3, width=size)
        return da.map_blocks(
            _fitted,
            states,
            people,
            width,
            k,
            gamma,
            chunks=(*states.chunks[:-1], (kernel.fit_fields(people, width, k).size,)),
            dtype=np.float64,
            meta=np.empty((0,) * states.ndim),
        )
    return _fitted(kernel.state(data), people, width, k, gamma)


def _fitted(states: F64, people: int, width: int, k: int, gamma: float) -> F64:
    """The fit of each state, packed: ``(..., s) -> (..., f)``."""
    fields = kernel.fit_fields(people, width, k)
    out = np.empty((*states.shape[:-1], fields.size))
    for at in np.ndindex(states.shape[:-1]):
        fit = kernel.fit(states[at], people, width, k, gamma)
        out[at] = fields.pack(**fit._asdict())
    return out


def _dims(dim: Hashable, feature: Hashable) -> dict[str, tuple[Hashable, ...]]:
    """Dimensions of each part of a fit."""
    return {
        "weights": ("component", feature),
        "patterns": ("component", feature),
        "strength": ("component",),
        "strength_of": (dim, "component"),
        "mean": (dim, feature),
    }


def _scores(
    lines: xr.DataArray, out: xr.Dataset, fits: Any, dim: Hashable, feature: Hashable
) -> xr.DataArray:
    """Courses of the components; a lazy source is read a second time, chunk by chunk."""
    second = lines
    if isinstance(fits, da.Array):
        second = lines.copy(deep=False, data=again(lines.data, fits))
    scores = apply_kernel(
        _course,
        second,
        out["mean"],
        out["weights"],
        core=[[feature], [feature], ["component", feature]],
        new=["component"],
    )
    return scores.drop_vars([feature], errors="ignore")


def _course(x: F64, mean: F64, weights: F64) -> F64:
    rows: F64 = np.matmul((x - mean)[..., None, :], np.swapaxes(weights, -1, -2))
    return rows[..., 0, :]


def _described(out: xr.Dataset, x: xr.DataArray, gamma: float) -> xr.Dataset:
    out = out.assign_coords(component=np.arange(out.sizes["component"]))
    units = str(x.attrs.get("units", "1"))
    texts = {
        "weights": ("weights of the features", "1" if units == "1" else f"1/({units})"),
        "patterns": ("pattern of the component in the features", units),
        "strength": ("inter-subject correlation of the component", "1"),
        "strength_of": ("inter-subject correlation of a person with the others", "1"),
        "mean": ("mean of the feature", units),
        "scores": ("course of the component", "1"),
        "window_strength": ("inter-subject correlation in the window", "1"),
        "p": ("p-value, corrected for all components", "1"),
    }
    describe(out, texts)
    out.attrs = {"gamma": gamma, **Clock.of(x).attrs}
    return out
