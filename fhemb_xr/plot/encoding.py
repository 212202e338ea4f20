"""Encoding models: how well each person is predicted, and by what of the stimulus when."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.encoding.request import STIMULUS
from fhemb_xr.plot import curves, figure_data, labels, theme
from fhemb_xr.typing import F64

_SHOWN, _NAMED = 6, 30
"""Features of a stimulus, and names of people, that have room."""


def encoding(result: xr.Dataset, *, alpha: float = 0.05, title: str | None = None) -> Any:
    """Correlation of prediction and series by person, and the weights by lag.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.encode`; one dimension of the series may have several entries,
        e.g. people.
    alpha
        People with a ``p`` of at most ``alpha`` get a filled dot, as all do without a null.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Layout: a dot per person, in grey the held-out stretches; then a row per
        feature of the stimulus with the weights by lag, in the colours of the people. Of more
        than six features, those with the largest weights are drawn. Above eight people the
        curves are grey under their median.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.encode``, or two dimensions of the series have more than
        one entry.
    ValueError
        If ``alpha`` is no share.

    Notes
    -----
    Memory: the result. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> music = xr.DataArray(rng.normal(size=600), dims="time", attrs={"sampling_rate": 5.0})
    >>> face = music.copy(data=np.roll(music, 10) + rng.normal(size=600))  # 2 s later
    >>> figure = fx.encode(face, music, (0, 4)).fhemb.plot.encoding()
    """
    needed = ("r", "r_fold", "weights")
    if absent := {*needed} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(absent)}, found {sorted(map(str, result))}: make it with fx.encode"
        )
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a share between 0 and 1, found {alpha!r}")
    names = [*needed, *(["p"] if "p" in result else [])]
    found = figure_data.loaded(result[names], "an encoding model")
    rows, texts = figure_data.rows(found, "an encoding model", "fold", schema.LAG, STIMULUS)
    values, n = rows["r"].values, len(texts)
    sure = rows["p"].values <= alpha if "p" in rows else np.isfinite(values)
    note = f"filled: p ≤ {alpha:g}" if "p" in rows else ""
    heading = title if title is not None else labels.title(
        "Encoding model", texts[0] if n == 1 else f"{n} series", note,
        "small dots: held-out stretches", columns=200,
    )  # fmt: skip
    if not np.isfinite(values).any():
        return theme.empty("no value: series or stimulus is missing", heading, "", "r")
    scores = _scores(values, rows["r_fold"].transpose("row", "fold").values, sure, texts)
    return curves.layout([scores, *_weights(rows, texts)], heading)


def _scores(values: F64, folds: F64, sure: Any, texts: list[str]) -> Any:
    """A dot per series, over the dots of its held-out stretches."""
    hv = theme.backends()
    n = len(texts)
    at = np.arange(n, dtype=np.float64)
    beside = at[:, None] + np.linspace(-0.15, 0.15, folds.shape[1])
    axes = ["place", "r"]
    grey = hv.Scatter((beside.ravel(), folds.ravel()), *axes)
    zero = hv.Curve([(-0.6, 0.0), (n - 0.4, 0.0)], *axes)
    drawn = [theme.stroke(zero, (0.8, 0.6), theme.QUIET)]
    drawn.append(theme.dots(grey, (3, 3), "#bfbfbf"))
    many = n > len(theme.CYCLE)
    groups = [(np.ones(n, bool), theme.LINE)] if many else [
        (at == i, theme.CYCLE[i]) for i in range(n)
    ]  # fmt: skip
    for which, colour in groups:  # of the colour of the curves below
        for filled in (True, False):
            held = which & (sure == filled)
            dots = hv.Scatter((at[held], values[held]), *axes)
            drawn.append(theme.styled(
                theme.dots(dots, (8, 20), colour),
                bokeh={"fill_color": colour if filled else "#ffffff"},
                mpl={"facecolors": colour if filled else "#ffffff", "edgecolors": colour},
            ))  # fmt: skip
    every = np.append(folds[np.isfinite(folds)], [0.0, *values[np.isfinite(values)]])
    low, high = figure_data.limits(every)
    room = 0.08 * (high - low)
    step = -(-n // _NAMED)
    short = [t.removeprefix(f"{schema.SUBJECT} ") for t in texts]
    return curves.frame(
        drawn,
        ("", "r of held-out"),
        xlim=(-0.6, n - 0.4),
        ylim=(low - room, high + room),
        xticks=[(float(i), short[i]) for i in range(0, n, step)],
    )


def _weights(rows: xr.Dataset, texts: list[str]) -> list[Any]:
    """A frame per feature of the stimulus."""
    weights = rows["weights"].transpose(STIMULUS, "row", schema.LAG)
    size = np.nan_to_num(np.abs(weights.values)).max(axis=(1, 2))
    shown = np.sort(np.argsort(-size, kind="stable")[:_SHOWN])
    lags = weights[schema.LAG].values.astype(np.float64)
    names = figure_data.ids(weights, STIMULUS) if STIMULUS in weights.coords else None
    left_out = (
        f"; {len(size) - len(shown)} features are left out" if len(shown) < len(size) else ""
    )
    return [
        curves.row(
            lags, weights.values[k], texts, (schema.LAG, f"weight_{k}"),
            "Weight" if names is None else f"Weight of\n{names[k]}",
            across=f"Lag [s]{left_out}" if k == shown[-1] else "",
        )
        for k in shown
    ]  # fmt: skip
