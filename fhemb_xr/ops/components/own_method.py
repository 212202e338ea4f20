"""Components by any function, such as CEBRA: all moments in, a few numbers each out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget
from fhemb_xr.kernels.components import unmixing
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.components.mixtures import COMPONENT
from fhemb_xr.typing import F64

Own = Callable[[F64], F64]


def passed(lines: xr.DataArray, own: Own, k: int) -> xr.Dataset:
    """Scores of each leading index, and the linear patterns that belong to them."""
    *lead, dim, time, feature = lines.dims
    people, length, width = (lines.sizes[d] for d in (dim, time, feature))
    budget.check(
        8 * people * length * (3 * width + k),
        "all series in one task, as an own method needs them,",
        "take fewer features, people or moments, or fit the method to some of them, and give "
        "its model to fx.apply_estimator",
    )
    fields = Fields(
        scores=(people, length, k), mean=(people, width), patterns=(k, width),
        explained_variance_ratio=(k,),
    )  # fmt: skip
    whole = rechunked(lines, dict.fromkeys(lead, 1) | dict.fromkeys((dim, time, feature), -1))
    packed = apply_kernel(
        _of_leading,
        whole.drop_vars(list(whole.coords)),
        core=[[dim, time, feature]],
        new={"field": fields.size},
        own=own,
        k=k,
        fields=fields,
    ).transpose(*lead, "field")
    dims: dict[str, tuple[Any, ...]] = {
        "scores": (dim, time, COMPONENT), "mean": (dim, feature),
        "patterns": (COMPONENT, feature), "explained_variance_ratio": (COMPONENT,),
    }  # fmt: skip
    return xr.Dataset(
        {n: ((*lead, *dims[n]), fields.part(packed.data, n)) for n in fields.shapes}
    )


def _of_leading(x: F64, *, own: Own, k: int, fields: Fields) -> F64:
    out = np.full((*x.shape[:-3], fields.size), np.nan)
    for at in np.ndindex(x.shape[:-3]):
        _fill(out[at], x[at], own, k, fields)
    return out


def _fill(out: F64, x: F64, own: Own, k: int, fields: Fields) -> None:
    """One fit of all people, ``(n, t, d)``."""
    each = [unmixing.centred(person) for person in x]
    fields.part(out, "mean")[:] = [mean for *_, mean in each]
    there = np.stack([seen for _, seen, _ in each])
    rows = np.concatenate([y[seen] for y, seen, _ in each])
    if not len(rows):
        return
    found = np.asarray(own(rows), np.float64)
    if found.shape != (len(rows), k):
        raise ValueError(
            f"own gives an array of (samples, n_components), {(len(rows), k)}, found "
            f"{found.shape}"
        )
    fields.part(out, "scores")[there] = found
    centred = found - found.mean(axis=0)
    patterns = np.linalg.lstsq(centred, rows, rcond=None)[0]
    fields.part(out, "patterns")[:] = patterns * found.std(axis=0)[:, None]
    total = (rows**2).sum() / len(rows)
    share = (fields.part(out, "patterns") ** 2).sum(axis=1) / (total if total > 0 else np.nan)
    fields.part(out, "explained_variance_ratio")[:] = share
