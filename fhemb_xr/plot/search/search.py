"""Which specs of a search tell segments apart, over what a search finds by chance."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.checks import require_count
from fhemb_xr.plot import figure_data, labels, theme

NEEDED = (
    "score", "p_fwer", "chosen_share", "nested", "null", "chance", "p", "p_nested",
    "n_used", "n_subjects",
)  # fmt: skip
STAR = 0.05


def search(result: xr.Dataset, *, n: int = 12, title: str | None = None) -> Any:
    """Scores of the best specs, over the best score of a search when labels mean nothing.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.search`.
    n
        Number of specs, the best on top.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay, a row for each spec: a small dot at its score, and a large one
        where folds have chosen it, the larger the more of them. Grey: the middle 90 % of the
        null of the best score. A thick line at the nested score, a dashed one at chance. A star
        after the name: p against the best of every permutation is .05 or less.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.search``.

    Notes
    -----
    Memory: the result. Computes at call: one, if lazy.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=6, seconds=16)
    >>> spans = {
    ...     "calm": [(0, 2), (4, 6), (8, 10), (12, 14)],
    ...     "storm": [(2, 4), (6, 8), (10, 12), (14, 16)],
    ... }
    >>> grid = {"names": ["mean", "std"], "wavelet": "db2", "level": 2, "bands": "each"}
    >>> out = fx.search(ds, grid, spans, n_splits=3, n_inner=2, n_permutations=9, seed=0)
    >>> figure = out.fhemb.plot.search()
    """
    hv = theme.backends()
    if missing := [name for name in NEEDED if name not in result]:
        raise SchemaError(
            f"need {missing}, found {sorted(map(str, result))}: make it with fx.search"
        )
    found = figure_data.alone(result[[*NEEDED]], "one search", "spec", "permutation")
    found = figure_data.loaded(found, "a search")
    order = np.argsort(-found["score"].values, kind="stable")[: require_count("n", n)]
    found = found.isel(spec=order[::-1])
    rows = np.arange(found.sizes["spec"])
    heading = title if title is not None else _heading(found, result.sizes["spec"])
    axes = (_axis(result), "")
    if not np.isfinite(found["score"].values).any():
        return theme.empty("no sample could be used", heading, *axes)
    drawn = [*_null(found, rows.size), *_lines(found, rows.size)]
    score, share = found["score"].values, found["chosen_share"].values
    for some, sizes in ((share > 0, (13, 70)), (share > 0.5, (18, 130))):
        points = hv.Scatter((score[some], rows[some]), "score", "row")
        drawn.append(theme.dots(points, sizes, theme.CYCLE[1]))
    drawn.append(theme.dots(hv.Scatter((score, rows), "score", "row"), (6, 14), theme.LINE))
    names = [
        f"{name} *" if p <= STAR else str(name)
        for name, p in zip(found["spec"].values, found["p_fwer"].values, strict=True)
    ]
    high = 0.8 + 0.2 * rows.size
    return theme.figure(
        drawn,
        heading,
        axes,
        px=(420, 24 * rows.size + 20),
        inches=(theme.FULL_IN, high),
        aspect=3.0 / (high - 0.5),
        yticks=list(zip(rows.tolist(), names, strict=True)),
        xlim=(0, 1.02),
        ylim=(-0.6, rows.size - 0.4),
        show_legend=False,
    )


def _axis(result: xr.Dataset) -> str:
    if result.attrs.get("score") == "auc":
        return "Area under the ROC curve, tested people and segments"
    return "Accuracy, tested people and segments"


def _heading(found: xr.Dataset, n_specs: int) -> str:
    who = f"{int(found['n_used'])} samples of {int(found['n_subjects'])} people"
    nested, p = float(found["nested"]), float(found["p"])
    parts = [f"thick line: nested {nested:.2f}"]
    if np.isfinite(p):
        parts += [f"search p = {p:.2g}", "grey: best of chance"]
    parts += ["large: chosen in folds", "dashed: chance"]
    return labels.title(f"Search of {n_specs} specs", who, below="; ".join(parts), columns=60)


def _null(found: xr.Dataset, n: int) -> list[Any]:
    """Grey from the 5th to the 95th percentile of the best scores by chance."""
    hv = theme.backends()
    null = found["null"].values
    null = null[np.isfinite(null)]
    if not null.size:
        return []
    low, high = np.quantile(null, [STAR, 1 - STAR])
    box = hv.Rectangles([(low, -0.6, high, n - 0.4)], kdims=["score", "row", "to", "above"])
    return [theme.filled(box, theme.MISSING)]


def _lines(found: xr.Dataset, n: int) -> list[Any]:
    """The nested score, and chance."""
    hv = theme.backends()
    ends = (-0.6, n - 0.4)
    chance = hv.Curve([(float(found["chance"]), y) for y in ends], "score", "row")
    out = [theme.dashed(chance, (1.0, 0.7))]
    nested = float(found["nested"])
    if np.isfinite(nested):
        line = hv.Curve([(nested, y) for y in ends], "score", "row")
        out.append(theme.stroke(line, (3.0, 1.8), theme.CYCLE[0]))
    return out
