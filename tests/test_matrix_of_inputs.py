"""Every public function on every awkward form of the same numbers.

The result is that of float64 on an even clock of seconds, or an error of the library. A new
function of ``fx.__all__`` joins by its signature, see ``tests/support/calls.py``.
"""

import calls
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from calls import each

import fhemb_xr as fx
from fhemb_xr.errors import FhembError

FORMS = {
    **{
        d: lambda x, d=d: x.astype(d)
        for d in ("f2", "f4", ">f4", ">f8", "g", "u1", ">i2", "i8")
    },
    "lazy": lambda x: x.chunk(),
    "turned": lambda x: x.transpose(),
    "masked": lambda x: x.copy(data=da.ma.masked_invalid(da.from_array(x.values, chunks=-1))),
}
SIGNED = ("split", "reconstruct", "from_coefficients", "pair", "train_pairing", "inspect",
          "normalise", "to_torch", "pairing_accuracy")  # fmt: skip
"""Functions whose input is no whole number, or not above zero: whole types would change it."""


ROUNDING = ("u1", ">i2", "i8", "f2")


def moments(x):
    return x["time"].values


def date(unit):
    def form(x):
        since = np.rint(moments(x) * 1e6).astype("m8[us]")
        return x.assign_coords(time=(np.datetime64("2031-05-04", "us") + since).astype(unit))

    return form


CLOCKS = {
    "gap": lambda x: x.assign_coords(time=np.where(moments(x) > 2, moments(x) + 7, moments(x))),
    "reversed": lambda x: x.isel(time=slice(None, None, -1)),
    "twice": lambda x: x.assign_coords(time=np.maximum(moments(x), moments(x)[3])),
    "stale": lambda x: x.assign_attrs(sampling_rate=5.0),
    "milliseconds": lambda x: x.assign_coords(time=moments(x).round(3)),
    "float32": lambda x: x.assign_coords(time=moments(x).astype("f4")),
    "dates[ms]": date("M8[ms]"),
    "dates[us]": date("M8[us]"),
    "dates[ns]": date("M8[ns]"),
    "none": lambda x: x.drop_vars("time"),
    "none, a rate": lambda x: x.drop_vars("time").assign_attrs(
        sampling_rate=float(np.rint(1 / (moments(x)[1] - moments(x)[0])))
    ),
    "lazy frame": lambda x: x.assign_coords(frame=("time", da.arange(x.sizes["time"]))),
}
OF_MOMENTS = ("events", "rr", "instantaneous_rate", "cardiac_wave", "align", "select")
"""Functions that work on moments, even or not: another clock is another truth."""
POSITIONS = ("warping_path", "barycentre")
"""Functions whose result is another when time runs backwards: positions that count from the
other end, and which of two equal paths is taken.
"""
NOT_THE_SAME = {
    *((name, clock) for name in OF_MOMENTS for clock in ("gap", "reversed", "twice")),
    *((name, "reversed") for name in POSITIONS),
    *(("cardiac_wave", clock) for clock in ("milliseconds", "dates[ms]")),
}
SESSIONS = {
    "of one": lambda x: x.expand_dims(session=["a"]),
    "scalar": lambda x: x.assign_coords(session="a"),
}


@pytest.fixture(scope="module")
def reference():
    """Calls, and their results for native float64, made once."""
    made = {}

    def of(name):
        if name not in made:
            call = calls.CALLS[name]()
            for x in call.arguments[: call.arrays]:
                x.attrs.pop("fhemb_spec", None)
            made[name] = call, calls.results(call)
        return made[name]

    return of


def check(call, expected, form):
    """The result of a form is the expected one, or it is refused in a sentence."""
    try:
        found = calls.results(call, form)
    except (FhembError, ValueError, TypeError, KeyError) as error:
        assert calls.told(error), repr(error)  # noqa: PT017
        return
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(
            found[key].squeeze(), values.squeeze(), rtol=2e-4, atol=2e-3, err_msg=key
        )


@pytest.mark.parametrize("name", list(calls.CALLS))
def test_function__gives_what_float64_gives_or_refuses(name, reference):
    call, expected = reference(name)
    forms = [f for f in FORMS if name not in SIGNED or f not in ROUNDING]
    each(forms, lambda f: check(call, expected, lambda x: calls.changed(x, FORMS[f])))


def has_clock(x):
    return "time" in x.dims and "time" in x.coords


@pytest.mark.parametrize("name", list(calls.CALLS))
def test_function__on_an_awkward_clock_gives_the_same_or_refuses(name, reference):
    call, expected = reference(name)
    if not all(map(has_clock, call.arguments[: call.arrays])):
        return  # there is no clock to be awkward
    clocks = [c for c in CLOCKS if (name, c) not in NOT_THE_SAME]
    each(clocks, lambda clock: check(call, expected, CLOCKS[clock]))


@pytest.mark.parametrize("name", list(calls.CALLS))
def test_function__of_a_session_of_one_gives_what_it_gives_without(name, reference):
    call, expected = reference(name)
    if any("session" in x.dims for x in call.arguments[: call.arrays]):
        return
    each(SESSIONS, lambda session: check(call, expected, SESSIONS[session]))


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("name", list(calls.CALLS))
def test_function__of_nothing_or_one_moment_answers_or_refuses(name, n, reference):
    call, _ = reference(name)
    dims = call.arguments[0].dims
    dim = next((d for d in ("time", "frame") if d in dims), next(iter(dims)))

    def short(x):
        some = {d: slice(n) for d in x.dims if str(d).startswith(str(dim)[:4])}
        return x.isel(some)

    try:
        calls.results(call, short)
    except (FhembError, ValueError, TypeError, KeyError) as error:
        assert calls.told(error), repr(error)  # noqa: PT017


def test_matrix__covers_every_public_function():
    """Each is called, or its reason is given: a new one cannot be forgotten."""
    called = {name.split()[0] for name in calls.CALLS}
    assert called | {*calls.OUTSIDE} == {*fx.__all__}
    assert not called & {*calls.OUTSIDE}
    assert all(isinstance(v, xr.DataArray | xr.Dataset) for v in map(_first, calls.CALLS))


def _first(name):
    return calls.CALLS[name]().arguments[0]
