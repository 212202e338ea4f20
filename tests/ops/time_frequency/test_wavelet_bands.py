import json
import tracemalloc
import warnings
from itertools import pairwise

import dask
import numpy as np
import pytest
import pywt
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fhemb_xr.errors import UnknownNameError
from fhemb_xr.kernels.time_frequency import gaps
from fhemb_xr.kernels.time_frequency import wavelet_bands as kernel
from fhemb_xr.ops.blockwise.grid import Block
from fhemb_xr.ops.time_frequency.band_spec import band_label
from fhemb_xr.ops.time_frequency.butterworth import bandpass
from fhemb_xr.ops.time_frequency.wavelet_bands import coverage, wavelet_bands, wavelet_filter

WAVELETS = [
    "haar",
    *(f"db{k}" for k in range(2, 11)),
    *(f"sym{k}" for k in range(2, 11)),
    *(f"coif{k}" for k in range(1, 6)),
    "bior1.3",
    "bior4.4",
]
MODES = (*kernel.LOCAL_MODES, *kernel.CIRCULAR_MODES)


def signal(n, channels=2, seed=0, dtype="f8"):
    x = np.random.default_rng(seed).normal(size=(n, channels)).astype(dtype)
    return xr.DataArray(x, dims=("time", "k"), attrs={"units": "degC", "sampling_rate": 25.0})


def by_pywt(x, bands, wavelet, level, mode):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        c = pywt.wavedec(x, wavelet, mode, level, axis=0)
    kept = [a if i in bands else np.zeros_like(a) for i, a in enumerate(c)]
    return pywt.waverec(kept, wavelet, mode, axis=0)[: len(x)]


def cut(n, sizes):
    """Irregular chunks of these sizes in turn, up to n."""
    out = []
    while sum(out) < n:
        out.append(sizes[len(out) % len(sizes)])
    out[-1] -= sum(out) - n
    return tuple(out)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db3", "db4", "coif1", "bior4.4"])
@pytest.mark.parametrize("mode", ["periodization", "symmetric"])
def test_filter__that_propagates_loses_what_pywavelets_loses(wavelet, mode):
    x = signal(64, channels=3)
    x[11, 0] = x[40, 1] = np.nan
    x[23, 2] = np.inf
    for bands in ([0], [1, 2]):
        got = wavelet_filter(x, bands, wavelet, 2, mode=mode, gaps="propagate")
        with np.errstate(invalid="ignore"):
            expected = by_pywt(x.values, bands, wavelet, 2, mode)
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))


