import dask
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError
from fhemb_xr.ops.frames.feature_names import STATISTICS, expand

ALL = [*STATISTICS, ("p0", "p100"), "p2.5", ("bh0", "bh9"), "g0_0"]
EPS32 = float(np.finfo("f4").eps)


def frames(n=30, shape=(9, 7), seed=0, dtype="f4"):
    """Frames with a skewed spread, a NaN border, one empty and one constant frame."""
    rng = np.random.default_rng(seed)
    data = (30 + rng.gamma(2.0, size=(2, 1, n, *shape))).astype(dtype)
    data[..., 0, :] = np.nan
    data[0, 0, 3] = np.nan
    data[1, 0, 4, 1:] = 33
    return xr.DataArray(
        data,
        dims=("subject", "session", "time", "y", "x"),
        coords={"subject": [40, 41], "time": np.arange(n) / 25},
        attrs={"units": "degC", "sampling_rate": 25.0},
    )


def by_hand(pixels):
    """The nine statistics of one frame's visible pixels, by numpy and scipy."""
    v = pixels[np.isfinite(pixels)].astype("f8")
    if not v.size:
        return np.full(9, np.nan)
    share = np.histogram(v, 30)[0] / v.size
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum() if np.ptp(v) else 0.0
    constant = np.ptp(v) == 0
    shape = (np.nan, np.nan) if constant else (scipy.stats.skew(v), scipy.stats.kurtosis(v))
    return np.array(
        [v.max(), v.min(), v.mean(), v.var(), v.std(), np.median(v), *shape, entropy]
    )


@pytest.mark.parametrize("threshold", [None, 31.5])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_features__statistics_and_percentiles_match_numpy_and_scipy(threshold, dtype):
    heat = frames(dtype=dtype)
    out = fx.features(heat.chunk(time=7), [*STATISTICS, ("p0", "p100")], threshold=threshold)
    x = heat.values.astype("f8")
    if threshold is not None:
        x[~(x >= threshold)] = np.nan
    # computed in float64, stored with the dtype of the input: half an ulp of 40 degC
    exact = {"rtol": 1e-12, "atol": 1e-11} if dtype == "f8" else {"rtol": EPS32, "atol": 2e-6}
    for where in np.ndindex(2, 1, 30):
        found = out.values[where]
        np.testing.assert_allclose(found[:9], by_hand(x[where]), **exact)
        v = x[where][np.isfinite(x[where])]
        if v.size:
            expected = np.percentile(v, np.arange(0, 101, 5))
            np.testing.assert_allclose(found[9:], expected, rtol=EPS32)
        else:
            assert np.isnan(found).all()


@given(
    st.lists(st.floats(20, 40, width=32) | st.just(np.nan), min_size=6, max_size=6),
    st.floats(0, 100),
)
def test_features__any_percentile_of_any_pixels_matches_numpy(values, share):
    heat = xr.DataArray(np.array(values).reshape(1, 2, 3), dims=("time", "y", "x"))
    name = f"p{share:.3f}"
    found = fx.features(heat, [name]).item()
    v = np.array(values)[np.isfinite(values)]
    expected = np.percentile(v, float(name[1:])) if v.size else np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_features__percentiles_of_ties_and_outliers_match_numpy():
    rng = np.random.default_rng(1)
    many = np.round(rng.normal(33, 1, (4, 60, 50)), 1)
    many[0, 0, 0] = 1e6  # all other pixels fall into one bucket
    many[1] = 33.0
    heat = xr.DataArray(many, dims=("time", "y", "x"))
    found = fx.features(heat, [("p0", "p100"), "median"])
    expected = np.percentile(many.reshape(4, -1), [*range(0, 101, 5), 50], axis=1).T
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("density", [True, False])
def test_features__sturges_histogram_matches_numpy_per_subject(density):
    heat = frames()
    out = fx.features(
        heat.chunk(time=8), [("bh0", "bh15")], threshold=31, density=density
    ).compute()
    for s in range(2):
        stack = heat.values[s].astype("f8")
        pooled = stack[stack >= 31]
        k = int(np.ceil(np.log2(pooled.size) + 1))
        edges = np.linspace(pooled.min(), pooled.max(), k + 1)
        kept = min(k, 16)
        np.testing.assert_allclose(out.bin_edges.values[s, 0, :kept], edges[:kept])
        np.testing.assert_allclose(out.bin_upper.values[s, 0, :kept], edges[1 : kept + 1])
        assert np.isnan(out.values[s, :, :, k:]).all()
        for t in range(30):
            v = stack[0, t][stack[0, t] >= 31]
            if v.size:
                expected = np.histogram(v, edges, density=density)[0][:16]
                np.testing.assert_allclose(out.values[s, 0, t, :kept], expected, rtol=1e-6)


