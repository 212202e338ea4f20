"""Chunks of frames stored as differences: faces change slowly, so they take fewer bits.

The metadata name codecs of the registry, in this order: ``transpose`` (time last),
``numcodecs.delta``, ``transpose`` (back), then compression and checksum as elsewhere.
zarr-python reads such an array by these names. It cannot write one, because its ``delta`` gives
the next codec a flat array; :func:`write` therefore makes the differences itself.

Reading by :class:`Temperatures` leaves the first three codecs out: it takes the chunks as they
are stored, and sums, unpacks and masks them in one compiled sweep.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fhemb_xr.dask_internals import IndexingSupport
from fhemb_xr.io.packed import regions
from fhemb_xr.io.packed.packing import MISSING, OFFSET_C, SCALE_K
from fhemb_xr.io.packed.regions import Region
from fhemb_xr.kernels.frames import differences
from fhemb_xr.typing import F32

_ABSENT = 32767
"""What an absent chunk reads as; no stored chunk begins with it, as it is no temperature."""
_AT_ONCE = 2**26
"""Bytes of chunks that are read together."""


def filters(n_dims: int, time: int) -> list[dict[str, Any]]:
    """The codecs that make differences along the axis ``time``, for the metadata."""
    last = [*(i for i in range(n_dims) if i != time), time]
    back = np.argsort(last).tolist()
    return [
        {"name": "transpose", "configuration": {"order": last}},
        {"name": "numcodecs.delta", "configuration": {"dtype": "<i2"}},
        {"name": "transpose", "configuration": {"order": back}},
    ]


def fit(chunk: Sequence[int], time: int) -> bool:
    """Whether chunks of this shape can be stored so; frames of one row or column cannot.

    numcodecs would read these in another order, as they lie in memory like Fortran arrays.
    """
    return len([n for n in chunk[time + 1 :] if n > 1]) > 1


def axis(array: Any) -> int | None:
    """The axis of time of a Zarr array of differences; None for any other array."""
    if (
        array.metadata.zarr_format != 3
        or array.dtype != np.int16
        or array.fill_value != MISSING
    ):
        return None
    found = [{"name": c["name"], "configuration": _listed(c.get("configuration", {}))}
             for c in _codecs(array.metadata.to_dict())]  # fmt: skip
    if not found or found[0]["name"] != "transpose":
        return None
    time = int(found[0]["configuration"]["order"][-1])
    return time if found[:3] == filters(array.ndim, time) else None


def _listed(configuration: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in configuration.items()}


def _codecs(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The codecs of the chunks: in a shard, those inside of it."""
    codecs = list(metadata["codecs"])
    if [c["name"] for c in codecs] == ["sharding_indexed"]:
        return list(codecs[0]["configuration"]["codecs"])
    return codecs


