import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.pca import covariance as kernel


def faces(n=60, shape=(5, 4), subjects=(40, 41), seed=0):
    """Frames of a few patterns and noise; a corner is background, some pixels flicker."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(6, *shape)) * np.array([5, 3, 2, 1, 0.5, 0.2])[:, None, None]
    weights = rng.normal(size=(len(subjects), 1, n, 6))
    data = (
        33
        + np.tensordot(weights, patterns, 1)
        + 0.1 * rng.normal(size=(len(subjects), 1, n, *shape))
    )
    data[..., 0, 0] = np.nan
    data[0, 0, 7, 2, 2] = np.nan
    data[0, 0, 9] = np.nan
    return xr.DataArray(
        data,
        dims=("subject", "session", "time", "y", "x"),
        coords={"subject": list(subjects), "session": ["dg"], "time": np.arange(n) / 25},
        attrs={"units": "degC", "sampling_rate": 25.0},
    )


def matrix(heat):
    """Samples and the pixels of the mask, as scikit-learn wants them."""
    x = heat.values.reshape(-1, heat.shape[-2] * heat.shape[-1])
    x = x[np.isfinite(x).any(axis=1)]
    mask = np.isfinite(x).all(axis=0)
    return x[:, mask], mask


SCALERS = {"center": None, "standard": StandardScaler, "minmax": MinMaxScaler}


@pytest.mark.parametrize("scaler", SCALERS)
def test_pca__matches_scikit_learn_for_each_subject(scaler):
    heat = faces()
    basis = fx.pca(heat.chunk(time=13, subject=1), 4, scaler=scaler).compute()
    for s in range(2):
        x, mask = matrix(heat[s])
        if SCALERS[scaler]:
            x = SCALERS[scaler]().fit_transform(x)
        reference = PCA(4, svd_solver="full").fit(x)
        np.testing.assert_array_equal(basis.mask.values[s, 0].ravel(), mask)
        one = basis.isel(subject=s, session=0)
        # float64 throughout: errors are some hundred roundings of the total variance
        scale = 1e-12 * reference.explained_variance_.sum() * 10
        np.testing.assert_allclose(
            one.explained_variance, reference.explained_variance_, atol=scale, rtol=1e-11
        )
        np.testing.assert_allclose(
            one.explained_variance_ratio, reference.explained_variance_ratio_, atol=1e-11
        )
        found = one.components.values.reshape(4, -1)[:, mask]
        largest = np.abs(reference.components_).argmax(axis=1)
        sign = np.sign(reference.components_[range(4), largest])
        np.testing.assert_allclose(found, reference.components_ * sign[:, None], atol=1e-9)
        assert (found[range(4), np.abs(found).argmax(axis=1)] > 0).all()


def test_pca__centres_whatever_the_scaler_as_scikit_learn_does():
    heat = faces(subjects=(40,)).chunk(time=9)
    none, center = (fx.pca(heat, 3, scaler=s).drop_attrs() for s in ("none", "center"))
    xr.testing.assert_identical(none.compute(), center.compute())


def test_pca__pooled_is_that_of_all_frames_together():
    heat = faces()
    basis = fx.pca(heat.chunk(time=13, subject=1), 3, per="pooled").compute()
    x, mask = matrix(heat)
    reference = PCA(3, svd_solver="full").fit(x)
    assert basis.components.dims == ("component", "y", "x")
    np.testing.assert_array_equal(basis.mask.values.ravel(), mask)
    np.testing.assert_allclose(
        basis.explained_variance, reference.explained_variance_, rtol=1e-10
    )


@given(cuts=st.sets(st.integers(1, 59)))
def test_pca__does_not_depend_on_chunks(cuts):
    heat = faces()
    chunks = tuple(np.diff([0, *sorted(cuts), 60]).tolist())
    found, whole = fx.pca(heat.chunk(time=chunks), 4).compute(), fx.pca(heat, 4)
    xr.testing.assert_allclose(found, whole, rtol=1e-9, atol=1e-9)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 5))
def test_kernel__merged_parts_equal_the_whole(n, m, seed):
    x = np.random.default_rng(seed).normal(30, 2, (n + m, 5))
    x[0] = np.nan
    parts = np.stack([kernel.state(x[:n]), kernel.state(x[n:])])
    np.testing.assert_allclose(kernel.merge(parts), kernel.state(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("p", [1, 2, 5, 6])
def test_kernel__gram_matrix_is_folded_and_unfolded(p):
    x = np.random.default_rng(p).normal(30, 2, (9, p))
    found = kernel.gram(kernel.merge(np.stack([kernel.state(x[:4]), kernel.state(x[4:])])))
    np.testing.assert_allclose(found, (x - x.mean(0)).T @ (x - x.mean(0)), atol=1e-12)


def test_kernel__float32_products_err_less_than_their_bound():
    rng = np.random.default_rng(3)
    x = 33 + rng.normal(size=(300, kernel.WIDE)) * rng.uniform(0.1, 3, kernel.WIDE)
    single = x.astype("f4")
    exact = kernel.gram(kernel.state(single.astype("f8")))
    error = np.abs(kernel.gram(kernel.state(single)) - exact)
    spread = np.sqrt(np.outer(*[np.diagonal(exact)] * 2))
    assert error.max() > 0  # it is float32
    assert (error <= 300 * 2.0**-24 * spread).all()


@pytest.mark.parametrize("kind", ["faces", "noise", "constant", "twins"])
def test_kernel__leading_components_of_many_pixels_are_those_of_lapack(kind):
    rng, p = np.random.default_rng(5), kernel.WIDE
    x = rng.normal(size=(700, p)) * (kind != "constant")
    if kind in ("faces", "twins"):
        weights = rng.normal(size=(700, 20)) * (5 * 0.8 ** np.arange(20))
        x = x + weights @ rng.normal(size=(20, p))
    matrix = x.T @ x
    if kind == "twins":  # every variance twice
        half = matrix[: p // 2, : p // 2]
        matrix = np.kron(np.eye(2), half)
    values, vectors = kernel._leading(matrix.copy(), 8)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[-8:], rtol=1e-10)
    residual = matrix @ vectors - vectors * values
    assert np.abs(residual).max() <= 1e-10 * max(values[-1], 1e-300)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(8), atol=1e-10)


def test_pca__is_lazy_linear_and_keeps_dtype_and_units(computes):
    heat = faces().chunk(time=5, subject=1)
    with computes(0):
        basis = heat.to_dataset(name="heatmap").fhemb.pca(3)
    done = basis.compute()
    for name, var in basis.items():
        assert var.dtype == done[name].dtype == ("bool" if name == "mask" else "f8"), name
    assert basis["mean"].attrs["units"] == "degC"
    assert basis["explained_variance"].attrs["units"] == "(degC)^2"
    assert fx.pca(heat, 3, scaler="standard")["explained_variance"].attrs["units"] == "1"
    chunks = 24
    assert len(basis["mean"].__dask_graph__()) - len(heat.__dask_graph__()) < 5 * chunks + 30


def test_pca__of_two_calls_stay_apart():
    heat = faces().chunk(time=13)
    calls = [fx.pca(heat, 3), fx.pca(heat, 3, scaler="standard"), fx.pca(heat + 1, 3)]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


def test_pca__of_a_subject_without_a_face_is_nan_and_keeps_its_label():
    heat = faces()
    heat[1] = np.nan
    basis = fx.pca(heat.chunk(time=20), 3).compute()
    assert basis.subject.values.tolist() == [40, 41]
    assert not basis.mask.sel(subject=41).any()
    assert basis.components.sel(subject=41).isnull().all()
    assert basis.explained_variance.sel(subject=40).notnull().all()


def test_pca__of_constant_faces_has_no_variance():
    heat = xr.full_like(faces(), 33.0)
    basis = fx.pca(heat, 2)
    np.testing.assert_array_equal(basis.explained_variance, 0)
    np.testing.assert_array_equal(basis.explained_variance_ratio, 0)


def test_project__then_reconstruct_gives_the_frames_back(computes):
    heat = faces().chunk(time=13, subject=1)
    basis = fx.pca(heat, 19)
    with computes(0):
        scores = fx.project(heat, basis)
        again = fx.reconstruct(scores, basis)
    assert scores.dtype == scores.compute().dtype == again.dtype == np.float64
    assert scores.attrs["sampling_rate"] == 25
    second = heat.sel(subject=41).values  # all its pixels but the corner are in the mask
    np.testing.assert_allclose(again.sel(subject=41), second, atol=1e-9)
    assert again.attrs["units"] == "degC"


def test_project__scores_are_those_of_scikit_learn():
    heat = faces()
    basis = fx.pca(heat, 3, scaler="standard")
    scores = fx.project(heat.chunk(time=7), basis).sel(subject=41).squeeze("session")
    x, _ = matrix(heat[1])
    x = StandardScaler().fit_transform(x)
    reference = PCA(3, svd_solver="full").fit(x)
    expected = reference.transform(x)
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), atol=1e-8)
    np.testing.assert_allclose(scores.var("time", ddof=1), reference.explained_variance_)


def test_project__frame_with_a_gap_inside_the_mask_has_no_scores():
    heat = faces()
    basis = fx.pca(heat, 3)
    broken = heat.copy()
    broken[1, 0, 5, 3, 3] = np.nan
    scores = fx.project(broken, basis)
    assert scores[1, 0, 5].isnull().all()
    assert scores[1, 0, 6].notnull().all()
    assert scores[0, 0, 9].isnull().all()


def test_project__of_others_on_a_pooled_or_loaded_basis():
    basis = fx.pca(faces(), 3, per="pooled").compute()
    scores = fx.project(faces(subjects=(50, 51, 52), seed=4).chunk(time=11), basis)
    assert scores.shape == (3, 1, 60, 3)
    assert scores.sel(subject=[51, 52]).notnull().all()


def test_project__of_kelvin_on_a_basis_of_celsius_is_refused_or_converted():
    heat = faces().assign_attrs(units="degC")
    kelvin = (heat + 273.15).assign_attrs(heat.attrs | {"units": "K"})
    basis = fx.pca(heat, 3)
    with pytest.raises(SchemaError, match="the unit 'K', the basis 'degC'"):
        fx.project(kelvin, basis, threshold=None)
    of_kelvin = fx.project(kelvin, fx.pca(kelvin, 3, threshold=None), threshold=None)
    of_celsius = fx.project(heat, fx.pca(heat, 3, threshold=None), threshold=None)
    np.testing.assert_allclose(of_kelvin, of_celsius, atol=1e-3)


def test_reconstruct__goes_by_the_labels_of_the_scores():
    heat = faces()
    basis = fx.pca(heat, 3)
    scores = fx.project(heat, basis)
    whole, mean = fx.reconstruct(scores, basis), basis["mean"]
    np.testing.assert_allclose(fx.reconstruct(scores[..., ::-1], basis), whole, atol=1e-10)
    parts = [fx.reconstruct(scores.sel(component=[k]), basis) - mean for k in range(3)]
    np.testing.assert_allclose(sum(parts) + mean, whole, atol=1e-10)
    with pytest.raises(SchemaError, match="the basis has no component 7"):
        fx.reconstruct(scores.assign_coords(component=[0, 1, 7]), basis)


def test_errors__say_what_is_allowed():
    heat = faces()
    with pytest.raises(ValueError, match=r"no method 'tsne': there are cov.*robust"):
        fx.pca(heat, method="tsne")
    with pytest.raises(ValueError, match="no scaler 'loud': there are none, center"):
        fx.pca(heat, scaler="loud")
    with pytest.raises(ValueError, match=r"n_components is from 1 to 20 .* found 21"):
        fx.pca(heat, 21)
    with pytest.raises(ValueError, match=r"heat\.chunk\(y=-1, x=-1\)"):
        fx.pca(heat.chunk(y=2))
    with (
        fx.set_options(budget=10_000),
        pytest.raises(BudgetError, match=r"20 pixels needs .* KiB"),
    ):
        fx.pca(heat, 3)
    with pytest.raises(SchemaError, match=r"5 × 4 pixels, the basis has 6 × 4"):
        fx.project(heat, fx.pca(faces(shape=(6, 4)), 3))
    with pytest.raises(SchemaError, match="not a basis"):
        fx.project(heat, heat.to_dataset(name="heatmap"))
    with pytest.raises(SchemaError, match="scores have 4 components, the basis has 3"):
        fx.reconstruct(fx.project(heat, fx.pca(heat, 4)), fx.pca(heat, 3))
