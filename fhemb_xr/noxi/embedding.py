"""Embeddings of a vision transformer, by the names of the scripts."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, SourceError
from fhemb_xr.noxi import files
from fhemb_xr.ops.streams.inspection import inspect
from fhemb_xr.typing import F32


class ViTFeatureExtractor:
    """Embeddings of frames and films by a vision transformer.

    Parameters
    ----------
    model_name
        Name or local folder of a model of ``transformers`` with ``safetensors``.
    device
        ``"cpu"``, or None.

    Notes
    -----
    ``ingest.vit.embed_vit`` does the same lazily, and ``ingest.vit.extract`` continues where it
    was stopped. Frames in colour are red, green, blue.
    """

    def __init__(
        self, model_name: str | Path = "google/vit-base-patch16-224", device: str | None = None
    ) -> None:
        if device not in (None, "cpu"):
            raise ValueError(
                f"embeddings are made on the CPU, found device={device!r}: leave it"
            )
        self.model_name, self.device = model_name, "cpu"
        self._embed = files.function("embed_vit")

    @property
    def embedding_dim(self) -> int:
        """Length of an embedding."""
        one = xr.DataArray(np.zeros((1, 1, 1), np.uint8), dims=("time", schema.Y, schema.X))
        return int(self._embed(one.chunk(), self.model_name).shape[-1])

    def extract_from_frames(self, frames: Any, use_cls_token: bool = True) -> F32:
        """Embeddings ``(T, D)`` of frames ``(T, H, W, 3)`` or, grey, ``(T, H, W)``.

        ``use_cls_token=False``: the mean over the patches.

        Raises
        ------
        SchemaError
            Frames of another shape.
        """
        values = np.asarray(frames)
        if values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[-1] != 3):
            raise SchemaError(f"frames are (T, H, W) or (T, H, W, 3), found {values.shape}")
        dims = ("time", schema.Y, schema.X, "channel")[: values.ndim]
        return self._extracted(xr.DataArray(values, dims=dims), use_cls_token)

    def extract_from_video(self, video_path: Path | str, use_cls_token: bool = True) -> F32:
        """Embeddings ``(T, D)`` of a film; a block of its frames is in memory at a time."""
        film = files.function("open_video")(video_path, gray=False)
        return self._extracted(film, use_cls_token)

    def _extracted(self, frames: xr.DataArray, use_cls_token: bool) -> F32:
        pooling = "cls" if use_cls_token else "mean"
        found = self._embed(frames, self.model_name, pooling=pooling)
        return np.asarray(found.transpose("time", ...).values, np.float32)


def inspect_vit_features(npy_path: Path | str) -> xr.Dataset:
    """Statistics of embeddings in a file ``(T, D)``: :func:`fhemb_xr.inspect` of them.

    ``mean``, ``std``, ``min``, ``max``, ``missing`` for each dimension, and ``likeness``, the
    mean cosine of neighbouring frames. A mean near 0 and a deviation near 1 over everything is
    no check: the last layer of every network has them, trained or not.

    Raises
    ------
    SourceError
        No such file, or it holds no array.
    SchemaError
        The array is not ``(T, D)``.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from fhemb_xr.noxi import inspect_vit_features
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.ones((9, 4), np.float32))
    ...     float(inspect_vit_features(f"{folder}/a.npy").likeness)
    1.0
    """
    path = Path(npy_path)
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no array of NumPy"
        raise SourceError(f"{path.name!r} cannot be read: {why}") from None
    if values.ndim != 2:
        raise SchemaError(f"{path.name!r} holds the shape {values.shape}, expected (T, D)")
    x = xr.DataArray(values, dims=(schema.FRAME, schema.EMBEDDED), name=schema.VIT)
    return inspect(x).compute()
