"""What the figures of tests share: which values are significant, and the words for it."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.plot import figure_data, theme

CORRECTIONS = ("p_fdr", "p_fwer", "p")
_WORDS = {"p": "p", "p_fdr": "p (FDR)", "p_fwer": "p (family-wise)"}
VALUES = ("observed", "isc")


def value_of(result: xr.Dataset, maker: str) -> xr.DataArray:
    """The variable that was tested.

    Raises
    ------
    SchemaError
        If the Dataset has none, with the function that makes one.
    """
    for name in VALUES:
        if name in result and "difference" not in result:  # which is of groups
            return result[name].assign_attrs({**result.attrs, **result[name].attrs})
    raise SchemaError(
        f"need one of {VALUES}, found {sorted(map(str, result))}: make it with {maker}"
    )


def level(result: xr.Dataset, alpha: float | None) -> float:
    """The level asked for, otherwise that of the result.

    Raises
    ------
    ValueError
        If it is no share between 0 and 1.
    """
    found = float(result.attrs.get("alpha", 0.05)) if alpha is None else alpha
    if not 0 < found < 1:
        raise ValueError(f"alpha is a share between 0 and 1, found {alpha!r}")
    return found


def significant(
    result: xr.Dataset, correction: str, alpha: float
) -> tuple[xr.DataArray | None, str]:
    """Where the corrected p is alpha or less, and the sentence for it; None without p.

    Raises
    ------
    UnknownNameError
        No such correction (a ``KeyError``).
    """
    correction = require_choice("correction", correction, CORRECTIONS)
    if correction not in result:
        return None, ""
    p = figure_data.loaded(result[correction], "p-values")
    return p <= alpha, f"{_WORDS[correction]} ≤ {alpha:g}"


def number(p: float) -> str:
    """``"p = .012"``."""
    return f"p = {p:.3g}" if np.isfinite(p) else "not tested"


def stars(x: Any, y: Any, dims: list[str], size: float) -> Any:
    """A star at each place; ``size`` in points of print."""
    marks = theme.backends().Points((x, y), dims)
    return theme.styled(
        marks,
        bokeh={
            "marker": "star", "size": 2.2 * size, "line_color": "white", "line_width": 0.4,
            "fill_color": theme.INK,
        },
        mpl={
            "marker": "*", "s": size**2, "edgecolor": "white", "linewidth": 0.3,
            "facecolors": theme.INK,
        },
    )  # fmt: skip
