"""What a shift in time does to a wavelet band: the decimated transform and the maximal-overlap.

python examples/shift_variance.py docs/shift_variance.png

White noise is filtered, then shifted and filtered: a transform that does not care where time
begins gives the same band, shifted. Above: a stretch of both. Below: the correlation of the two
for every shift up to a whole step of the transform (db4, level 8, bands 2, 3 and 5).
"""

import sys

import holoviews as hv
import numpy as np
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.plot import theme
from fhemb_xr.plot.files import save_figure

N, STEP, SHOWN, BANDS = 2**14, 256, 53, [2, 3, 5]


def main(target: str) -> None:
    """Draw the figure, print the numbers."""
    theme.backends()
    noise = np.random.default_rng(0).normal(size=N)
    shifts = np.arange(1, STEP)
    moved = np.stack([np.roll(noise, s) for s in (0, *shifts)])
    x = xr.DataArray(moved, dims=("shift", "time"), attrs={"sampling_rate": 25.0})
    panels, same = [], {}
    for name in ("dwt", "modwt"):
        y = fx.wavelet_filter(x, BANDS, mode="periodic", transform=name).values
        back = np.stack([np.roll(row, -s) for s, row in enumerate(y)])
        same[name] = np.array([np.corrcoef(back[0], row)[0, 1] for row in back[1:]])
        print(f"{name}: median {np.median(same[name]):.2f}, least {same[name].min():.2f}")
        panels.append(_stretch(back[0], back[SHOWN], name))
    panels.append(_correlations(shifts / 25, same))
    page = hv.Layout(panels).cols(1).opts(
        backend="matplotlib", fig_inches=(theme.FULL_IN, 5.6), vspace=0.55, sublabel_format=""
    )  # fmt: skip
    save_figure(page, target)


def _stretch(still: np.ndarray, moved: np.ndarray, name: str) -> hv.Overlay:
    t = np.arange(500) / 25
    pairs = (("filtered", still, theme.QUIET), (f"shifted by {SHOWN / 25:g} s, filtered, "
             "shifted back", moved, theme.CYCLE[1]))  # fmt: skip
    curves = [
        hv.Curve((t, y[:500]), f"t_{name}", f"y_{name}", label=label).opts(
            backend="matplotlib", color=colour, linewidth=1.0, linestyle=dash
        )
        for (label, y, colour), dash in zip(pairs, ("-", "--"), strict=True)
    ]
    return _panel(hv.Overlay(curves), f"transform = {name!r}", "Time [s]", "Signal")


def _correlations(seconds: np.ndarray, same: dict[str, np.ndarray]) -> hv.Overlay:
    curves = [
        hv.Curve((seconds, r), "shift", "r", label=name).opts(
            backend="matplotlib", color=theme.CYCLE[i], linewidth=1.0
        )
        for i, (name, r) in enumerate(same.items())
    ]
    drawn = _panel(hv.Overlay(curves), "Correlation of the two", "Shift [s]", "Pearson r")
    return drawn.opts(backend="matplotlib", ylim=(0, 1.05))


def _panel(drawn: hv.Overlay, title: str, xlabel: str, ylabel: str) -> hv.Overlay:
    return drawn.opts(
        backend="matplotlib", title=title, xlabel=xlabel, ylabel=ylabel, aspect=4.6,
        legend_position="right", **theme.MPL,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