def stored(array: Any) -> Any:
    """The differences as a Zarr array over the same chunks; its shape is whole chunks.

    It has the pipeline that is set when this is called.
    """
    import zarr

    meta = array.metadata.to_dict()
    rest = _codecs(meta)[3:]
    if meta["codecs"][0]["name"] == "sharding_indexed":
        (sharding,) = meta["codecs"]
        configuration = {**sharding["configuration"], "codecs": rest}
        rest = [{"name": "sharding_indexed", "configuration": configuration}]
    shape = [-(-n // c) * c for n, c in zip(array.shape, array.chunks, strict=True)]
    changed = meta | {"codecs": rest, "shape": shape, "fill_value": _ABSENT}
    inner = array.async_array
    made = type(inner)(metadata=changed, store_path=inner.store_path, config=inner.config)
    return zarr.Array(made)


def write(array: Any, region: Any, values: Any) -> None:
    """``array[region] = values`` for any Zarr array; a region of differences is whole chunks.

    Peak memory: 2 bytes per sample of a shard beyond those of zarr.

    Raises
    ------
    ValueError
        A region of differences begins or ends inside a chunk.
    """
    time = axis(array)
    if time is None:
        array[region] = values
        return
    spans = regions.spans(region, array.shape)
    whole = tuple(
        slice(s.start, -(-s.stop // c) * c) for s, c in zip(spans, array.chunks, strict=True)
    )
    ends = zip(spans, array.shape, array.chunks, strict=True)
    if not all(s.start % c == 0 and (s.stop % c == 0 or s.stop == n) for s, n, c in ends):
        raise ValueError(
            f"differences are written in whole chunks of {array.chunks}, found the region "
            f"{[(s.start, s.stop) for s in spans]}: the rest of a chunk would be lost"
        )
    coded = np.full([s.stop - s.start for s in whole], array.fill_value, np.int16)
    within = tuple(slice(0, s.stop - s.start) for s in spans)
    coded[within] = np.reshape(values, [s.stop - s.start for s in spans])
    for part in regions.pieces([slice(0, n) for n in coded.shape], array.chunks):
        chunk = coded[part]
        if (
            not array.async_array.config.write_empty_chunks
            and (chunk == array.fill_value).all()
        ):
            coded[part] = _ABSENT
            continue
        assert chunk.flat[0] != _ABSENT
        coded[part] = differences.differences(_flat(chunk, time)).reshape(chunk.shape)
    stored(array)[whole] = coded


class Temperatures:
    """An array of differences that is read as float32 temperatures.

    Parameters
    ----------
    array
        Zarr array for which :func:`axis` is not None.
    """

    dtype = np.dtype(np.float32)
    support = IndexingSupport.BASIC

    def __init__(self, array: Any) -> None:
        time = axis(array)
        assert time is not None
        self.array, self.time = array, time
        self.stored = stored(array)
        self.shape = tuple(array.shape)
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> F32:
        """Integers and slices; see :meth:`part`."""
        keys = key if isinstance(key, tuple) else (key,)
        spans, rest = regions.covered(keys, self.shape)
        found: F32 = self.part(spans)[rest]
        return found

    def part(self, spans: Region) -> F32:
        """The part of an array between bounds.

        Peak memory: 6 bytes per sample of the chunks that the part touches, or 2 bytes and
        the result if these are many.
        """
        out = np.empty([max(s.stop - s.start, 0) for s in spans], np.float32)
        if not out.size:
            return out
        chunks = self.array.chunks
        outer = [slice(s.start // c * c, -(-s.stop // c) * c)
                 for s, c in zip(spans, chunks, strict=True)]  # fmt: skip
        some = [*chunks[: self.time], self._together(outer), *chunks[self.time + 1 :]]
        for region in regions.pieces(outer, some):
            coded = self.stored[region]
            for part in regions.pieces(region, chunks):
                here = tuple(slice(p.start - r.start, p.stop - r.start)
                             for p, r in zip(part, region, strict=True))  # fmt: skip
                self._fill(out, spans, part, coded[here])
        return out

    def _together(self, outer: Sequence[slice]) -> int:
        """Number of frames that are read at once."""
        chunk = self.array.chunks
        n = max(1, _AT_ONCE // (2 * math.prod(chunk)))
        span = outer[self.time]
        return int(min(n * chunk[self.time], span.stop - span.start))

    def _fill(self, out: F32, spans: Region, part: Region, coded: Any) -> None:
        """Put the wanted part of one chunk into its place."""
        both = [slice(max(s.start, p.start), min(s.stop, p.stop))
                for s, p in zip(spans, part, strict=True)]  # fmt: skip
        place = tuple(slice(b.start - s.start, b.stop - s.start)
                      for b, s in zip(both, spans, strict=True))  # fmt: skip
        wanted = tuple(slice(b.start - p.start, b.stop - p.start)
                       for b, p in zip(both, part, strict=True))  # fmt: skip
        flat = _flat(coded, self.time)
        if flat[0, 0, 0] == _ABSENT and (flat == _ABSENT).all():
            out[place] = np.nan
            return
        # pixels between the first and the last wanted one are summed and unpacked
        n_rows = wanted[self.time].stop - wanted[self.time].start
        size = coded.shape[self.time + 1 :]
        inner = math.prod(size[1:])
        pixels = slice(wanted[self.time + 1].start * inner, wanted[self.time + 1].stop * inner)
        frame = (wanted[self.time + 1].stop - wanted[self.time + 1].start, *size[1:])
        shape = (*coded.shape[: self.time], n_rows, *frame)
        target = out[place]
        direct = target.shape == shape and target.flags.c_contiguous
        made = target if direct else np.empty(shape, np.float32)
        sweep = made.reshape(len(flat), n_rows, -1)
        differences.temperatures(
            flat, wanted[self.time], pixels, (SCALE_K, OFFSET_C, MISSING), sweep
        )
        if not direct:
            both_whole = (slice(None), slice(None))  # rows and lines are those wanted
            target[...] = made[(*wanted[: self.time], *both_whole, *wanted[self.time + 2 :])]


def reader(array: Any) -> Temperatures | None:
    """What reads the temperatures of a Zarr array of differences; None for another array."""
    return None if axis(array) is None else Temperatures(array)


def _flat(chunk: Any, time: int) -> Any:
    """A chunk as ``(leading, time, pixel)``."""
    n_lead = math.prod(chunk.shape[:time])
    return np.ascontiguousarray(chunk).reshape(n_lead, chunk.shape[time], -1)
