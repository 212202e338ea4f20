import json
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import xarray as xr
from drawn import BANDS, lagged_map, relation_of
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError, UnknownNameError
from fhemb_xr.plot import signals, theme
from fhemb_xr.plot.frames.faces import frames
from fhemb_xr.plot.frames.player import LEVELS, pack, unpack
from fhemb_xr.plot.labels import bands
from fhemb_xr.plot.pairwise import linkage

plot = pytest.importorskip("fhemb_xr.plot")
hv = pytest.importorskip("holoviews")

IDS = [40, 65, 66, 68]


def embedding(n=4, t=60, features=("mean", "p5", "skew")):
    data = np.random.default_rng(1).normal(size=(n, 1, t, len(features)))
    data[0, 0, 10:15] = np.nan
    return xr.DataArray(
        data,
        dims=("subject", "session", "time", "feature"),
        coords={
            "subject": [*IDS, *range(70, 200)][:n],
            "session": ["dg"],
            "time": 568 + np.arange(t) / 25,
            "feature": list(features),
        },
        attrs={"sampling_rate": 25.0, "fhemb_bands": BANDS},
        name="embedding",
    )


def banded(n=200):
    x = np.random.default_rng(4).normal(size=(3, n, 4)).cumsum(axis=1)
    coords = {"subject": [65, 66, 67], "time": np.arange(n) / 25, "band": range(4)}
    out = xr.DataArray(x, dims=("subject", "time", "band"), coords=coords, name="mean")
    edges = np.array([0, 1.5625, 3.125, 6.25, 12.5])
    out = out.assign_coords(
        frequency_low=("band", edges[:-1]), frequency_high=("band", edges[1:])
    )
    return out.assign_attrs(units="degC", sampling_rate=25.0)


def powers(n=3200):
    x = np.random.default_rng(5).gamma(1, size=(2, n, 6))
    x[:, 1000:1100] = np.nan
    hz = 2.0 ** np.arange(-3, 3)
    coords = {"subject": [65, 66], "time": np.arange(n) / 25, "frequency": hz}
    attrs = {"units": "(degC)^2", "sampling_rate": 25.0}
    return xr.DataArray(x, dims=("subject", "time", "frequency"), coords=coords, attrs=attrs)


def basis():
    rng = np.random.default_rng(2)
    components = rng.normal(size=(2, 3, 6, 4))
    components[..., 0, :] = np.nan
    return xr.Dataset(
        {
            "components": (("subject", "component", "y", "x"), components),
            "mean": (("subject", "y", "x"), 30 + rng.normal(size=(2, 6, 4))),
            "explained_variance_ratio": (("subject", "component"), [[0.6, 0.2, 0.0001]] * 2),
        },
        coords={"subject": [65, 68], "component": range(3)},
    )


def labels(n=6):
    return xr.DataArray(
        np.arange(n) % 3, dims="subject", coords={"subject": np.arange(40, 40 + n)}
    )


def positions(n=6):
    xy = np.random.default_rng(3).uniform(0, 300, size=(n, 4, 2))
    xy[1] = np.nan
    return xr.DataArray(
        xy,
        dims=("subject", "time", "axis"),
        coords={"subject": np.arange(40, 40 + n), "time": (100 + np.arange(4)) / 25},
        attrs={"sampling_rate": 25.0},
    )


def histograms():
    emb = embedding(1, features=[f"bh{i}" for i in range(5)])
    return emb.assign_coords(
        bin_edges=("feature", 30.0 + np.arange(5)), bin_upper=("feature", 31.0 + np.arange(5))
    )


FIGURES = {
    "signal": lambda heat: plot.signal(embedding(2)),
    "signal_one": lambda heat: plot.signal(embedding(1, features=["mean"])),
    "signal_many": lambda heat: plot.signal(embedding(12, features=["mean"])),
    "signal_faceless": lambda heat: plot.signal(embedding(1) * np.nan),
    "bands": lambda heat: plot.bands(banded(), subject=66),
    "bands_faceless": lambda heat: plot.bands(banded().isel(band=[0, 1]) * np.nan),
    "band_energy": lambda heat: plot.band_energy(banded()),
    "band_energy_one": lambda heat: plot.band_energy(banded().isel(subject=0)),
    "band_energy_faceless": lambda heat: plot.band_energy(banded() * np.nan),
    "scalogram": lambda heat: plot.scalogram(powers()),
    "scalogram_faceless": lambda heat: plot.scalogram(powers() * np.nan),
    "lagged": lambda heat: plot.lagged(lagged_map()),
    "lagged_empty": lambda heat: plot.lagged(lagged_map() * np.nan),
    "eigenfaces": lambda heat: plot.eigenfaces(basis()),
    "scree": lambda heat: plot.scree(basis(), 68),
    "relation": lambda heat: plot.relation(relation_of()),
    "relation_large": lambda heat: plot.relation(relation_of(77)),
    "relation_missing": lambda heat: plot.relation(
        relation_of().where(relation_of().subject_0 != 42)
    ),
    "dendrogram": lambda heat: plot.dendrogram(relation_of(), clusters=labels()),
    "dendrogram_missing": lambda heat: plot.dendrogram(relation_of() * np.nan),
    "projection": lambda heat: plot.projection(
        xr.DataArray(np.random.default_rng(0).normal(size=(6, 2)), dims=("subject", "axis")),
        clusters=labels(),
    ),
    "clusters_at": lambda heat: plot.clusters_at(labels(), positions(), 101),
    "pdf": lambda heat: plot.pdf(heat, [0.2, 1.2], subject=68),
    "histogram": lambda heat: plot.histogram(histograms()),
    "frames": lambda heat: frames(heat.where(heat.time != 0), n=3),
}


