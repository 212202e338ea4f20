"""The shared response against the published algorithm, and what BrainIAK made of the same."""

import dask
import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.components import srm
from fhemb_xr.ops.components import shared_parts as module

N, T, D, K = 4, 120, 5, 2


def people(gaps=False, seed=0):
    """A strong and a weak course, each person shows them in features of their own."""
    rng = np.random.default_rng(seed)
    own = np.linalg.qr(rng.normal(size=(N, D, K)))[0]
    course = rng.normal(size=(T, K)) * [6, 3]
    x = course @ own.transpose(0, 2, 1) + rng.normal(size=(N, T, D))
    x += 30 * rng.normal(size=(N, 1, D))
    if gaps:
        x[1, 20:50] = np.nan
        x[3, 100:, 2] = np.nan
    x = xr.DataArray(
        x,
        dims=("subject", "time", "feature"),
        coords={
            "subject": np.arange(40, 40 + N),
            "time": np.arange(T) / 5,
            "feature": [f"pc{i}" for i in range(D)],
        },
        attrs={"units": "degC"},
    )
    return x, course


def published(x, w, n_iter):
    """DetSRM, people one by one: weights and shared courses; a gap counts for nobody."""
    there = np.isfinite(x).all(-1)
    z = [xi[ti] - xi[ti].mean(0) for xi, ti in zip(x, there, strict=True)]

    def shared(w):
        total, count = np.zeros((T, K)), np.zeros((T, 1))
        for zi, wi, ti in zip(z, w, there, strict=True):
            total[ti] += zi @ wi
            count[ti] += 1
        return total / count

    s = shared(w)
    for _ in range(n_iter):
        w = []
        for zi, ti in zip(z, there, strict=True):
            u, _, v = np.linalg.svd(zi.T @ s[ti], full_matrices=False)
            w.append(u @ v)
        s = shared(w)
    return w, s


def first_weights(x, seed=0):
    model = srm.Model(N, D, K, 1, False, seed)
    state = srm.begin(srm.moments(x.values, model), model)
    return model.state.part(state, "weights")


@pytest.mark.parametrize("gaps", [False, True])
def test_shared_response__equals_the_published_algorithm(gaps):
    x, _ = people(gaps)
    out = fx.shared_response(x, K, n_iter=4, normalize="none")
    w, s = published(x.values, first_weights(x), 4)
    for i in range(N):  # the components are turned, what they say of a person is not
        ours = out.shared.values @ out.weights.values[i].T
        np.testing.assert_allclose(ours, s @ w[i].T, atol=1e-12 * np.abs(x).max().item() * T)
    there = np.isfinite(x.values).all(-1)
    z = [xi[ti] - xi[ti].mean(0) for xi, ti in zip(x.values, there, strict=True)]
    rest = [zi - s[ti] @ wi.T for zi, wi, ti in zip(z, w, there, strict=True)]
    share = [1 - (r**2).sum() / (zi**2).sum() for r, zi in zip(rest, z, strict=True)]
    np.testing.assert_allclose(out.explained_of.sum("component"), share, rtol=1e-10)
    of_all = 1 - sum((r**2).sum() for r in rest) / sum((zi**2).sum() for zi in z)
    np.testing.assert_allclose(out.explained.sum(), of_all, rtol=1e-10)
    np.testing.assert_allclose(out.explained_by[-1], of_all, rtol=1e-10)
    assert (np.diff(out.explained_by) > 0).all()


BRAINIAK = [
    [-0.2302398801855496, 1.4840969065630534],
    [-0.9004356983924636, -3.5611962398554167],
    [-0.16824082380927272, -0.8226973613815233],
]
"""DetSRM of BrainIAK 0.12 with its first weights set to ours, ten rounds: ``W_0 s``. It needs
MPI to be imported, so it is not run here. It adds 0.001 to each diagonal of a product."""


