"""States that people pass through in one order: event segmentation."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr.clock import Clock
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.states import events as kernel
from fhemb_xr.kernels.states import nulls as null_kernel
from fhemb_xr.kernels.states.events import Chain
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise import iterations
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked, whole_people
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.inference.nulls import require_seed
from fhemb_xr.ops.option_tables import STATE_METHODS, STATES
from fhemb_xr.ops.states.clusters_of_moments import clusters_of_moments
from fhemb_xr.ops.states.request import ALONE, all_in_one, chain_of, ordered
from fhemb_xr.typing import F64

STATE = "state"


def states(
    x: xr.DataArray,
    n_states: int,
    *,
    method: str = "events",
    dim: Hashable | None = "subject",
    feature: Hashable = "feature",
    n_iter: int = 200,
    normalize: str = "zscore",
    null: str | None = None,
    n: int = 199,
    lag_s: float | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """States of faces: those that people pass through in one order, or those that come back.

    A state is a pattern of the features, the same for all people. In event segmentation it
    lasts for a while, and everybody passes through all states once, at their own moments. In
    k-means every moment belongs to the state whose pattern is nearest, whatever came before.

    Parameters
    ----------
    x
        Series ``(..., dim, time, feature)`` in any order and chunks, e.g. scores of a pooled
        basis of eigenfaces, at a rate that suits events, ``x.coarsen(time=25).mean()``. Every
        entry of another dimension, such as ``session``, is analysed separately.
    n_states
        Number of states; of events two or more, :func:`state_likelihood` compares numbers.
    method
        ``"events"``: event segmentation. ``"kmeans"``: k-means over all moments of all people,
        of which no more than one need be in memory, from a start by k-means||.
    dim
        Dimension of the people. None: every series has states of its own; so has a group, as
        ``x.mean("subject")``.
    feature
        Dimension of the features, of events three or more.
    n_iter
        Rounds at most. Each reads ``x`` once.
    normalize
        ``"zscore"``: each feature of each person gets mean 0 and variance 1 over time.
        ``"none"``: mean 0 only, so that features with a large variance count more.
    null
        ``"lengths"``: do the boundaries of the others hold in a person? The mean of the others
        is segmented. Two moments of the person should be more alike if no boundary lies between
        them, more so than with the same lengths of states in random order.
    n, seed
        Number of random orders, and random seed. A null needs a seed; k-means has 0 without.
    lag_s
        Seconds between the two moments of the null (default: a quarter of a state's mean
        length).

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is: ``pattern(state, feature)``, the mean of the
        scaled features; ``probability(dim, time, state)``; ``state_at(dim, time)``, the number
        of the state, from 0 on; ``begin(dim, state)`` [s on the clock of ``x``], both as the
        median of the probabilities, so that begins never run back; ``log_likelihood(dim)``;
        ``variance`` and ``rounds`` of the fit. With a null ``p(dim)``. NaN of who has no
        sample.

        With k-means ``pattern``, ``state_at``, ``share(dim, state)`` of the person's moments,
        ``dwell(dim, state)`` [s], the mean length of a stay, which a gap ends; ``inertia``, the
        mean squared distance from the pattern; ``rounds`` and ``converged``. The state with
        most moments is the first. A state is NaN if there are fewer different moments.

    Raises
    ------
    SchemaError
        If a dimension or the sampling rate is missing, or the clock is uneven.
    ValueError
        If there are fewer than three features, states of fewer than two moments, for a null
        fewer than two people, or an option is out of its range or of another method.
    BudgetError
        If one person's series, or for a null those of all, are larger than a task may hold.

    Warns
    -----
    UserWarning
        When k-means is computed and its patterns still move after ``n_iter`` rounds.

    Notes
    -----
    The model of Baldassano et al. (2017) and of BrainIAK's EventSegment: log-probability per
    feature of a moment ``-log(2 pi v) / 2 - (1 - r) (D - 1) / (D v)``, where ``r`` correlates
    the moment's pattern with the state's over D features, and a state ends with probability
    ``(n_states - 1) / moments``. The variance ``v`` is 4 * 0.98^round; rounds end when the
    likelihood falls. A state that is very short beside the others may be missed. Missing
    samples have no evidence, and states are told through them. Lengths that are nearly equal
    have few orders, and then the null can tell little.
    With K states: memory per task 20 bytes per number of one person, and 24 K per moment. Below
    64 MiB one task makes all rounds; beyond, people are read in blocks in each round, even
    after the likelihood has fallen. Tasks: under three per block and round, one for each
    person; computes at call: none. A null holds all series of one session in one task.

    k-means finds a local optimum: compare ``inertia`` of several seeds. Its start draws ``10
    K`` moments in six passes, by hashes of their values: the same in any chunks. It needs seven
    passes and the rounds. A task holds 33 bytes per number of one person, and 64 KiB for each
    candidate. From the same start it is that of scikit-learn, which needs all in memory;
    dask-ml's takes no missing sample.

    References
    ----------
    - Bahmani, Moseley, Vattani, Kumar & Vassilvitskii (2012), Proc. VLDB Endow. 5, 622-633,
      doi:10.14778/2180912.2180915.
    - Baldassano, Chen, Zadbood, Pillow, Hasson & Norman (2017), Neuron 95, 709-721,
      doi:10.1016/j.neuron.2017.06.041.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> patterns = rng.normal(size=(3, 8))
    >>> courses = [np.repeat(patterns, n, axis=0) for n in ([20, 50, 30], [30, 30, 40])]
    >>> values = np.array(courses) + 0.2 * rng.normal(size=(2, 100, 8))
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> fx.states(x.assign_attrs(sampling_rate=1.0), 3).begin.values.tolist()
    [[0.0, 20.0, 70.0], [0.0, 30.0, 60.0]]
    """
    method = require_choice("method", method, ("events", "kmeans"), {"hmm": "events"})
    STATE_METHODS.require_used(method, {"null": null, "n": n, "lag_s": lag_s})
    if method == "kmeans":
        return clusters_of_moments(x, n_states, dim, feature, n_iter, normalize, seed)
    STATES.require_used(null, {"n": n, "lag_s": lag_s, "seed": seed})
    lines = ordered(x, dim, feature)
    model = chain_of(lines, n_states, n_iter, normalize)
    *lead, who, _, _ = lines.dims
    fits = _fits(whole_people(lines).data, model)
    fields = model.fit
    parts = {"pattern": (STATE, feature)}
    out = xr.Dataset(
        {k: ((*lead, *parts.get(k, ())), fields.part(fits, k)) for k in fields.shapes}
    ).drop_vars("mean_ll")
    found = _passed(lines, fits, out, model)
    out = out.assign(found.data_vars).assign_coords(
        {n: c.variable for n, c in x.coords.items()}
    )
    if null is not None:
        require_choice("null", null, ("lengths",))
        out["p"] = _p_values(lines, model, lag_s, *require_seed(null, n, seed))
    if dim is None:
        out = out.squeeze(ALONE, drop=True)
    return _described(out.assign_coords({STATE: np.arange(model.k)}), x, who)


def _fits(data: Any, model: Chain) -> Any:
    """``(..., n, t, d) -> (..., f)``: the fit of each leading index, as one vector."""
    size = model.fit.size
    if not isinstance(data, da.Array) or data.numblocks[-3] == 1:
        return iterations.of_whole(partial(kernel.whole, model=model), data, size=size)
    first = np.broadcast_to(kernel.begin(model), (*data.shape[:-3], model.state.size))
    state = da.from_array(first, chunks=(*data.chunks[:-3], -1))
    state = iterations.rounds(
        data, state, partial(kernel.sums, model=model), partial(kernel.advance, model=model),
        model.n_iter, size=model.sums.size,
    )  # fmt: skip
    return iterations.each(partial(kernel.finish, model=model), state, size=size)


def _passed(lines: xr.DataArray, fits: Any, out: xr.Dataset, model: Chain) -> xr.Dataset:
    """When each person is in each state; the series are read again, one person a task."""
    *lead, dim, time, feature = lines.dims
    each = rechunked(lines, dict.fromkeys((*lead, dim), 1) | {time: -1, feature: -1})
    if isinstance(fits, da.Array):
        each = each.copy(deep=False, data=again(each.data, fits))
    length = lines.sizes[time]
    fields = Fields(probability=(length, model.k), begin=(model.k,), log_likelihood=())
    packed = apply_kernel(
        _of_people,
        each.drop_vars(list(each.coords)),
        out["pattern"],
        out["variance"],
        core=[[time, feature], [STATE, feature], []],
        new={"field": fields.size},
        zscore=model.zscore,
    ).transpose(*lead, dim, "field")
    dims = {"probability": (time, STATE), "begin": (STATE,)}
    found = xr.Dataset(
        {
            k: ((*lead, dim, *dims.get(k, ())), fields.part(packed.data, k))
            for k in fields.shapes
        }
    )
    seconds = Clock.of(lines).axis_s
    found["begin"] = seconds[0] + found["begin"] / Clock.of(lines).rate_hz
    found["state_at"] = apply_kernel(
        _median, found["probability"], core=[[time, STATE]], new=[time]
    )
    return found


def _of_people(x: F64, pattern: F64, variance: F64, *, zscore: bool) -> F64:
    lead, (length, _), k = x.shape[:-2], x.shape[-2:], pattern.shape[-2]
    pattern = np.broadcast_to(pattern, (*lead, *pattern.shape[-2:]))
    variance = np.broadcast_to(variance, lead)
    out = np.empty((*lead, length * k + k + 1))
    for at in np.ndindex(lead):
        found, likelihood = kernel.passed(x[at], pattern[at], float(variance[at]), zscore)
        edges = np.concatenate([[0.0], kernel.boundaries(found)])
        edges = np.where(np.isfinite(likelihood), edges, np.nan)
        out[at] = np.concatenate([found.ravel(), edges, [likelihood]])
    return out


def _median(probability: F64) -> F64:
    """The state that is as likely over as not: ``(..., t, k) -> (..., t)``."""
    later = probability[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]
    known = np.isfinite(probability).all(axis=-1)
    return np.where(known, (later >= 0.5 - 1e-12).sum(axis=-1), np.nan)


def _p_values(
    lines: xr.DataArray, model: Chain, lag_s: float | None, n: int, seed: int
) -> xr.DataArray:
    *_, dim, time, feature = lines.dims
    people, length = lines.sizes[dim], lines.sizes[time]
    if people < 2:
        raise ValueError(
            f"null 'lengths' takes the boundaries of the others, found {people} along {dim!r}: "
            "give two people or more, with dim='subject'"
        )
    lag = max(length // (4 * model.k), 1)
    if lag_s is not None:
        lag = Clock.of(lines).samples("lag_s", lag_s, 1)
    if lag >= length:
        raise ValueError(f"lag_s is shorter than the series, found {lag} of {length} samples")
    return apply_kernel(
        _p_of_leading,
        all_in_one(lines).drop_vars(list(lines.coords)),
        core=[[dim, time, feature]],
        new=[dim],
        model=model,
        lag=lag,
        n=n,
        seed=seed,
    )


def _p_of_leading(x: F64, *, model: Chain, lag: int, n: int, seed: int) -> F64:
    out = np.empty(x.shape[:-2])
    for at in np.ndindex(x.shape[:-3]):
        out[at] = null_kernel.p_values(x[at], model, lag, n, seed)
    return out


def _described(out: xr.Dataset, x: xr.DataArray, dim: Hashable) -> xr.Dataset:
    texts = {
        "pattern": ("mean of the scaled features in the state", "1"),
        "variance": ("variance of the fit", "1"),
        "rounds": ("rounds of the fit", "1"),
        "probability": ("probability of the state", "1"),
        "state_at": ("number of the state", "1"),
        "begin": ("moment at which the state begins", "s"),
        "log_likelihood": ("log-likelihood per feature", "nat"),
        "p": ("share of random orders of lengths that separate moments as well", "1"),
    }
    describe(out, texts)
    out.attrs = Clock.of(x).attrs
    return out