@given(
    n=st.integers(2, 2500),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=5),
    wavelet=st.sampled_from(WAVELETS),
    level=st.integers(1, 10),
    mode=st.sampled_from(kernel.LOCAL_MODES),
    dtype=st.sampled_from(["f4", "f8"]),
    data=st.data(),
)
@pytest.mark.filterwarnings("ignore:level")
def test_filter__equals_pywt_over_the_whole_series(n, sizes, wavelet, level, mode, dtype, data):
    bands = data.draw(st.sets(st.integers(0, level), min_size=1))
    x = signal(n, dtype=dtype)
    sizes = [max(s, n // 60) for s in sizes]  # at most some hundred chunks
    out = wavelet_filter(x.chunk(time=cut(n, sizes), k=1), sorted(bands), wavelet, level, mode)
    try:
        expected = by_pywt(x.values.astype("f8"), bands, wavelet, level, mode)
    except ValueError:  # PyWavelets does not (anti)reflect one sample
        assume("reflect" not in mode)
        raise
    assert out.dtype == dtype
    scale = max(np.abs(expected).max(), np.abs(x.values).max())
    tolerance = (1e-12 if dtype == "f8" else 1e-5) * scale
    np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.filterwarnings("ignore:level")
def test_filter__is_that_of_pywt_for_every_wavelet_level_and_mode(wavelet):
    turn = WAVELETS.index(wavelet)  # over the wavelets every mode meets every level
    for k, mode in enumerate(MODES):
        level = 1 + (turn + k) % 10
        n, dtype = (7, 64, 601, 1500)[(turn + k) % 4], ("f4", "f8")[k % 2]
        bands = sorted({k % (level + 1), (k + turn) % (level + 1)})
        x = signal(n, dtype=dtype, seed=turn)
        expected = by_pywt(x.values.astype("f8"), bands, wavelet, level, mode)
        out = wavelet_filter(
            x.chunk(time=cut(n, (n // 3, n // 5 + 1))), bands, wavelet, level, mode
        )
        assert out.dtype == dtype
        scale = max(np.abs(expected).max(), np.abs(x.values).max())
        tolerance = (1e-12 if dtype == "f8" else 1e-5) * scale
        np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance, err_msg=mode)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_filter__of_rows_wider_than_what_is_worked_on_at_a_time(dtype, monkeypatch):
    from fhemb_xr.kernels.time_frequency import dwt
    from fhemb_xr.ops.time_frequency import band_graph

    x = signal(900, 57, dtype=dtype)
    whole = wavelet_filter(x, [0, 2, 4], "db4", 4)
    monkeypatch.setattr(dwt, "ROW_BYTES", 100)
    np.testing.assert_array_equal(wavelet_filter(x, [0, 2, 4], "db4", 4), whole)
    monkeypatch.setattr(band_graph, "_PART_BYTES", 50_000)
    parts = wavelet_filter(x.chunk(time=150), [0, 2, 4], "db4", 4)
    tolerance = 1e-5 if dtype == "f4" else 1e-12
    np.testing.assert_allclose(parts, whole, rtol=0, atol=tolerance)


def test_filter__holds_what_its_docstring_says():
    from fhemb_xr.ops.time_frequency import band_graph

    x = signal(6000, 4000, dtype="f4").values
    block = Block(3000, 4000, range(3, 4), ((1982, 5018),))
    parts = [x[a:b] for a, b in pairwise((1982, 2000, 3000, 4000, 5000, 5018))]
    spec = kernel.Spec(((2, 3, 5),), "db4", 8, "symmetric")
    kernel.filtered(x[:300, :2].copy(), spec, 0, 300)  # compiled
    tracemalloc.start()
    out = band_graph._bands_of_block(
        parts, None, 0, block, bands=band_graph.Filter(spec, "split", 0)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < out.nbytes + 3 * band_graph._PART_BYTES * 1.1


def test_filter__takes_chunks_of_one_and_any_position_of_time():
    x = signal(300)
    expected = by_pywt(x.values, {1, 3}, "db4", 3, "symmetric")
    out = wavelet_filter(x.chunk(time=1), [1, 3], "db4", 3)
    np.testing.assert_allclose(out, expected, atol=1e-12)
    turned = wavelet_filter(x.transpose("k", "time").chunk(time=40), [1, 3], "db4", 3)
    np.testing.assert_allclose(turned.transpose("time", "k"), expected, atol=1e-12)


@pytest.mark.parametrize("n", [512, 515, 5000])
@pytest.mark.parametrize("mode", kernel.CIRCULAR_MODES)
def test_filter__modes_that_join_both_ends_are_exact_in_any_chunks(mode, n):
    x = signal(n)
    expected = by_pywt(x.values, {2}, "db4", 4, mode)
    for chunk in (-1, 100, 333):
        out = wavelet_filter(x.chunk(time=chunk), [2], "db4", 4, mode)
        np.testing.assert_allclose(out, expected, atol=1e-12)


@pytest.mark.parametrize("mode", kernel.CIRCULAR_MODES)
def test_gaps__are_refused_where_chunks_cannot_know_both_ends(mode):
    x = signal(5000)
    x[2000:2200] = np.nan
    with pytest.raises(ValueError, match=r"joins both ends .* x\.chunk\(time=-1\)"):
        wavelet_filter(x.chunk(time=500), [2], "db4", 4, mode).compute()
    assert wavelet_filter(x.chunk(time=-1), [2], "db4", 4, mode).notnull()[3000:].all()


@pytest.mark.parametrize("transform", ["dwt", "modwt"])
def test_bands__sum_to_the_signal_and_each_is_the_filter_of_its_own(transform):
    x = signal(3000).chunk(time=700)
    bands = wavelet_bands(x, "db4", 5, transform=transform)
    assert bands.dims == ("time", "k", "band")
    np.testing.assert_allclose(bands.sum("band"), x, atol=1e-12)
    for b in range(6):
        alone = wavelet_filter(x, b, "db4", 5, transform=transform)
        np.testing.assert_allclose(bands.isel(band=b), alone, atol=1e-12)


def test_bands__carry_the_originals_table_of_hertz_and_seconds():
    bands = wavelet_bands(signal(4000), "db4", 8)
    hz = [(0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 0.39), (0.39, 0.78), (0.78, 1.56),
          (1.56, 3.12), (3.12, 6.25), (6.25, 12.5)]  # fmt: skip
    seconds = [(20.48, np.inf), (10.24, 20.48), (5.12, 10.24), (2.56, 5.12), (1.28, 2.56),
               (0.64, 1.28), (0.32, 0.64), (0.16, 0.32), (0.08, 0.16)]  # fmt: skip
    found = np.stack([bands.frequency_low, bands.frequency_high], -1)
    np.testing.assert_allclose(found, hz, atol=0.0051)  # the original's labels are rounded
    found = np.stack([bands.period_low, bands.period_high], -1)
    np.testing.assert_allclose(found, seconds, rtol=1e-12)


@pytest.mark.parametrize(
    ("bands", "hz", "seconds"),
    [
        ([1, 2], "0.05–0.20 Hz", "5.12–20.48 s"),
        ([2, 3, 5], "0.10–0.39, 0.78–1.56 Hz", "2.56–10.24, 0.64–1.28 s"),
        ([2, 3, 4], "0.10–0.78 Hz", "1.28–10.24 s"),
        ([0], "0.00–0.05 Hz", "20.48–∞ s"),
    ],
)
def test_filter__says_what_is_left_with_adjacent_bands_merged(bands, hz, seconds):
    out = wavelet_filter(signal(4000), bands)
    assert band_label(out.attrs) == hz
    assert band_label(out.attrs, "s") == seconds
    assert json.loads(out.attrs["fhemb_bands"])["bands"] == bands
    assert out.attrs["units"] == "degC"
    assert band_label({}) == ""


def test_modwt__equals_pywt_and_moves_with_the_signal():
    x = signal(1024, 1)
    bands = wavelet_bands(x, "db4", 5, "periodic", transform="modwt")
    expected = np.stack(pywt.mra(x.values[:, 0], "db4", 5, transform="swt"), -1)
    np.testing.assert_allclose(bands.isel(k=0), expected, atol=1e-12)
    moved = wavelet_bands(x.roll(time=37), "db4", 5, "periodic", transform="modwt")
    np.testing.assert_allclose(moved, bands.roll(time=37), atol=1e-12)


def test_dwt__does_not_move_with_the_signal():
    x = signal(1024, 1)
    band = wavelet_filter(x, 3, "db4", 5, "periodization")
    moved = wavelet_filter(x.roll(time=1), 3, "db4", 5, "periodization")
    assert float(xr.corr(band.roll(time=1), moved, "time").min()) < 0.99


@given(
    holes=st.lists(st.tuples(st.integers(0, 5999), st.integers(1, 2500)), max_size=5),
    size=st.integers(150, 3000),
    transform=st.sampled_from(["dwt", "modwt"]),
    gaps=st.sampled_from(["split", "fill"]),
)
@settings(max_examples=40)
def test_gaps__do_not_depend_on_chunks(holes, size, transform, gaps):
    x = signal(6000)
    for start, length in holes:
        x[start : start + length, 0] = np.nan
    options = {"transform": transform, "gaps": gaps}
    whole = wavelet_filter(x, [2, 3], "db4", 5, **options)
    parts = wavelet_filter(x.chunk(time=size), [2, 3], "db4", 5, **options)
    np.testing.assert_allclose(parts, whole, atol=1e-11)
    np.testing.assert_array_equal(np.isnan(whole), np.isnan(x))


@given(holes=st.lists(st.tuples(st.integers(0, 999), st.integers(1, 300)), max_size=4))
@pytest.mark.filterwarnings("ignore:Level value")
def test_gaps__split_a_series_as_pywt_would_filter_each_run(holes):
    x = signal(1000, 1)
    for start, length in holes:
        x[start : start + length] = np.nan
    out = wavelet_filter(x.chunk(time=170), [1, 3], "db4", 4)
    there = np.r_[False, np.isfinite(x.values[:, 0]), False]
    starts, stops = np.flatnonzero(np.diff(there)).reshape(-1, 2).T
    for a, b in zip(starts, stops, strict=True):
        expected = by_pywt(x.values[a:b], {1, 3}, "db4", 4, "symmetric")
        np.testing.assert_allclose(out[a:b], expected, atol=1e-12)


def expected_between(left, right, n, order):
    """Samples of least residual, by the normal equations of every equation that sees them."""
    mean = np.r_[left, right].mean()
    a = burg([left - mean, right - mean], order)
    x = np.r_[left[-order:] - mean, np.zeros(n), right[:order] - mean]
    rows = np.array([np.r_[np.zeros(t), a[::-1], np.zeros(n + order - 1 - t)]
                     for t in range(n + order)])  # fmt: skip
    unknown = slice(order, order + n)
    return np.linalg.lstsq(rows[:, unknown], -rows @ x, rcond=None)[0] + mean


def burg(sides, order):
    errors, a = [(s.copy(), s.copy()) for s in sides], np.ones(1)
    for m in range(1, order + 1):
        pairs = [(f[m:], b[m - 1 : -1]) for f, b in errors]
        top = sum(f @ b for f, b in pairs)
        r = -2 * top / sum(f @ f + b @ b for f, b in pairs)
        a = np.r_[a, 0] + r * np.r_[a, 0][::-1]
        moved = [(f + r * b, b + r * f) for f, b in pairs]
        for (f, b), (ahead, back) in zip(errors, moved, strict=True):
            f[m:], b[m:] = ahead, back
    return a


@pytest.mark.parametrize(("n", "ends"), [(20, (600, 600)), (7, (150, 90)), (40, (300, 900))])
def test_fill__is_what_an_autoregressive_model_of_both_sides_expects(n, ends):
    from fhemb_xr.kernels.time_frequency.gap_filling import ORDER, bridged

    x = signal(sum(ends) + n, 2).values
    there = np.ones(len(x), bool)
    there[ends[0] : ends[0] + n] = False
    out = bridged(np.where(there[:, None], x, np.nan), there)
    order = min(ORDER, min(*ends, gaps.CONTEXT) // 4)
    for k in range(2):
        left, right = x[: ends[0], k][-gaps.CONTEXT :], x[-ends[1] :, k][: gaps.CONTEXT]
        expected = expected_between(left, right, n, order)
        np.testing.assert_allclose(out[~there, k], expected, rtol=1e-6, atol=1e-8)


def test_fill__is_nearer_than_a_line():
    t = np.arange(3000) / 25
    x = np.sin(2 * np.pi * 0.3 * t) + 0.3 * np.sin(2 * np.pi * 1.2 * t)
    x += 0.1 * np.random.default_rng(0).normal(size=3000)
    there = np.ones(3000, bool)
    there[1500:1520] = False
    from fhemb_xr.kernels.time_frequency.gap_filling import bridged

    out = bridged(np.where(there, x, np.nan)[:, None], there)[:, 0]
    line = np.interp(np.arange(3000), np.flatnonzero(there), x[there])
    error = [np.square(y - x)[~there].mean() for y in (out, line)]
    assert error[0] < 0.2 * error[1]


@pytest.mark.parametrize("transform", ["dwt", "modwt"])
def test_coverage__is_the_share_of_the_filters_energy_on_what_is_there(transform):
    there = np.ones(6000, bool)
    there[2000:2300] = False
    x = xr.DataArray(np.where(there, 1.0, np.nan), dims="time", attrs={"sampling_rate": 25})
    out = coverage(x.chunk(time=1100), [2, 3], "db4", 5, transform=transform)
    # the filter's matrix, by its answer to an impulse at each sample around some samples
    at, reach = np.arange(1990, 2000, 1), kernel.reach("db4", 5)
    impulses = np.eye(4 * reach + 64)
    impulses = xr.DataArray(impulses, dims=("time", "k"))
    answers = wavelet_filter(impulses, [2, 3], "db4", 5, "zero", transform=transform).values
    rows = answers[2 * reach : 2 * reach + 32] ** 2  # each phase once
    for t in at:
        shares = []
        for phase in range(32):
            seen = np.arange(impulses.sizes["k"]) - (2 * reach + phase) + t
            shares.append((rows[phase] * there[seen]).sum())
        expected = np.sum(shares) / rows.sum()
        np.testing.assert_allclose(out[t], expected, atol=1e-6)
    assert float(out[1000]) == 1
    assert 0.5 < float(out[0]) < 0.7  # an end is a gap on one side


def test_gaps__touch_nothing_beyond_the_filters_reach():
    x = signal(6000)
    clean = wavelet_filter(x, [3], "db4", 5)
    x[3000:3010] = np.nan
    out = wavelet_filter(x.chunk(time=1000), [3], "db4", 5, gaps="fill")
    reach = kernel.reach("db4", kernel.depth([3], 5))
    far = np.abs(np.arange(6000) - 3005) > reach + 10
    np.testing.assert_allclose(out[far], clean[far], atol=1e-12)


def test_gaps__are_filled_for_a_butterworth_band_too():
    x = signal(4000)
    x[3000:3010] = np.nan
    whole, split = bandpass(x, (0.5, 2), gaps="fill"), bandpass(x, (0.5, 2))
    for size in (400, 1700):
        parts = bandpass(x.chunk(time=size), (0.5, 2), gaps="fill")
        np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert whole[3000:3010].isnull().all()
    assert not np.allclose(whole[2990], split[2990])


def test_gaps__of_a_person_without_a_face_stay_gaps():
    x = xr.full_like(signal(2000), np.nan).chunk(time=300)
    assert wavelet_filter(x, [1], "db4", 5).isnull().all()


def test_gaps__spread_or_raise_where_asked():
    x = signal(2000)
    x[1000] = np.nan
    spread = wavelet_filter(x, [1], "db4", 5, gaps="propagate")
    assert int(spread.isnull().sum("time").max()) > 100
    with pytest.raises(ValueError, match="gaps='fill' or gaps='split' allow that"):
        wavelet_filter(x.chunk(time=500), [1], "db4", 5, gaps="raise").compute()


def test_filter__is_lazy_linear_and_two_calls_stay_apart(computes):
    x = signal(40_000, 1).chunk(time=4000)
    with computes(0):
        calls = [wavelet_filter(x, [2, 3]), wavelet_filter(x, [5]), wavelet_bands(x, level=4)]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())
    for n in (10, 80):
        x = signal(4000 * n, 1).chunk(time=4000)
        (out,) = dask.optimize(wavelet_filter(x, [2, 3, 5]))
        assert len(out.__dask_graph__()) < 10 * n


def test_filter__of_nothing_and_of_a_constant():
    assert wavelet_filter(signal(4000).isel(k=slice(0, 0)), [1]).shape == (4000, 0)
    flat = xr.full_like(signal(4000), 33.0)
    np.testing.assert_allclose(wavelet_filter(flat, [0]), 33, rtol=1e-12)
    np.testing.assert_allclose(wavelet_filter(flat, [3]), 0, atol=1e-10)


def test_errors__say_what_is_allowed():
    x = signal(4000)
    with pytest.raises(
        UnknownNameError, match=r"no discrete wavelet 'db44'; the nearest are db4"
    ):
        wavelet_filter(x, [1], "db44")
    with pytest.raises(ValueError, match=r"numbers from 0 to 8, found \[9\]"):
        wavelet_filter(x, [9])
    with pytest.raises(ValueError, match=r"numbers from 0 to 8, none was asked for"):
        wavelet_filter(x, [])
    with pytest.raises(ValueError, match=r"no mode 'mirror': there are symmetric, "):
        wavelet_filter(x, [1], mode="mirror")
    with pytest.raises(ValueError, match=r"no transform 'cwt': there are dwt, modwt"):
        wavelet_filter(x, [1], transform="cwt")
    with pytest.raises(ValueError, match=r"modwt needs an orthogonal wavelet"):
        wavelet_filter(x, [1], "bior1.3", transform="modwt")
    with pytest.warns(UserWarning, match=r"level 8 .* 500 samples: .* sound level is 6"):
        wavelet_filter(x[:500], [1])
