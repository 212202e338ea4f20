"""Phase locking of pairs by period."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import curves, figure_data, labels, theme
from fhemb_xr.typing import F64

ROWS = {"plv": "Phase locking", "wpli": "Phase lag index"}


def phase_locking(result: xr.Dataset, *, alpha: float = 0.05, title: str | None = None) -> Any:
    """Phase locking of pairs by period, and the weighted phase lag index under it.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.phase_locking`.
    alpha
        With a null, p up to which a period has a dot.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Layout of two frames, a curve for each pair; many pairs are grey under their
        median.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.phase_locking``, or another dimension has more than one
        entry.
    ValueError
        If ``alpha`` is no share.

    Notes
    -----
    Memory: what is drawn. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> values = np.random.default_rng(0).normal(size=(3, 400))
    >>> x = xr.DataArray(values, dims=("subject", "time"), attrs={"sampling_rate": 5.0})
    >>> figure = fx.phase_locking(x, periods_s=(1, 8)).fhemb.plot.phase_locking()
    """
    if missing := {*ROWS} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, result))}: make it with "
            "fx.phase_locking"
        )
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a share between 0 and 1, found {alpha!r}")
    names = [n for m in ROWS for n in (m, f"p_{m}") if n in result]
    found = figure_data.loaded(figure_data.one(result[names], schema.SESSION), "phase locking")
    rows = {n: _by_pair(found[n]) for n in names}
    people = _people(found)
    tested = "p_plv" in rows
    heading = title if title is not None else labels.title(
        "Phase locking by period", people[0] if len(people) == 1 else f"{len(people)} pairs",
        below=f"dots: p ≤ {alpha:g}" if tested else "",
    )  # fmt: skip
    octaves = np.log2(found["period"].values.astype(np.float64))
    if not any(np.isfinite(rows[m]).any() for m in ROWS):
        return theme.empty("no moment outside the cones", heading, "Period [s]", ROWS["plv"])
    ticks = np.arange(np.ceil(octaves.min() - 1e-9), np.floor(octaves.max() + 1e-9) + 1)
    panels = [
        curves.frame(
            curves.lines(
                octaves, rows[m], people, ["octave", f"value_{m}"],
                rows[f"p_{m}"] <= alpha if tested else None,
            ),
            ("Period [s]" if m == "wpli" else "", ROWS[m]),
            xlim=figure_data.span(octaves), ylim=(-0.05, 1.05),
            xticks=[(float(t), f"{2.0**t:g}") for t in ticks],
            show_legend=m == "plv" and 1 < len(people) <= len(theme.CYCLE),
            legend_position="right",
        )
        for m in ROWS
    ]  # fmt: skip
    return curves.layout(panels, heading)


def _by_pair(x: xr.DataArray) -> F64:
    """``(pair, period)``."""
    others = [d for d in x.dims if d not in ("pair", "period")]
    if others:
        raise SchemaError(
            f"phase locking is drawn of pairs and periods, found {dict(x.sizes)}: choose one "
            "of each other dimension with .sel(...)"
        )
    rows = x.expand_dims("pair") if "pair" not in x.dims else x
    return np.asarray(rows.transpose("pair", "period").values, np.float64)


def _people(found: xr.Dataset) -> list[str]:
    ends = sorted(str(c) for c in found.coords if str(c)[-2:] in ("_0", "_1"))
    each = [np.atleast_1d(found[c].values).tolist() for c in ends]
    return [" and ".join(map(str, pair)) for pair in zip(*each, strict=True)]