@pytest.mark.parametrize("backend", ["bokeh", "matplotlib"])
@pytest.mark.parametrize("name", FIGURES)
def test_figures__render_in_both_backends(name, backend, heat):
    shown = hv.render(FIGURES[name](heat), backend=backend)
    if backend == "matplotlib":
        from matplotlib import pyplot as plt

        shown.canvas.draw()
        plt.close(shown)


def option(element, name, backend="bokeh"):
    found = hv.Store.lookup_options(backend, element, "plot").kwargs
    return found.get(name, hv.Store.lookup_options(backend, element, "style").kwargs.get(name))


def leaves(obj, kind):
    return obj.traverse(lambda x: x, [kind])


def test_lagged__white_is_zero_and_axes_have_units():
    figure = plot.lagged(lagged_map())
    image = leaves(figure, hv.Image)[0]
    assert option(image, "clim") == (-0.7, 0.7)
    assert option(figure, "xlabel") == "Lag [s]"
    assert option(figure, "ylabel") == "Start of window of 3 s [s]"
    assert option(figure, "title").splitlines() == [
        "Lagged correlation, subjects 65 and 66",
        "0.10–0.39, 0.78–1.56 Hz (2.56–10.24, 0.64–1.28 s)",
    ]
    assert option(image, "clipping_colors") == {"NaN": theme.MISSING}


def test_lagged__puts_each_value_at_its_window_and_lag():
    image = leaves(plot.lagged(lagged_map()), hv.Image)[0]
    assert image[-2 / 25, 569.0] == pytest.approx(0.7)


def test_lagged__without_a_value_says_so():
    text = leaves(plot.lagged(lagged_map() * np.nan), hv.Labels)[0]
    assert "no value" in text.dimension_values("why")[0]


def test_lagged__refuses_many_pairs():
    with pytest.raises(SchemaError, match="choose one of each"):
        plot.lagged(
            xr.concat([lagged_map().drop_vars(["subject_0", "subject_1"])] * 2, "feature")
        )


def test_signal__has_a_row_per_person_and_unit_on_one_scale():
    rows = list(plot.signal(embedding()))
    assert len(rows) == 8
    assert [option(r, "ylabel") for r in rows[:2]] == [
        "Subject 40\nTemperature [°C]",
        "Subject 65\nTemperature [°C]",
    ]
    assert option(rows[4], "ylabel") == "Subject 40\nSkew"
    assert len({option(r, "ylim") for r in rows[:4]}) == 1
    assert option(rows[-1], "xlabel") == "Time [s]"


def test_signal__rows_of_one_frame_are_one_curve_with_a_break_behind_each():
    x = embedding(12, features=["mean"])
    (curve,) = leaves(plot.signal(x), hv.Curve)
    t, y = (curve.dimension_values(i).reshape(12, 61) for i in (0, 1))
    assert np.isnan(y[:, -1]).all()
    np.testing.assert_array_equal(t[:, :-1], np.broadcast_to(x.time, (12, 60)))
    values = x.values[:, 0, :, 0]
    moved = y[:, :-1] - (values - np.nanmedian(values, axis=1, keepdims=True))
    steps = np.diff(np.nanmean(moved, axis=1))
    np.testing.assert_allclose(steps, steps[0])
    assert np.nanmax(np.abs(moved - np.nanmean(moved, axis=1, keepdims=True))) < 1e-12


def test_signal__names_the_bands_in_hertz_and_seconds():
    one = plot.signal(embedding(2, features=["mean"]))
    assert option(one, "title") == "Mean, 0.10–0.39, 0.78–1.56 Hz (2.56–10.24, 0.64–1.28 s)"