def test_features__histogram_takes_a_number_or_edges_and_edges_need_no_second_pass(computes):
    heat = frames().chunk(time=10)
    edges = [30.0, 31.0, 33.0, 40.0]
    out = fx.features(heat, [("bh0", "bh2")], bins=edges, density=False)
    v = heat.values[0, 0, 0]
    expected = np.histogram(v[np.isfinite(v)], edges)[0]
    np.testing.assert_array_equal(out[0, 0, 0], expected)
    fixed = fx.features(heat, [("bh0", "bh9")], bins=10)
    assert np.isfinite(fixed.isel(time=0)).all()
    assert len(out.__dask_graph__()) < len(fixed.__dask_graph__())


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=40),
    st.lists(st.integers(-3, 15), min_size=2, max_size=9, unique=True),
)
def test_features__histogram_counts_ties_with_edges_as_numpy(values, edges):
    v, edges = np.array(values) / 4 + 30, np.sort(edges) / 4 + 30
    heat = xr.DataArray(v.astype("f4")[None, None], dims=("time", "y", "x"))
    found = fx.features(heat, [("bh0", f"bh{len(edges) - 2}")], bins=edges, density=False)
    np.testing.assert_array_equal(found[0], np.histogram(v, edges)[0])


@pytest.mark.parametrize(("bins", "passes"), [("sturges", 2), ([30.0, 31.0], 1)])
def test_features__range_is_a_pass_of_its_own_and_no_chunk_waits_for_it(bins, passes):
    reads = []

    def read(x, block_info):
        reads.append(block_info[0]["chunk-location"])
        return x

    heat = frames(n=40).chunk(time=5, subject=1)
    heat.data = heat.data.map_blocks(read, meta=heat.data._meta)
    out = fx.features(heat, ["mean", "bh0"], threshold=31, bins=bins)
    out.compute(scheduler="synchronous")
    assert len(reads) == passes * 16
    for person in range(2):  # nobody waits for the range of others
        own = [place for place in reads if place[0] == person]
        assert len(set(own[:8])) == len(set(own[-8:])) == 8


def test_features__coarse_grid_is_the_mean_of_visible_pixels_in_each_cell():
    heat = frames()
    out = fx.features(heat, ["g0_0", "g1_1"])
    x = heat.values.astype("f8")
    with np.errstate(invalid="ignore"):
        corner = np.nanmean(x[1, 0, :, 0:5, 0:5], axis=(-2, -1))
        rest = np.nanmean(x[1, 0, :, 5:10, 5:10], axis=(-2, -1))
    np.testing.assert_allclose(out[1, 0, :, 0], corner, rtol=EPS32)
    np.testing.assert_allclose(out[1, 0, :, 1], rest, rtol=EPS32)


@given(cuts=st.sets(st.integers(1, 29)), subjects=st.integers(1, 2))
def test_features__do_not_depend_on_chunks(cuts, subjects):
    heat = frames()
    chunks = tuple(np.diff([0, *sorted(cuts), 30]).tolist())
    out = fx.features(heat.chunk(time=chunks, subject=subjects), ALL, threshold=31)
    xr.testing.assert_identical(out.compute(), fx.features(heat, ALL, threshold=31))


def test_features__are_lazy_and_keep_the_promised_dtype(computes):
    for dtype in ("f4", "f8"):
        with computes(0):
            out = frames(dtype=dtype).chunk(time=7).fhemb.features(ALL, threshold=31)
        assert out.dtype == out.compute().dtype == dtype
        assert out.name == "embedding"
        assert out.dims == ("subject", "session", "time", "feature")
        assert out.attrs == {"long_name": "features of each frame", "sampling_rate": 25.0}
    ints = (frames().fillna(0) * 1).astype("i4").chunk(time=9)
    assert (
        fx.features(ints, ["mean"]).dtype == fx.features(ints, ["mean"]).compute().dtype == "f8"
    )


def test_features__work_on_a_single_stack_and_on_a_single_frame():
    stack = frames()[0, 0]
    assert fx.features(stack, ["mean", "bh0"]).dims == ("time", "feature")
    one = fx.features(stack[0], ["mean", "bh0"])
    assert one.dims == ("feature",)
    assert "sampling_rate" not in one.attrs


def test_features__of_two_calls_stay_apart():
    heat = frames().chunk(time=7)
    calls = [
        fx.features(heat, ["mean"]),
        fx.features(heat, ["max"]),
        fx.features(heat, ["mean"], threshold=32),
        fx.features(heat + 1, ["mean"]),
    ]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


@pytest.mark.parametrize("n", [8, 64])
def test_features__graph_is_linear_and_pixels_are_read_once(n):
    heat = frames(n=n * 2).chunk(time=2, subject=1)
    out = fx.features(heat, [*STATISTICS, ("p0", "p100")])
    chunks = 2 * n
    assert len(out.__dask_graph__()) - len(heat.__dask_graph__()) <= 3 * chunks + 10


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("mean", ["mean"]),
        (["skew", "max", "skew"], ["skew", "max"]),
        ([("p5", "p20")], ["p5", "p10", "p15", "p20"]),
        ([("p6", "p8")], ["p6", "p7", "p8"]),
        ([["pc0", "pc2"], "bh1"], ["pc0", "pc1", "pc2", "bh1"]),
    ],
)
def test_names__follow_the_originals_grammar_and_keep_the_order(names, found):
    assert expand(names) == found