def test_shared_response__equals_what_brainiak_found():
    x, _ = people()
    out = fx.shared_response(x, K, n_iter=10, normalize="none")
    found = out.shared.values @ out.weights.values[0].T
    z = x.values - x.values.mean(1, keepdims=True)
    smallest = np.linalg.svd(z.transpose(0, 2, 1) @ out.shared.values)[1].min()
    turned = 0.001 / smallest  # by so much a polar factor turns at most, about
    atol = 2 * turned * np.abs(found).max()
    assert atol < 1e-4
    np.testing.assert_allclose(found[:3, :2], BRAINIAK, atol=atol)
    np.testing.assert_allclose(out.explained.sum(), 0.9177483499637793, rtol=1e-11)


def test_shared_response__components_are_ordered_and_do_not_correlate():
    x, course = people()
    out = fx.shared_response(x, K, normalize="none")
    products = out.shared.values.T @ out.shared.values
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-9 * products.max())
    assert out.explained[0] > out.explained[1] > 0.05
    for k in range(K):
        assert abs(np.corrcoef(out.shared[:, k], course[:, k])[0, 1]) > 0.97
    orthonormal = out.weights.values.transpose(0, 2, 1) @ out.weights.values
    np.testing.assert_allclose(orthonormal, np.broadcast_to(np.eye(K), (N, K, K)), atol=1e-12)
    assert out.weights.dims == ("subject", "feature", "component")
    assert out.shared.dims == ("time", "component")
    assert out.shared.attrs["units"] == "degC"
    assert {v.dtype for v in out.values()} == {np.dtype("f8")}


@pytest.mark.parametrize("chunks", [(7, 53, 60), (1, 119)])
def test_shared_response__does_not_depend_on_chunks(chunks, monkeypatch):
    x, _ = people(gaps=True)
    whole = fx.shared_response(x, K, n_iter=2)
    lazy = x.chunk(time=chunks, subject=3, feature=2)
    xr.testing.assert_allclose(fx.shared_response(lazy, K, n_iter=2).compute(), whole)
    monkeypatch.setattr(module, "_TARGET", 8 * N * D * max(chunks))
    parted = fx.shared_response(lazy, K, n_iter=2).compute()
    xr.testing.assert_allclose(parted, whole, rtol=1e-8)


def test_shared_response__computes_nothing_and_reads_once_a_round(computes, monkeypatch):
    monkeypatch.setattr(module, "_TARGET", 8 * N * D * 20)
    x, _ = people()
    read = []

    def block(b):
        read.append(b.shape)
        return b

    lazy = x.chunk(time=20)
    lazy = lazy.copy(data=lazy.data.map_blocks(block, dtype="f8", meta=np.empty((0, 0, 0))))
    with computes(0):
        out = fx.shared_response(lazy, K, n_iter=3, null="circular", n=3)
    with dask.config.set(scheduler="synchronous"):
        out.weights.compute()
    assert len(read) == (3 + 2) * 6  # moments, three rounds, and the shares at the end
    assert {shape[1] for shape in read} == {20}


def test_shared_response__graph_is_linear_in_the_chunks(monkeypatch):
    monkeypatch.setattr(module, "_TARGET", 8 * N * D * 10)
    x, _ = people()
    sizes = []
    for chunks in (8, 32):
        long = x.isel(time=np.arange(chunks * 10) % T).drop_vars("time").chunk(time=10)
        out = fx.shared_response(long, K, n_iter=2)
        sizes.append(len(out.weights.__dask_graph__()))
    assert sizes[1] - sizes[0] < 3 * (2 + 2) * 24 + 20


def test_shared_response__of_other_dimensions_is_each_by_itself():
    two = xr.concat([people(seed=0)[0], people(seed=1)[0]], "session")
    two = two.assign_coords(session=["a", "b"])
    both = fx.shared_response(two.transpose("time", "session", ...).chunk(time=50), K)
    alone = fx.shared_response(people(seed=1)[0], K)
    xr.testing.assert_allclose(both.sel(session="b", drop=True).compute(), alone)


