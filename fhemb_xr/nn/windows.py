"""Windows of feature streams as datasets of torch: any of them, or shuffled block by block."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.dask_internals import sync
from fhemb_xr.nn.frame_runs import runs
from fhemb_xr.typing import Ints

Window = dict[str, torch.Tensor]


class Windows(torch.utils.data.Dataset[Window]):
    """Windows of equal length, found by number; ``ds[i]`` is a tensor by variable.

    Parameters
    ----------
    recordings
        Name and streams along ``frame`` of each recording.
    variables
        Names, in the order of the tensors.
    length, stride
        Frames of a window, and from one to the next.
    missing
        Treatment of NaN in a window, see :func:`fhemb_xr.to_torch`.
    """

    def __init__(
        self,
        recordings: Sequence[tuple[Mapping[str, str], xr.Dataset]],
        variables: Sequence[str],
        length: int,
        stride: int,
        missing: str = "raise",
    ) -> None:
        self.variables, self.length, self.missing = tuple(variables), length, missing
        self.who = [dict(who) for who, _ in recordings]
        self._streams = [
            {n: ds[n].transpose(schema.FRAME, ...).variable for n in self.variables}
            for _, ds in recordings
        ]
        self._at_once = True
        self._frames = [_numbers(ds) for _, ds in recordings]
        own = [
            _rows(i, begin, end, length, stride)
            for i, (_, ds) in enumerate(recordings)
            for begin, end in runs(ds)
        ]
        self.index: Ints = np.concatenate([np.empty((0, 2), np.int64), *own])
        if missing == "skip":
            self.index = self._whole()

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> Window:
        recording, start = self.index[i].tolist()
        window = self.read(recording, start, start + self.length)
        return self.without_nan(window, recording, start)

    def where(self, i: int) -> dict[str, Any]:
        """Session, person and first frame of a window."""
        recording, start = self.index[i].tolist()
        return {**self.who[recording], schema.FRAME: self._frame(recording, start)}

    def _frame(self, recording: int, place: int) -> int:
        """The number of a frame, which is not its place where frames are left out."""
        return int(self._frames[recording][place])

    def without_nan(self, window: Window, recording: int, start: int) -> Window:
        """A window in which NaN are refused, filled or marked, as ``missing`` says.

        Raises
        ------
        ValueError
            If a value is missing, and ``missing`` is ``"raise"``.
        """
        out: Window = {}
        for name, values in window.items():
            lost = _lost(values)
            if self.missing == "mask":
                out[f"{name}_missing"] = (
                    torch.isnan(values) if lost is not None else _none(values)
                )
            if lost is None or not bool(lost.any()):
                out[name] = values
                continue
            if self.missing == "raise":
                who = ", ".join(self.who[recording].values())
                frame = self._frame(recording, start + int(lost.nonzero()[0]))
                raise ValueError(
                    f"{name!r} is missing in {int(lost.sum())} of {len(lost)} frames of a "
                    f"window of {who}, first in frame {frame}: choose missing='skip', "
                    "'fill' or 'mask'"
                )
            out[name] = filled(values) if self.missing == "fill" else torch.nan_to_num(values)
        return out

    def _whole(self) -> Ints:
        """Rows of the windows without NaN; reads everything once, recording by recording."""
        kept = []
        for i in range(len(self.who)):
            rows = self.index[self.index[:, 0] == i]
            for first in range(0, len(rows), BLOCK):
                some = rows[first : first + BLOCK]
                low = int(some[0, 1])
                read = self.read(i, low, int(some[-1, 1]) + self.length)
                n_lost = np.zeros(1 + int(some[-1, 1]) + self.length - low, np.int64)
                for frames in map(_lost, read.values()):
                    n_lost[1:] += 0 if frames is None else frames.numpy()
                total = np.cumsum(n_lost)
                begin = some[:, 1] - low
                kept.append(some[total[begin + self.length] == total[begin]])
        return np.concatenate(kept) if kept else self.index

    def read(self, recording: int, start: int, stop: int) -> Window:
        """All variables of some frames of one recording."""
        span = {schema.FRAME: slice(start, stop)}
        each = [var.isel(span) for var in self._streams[recording].values()]
        if self._at_once:
            self._at_once = _loaded(each)
        return dict(zip(self.variables, map(_tensor, each), strict=True))


def _rows(recording: int, begin: int, end: int, length: int, stride: int) -> Ints:
    """The recording and the first place of every window of one run."""
    starts = np.arange(begin, end - length + 1, stride, dtype=np.int64)
    return np.stack([np.full_like(starts, recording), starts], axis=1)


def _numbers(ds: xr.Dataset) -> Ints:
    """Number of every frame; its place where the frames have none."""
    if schema.FRAME not in ds.indexes:
        return np.arange(ds.sizes[schema.FRAME])
    return np.asarray(ds.indexes[schema.FRAME], dtype=np.int64)


BLOCK = 64
"""Windows that are looked through together."""


def _lost(values: torch.Tensor) -> torch.Tensor | None:
    """Frames with a NaN; None of what cannot be NaN."""
    if not values.is_floating_point():
        return None
    return torch.isnan(values).reshape(len(values), -1).any(dim=1)


def _none(values: torch.Tensor) -> torch.Tensor:
    return torch.zeros(values.shape, dtype=torch.bool)


def filled(values: torch.Tensor) -> torch.Tensor:
    """Each missing value as it was last, at the beginning as it is first; 0 without any."""
    there = ~torch.isnan(values)
    number = torch.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1)).expand_as(values)
    last = torch.where(there, number, -1).cummax(dim=0).values
    first = there.to(torch.int8).argmax(dim=0, keepdim=True).expand_as(last)
    return torch.nan_to_num(values.gather(0, torch.where(last < 0, first, last)))


def _loaded(each: Sequence[xr.Variable]) -> bool:
    """Load together those variables that Zarr can; whether there is any.

    A read of a window by itself is mostly waiting for Zarr's thread: once is enough for all.
    """

    async def load() -> list[Any]:
        loads = (var.load_async() for var in each)
        return await asyncio.gather(*loads, return_exceptions=True)

    if any(var.chunks for var in each):
        return False
    failed = [e for e in sync(load()) if isinstance(e, BaseException)]
    for error in failed:
        if not isinstance(error, NotImplementedError):  # of HDF5, or of chosen landmarks
            raise error
    return len(failed) < len(each)


def _tensor(var: xr.Variable) -> torch.Tensor:
    data: Any = var.data if var.chunks else var.values
    if var.chunks:  # here and now: this may be one of many processes
        data = data.compute(scheduler="synchronous")
    array = np.ascontiguousarray(data)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


class ShuffledBlocks(torch.utils.data.IterableDataset[Window]):
    """Every window once an epoch, in an order that reads whole blocks.

    Blocks of neighbouring windows are read in random order, a pool of them at a time, and the
    windows of a pool are given in random order. Worker processes share the blocks.

    Parameters
    ----------
    windows
        Dataset that is shuffled.
    block
        Windows of a block, read together.
    pool
        Blocks that are shuffled together.
    seed
        Same seed and epoch, same order, for one number of workers.
    """

    def __init__(self, windows: Windows, block: int, pool: int, seed: int) -> None:
        self.windows, self.block, self.pool, self.seed = windows, block, pool, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.windows)

    def set_epoch(self, epoch: int) -> None:
        """Another order for another epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Window]:
        mine = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, self.epoch])
        blocks = self._blocks()
        order = rng.permutation(len(blocks))
        if mine is not None:
            order = order[mine.id :: mine.num_workers]
            rng = np.random.default_rng([self.seed, self.epoch, mine.id])
        for at in range(0, len(order), self.pool):
            held: list[Window] = []
            for i in order[at : at + self.pool]:
                held += self._read(blocks[i])
            for i in rng.permutation(len(held)):
                yield held[i]

    def _blocks(self) -> list[Ints]:
        """Rows of neighbouring windows of one recording."""
        index = self.windows.index
        cuts = np.flatnonzero(np.diff(index[:, 0])) + 1
        parts = np.split(index, cuts)
        return [p[i : i + self.block] for p in parts for i in range(0, len(p), self.block)]

    def _read(self, block: Ints) -> list[Window]:
        recording, first = block[0].tolist()
        n = self.windows.length
        whole = self.windows.read(recording, first, int(block[-1, 1]) + n)
        starts = (block[:, 1] - first).tolist()
        # copies: a view would keep the whole block as long as its last window
        return [
            self.windows.without_nan(
                {k: v[a : a + n].clone() for k, v in whole.items()}, recording, first + a
            )
            for a in starts
        ]
