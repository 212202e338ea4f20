"""The distribution of a null, and the observed value in it."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot.inference import tested
from fhemb_xr.typing import F64

_DRAWS = ("replicate", "permutation")
_OBSERVED = ("difference", "accuracy", *tested.VALUES)


def null_histogram(result: xr.Dataset, *, bins: int = 30, title: str | None = None) -> Any:
    """Histogram of the null with the observed value, of one test.

    Parameters
    ----------
    result
        Result with a ``null``: of :func:`fhemb_xr.group_isc`, of :func:`fhemb_xr.classify`, or
        of :func:`fhemb_xr.synchrony` with ``keep_null=True``. Choose one test with
        ``.sel(...)``, such as ``.sel(summary="mean")`` or ``.sel(subject_0=40, subject_1=41)``.
    bins
        Number of bins.
    title
        Instead of what is tested, and p.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay: grey bars of the null, dashed lines at the ends of its band, a blue
        line at the observed value.

    Raises
    ------
    SchemaError
        If there is no null, or more than one test.

    Notes
    -----
    Memory: the null. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     np.random.default_rng(0).normal(size=(6, 200)), dims=("subject", "time")
    ... )
    >>> result = fx.group_isc(x, n=99, seed=0)
    >>> figure = result.sel(summary="mean").fhemb.plot.null_histogram()
    """
    hv = theme.backends()
    observed, null, p, name = _one_test(result)
    alpha = float(result.attrs.get("alpha", 0.05))
    what = str(result.attrs.get("statistic", result.attrs.get("test", name))).replace("_", " ")
    kind = str(result.attrs.get("null", ""))
    heading = title if title is not None else labels.title(
        what[:1].upper() + what[1:], f"null: {kind}" if kind else "", tested.number(p),
        below=f"grey: null; dashed: {100 * (1 - alpha):g} % of it; blue: observed", columns=60,
    )  # fmt: skip
    xlabel = labels.capital_first(name.replace("_", " "))
    if not null.size or not np.isfinite(observed):
        return theme.empty(
            "no value: nothing was tested", heading, xlabel, "Values of the null"
        )
    edges = np.linspace(*figure_data.limits(np.append(null, observed)), bins + 1)
    counts = np.histogram(null, edges)[0]
    bars = hv.Histogram((edges, counts), kdims=["value"], vdims=["count"])
    top = float(counts.max()) * 1.05
    low, high = np.quantile(null, [alpha / 2, 1 - alpha / 2], method="weibull")
    drawn = [
        theme.styled(
            bars,
            bokeh={"fill_color": theme.MISSING, "line_color": "white"},
            mpl={"facecolor": theme.MISSING, "edgecolor": "white", "linewidth": 0.4},
        ),
        *(_upright(at, top, theme.INK, dashed=True) for at in (low, high)),
        _upright(observed, top, theme.LINE, dashed=False),
    ]
    return theme.panel(
        hv.Overlay(drawn),
        bokeh={"frame_width": 400, "frame_height": 220},
        mpl={"fig_inches": (theme.COLUMN_IN + 0.5, 2.4), "aspect": 1.7},
        title=heading,
        xlabel=xlabel,
        ylabel=f"Values of the null, of {null.size}",
        ylim=(0, top),
        show_legend=False,
    )


def _upright(at: float, top: float, colour: str, *, dashed: bool) -> Any:
    line = theme.backends().Curve([(at, 0.0), (at, top)], "value", "count")
    return theme.styled(
        line,
        bokeh={
            "line_width": 1.0 if dashed else 2.2,
            "line_dash": "dashed" if dashed else "solid",
        },
        mpl={"linewidth": 0.7 if dashed else 1.6, "linestyle": "--" if dashed else "-"},
        color=colour,
    )


def _one_test(result: xr.Dataset) -> tuple[float, F64, float, str]:
    """The observed value, the values of its null, p, and the name of the value."""
    names = [n for n in _OBSERVED if n in result]
    if "null" not in result or not names:
        raise SchemaError(
            f"need a null and an observed value, found {sorted(map(str, result))}: make it "
            "with fx.group_isc, fx.classify, or fx.synchrony(..., keep_null=True)"
        )
    null = result["null"]
    draws = [d for d in null.dims if d in _DRAWS]
    many = {d: n for d, n in null.sizes.items() if d not in draws and n > 1}
    if many or len(draws) != 1:
        raise SchemaError(f"a null is drawn of one test, found {many}: choose with .sel(...)")
    kept = [names[0], "null", *[n for n in ("p",) if n in result]]
    found = figure_data.loaded(result[kept], "a null")
    values = np.asarray(found["null"].values, dtype=np.float64).ravel()
    observed, p = (
        float(found[n].values.ravel()[0]) if n in found else float("nan")
        for n in (names[0], "p")
    )
    return observed, values[np.isfinite(values)], p, names[0]
