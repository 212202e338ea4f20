import itertools

import numpy as np
import pytest
import xarray as xr
from drawn import lagged_map, relation_of

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError

plot = pytest.importorskip("fhemb_xr.plot")
hv = pytest.importorskip("holoviews")


def labels(n=6):
    return xr.DataArray(
        np.arange(n) % 3, dims="subject", coords={"subject": np.arange(40, 40 + n)}
    )


def option(element, name, backend="bokeh"):
    found = hv.Store.lookup_options(backend, element, "plot").kwargs
    return found.get(name, hv.Store.lookup_options(backend, element, "style").kwargs.get(name))


def leaves(obj, kind):
    return obj.traverse(lambda x: x, [kind])


def null_of(r, width=0.3):
    ends = {"null_low": xr.full_like(r, -width), "null_high": xr.full_like(r, width)}
    return xr.Dataset(ends, attrs={"alpha": 0.05})


def scores(rows=0):
    k = np.arange(2, 7)
    values = 0.5 - 0.1 * np.abs(k - 4.0) * np.ones((max(rows, 1), 1))
    dims = ("window", "n_clusters") if rows else ("n_clusters",)
    values = values if rows else values[0]
    return xr.DataArray(values, dims=dims, coords={"n_clusters": k}, attrs={"method": "ward"})


def accuracies(n=3):
    share = np.linspace(0.4, 0.8, n)
    names = ("wilson_low", "subject_low", "wilson_high", "subject_high")
    ends = {
        m: ("classifier", share + d) for m, d in zip(names, (-0.1, -0.2, 0.1, 0.2), strict=True)
    }
    return xr.Dataset(
        {
            **ends,
            "accuracy": ("classifier", share),
            "chance": ("classifier", np.full(n, 0.5)),
            "null": (("classifier", "permutation"), np.tile(np.linspace(0.3, 0.7, 21), (n, 1))),
            "n_used": ("classifier", np.full(n, 40.0)),
            "n_subjects": ("classifier", np.full(n, 10.0)),
        },
        coords={"classifier": ["knn_l1", "svm_rbf", "randf", "rotf"][:n]},
    )


def series(shift=0, n=50):
    t = np.arange(n)
    return xr.DataArray(
        np.sin((t - shift) / 5),
        dims="time",
        coords={"time": 568 + t / 25, "subject": 40 + shift},
        attrs={"units": "degC"},
    )


def places(n_dims=3):
    xyz = np.random.default_rng(0).normal(size=(6, n_dims))
    return xr.DataArray(xyz, dims=("subject", "component"), coords={"subject": range(40, 46)})


FIGURES = {
    "lagged_null": lambda: plot.lagged(lagged_map(), null=null_of(lagged_map())),
    "lagged_at": lambda: plot.lagged_at(lagged_map(), null=null_of(lagged_map())),
    "relation_clustered": lambda: plot.relation(relation_of(), clusters=labels()),
    "projection_3d": lambda: plot.projection(places(), n_dims=3, clusters=labels()),
    "warping": lambda: plot.warping(series(), series(3), normalize="zscore"),
    "silhouette": lambda: plot.silhouette(scores()),
    "silhouette_many": lambda: plot.silhouette(scores(12)),
    "accuracy": lambda: plot.accuracy(accuracies()),
}


@pytest.mark.parametrize("backend", ["bokeh", "matplotlib"])
@pytest.mark.parametrize("name", FIGURES)
def test_figures__render_in_both_backends(name, backend):
    shown = hv.render(FIGURES[name](), backend=backend)
    if backend == "matplotlib":
        from matplotlib import pyplot as plt

        shown.canvas.draw()
        plt.close(shown)


def test_lagged__outlines_exactly_what_is_outside_the_null():
    r = lagged_map(low=-0.2, high=0.7)
    segments = leaves(plot.lagged(r, null=null_of(r)), hv.Segments)[0]
    ends = np.stack([segments.dimension_values(i) for i in range(4)], axis=1)
    assert len(ends) == 4  # one cell is outside
    lag, window = 1 / 25, 0.5
    assert ends[:, [0, 2]].min() == pytest.approx(-2 * lag - lag / 2)
    assert ends[:, [0, 2]].max() == pytest.approx(-2 * lag + lag / 2)
    assert ends[:, [1, 3]].min() == pytest.approx(569 - window / 2)
    assert ends[:, [1, 3]].max() == pytest.approx(569 + window / 2)
    assert "outside 95 % of the null" in option(plot.lagged(r, null=null_of(r)), "title")
    with pytest.raises(SchemaError, match=r"fx\.synchrony"):
        plot.lagged(r, null=xr.Dataset({"p": r}))


