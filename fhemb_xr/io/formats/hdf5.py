"""Reading feature streams from HDF5 files in the layout of NoXi-Re's preparation scripts.

The files hold ``sample_names``, ``sample_000/expert/face`` and so on, as float32 with gzip.
They are read lazily through h5netcdf. Dimensions get their names from the streams.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from fhemb_xr import clock, schema
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io import provenance

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
NAMES, COUNT = "sample_names", "num_samples"
DECIMALS = 4
"""Number of decimals to which the scripts round OpenFace's streams."""
SCALED: dict[str, tuple[str, list[str]]] = {
    schema.FACE: ("minmax", [schema.LANDMARK]),
    schema.AUS: ("minmax", []),  # by the ends of the AU scale, 0 and 5
    schema.HEAD: ("minmax", [schema.FRAME]),
}
"""Normalisation by the scripts of streams without an attribute for it. The scripts scale the
three rotations of a frame by a common range; no attribute can undo this."""


def is_hdf5(path: Path) -> bool:
    """Whether the first bytes of a file are those of HDF5."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def names(path: Path) -> list[str]:
    """Names of the samples, in their order.

    Raises
    ------
    SchemaError
        The file has no such names.
    StoreError
        The file cannot be read.
    """
    with _file(path) as file:
        if NAMES not in file:
            raise SchemaError(
                f"{path.name!r} has no {NAMES!r}, found {sorted(file)}: streams in HDF5 "
                "have the layout sample_names, sample_000/<person>/<stream>"
            )
        return [n.decode() if isinstance(n, bytes) else str(n) for n in file[NAMES][:]]


def stated_hz(path: Path) -> float | None:
    """The sampling rate that a file of ours states [Hz]; the scripts write none.

    Raises
    ------
    StoreError
        The file cannot be read.
    """
    with _file(path) as file:
        return clock.attribute_hz(xr.Dataset(attrs=dict(file.attrs)))


def _file(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError:
        raise StoreError(
            f"{path.name!r} cannot be read as HDF5: it is damaged, or still being written"
        ) from None


def recordings(path: Path, index: int | None = None) -> Iterator[tuple[str, str, xr.Dataset]]:
    """Yield session, person and lazily indexed streams of every sample, or of one sample.

    Raises
    ------
    SchemaError
        A stream has the wrong number of dimensions.
    """
    sessions = names(path)
    for i in range(len(sessions)) if index is None else [index]:
        tree = xr.open_datatree(
            path,
            engine="h5netcdf",
            group=group(i),
            phony_dims="access",
            chunks=None,
            cache=False,
            mask_and_scale=False,  # these files mark missing values by NaN and pack nothing
        )
        for person, node in tree.children.items():
            yield sessions[i], str(person), labelled(node.to_dataset(), f"{group(i)}/{person}")


def group(index: int) -> str:
    """``3`` → ``'sample_003'``."""
    return f"sample_{index:03d}"


def labelled(ds: xr.Dataset, where: str) -> xr.Dataset:
    """``ds`` with dimensions, labels and attributes by the names of the streams."""
    out: dict[str, xr.Variable] = {}
    for name, var in ds.data_vars.items():
        stream = schema.STREAMS.get(str(name))
        dims = stream.dims if stream else _unknown(str(name), var.ndim)
        if len(dims) != var.ndim:
            raise SchemaError(f"{where}/{name} has the shape {var.shape}, expected {dims}")
        renamed = ds[[name]].rename_dims(dict(zip(var.dims, dims, strict=True)))
        out[str(name)] = renamed[name].variable
        out[str(name)].attrs = _attributes(str(name), var.attrs)
    lengths = {n: v.sizes[schema.FRAME] for n, v in out.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaError(f"{where} has streams of unequal length: {lengths}")
    sizes = {d: n for v in out.values() for d, n in v.sizes.items()}
    return xr.Dataset(out, coords=schema.labels(sizes))


def _unknown(name: str, n_dims: int) -> tuple[str, ...]:
    return (schema.FRAME, *(f"{name}_{i}" for i in range(1, n_dims)))


def _attributes(name: str, stored: Mapping[Any, Any]) -> dict[str, Any]:
    attrs: dict[str, Any] = dict(schema.STREAMS[name].attrs) if name in schema.STREAMS else {}
    attrs |= {k: provenance.plain(v) for k, v in stored.items()}
    if name in SCALED and schema.POLICY not in attrs:
        policy, dims = SCALED[name]
        attrs |= {schema.POLICY: policy, schema.POLICY_DIMS: dims, schema.DECIMALS: DECIMALS}
        attrs["units"] = "1"
    attrs.setdefault(schema.POLICY, "none")
    if isinstance(attrs.get(schema.POLICY_DIMS), str):  # HDF5 has no lists of text
        attrs[schema.POLICY_DIMS] = attrs[schema.POLICY_DIMS].split()
    return attrs
