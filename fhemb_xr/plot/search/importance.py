"""What a part carries of the accuracy, over what it seems to carry by chance."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, theme

NEEDED = (
    "importance", "low", "high", "null_low", "null_high", "p_fwer", "score", "chance", "alone",
)  # fmt: skip
STAR = 0.05


def importance(result: xr.Dataset, *, title: str | None = None) -> Any:
    """Accuracy that is lost without each part, with intervals and the null.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.importance`.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay, a row for each part in the order of the data, the first on top: a
        dot at the accuracy lost, a line for the interval between people, grey for the middle
        of the null. A star after the name: p against the largest of all parts is .05 or less.
        In brackets: the accuracy of the part by itself.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.importance``.

    Notes
    -----
    Memory: the result. Computes at call: one, if lazy.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> x = fx.testing.audience(n_subjects=4, seconds=8).fhemb.embed(["mean", "std"])
    >>> spans = {"calm": [(0, 2), (4, 6)], "storm": [(2, 4), (6, 8)]}
    >>> out = fx.importance(x, spans, n_splits=2, n_permutations=0, seed=0)
    >>> figure = out.fhemb.plot.importance()
    """
    hv = theme.backends()
    if missing := [name for name in NEEDED if name not in result]:
        raise SchemaError(
            f"need {missing}, found {sorted(map(str, result))}: make it with fx.importance"
        )
    by = next(str(d) for d in result["importance"].dims if result.sizes[d] > 1)
    found = figure_data.alone(result[[*NEEDED]], "one importance", by)
    found = figure_data.loaded(found, "importance")
    found = found.isel({by: slice(None, None, -1)})
    rows = np.arange(found.sizes[by])
    heading = title if title is not None else _heading(found, by)
    axes = ("Accuracy lost without it", "")
    values = found["importance"].values
    if not np.isfinite(values).any():
        return theme.empty("no sample could be used", heading, *axes)
    zero = hv.Curve([(0.0, -0.6), (0.0, rows.size - 0.4)], "lost", "row")
    dots = hv.Scatter((values, rows), "lost", "row")
    drawn = [
        *_null(found, rows), theme.dashed(zero, (1.0, 0.7)), *_bars(found, rows),
        theme.dots(dots, (8, 22), theme.LINE),
    ]  # fmt: skip
    ends = np.concatenate([found[n].values for n in ("low", "high", "null_low", "null_high")])
    ends = np.concatenate([ends[np.isfinite(ends)], values[np.isfinite(values)], [0.0]])
    high = 0.8 + 0.22 * rows.size
    return theme.figure(
        drawn,
        heading,
        axes,
        px=(400, 24 * rows.size + 20),
        inches=(theme.COLUMN_IN + 1.5, high),
        aspect=3.0 / (high - 0.5),
        yticks=list(zip(rows.tolist(), _names(found, by), strict=True)),
        xlim=(ends.min() - 0.03, ends.max() + 0.03),
        ylim=(-0.6, rows.size - 0.4),
        show_legend=False,
    )


def _names(found: xr.Dataset, by: str) -> list[str]:
    """Name, star and accuracy by itself of every part."""
    texts = [str(v) for v in figure_data.ids(found, by)]
    if by == schema.BAND and "frequency_low" in found.coords:
        low, high = found["frequency_low"].values, found["frequency_high"].values
        texts = [f"{a:.2f}–{b:.2f} Hz" for a, b in zip(low, high, strict=True)]
    elif by == schema.TIME:
        texts = [f"{v:g} s" for v in found[by].values]
    stars = [" *" if p <= STAR else "" for p in found["p_fwer"].values]
    alone = [f" ({v:.2f})" for v in found["alone"].values]
    return [a + b + c for a, b, c in zip(texts, stars, alone, strict=True)]


def _heading(found: xr.Dataset, by: str) -> str:
    score = f"accuracy of all {float(found['score']):.2f}, chance {float(found['chance']):.2f}"
    note = "line: between people; grey: labels exchanged; (accuracy by itself)"
    return labels.title(f"Importance by {by}", score, below=note, columns=60)


def _null(found: xr.Dataset, rows: Any) -> list[Any]:
    hv = theme.backends()
    low, high = found["null_low"].values, found["null_high"].values
    if not np.isfinite(low).any():
        return []
    boxes = [(a, r - 0.36, b, r + 0.36) for a, b, r in zip(low, high, rows, strict=True)]
    grey = hv.Rectangles(boxes, kdims=["lost", "row", "to", "above"])
    return [theme.filled(grey, theme.MISSING)]


def _bars(found: xr.Dataset, rows: Any) -> list[Any]:
    hv = theme.backends()
    low, high = found["low"].values, found["high"].values
    ends = np.stack([low, rows, high, rows], axis=1)[np.isfinite(low)]
    bars = hv.Segments(ends, kdims=["lost", "row", "to", "same"])
    return [theme.stroke(bars, (1.6, 1.0), theme.LINE)]
