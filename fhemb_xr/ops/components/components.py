"""Components that differ: independent of each other, or each with a course of its own."""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import warn
from fhemb_xr.kernels.components import sobi, unmixing
from fhemb_xr.kernels.components.unmixing import Mixture
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise import iterations
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked, whole_people
from fhemb_xr.ops.blockwise.reductions import reduce_blocks, unchanged
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.components import mixtures, own_method
from fhemb_xr.ops.components.face_maps import on_face
from fhemb_xr.ops.components.mixtures import COMPONENT
from fhemb_xr.typing import F64


def components(
    x: xr.DataArray,
    n_components: int,
    *,
    method: str = "fastica",
    fit: str = "pooled",
    contrast: str = "logcosh",
    n_iter: int = 200,
    tol: float = 1e-4,
    lags_s: Any = None,
    own: Callable[[F64], F64] | None = None,
    basis: xr.Dataset | None = None,
    seed: int = 0,
    dim: Hashable | None = "subject",
    feature: Hashable = "feature",
) -> xr.Dataset:
    """Sources behind the features: independent, or each with a course of its own in time.

    The features are taken as sums of a few sources, each with one pattern. Principal components
    order directions by variance and mix sources of like variance; these methods separate them.

    Parameters
    ----------
    x
        Series ``(..., dim, time, feature)`` in any order and chunks, e.g. scores of a pooled
        basis of eigenfaces. Scores of :func:`project` are understood: their dimension
        ``component`` is called ``feature`` in the result. Every entry of another dimension,
        such as ``session``, is analysed separately.
    n_components
        Number of components, as many as features or fewer. Only the ``n_components`` directions
        of largest variance are looked at, so features of different units are best standardised.
    method
        ``"fastica"``: sources that are independent and not Gaussian, whatever their order in
        time. ``"sobi"``: sources whose autocorrelations differ, Gaussian or not, told by
        covariances at several lags. ``"own"``: any function, see ``own``.
    fit
        ``"pooled"``: all people have the same patterns. ``"subject"``: each person has
        their own, and the components of two people have nothing to do with each other.
    contrast
        Of FastICA: ``"logcosh"``, ``"exp"`` (robust) or ``"cube"`` (kurtosis).
    n_iter, tol
        Of FastICA: rounds at most, and the change of a rotation at which they end.
    lags_s
        Of SOBI: the lags [s]. By default 20, from one sample to 10 s, or to a quarter of the
        series if that is less, closer together where they are short.
    own
        Function ``(samples, features) -> (samples, n_components)``. It gets all moments of all
        people, those of one person after each other, each less the person's mean.
    basis
        The eigenfaces of which the features are scores: adds ``maps`` on the face.
    seed
        Random seed of the first rotation of FastICA.
    dim
        Dimension of the people; None if there is none.
    feature
        Dimension of the features.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is: ``scores(dim, time, component)``, the courses,
        uncorrelated and with variance 1 over all people; ``weights(component, feature)`` with
        ``scores = (x - mean) @ weights``; ``patterns(component, feature)``, what one standard
        deviation of the component adds to the features; ``mean(dim, feature)``;
        ``explained_variance_ratio(component)`` of all features; ``rounds``, ``change`` and
        ``converged``; with ``basis`` ``maps(component, y, x)``, the patterns on the face. Of
        SOBI also ``autocorrelation(component, lag)``: two components with the same course of it
        are not told apart. ``"own"`` has no weights; its patterns are the regression of the
        features on its scores.

        Neither method has an order or a sign of its own: the component with the largest share
        of variance is first, and the largest absolute value of each pattern is positive. If the
        features have fewer directions than components, the rest is NaN.

    Raises
    ------
    SchemaError
        If a dimension is missing, the features are not scores of ``basis``, or for SOBI the
        clock is uneven or the sampling rate unknown.
    ValueError
        If there are more components than features, or an option is out of its range.
    BudgetError
        If one person's series, or for ``"own"`` those of all, are larger than a task may hold.

    Warns
    -----
    UserWarning
        When it is computed and the rotation still changes after ``n_iter`` rounds.

    Notes
    -----
    A sample counts where all its features are there. FastICA is that of scikit-learn
    (``algorithm="parallel"``, ``whiten="unit-variance"``), made of sums over people, so that
    they are never in memory together. It finds a local optimum: try another ``seed``.

    With K components, D features and L lags: memory per task 24 bytes per number of one person,
    ``40 K`` per moment, and ``24 (L + 1) D^2``. The covariances are one pass, and the scores
    another. SOBI needs no more. FastICA below 64 MiB makes all rounds in one task; beyond,
    people are read in blocks in each of ``n_iter`` rounds, so save an embedding before. Tasks:
    under three per block and round, one for each person; computes at call: none.

    References
    ----------
    - Hyvärinen (1999), IEEE Trans. Neural Netw. 10, 626-634, doi:10.1109/72.761722.
    - Belouchrani, Abed-Meraim, Cardoso & Moulines (1997), IEEE Trans. Signal Process. 45,
      434-444, doi:10.1109/78.554307.
    - Haufe et al. (2014), NeuroImage 87, 96-110, doi:10.1016/j.neuroimage.2013.10.067.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> sources = np.stack([np.sign(np.sin(np.arange(1000) / 20)), rng.laplace(size=1000)])
    >>> values = [[2.0, 0.0], [1.0, 1.0], [0.0, 1.0]] @ sources
    >>> x = xr.DataArray([values.T], dims=("subject", "time", "feature"))
    >>> found = fx.components(x.chunk(time=100), 2)
    >>> (found.patterns.round(1) + 0).values.tolist(), bool(found.converged)
    ([[2.0, 1.0, 0.0], [0.0, 1.4, 1.4]], True)
    """
    chosen = {"method": method, "contrast": contrast, "n_iter": n_iter, "tol": tol,
              "lags_s": lags_s, "own": own, "seed": seed}  # fmt: skip
    lines, model = mixtures.asked(x, n_components, fit, dim, feature, chosen)
    if model is None:
        assert own is not None
        out = own_method.passed(lines, own, int(n_components))
    else:
        out = _fitted(lines, model)
    out = mixtures.without_alone(out, lines, x, dim)
    feature = lines.dims[-1]
    if basis is not None:
        out["maps"] = on_face(out["patterns"], basis, feature)
    out = _described(out, x, lines, model)
    if basis is not None:
        out["maps"].attrs = {
            "long_name": "what one standard deviation of the component adds to the face",
            "units": str(basis["mean"].attrs.get("units", "1")) if "mean" in basis else "1",
        }
    return out