def test_shared_response__held_out_moments_and_people():
    x, course = people()
    fit = fx.shared_response(x.isel(time=slice(80), subject=[0, 1, 2]), K, normalize="none")
    later = x.isel(time=slice(80, None)).chunk(time=13)
    scores = fx.shared_scores(later.isel(subject=[2, 0]), fit)
    z = later.values[[2, 0]] - fit["mean"].values[[2, 0]][:, None]
    np.testing.assert_allclose(scores, z @ fit.weights.values[[2, 0]], atol=1e-9)
    new = x.isel(time=slice(80), subject=[3])
    other = fx.shared_weights(new.chunk(time=30), fit)
    zn = new.values[0] - new.values[0].mean(0)
    u, _, v = np.linalg.svd(zn.T @ fit.shared.values, full_matrices=False)
    np.testing.assert_allclose(other.weights[0], u @ v, atol=1e-10)
    rest = [((zn - fit.shared.values[:, [k]] @ (u @ v)[:, [k]].T) ** 2).sum() for k in range(K)]
    np.testing.assert_allclose(other.explained_of[0], 1 - np.array(rest) / (zn**2).sum())
    held_out = fx.shared_scores(later.isel(subject=[3]), other)[0, :, 0]
    assert abs(np.corrcoef(held_out, course[80:, 0])[0, 1]) > 0.95
    with pytest.raises(SchemaError, match="has no subject 43, it has 3"):
        fx.shared_scores(later, fit)
    with pytest.raises(ValueError, match="found 40 and 80 samples"):
        fx.shared_weights(later.isel(subject=[3]), fit)
    with pytest.raises(SchemaError, match=r"make it with fx\.shared_response"):
        fx.shared_scores(later, fit[["shared"]])
    with pytest.raises(SchemaError, match="need the courses 'shared'"):
        fx.shared_weights(new, other)


def test_shared_response__null_holds_for_drifts_and_finds_coupling():
    rng = np.random.default_rng(3)
    below = 0
    for seed in range(25):
        walks = rng.normal(size=(4, 120, 3)).cumsum(axis=1)
        x = xr.DataArray(
            walks, dims=("subject", "time", "feature"), attrs={"sampling_rate": 25.0}
        )
        out = fx.shared_response(x, 1, n_iter=2, null="linear", n=19, seed=seed)
        below += float(out.p[0]) <= 0.05
    assert below <= 4  # 97.5 % of binomial draws at .05
    found = fx.shared_response(people()[0], 3, null="linear", n=39).p
    assert found[0] == 1 / 40
    assert found[2] > 0.05


def test_shared_response__of_people_without_a_sample_and_of_flat_features():
    x, _ = people()
    x[2] = np.nan
    x[..., 4] = 7.0
    out = fx.shared_response(x, K)
    assert np.isnan(out.weights[2]).all()
    assert np.isnan(out.scores[2]).all()
    np.testing.assert_array_equal(out.scale[0, 4], 0)
    assert np.isfinite(out.shared).all()
    # the absent person and the flat feature change where the rounds start, not what they find
    rest = fx.shared_response(x.isel(subject=[0, 1, 3], feature=slice(4)), K, n_iter=60)
    more = fx.shared_response(x, K, n_iter=60)
    np.testing.assert_allclose(more.explained, rest.explained, rtol=1e-4)
    nothing = fx.shared_response(x * np.nan, K)
    assert np.isnan(nothing.explained).all()


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        (lambda x: x.isel(subject=[0]), {}, ValueError, "two people or more, found 1"),
        (lambda x: x, {"n_components": 9}, ValueError, "n_components=9 for 5 along 'feature'"),
        (lambda x: x, {"margin_s": 1}, ValueError, "no option 'margin_s'"),
        (lambda x: x, {"null": "swap"}, KeyError, "no null 'swap'"),
        (lambda x: x.rename(feature="band"), {}, SchemaError, "feature"),
    ],
)
def test_shared_response__refuses_what_it_cannot_do(change, options, error, words):
    with pytest.raises(error, match=words):
        fx.shared_response(change(people()[0]), **{"n_components": K} | options)


def test_shared_response__refuses_weights_beyond_the_budget():
    x = xr.DataArray(np.zeros((2, 3, 4000), "f4"), dims=("subject", "time", "feature"))
    with fx.set_options(budget="256 KiB"), pytest.raises(BudgetError, match="4000 features"):
        fx.shared_response(x, 2)
