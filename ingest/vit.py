"""Embeddings of frames by a vision transformer, block by block, to be gone on with.

The model is a name or a local folder of ``transformers``; only weights as ``safetensors`` are
read, so nothing is unpickled. What was used stands in the attributes: the model's name and the
SHA-256 of its weights.
"""

import functools
import hashlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.errors import ConfigError, SchemaError, StoreError
from fhemb_xr.io import streams
from fhemb_xr.io.local import atomic_files, durable_files, locks
from fhemb_xr.io.store import save
from fhemb_xr.typing import F32
from ingest.streams import open_npy

WEIGHTS = "model.safetensors"
BLOCK_FRAMES = 256
_ONE = threading.Lock()
"""torch has threads of its own: one batch at a time in a process."""


def embed_vit(
    frames: xr.DataArray,
    model: str | Path,
    *,
    pooling: str = "cls",
    limits: tuple[float, float] | None = None,
    batch: int = 16,
) -> xr.DataArray:
    """Embed every frame by a vision transformer, lazily (extra ``learn``).

    Parameters
    ----------
    frames
        ``(…, y, x)`` of a video (uint8) or of a heatmap [°C]; NaN is background.
    model
        Name or local folder of a model of ``transformers``.
    pooling
        ``"cls"``: the first token of the last layer; ``"mean"``: the mean of the patches.
    limits
        Values that become black and white; by default 0 to 255 of uint8, 20 to 40 °C.
    batch
        Frames that go through the model together.

    Returns
    -------
    DataArray ``vit(…, embedding)``, float32; NaN where a frame has no value. It is not to be
    normalised: ``attrs["normalization"]`` is ``"none"``.

    Raises
    ------
    ConfigError
        There is no such model, or it is no vision transformer with ``safetensors``.
    SchemaError
        A frame is cut into chunks.
    ValueError
        Another pooling, or values whose limits are not known.

    Notes
    -----
    Memory: the model once in each process, and ``batch`` images with what the layers make of
    them. Tasks: one per chunk. Computes at call: none; the weights are hashed. The place of a
    frame in its batch, and so the chunks, change the last bits of a result and no more.

    References
    ----------
    Dosovitskiy et al. (2021), ICLR, arXiv:2010.11929.
    """
    about = described(model)
    if pooling not in ("cls", "mean"):
        raise ValueError(f"pooling is 'cls' or 'mean', found {pooling!r}")
    schema.require_dims(frames, schema.Y, schema.X)
    cut = [d for d in (schema.Y, schema.X) if len(frames.chunksizes.get(d, (1,))) > 1]
    if cut:
        raise SchemaError(f"frames are cut along {cut}: .chunk({{'y': -1, 'x': -1}}) mends it")
    ends = limits or _limits(frames)
    out: xr.DataArray = xr.apply_ufunc(
        _embedded,
        frames,
        input_core_dims=[[schema.Y, schema.X]],
        output_core_dims=[[schema.EMBEDDED]],
        kwargs={"model": str(model), "weights": about["weights_sha256"], "pooling": pooling,
                "limits": ends, "batch": batch},
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {schema.EMBEDDED: about["size"]}},
        keep_attrs=False,
    )  # fmt: skip
    attrs = {**schema.STREAMS[schema.VIT].attrs, schema.POLICY: "none", "pooling": pooling}
    attrs |= {k: v for k, v in about.items() if k != "size"}
    return out.rename(schema.VIT).assign_attrs(attrs)


def extract(
    frames: xr.DataArray,
    store: Path | str,
    model: str | Path,
    *,
    pooling: str = "cls",
    limits: tuple[float, float] | None = None,
    batch: int = 16,
    block_frames: int = BLOCK_FRAMES,
) -> xr.Dataset:
    """Embed a whole recording into a store; run it again to go on where it was stopped.

    Parameters
    ----------
    frames
        ``(time, y, x)``, as of :func:`ingest.video.open_video` or one person's heatmap.
    store
        Zarr store that does not exist yet.
    model, pooling, limits, batch
        As in :func:`embed_vit`.
    block_frames
        Frames between two points to go on from.

    Returns
    -------
    The stored streams, opened: ``vit(frame, embedding)``.

    Raises
    ------
    StoreError
        The store is there already; or one was begun with another model or other frames.
    SchemaError
        The frames have other dimensions.

    Notes
    -----
    Memory: a block of frames, and what :func:`embed_vit` takes. Computes at call: one per
    block. Blocks that are done wait in a folder beside the store until it is whole.
    """
    if set(frames.dims) != {schema.TIME, schema.Y, schema.X}:
        raise SchemaError(f"frames are (time, y, x) of one recording, found {frames.dims}")
    target = Path(store).expanduser().resolve()
    vit = embed_vit(frames, model, pooling=pooling, limits=limits, batch=batch)
    vit = vit.transpose(schema.TIME, schema.EMBEDDED)
    work = target.with_name(f".{target.name}.vit")
    spec = {"frames": list(frames.shape), "block": block_frames, "batch": batch,
            "limits": list(limits or _limits(frames)), "attrs": vit.attrs}  # fmt: skip
    with locks.locked(work):
        atomic_files.require_place(target, replace=False)
        _agree(work, spec, target.name)
        for start in range(0, vit.sizes[schema.TIME], block_frames):
            done = work / f"{start:010}.npy"
            if not done.exists():
                _keep(done, vit.isel(time=slice(start, start + block_frames)).values)
        ds = _gathered(work, vit, schema.sampling_rate(frames))
        save(ds, target)
        shutil.rmtree(work)
    opened = streams.open_streams(target)
    assert isinstance(opened, xr.Dataset)
    return opened


