import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError

plot = pytest.importorskip("fhemb_xr.plot")
hv = pytest.importorskip("holoviews")
pytestmark = pytest.mark.filterwarnings("ignore:the smallest p:UserWarning")


def audience(n=4, n_time=160, shared=2):
    """People of whom the first move together in the second half."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, n_time))
    x[:shared] += 2 * rng.normal(size=n_time) * (np.arange(n_time) >= n_time // 2)
    coords = {"subject": 40 + np.arange(n), "time": 500 + np.arange(n_time) / 10}
    x = xr.DataArray(x, dims=("subject", "time"), coords=coords, attrs={"sampling_rate": 10.0})
    return x.assign_coords(group=("subject", np.arange(n) % 2))


def windows(**options):
    given = {"window_s": 2, "step_s": 1, "null": "linear", **options}
    return fx.isc(audience(options.pop("n", 4)), **given)


def matrix(statistic="correlation", **options):
    return fx.synchrony(audience(), statistic, 39, seed=0, keep_null=True, **options).compute()


def groups(by=None):
    return fx.group_isc(audience(6), by=by, n=29, seed=0)


def classifier():
    null = ("permutation", np.linspace(0.3, 0.7, 21))
    return xr.Dataset({"accuracy": 0.8, "p": 1 / 22, "null": null}, attrs={"alpha": 0.05})


FIGURES = {
    "isc_windows": lambda: windows().fhemb.plot.isc(),
    "isc_windows_of_pairs": lambda: windows(how="pairwise").fhemb.plot.isc(correction="p"),
    "isc_many": lambda: plot.isc(fx.isc(audience(10), window_s=2)),
    "isc_people": lambda: fx.isc(audience(), null="linear").fhemb.plot.isc(),
    "isc_without_null": lambda: fx.isc(audience()).fhemb.plot.isc(),
    "isc_faceless": lambda: plot.isc(fx.isc(audience() * np.nan, null="circular")),
    "synchrony": lambda: matrix().fhemb.plot.synchrony(correction="p"),
    "synchrony_masked": lambda: matrix().fhemb.plot.synchrony(correction="p", mask=True),
    "synchrony_of_pairwise_isc": lambda: plot.synchrony(
        fx.isc(audience(), how="pairwise", null="linear"), method=None
    ),
    "synchrony_of_people": lambda: matrix("isc").fhemb.plot.synchrony(),
    "group_isc": lambda: groups().fhemb.plot.group_isc(),
    "group_isc_of_two": lambda: groups("group").fhemb.plot.group_isc(summary="median"),
    "null_of_groups": lambda: groups().sel(summary="mean").fhemb.plot.null_histogram(),
    "null_of_a_pair": lambda: plot.null_histogram(matrix().sel(subject_0=40, subject_1=41)),
    "null_of_a_classifier": lambda: classifier().fhemb.plot.null_histogram(),
    "null_of_oneself": lambda: plot.null_histogram(matrix().sel(subject_0=40, subject_1=40)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures__render_in_both_backends(name):
    from matplotlib import pyplot as plt

    figure = FIGURES[name]()
    hv.render(figure, backend="bokeh")
    shown = hv.render(figure, backend="matplotlib")
    shown.canvas.draw()
    plt.close(shown)


def leaves(obj, kind):
    return obj.traverse(lambda x: x, [kind])


def option(element, name, backend="bokeh"):
    found = hv.Store.lookup_options(backend, element, "plot").kwargs
    return found.get(name, hv.Store.lookup_options(backend, element, "style").kwargs.get(name))


def test_isc__has_a_dot_at_each_window_that_is_significant_and_the_band_of_the_null():
    result = windows()
    figure = result.fhemb.plot.isc(correction="p", alpha=0.05)
    dots = leaves(figure, hv.Scatter)
    found = {(t, round(r, 12)) for e in dots for t, r in e.array()}
    sure = (result["p"] <= 0.05).values
    times, people = result["time"].values, result["isc"].transpose("subject", "window").values
    marks = sure if sure.shape == people.shape else sure.T
    expected = {(times[w], round(people[s, w], 12)) for s, w in np.argwhere(marks)}
    assert found == expected
    assert expected
    (band,) = leaves(figure, hv.Area)
    middle = result["null_high"].median("subject")
    np.testing.assert_allclose(band.dimension_values("r_high"), middle)
    assert option(figure, "xlabel") == "Start of window of 2 s [s]"
    assert "95 % of the null" in option(figure, "title")


def test_synchrony__has_a_star_on_the_pairs_that_are_significant():
    result = matrix()
    figure = result.fhemb.plot.synchrony(correction="p")
    names = [int(name) for _, name in option(figure.get(0), "yticks")]
    (points,) = leaves(figure, hv.Points)
    found = {(names[int(r)], names[int(c)]) for c, r in points.array()}
    p = result["p"]
    expected = {
        (a, b) for a in names for b in names if float(p.sel(subject_0=a, subject_1=b)) <= 0.05
    }
    assert found == expected
    assert (40, 41) in found
    masked = result.fhemb.plot.synchrony(correction="p", mask=True)
    (image,) = leaves(masked, hv.Image)
    assert np.isfinite(image.dimension_values(2)).sum() == len(expected)
    nothing = result.fhemb.plot.synchrony(correction="p", alpha=0.001, mask=True)
    assert "no pair is significant" in leaves(nothing, hv.Labels)[0].dimension_values("why")[0]


def test_group_isc__shows_values_intervals_and_the_null():
    result = groups("group")
    figure = plot.group_isc(result)
    (dots,), (bars,) = leaves(figure, hv.Scatter), leaves(figure, hv.Segments)
    mean = result.sel(summary="mean")
    np.testing.assert_allclose(dots.array()[:, 0], [*mean["isc"].values, mean["difference"]])
    np.testing.assert_allclose(bars.array()[:2, 0], mean["low"].values)
    (box,) = leaves(figure, hv.Rectangles)
    low = np.quantile(mean["null"], 0.025, method="weibull")
    assert box.array()[0, 0] == pytest.approx(low)
    with pytest.raises(SchemaError, match=r"fx\.group_isc"):
        plot.group_isc(matrix())
    with pytest.raises(UnknownNameError, match="median"):
        plot.group_isc(result, summary="medain")


def test_null_histogram__counts_every_value_and_marks_the_observed():
    result = matrix()
    figure = plot.null_histogram(result.sel(subject_0=40, subject_1=41), bins=7)
    (bars,) = leaves(figure, hv.Histogram)
    assert bars.dimension_values("count").sum() == 39
    observed = float(result["observed"].sel(subject_0=40, subject_1=41))
    assert leaves(figure, hv.Curve)[-1].array()[0, 0] == pytest.approx(observed)
    count = (result["null"].sel(subject_0=40, subject_1=41) >= observed - 1e-12).sum()
    assert float(result["p"].sel(subject_0=40, subject_1=41)) == (1 + int(count)) / 40
    with pytest.raises(SchemaError, match="choose with"):
        plot.null_histogram(result)
    with pytest.raises(SchemaError, match="keep_null=True"):
        plot.null_histogram(windows())


def test_figures_of_tests__say_what_is_wrong():
    with pytest.raises(SchemaError, match=r"fx\.isc"):
        plot.isc(groups())
    with pytest.raises(UnknownNameError, match="p_fdr"):
        plot.isc(windows(), correction="fdr")
    with pytest.raises(ValueError, match="between 0 and 1"):
        plot.isc(windows(), alpha=5)
    both = xr.concat([windows(), windows()], "feature")
    with pytest.raises(SchemaError, match="choose one of each"):
        plot.isc(both)
    one = windows(how="pairwise").sel(subject_0=[40])
    assert len(leaves(plot.isc(one), hv.Curve)) == 2 + 3  # band, zero, the three others
    alone = plot.isc(fx.isc(audience(1), how="pairwise"))
    assert "one person" in leaves(alone, hv.Labels)[0].dimension_values("why")[0]
