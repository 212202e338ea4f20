"""How a recording lies on disk: chunks, shards, codecs, packing.

Zarr v3. A *chunk* is what is decompressed together, a *shard* what is written together: one
file, one unit of resume. Every array ends its codecs with crc32c: without it 93 % of flipped
bits go unseen. Heatmaps are packed to 16 bits at 0.01 K around 75 °C, which spans -252.67 to
402.67 °C; the error is at most 5 mK, a sixth of the sensor's noise.

Measured by ``benchmarks/bench_layout.py`` (2 people, 10 000 frames of 60 x 45, MB of float32
temperatures per second of one core, a frame and a pixel's whole series in ms of all people):

====== ====== ===== ===== ====== ====== ===== ===== =====
chunk  shard  write whole person minute frame pixel files
====== ====== ===== ===== ====== ====== ===== ===== =====
   250   5000   313   377    352    397    17   435     4
  1000   1000   437   636    567    577    29   269    20
  1000   5000   356   667    650    601    27   245     4
  1000  10000   384   656    679    713    22   219     2
  2500   5000   493  1003    937    357    54   207     4
  5000   5000   438  1042    949    336    84   184     4
====== ====== ===== ===== ====== ====== ===== ===== =====

Longer chunks read whole recordings faster and a minute or a frame much slower; shorter ones
cost everywhere but for single frames. So 1000 frames a chunk; and 5000 a shard, since that
costs nothing and leaves a fifth of the files. All take 5.8 bits a pixel.

Blosc cuts a chunk into blocks, of 64 KiB by itself; in blocks of 1 MiB the planes of bits are
longer, which zstd's level 1 turns into less time and less space than level 2 without them. On
1000 frames of 60 x 90 (bits a pixel; µs a frame to compress and to read; and a recorded face):

=================== ============ ====================== ================
codec, block        simulated    compress, read [µs]    recorded, bits
=================== ============ ====================== ================
zstd 2, 64 KiB              5.27           33.7, 10.7               8.46
zstd 1, 256 KiB             5.21           22.4,  9.0               8.55
zstd 1, 1 MiB               5.04           18.8,  8.4               7.91
zstd 1, 4 MiB               5.18           19.3,  9.3               7.91
zstd 3, 1 MiB               4.98           57.2,  8.7               7.81
lz4 5, 64 KiB               6.99           10.5,  4.3
=================== ============ ====================== ================

The same holds of float32 (11.9 bits in 34 µs for 12.3 in 72). lz4 takes half the time and two
fifths more space: up to 27 GB for an opera of 77 faces. A store says in its metadata how it
was compressed, so older ones are read as before.
"""

import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.typing import F32, Floats

STATUS, WRITING, COMPLETE = "fhemb_status", "writing", "complete"
SCALE_K, OFFSET_C, MISSING = 0.01, 75.0, -32768
LIMITS = (-250.0, 400.0)
"""Temperatures that can be stored [°C]."""
CHUNK_FRAMES, SHARD_FRAMES = 1000, 5000
BLOCK_BYTES = 2**20
"""What Blosc shuffles and compresses at once; by itself it takes 16 to 128 KiB."""
CHUNK_BYTES = 2**25
"""No result has a longer chunk: that is what a reader must hold, and codecs end at 2 GiB."""
STREAM_FRAMES, STREAM_BYTES = 100, 2**18
"""A chunk of a feature stream: near the window that training reads."""
_COMPILED = 2**20  # samples from which compiling a loop pays
PACKING: dict[str, Any] = {
    "scale_factor": SCALE_K,
    "add_offset": OFFSET_C,
    "_FillValue": MISSING,
}


def pack(x: Floats) -> NDArray[np.int16]:
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
    packed: NDArray[np.int16] = out.astype(np.int16)
    packed[missing] = MISSING
    return packed


def unpack(packed: NDArray[np.int16]) -> F32:
    """16 bits to °C, float32: ``(...) -> (...)``; the missing value to NaN.

    Peak memory: 4 bytes per sample, which are the result; a small array takes 5.
    """
    if packed.size >= _COMPILED:
        from fhemb_xr.kernels.frames import packing

        return packing.unpack(packed, SCALE_K, OFFSET_C, MISSING)
    out = packed.astype(np.float32)
    out *= np.float32(SCALE_K)
    out += np.float32(OFFSET_C)
    out[packed == MISSING] = np.nan
    return out


def resample(frames: F32, shape: tuple[int, ...]) -> F32:
    """Whole frames to a grid, a pixel the mean of what it covers: ``(t, y, x) -> (t, ...)``."""
    from fhemb_xr.kernels.frames import resizing

    n, *box = frames.shape
    height, width = (np.full(n, side) for side in box)
    found: F32 = resizing.resize(frames, height, width, (shape[0], shape[1]), "area")
    return found


