"""Regions of moving faces, against the places that the simulation knows."""

import itertools
import tracemalloc
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from counting_store import CountingStore
from dask._task_spec import Alias
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError
from fhemb_xr.kernels.regions import registration as kernel
from fhemb_xr.kernels.regions import template as built_in

SHAPE, T = (24, 18), 150
GRID = built_in.Grid(*SHAPE)


def audience(turn_deg=6.0, shift_px=0.6, **options):
    ds = fx.testing.audience(
        2, T / 25, shape=SHAPE, turn_deg=turn_deg, shift_px=shift_px, **options
    )
    return ds.compute()


@pytest.fixture(scope="module")
def moving():
    return audience()


@pytest.fixture(scope="module")
def found(moving):
    return fx.regions(moving, faces=True)


def drawn(at, cooler=0.0):
    """The template's face where a map puts it, by the formula of its spots."""
    across, down = np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0]))
    inverse = np.linalg.inv(np.vstack([at, [0, 0, 1]]))
    u, v = (inverse @ [across.ravel(), down.ravel(), np.ones(across.size)])[:2]
    u, v = u / GRID.aspect[0], v / GRID.aspect[1]
    out = 34 - 1.5 * (u**2 + v**2)
    for name, part in built_in.PARTS.items():
        warmer = part.warmer - (cooler if name == "nose_tip" else 0)
        out += warmer * np.exp(
            -(((u - part.across) / part.wide) ** 2) - ((v - part.down) / part.high) ** 2
        )
    return np.where(u**2 + v**2 < 1.2, out, np.nan).reshape(SHAPE)


STRAIGHT = np.array([[12.0, 0, 8.5], [0, 12, 11.5]])


def moved(turn, size, x, y):
    turned = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.concatenate([turned @ STRAIGHT[:, :2], STRAIGHT[:, 2:] + [[x], [y]]], axis=1)


def registered(frames, motion="affine"):
    to = kernel.reference(built_in.face(GRID), built_in.spots(GRID), motion)
    weights = built_in.weights(GRID, ["nose_tip"])[:, to.seen]
    return kernel.register(frames, to, STRAIGHT, motion, np.ascontiguousarray(weights)), to


@pytest.mark.parametrize("motion", ["shift", "similarity", "affine"])
def test_registration__finds_maps_that_are_known(motion):
    rng = np.random.default_rng(0)
    turns = [(0, 1)] * 8 if motion == "shift" else list(zip(
        rng.uniform(-0.12, 0.12, 8), rng.uniform(0.94, 1.06, 8), strict=True
    ))  # fmt: skip
    maps = [moved(*t, *s) for t, s in zip(turns, rng.uniform(-2.5, 2.5, (8, 2)), strict=True)]
    out, _ = registered(np.stack([drawn(m) for m in maps]), motion)
    corners = np.array([[-0.4, -0.6, 1], [0.4, 0.5, 1]]).T
    np.testing.assert_allclose(out.maps @ corners, np.stack(maps) @ corners, atol=0.12)


def test_registration__residual_is_that_of_least_squares_at_its_map():
    rng = np.random.default_rng(1)
    frame = drawn(moved(0.1, 1.03, 1.2, -0.7)) + 0.05 * rng.normal(size=SHAPE)
    frame[3:6, 3:6] = np.nan
    out, to = registered(frame[None])
    x, y = out.maps[0] @ np.concatenate([to.places, np.ones((len(to.places), 1))], axis=1).T
    pixels = map_coordinates(frame, [y, x], order=1, cval=np.nan)
    there = np.isfinite(pixels)
    assert 0 < (~there).sum() < 60
    design = to.columns[there]
    rest = np.linalg.lstsq(design, pixels[there], rcond=None)[1]
    expected = np.sqrt(rest[0] / (there.sum() - design.shape[1]))
    np.testing.assert_allclose(out.residual[0], expected, rtol=2e-3)
    assert 0.03 < expected < 0.08
    weights = built_in.weights(GRID, ["nose_tip"])[0, to.seen]
    mean = (weights * pixels)[there].sum() / weights[there].sum()
    np.testing.assert_allclose(out.sums[0, 0, 0] / out.sums[0, 0, 1], mean, rtol=1e-12)


def test_registration__of_a_nose_that_cools_stays_where_it_is():
    out, _ = registered(np.stack([drawn(STRAIGHT, k) for k in (0, 1, 2)]))
    np.testing.assert_allclose(out.maps, np.broadcast_to(out.maps[0], (3, 2, 3)), atol=0.05)
    nose = out.sums[:, 0, 0] / out.sums[:, 0, 1]
    np.testing.assert_allclose(np.diff(nose), nose[1] - nose[0], rtol=0.02)
    assert nose[0] - nose[1] > 0.5


