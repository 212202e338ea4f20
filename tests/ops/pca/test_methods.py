"""Methods of pca beside the covariance, each against scikit-learn."""

import dask
import dask.array
import numpy as np
import pytest
import xarray as xr
from sklearn.decomposition import PCA, IncrementalPCA, KernelPCA, SparsePCA
from sklearn.preprocessing import RobustScaler, StandardScaler

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError, UnknownNameError
from fhemb_xr.kernels.pca import robust_pca
from fhemb_xr.ops.pca import basis as bases
from fhemb_xr.ops.pca import imputation
from fhemb_xr.ops.pca.recipes import RECIPES
from tests.ops.pca.test_eigenfaces import faces, matrix

LINEAR = ("covariance", "randomized", "incremental")
EVERY = (*LINEAR, "kernel", "sparse", "robust")


def small(method):
    """Sparse components take seconds beyond a few pixels, or with an alpha below 3."""
    return faces(n=30, shape=(4, 3)) if method == "sparse" else faces()


def same_up_to_sign(found, expected, **tolerance):
    sign = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * sign, expected, **tolerance)


@pytest.mark.parametrize("scaler", ["center", "standard", "robust", "minmax"])
@pytest.mark.parametrize("per", ["subject", "pooled"])
def test_randomized__finds_what_the_covariance_finds(scaler, per):
    heat = faces().chunk(time=13, subject=1)
    exact = fx.pca(heat, 4, scaler=scaler, per=per).compute()
    found = fx.pca(heat, 4, method="randomized", scaler=scaler, per=per, seed=1).compute()
    for name in ("mean", "scale", "mask"):
        xr.testing.assert_allclose(found[name], exact[name], rtol=1e-12)
    np.testing.assert_allclose(found.explained_variance, exact.explained_variance, rtol=1e-7)
    ratio = "explained_variance_ratio"
    np.testing.assert_allclose(found[ratio], exact[ratio], rtol=1e-7)
    np.testing.assert_allclose(found.components, exact.components, atol=1e-5)


@pytest.mark.parametrize("per", ["subject", "pooled"])
def test_robust_scaler__matches_scikit_learn(per):
    heat = faces()
    basis = fx.pca(heat.chunk(time=13, subject=1), 3, scaler="robust", per=per).compute()
    x, mask = matrix(heat if per == "pooled" else heat[0])
    reference = PCA(3, svd_solver="full").fit(RobustScaler().fit_transform(x))
    one = basis if per == "pooled" else basis.isel(subject=0, session=0)
    np.testing.assert_allclose(one.explained_variance, reference.explained_variance_)
    found = one.components.values.reshape(3, -1)[:, mask]
    same_up_to_sign(found.T, reference.components_.T, atol=1e-8)


def test_incremental__is_that_of_scikit_learn_fed_the_same_chunks():
    heat = faces(subjects=(40,))
    basis = fx.pca(heat.chunk(time=20), 4, method="incremental").compute().squeeze()
    mask = matrix(heat)[1]
    x = heat.values.reshape(60, -1)
    model, mean = IncrementalPCA(4), np.nanmean(x[:, mask], axis=0)
    for start in (0, 20, 40):
        part = x[start : start + 20, mask]
        model.partial_fit(part[np.isfinite(part).any(axis=1)] - mean)
    np.testing.assert_allclose(basis.explained_variance, model.explained_variance_)
    found = basis.components.values.reshape(4, -1)[:, mask]
    same_up_to_sign(found.T, model.components_.T, atol=1e-9)


