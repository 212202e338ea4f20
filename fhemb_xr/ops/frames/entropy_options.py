"""Options of the feature ``entropy``: its range and its correction, checked."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fhemb_xr.ops.checks import require_choice, require_count

CORRECTIONS = ("none", "miller_madow", "grassberger")
_SYNONYMS = {"miller-madow": "miller_madow", "mm": "miller_madow"}


def entropy_options(
    names: list[str], bins: int, span: Sequence[float] | None, correction: str
) -> dict[str, Any]:
    """What the kernel needs: the number of bins, the ends of the range, which correction.

    The ends are NaN where every frame has its own range.

    Raises
    ------
    UnknownNameError
        No such correction (a ``KeyError``).
    ValueError
        If the range is not two finite numbers that rise, the bins are no whole number, or a
        range or a correction is given and no entropy is asked for.
    """
    bins = require_count("entropy_bins", bins)
    correction = require_choice("entropy_correction", correction, CORRECTIONS, _SYNONYMS)
    if "entropy" not in names and (span is not None or correction != "none"):
        name, value = ("entropy_range", span) if span is not None else (
            "entropy_correction", correction)  # fmt: skip
        raise ValueError(f"{name} is of the feature 'entropy', found {value!r} for {names}")
    low, high = (math.nan, math.nan) if span is None else _ends(span)
    return {
        "entropy_bins": bins,
        "entropy_low": low,
        "entropy_high": high,
        "entropy_correction": CORRECTIONS.index(correction),
    }


def _ends(span: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in np.asarray(span, dtype=np.float64))
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise ValueError(
            f"entropy_range is two rising numbers (low, high) [°C], found {span!r}"
        )
    return low, high
