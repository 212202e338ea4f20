"""Features of people over time, computed for each person once and kept."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.legacy.config.settings import THERMO_SR
from fhemb_xr.legacy.subjects import label
from fhemb_xr.typing import F64

DIMS = (schema.SUBJECT, schema.TIME, schema.FEATURE)


class Series:
    """A lazy array ``(subject, time, feature)``, and what of it was asked for so far.

    All families of one request share one of these: whoever asks for a person's percentiles has
    that person's eigenface scores too, for one reading of the pixels.
    """

    def __init__(self, data: xr.DataArray) -> None:
        self._data = data.transpose(*DIMS)
        self._kept: dict[Any, F64] = {}

    @property
    def data(self) -> xr.DataArray:
        """The array; in memory once every person was asked for."""
        ids = self._data.indexes[schema.SUBJECT].tolist()
        if self._data.chunks is not None and all(i in self._kept for i in ids):
            self._data = self._assembled(ids)
        return self._data

    def of(self, ids: Sequence[Any]) -> dict[Any, F64]:
        """Values ``(feature, time)`` of these people; one compute for those that are new."""
        if new := [i for i in ids if i not in self._kept]:
            part = self._data.sel({schema.SUBJECT: new})
            budget.check(
                8 * part.size, f"the series of {len(new)} people", "ask for fewer, or less time"
            )
            values = part.variable.compute().to_numpy().astype(np.float64)
            self._kept |= dict(zip(new, values.transpose(0, 2, 1), strict=True))
        return {i: self._kept[i] for i in ids}

    def loaded(self, ids: Sequence[Any]) -> xr.DataArray:
        """The array of these people, in memory."""
        self.of(ids)
        return self._assembled(ids)

    def _assembled(self, ids: Sequence[Any]) -> xr.DataArray:
        like = self._data.sel({schema.SUBJECT: list(ids)})
        return like.copy(data=np.stack([self._kept[i].T for i in ids]))


def joined(ts: Any, subjs: Any = "all") -> xr.DataArray | None:
    """What an Embedding holds, or all members of a collection or dict of them; else None.

    In memory, ``(subject, time, feature)``, without the edges of bins.

    Raises
    ------
    SchemaError
        Members of other people or frames.
    """
    members = list(ts.values()) if isinstance(ts, Mapping) else [ts]
    if not members or not all(hasattr(m, "chosen") for m in members):
        return None
    parts = [without_bins(m.chosen(subjs)) for m in members]
    if len(parts) == 1:
        return parts[0]
    try:
        return xr.concat(parts, schema.FEATURE, join="exact", combine_attrs="override")
    except xr.AlignmentError:
        found = [(m.sizes[schema.SUBJECT], m.sizes[schema.TIME]) for m in parts]
        raise SchemaError(
            "embeddings are put together if they are of the same people and frames, found "
            f"(people, frames) {found}: choose the same ones with .project(subjs)"
        ) from None


def without_bins(x: xr.DataArray) -> xr.DataArray:
    """The array without the edges of bins, which other features do not have."""
    return x.drop_vars([c for c in x.coords if str(c).startswith("bin_")])


def table(values: xr.DataArray) -> pd.DataFrame:
    """``(subject, time)`` in memory as a table: a row per frame from 0 on, a column each."""
    x = values.transpose(schema.TIME, schema.SUBJECT)
    columns = [label(i) for i in x.indexes[schema.SUBJECT].tolist()]
    return pd.DataFrame(x.to_numpy(), columns=columns)


def labelled(
    matrices: dict[Any, Any], names: Sequence[str] | None, start: int = 0
) -> xr.DataArray:
    """Matrices ``(feature, time)`` of people as one array; NaN where one has fewer features.

    Raises
    ------
    ValueError
        Matrices of different length, or names that do not fit them.
    """
    arrays = {i: np.atleast_2d(np.asarray(m, np.float64)) for i, m in matrices.items()}
    rows = max(m.shape[0] for m in arrays.values())
    lengths = {m.shape[1] for m in arrays.values()}
    names = [f"f{k}" for k in range(rows)] if names is None else list(names)
    if len(lengths) != 1 or len(names) != rows:
        raise ValueError(
            "matrices are (features, frames), all of one length with a name for each feature: "
            f"found {rows} features, {len(names)} names and lengths {sorted(lengths)}"
        )
    out = np.full((len(arrays), lengths.pop(), rows), np.nan)
    for place, matrix in enumerate(arrays.values()):
        out[place, :, : matrix.shape[0]] = matrix.T
    frame = start + np.arange(out.shape[1])
    return xr.DataArray(
        out,
        dims=DIMS,
        coords={
            schema.SUBJECT: list(arrays),
            schema.TIME: (schema.TIME, frame / THERMO_SR, {"units": "s"}),
            schema.FRAME: (schema.TIME, frame),
            schema.FEATURE: names,
        },
        attrs={schema.SAMPLING_RATE: float(THERMO_SR)},
        name=schema.EMBEDDING,
    )
