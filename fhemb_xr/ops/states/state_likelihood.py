"""How many states: the likelihood of people who were not learnt from."""

from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.states import nulls as kernel
from fhemb_xr.kernels.states.events import Chain
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.checks import listed, require_choice, require_count
from fhemb_xr.ops.inference.nulls import require_seed
from fhemb_xr.ops.option_tables import ORDERS
from fhemb_xr.ops.states.request import all_in_one, chain_of, ordered
from fhemb_xr.typing import F64


def state_likelihood(
    x: xr.DataArray,
    n_states: Sequence[int] | int,
    folds: int = 2,
    *,
    dim: Hashable = "subject",
    feature: Hashable = "feature",
    n_iter: int = 200,
    normalize: str = "zscore",
    null: str | None = None,
    n: int = 99,
    seed: int | None = None,
) -> xr.Dataset:
    """Likelihood of held-out people by the number of states: how many are there.

    Parameters
    ----------
    x, dim, feature, n_iter, normalize
        As in :func:`states`.
    n_states
        Numbers of states to compare.
    folds
        Groups of people that are held out in turn, two or more; every ``folds``-th person
        belongs to one group.
    null
        ``"order"``: are the patterns of the others, in their order, likelier than in random
        orders?
    n, seed
        Number of random orders, and random seed. A null needs a seed.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is: ``log_likelihood(n_states, dim)`` per moment and
        feature [nat] of each person, with the patterns and the variance of people of other
        folds. With the null ``p(n_states, dim)``, ``(1 + orders that are as likely) / (n +
        1)``.

    Raises
    ------
    SchemaError
        If a dimension or the sampling rate is missing, or the clock is uneven.
    ValueError
        If there are fewer people than folds, or an option is out of its range.
    BudgetError
        If all series of one session are larger than a task may hold.

    Notes
    -----
    The likelihood rises steeply up to the number of states that there are, and slowly beyond,
    because two alike states side by side cost little: take the number after which it hardly
    rises, not the highest. Two states have two orders, so p cannot be small.
    Memory: all series of one session in one task, and 24 bytes per moment and state. Tasks: one
    for each number of states. Computes at call: none.

    References
    ----------
    - Baldassano, Chen, Zadbood, Pillow, Hasson & Norman (2017), Neuron 95, 709-721,
      doi:10.1016/j.neuron.2017.06.041.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> patterns = np.repeat(rng.normal(size=(4, 12)), 25, axis=0)
    >>> x = xr.DataArray(
    ...     patterns + 0.7 * rng.normal(size=(4, 100, 12)),
    ...     dims=("subject", "time", "feature"),
    ...     attrs={"sampling_rate": 1.0},
    ... )
    >>> found = fx.state_likelihood(x, [2, 3, 4, 5, 6])
    >>> found.log_likelihood.mean("subject").round(2).values.tolist()  # four states
    [-1.56, -1.39, -1.29, -1.29, -1.3]
    """
    ORDERS.require_used(null, {"n": n, "seed": seed})
    schema.require_dims(x, dim)
    lines = ordered(x, dim, feature)
    counts = listed(n_states)
    if not counts:
        raise ValueError("n_states holds one number or more, found none")
    models = [chain_of(lines, k, n_iter, normalize) for k in counts]
    groups = require_count("folds", folds, 2)
    if groups > x.sizes[dim]:
        raise ValueError(
            f"a fold has a person or more, found {groups} folds of {x.sizes[dim]} people"
        )
    orders = (0, 0)
    if null is not None:
        require_choice("null", null, ("order",))
        orders = require_seed(null, n, seed)
    whole = all_in_one(lines).drop_vars(list(lines.coords))
    each = [
        apply_kernel(
            _of_leading, whole, core=[[dim, schema.TIME, feature]], new={"part": 2, dim: None},
            model=model, folds=groups, n=orders[0], seed=orders[1],
        )
        for model in models
    ]  # fmt: skip
    found = xr.concat(each, "n_states").transpose(..., "n_states", dim, "part")
    out = xr.Dataset({"log_likelihood": found.isel(part=0), "p": found.isel(part=1)})
    kept = {
        c: v.variable for c, v in x.coords.items() if not {*v.dims} & {schema.TIME, feature}
    }
    out = out.assign_coords(kept | {"n_states": ("n_states", [m.k for m in models])})
    texts = {
        "log_likelihood": ("log-likelihood per moment and feature, of who is held out", "nat"),
        "p": ("share of random orders of the states that are as likely", "1"),
    }
    describe(out, texts)
    out.attrs = Clock.of(x).attrs
    return out if null is not None else out.drop_vars("p")


def _of_leading(x: F64, *, model: Chain, folds: int, n: int, seed: int) -> F64:
    people = x.shape[-3]
    out = np.empty((*x.shape[:-3], 2, people))
    for at in np.ndindex(x.shape[:-3]):
        out[at] = kernel.held_out(x[at], model, np.arange(people) % folds, n, seed)
    return out
