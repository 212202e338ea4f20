"""Names in any case, with any separator, and by the words of other libraries."""

import numpy as np
import pytest
import pywt
import xarray as xr

import fhemb_xr as fx
from fhemb_xr import plot
from fhemb_xr.errors import UnknownNameError
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.frames.feature_names import expand
from fhemb_xr.ops.synonyms import meant, wavelet

X = xr.DataArray(
    np.random.default_rng(0).normal(size=(4, 60)),
    dims=("subject", "time"),
    attrs={"sampling_rate": 10.0},
)
TABLES = {n: t for n, t in vars(synonyms).items() if n.isupper() and isinstance(t, dict)}


def test_meant__ignores_case_and_separators_and_never_guesses():
    known = ("soft_dtw", "soft_dtw_divergence", "dtw")
    assert meant("Soft-DTW", known) == meant(" soft dtw", known) == "soft_dtw"
    assert meant("soft", known) is meant("", known) is meant(3, known) is None
    assert meant("a-b", ("a_b", "ab")) is None
    assert meant("ab", ("a_b", "ab")) == "ab"
    assert type(meant(np.str_("dtw"), known)) is str


@pytest.mark.parametrize("name", TABLES)
def test_synonyms__lead_to_one_name_each_and_hide_none(name):
    table = TABLES[name]
    folded = [synonyms.folded(word) for word in table]
    assert len({*folded}) == len(folded)
    assert not {*folded} & {synonyms.folded(value) for value in table.values()}


def test_wavelet__of_every_name_is_itself():
    names = pywt.wavelist()
    assert [wavelet(n, names) for n in names] == names
    assert [wavelet(n.upper(), names) for n in names] == names


@pytest.mark.parametrize(
    ("word", "expected"),
    [("DB 4", "db4"), ("daubechies-4", "db4"), ("Symlet 5", "sym5"), ("Morlet", "morl"),
     ("mexican hat", "mexh"), ("biorthogonal 1.3", "bior1.3"), ("CMOR1.5-1.0", "cmor1.5-1.0"),
     ("complex morlet 1.5-1.0", "cmor1.5-1.0"), ("db99", None), ("morlett", None), (4, None)],
)  # fmt: skip
def test_wavelet__by_other_words(word, expected):
    assert wavelet(word, pywt.wavelist()) == expected


def test_features__by_other_words_have_one_name():
    asked = ["SD", "Standard Deviation", "Kurt", "skewness", "VAR", "P05", "p 5", "p5.0", "avg"]
    assert expand(asked) == ["std", "kurtosis", "skew", "variance", "p5", "mean"]
    assert expand(["pc01", "bh03", "G1_02", "p2.5"]) == ["pc1", "bh3", "g1_2", "p2.5"]
    for wrong in ("s", "st", "iqr", "p101", "bh1.5", "p"):
        with pytest.raises(UnknownNameError, match=f"no feature {wrong!r}"):
            expand(wrong)


def test_features__a_pair_alone_is_an_interval_as_of_subjects():
    assert expand(("p5", "p15")) == expand([("p5", "p15")]) == ["p5", "p10", "p15"]
    assert expand(["p5", "p15"]) == ["p5", "p15"]
    assert expand(("mean", "max")) == ["mean", "max"]
    assert expand(("p5", "pc3")) == ["p5", "pc3"]
    assert expand([np.array(["pc0", "pc2"])]) == ["pc0", "pc1", "pc2"]
    with pytest.raises(ValueError, match="from low to high"):
        expand(("p95", "p5"))