@pytest.mark.parametrize("time", [1, 3, 60])
def test_incremental__takes_chunks_shorter_than_its_components(time):
    heat = faces().chunk(time=time)
    found, exact = fx.pca(heat, 4, method="incremental"), fx.pca(heat, 4)
    share = "explained_variance_ratio"
    np.testing.assert_allclose(
        found[share].sum("component"), exact[share].sum("component"), 0.02
    )


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly", "sigmoid"])
@pytest.mark.parametrize("scaler", ["center", "robust"])
def test_kernel__scores_are_those_of_scikit_learn(kernel, scaler):
    heat = faces()
    how = {"kernel": kernel} | ({} if kernel == "linear" else {"gamma": 0.02})
    basis = fx.pca(heat.chunk(time=13), 3, method="kernel", scaler=scaler, **how)
    scores = fx.project(heat.chunk(time=7), basis).isel(subject=0, session=0)
    x, _ = matrix(heat[0])
    x = RobustScaler().fit_transform(x) if scaler == "robust" else x - x.mean(0)
    model = KernelPCA(3, **how).fit(x)
    seen = scores.notnull().all("component")
    assert int(seen.sum()) == len(x)
    same_up_to_sign(scores[seen.values].values, model.transform(x), atol=1e-8)
    variances = basis.explained_variance.isel(subject=0, session=0)
    np.testing.assert_allclose(variances, model.eigenvalues_ / (len(x) - 1))


def test_kernel__linear_is_pca_and_reconstructs():
    heat = faces()
    basis, exact = fx.pca(heat, 3, method="kernel", kernel="linear"), fx.pca(heat, 3)
    np.testing.assert_allclose(basis.components, exact.components, atol=1e-9)
    ratio = "explained_variance_ratio"
    np.testing.assert_allclose(basis[ratio], exact[ratio])
    again = [fx.reconstruct(fx.project(heat, b), b) for b in (basis, exact)]
    xr.testing.assert_allclose(*again)


@pytest.mark.parametrize("scaler", ["center", "robust", "none"])
def test_kernel__on_landmarks_that_are_all_frames_is_exact(scaler):
    heat = faces()
    how = {"method": "kernel", "kernel": "rbf", "gamma": 0.01, "scaler": scaler}
    exact = fx.project(heat, fx.pca(heat, 3, **how))
    few = fx.pca(heat.chunk(time=11, subject=1), 3, landmarks=60, seed=0, **how)
    xr.testing.assert_allclose(abs(fx.project(heat, few)), abs(exact), atol=1e-6)
    part = fx.pca(heat.chunk(time=11), 3, landmarks=30, seed=0, **how)
    assert part.sizes["sample"] == 30
    assert fx.pca(heat, 3, landmarks=30, seed=0, per="pooled", **how).sizes["sample"] == 30
    assert part.explained_variance_ratio.notnull().all()


@pytest.mark.parametrize("kernel", ["rbf", "poly", "sigmoid"])
def test_kernel__refuses_above_the_budget_and_offers_landmarks(kernel):
    heat = faces(n=600).chunk(time=100)
    with fx.set_options(budget=2_000_000):
        with pytest.raises(BudgetError, match=r"600 × 600 frames needs .* MiB .*landmarks=500"):
            fx.pca(heat, 3, method="kernel", kernel=kernel)
        few = fx.pca(heat, 3, method="kernel", kernel=kernel, landmarks=40, seed=0)
        assert fx.project(heat, few).isel(time=0).notnull().all()
    with pytest.raises(
        ValueError, match=r"landmarks is a number from 3 .* to 600 .*, found 601"
    ):
        fx.pca(heat, 3, method="kernel", landmarks=601)


def test_sparse__is_that_of_scikit_learn():
    heat = faces(n=30, shape=(4, 3), subjects=(40,))
    basis = fx.pca(heat.chunk(time=13), 2, method="sparse", alpha=0.5, seed=0).compute()
    x, mask = matrix(heat[0])
    model = SparsePCA(2, alpha=0.5, random_state=0).fit(x - x.mean(0))
    found = basis.components.isel(subject=0, session=0).values.reshape(2, -1)[:, mask]
    match = np.abs(found @ model.components_.T)
    np.testing.assert_allclose(np.sort(match.max(axis=1)), 1, atol=1e-9)
    assert (found == 0).any()
    scores = fx.project(heat, basis).isel(subject=0, session=0).dropna("time")
    expected = model.transform(x - x.mean(0))
    np.testing.assert_allclose(np.sort(abs(scores)), np.sort(np.abs(expected)), atol=1e-8)


