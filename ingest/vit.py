"""Embeddings of frames by a vision transformer, block by block, with resuming.

The model is a name or a local folder of ``transformers``. Only ``safetensors`` weights are
read, so nothing is unpickled. The attributes of a result hold the name of the model and the
SHA-256 of its weights.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io import streams
from fhemb_xr.io.local import atomic_files, locks, systems
from fhemb_xr.io.store import save
from ingest import vit_model
from ingest.streams import open_npy
from ingest.vit_model import described as described

BLOCK_FRAMES = 256
CHANNEL = "channel"


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
        Frames ``(…, y, x)`` of a video (uint8) or of a heatmap [°C]; NaN is background. Or in
        red, green and blue, ``(…, y, x, channel)``, as ``open_video(path, gray=False)`` gives.
    model
        Name or local folder of a model of ``transformers``.
    pooling
        ``"cls"``: the first token of the last layer; ``"mean"``: the mean of the patches.
    limits
        Values that become black and white; by default 0 and 255 for uint8, 20 and 40 for °C.
    batch
        Number of frames that go through the model together.

    Returns
    -------
    DataArray
        DataArray ``vit(…, embedding)``, float32; NaN for frames without values. Embeddings must
        not be normalised: ``attrs["normalization"]`` is ``"none"``.

    Raises
    ------
    ConfigError
        There is no such model, or it is no vision transformer with ``safetensors``.
    SchemaError
        A frame is cut into chunks.
    ValueError
        The pooling is unknown, or limits are needed and not given.

    Notes
    -----
    Memory: the model, once per process + ``batch`` images and their activations in the layers.
    Tasks: one per chunk. Computes at call: none; only the weights are hashed. Other chunks put
    a frame at another place in its batch, which changes the last bits of the result only.

    References
    ----------
    - Dosovitskiy et al. (2021), ICLR, arXiv:2010.11929.
    """
    about = described(model)
    if pooling not in ("cls", "mean"):
        raise ValueError(f"pooling is 'cls' or 'mean', found {pooling!r}")
    schema.require_dims(frames, schema.Y, schema.X)
    cut = [d for d in (schema.Y, schema.X, CHANNEL) if len(frames.chunksizes.get(d, (1,))) > 1]
    if cut:
        raise SchemaError(f"frames are cut along {cut}: use .chunk({{'y': -1, 'x': -1}})")
    ends = limits or _limits(frames)
    colour = [CHANNEL] if CHANNEL in frames.dims else []
    if colour and frames.sizes[CHANNEL] != 3:
        raise SchemaError(
            f"colours are red, green, blue, found {frames.sizes[CHANNEL]} channels"
        )
    out: xr.DataArray = xr.apply_ufunc(
        vit_model.embedded,
        frames,
        input_core_dims=[[schema.Y, schema.X, *colour]],
        output_core_dims=[[schema.EMBEDDED]],
        kwargs={"model": str(model), "weights": about["weights_sha256"], "pooling": pooling,
                "limits": ends, "batch": batch, "colour": bool(colour)},
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
    """Embed a whole recording into a store; run it again to continue after a stop.

    Parameters
    ----------
    frames
        Frames ``(time, y, x)``, from :func:`ingest.video.open_video` or one person's heatmap.
    store
        Zarr store that does not exist yet.
    model, pooling, limits, batch
        The same as for :func:`embed_vit`.
    block_frames
        Number of frames in a block; a stopped run continues after its last finished block.

    Returns
    -------
    Dataset
        The stored streams, opened: ``vit(frame, embedding)``.

    Raises
    ------
    StoreError
        The store exists, or it was begun with another model, other frames or other options.
    SchemaError
        The frames have other dimensions.

    Notes
    -----
    Memory: a block of frames + the memory of :func:`embed_vit`. Computes at call: one per
    block. Finished blocks stay in a folder beside the store until the store is complete.
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
    """Refuse to continue work that was begun with other options."""
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
    """Write a file that appears whole, or not at all."""
    aside = path.with_name(f"{path.name}.partial")
    with aside.open("wb") as file:
        if isinstance(content, str):
            file.write(content.encode())
        else:
            np.save(file, content, allow_pickle=False)
        file.flush()
        systems.sync(file.fileno())
    aside.chmod(0o600)
    systems.replace(aside, path)
    systems.sync_folder(path.parent)


def _gathered(work: Path, vit: xr.DataArray, rate_hz: float) -> xr.Dataset:
    parts = [open_npy(p, rate_hz=rate_hz).vit.variable for p in sorted(work.glob("*.npy"))]
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
        f"{frames.dtype} frames without units need limits=: the values of black and white"
    )
