"""The course that breathing or the pulse is looked for in: of regions, or a series as it is."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import listed, require_choice
from fhemb_xr.ops.regions.regions import regions

Names = Sequence[str] | str
_MINUS = "minus"


def course(
    x: xr.DataArray | xr.Dataset, roi: Names, minus: Names | None, template: xr.Dataset | None
) -> xr.DataArray:
    """Temperatures of ``roi`` without those that ``minus`` have in common.

    Raises
    ------
    SchemaError
        If ``x`` has neither frames nor series.
    UnknownNameError
        A region that is not there.
    """
    taken = [] if minus is None else listed(minus)
    is_recording = isinstance(x, xr.Dataset) and schema.HEATMAP in x
    is_heatmap = isinstance(x, xr.DataArray) and {schema.Y, schema.X} <= {*x.dims}
    if is_recording or is_heatmap:
        known = regions(x, [*listed(roi), *taken], template=template)[schema.EMBEDDING]
        return _difference(known, roi, taken)
    if template is not None:
        raise ValueError("template= belongs to frames, found series: leave it out")
    if isinstance(x, xr.Dataset):
        if schema.EMBEDDING not in x:
            raise SchemaError(
                "need a recording, a result of fx.regions or a series, found a Dataset of "
                f"{sorted(map(str, x.data_vars))}: choose a variable, ds['name']"
            )
        x = x[schema.EMBEDDING]
    schema.require_dims(x, schema.TIME)
    schema.require_real(x)
    return _difference(x, roi, taken) if schema.FEATURE in x.dims else x


def _difference(x: xr.DataArray, roi: Names, minus: list[Any]) -> xr.DataArray:
    known = [str(n) for n in x[schema.FEATURE].values.tolist()]
    try:
        wanted, less = (
            [require_choice("region", n, known, synonyms.REGIONS) for n in listed(names)]
            for names in (roi, minus)
        )
    except KeyError as error:
        raise type(error)(
            f"{error}; choose roi= among them, and minus= or minus=None"
        ) from None
    out = x.sel({schema.FEATURE: wanted[0] if isinstance(roi, str) else wanted})
    if less:
        out = out - x.sel({schema.FEATURE: less}).mean(schema.FEATURE, skipna=False)
    return out.assign_attrs({k: v for k, v in x.attrs.items() if k != "long_name"})
