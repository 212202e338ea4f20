"""Learned classifiers by the original's names."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.legacy import logs
from fhemb_xr.legacy.config.settings import THERMO_SR
from fhemb_xr.legacy.scores import prepare_data
from fhemb_xr.ops.classification.one_split import prototype_accuracies
from fhemb_xr.ops.classification.segments import LABEL, SAMPLE
from fhemb_xr.ops.classification.shapelets import shapelets
from fhemb_xr.typing import F64

N_SHAPELETS, SHARE = 10, 0.1
"""Shapelets of a call, and their length as a share of the series."""
_log = logs.of("cutils")


def calc_prototype_accuracy(
    X0: Any,  # noqa: N803  (the original's names)
    X1: Any,  # noqa: N803
    normalize: Any = None,
    num_epochs: int = 10,
    lr: float = 0.001,
    opt_alg: str = "adamw",
    random_states: int = 1,
) -> list[float]:
    """Accuracies of class means in a learned space, one for each of ``random_states`` splits.

    Samples are ``(samples[, features], time)``: half is learnt from, a quarter chooses the
    epoch, a quarter is tested.
    """
    x, y = prepare_data(X0, X1)
    _log.debug("prototypes of %s samples, %s epochs", len(y), num_epochs)
    how: dict[str, Any] = {"n_epochs": num_epochs, "learning_rate": lr, "optimizer": opt_alg}
    return prototype_accuracies(x, y, random_states, scale=normalize, **how)


def calc_shapelet(
    X_train: Any,  # noqa: N803
    X_test: Any,  # noqa: N803
    y_train: Any,
) -> tuple[F64, F64]:
    """Distances of both parts to ten shapelets that are learnt from the first.

    Samples are ``(samples, time[, features])``, as ``split_scale_data`` gives them.
    """
    parts = [np.asarray(p, np.float64) for p in (X_train, X_test)]
    x = np.concatenate([p[..., None] if p.ndim == 2 else p for p in parts])
    n = len(parts[0])
    labels = np.concatenate(
        [np.asarray(y_train), np.repeat(np.asarray(y_train)[:1], len(x) - n)]
    )
    samples = xr.DataArray(
        x,
        dims=(SAMPLE, schema.TIME, schema.FEATURE),
        coords={LABEL: (SAMPLE, labels)},
        attrs={schema.SAMPLING_RATE: float(THERMO_SR)},
    )
    length = max(3, round(SHARE * x.shape[1]))
    train = xr.DataArray(np.arange(len(x)) < n, dims=SAMPLE)
    _log.debug("%s shapelets of %s frames from %s samples", N_SHAPELETS, length, n)
    out = shapelets(samples, N_SHAPELETS, length_s=length / THERMO_SR, train=train, seed=0)
    distance = out["distance"].transpose(SAMPLE, "shapelet").values
    return distance[:n], distance[n:]
