"""Randomised components: products of frames with vectors, and what is made of them."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.kernels.pca import float32_products, pixel_statistics, randomized
from fhemb_xr.ops.pca import randomized as op

P = randomized.WIDE + 3  # no multiple of four


def frames(n=90, p=P, dtype="f4", seed=0):
    """Frames of uneven pixels, with gaps: some pixels always, some at times, one frame."""
    rng = np.random.default_rng(seed)
    x = 33 + rng.normal(size=(n, p)) * rng.uniform(0.1, 3, p)
    x[:, :40], x[5, 50], x[6, 51], x[n // 2] = np.nan, np.nan, np.inf, np.nan
    return x.astype(dtype)


def centred(x):
    """float64 deviations of the pixels that are there in all frames with a face, else 0."""
    face = np.isfinite(x).any(axis=1)
    inside = np.isfinite(x[face]).all(axis=0)
    d = np.zeros(x.shape)
    d[np.ix_(face, inside)] = x[face][:, inside].astype("f8")
    d[np.ix_(face, inside)] -= d[np.ix_(face, inside)].mean(axis=0)
    return d, inside


@pytest.mark.parametrize("n", [3, 90, float32_products.RUN + 40])
def test_products__of_float32_err_less_than_their_bound(n):
    x = frames(max(n, 8))[:n]
    vectors = randomized.start(0, 6, P)
    pixels = pixel_statistics.pixel_state(x)
    found = randomized.product(x, pixels, vectors)
    d, inside = centred(x)
    exact = (vectors @ d.T) @ d
    bound = 2.0**-24 * (P + 1024) * np.sqrt((d**2).sum(0)) * np.sqrt((d**2).sum())
    error = np.abs(found - exact)
    assert error.max() > 0  # it is float32
    assert (error <= bound * np.abs(vectors).max()).all()
    assert error.max() < 1e-6 * np.abs(exact).max()
    assert not found[:, ~inside].any()


def test_pixel_state__of_float32_in_one_sweep_is_that_of_float64():
    x = frames(150)
    found, exact = pixel_statistics.pixel_state(x), pixel_statistics.pixel_state(x.astype("f8"))
    np.testing.assert_array_equal(found[[0, 1, 4, 5]], exact[[0, 1, 4, 5]])
    np.testing.assert_allclose(found, exact, rtol=1e-10)
    finite = np.where(np.isfinite(x), x, np.nan).astype("f8")[:, 40:]
    np.testing.assert_allclose(exact[pixel_statistics.MEAN, 40:], np.nanmean(finite, axis=0))
    m2 = np.nanvar(finite, axis=0) * np.isfinite(finite).sum(axis=0)
    np.testing.assert_allclose(exact[pixel_statistics.M2, 40:], m2)
    assert np.isnan(pixel_statistics.pixel_state(x[:, :40])[pixel_statistics.LOW]).sum() == 0


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sketch__of_parts_merged_is_that_of_the_whole(dtype):
    x, vectors = frames(dtype=dtype), randomized.start(1, 5, P)
    x[5:7, 50:52] = 33  # gaps that only some parts have are where merging is not exact
    parts = np.stack(
        [randomized.sketch(x[a:b], vectors) for a, b in ((0, 7), (7, 46), (46, 90))]
    )
    merged, whole = randomized.merged(parts, vectors), randomized.sketch(x, vectors)
    tolerance = 1e-6 if dtype == "f4" else 1e-12
    scale = np.abs(whole[pixel_statistics.ROWS :]).max()
    d, _ = centred(x)
    exact = (vectors @ d.T) @ d
    for found in (merged, whole):
        np.testing.assert_allclose(
            found[pixel_statistics.ROWS :], exact, atol=tolerance * scale
        )
    np.testing.assert_allclose(
        merged[: pixel_statistics.ROWS], whole[: pixel_statistics.ROWS], rtol=1e-9
    )


def test_products__take_the_memory_they_say():
    n, count = 2000, 24
    x, vectors = frames(n), randomized.start(0, count, P)
    pixels = pixel_statistics.pixel_state(x)
    randomized.scaled_product(x, pixels, vectors, scaler="standard")  # compiled now
    for function, most in (
        (lambda: randomized.scaled_product(x, pixels, vectors, scaler="standard"), 0),
        (lambda: randomized.sketch(x, vectors), 0),
        (
            lambda: randomized.sketch(x.astype("f8"), vectors),
            9 * n * P + 25 * P * randomized.RUN,
        ),
    ):
        tracemalloc.start()
        function()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak <= most + 32 * P * (count + 10)


def spectrum(name):
    i = np.arange(1, 301)
    return {
        "slow": i**-0.5,
        "steep": 0.8**i + 1e-3,
        "flat": 1 + 0.1 * np.linspace(1, 0, 300),
        "even": 1.0 / i,
    }[name]


@pytest.mark.parametrize("name", ["slow", "steep", "flat", "even"])
def test_randomized__in_three_passes_is_nearer_than_subspace_iteration_in_five(name):
    k, rng = 10, np.random.default_rng(2)
    turn = np.linalg.qr(rng.normal(size=(300, 300)))[0]
    x = rng.normal(size=(1500, 300)) * np.sqrt(spectrum(name)) @ turn.T
    x -= x.mean(axis=0)
    gram = x.T @ x / (len(x) - 1)
    truth = np.linalg.eigvalsh(gram)[::-1][:k]

    def iterated(seed):
        q = np.random.default_rng(seed).normal(size=(300, k + 10))
        for _ in range(3):
            q = np.linalg.qr(gram @ q)[0]
        return np.linalg.eigvalsh(q.T @ gram @ q)[::-1][:k]

    def ours(seed):
        heat = xr.DataArray(33 + x.reshape(-1, 20, 15), dims=("time", "y", "x"))
        basis = fx.pca(heat.chunk(time=400), k, method="randomized", seed=seed)
        return basis.explained_variance.values

    old, new = (
        np.median([np.abs(f(s) / truth - 1).max() for s in range(3)]) for f in (iterated, ours)
    )
    assert new < old


@pytest.mark.parametrize("scaler", ["center", "standard"])
def test_randomized__of_wide_float32_frames_with_gaps_is_the_covariance(scaler):
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(700, 30)) * (9 * 0.75 ** np.arange(30))
    x = frames(700) + weights @ rng.normal(size=(30, P))
    heat = xr.DataArray(x.astype("f4")[:, None], dims=("time", "y", "x")).chunk(time=150)
    exact = fx.pca(heat.astype("f8"), 6, scaler=scaler).compute()
    found = fx.pca(heat, 6, method="randomized", scaler=scaler, seed=0).compute()
    xr.testing.assert_equal(found["mask"], exact["mask"])
    for name, tolerance in (("mean", 1e-9), ("scale", 1e-9), ("explained_variance", 1e-6)):
        np.testing.assert_allclose(found[name], exact[name], rtol=tolerance)
    ratio = "explained_variance_ratio"
    np.testing.assert_allclose(found[ratio], exact[ratio], rtol=1e-6)
    np.testing.assert_allclose(found.components, exact.components, atol=1e-4)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_randomized__of_few_pixels_or_frames_is_exact(n):
    x = np.random.default_rng(5).normal(30, 2, (n, 3, 4))
    heat = xr.DataArray(x, dims=("time", "y", "x")).chunk(time=2)
    k = min(n, 12)
    exact = fx.pca(heat, k)
    found = fx.pca(heat, k, method="randomized", seed=0).compute()
    np.testing.assert_allclose(found.explained_variance, exact.explained_variance, rtol=1e-9)
    still = fx.pca(xr.full_like(heat, 33.0), k, method="randomized", seed=0)
    assert (still.explained_variance.fillna(0) == 0).all()


def test_randomized__has_fewer_passes_where_vectors_span_all_pixels():
    heat = xr.DataArray(np.ones((8, 4, 4)), dims=("time", "y", "x")).chunk(time=2)
    passes = {
        shape: len(
            [
                key
                for key in fx.pca(
                    xr.DataArray(np.ones((8, *shape)), dims=heat.dims).chunk(time=2),
                    2, method="randomized", seed=0,
                )["mean"].__dask_graph__()
                if "spread_out" in str(key)
            ]
        )
        for shape in ((4, 4), (4, 5))
    }  # fmt: skip
    assert 2 + op.EXTRA == 16
    assert passes == {(4, 4): 4, (4, 5): 8}


@pytest.mark.parametrize("method", ["covariance", "randomized"])
def test_pca__of_a_sample_beyond_what_float32_can_square(method):
    from fhemb_xr.ops.pca.eigenfaces import pca

    x = (33 + np.random.default_rng(0).normal(size=(200, 1, 600))).astype("f4")
    x[5, 0, 7] = 1e20
    frames = xr.DataArray(x, dims=("time", "y", "x")).chunk(time=70)
    found = pca(frames, 1, method=method, seed=0)
    expected = x[:, 0, 7].astype("f8").var(ddof=1)
    np.testing.assert_allclose(found.explained_variance, [expected], rtol=1e-6)


@pytest.mark.parametrize("method", ["covariance", "randomized"])
def test_pca__of_whole_numbers(method):
    from fhemb_xr.ops.pca.eigenfaces import pca

    x = np.random.default_rng(0).integers(20, 40, (60, 4, 5)).astype("i2")
    whole = xr.DataArray(x, dims=("time", "y", "x")).chunk(time=25)
    found = pca(whole, 3, method=method, seed=0)
    expected = pca(whole.astype("f8"), 3, method=method, seed=0)
    np.testing.assert_allclose(found.explained_variance, expected.explained_variance)


@pytest.mark.parametrize("method", ["covariance", "randomized"])
def test_scale__of_a_flat_pixel_is_one(method):
    from fhemb_xr.ops.pca.eigenfaces import pca

    x = 33 + np.random.default_rng(0).normal(size=(100, 2, 8))
    x[:, 1, 3] = 31.37
    found = pca(xr.DataArray(x, dims=("time", "y", "x")), 2, method=method, scaler="standard")
    assert found.scale.values[1, 3] == 1
    np.testing.assert_allclose(found.scale.values[0], x[:, 0].std(axis=0))