def test_robust__sees_through_outliers_that_bend_pca():
    rng = np.random.default_rng(0)
    truth = np.linalg.qr(rng.normal(size=(80, 2)))[0]
    clean = rng.normal(size=(200, 2)) * [9, 6] @ truth.T
    spoilt = clean + np.where(rng.random(clean.shape) < 0.02, 60.0, 0.0)
    heat = xr.DataArray(spoilt.reshape(200, 8, 10), dims=("time", "y", "x")).chunk(time=50)

    def miss(method):
        found = fx.pca(heat, 2, method=method).components.values.reshape(2, -1)
        return np.linalg.norm(truth - found.T @ (found @ truth), 2)

    assert miss("robust") < 1e-2 < 0.2 < miss("covariance")


def test_low_rank__parts_add_up_and_nothing_stays_nothing():
    rng = np.random.default_rng(1)
    low = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30))
    spikes = np.where(rng.random(low.shape) < 0.03, 10.0, 0)
    miss = robust_pca.low_rank(low + spikes) - low
    assert np.linalg.norm(miss) < 0.01 * np.linalg.norm(low)
    assert np.median(np.abs(miss)) < 1e-5
    assert not robust_pca.low_rank(np.zeros((4, 3))).any()


def patterned(n, shape=(6, 5), k=3, noise=0.05, seed=0):
    """Frames of k patterns and noise, and the same with blocks of pixels missing."""
    rng = np.random.default_rng(seed)
    patterns = np.linalg.qr(rng.normal(size=(shape[0] * shape[1], k)))[0].T
    whole = 33 + rng.normal(size=(n, k)) * (3, 2, 1)[:k] @ patterns
    whole = (whole + noise * rng.normal(size=whole.shape)).reshape(n, *shape)
    holed = whole.copy()
    for t in rng.choice(n, n // 3, replace=False):
        y, x = rng.integers(0, 5), rng.integers(0, 4)
        holed[t, y : y + 2, x : x + 2] = np.nan
    holed[n // 2] = np.nan  # no face
    dims = ("time", "y", "x")
    return xr.DataArray(whole, dims=dims), xr.DataArray(holed, dims=dims)


def filled_by_hand(x, k):
    """The same filling, frame after frame, by scikit-learn's PCA and a small ridge."""
    face = np.isfinite(x).any(axis=1)
    known = x[face]
    guess = np.where(np.isfinite(known), known, np.nanmean(known, axis=0))
    for _ in range(2):
        model = PCA(k, svd_solver="full").fit(guess)
        total = model.explained_variance_[0] / model.explained_variance_ratio_[0]
        noise = (total - model.explained_variance_.sum()) / (x.shape[1] - k)
        ridge = np.diag(noise / (model.explained_variance_ - noise))
        for i, row in enumerate(known):
            seen = np.isfinite(row)
            c = model.components_[:, seen]
            s = np.linalg.solve(c @ c.T + ridge, c @ (row - model.mean_)[seen])
            guess[i, ~seen] = (model.mean_ + s @ model.components_)[~seen]
    return guess


@pytest.mark.parametrize("method", ["covariance", "randomized", "kernel"])
def test_impute__fills_gaps_by_the_components_of_what_is_there(method, monkeypatch):
    monkeypatch.setattr(imputation, "OVERSAMPLED", 2)
    _, holed = patterned(90)
    how = {"method": method, "mask": "impute", "scaler": "standard", "seed": 0}
    how |= {"kernel": "linear"} if method == "kernel" else {}
    basis = fx.pca(holed.chunk(time=13), 3, **how).compute()
    x = StandardScaler().fit_transform(filled_by_hand(holed.values.reshape(90, -1), 5))
    reference = PCA(3, svd_solver="full").fit(x)
    assert basis.mask.all()
    np.testing.assert_allclose(basis.explained_variance, reference.explained_variance_, 1e-6)
    whole = holed.notnull().all(("y", "x")).values
    scores = fx.project(holed.chunk(time=7), basis).values
    rows = whole[np.isfinite(holed.values).any((1, 2))]
    same_up_to_sign(scores[whole], reference.transform(x)[rows], atol=1e-4)
    assert np.isnan(scores[45]).all()


def test_impute__is_near_what_the_whole_frames_say():
    whole, holed = patterned(400, seed=1)
    truth = fx.pca(whole.where(holed.notnull().any(("y", "x"))), 3)
    found = fx.pca(holed, 3, mask="impute")
    by_mean = fx.pca(holed.fillna(holed.mean("time")).where(holed.notnull().any(("y", "x"))), 3)

    def error(basis):
        return float(abs(basis.explained_variance / truth.explained_variance - 1).max())

    assert error(found) < 0.01 < 0.03 < error(by_mean)
    angle = found.components.values.reshape(3, -1) @ truth.components.values.reshape(3, -1).T
    assert np.linalg.svd(angle)[1].min() > 0.9995
    # scores of frames with gaps, against those of the same frames whole
    gap = holed.isnull().any(("y", "x")) & holed.notnull().any(("y", "x"))
    miss = (fx.project(holed, found) - fx.project(whole, found))[gap.values]
    assert float(abs(miss).max()) < 0.5


@pytest.mark.parametrize("method", EVERY)
def test_methods__are_lazy_and_keep_dtype_whatever_the_chunks(method, computes):
    heat = small(method)
    how = {"method": method, "seed": 3} | ({"alpha": 3.0} if method == "sparse" else {})
    with computes(0):
        basis = fx.pca(heat.chunk(time=15, subject=1), 3, **how)
        scores = fx.project(heat.chunk(time=7), basis)
    (done, scored), whole = dask.compute(basis, scores), fx.pca(heat, 3, **how).compute()
    for name, var in basis.items():
        assert var.dtype == done[name].dtype == ("bool" if name == "mask" else "f8"), name
    tolerance = {"incremental": 0.05}.get(method, 1e-6)
    for name in ("mean", "explained_variance"):
        xr.testing.assert_allclose(done[name], whole[name], rtol=tolerance)
    assert scores.dtype == scored.dtype == "f8"
    assert done.attrs["method"] == method


@pytest.mark.parametrize("method", EVERY)
def test_methods__of_a_subject_without_a_face_are_nan(method):
    heat = small(method)
    heat[1] = np.nan
    basis = fx.pca(heat.chunk(time=20), 3, method=method, seed=0).compute()
    assert not basis.mask.sel(subject=41).any()
    assert basis.components.sel(subject=41).isnull().all()
    assert basis.explained_variance.sel(subject=40).notnull().all()
    scores = fx.project(heat, basis)
    assert scores.sel(subject=41).isnull().all()
    assert scores.sel(subject=40).isel(time=0).notnull().all()


@pytest.mark.parametrize("method", LINEAR)
def test_methods__graph_is_linear_in_the_chunks(method):
    def tasks(n):
        heat = faces(n=n, subjects=(40,)).chunk(time=10)
        return len(fx.pca(heat, 3, method=method, seed=0)["mean"].__dask_graph__())

    assert tasks(480) - tasks(240) < 25 + 24 * 8 * {"randomized": 3}.get(method, 2)


def test_methods__of_two_calls_stay_apart():
    heat = faces().chunk(time=13)
    calls = [
        fx.pca(heat, 3, method=m, seed=s) for m in ("randomized", "kernel") for s in (0, 1)
    ]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


@pytest.mark.parametrize("name", RECIPES)
def test_recipes__of_the_original_run_by_name(name):
    heat = faces(n=30, shape=(4, 3), subjects=(40,))
    basis = fx.pca(heat.chunk(time=20), 3, recipe=name, seed=0).compute()
    assert basis.attrs["recipe"] == name
    assert basis.attrs["scaler"] == name.split("_")[0]
    assert fx.project(heat, basis).isel(time=0, component=0).notnull().all()


def test_recipes__are_thirteen_and_an_unknown_one_names_the_nearest():
    assert len(RECIPES) == 13
    with pytest.raises(UnknownNameError, match=r"no recipe 'standard_sigmoit'.*_sigmoid"):
        fx.pca(faces(), recipe="standard_sigmoit")


@pytest.mark.parametrize("method", ["covariance", "kernel", "sparse"])
def test_basis__saved_is_opened_in_a_later_session_and_projects(method, tmp_path):
    heat = small(method)
    how = {"alpha": 3.0} if method == "sparse" else {}
    basis = fx.pca(heat.chunk(time=20), 3, method=method, seed=0, **how)
    basis.fhemb.save(tmp_path / "basis.zarr")
    opened = fx.open_result(tmp_path / "basis.zarr")
    new = (heat + 0.1).chunk(time=20)
    xr.testing.assert_allclose(fx.project(new, opened), fx.project(new, basis))


def test_project__says_how_people_or_grids_differ():
    heat = faces()
    with pytest.raises(SchemaError, match=r"differ in subject: \[50, 51\] and \[40, 41\]"):
        fx.project(faces(subjects=(50, 51)), fx.pca(heat, 3))
    moved = heat.assign_coords(x=np.arange(4) + 1)
    with pytest.raises(SchemaError, match=r"differ in x: \[1, 2, 3, 4\] and \[0, 1, 2, 3\]"):
        fx.project(moved, fx.pca(heat.assign_coords(x=np.arange(4)), 3))


class Counted:
    """An array on disk, so to say, that counts how often its frames are read."""

    def __init__(self, values):
        self.values, self.frames = values, 0
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, key):
        out = self.values[key]
        self.frames += out.shape[0]
        return out


@pytest.mark.parametrize(
    ("passes", "how"),
    [
        (1, {"method": "covariance"}),
        (1, {"method": "covariance", "scaler": "robust"}),
        (4, {"method": "covariance", "mask": "impute"}),
        (2, {"method": "incremental"}),
        (3, {"method": "randomized"}),
        (1, {"method": "kernel"}),
        (1, {"method": "robust"}),
        (2.5, {"method": "kernel", "landmarks": 10}),  # half a pass fetches the landmarks
    ],
)
@pytest.mark.parametrize("frames", [60, 54])  # of a part, too: dask makes other tasks then
def test_methods__read_the_frames_as_often_as_they_say(passes, how, frames):
    source = Counted(faces(subjects=(40,)).values[0, 0])
    data = dask.array.from_array(
        source, chunks=(6, -1, -1), asarray=False, meta=np.empty((0, 0, 0))
    )[:frames]
    heat = xr.DataArray(data, dims=("time", "y", "x"))
    fx.pca(heat, 3, seed=0, **how).compute()
    assert 0.9 * passes * frames - 30 < source.frames <= passes * frames


def test_require_mask__says_which_pixels_are_missing_and_reads_once(computes):
    heat = faces()
    basis = fx.pca(heat, 3)
    broken = heat.copy()
    broken[1, 0, 5:7, 3, 3] = np.nan
    bases.require_mask(heat.chunk(time=13), basis)
    with (
        computes(1),
        pytest.raises(SchemaError, match=r"1 pixels .* missing in 2 frames .* y=3, x=3"),
    ):
        bases.require_mask(broken.chunk(time=13), basis)
