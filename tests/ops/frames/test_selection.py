import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from fhemb_xr.errors import EmptySelectionError, UnknownNameError
from fhemb_xr.ops.frames.selection import mask, select


def series(subjects=(40, 41, 44, 53, 65, 66), start=9000, n=100):
    time = np.arange(start, start + n) / 25
    return xr.DataArray(
        np.arange(len(subjects) * n, dtype="f4").reshape(len(subjects), n),
        dims=("subject", "time"),
        coords={"subject": list(subjects), "time": time},
        attrs={"sampling_rate": 25.0, "units": "degC"},
    )


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("all", [40, 41, 44, 53, 65, 66]),
        (65, [65]),
        ([65, 40], [40, 65]),
        ((40, 44), [40, 41, 44]),
        ([(40, 44), 53], [40, 41, 44, 53]),
        ([(40, 44), (41, 53), 41], [40, 41, 44, 53]),
    ],
)
def test_select__speaks_the_originals_grammar(spec, found):
    assert select(series(), subjects=spec).subject.values.tolist() == found


def test_select__takes_data_and_label_together():
    x = series()
    part = select(x, subjects=[66, 41])
    for subject in (41, 66):
        xr.testing.assert_identical(part.sel(subject=subject), x.sel(subject=subject))


@given(st.integers(9000, 9098), st.integers(1, 99))
def test_select__frames_and_seconds_are_the_same_half_open_interval(start, length):
    x = series()
    by_frames = select(x, frames=(start, start + length))
    by_seconds = select(x, seconds=(start / 25, (start + length) / 25))
    xr.testing.assert_identical(by_frames, by_seconds)
    kept = np.rint(by_frames.time * 25).astype(int)
    assert kept[0] == start
    assert kept[-1] == min(start + length, 9100) - 1


def test_select__is_lazy(heat, computes):
    with computes(0):
        part = select(heat.chunk(time=7), subjects=65, seconds=(0.4, 1))
    assert part.chunks is not None
    assert part.sizes["time"] == 15


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        (
            {"subjects": 43},
            UnknownNameError,
            "no subject 43 among 6; the nearest are 40, 41, 44",
        ),
        ({"subjects": [(45, 52)]}, UnknownNameError, r"no subject in \(45, 52\); the nearest"),
        ({"subjects": [(44, 40)]}, ValueError, r"a pair \(first, last\), found \(44, 40\)"),
        ({"frames": (0, 10)}, EmptySelectionError, r"no frame in \[0, 10\): there is"),
        ({"seconds": (2, 1)}, ValueError, r"start < stop, found \(2, 1\)"),
        ({"seconds": (1, 2), "frames": (1, 2)}, ValueError, "give one of the two"),
        ({"sessions": "dg"}, UnknownNameError, "cannot select by session"),
    ],
)
def test_select__says_what_is_allowed(asked, error, text):
    with pytest.raises(error, match=text):
        select(series(), **asked)


def test_select__unknown_subject_is_a_key_error_in_plain_words():
    with pytest.raises(KeyError) as caught:
        select(series(), subjects=67)
    assert str(caught.value) == "no subject 67 among 6; the nearest are 53, 65, 66"


def test_mask__puts_nan_below_the_threshold_and_keeps_the_rest(heat, computes):
    with computes(0):
        out = mask(heat.chunk(time=9), 32)
    assert out.dtype == heat.dtype == out.compute().dtype
    expected = np.where(heat.values >= 32, heat.values, np.nan)
    np.testing.assert_array_equal(out.values, expected)
    assert out.attrs["units"] == "degC"


TEXT = xr.DataArray(np.arange(12.0), dims="subject",
                    coords={"subject": [f"s{i}" for i in range(1, 13)]})  # fmt: skip
NUMBERS = xr.DataArray(np.arange(5.0), dims="subject",
                       coords={"subject": [40, 41, 44, 65, 66]})  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("s1", "s2"), ["s1", "s2"]),
        (("s9", "s11"), ["s9", "s10", "s11"]),
        (["s3", ("s11", "s12")], ["s3", "s11", "s12"]),
        ({"s3", "s1"}, ["s1", "s3"]),
        (pd.Index(["s3", "s1"]), ["s1", "s3"]),
        (np.str_("s4"), ["s4"]),
    ],
)
def test_subjects__of_text_are_counted_by_their_numbers(asked, expected):
    assert select(TEXT, subjects=asked).subject.values.tolist() == expected


@pytest.mark.parametrize(
    "asked",
    [(40, 44), (40.0, np.int64(44)), [[40, 44]], [np.array([40, 44])], [40, 41, 44],
     np.array([40, 41, 44]), xr.DataArray([44, 41, 40]), {40, 41, 44}],
)  # fmt: skip
def test_subjects__in_every_form_of_the_same(asked):
    assert select(NUMBERS, subjects=asked).subject.values.tolist() == [40, 41, 44]


@pytest.mark.parametrize("asked", [("s10", "s2"), ("s1", 3), [("s1", 3)], (44, 40), (40, "44")])
def test_subjects__no_interval_is_refused_in_a_sentence(asked):
    for x in (TEXT, NUMBERS):
        with pytest.raises((ValueError, KeyError), match=r"pair \(first, last\)|no subject"):
            select(x, subjects=asked)