def test_signal__marks_missing_time_grey():
    row = next(iter(plot.signal(embedding())))
    box = leaves(row, hv.Rectangles)[0]
    assert box.dimension_values(0)[0] == pytest.approx(568 + 10 / 25)
    assert box.dimension_values(2)[0] == pytest.approx(568 + 15 / 25)


def test_signal__keeps_the_extremes_of_a_long_series():
    values = np.sin(np.arange(100_000) / 50)
    values[31_415], values[500:900] = 9.0, np.nan
    t, v = signals.thinned(np.arange(100_000.0), values)
    assert t.size <= signals.MOST_POINTS
    assert np.all(np.diff(t) >= 0)
    assert t[np.nanargmax(v)] == 31_415
    assert np.nanmin(v) == np.nanmin(values)
    assert np.isnan(v).any()


def test_signal__refuses_what_cannot_be_told_apart():
    with pytest.raises(ValueError, match="9 curves in one row"):
        plot.signal(embedding(1, features=[f"p{i}" for i in range(9)]))
    with pytest.raises(ValueError, match="share one frame"):
        plot.signal(embedding(12))


def test_bands__open_end_is_written_as_longer():
    attrs = {"fhemb_bands": json.dumps({"hz": [[0, 0.048828125]], "period_s": [[20.48, None]]})}
    assert bands(attrs) == "0–0.049 Hz (> 20.48 s)"
    assert bands({}) == ""


def test_relation__rows_stand_in_the_order_of_the_tree():
    d = relation_of(9)
    tree = hierarchy.linkage(
        squareform(d.values, checks=False), "average", optimal_ordering=True
    )
    order = hierarchy.leaves_list(tree)
    figure = plot.relation(d)
    assert [name for _, name in option(figure, "yticks")] == [str(40 + i) for i in order]
    assert figure[0, 3] == pytest.approx(d.values[order[3], order[0]])
    between = d.values[~np.eye(9, dtype=bool)]
    low, high = option(figure, "clim")
    assert high == between.max()
    assert between.min() - 0.06 * np.ptp(between) < low < between.min()
    assert option(figure, "clabel") == "DTW distance [°C]"
    assert option(figure, "cmap") == theme.DISTANCE


def test_relation__of_correlations_is_symmetric_round_zero():
    d = relation_of(metric="correlation").copy(data=np.cos(relation_of().values * 2))
    figure = plot.relation(d)
    low, high = option(figure, "clim")
    assert low == -high == -1
    assert option(figure, "cmap") == theme.DIVERGING


def test_relation__who_has_no_value_stands_last_and_outside_the_tree():
    d = relation_of()
    d[2], d[:, 2] = np.nan, np.nan
    names = [n for _, n in option(plot.relation(d), "yticks")]
    assert names[-1] == "42"
    tree = plot.dendrogram(d, clusters=labels())
    assert [n for _, n in option(tree, "xticks")] == names[:-1]
    assert "1 of 6 without a value" in option(tree, "title")


def test_relation__keeps_the_order_given_without_a_method():
    names = [n for _, n in option(plot.relation(relation_of(), method=None), "yticks")]
    assert names == [str(i) for i in range(40, 46)]


def test_relation__refuses_other_rows_than_columns():
    with pytest.raises(SchemaError, match="same entries"):
        plot.relation(relation_of().isel(subject_0=slice(2)))


def test_dendrogram__joins_where_scipy_joins():
    d = relation_of(7)
    tree, *_ = linkage.tree(d, "average")
    heights = [
        v
        for path in leaves(plot.dendrogram(d), hv.Path)
        for v in path.dimension_values("height")
    ]
    assert np.nanmax(heights) == pytest.approx(tree[-1, 2])
    assert option(plot.dendrogram(d), "ylabel") == "DTW distance [°C]"


def test_dendrogram__of_a_similarity_measures_one_minus_it():
    d = relation_of(metric="dcor").copy(data=np.exp(-relation_of().values)).drop_attrs()
    d.attrs["metric"] = "dcor"
    assert option(plot.dendrogram(d), "ylabel") == "1 − Distance correlation"


def test_eigenfaces__are_symmetric_and_stand_upright():
    figure = plot.eigenfaces(basis(), 68)
    images = leaves(figure, hv.Image)
    assert len(images) == 2  # the mean, and all that have one scale of colours
    assert option(images[1], "clim") == (-1.0, 1.0)
    second = basis()["components"].sel(subject=68).values[1]
    assert images[1][10.5, 3.5] == pytest.approx(second[3, 0] / np.nanmax(np.abs(second)))
    mean = basis()["mean"].sel(subject=68).values
    assert images[0][0.5, 5.5] == pytest.approx(mean[5, 0])  # y runs downward
    assert option(figure, "invert_yaxis") is True
    words = leaves(figure, hv.Labels)[0].dimension_values("label")
    assert list(words[1:]) == ["PC 0\n60 %", "PC 1\n20 %", "PC 2\n< 0.1 %"]
    assert option(figure, "title") == "Eigenfaces, subject 68"