def _agree(work: Path, spec: dict[str, Any], name: str) -> None:
    """What was begun is gone on with only if it is the same."""
    text = json.dumps(spec, sort_keys=True)
    about = work / "spec.json"
    if not about.exists():
        work.mkdir(mode=0o700, exist_ok=True)
        _keep(about, text)
    elif about.read_text() != text:
        raise StoreError(
            f"{name!r} was begun with another model, other frames or other options: choose "
            f"another name, or remove the folder {work.name!r} beside it"
        )


def _keep(path: Path, content: Any) -> None:
    """A file that is whole or not there."""
    aside = path.with_name(f"{path.name}.partial")
    with aside.open("wb") as file:
        if isinstance(content, str):
            file.write(content.encode())
        else:
            np.save(file, content, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    aside.chmod(0o600)
    aside.replace(path)
    durable_files.sync_folder(path.parent)


def _gathered(work: Path, vit: xr.DataArray, rate_hz: float) -> xr.Dataset:
    parts = [open_npy(p).vit.variable for p in sorted(work.glob("*.npy"))]
    whole = xr.Variable.concat(parts, schema.FRAME)
    ds = streams.clocked(xr.Dataset({schema.VIT: whole}), rate_hz)
    ds[schema.VIT].attrs = dict(vit.attrs)
    seconds = np.asarray(vit[schema.TIME]) if schema.TIME in vit.coords else ds.time.values
    return ds.assign_coords({schema.TIME: (schema.FRAME, seconds, ds.time.attrs)})


def _limits(frames: xr.DataArray) -> tuple[float, float]:
    if frames.dtype == np.uint8:
        return 0.0, 255.0
    if frames.attrs.get("units") == "degC":
        return 20.0, 40.0
    raise ValueError(
        f"which values are black and white? {frames.dtype} frames without units need limits="
    )


def described(model: str | Path) -> dict[str, Any]:
    """Name of a model, SHA-256 of its weights, and numbers of its embedding.

    Raises
    ------
    ConfigError
        There is no such model, or it is no vision transformer with ``safetensors``.
    """
    from transformers import AutoConfig

    folder = Path(model).is_dir()
    local = folder or Path(model).is_absolute() or str(model).startswith((".", "~"))
    name = Path(model).name if local else str(model)  # a path is nobody's business
    try:
        config = AutoConfig.from_pretrained(str(model))
        weights = Path(model) / WEIGHTS if folder else _cached(str(model))
        size, _ = config.hidden_size, config.image_size
        digest = _sha256(weights, weights.stat().st_mtime_ns)
    except (OSError, ValueError, AttributeError, TypeError):
        raise ConfigError(
            f"{name!r} is no vision transformer with {WEIGHTS!r}, here or on the model hub: "
            "give the folder of one"
        ) from None
    return {"model": name, "weights_sha256": digest, "size": int(size)}


def _cached(model: str) -> Path:
    from transformers.utils import cached_file

    return Path(str(cached_file(model, WEIGHTS)))


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=1)
def _loaded(model: str, weights: str) -> tuple[Any, Any, Any]:
    """The model, and mean and deviation of its images; once in a process."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    network = AutoModel.from_pretrained(model, use_safetensors=True, dtype=torch.float32)
    network.eval()
    try:
        made = AutoImageProcessor.from_pretrained(model)
        mean, deviation = made.image_mean, made.image_std
    except (OSError, ValueError, AttributeError, ImportError):  # it comes without one
        mean = deviation = [0.5] * network.config.num_channels
    shape = (1, -1, 1, 1)
    return network, torch.tensor(mean).reshape(shape), torch.tensor(deviation).reshape(shape)


def _embedded(
    block: NDArray[Any],
    model: str,
    weights: str,
    pooling: str,
    limits: tuple[float, float],
    batch: int,
) -> F32:
    """``(..., y, x) -> (..., embedding)``, a batch at a time."""
    import torch

    flat = block.reshape(-1, *block.shape[-2:])
    with _ONE, torch.inference_mode():
        network, mean, deviation = _loaded(model, weights)
        out = np.full((len(flat), network.config.hidden_size), np.nan, np.float32)
        seen = np.flatnonzero(~np.isnan(flat).all((1, 2))) if flat.dtype.kind == "f" else None
        rows = np.arange(len(flat)) if seen is None else seen
        for start in range(0, len(rows), batch):
            own = rows[start : start + batch]
            images = _images(flat[own], limits, network.config, mean, deviation)
            tokens = network(pixel_values=images).last_hidden_state
            out[own] = (tokens[:, 0] if pooling == "cls" else tokens[:, 1:].mean(1)).numpy()
    return out.reshape(*block.shape[:-2], out.shape[-1])


def _images(
    frames: NDArray[Any], limits: tuple[float, float], config: Any, mean: Any, deviation: Any
) -> Any:
    """Frames as the model wants them: size, channels, mean and deviation."""
    import torch

    low, high = limits
    scaled = (frames.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    x = torch.from_numpy(np.clip(np.nan_to_num(scaled, nan=0.0), 0, 1))[:, None]
    size = config.image_size if isinstance(config.image_size, int) else tuple(config.image_size)
    resized = torch.nn.functional.interpolate(
        x, size, mode="bilinear", align_corners=False, antialias=True
    )
    return (resized.expand(-1, config.num_channels, -1, -1) - mean) / deviation