def test_regions__follow_the_places_that_the_simulation_knows(moving, found):
    true = moving.true_landmark.sel(feature=["nose_tip", "perioral", "forehead"])
    error = found.landmark.sel(feature=true.feature) - true
    assert np.isfinite(error).all()
    scatter, travelled = (v.std("time").max(("subject", "axis")) for v in (error, true))
    assert (travelled > 0.8).all()
    assert (scatter < 0.16).all()
    assert abs(error.sel(feature="nose_tip").mean("time")).max() < 0.25
    assert (found.match > 0.95).all()
    assert float(found.residual.median()) < 0.05
    nose = found.drift.sel(feature="nose_tip")
    far = true.sel(feature="nose_tip")
    far = np.sqrt(((far - far.mean("time")) ** 2).sum("axis"))
    assert float(xr.corr(nose, far, "time").min()) > 0.9


def test_regions__of_a_moving_face_have_the_temperature_of_the_still_one(found):
    still = fx.regions(audience(0, 0)).embedding
    difference = found.embedding - still
    assert float(abs(difference.mean("time")).max()) < 0.2
    scatter = difference.std("time").max("subject").squeeze()
    assert (scatter < 0.06).all(), scatter.values
    assert float(still.std("time").min()) > 0.3
    assert found.embedding.dims == ("subject", "session", "time", "feature")
    assert found.embedding.attrs == {
        "long_name": "mean temperature of the region", "units": "degC", "sampling_rate": 25.0,
    }  # fmt: skip
    fx.pairwise(found.embedding, "correlation")
    fx.isc(found.embedding.sel(feature="nose_tip"))


@settings(max_examples=4)
@given(cuts=st.sets(st.integers(1, T - 1), max_size=5), people=st.integers(1, 2))
def test_regions__do_not_depend_on_chunks(moving, found, cuts, people):
    chunks = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    lazy = fx.regions(moving.chunk(time=chunks, subject=people), faces=True)
    assert lazy.embedding.chunks
    xr.testing.assert_allclose(lazy.compute(scheduler="synchronous"), found, rtol=0, atol=1e-9)


def tasks_that_run(x):
    graph = dask.optimize(x)[0].__dask_graph__()
    return sum(not isinstance(task, Alias) for task in graph.values())


def test_regions__compute_nothing_and_have_few_tasks_a_chunk(moving, computes):
    heat = moving.heatmap.isel(subject=[0]).assign_attrs(temperature_threshold=25.0)
    with computes(0):
        few, many = (fx.regions(heat.chunk(time=n)).embedding.data for n in (15, 5))
    assert few.dtype == "f8"
    tasks = [tasks_that_run(x) for x in (few, many)]
    reading = 2  # a chunk of an array in memory, and its mask
    assert (tasks[1] - tasks[0]) / (30 - 10) < 5 + reading, tasks


@pytest.mark.parametrize("threshold", [None, 25.0])
def test_regions__read_a_chunk_in_each_pass_and_keep_none(moving, threshold):
    frames = moving.heatmap.values
    store = CountingStore(frames)
    chunks = (1, 1, 15, *frames.shape[-2:])
    none = np.empty((0,) * frames.ndim)  # else dask asks the store for nothing
    pixels = da.from_array(store, chunks=chunks, asarray=False, meta=none)
    heat = moving.heatmap.copy(data=pixels)
    out = fx.regions(heat, refine=2, threshold=threshold)
    with dask.config.set(scheduler="synchronous"):
        out.embedding.compute()
    assert store.reads == 4 * pixels.npartitions  # of the first face, of two better ones, last
    assert store.most <= 2


def test_regions__of_a_lazy_template_are_the_same(moving, found):
    expected = fx.regions(moving, template=found)
    out = fx.regions(moving, template=found.chunk())
    xr.testing.assert_allclose(out.compute(scheduler="synchronous"), expected)


def test_regions__of_one_stack_are_those_of_all(moving, found):
    heat = moving.heatmap.isel(subject=1, session=0).assign_attrs(temperature_threshold=25.0)
    expected = found.isel(subject=1, session=0).drop_vars(["reference", "weight"])
    for one in (heat, heat.chunk(time=70)):
        out = fx.regions(one).compute(scheduler="synchronous")
        xr.testing.assert_allclose(out, expected, rtol=0, atol=1e-9)


def test_regions__memory_is_that_of_some_frames():
    rng = np.random.default_rng(0)
    frames = (drawn(STRAIGHT) + 0.03 * rng.normal(size=(600, *SHAPE))).astype("f4")
    registered(frames[:2])
    tracemalloc.start()
    registered(frames)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 64 * 8 * frames[0].size * 1.1 + 600 * 300 + 2**18


