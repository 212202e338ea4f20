"""Loading a vision transformer, and running it on a block of frames."""

import functools
import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import ConfigError
from fhemb_xr.typing import F32

WEIGHTS = "model.safetensors"
_ONE = threading.Lock()
"""Lock: torch has its own threads, so a process computes one batch at a time."""


def described(model: str | Path) -> dict[str, Any]:
    """Name of a model, SHA-256 of its weights, and length of its embedding.

    Raises
    ------
    ConfigError
        There is no such model, or it is no vision transformer with ``safetensors``.
    """
    from transformers import AutoConfig

    folder = Path(model).is_dir()
    local = folder or Path(model).is_absolute() or str(model).startswith((".", "~"))
    name = Path(model).name if local else str(model)  # a path must not reach the attributes
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
    """The model, and mean and standard deviation of its images; loaded once per process."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    network = AutoModel.from_pretrained(model, use_safetensors=True, dtype=torch.float32)
    network.eval()
    try:
        processor = AutoImageProcessor.from_pretrained(model)
        mean, deviation = processor.image_mean, processor.image_std
    except (OSError, ValueError, AttributeError, ImportError):  # the model has no processor
        mean = deviation = [0.5] * network.config.num_channels
    shape = (1, -1, 1, 1)
    return network, torch.tensor(mean).reshape(shape), torch.tensor(deviation).reshape(shape)


def embedded(
    block: NDArray[Any],
    model: str,
    weights: str,
    pooling: str,
    limits: tuple[float, float],
    batch: int,
    colour: bool = False,
) -> F32:
    """Embed one block, batch by batch: ``(..., y, x[, channel]) -> (..., embedding)``."""
    import torch

    own = 3 if colour else 2
    flat = block.reshape(-1, *block.shape[-own:])
    with _ONE, torch.inference_mode():
        network, mean, deviation = _loaded(model, weights)
        out = np.full((len(flat), network.config.hidden_size), np.nan, np.float32)
        own_axes = tuple(range(1, flat.ndim))
        missing = np.isnan(flat).all(own_axes) if flat.dtype.kind == "f" else None
        seen = None if missing is None else np.flatnonzero(~missing)
        rows = np.arange(len(flat)) if seen is None else seen
        for start in range(0, len(rows), batch):
            places = rows[start : start + batch]
            images = _images(flat[places], limits, network.config, mean, deviation)
            tokens = network(pixel_values=images).last_hidden_state
            pooled = tokens[:, 0] if pooling == "cls" else tokens[:, 1:].mean(1)
            out[places] = pooled.numpy()
    return out.reshape(*block.shape[:-own], out.shape[-1])


def _images(
    frames: NDArray[Any], limits: tuple[float, float], config: Any, mean: Any, deviation: Any
) -> Any:
    """Frames with the size, channels, mean and deviation that the model needs."""
    import torch

    low, high = limits
    scaled = (frames.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    x = torch.from_numpy(np.clip(np.nan_to_num(scaled, nan=0.0), 0, 1))
    x = x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2)
    size = config.image_size if isinstance(config.image_size, int) else tuple(config.image_size)
    resized = torch.nn.functional.interpolate(
        x, size, mode="bilinear", align_corners=False, antialias=True
    )
    return (resized.expand(-1, config.num_channels, -1, -1) - mean) / deviation