D = fx.pairwise(X, "euclidean")
SAME = {
    "linkage": lambda name: fx.clusters(D, 2, method=name),
    "null": lambda name: fx.surrogates(X, 2, method=name, seed=0),
    "way": lambda name: fx.isc(X, how=name)["isc"],
    "normalization": lambda name: fx.pairwise(X, "dtw", normalize=name),
    "scale": lambda name: fx.normalize_relation(D, name),
    "mode": lambda name: fx.wavelet_filter(X, [1], "haar", 2, name),
    "gaps": lambda name: fx.bandpass(X, (1, 3), gaps=name),
    "window": lambda name: fx.spectrogram(X, window_s=2, step_s=1, window=name),
    "continuous": lambda name: fx.scalogram(X, [1.0, 2.0], wavelet=name),
}


@pytest.mark.parametrize(
    ("room", "word", "name"),
    [("linkage", "UPGMA", "average"), ("linkage", "Ward", "ward"), ("null", "IAAFT", "iaaft"),
     ("way", "leave-one-out", "leave_one_out"), ("normalization", "Z-score", "zscore"),
     ("scale", "Min-Max", "minmax"), ("mode", "Symmetric", "symmetric"),
     ("gaps", "FILL", "fill"), ("window", "Hann", "hann"),
     ("continuous", "Mexican Hat", "mexh"), ("continuous", "cmor", "cmor1.5-1.0")],
)  # fmt: skip
def test_name__means_the_same_and_is_recorded_as_ours(room, word, name):
    xr.testing.assert_identical(SAME[room](word), SAME[room](name))


@pytest.mark.parametrize("room", SAME)
def test_name__that_is_none_is_refused_with_what_there_is(room):
    with pytest.raises(UnknownNameError, match=r"no .*'nonsuch'"):
        SAME[room]("nonsuch")


NUMBERS = {
    "window": lambda v: fx.pairwise(X, "dtw", window=v),
    "itakura": lambda v: fx.pairwise(X, "dtw", itakura=v),
    "max_lag_s": lambda v: fx.pairwise(X, "max_lagged_correlation", max_lag_s=v),
    "seed": lambda v: fx.clusters(D, 2, method="kmedoids", seed=v),
    "alpha": lambda v: fx.isc(X, null="circular", alpha=v),
    "highpass_s": lambda v: fx.detrend(X, highpass_s=v),
    "frequencies": lambda v: fx.scalogram(X, v),
    "bands": lambda v: fx.wavelet_filter(X, v, "haar", 3),
    "segment": lambda v: fx.prepare(X, {"a": v, "b": (1, 2)}),
    "limit": lambda v: plot.lagged(D, limit=v) if v is None else plot.lagged(MAP, limit=v),
    "lag_s": lambda v: plot.lagged_at(MAP, v),
    "threshold": lambda v: fx.events(X[0], threshold=v),
}
MAP = fx.lagged_correlation(X[0], X[1], window_s=2, step_s=1, max_lag_s=1)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("wrong", ["a", "3", np.nan, True, (1, 2, 3, "x")])
def test_number__that_is_none_is_refused_in_a_sentence(name, wrong):
    with pytest.raises(ValueError, match=r"found|no |not "):
        NUMBERS[name](wrong)


@pytest.mark.parametrize(
    "bands",
    [{1, 2}, range(1, 3), (b for b in (1, 2)), np.array([1.0, 2.0]), xr.DataArray([1, 2])],
)
def test_bands__in_every_form_of_the_same(bands):
    xr.testing.assert_identical(NUMBERS["bands"](bands), NUMBERS["bands"]([1, 2]))


def test_figures__refuse_a_subject_that_the_data_have_not():
    heat = xr.DataArray(np.ones((9, 4, 3)), dims=("time", "y", "x"), attrs=X.attrs)
    with pytest.raises(ValueError, match="asked for subject 40, the data are of none"):
        plot.frames(heat, subject=40)
    with pytest.raises(ValueError, match="asked for subject 40, the data are that of 41"):
        plot.frames(heat.assign_coords(subject=41), subject=40)
    assert plot.frames(heat.assign_coords(subject=40), subject=40)
    with pytest.raises(ValueError, match="lag_s lies on the map, from -1 to 1 s, found 50"):
        plot.lagged_at(MAP, 50)
