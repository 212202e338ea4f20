"""Windows of feature streams for training."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import EmptySelectionError
from fhemb_xr.nn.frame_runs import runs
from fhemb_xr.ops.checks import require_choice, require_count, require_flag, unknown_name
from fhemb_xr.ops.option_tables import WINDOWS
from fhemb_xr.ops.streams.splits import Streams, recordings
from fhemb_xr.ops.units import require_one_scale

MISSING = ("raise", "skip", "fill", "mask")


def to_torch(
    streams: Streams,
    length: int,
    stride: int | None = None,
    variables: Sequence[str] | None = None,
    *,
    part: str | None = None,
    missing: str = "raise",
    shuffle: bool = False,
    block: int = 16,
    pool: int = 32,
    seed: int = 0,
) -> Any:
    """Windows of streams as a dataset of torch: by number, or shuffled block by block.

    Parameters
    ----------
    streams
        Streams of :func:`open_streams`; quickest with ``chunks=None`` and the extra ``fast``.
    length
        Frames of a window. A window never lies across a gap: where the numbers or the moments
        of the frames jump, another run of windows begins.
    stride
        Frames from one window to the next; by default ``length``, so that none overlap.
    variables
        Streams and labels, everything along ``frame`` by default. They are cut at the same
        frames: a label cannot belong to another window.
    part
        Only recordings whose ``split`` is this; None: all.
    missing
        Treatment of windows with a missing value (NaN), as of a lost face. ``"raise"``: an
        error where such a window is read, so that no NaN reaches a loss. ``"skip"``: such
        windows are left out. ``"fill"``: a missing value is the last one before it in the
        window, at its beginning the first one after; 0 without any. ``"mask"``: a missing
        value is 0, and ``<variable>_missing`` is True there.
    shuffle
        An iterable in random order instead, which reads blocks: many times faster from disk
        than windows in random order.
    block, pool
        Windows read together, and blocks shuffled together.
    seed
        Random seed of the order; ``set_epoch(n)`` gives another.

    Returns
    -------
    object
        :class:`fhemb_xr.nn.windows.Windows`, map-style; or :class:`~fhemb_xr.nn.windows
        .ShuffledBlocks`. Each window is a dict of tensors ``(length, …)`` by variable, in the
        dtype of the stream. Both are made for :class:`torch.utils.data.DataLoader` with any
        number of workers; ``multiprocessing_context="forkserver"`` lets them use ``zarrs``.

    Raises
    ------
    UnknownNameError
        No such variable, part or treatment.
    SchemaError
        Recordings have a stream in several units, or normalised in several ways.
    EmptySelectionError
        No recording is as long as a window.
    ValueError
        A length or stride that is no whole number from 1 on; where a window is read: a missing
        value with ``missing="raise"``.

    Notes
    -----
    Memory: a window; shuffled, ``pool`` blocks of ``block`` windows in each worker. Computes at
    call: none, but ``missing="skip"`` reads all streams once; each read is one, in the process
    that reads.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> windows = fx.to_torch(fx.testing.streams(n_frames=250), 100, 50, ["face", "aus"])
    >>> len(windows), tuple(windows[0]["face"].shape), windows.where(5)
    (16, (100, 68, 2), {'session': '001', 'person': 'novice', 'frame': 50})
    """
    missing = require_choice("treatment of missing values", missing, MISSING)
    shuffle = require_flag("shuffle", shuffle)
    WINDOWS.require_used(shuffle, {"block": block, "pool": pool})
    length, block = require_count("length", length), require_count("block", block)
    stride = length if stride is None else require_count("stride", stride)
    pool = require_count("pool", pool)
    found = [(who, ds) for who, ds in recordings(streams) if _in_part(ds, part)]
    if not found:
        labels = {str(ds.coords[schema.SPLIT].item()) for _, ds in recordings(streams)
                  if schema.SPLIT in ds.coords}  # fmt: skip
        raise unknown_name("recording is in the part", part, sorted(labels))
    names = [str(n) for n, v in found[0][1].data_vars.items() if schema.FRAME in v.dims]
    chosen = names if variables is None else list(variables)
    for name in chosen:
        if name not in names:
            raise unknown_name("stream", name, names)
    for name in chosen:
        require_one_scale([ds[name] for _, ds in found if name in ds.data_vars], name)
    longest = max((end - begin for _, ds in found for begin, end in runs(ds)), default=0)
    if longest < length:
        raise EmptySelectionError(
            f"no window of {length} frames: the longest recording without a gap has {longest}"
        )
    from fhemb_xr.nn.windows import ShuffledBlocks, Windows

    windows = Windows(found, chosen, length, stride, missing)
    if not len(windows):
        raise EmptySelectionError(
            f"every window of {length} frames misses a value: choose missing='fill' or 'mask'"
        )
    return ShuffledBlocks(windows, block, pool, seed) if shuffle else windows


def _in_part(ds: xr.Dataset, part: str | None) -> bool:
    return part is None or (
        schema.SPLIT in ds.coords and str(ds.coords[schema.SPLIT].item()) == part
    )