def _fitted(lines: xr.DataArray, model: Mixture) -> xr.Dataset:
    """The fit of each leading index, and the courses of everybody."""
    *lead, _, _, feature = lines.dims
    fits = _fits(whole_people(lines).data, model)
    fields = model.fit
    dims: dict[str, tuple[Hashable, ...]] = {
        "weights": (COMPONENT, feature), "patterns": (COMPONENT, feature),
        "explained_variance_ratio": (COMPONENT,), "autocorrelation": (COMPONENT, schema.LAG),
    }  # fmt: skip
    names = [n for n, shape in fields.shapes.items() if 0 not in shape and n != "rank"]
    out = xr.Dataset({n: ((*lead, *dims.get(n, ())), fields.part(fits, n)) for n in names})
    out["converged"] = out["change"] <= (mixtures.SOBI_TOL if model.lags else model.tol)
    return out.assign(_courses(lines, fits, out["weights"]).data_vars)


def _fits(data: Any, model: Mixture) -> Any:
    """``(..., n, t, d) -> (..., f)``: the fit of each leading index, as one vector."""
    size = model.fit.size
    whole = partial(_whole, model=model)
    if not isinstance(data, da.Array) or (data.numblocks[-3] == 1 and not model.lags):
        return iterations.of_whole(whole, data, size=size)
    found = reduce_blocks(
        data, _moments, _added, unchanged, n_core=3, width=(model.moments.size,), apart=True,
        model=model,
    )  # fmt: skip
    if model.lags:
        return iterations.each(partial(_sobi, model=model), found, size=size)
    state = iterations.each(partial(unmixing.begin, model=model), found, size=model.state.size)
    sums, advance = partial(unmixing.sums, model=model), partial(unmixing.advance, model=model)
    state = iterations.rounds(data, state, sums, advance, model.n_iter, size=model.sums.size)
    return iterations.each(partial(_finished, model=model), state, size=size)


