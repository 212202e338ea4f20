"""The stores that a lazy object reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhemb_xr.io.local import atomic_files


def stores(obj: Any) -> list[Any]:
    """The Zarr stores that the tasks of dask collections read, each listed once."""
    return list({id(array.store): array.store for array in arrays(obj)}.values())


def arrays(obj: Any) -> Iterator[Any]:
    """The Zarr arrays that the tasks of dask collections read."""
    for collection in obj if isinstance(obj, list | tuple) else [obj]:
        graph = collection.__dask_graph__() if hasattr(collection, "__dask_graph__") else None
        yield from _arrays(graph)


def folders(obj: Any) -> list[Path]:
    """Folders on this machine that the tasks read."""
    paths = (atomic_files.local_path(store) for store in stores(obj))
    return sorted({path for path in paths if path is not None})


def uuids(obj: Any) -> list[str]:
    """The ``fhemb_uuid`` of each store that the tasks read."""
    found = (getattr(store, "uuid", None) for store in stores(obj))
    return sorted({uuid for uuid in found if isinstance(uuid, str)})


def _arrays(graph: Any) -> Iterator[Any]:
    for name, layer in getattr(graph, "layers", {}).items():
        # dask puts a data source into a layer of one entry; looking into another layer would
        # build its tasks
        if str(name).startswith("original-"):
            yield from filter(None, map(zarr_array, layer.values()))


def zarr_array(source: Any) -> Any:
    """The Zarr array under xarray's wrappers, or None."""
    import zarr

    for _ in range(20):
        if isinstance(source, zarr.Array):
            return source
        if hasattr(source, "get_array"):
            source = source.get_array()
        else:
            source = getattr(source, "array", getattr(source, "value", None))
    return None