def test_eigenfaces__unknown_subject_names_the_nearest():
    with pytest.raises(UnknownNameError, match="65"):
        plot.eigenfaces(basis(), 66)


def test_pdf__legend_has_the_shape_and_axes_have_units(heat):
    from scipy import stats

    figure = plot.pdf(heat, 0.2, subject=68)
    pixels = heat.sel(subject=68).isel(session=0, time=5).values.ravel()
    pixels = pixels[np.isfinite(pixels)].astype(float)
    label = leaves(figure, hv.Curve)[0].label
    assert f"skewness {stats.skew(pixels):.2f}".replace("-", "−") in label
    assert option(figure, "xlabel") == "Temperature [°C]"


def test_pdf__outside_the_recording_says_what_is_there(heat):
    with pytest.raises(UnknownNameError, match=r"there is \[0, 1.56\]"):
        plot.pdf(heat, 99)


def test_histogram__runs_over_degrees():
    image = plot.histogram(histograms())
    assert image.bounds.lbrt()[1::2] == (30.0, 35.0)
    assert image[568.0, 32.5] == pytest.approx(histograms().values[0, 0, 0, 2], nan_ok=True)


def test_histogram__of_fewer_bins_than_others_ends_at_its_own():
    emb = histograms()
    own = np.where(np.arange(5) < 3, 1.0, np.nan)
    emb = emb.assign_coords(bin_edges=emb.bin_edges * own, bin_upper=emb.bin_upper * own)
    assert plot.histogram(emb).bounds.lbrt()[1::2] == (30.0, 33.0)


def test_histogram__needs_bins():
    with pytest.raises(SchemaError, match="no histogram"):
        plot.histogram(embedding())


def test_clusters_at__counts_who_is_absent_and_points_y_down():
    figure = plot.clusters_at(labels(), positions(), 101)
    assert option(figure, "title") == "Groups at 4.04 s (frame 101)\n1 of 6 without a position"
    assert option(figure, "invert_yaxis") is True
    with pytest.raises(UnknownNameError, match="100 to 103"):
        plot.clusters_at(labels(), positions(), 7)


def test_player__carries_the_data(heat):
    heat = heat.sel(subject=65)
    film = plot.player(heat)
    (packed,) = (s.data["level"] for s in film.layout.select({"name": "packed"}))
    assert packed.dtype == np.uint8
    values = heat.isel(session=0).values
    back = unpack(packed.reshape(values.shape), np.nanmin(values), np.nanmax(values))
    half = np.ptp(values[np.isfinite(values)]) / LEVELS / 2
    np.testing.assert_allclose(back, values, atol=half * 1.01)


def test_player__of_no_face_and_of_one_value():
    empty = np.full((3, 2, 2), np.nan)
    assert pack(empty)[0].max() == 0
    levels, low, high = pack(empty + np.nan_to_num(empty) + 31)
    assert np.isnan(unpack(levels, low, high)).all()
    levels, low, high = pack(np.full((3, 2, 2), 31.0))
    np.testing.assert_allclose(unpack(levels, low, high), 31.0, atol=0.01)


def test_player__refuses_a_whole_opera(monkeypatch, heat):
    monkeypatch.setattr(import_module("fhemb_xr.plot.frames.player"), "MOST_BYTES", 100)
    with pytest.raises(BudgetError, match=r"40 frames.*select\(seconds"):
        plot.player(heat)


def test_figures__load_once_and_refuse_above_the_budget(heat, computes):
    lazy = embedding().chunk(time=10)
    with computes(1):
        plot.signal(lazy)
    with computes(1):
        plot.player(heat.chunk(time=10))
    with (
        fx.set_options(budget=100),
        pytest.raises(BudgetError, match=r"subject 4 × .*fhemb.select"),
    ):
        plot.signal(lazy)


LOADED = """
import sys, fhemb_xr.plot
print("loaded", *{"holoviews", "bokeh", "matplotlib", "panel", "scipy.stats"} & {*sys.modules})
import holoviews as hv
hv.extension("matplotlib")
from fhemb_xr.plot import theme
theme.backends()
print(hv.Store.current_backend)
"""


def test_import__of_plot_is_light_and_its_backends_leave_the_users_choice():
    said = subprocess.check_output([sys.executable, "-c", LOADED], text=True)
    assert said.splitlines() == ["loaded", "matplotlib"]