def _moments(x: F64, model: Mixture) -> F64:
    out = np.empty((*x.shape[:-3], model.moments.size))
    for at in np.ndindex(x.shape[:-3]):
        out[at] = unmixing.moments(x[at], model)
    return out


def _added(states: F64) -> F64:
    return np.asarray(states.sum(axis=-2))


def _whole(x: F64, model: Mixture) -> F64:
    return _told(sobi.whole(x, model) if model.lags else unmixing.whole(x, model), model)


def _sobi(found: F64, model: Mixture) -> F64:
    return _told(sobi.finish(found, model), model)


def _finished(state: F64, model: Mixture) -> F64:
    return _told(unmixing.finish(state, model), model)


def _told(fit: F64, model: Mixture) -> F64:
    """The fit; a warning if it has not converged."""
    change, rounds = fit[model.fit["change"]], fit[model.fit["rounds"]]
    if not model.lags and np.isfinite(change) and not change <= model.tol:
        warn(
            f"FastICA has not converged: after {rounds:.0f} rounds the rotation still changes "
            f"by {change:.2g}, more than tol={model.tol:g}: take a larger n_iter, fewer "
            "components or another seed; Gaussian sources need method='sobi'"
        )
    return fit


def _courses(lines: xr.DataArray, fits: Any, weights: xr.DataArray) -> xr.Dataset:
    """Courses and means; the series are read again, one person a task."""
    *lead, dim, time, feature = lines.dims
    each = rechunked(lines, dict.fromkeys((*lead, dim), 1) | {time: -1, feature: -1})
    if isinstance(fits, da.Array):
        each = each.copy(deep=False, data=again(each.data, fits))
    k, length, width = weights.sizes[COMPONENT], lines.sizes[time], lines.sizes[feature]
    fields = Fields(scores=(length, k), mean=(width,))
    packed = apply_kernel(
        _of_people,
        each.drop_vars(list(each.coords)),
        weights,
        core=[[time, feature], [COMPONENT, feature]],
        new={"field": fields.size},
    ).transpose(*lead, dim, "field")
    dims = {"scores": (time, COMPONENT), "mean": (feature,)}
    return xr.Dataset(
        {n: ((*lead, dim, *dims[n]), fields.part(packed.data, n)) for n in fields.shapes}
    )


def _of_people(x: F64, weights: F64) -> F64:
    lead, (length, width), k = x.shape[:-2], x.shape[-2:], weights.shape[-2]
    weights = np.broadcast_to(weights, (*lead, k, width))
    out = np.empty((*lead, length * k + width))
    for at in np.ndindex(lead):
        y, there, mean = unmixing.centred(x[at])
        scores = np.where(there[:, None], y @ weights[at].T, np.nan)
        out[at] = np.concatenate([scores.ravel(), mean])
    return out


def _described(
    out: xr.Dataset, x: xr.DataArray, lines: xr.DataArray, model: Mixture | None
) -> xr.Dataset:
    units = str(x.attrs.get("units", "1"))
    texts = {
        "weights": ("weights of the features", "1" if units == "1" else f"1/({units})"),
        "patterns": ("what one standard deviation of the component adds", units),
        "mean": ("mean of the feature", units),
        "scores": ("course of the component", "1"),
        "explained_variance_ratio": ("share of the variance of all features", "1"),
        "rounds": ("rounds of the fit", "1"),
        "change": ("change of the rotation in the last round", "1"),
        "converged": ("whether the rotation has come to rest", "1"),
        "autocorrelation": ("correlation of the course with itself at the lag", "1"),
    }
    describe(out, texts)
    out.attrs = Clock.of(x).attrs
    if model is not None and model.lags:
        seconds = np.array(model.lags) / Clock.of(x).rate_hz
        about = {"long_name": "lag", "units": "s"}
        out = out.assign_coords({schema.LAG: (schema.LAG, seconds, about)})
    return out
