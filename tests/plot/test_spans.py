"""Scenes behind curves, beside maps and in films."""

import holoviews as hv
import numpy as np
import pytest
import xarray as xr
from drawn import lagged_map

import fhemb_xr as fx
from fhemb_xr.clock import spans
from fhemb_xr.errors import SchemaError

SCENES = spans.table([(405, 6, "calm"), (415, 8, "storm"), (428, 0, "clap"), (433, 20, "calm"),
                      (900, 5, "later")])  # fmt: skip


def series(people, **attrs):
    values = np.random.default_rng(0).normal(32, 1, (people, 1000))
    coords = {"subject": 40 + np.arange(people), "time": 400 + np.arange(1000) / 25}
    return xr.DataArray(values, dims=("subject", "time"), coords=coords, attrs=attrs)


def boxes(figure):
    found = figure.traverse(lambda e: e, [hv.Rectangles])
    return sorted((*row[:4],) for e in found for row in e.data.to_numpy() if len(row) == 4)


def words(figure):
    return [
        str(w).strip() for e in figure.traverse(lambda e: e, [hv.Labels]) for w in e["span"]
    ]


def test_signal__shades_the_seconds_of_each_span_once_a_row():
    figure = fx.plot.signal(series(2), spans=SCENES)
    times = [(a, c) for a, _, c, _ in boxes(figure)]
    once = [(405, 411), (415, 423), (428, 428.07992), (433, 439.96)]
    np.testing.assert_allclose(times, sorted(once * 2))
    assert words(figure) == ["calm", "storm", "clap", "calm"]  # on the first row


def test_signal__of_many_people_shades_all_of_them_at_once():
    figure = fx.plot.signal(series(12), spans={"calm": (405, 411)})
    (box,) = boxes(figure)
    bottom, top = box[1], box[3]
    values = np.concatenate([c["y_Value"] for c in figure.traverse(lambda e: e, [hv.Curve])])
    assert bottom < np.nanmin(values)  # rows of one curve, with breaks between them
    assert top > np.nanmax(values) - 3


def test_signal__a_span_of_one_person_is_behind_that_person():
    own = spans.table([(405, 6, "laughs")]).assign(subject=("event", [41]))
    for people in (3, 12):
        assert len(boxes(fx.plot.signal(series(people), spans=own))) == 1
    assert not boxes(fx.plot.signal(series(1), spans=own))


def test_colours__are_those_of_the_label():
    figure = fx.plot.signal(series(1), spans=SCENES)
    by_colour = {}
    for e in figure.traverse(lambda e: e, [hv.Rectangles]):
        colour = hv.Store.lookup_options("bokeh", e, "style").kwargs["fill_color"]
        by_colour[colour] = len(e)
    assert sorted(by_colour.values()) == [1, 1, 2]


def test_lagged__has_strips_at_the_windows():
    r = lagged_map()
    first, last = float(r.window[1]), float(r.window[-2])
    figure = fx.plot.lagged(r, spans={"calm": (first, last)})
    assert [(b, d) for _, b, _, d in boxes(figure)] == [(first, last)]
    assert words(figure) == ["calm"]


def test_player__annotates_its_curve(heat):
    film = heat.fhemb.plot.player(68, spans={"calm": (0.2, 0.5)})
    kinds = [m for m in film.layout.references() if type(m).__name__ == "BoxAnnotation"]
    (shade,) = [m for m in kinds if m.fill_alpha == 0.16]
    assert (shade.left, shade.right) == (0.2, 0.5)


def test_wrong__spans_are_refused():
    with pytest.raises(SchemaError, match="spans are a table"):
        fx.plot.signal(series(1), spans="calm")