def test_regions__of_lost_frames_hidden_parts_and_nobody(moving, found):
    ds = moving.copy(deep=True)
    ds.heatmap[0, 0, 10:20] = np.nan
    ds.heatmap[0, 0, 40:50, :7] = np.nan  # a hand before the forehead
    ds.heatmap[0, 0, 60:70, :, :11] = np.nan  # more than half of the face
    ds.heatmap[1] = np.nan
    out = fx.regions(ds)
    lost = np.isnan(out.embedding[0, 0])
    assert lost[10:20].all()
    assert lost[60:70].all()
    assert lost[40:50].sel(feature="forehead").all()
    seen = out.embedding[0, 0, 40:50].sel(feature=["nose_tip", "perioral"])
    assert float(abs(seen - found.embedding[0, 0, 40:50]).max()) < 0.1
    coverage = out.coverage[0, 0, 40:50].sel(feature="forehead")
    assert (coverage.dropna("time") < 0.5).all()
    assert coverage.count() > 5
    assert float(lost[np.r_[0:10, 20:40, 50:60, 70:T]].mean()) < 0.1
    assert all(np.isnan(v[1]).all() for v in out.values())


def test_regions__say_of_how_many_people_no_face_is_like_the_template(moving, computes):
    ds = xr.concat([moving] * 2, "subject").assign_coords(subject=range(4))
    ds.heatmap[1] = np.nan  # nobody is there
    ds.heatmap[2] = 60 - ds.heatmap[2]  # what is warm is cold
    say = "no face like the template in 1 of 3 mean faces: their regions are NaN"
    with pytest.warns(UserWarning, match=say):
        out = fx.regions(ds, "forehead")
    assert np.isnan(out.match[1]).all()
    assert (out.match[2] == 0).all()
    assert np.isnan(out.embedding[1:3]).all()
    with computes(0):
        lazy = fx.regions(ds.chunk(subject=1, time=50), "forehead")
    with pytest.warns(UserWarning, match=say):
        xr.testing.assert_allclose(lazy.embedding.compute(scheduler="sync"), out.embedding)


def test_regions__of_another_template_lie_where_its_weights_say(moving, found):
    own = found.isel(subject=[0])
    chin = own.weight.isel(feature=[0]).assign_coords(feature=["chin"]).roll(y=7)
    own = own.drop_dims("feature").assign(weight=xr.concat([own.weight, chin], "feature"))
    out = fx.regions(moving, ["chin", "nose"], template=own)
    assert out.feature.values.tolist() == ["chin", "nose_tip"]
    below = out.landmark.sel(feature="chin", axis="y") - out.landmark.sel(
        feature="nose_tip", axis="y"
    )
    np.testing.assert_allclose(below.mean("time"), 7, atol=1)
    assert (out.match > 0.95).all()
    with pytest.raises(UnknownNameError, match="no region 'cheek_l'"):
        fx.regions(moving, "cheek_l", template=own.isel(feature=[0, 5]))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"names": "ear"}, UnknownNameError, "no region 'ear': there are nose_tip"),
        ({"names": []}, ValueError, "no region was asked for"),
        ({"motion": "bend"}, UnknownNameError, "no motion 'bend'"),
        ({"refine": -1}, ValueError, "refine is a whole number from 0 on"),
        ({"faces": 1}, ValueError, "faces is True or False"),
        ({"template": xr.Dataset()}, SchemaError, "faces=True"),
    ],
)
def test_regions__refuse_what_they_cannot_do(moving, options, error, words):
    with pytest.raises(error, match=words):
        fx.regions(moving, **options)


def test_regions__need_pixels_and_whole_frames(moving):
    with pytest.raises(SchemaError, match="8 x 8 pixels or more, found 24 x 6"):
        fx.regions(moving.isel(x=slice(6)))
    with pytest.raises(ValueError, match="a frame must be whole"):
        fx.regions(moving.chunk(y=12))
    with pytest.raises(SchemaError, match="'time'"):
        fx.regions(moving.heatmap.isel(time=0))


CLIP = Path(__file__).parents[4] / "shared" / "data" / "audience_face.npz"


@pytest.mark.skipif(not CLIP.exists(), reason="no clip of a real face beside the repository")
def test_regions__of_a_real_face_go_with_the_jumps_of_its_box():
    """The box follows the head in whole pixels: parts of the face jump against it, as known."""
    frames = np.load(CLIP)["roi"]
    heat = xr.DataArray(frames, dims=("time", "y", "x"), attrs={"sampling_rate": 25.0})
    out = fx.regions(heat, threshold=28)
    assert float(np.isnan(out.embedding.sel(feature="nose_tip")).mean()) < 0.05
    assert 0.5 < out.match < 0.95  # it looks aside
    steps = out.landmark.sel(feature="nose_tip").diff("time").sel(axis=["y", "x"]).values
    jumps = np.array([jump(a, b) for a, b in itertools.pairwise(frames)])
    jumped = np.abs(jumps).max(axis=1) > 0
    assert jumped.sum() > 50
    assert np.nanmean(np.abs(steps - jumps)[jumped]) < 0.12
    assert np.nanmean(np.abs(steps)[~jumped]) < 0.06


def jump(a, b):
    """Whole pixels by which a face has moved to the next frame: what leaves the least."""
    inside = (slice(8, -8), slice(8, -8))
    shifts = list(itertools.product((-2, -1, 0, 1, 2), repeat=2))
    left = [np.std(a[inside] - np.roll(b, (-i, -j), (0, 1))[inside]) for i, j in shifts]
    return shifts[int(np.argmin(left))]
