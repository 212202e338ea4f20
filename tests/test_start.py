"""What is loaded when: an import is quick, and every public name is there at its first use."""

import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import fhemb_xr as fx
import ingest
from fhemb_xr import accessor


def python(code, **env):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "HOME": "/nonexistent", **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


OURS = "print(*sorted(m for m in set(sys.modules) - before if m.startswith('fhemb_xr')))"


def test_import__loads_xarray_and_the_registration_only():
    names = python(f"import sys; before = set(); import xarray, fhemb_xr; {OURS}")
    assert names == ["fhemb_xr", "fhemb_xr.registration"]
    new = python(
        "import sys, xarray, dask; before = set(sys.modules); import fhemb_xr;"
        "print(*(set(sys.modules) - before))"
    )
    assert {n.split(".")[0] for n in new} <= {"fhemb_xr", "lazy_loader"}


BOTH = """
import {}, {}
array = sys.modules["xarray"].DataArray([1.0, 2.0], dims="time")
assert "fhemb_xr.accessor" not in sys.modules
print(array.fhemb.isc.__name__, array.to_dataset(name="heatmap").fhemb.embed.__name__)
print(fhemb_xr.plot.signal.__name__, fhemb_xr.testing.audience.__name__)
print(fhemb_xr.legacy.Piece.__name__, fhemb_xr.errors.FhembError.__name__)
"""


@pytest.mark.parametrize("order", [("xarray", "fhemb_xr"), ("fhemb_xr", "xarray")])
def test_accessor_and_modules__are_there_without_an_import_in_any_order(order):
    expected = ["isc", "embed", "signal", "audience", "Piece", "FhembError"]
    assert python("import sys" + BOTH.format(*order)) == expected


def test_stub__names_what_there_is():
    namespace = {}
    exec("from fhemb_xr import *", namespace)
    assert {*fx.__all__} == {n for n in namespace if n != "__builtins__"}
    assert all(callable(getattr(fx, n)) for n in fx.__all__)
    assert all(inspect.ismodule(getattr(fx, n)) for n in fx._MODULES)
    assert {*fx.__all__, *fx._MODULES, "__version__"} <= {*dir(fx)}
    assert dir(ingest) == sorted(ingest.__all__)
    told = re.findall(r'^    "(\w+)",$', Path(f"{fx.__file__}i").read_text(), re.MULTILINE)
    assert told == fx.__all__  # what an editor and mypy see


def test_names__that_are_not_there_have_a_neighbour():
    with pytest.raises(AttributeError, match="no attribute 'embedd'") as error:
        fx.embedd  # noqa: B018
    assert (error.value.name, error.value.obj) == ("embedd", fx)
    with pytest.raises(ImportError, match="cannot import name 'embedd'"):
        exec("from fhemb_xr import embedd")


def test_help__begins_with_a_map_that_names_every_function():
    text = pydoc.plain(pydoc.getdoc(fx))
    assert {*fx.__all__} <= {*text.replace(",", " ").split()}


def test_functions__stay_behind_their_door_when_all_are_loaded_at_once():
    code = "import fhemb_xr as fx; print(fx.isc.__wrapped__.__module__, fx.warm.__module__)"
    told = ["fhemb_xr.ops.inference.isc", "fhemb_xr.warm"]
    assert python(code) == python(code, EAGER_IMPORT="1") == told


def test_registered_classes__show_the_methods_of_the_real_ones():
    for registered, real in [
        (xr.DataArray.fhemb, accessor.FhembDataArray),
        (xr.Dataset.fhemb, accessor.FhembDataset),
    ]:
        assert registered.embed is real.embed
        assert dir(registered) == dir(real)
        assert registered.__doc__


COMMAND = """
import sys
from fhemb_cli.app import main
sys.argv = ["fhemb", *{!r}]
try:
    main()
except SystemExit as end:
    print("exit", end.code)
heavy = {{"numpy", "xarray", "numba", "dask", "zarr", "fhemb_xr", "psycopg", "rich"}}
print(*sorted(heavy & {{*sys.modules}}))
"""


@pytest.mark.parametrize("args", [["--help"], ["embed", "--help"], ["ingest", "run", "--help"]])
def test_help__loads_nothing_but_what_prints_it(args):
    assert python(COMMAND.format(args))[-1] == "rich"


def test_completion__loads_nothing_and_knows_every_command():
    asked = {"_FHEMB_COMPLETE": "complete_bash", "COMP_WORDS": "fhemb ", "COMP_CWORD": "1"}
    found = python(COMMAND.format([]), **asked)
    assert {"embed", "similarity", "report", "ingest", "demo", "pair", "forget"} <= {*found}
    assert found[-2:] == ["exit", "0"]
