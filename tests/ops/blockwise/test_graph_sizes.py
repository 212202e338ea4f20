"""Tasks per stored chunk, before dask optimises: what building, sending and ordering cost."""

import pytest

import fhemb_xr as fx
from fhemb_xr.io import encoding

PEOPLE, CHUNKS = 4, 135  # half the frames of an opera
LARGEST = {
    "open": 1.01,
    "features": 2.01,
    "moments": 2.08,
    "histograms": 1.25,
    "covariance": 0.65,
    "randomized": 0.7,
    "embed with pc": 1.65,
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A recording without a file of data: nothing here reads any."""
    path = tmp_path_factory.mktemp("opera") / "opera.zarr"
    group = encoding.create_recording(
        path, subjects=list(range(PEOPLE)), sessions=["a"], n_frames=1000 * CHUNKS,
        shape=(60, 90), sampling_rate=25.0, title="", threshold=25.0,
    )  # fmt: skip
    encoding.set_axes(group, [(0, 1000 * CHUNKS)], 25.0)
    group.attrs.update({encoding.STATUS: encoding.COMPLETE})
    return fx.open_recording(path)


def of(ds, what):
    """The lazy result that is counted."""
    heat = ds.heatmap
    return {
        "open": lambda: heat,
        "features": lambda: fx.embed(ds, ["mean", "skew", ("p5", "p95")]),
        "moments": lambda: fx.moments(heat),
        "histograms": lambda: fx.embed(ds, ["mean", "bh0"]),
        "covariance": lambda: fx.pca(heat),
        "randomized": lambda: fx.pca(heat, method="randomized"),
        "embed with pc": lambda: fx.embed(ds, ["mean", ("pc0", "pc4")]),
    }[what]()


@pytest.mark.parametrize("what", LARGEST)
def test_graph__has_few_tasks_for_each_chunk(recording, what, computes):
    with computes(0):
        graph = of(recording, what).__dask_graph__()
    assert len(graph) / (PEOPLE * CHUNKS) <= LARGEST[what]


def test_graph__of_a_second_pass_waits_for_the_first_of_the_same_person(recording):
    graph = fx.embed(recording, ["mean", "pc0"]).__dask_graph__()
    assert not any(name.startswith("unpacked-") for name in graph.layers)  # each pass reads
    (second,) = (name for name in graph.layers if name.startswith("joined-in-one-"))
    for person in range(PEOPLE):
        before = graph.layers[second][(second, person, 0, 7, 0)].dependencies
        assert {key[1] for key in before if isinstance(key, tuple)} == {person}
