"""Shapelets: short pieces of series, learned so that distances to them tell classes apart."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError, extra
from fhemb_xr.kernels.inference import shapelets as kernel
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_count, require_positive
from fhemb_xr.ops.classification.forests import gain
from fhemb_xr.ops.classification.segments import LABEL, SAMPLE
from fhemb_xr.typing import F64, Bools, Ints

SHAPELET, PLACE = "shapelet", "place"
TRIED = 20
"""Random pieces that are looked at for each shapelet."""


def shapelets(
    samples: xr.DataArray,
    n: int = 10,
    *,
    length_s: float,
    train: xr.DataArray | None = None,
    n_epochs: int = 200,
    learning_rate: float = 0.02,
    seed: int,
) -> xr.Dataset:
    """Learned shapelets, and the distance of every sample to each of them.

    Parameters
    ----------
    samples
        Samples of :func:`prepare`, or any ``(sample, [feature], time)`` with the coordinate
        ``label`` along ``sample``.
    n
        Number of shapelets.
    length_s
        Their length [s].
    train
        True for each sample that is learnt from; all by default. Scores of the others are then
        those of samples never seen.
    n_epochs, learning_rate
        Number of steps of the optimiser (AdamW), and their size.
    seed
        Random seed of the first pieces (of 20 for each, those that tell the classes best), and
        of the optimiser.

    Returns
    -------
    Dataset
        Dataset, float64, always lazy: ``shapelets(shapelet, [feature], place)`` in the units of
        the samples, with ``place`` [s] from its beginning; and ``distance(sample, shapelet)``,
        the smallest mean squared difference over all places. NaN for samples that miss a frame;
        they are not learnt from.

    Raises
    ------
    SchemaError
        If the samples have no labels, or ``train`` is not along ``sample``.
    ValueError
        A number out of range, or a length of less than two samples or more than the series.
    BudgetError
        If the samples and their distances exceed the budget of a task.
    ImportError
        torch is not installed: ``pip install 'fhemb_xr[learn]'``.

    Notes
    -----
    Memory: one task holds all samples, and 24 bytes per sample and shapelet. Tasks: two, and
    two per chunk to gather. Computes at call: none.

    References
    ----------
    - Grabocka, Schilling, Wistuba & Schmidt-Thieme (2014), KDD 20, 392-401,
      doi:10.1145/2623330.2623613.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = np.random.default_rng(0).normal(size=(8, 50))
    >>> x[4:, 20:30] += 4
    >>> samples = xr.DataArray(
    ...     x,
    ...     dims=("sample", "time"),
    ...     coords={"label": ("sample", [*"aaaabbbb"])},
    ...     attrs={"sampling_rate": 25.0},
    ... )
    >>> out = fx.shapelets(samples, 1, length_s=0.4, n_epochs=20, seed=0)
    >>> dict(out.sizes)
    {'shapelet': 1, 'place': 10, 'sample': 8}
    """
    schema.require_dims(samples, SAMPLE, schema.TIME)
    n, seed = require_count("n", n), require_count("seed", seed, 0)
    clock = Clock.of(samples).require_regular()
    length = clock.samples("length_s", length_s, least=2)
    if length > samples.sizes[schema.TIME]:
        raise ValueError(
            f"a shapelet is no longer than the samples, found length_s={length_s!r} and "
            f"{samples.sizes[schema.TIME] / clock.rate_hz:g} s"
        )
    options: dict[str, Any] = {
        "n": n,
        "length": length,
        "n_epochs": require_count("n_epochs", n_epochs, 0),
    }
    options |= {"seed": seed}
    rate = require_positive("learning_rate", learning_rate)
    series, names = _series(samples, n)
    found = apply_kernel(
        _learned,
        series,
        _labels(samples),
        _trained(samples, train),
        core=[[SAMPLE, schema.FEATURE, schema.TIME], [SAMPLE], [SAMPLE]],
        new={SHAPELET: n, schema.FEATURE: None, PLACE: length},
        learning_rate=rate,
        **options,
    )
    distance = apply_kernel(
        kernel.distances,
        series,
        found,
        core=[[schema.FEATURE, schema.TIME], [SHAPELET, schema.FEATURE, PLACE]],
        new=[SHAPELET],
    )
    pieces = found.isel({schema.FEATURE: 0}) if names is None else found.assign_coords(
        {schema.FEATURE: names}
    )  # fmt: skip
    keep = {k: v for k, v in samples.attrs.items() if k == "units"}
    pieces.attrs = {"long_name": "learned shapelet", **keep}
    square = {"units": f"({keep['units']})^2"} if "units" in keep else {}
    distance.attrs = {"long_name": "mean squared distance to the nearest place", **square}
    out = xr.Dataset({"shapelets": pieces, "distance": distance})
    along = {c: v for c, v in samples.coords.items() if v.dims == (SAMPLE,)}
    out = out.assign_coords({**along, SHAPELET: np.arange(n)})
    place = (PLACE, np.arange(length) / clock.rate_hz, {"units": "s"})
    out = out.assign_coords({PLACE: place})
    return out.assign_attrs(seed=seed, n_epochs=int(options["n_epochs"]))


def _series(samples: xr.DataArray, n: int) -> tuple[xr.DataArray, Any]:
    """``(sample, feature, time)`` in one piece, and the names of the features."""
    names = [d for d in samples.dims if d not in (SAMPLE, schema.TIME)]
    if len(names) > 1:
        raise SchemaError(
            f"samples have the dimensions (sample, [feature], time), found {samples.dims}"
        )
    labels = samples[names[0]].values if names and names[0] in samples.coords else None
    x = samples.drop_vars(list(samples.coords))
    x = x.rename({names[0]: schema.FEATURE}) if names else x.expand_dims(schema.FEATURE)
    x = x.transpose(SAMPLE, schema.FEATURE, schema.TIME)
    budget.check(
        24 * x.size * n, "samples and their distances", "take fewer or shorter samples"
    )
    if labels is None and names:
        labels = np.arange(x.sizes[schema.FEATURE])
    return rechunked(x, -1), labels


def _labels(samples: xr.DataArray) -> xr.DataArray:
    if LABEL not in samples.coords or samples[LABEL].dims != (SAMPLE,):
        raise SchemaError(
            f"samples have a coordinate 'label' along 'sample', found "
            f"{sorted(map(str, samples.coords))}: make them with fx.prepare"
        )
    given = samples[LABEL].reset_coords(drop=True).drop_vars(SAMPLE, errors="ignore")
    return rechunked(given, -1)


def _trained(samples: xr.DataArray, train: xr.DataArray | None) -> xr.DataArray:
    size = samples.sizes[SAMPLE]
    if train is None:
        return xr.DataArray(np.ones(size, bool), dims=SAMPLE)
    if train.dims != (SAMPLE,) or train.sizes[SAMPLE] != size or train.dtype.kind != "b":
        raise SchemaError(
            f"train is True or False for each of {size} samples, found {train.dtype} "
            f"{dict(train.sizes)}"
        )
    return rechunked(train.reset_coords(drop=True).drop_vars(SAMPLE, errors="ignore"), -1)


def _learned(
    x: F64, labels: Any, train: Bools, *, n: int, length: int, learning_rate: float,
    n_epochs: int, seed: int,
) -> F64:  # fmt: skip
    """``(k, f, t), (k,), (k,) -> (n, f, length)``."""
    use = np.flatnonzero(train & np.isfinite(x).all(axis=(1, 2)))
    y: Ints = np.unique(labels[use], return_inverse=True)[1]
    if not use.size:
        return np.full((n, x.shape[1], length), np.nan)
    with extra("learn"):
        from fhemb_xr.nn import shapelets as network
    series = np.ascontiguousarray(x[use], np.float64)
    first = _first(series, y, n, length, np.random.default_rng(seed))
    how: dict[str, Any] = {"n_epochs": n_epochs, "learning_rate": learning_rate, "seed": seed}
    return network.learned(series, y, first, **how)


def _first(x: F64, y: Ints, n: int, length: int, rng: np.random.Generator) -> F64:
    """Of random pieces those of largest information gain: ``(k, f, t) -> (n, f, length)``."""
    who = rng.integers(len(x), size=TRIED * n)
    start = rng.integers(x.shape[2] - length + 1, size=TRIED * n)
    pieces = np.stack([x[i, :, a : a + length] for i, a in zip(who, start, strict=True)])
    found = kernel.distances(x, pieces)
    gains = np.array([gain(d, y) for d in found.T])
    return np.asarray(pieces[np.argsort(-gains, kind="stable")[:n]])