def test_errors__say_what_is_allowed():
    heat = frames()
    with pytest.raises(
        UnknownNameError, match=r"no feature 'kurtois'; the nearest are kurtosis"
    ):
        fx.features(heat, ["kurtois"])
    with pytest.raises(UnknownNameError, match=r"no feature 'p101'"):
        fx.features(heat, ["p101"])
    with pytest.raises(UnknownNameError, match=r"no cell 'g2_0': the grid has 2 × 2 cells"):
        fx.features(heat, ["g2_0"])
    with pytest.raises(ValueError, match=r"one numbered family such as \('p5', 'p95'\)"):
        fx.features(heat, [("p5", "bh9")])
    with pytest.raises(ValueError, match=r"from low to high"):
        fx.features(heat, [("p50", "p5")])
    with pytest.raises(ValueError, match=r"pc features need a basis"):
        fx.features(heat, ["pc0"])
    with pytest.raises(ValueError, match=r"heat\.chunk\(y=-1, x=-1\)"):
        fx.features(heat.chunk(y=3), ["mean"])
    with pytest.raises(ValueError, match=r"bin edges increase"):
        fx.features(heat, ["bh0"], bins=[3.0, 2.0])
    with pytest.raises(SchemaError, match=r"\['y'\] missing"):
        fx.features(heat.isel(y=0), ["mean"])


def grassberger(counts):
    """By the digamma form of Grassberger (2003), independent of the kernel's sum."""
    n = counts.astype("f8")
    digamma = scipy.special.digamma
    g = digamma(n) + (-1) ** n * (digamma((n + 1) / 2) - digamma(n / 2)) / 2
    return np.log(n.sum()) - (n * g).sum() / n.sum()


def entropy_by_hand(v, bins, span, correction):
    counts = np.histogram(v, bins, span)[0]
    counts = counts[counts > 0]
    if not counts.size:
        return np.nan
    if correction == "grassberger":
        return grassberger(counts)
    more = (counts.size - 1) / 2 / counts.sum() if correction == "miller_madow" else 0
    return scipy.stats.entropy(counts) + more


@pytest.mark.parametrize("correction", ["none", "miller_madow", "grassberger"])
@pytest.mark.parametrize("span", [None, (31.0, 34.5), (20.0, 50.0), (33.0, 33.5)])
def test_entropy__matches_numpy_and_scipy_in_any_range(span, correction):
    heat = frames(dtype="f8")
    options = {"entropy_range": span, "entropy_correction": correction, "entropy_bins": 12}
    out = fx.features(heat.chunk(time=7), "entropy", **options)
    for where in np.ndindex(2, 1, 30):
        v = heat.values[where]
        v = v[np.isfinite(v)]
        if span is None and (not v.size or not np.ptp(v)):
            continue
        expected = entropy_by_hand(v, 12, span, correction)
        np.testing.assert_allclose(out.values[where], expected, rtol=1e-10, atol=1e-10)
    assert np.isnan(out.values[0, 0, 3]).all()


def test_entropy__of_a_fixed_range_does_not_depend_on_the_number_of_pixels():
    rng = np.random.default_rng(0)
    means = {}
    for n in (25, 900):
        x = xr.DataArray(rng.normal(33, 1, (200, n, 1)), dims=("time", "y", "x"))
        own = fx.features(x, "entropy")
        fixed = fx.features(
            x, "entropy", entropy_range=(28, 38), entropy_correction="Grassberger"
        )
        means[n] = float(own.mean()), float(fixed.mean())
    (own_few, few), (own_many, many) = means.values()
    assert abs(own_few - own_many) > 0.2
    assert abs(few - many) < 0.06
    assert abs(many - 2.522) < 0.01  # of the normal distribution in these 30 bins


def test_entropy__options_are_kept_in_the_specification_and_refused_where_unused():
    ds = fx.testing.audience(n_subjects=2, seconds=1)
    options = {"entropy_range": np.array([28.0, 36]), "entropy_correction": "miller_madow"}
    emb = fx.embed(ds, ["entropy", "mean"], **options)
    xr.testing.assert_identical(fx.replay(emb.attrs["fhemb_spec"], ds), emb)
    assert "entropy_range" not in fx.embed(ds, ["entropy"]).attrs["fhemb_spec"]
    assert not np.allclose(emb.sel(feature="entropy"), fx.embed(ds, ["entropy"])[..., 0])
    with pytest.raises(ValueError, match="of the feature 'entropy'"):
        fx.embed(ds, ["mean"], entropy_range=(28, 36))
    for wrong in ((36, 28), (28, np.inf), (28,), "ab", 3, (28, 30, 32)):
        with pytest.raises(ValueError, match="two rising numbers"):
            fx.embed(ds, ["entropy"], entropy_range=wrong)
    with pytest.raises(UnknownNameError, match="grassberger"):
        fx.embed(ds, ["entropy"], entropy_correction="grasberger")
