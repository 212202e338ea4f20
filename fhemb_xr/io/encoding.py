"""How a recording lies on disk: chunks, shards, codecs, packing.

Zarr v3. A *chunk* is what is decompressed together, a *shard* what is written together: one
file, one unit of resume. Every array ends its codecs with crc32c: without it 93 % of flipped
bits go unseen. Heatmaps are packed to 16 bits at 0.01 K around 75 °C, which spans -252.67 to
402.67 °C; the error is at most 5 mK, a sixth of the sensor's noise.

``benchmarks/bench_layout.py`` measures the layout.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr import schema

STATUS, WRITING, COMPLETE = "fhemb_status", "writing", "complete"
FILES = "fhemb_files"
"""Attribute with the number of data files of each array when the store was complete."""
SCALE_K, OFFSET_C, MISSING = 0.01, 75.0, -32768
LIMITS = (-250.0, 400.0)
"""Temperatures that can be stored [°C]."""
CHUNK_FRAMES, SHARD_FRAMES = 1000, 5000
PACKING: dict[str, Any] = {
    "scale_factor": SCALE_K,
    "add_offset": OFFSET_C,
    "_FillValue": MISSING,
}


def pack(x: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
    """°C to 16 bits: ``(...) -> (...)``; NaN to the missing value.

    Peak memory: 11 bytes per sample.

    Raises
    ------
    ValueError
        If a temperature is outside :data:`LIMITS`.
    """
    out = np.subtract(x, OFFSET_C, dtype=np.float32)
    missing = np.isnan(out)
    out[missing] = 0
    if out.size and (out.min() < LIMITS[0] - OFFSET_C or out.max() > LIMITS[1] - OFFSET_C):
        low, high = np.nanmin(x), np.nanmax(x)
        raise ValueError(
            f"temperatures from {low:g} to {high:g} °C cannot be packed: {LIMITS} °C can; "
            "store them as float32"
        )
    out *= np.float32(1 / SCALE_K)
    np.rint(out, out=out)
    packed = out.astype(np.int16)
    packed[missing] = MISSING
    return packed


def unpack(packed: NDArray[np.int16]) -> NDArray[np.float32]:
    """16 bits to °C, float32: ``(...) -> (...)``; the missing value to NaN.

    Peak memory: 5 bytes per sample.
    """
    out = packed.astype(np.float32)
    out *= np.float32(SCALE_K)
    out += np.float32(OFFSET_C)
    out[packed == MISSING] = np.nan
    return out


def compressors(dtype: Any) -> list[Any]:
    """Codecs of an array: lossless, and ending in a checksum."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    kind = np.dtype(dtype)
    if kind.kind not in "iufb":
        return [Crc32cCodec()]
    shuffle = "bitshuffle" if kind.kind == "i" and kind.itemsize == 2 else "shuffle"
    blosc = BloscCodec(cname="zstd", clevel=3, shuffle=shuffle, typesize=kind.itemsize)
    return [blosc, Crc32cCodec()]


def create_recording(
    path: Path | str,
    *,
    subjects: Sequence[int | str],
    sessions: Sequence[str],
    n_frames: int,
    shape: tuple[int, int],
    sampling_rate: float,
    title: str,
    threshold: float,
    float32: bool = False,
    chunk_frames: int | None = None,
    shard_frames: int | None = None,
) -> Any:
    """An empty recording, whole in its metadata and marked as being written.

    Parameters
    ----------
    path
        Folder that does not exist yet.
    subjects, sessions, n_frames, shape
        Labels and sizes of the cube; ``shape`` is rows and columns.
    sampling_rate, title, threshold
        Attributes: Hz, text, °C.
    float32
        Store temperatures unpacked.
    chunk_frames, shard_frames
        Frames decompressed, and frames written, together.

    Returns
    -------
    The :class:`zarr.Group`; ``frame`` and ``time`` are to be set by who fills it.
    """
    import zarr

    shard = max(1, min(shard_frames or SHARD_FRAMES, n_frames))
    chunk = divisor(shard, chunk_frames or CHUNK_FRAMES)
    lengths = {
        schema.SUBJECT: len(subjects),
        schema.SESSION: len(sessions),
        schema.TIME: n_frames,
        schema.Y: shape[0],
        schema.X: shape[1],
        schema.AXIS: 2,
    }
    Path(path).mkdir(mode=0o700)
    group = zarr.create_group(str(path), zarr_format=3)
    for v in schema.VARIABLES.values():
        _create(group, v, lengths, (chunk, shard), packed=v.name == schema.HEATMAP and not float32)
    for name, values in _axes(subjects, sessions).items():
        _create_axis(group, name, name, values)
    for name, dtype, attrs in (
        (schema.FRAME, "int64", {}),
        (schema.TIME, "float64", {"units": "s", "axis": "T"}),
    ):
        _create_axis(group, name, schema.TIME, np.zeros(n_frames, dtype), attrs)
    group.attrs.update(
        {
            STATUS: WRITING,
            schema.SCHEMA: schema.VERSION,
            "fhemb_kind": "recording",
            schema.SAMPLING_RATE: float(sampling_rate),
            schema.THRESHOLD: float(threshold),
            "title": title,
            "Conventions": "CF-1.11",
            "coordinates": schema.FRAME,
        }
    )
    return group


def count_files(store: Path) -> dict[str, int]:
    """Data files of each array of a local store."""
    return {
        folder.name: sum(f.is_file() for f in (folder / "c").rglob("*"))
        for folder in sorted(store.iterdir())
        if (folder / "zarr.json").is_file()
    }


def divisor(shard: int, at_most: int) -> int:
    """The longest chunk that divides a shard: zarr takes no other."""
    return next(c for c in range(min(at_most, shard), 0, -1) if shard % c == 0)


def _axes(subjects: Sequence[int | str], sessions: Sequence[str]) -> dict[str, Any]:
    ids = np.asarray(subjects) if all(isinstance(s, int) for s in subjects) else subjects
    return {schema.SUBJECT: ids, schema.SESSION: sessions, schema.AXIS: ["x", "y"]}


def _create(
    group: Any, v: schema.Variable, lengths: dict[str, int], frames: tuple[int, int], packed: bool
) -> None:
    size = tuple(lengths[d] for d in v.dims)
    one = {schema.SUBJECT: 1, schema.SESSION: 1}

    def cut(n: int) -> tuple[int, ...]:
        if schema.TIME not in v.dims:
            return tuple(max(s, 1) for s in size)
        return tuple({**lengths, **one, schema.TIME: n}[d] for d in v.dims)

    dtype = "int16" if packed else v.dtype
    missing: Any = MISSING if packed else (np.nan if v.dtype == "float32" else 0)
    heat = v.name == schema.HEATMAP
    group.create_array(
        v.name,
        shape=size,
        chunks=cut(frames[0] if heat else frames[1]),
        shards=cut(frames[1]) if heat else None,
        dtype=dtype,
        fill_value=missing,
        compressors=compressors(dtype),
        dimension_names=v.dims,
        attributes={**v.attrs, **(PACKING if packed else {})},
    )


def _create_axis(
    group: Any, name: str, dim: str, values: Any, attrs: dict[str, str] | None = None
) -> None:
    text = not (isinstance(values, np.ndarray) and values.dtype.kind in "if")
    data = np.asarray([str(v) for v in values], dtype=object) if text else values
    array = group.create_array(
        name,
        shape=data.shape,
        chunks=(max(len(data), 1),),
        dtype=str if text else data.dtype,
        compressors=compressors("O" if text else data.dtype),
        dimension_names=(dim,),
        attributes=attrs or {},
    )
    array[:] = data
