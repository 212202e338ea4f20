"""States that come back: k-means of all moments of all people."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget
from fhemb_xr.clock import Clock
from fhemb_xr.errors import warn
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.states import kmeans, kmeans_start
from fhemb_xr.kernels.states.kmeans import DRAWS, Clusters
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise import iterations
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked, whole_people
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.checks import require_choice, require_count, require_seed
from fhemb_xr.ops.states.request import ALONE, ordered
from fhemb_xr.typing import F64

STATE = "state"


def clusters_of_moments(
    x: xr.DataArray, n_states: object, dim: Hashable | None, feature: Hashable, n_iter: object,
    normalize: str, seed: int | None,
) -> xr.Dataset:  # fmt: skip
    """The result of ``fx.states(x, n_states, method="kmeans")``."""
    lines = ordered(x, dim, feature, least=1)
    model = _asked(lines, n_states, n_iter, normalize, seed)
    *lead, who, time, _ = lines.dims
    fits = _fits(whole_people(lines).data, model)
    fields = model.fit
    parts = {"pattern": (STATE, feature)}
    out = xr.Dataset(
        {n: ((*lead, *parts.get(n, ())), fields.part(fits, n)) for n in fields.shapes}
    ).drop_vars(["change", "still"])
    out["converged"] = ((*lead,), fields.part(fits, "still") == 1)
    found = _passed(lines, fits, out["pattern"], model)
    out = out.assign(found.data_vars).assign_coords(
        {n: c.variable for n, c in x.coords.items() if {*c.dims} <= {*lead, who, time, feature}}
    )
    if dim is None:
        out = out.squeeze(ALONE, drop=True)
    return _described(out.assign_coords({STATE: np.arange(model.k)}), x)


def _asked(
    lines: xr.DataArray, n_states: object, n_iter: object, normalize: str, seed: int | None
) -> Clusters:
    *_, dim, time, feature = lines.dims
    people, length, width = (lines.sizes[d] for d in (dim, time, feature))
    k = require_count("n_states", n_states)
    if k > people * length:
        raise ValueError(
            f"there are at most as many states as moments, found n_states={k!r} for "
            f"{people * length} moments of all people"
        )
    how = require_choice("normalize", normalize, ("none", "zscore"), synonyms.NORMALIZATIONS)
    candidates = 1 + 2 * DRAWS * k
    budget.check(
        33 * length * width + 2**16 * candidates + 40 * candidates * width,
        f"one person of {length} moments and {width} features, beside {candidates} candidates",
        "take fewer features or states, or means of longer moments, e.g. "
        "x.coarsen(time=25, boundary='trim').mean()",
    )
    return Clusters(
        k, width, require_count("n_iter", n_iter), how == "zscore", require_seed(seed) or 0
    )


def _fits(data: Any, model: Clusters) -> Any:
    """``(..., n, t, d) -> (..., f)``: the fit of each leading index, as one vector."""
    size = model.fit.size
    if not isinstance(data, da.Array) or data.numblocks[-3] == 1:
        return iterations.of_whole(partial(_whole, model=model), data, size=size)
    first = kmeans_start.nobody(model)
    candidates = da.from_array(
        np.broadcast_to(first, (*data.shape[:-3], first.size)), chunks=(*data.chunks[:-3], -1)
    )
    draw, merge = partial(kmeans_start.draw, model=model), partial(_together, model=model)
    for _ in range(1 + DRAWS):
        found = iterations.summed(data, candidates, draw, size=model.drawn.size, merge=merge)
        candidates = iterations.each(
            partial(kmeans_start.added, model=model), candidates, found, size=first.size
        )
    count = partial(kmeans_start.count, model=model)
    weight = iterations.summed(data, candidates, count, size=1 + 2 * DRAWS * model.k)
    state = iterations.each(
        partial(kmeans_start.begin, model=model), candidates, weight, size=model.state.size
    )
    state = iterations.rounds(
        data, state, partial(kmeans.sums, model=model), partial(kmeans.advance, model=model),
        model.n_iter, size=model.sums.size,
    )  # fmt: skip
    return iterations.each(partial(_finished, model=model), state, size=size)


def _together(states: F64, model: Clusters) -> F64:
    """Draws of several blocks, ``(..., b, q) -> (..., q)``."""
    out = np.empty((*states.shape[:-2], states.shape[-1]))
    for at in np.ndindex(states.shape[:-2]):
        out[at] = kmeans_start.together(states[at], model)
    return out


def _whole(x: F64, model: Clusters) -> F64:
    return _told(kmeans_start.whole(x, model), model)


def _finished(state: F64, model: Clusters) -> F64:
    return _told(kmeans.finish(state, model), model)


def _told(fit: F64, model: Clusters) -> F64:
    """The fit; a warning if centres still move."""
    if not fit[model.fit["still"]]:
        warn(
            f"k-means has not come to rest: patterns still move after {model.n_iter} rounds: "
            "take a larger n_iter"
        )
    return fit


def _passed(
    lines: xr.DataArray, fits: Any, pattern: xr.DataArray, model: Clusters
) -> xr.Dataset:
    """Which state each person is in; the series are read again, one person a task."""
    *lead, dim, time, feature = lines.dims
    each = rechunked(lines, dict.fromkeys((*lead, dim), 1) | {time: -1, feature: -1})
    if isinstance(fits, da.Array):
        each = each.copy(deep=False, data=again(each.data, fits))
    fields = Fields(state_at=(lines.sizes[time],), share=(model.k,), dwell=(model.k,))
    packed = apply_kernel(
        _of_people,
        each.drop_vars(list(each.coords)),
        pattern,
        core=[[time, feature], [STATE, feature]],
        new={"field": fields.size},
        model=model,
    ).transpose(*lead, dim, "field")
    dims = {"state_at": (time,), "share": (STATE,), "dwell": (STATE,)}
    found = xr.Dataset(
        {n: ((*lead, dim, *dims[n]), fields.part(packed.data, n)) for n in fields.shapes}
    )
    found["dwell"] = found["dwell"] / Clock.of(lines).rate_hz
    return found


def _of_people(x: F64, pattern: F64, *, model: Clusters) -> F64:
    lead, length = x.shape[:-2], x.shape[-2]
    pattern = np.broadcast_to(pattern, (*lead, *pattern.shape[-2:]))
    out = np.empty((*lead, length + 2 * model.k))
    for at in np.ndindex(lead):
        label = kmeans.labels(x[at], pattern[at], model)
        out[at] = np.concatenate([label, *kmeans.stays(label, model.k)])
    return out


def _described(out: xr.Dataset, x: xr.DataArray) -> xr.Dataset:
    texts = {
        "pattern": ("mean of the scaled features in the state", "1"),
        "inertia": ("mean squared distance from the state's pattern", "1"),
        "rounds": ("rounds of the fit", "1"),
        "converged": ("whether the patterns have come to rest", "1"),
        "state_at": ("number of the state", "1"),
        "share": ("share of the person's moments in the state", "1"),
        "dwell": ("mean length of a stay in the state", "s"),
    }
    describe(out, texts)
    out.attrs = {**Clock.of(x).attrs, "method": "kmeans"}
    return out
