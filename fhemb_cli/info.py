"""``fhemb info``: what a store holds, without reading its data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhemb_cli.console import reporting, show
from fhemb_cli.options import Json, Store

if TYPE_CHECKING:
    from rich.table import Table


def info(store: Store, as_json: Json = False) -> None:
    """Show the contents of a store, or the stores in a folder; reads no data."""
    with reporting(as_json) as say:
        import fhemb_xr as fx
        from fhemb_xr.io import lineage

        inside = _stores_in(store)
        if inside:
            if not as_json:
                show(_listed(inside))
            say(stores=inside if as_json else len(inside))
            return
        ds = fx.open_result(store)
        if not hasattr(ds, "data_vars"):  # an array keeps its attributes on the variable
            ds = ds.to_dataset(name=ds.name or "result").assign_attrs(ds.attrs)
        state = lineage.state(store)
        sources = {} if state is None else {"sources": state}
        if as_json:
            say(**_told(ds), **sources)
            return
        show(_variables(ds))
        wanted = (
            "title", "fhemb_kind", "fhemb_schema", "fhemb_sensitivity", "sampling_rate",
            "temperature_threshold",
        )  # fmt: skip
        say(**{k: ds.attrs[k] for k in wanted if k in ds.attrs}, **sources, sizes=sizes(ds))


def _stores_in(folder: Path) -> dict[str, str]:
    """Name and kind of the stores in a folder that is not a store itself."""
    if not folder.is_dir() or (folder / "zarr.json").is_file():
        return {}
    kinds = {}
    for path in sorted(folder.iterdir()):
        root = path / "zarr.json"
        if root.is_file():
            attrs = json.loads(root.read_text()).get("attributes", {})
            kinds[path.name] = str(attrs.get("fhemb_kind", "a Zarr store"))
    return kinds


def _listed(stores: dict[str, str]) -> "Table":
    from rich.table import Table

    table = Table("store", "kind")
    for name, kind in stores.items():
        table.add_row(name, kind)
    return table


def _variables(ds: Any) -> "Table":
    from rich.table import Table

    from fhemb_xr.budget import human

    table = Table("variable", "dimensions", "dtype", "size", "unit")
    for name, var in ds.variables.items():
        dims = " × ".join(f"{d} {n}" for d, n in var.sizes.items())
        unit = str(var.attrs.get("units", ""))
        table.add_row(str(name), dims, str(var.dtype), human(var.nbytes), unit)
    return table


def _told(ds: Any) -> dict[str, Any]:
    """Everything about a store but its data: sizes, variables, labels, attributes."""
    variables = {
        str(name): {
            "dims": list(map(str, var.dims)),
            "dtype": str(var.dtype),
            "bytes": var.nbytes,
            "units": var.attrs.get("units"),
        }
        for name, var in ds.variables.items()
    }
    labels = {
        str(d): ds[d].values.tolist()
        for d in ("subject", "session", "feature", "band")
        if d in ds.coords and ds[d].ndim
    }
    rate = ds.attrs.get("sampling_rate")
    rate = rate if rate is not None else next(
        (v.attrs["sampling_rate"] for v in ds.data_vars.values() if "sampling_rate" in v.attrs),
        None,
    )  # fmt: skip
    attrs = {str(k): v for k, v in ds.attrs.items()}
    return {
        **attrs, "sampling_rate": rate, "sizes": sizes(ds), "variables": variables,
        "labels": labels, "attributes": attrs,
    }  # fmt: skip


def sizes(ds: Any) -> dict[str, int]:
    """Sizes of an xarray object, for JSON."""
    return {str(k): n for k, n in ds.sizes.items()}
