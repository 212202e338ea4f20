"""Prototypes, shapelets, the variational classifier: planted classes, plain references."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.classification import one_split

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
PLACE = 22


def planted(n=24, t=60):
    """Noise; in the second class a bump of eight samples, somewhere near sample 22."""
    x = RNG.normal(size=(n, 1, t)) * 0.3
    y = np.arange(n) % 2
    bump = 2.5 * np.sin(np.pi * np.arange(8) / 7)
    for i in np.flatnonzero(y):
        start = PLACE + int(RNG.integers(-2, 3))
        x[i, 0, start : start + 8] += bump
    return x, y


X, Y = planted()
SAMPLES = xr.DataArray(
    X[:, 0],
    dims=("sample", "time"),
    coords={"label": ("sample", np.where(Y, "storm", "calm"))},
    attrs={"sampling_rate": 25.0, "units": "degC"},
)


def test_prototypes__without_a_network_are_the_nearest_centroid():
    from sklearn.neighbors import NearestCentroid

    from fhemb_xr.nn.prototypes import PrototypeClassifier

    mine = PrototypeClassifier(channels=0).fit(X[:16], Y[:16])
    flat = X.reshape(len(X), -1)
    other = NearestCentroid().fit(flat[:16], Y[:16])
    np.testing.assert_array_equal(mine.predict(X), other.predict(flat))
    np.testing.assert_allclose(mine._means, other.centroids_, rtol=1e-12)


def test_prototypes__learn_a_planted_bump_and_are_seeded():
    from fhemb_xr.nn.prototypes import PrototypeClassifier

    state = torch.get_rng_state()
    fits = [PrototypeClassifier(40, 1e-2, seed=3).fit(X[:16], Y[:16]) for _ in range(2)]
    told = [f.predict(X[16:]) for f in fits]
    np.testing.assert_array_equal(*told)
    assert (told[0] == Y[16:]).mean() >= 0.75
    assert torch.equal(state, torch.get_rng_state())
    how = {"n_epochs": 20, "learning_rate": 1e-2, "optimizer": "adam", "scale": "meanvar"}
    found = one_split.prototype_accuracies(X[:, 0], Y, 2, **how)
    assert len(found) == 2
    assert found == one_split.prototype_accuracies(X[:, 0], Y, 2, **how)
    with pytest.raises(KeyError, match="no optimizer 'lion'"):
        one_split.prototype_accuracies(X, Y, optimizer="lion")


def test_classify__takes_prototypes_where_they_are_asked_for():
    samples = SAMPLES.assign_coords(subject=("sample", np.arange(24) // 2))
    out = fx.classify(samples, "prototype", n_splits=2, n_permutations=0, seed=0)
    assert out.accuracy.values[0] >= 0.75
    assert "prototype" not in fx.classify(samples, n_permutations=0, seed=0).classifier.values


def test_shapelets__lie_on_a_planted_bump(computes):
    with computes(0):
        out = fx.shapelets(SAMPLES.chunk(sample=7), 2, length_s=0.32, n_epochs=60, seed=0)
    assert dict(out.sizes) == {"shapelet": 2, "place": 8, "sample": 24}
    assert out["distance"].attrs["units"] == "(degC)^2"
    out = out.compute()
    distance, pieces = out["distance"].values, out["shapelets"].values
    windows = np.lib.stride_tricks.sliding_window_view(X[:, 0], 8, axis=1)
    gaps = ((windows[:, None] - pieces[None, :, None]) ** 2).mean(axis=-1)
    np.testing.assert_allclose(distance, gaps.min(axis=2), rtol=1e-9)
    parts = [np.abs(distance[Y == 1, k].mean() - distance[Y == 0, k].mean()) for k in (0, 1)]
    best = int(np.argmax(parts))
    where = gaps[Y == 1, best].argmin(axis=1)
    assert (np.abs(where - PLACE) <= 6).mean() >= 0.75
    apart = np.array([one_split.score(Y, distance[:, best] < t) for t in distance[:, best]])
    assert max(apart.max(), 1 - apart.min()) >= 0.8


def test_shapelets__learn_from_the_trained_part_only():
    train = xr.DataArray(np.arange(24) < 16, dims="sample")
    options = {"length_s": 0.32, "n_epochs": 5, "train": train, "seed": 1}
    first = fx.shapelets(SAMPLES, 2, **options)["shapelets"].values
    other = SAMPLES.copy(data=np.where(np.arange(24)[:, None] < 16, SAMPLES, 99.0))
    np.testing.assert_array_equal(fx.shapelets(other, 2, **options)["shapelets"], first)
    holes = SAMPLES.copy(data=np.where(np.arange(24)[:, None] == 3, np.nan, SAMPLES))
    out = fx.shapelets(holes, 1, length_s=0.32, n_epochs=2, seed=0)
    assert np.isnan(out["distance"].values[3]).all()
    assert np.isfinite(out["shapelets"]).all()
    with pytest.raises(ValueError, match="no longer than the samples"):
        fx.shapelets(SAMPLES, 1, length_s=9, seed=0)
    with pytest.raises(SchemaError, match="train is True or False"):
        fx.shapelets(SAMPLES, 1, length_s=0.3, train=train[:3], seed=0)
    with pytest.raises(SchemaError, match="coordinate 'label'"):
        fx.shapelets(SAMPLES.drop_vars("label"), 1, length_s=0.3, seed=0)


def test_variational_classifier__tells_planted_classes_and_is_seeded():
    from fhemb_xr.legacy import VAEClassifier

    rows = X[:, 0] + 4 * Y[:, None]
    how = {"z_dim": 8, "hidden_dim": 8, "corruption": 0.2, "seed": 42}
    told = [
        VAEClassifier(60, **how).fit_predict_on(rows[:16], Y[:16], rows[16:], num_epochs=100)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*told)
    assert (told[0] == Y[16:]).mean() >= 0.75
    model = VAEClassifier(**how).fit(rows, Y, num_epochs=2)
    model.predict(rows[:5])
    assert model.vae.z_loc_embedding.shape[0] == 5
    np.testing.assert_allclose(model.vae.z_loc_embedding.sum(axis=1), 1)  # a softmax
    np.testing.assert_allclose(model.predict_proba(rows).sum(axis=1), 1)
    with pytest.raises(SchemaError, match="need two classes of samples of 9 numbers"):
        VAEClassifier(9).fit(rows, Y)
    with pytest.raises(SchemaError, match="nothing was learnt"):
        VAEClassifier().predict(rows)
    samples = SAMPLES.copy(data=rows).assign_coords(subject=("sample", np.arange(24) // 2))
    made = {"vae": lambda seed: Short(**{**how, "seed": seed})}
    out = fx.classify(samples, ["vae"], own=made, n_splits=2, n_permutations=0, seed=0)
    assert out.accuracy.values[0] >= 0.7


class Short:
    """The variational classifier with few epochs."""

    def __init__(self, **options):
        from fhemb_xr.legacy import VAEClassifier

        self.model = VAEClassifier(**options)

    def fit(self, x, y):
        self.model.fit(x, y, num_epochs=100)
        return self

    def predict(self, x):
        return self.model.predict(x)
