"""Figures of coherence, recurrence and encoding models."""

import itertools

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError

plot = pytest.importorskip("fhemb_xr.plot")
hv = pytest.importorskip("holoviews")

TIME = 500 + np.arange(300) / 5


def series(late=(0, 1, 2), noise=0.2):
    rng = np.random.default_rng(0)
    waves = [np.sin(2 * np.pi * (TIME - s) / 8) + noise * rng.normal(size=300) for s in late]
    coords = {"subject": [40, 65, 66][: len(late)], "time": TIME}
    return xr.DataArray(waves, dims=("subject", "time"), coords=coords)


def option(element, name, backend="bokeh"):
    found = hv.Store.lookup_options(backend, element, "plot").kwargs
    return found.get(name, hv.Store.lookup_options(backend, element, "style").kwargs.get(name))


def leaves(obj, kind):
    return [e for e in obj.traverse(lambda x: x, [kind]) if type(e) is kind]


def coherent():
    return fx.wavelet_coherence(
        series(), periods_s=(2, 16), per_octave=4, null="noise", n=3, seed=0
    )


def encoded(n_series=2, features=2, null=None):
    rng = np.random.default_rng(1)
    music = xr.DataArray(
        rng.normal(size=(300, features)), dims=("time", "stimulus"), coords={"time": TIME}
    )
    faces = [np.roll(music[:, 0], 5 + k) + 0.1 * rng.normal(size=300) for k in range(n_series)]
    faces = xr.DataArray(faces, dims=("subject", "time"), coords={"time": TIME})
    more = {"null": null, "n": 19, "seed": 0} if null else {}
    return fx.encode(faces, music, (0, 2), 10.0, 3, **more)


def clustered():
    found = coherent().drop_vars("threshold")
    inside = (found.time > 515) & (found.time < 530)
    return found.assign(p_cluster=(found.coherence * 0 + 0.05).where(inside))


FIGURES = {
    "coherence": lambda: coherent().fhemb.plot.coherence(),
    "coherence_of_a_pair": lambda: coherent().sel(pair=1).fhemb.plot.coherence(),
    "coherence_clusters": lambda: clustered().fhemb.plot.coherence(),
    "coherence_faceless": lambda: plot.coherence(coherent() * np.nan),
    "profile": lambda: fx.recurrence(
        series().isel(subject=0, drop=True), series(), rate=0.1, max_lag_s=2
    ).fhemb.plot.recurrence(),
    "profile_of_windows": lambda: fx.recurrence(
        series()[0], rate=0.1, max_lag_s=2, window_s=20
    ).fhemb.plot.recurrence(),
    "measures": lambda: fx.recurrence(series(), rate=0.1, window_s=20).fhemb.plot.recurrence(),
    "encoding": lambda: encoded(null="circular").fhemb.plot.encoding(),
    "encoding_of_many": lambda: encoded(10).fhemb.plot.encoding(),
    "pair": lambda: plot.pair(chances()),
}


def chances():
    values = np.random.default_rng(2).uniform(size=(4, 3))
    out = xr.DataArray(values, dims=("window", "candidate"), coords={"window": np.arange(4.0)})
    return out.to_dataset(name="probability")


@pytest.mark.parametrize("name", FIGURES)
def test_figures__render_and_in_print_no_bar_lies_on_the_map(name):
    from matplotlib import pyplot as plt

    figure = FIGURES[name]()
    hv.render(figure, backend="bokeh")
    shown = hv.render(figure, backend="matplotlib")
    shown.canvas.draw()
    boxes = [axis.get_position() for axis in shown.axes]
    apart = [a.x1 <= b.x0 + 1e-6 or a.y0 + 1e-6 >= b.y1 for a, b in itertools.pairwise(boxes)]
    plt.close(shown)
    assert all(apart)


def test_coherence__of_the_pair_asked_for_says_who_leads():
    result = coherent()
    figure = plot.coherence(result, 66, 40)
    (image,) = leaves(figure, hv.Image)
    values = result["coherence"].sel(pair=1).transpose("period", "time").values
    np.testing.assert_array_equal(image.dimension_values(2, flat=False), values)
    assert option(figure, "ylim")[0] > option(figure, "ylim")[1]  # short periods on top
    assert "40 leads 66 by 0.25 of it" in option(figure, "title").replace("\n", " ")
    assert leaves(figure, hv.Path)
    assert not leaves(plot.coherence(result.drop_vars("threshold")), hv.Path)
    with pytest.raises(UnknownNameError, match="no pair of 40 and 41 among 3"):
        plot.coherence(result, 40, 41)
    with pytest.raises(SchemaError, match=r"make it with fx\.wavelet_coherence"):
        plot.coherence(chances())


def test_recurrence__draws_the_profile_or_the_measures_asked_for():
    x = series()
    result = fx.recurrence(x[0].drop_vars("subject"), x, rate=0.1, max_lag_s=2).compute()
    curves = leaves(plot.recurrence(result), hv.Curve)
    drawn = {c.label: c.dimension_values(1) for c in curves if c.label}
    assert [*drawn] == ["subject 40", "subject 65", "subject 66"]
    expected = result["profile"].sel(subject=65).values
    np.testing.assert_array_equal(drawn["subject 65"], expected)
    result["p_profile"] = xr.where(abs(result["lag"] - 1) < 0.01, 0.05, 1.0).broadcast_like(
        result["profile"]
    )
    dots = leaves(plot.recurrence(result), hv.Scatter)
    assert [e.array()[:, 0].tolist() for e in dots] == [[1.0]] * 3
    by_window = fx.recurrence(x, rate=0.1, window_s=20).compute()
    figure = plot.recurrence(by_window, ["TT"])
    (first, *_) = leaves(figure, hv.Curve)
    np.testing.assert_array_equal(first.dimension_values(1), by_window["TT"][0].values)
    with pytest.raises(SchemaError, match="window_s=, or max_lag_s="):
        plot.recurrence(fx.recurrence(x, rate=0.1))
    with pytest.raises(UnknownNameError, match="DET"):
        plot.recurrence(by_window, "DETS")


def test_encoding__has_a_dot_by_person_filled_where_significant_and_the_largest_weights():
    result = encoded(features=8, null="circular").compute()
    result["p"][1] = 0.5
    figure = plot.encoding(result)
    dots = [e for e in leaves(figure, hv.Scatter) if len(e) == 1]
    found = [(*e.array()[0], option(e, "fill_color")) for e in dots]
    assert found == [
        (0.0, float(result["r"][0]), "#0072b2"),
        (1.0, float(result["r"][1]), "#ffffff"),
    ]
    rows = figure.values()[1:]
    assert len(rows) == 6
    (_, second) = leaves(rows[0], hv.Curve)
    np.testing.assert_array_equal(
        second.dimension_values(1), result["weights"].sel(subject=1, stimulus=0).values
    )
    assert "2 features are left out" in option(rows[-1], "xlabel")
    with pytest.raises(SchemaError, match=r"make it with fx\.encode"):
        plot.encoding(chances())


def test_coherence__outlines_the_clusters():
    (path,) = leaves(clustered().fhemb.plot.coherence(), hv.Path)
    x = path.dimension_values(0)
    assert np.nanmin(x) == pytest.approx(515, abs=0.2)
    assert np.nanmax(x) == pytest.approx(530, abs=0.2)