def test_lagged__reads_a_lazy_null_once(computes):
    r = lagged_map()
    with computes(1):  # the map itself is in memory
        plot.lagged(r, null=null_of(r).chunk())


def test_lagged_at__draws_the_nearest_lag_over_its_null():
    figure = plot.lagged_at(lagged_map(), -0.083, null=null_of(lagged_map()))
    values = leaves(figure, hv.Curve)[-1].dimension_values("r")
    assert values[2] == pytest.approx(0.7)
    assert option(figure, "ylabel") == "Pearson r at -0.08 s"
    area = leaves(figure, hv.Area)[0]
    assert set(area.dimension_values("r_high")) == {0.3}


def test_relation__members_of_a_group_stand_together_in_a_frame():
    figure = plot.relation(relation_of(), clusters=labels())
    order = [int(n) for _, n in option(figure, "yticks")]
    groups = [(n - 40) % 3 for n in order]
    assert sum(a != b for a, b in itertools.pairwise(groups)) == 2
    frames_ = leaves(figure, hv.Path)
    corners = sorted(p.dimension_values("column").min() for p in frames_)
    assert corners == [-0.5, 1.5, 3.5]
    with pytest.raises(SchemaError, match="clusters of 4 members"):
        plot.relation(relation_of(), clusters=labels(4))


def test_projection__in_space_keeps_lengths_across_and_up():
    from fhemb_xr.plot.clustering import scatter3d

    axes = scatter3d.turned(np.eye(3), (0.0, -90.0))
    np.testing.assert_allclose(axes, [[1, 0], [0, 0], [0, 1]], atol=1e-12)  # from the front
    above = scatter3d.turned(np.eye(3), (90.0, -90.0))
    np.testing.assert_allclose(above, [[1, 0], [0, 1], [0, 0]], atol=1e-12)
    with pytest.raises(ValueError, match="n_dims is 2 or 3"):
        plot.projection(places(), n_dims=4)
    with pytest.raises(SchemaError, match="at least 3"):
        plot.projection(places(2), n_dims=3)


def test_warping__links_what_the_path_links():
    a, b = series(), series(4)
    figure = plot.warping(a, b)
    links = leaves(figure, hv.Segments)[0]
    start, stop = links.dimension_values(0), links.dimension_values(2)
    assert (start[0], stop[0]) == (568, 568)
    assert np.median(stop - start) == pytest.approx(4 / 25)  # b follows a by four frames
    distance = float(fx.pairwise(xr.concat([a, b], "subject"), "dtw")[0, 1])
    assert f"distance {distance:.3g} °C" in option(figure, "title")
    assert [n for _, n in option(figure, "yticks")] == ["Subject 40", "Subject 44"]
    with pytest.raises(ValueError, match="1 of 50 missing"):
        plot.warping(a.where(a.time > 568), b)


def test_warping__draws_long_series_with_few_links():
    a, b = series(n=12_000), series(4, n=12_000)
    with fx.set_options(budget=2**20):  # the table of the path has 38 MB
        figure = plot.warping(a, b, window=200)
    links = leaves(figure, hv.Segments)[0]
    start, stop = links.dimension_values(0), links.dimension_values(2)
    assert len(start) == 120
    assert (start[-1], stop[-1]) == (568 + 11_999 / 25,) * 2
    assert np.diff(start).max() < 3 * np.diff(start).mean()  # evenly
    assert max(len(c) for c in leaves(figure, hv.Curve)) <= plot.signals.MOST_POINTS
    with fx.set_options(budget=1000), pytest.raises(BudgetError, match="draw less"):
        plot.warping(a, b)


def test_silhouette__rings_the_best_and_draws_many_under_their_median():
    ring = leaves(plot.silhouette(scores()), hv.Scatter)[-1]
    assert ring.dimension_values("groups").tolist() == [4]
    many = leaves(plot.silhouette(scores(12)), hv.Curve)
    assert len(many) == 13
    assert many[-1].label == "median of 12"
    with pytest.raises(SchemaError, match="one dimension more"):
        plot.silhouette(scores(3).expand_dims(session=2))


def test_accuracy__has_the_best_on_top_over_chance_and_null():
    figure = plot.accuracy(accuracies().isel(classifier=[2, 0, 1]))
    assert [n for _, n in option(figure, "yticks")] == ["knn_l1", "svm_rbf", "randf"]
    box = leaves(figure, hv.Rectangles)[0]
    assert box.dimension_values(0)[0] == pytest.approx(0.31)
    assert leaves(figure, hv.Curve)[0].dimension_values(0).tolist() == [0.5, 0.5]
    assert "40 samples of 10 people" in option(figure, "title")
    with pytest.raises(SchemaError, match=r"fx\.classify"):
        plot.accuracy(accuracies().drop_vars("null"))