def compressors(dtype: Any) -> list[Any]:
    """Codecs of an array: lossless, and ending in a checksum."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    kind = np.dtype(dtype)
    if kind.kind not in "iufbcmM":
        return [Crc32cCodec()]  # text, which Zarr encodes itself
    # of packed numbers the upper bits are equal, and lie together then
    shuffle: Any = "bitshuffle" if kind.kind == "i" and kind.itemsize <= 4 else "shuffle"
    blosc = BloscCodec(
        cname="zstd",
        clevel=1,
        shuffle=shuffle,
        typesize=kind.itemsize,
        blocksize=BLOCK_BYTES,
    )
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
    resized: bool = False,
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
    resized
        The frames are resampled to the grid: ``height`` and ``width`` are no boxes on it.
    chunk_frames, shard_frames
        Frames decompressed, and frames written, together; a shard is rounded up to equal
        chunks.

    Returns
    -------
    The :class:`zarr.Group`; ``frame`` and ``time`` are to be set by who fills it.
    """
    import zarr

    chunk, pieces = split(
        min(shard_frames or SHARD_FRAMES, n_frames), chunk_frames or CHUNK_FRAMES
    )
    shard = chunk * pieces
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
        _create(
            group, v, lengths, (chunk, shard), packed=v.name == schema.HEATMAP and not float32
        )
    if resized:
        group[schema.HEATMAP].attrs[schema.RESIZED] = "area"
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
            schema.SENSITIVITY: "face",
            schema.SAMPLING_RATE: float(sampling_rate),
            schema.THRESHOLD: float(threshold),
            "title": title,
            "Conventions": "CF-1.11",
            "coordinates": schema.FRAME,
        }
    )
    return group


def set_axes(group: Any, spans: Sequence[tuple[int, int]], rate_hz: float) -> None:
    """Frame numbers, seconds, and how many frames each session, ``[start, stop)``, has."""
    start, stop = min(a for a, _ in spans), max(b for _, b in spans)
    frame = np.arange(start, stop, dtype=np.int64)
    group[schema.FRAME][:] = frame
    group[schema.TIME][:] = frame / rate_hz
    n_time = group[schema.N_TIME]
    n_time[:] = np.broadcast_to([b - start for _, b in spans], n_time.shape)


def split(length: int, at_most: int) -> tuple[int, int]:
    """Length and number of the equal pieces, of ``at_most`` each, that cover ``length``.

    Shards must be whole chunks; a divisor of the shard would be 1 where its length is prime.
    """
    length = max(length, 1)
    pieces = -(-length // max(at_most, 1))
    return -(-length // pieces), pieces


def clock(dims: Sequence[Hashable]) -> str | None:
    """The dimension that counts frames, if any."""
    return next((d for d in (schema.TIME, schema.FRAME) if d in dims), None)


def layout(
    dims: Sequence[Hashable], block: Sequence[int], itemsize: int
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Chunks, and shards where several chunks are written together, for blocks of a result.

    A block is cut along time where there is one, else along its longest axis, until a chunk
    has :data:`CHUNK_BYTES` at most, and frames :data:`CHUNK_FRAMES`; of feature streams, which
    are read in windows, :data:`STREAM_BYTES` but no less than :data:`STREAM_FRAMES`. The last
    chunk may reach beyond the block by less than the number of chunks.
    """
    block = tuple(max(n, 1) for n in block)
    if not block:
        return (), None
    along = clock(dims)
    axis = block.index(max(block)) if along is None else dims.index(along)
    row = math.prod(block) // block[axis] * itemsize
    at_most = max(1, CHUNK_BYTES // row)
    if schema.Y in dims:
        at_most = min(at_most, CHUNK_FRAMES)
    elif along == schema.FRAME:
        at_most = min(at_most, max(STREAM_FRAMES, STREAM_BYTES // row))
    length, pieces = split(block[axis], at_most)
    chunks = (*block[:axis], length, *block[axis + 1 :])
    shards = (*block[:axis], length * pieces, *block[axis + 1 :])
    return chunks, shards if pieces > 1 else None


def _axes(subjects: Sequence[int | str], sessions: Sequence[str]) -> dict[str, Any]:
    ids = np.asarray(subjects) if all(isinstance(s, int) for s in subjects) else subjects
    return {schema.SUBJECT: ids, schema.SESSION: sessions, schema.AXIS: ["x", "y"]}


def _create(
    group: Any,
    v: schema.Variable,
    lengths: dict[str, int],
    frames: tuple[int, int],
    packed: bool,
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
