"""The layout of a recording on disk: chunks, shards, codecs, packing.

The format is Zarr v3. A *chunk* is decompressed as a whole. A *shard* is written as a whole:
it is one file and the unit of resuming. The last codec of every array is crc32c; without it
93 % of flipped bits are not noticed. Heatmaps are packed to 16 bits in steps of 0.01 K around
75 °C. This spans -252.67 to 402.67 °C with an error of at most 5 mK, a sixth of the sensor's
noise.

A chunk has 1000 frames and a shard 5000: longer chunks make whole recordings faster to read,
but a minute or a frame much slower. Blosc compresses blocks of 1 MiB, whose planes of bits are
longer than those of its own 64 KiB. ``docs/layout.md`` has the measurements, also of the two
encodings. The metadata of a store say how it was compressed: older stores are read as before.
"""

import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr import schema
from fhemb_xr.io.packed import differences
from fhemb_xr.io.packed.packing import LIMITS as LIMITS
from fhemb_xr.io.packed.packing import MISSING as MISSING
from fhemb_xr.io.packed.packing import OFFSET_C as OFFSET_C
from fhemb_xr.io.packed.packing import PACKING as PACKING
from fhemb_xr.io.packed.packing import SCALE_K as SCALE_K
from fhemb_xr.io.packed.packing import pack as pack
from fhemb_xr.io.packed.packing import unpack as unpack
from fhemb_xr.typing import F32

STATUS, WRITING, COMPLETE = "fhemb_status", "writing", "complete"
ENCODINGS = FAST, DENSE = "fast", "dense"
"""How a packed heatmap is stored: as it is, or as differences from frame to frame."""
CHUNK_FRAMES, SHARD_FRAMES = 1000, 5000
BLOCK_BYTES = 2**20
"""Block that Blosc shuffles and compresses at once; its own default is 16 to 128 KiB."""
CHUNK_BYTES = 2**25
"""Largest chunk of a result: a reader must hold it in memory, and codecs fail at 2 GiB."""
STREAM_FRAMES, STREAM_BYTES = 100, 2**18
"""A chunk of a feature stream: near the window that training reads."""


def compressors(dtype: Any) -> list[Any]:
    """Codecs of an array: lossless compression, then a checksum."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    kind = np.dtype(dtype)
    if kind.kind not in "iufbcmM":
        return [Crc32cCodec()]  # Zarr encodes text itself
    # the upper bits of packed numbers are equal: bitshuffle puts them together
    shuffle: Any = "bitshuffle" if kind.kind == "i" and kind.itemsize <= 4 else "shuffle"
    blosc = BloscCodec(
        cname="zstd",
        clevel=1,
        shuffle=shuffle,
        typesize=kind.itemsize,
        blocksize=BLOCK_BYTES,
    )
    return [blosc, Crc32cCodec()]


def filters(name: str | None, dims: Sequence[Hashable], chunks: Sequence[int]) -> Any:
    """Codecs of a packed heatmap before its compression; none for another array (None)."""
    if name != DENSE:
        return ()
    time = list(dims).index(schema.TIME)
    fits = differences.fit(chunks, time)
    return differences.filters(len(chunks), time) if fits else ()


def known(name: str) -> str:
    """The name of an encoding.

    Raises
    ------
    ValueError
        There is no such encoding.
    """
    if name not in ENCODINGS:
        raise ValueError(
            f"encoding is one of {', '.join(map(repr, ENCODINGS))}, found {name!r}"
        )
    return name


def resample(frames: F32, shape: tuple[int, ...]) -> F32:
    """Frames on a grid; a pixel is the mean of its area: ``(t, y, x) -> (t, ...)``."""
    from fhemb_xr.kernels.frames import resizing

    n, *box = frames.shape
    height, width = (np.full(n, side) for side in box)
    resized: F32 = resizing.resize(frames, height, width, (shape[0], shape[1]), "area")
    return resized


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
    encoding: str = FAST,
) -> Any:
    """Create an empty recording with all its metadata, marked as being written.

    Parameters
    ----------
    path
        Folder that does not exist yet.
    subjects, sessions, n_frames, shape
        Labels and sizes of the cube; ``shape`` is rows and columns.
    sampling_rate, title, threshold
        Attributes: Hz, text, °C.
    float32
        Whether to store temperatures unpacked.
    resized
        Whether the frames are resampled to the grid; ``height`` and ``width`` are then not
        boxes on the grid.
    chunk_frames, shard_frames
        Frames of a chunk and of a shard; a shard is rounded up to equal chunks.
    encoding
        Name of :data:`ENCODINGS`.

    Returns
    -------
    zarr.Group
        The :class:`zarr.Group`. The caller sets ``frame`` and ``time`` with :func:`set_axes`.
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
        packed = v.name == schema.HEATMAP and not float32
        _create(group, v, lengths, (chunk, shard), encoding if packed else None)
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
    """Write frame numbers, seconds, and the length of each session ``[start, stop)``."""
    start, stop = min(a for a, _ in spans), max(b for _, b in spans)
    frame = np.arange(start, stop, dtype=np.int64)
    group[schema.FRAME][:] = frame
    group[schema.TIME][:] = frame / rate_hz
    n_time = group[schema.N_TIME]
    n_time[:] = np.broadcast_to([b - start for _, b in spans], n_time.shape)


def split(length: int, at_most: int) -> tuple[int, int]:
    """Length and number of equal pieces that cover ``length``, none above ``at_most``.

    A shard must be a whole number of chunks. A divisor of its length does not serve: it would
    be 1 for a prime length.
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
    """Shapes of chunks and shards for blocks of a result; no shards where one chunk suffices.

    A block is cut along time, or along its longest axis if there is no time. Limits of a chunk:

    ================ ==================================================================
    result           at most
    ================ ==================================================================
    any              :data:`CHUNK_BYTES`
    frames           :data:`CHUNK_FRAMES` frames
    feature streams  the larger of :data:`STREAM_FRAMES` frames and :data:`STREAM_BYTES`
    ================ ==================================================================

    The last chunk may exceed the block by fewer frames than there are chunks.
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
    packed: str | None,
) -> None:
    size = tuple(lengths[d] for d in v.dims)
    single = {schema.SUBJECT: 1, schema.SESSION: 1}

    def cut(n: int) -> tuple[int, ...]:
        if schema.TIME not in v.dims:
            return tuple(max(s, 1) for s in size)
        return tuple({**lengths, **single, schema.TIME: n}[d] for d in v.dims)

    dtype = "int16" if packed else v.dtype
    missing: Any = MISSING if packed else (np.nan if v.dtype == "float32" else 0)
    heat = v.name == schema.HEATMAP
    chunks = cut(frames[0] if heat else frames[1])
    group.create_array(
        v.name,
        shape=size,
        chunks=chunks,
        shards=cut(frames[1]) if heat else None,
        dtype=dtype,
        fill_value=missing,
        filters=filters(packed, v.dims, chunks),
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
