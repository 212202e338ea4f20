"""Fitted models over recordings: the model on the computed array, and dask-ml's wrapper."""

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError

sklearn = pytest.importorskip("sklearn")
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

T, D = 120, 3
NAMES = ["mean", "p50", "skew"]


@pytest.fixture(scope="module")
def x():
    values = np.random.default_rng(0).normal(size=(2, T, D))
    values[1, 30:40] = np.nan
    values[0, 7, 1] = np.nan
    return xr.DataArray(
        values, dims=("subject", "time", "feature"),
        coords={"subject": [40, 41], "time": np.arange(T) / 10, "feature": NAMES},
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(x):
    flat = x.values.reshape(-1, D)
    return flat[np.isfinite(flat).all(axis=1)]


@pytest.fixture(scope="module")
def classes(rows):
    return np.where(rows[:, 0] > 0.4, "storm", np.where(rows[:, 0] < -0.4, "calm", "rain"))


@pytest.fixture(scope="module")
def pipeline(rows, classes):
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, classes)


def expected(x, model, how):
    """The method on the computed rows, laid back."""
    flat = x.values.reshape(-1, D)
    there = np.isfinite(flat).all(axis=1)
    found = getattr(model, how)(flat[there])
    text = found.dtype.kind in "UO"
    out = np.full(
        (len(flat), *found.shape[1:]), "" if text else np.nan, "U5" if text else float
    )
    out[there] = found
    return out.reshape(*x.shape[:-1], *found.shape[1:])


@pytest.mark.parametrize("how", ["predict", "predict_proba", "decision_function"])
def test_apply__is_the_method_of_the_model(x, pipeline, how, computes):
    for chunks in ({"time": 50}, {"subject": 1, "feature": 1, "time": 17}):
        with computes(0):
            found = x.chunk(chunks).fhemb.apply_estimator(pipeline, how)
        assert found.chunks is not None
        computed = found.compute()
        assert found.dtype == computed.dtype
        np.testing.assert_array_equal(computed, expected(x, pipeline, how))
        np.testing.assert_array_equal(fx.apply_estimator(x, pipeline, how), computed)
    if how != "predict":
        assert found.dims[-1] == "class"
        assert found["class"].values.tolist() == ["calm", "rain", "storm"]
    assert found.subject.values.tolist() == [40, 41]
    assert found.attrs["long_name"] == f"{how} of Pipeline"


def test_apply__is_dask_mls_wrapper(x, pipeline):
    wrappers = pytest.importorskip("dask_ml.wrappers")
    lazy = x.isel(time=slice(50, None)).chunk(subject=1, time=20)
    flat = lazy.data.reshape((-1, D))
    theirs = wrappers.ParallelPostFit(pipeline).predict(flat).compute(scheduler="synchronous")
    np.testing.assert_array_equal(fx.apply_estimator(lazy, pipeline).values.ravel(), theirs)


def test_apply__transforms_into_named_components(x, rows):
    for dtype in ("f8", "f4"):
        model = PCA(2).fit(rows.astype(dtype))
        found = fx.apply_estimator(x.astype(dtype).chunk(time=50), model, "transform")
        assert found.dims == ("subject", "time", "component")
        assert found.component.values.tolist() == ["pca0", "pca1"]
        assert found.dtype == found.compute().dtype == dtype
        np.testing.assert_allclose(
            found, expected(x.astype(dtype), model, "transform"), rtol=1e-5
        )


def test_apply__of_numbers_and_of_several_outputs_is_of_floating_point(x, rows):
    one = LogisticRegression().fit(rows, (rows[:, 0] > 0).astype(int))
    found = fx.apply_estimator(x, one)
    assert found.dtype == np.float64
    assert np.isnan(found[1, 30:40]).all()
    assert fx.apply_estimator(x, one, "decision_function").dims == ("subject", "time")
    two = LinearRegression().fit(rows, rows[:, :2] @ [[1, 2], [3, 4]])
    found = fx.apply_estimator(x.transpose("feature", ...), two)
    np.testing.assert_allclose(found.transpose("subject", "time", "output"),
                               expected(x, two, "predict"))  # fmt: skip


def test_apply__shows_missing_moments_to_models_that_take_them(x, rows, classes):
    model = HistGradientBoostingClassifier(max_iter=3).fit(rows, classes)
    found = fx.apply_estimator(x.chunk(time=50), model, missing="pass")
    np.testing.assert_array_equal(found, model.predict(x.values.reshape(-1, D)).reshape(2, T))
    assert (fx.apply_estimator(x, model)[1, 30:40] == "").all()


@pytest.mark.filterwarnings("error")
def test_apply__takes_features_by_their_names(x, rows, classes):
    model = LogisticRegression().fit(pd.DataFrame(rows, columns=NAMES), classes)
    plain = LogisticRegression().fit(rows, classes)
    for turned in (x, x.isel(feature=[2, 0, 1])):
        found = fx.apply_estimator(turned.chunk(time=50), model)
        np.testing.assert_array_equal(found, expected(x, plain, "predict"))
    with pytest.raises(SchemaError, match=r"needs \['skew'\], and does not know \['std'\]"):
        fx.apply_estimator(x.assign_coords(feature=["mean", "p50", "std"]), model)
    with pytest.raises(SchemaError, match=r"fitted to 3 features, found 2"):
        fx.apply_estimator(x.isel(feature=[0, 1]), plain)
    with pytest.raises(SchemaError, match=r"needs \['skew'\]"):
        fx.apply_estimator(x.isel(feature=[0, 1]), model)


def test_apply__keeps_the_model_as_it_was_and_calls_apart(x, rows, classes):
    model = LogisticRegression().fit(rows, classes)
    other = LogisticRegression().fit(-rows, classes)
    lazy = x.chunk(time=50)
    calls = [
        fx.apply_estimator(lazy, m, h)
        for m in (model, other)
        for h in ("predict", "predict_proba")
    ]
    alone = [expected(x, m, h) for m in (model, other) for h in ("predict", "predict_proba")]
    model.fit(-rows, classes)  # after the call, before the computation
    for found, one in zip(dask.compute(*calls), alone, strict=True):
        np.testing.assert_array_equal(found, one)


def test_apply__has_a_linear_graph_and_the_model_once(x, pipeline):
    sizes = []
    for chunk in (30, 10):
        lazy = x.chunk(time=chunk)
        found = fx.apply_estimator(lazy, pipeline)
        sizes.append(len(found.__dask_graph__()) - len(lazy.__dask_graph__()))
    assert sizes == [4, 12]


@pytest.mark.parametrize(
    ("model", "how", "words"),
    [
        (
            LogisticRegression(),
            "predict",
            "LogisticRegression.predict refuses a row of 3 features",
        ),
        (StandardScaler(), "predict", r"has no method 'predict', it has \['transform'\]"),
        ("a model", "predict", "has no method 'predict', it has none of them"),
        (LogisticRegression(), "fit", "no method of an estimator 'fit'"),
    ],
)
def test_apply__refuses_what_is_no_fitted_model(x, model, how, words):
    with pytest.raises((ValueError, KeyError), match=words):
        fx.apply_estimator(x, model, how)


def test_apply__of_a_model_with_other_results_is_refused(x):
    class Odd:
        def predict(self, rows):
            return np.zeros((len(rows), 2, 2))

    with pytest.raises(ValueError, match=r"float64 \(1, 2, 2\) of Odd"):
        fx.apply_estimator(x, Odd())
    with pytest.raises(SchemaError, match="has a dimension 'component'"):
        fx.apply_estimator(x.expand_dims(component=2), PCA(1).fit(np.eye(3)), "transform")
