"""The floors: a module imports only from floors below its own."""

import ast
import functools
import graphlib
import inspect
import re
import sys
from pathlib import Path

import pytest
import xarray as xr

import fhemb_cli
import fhemb_xr as fx
import ingest
from fhemb_xr import accessor

ROOT = Path(fx.__file__).parent
INGEST = Path(ingest.__file__).parent
COMMAND = Path(fhemb_cli.__file__).parent
PACKAGES = (ROOT, INGEST, COMMAND)
BASE = {"errors", "options", "budget", "schema", "clock", "typing", "dask_internals"}
FLOORS = {  # what each room may import of this package
    "kernels": {"kernels", "typing"},
    "nn": {"nn", "kernels"} | BASE,
    "ops": {"kernels", "nn", "ops"} | BASE,
    "io": {"io", "kernels"} | BASE,
    "plot": {"plot", "ops", "io", "kernels", "diagnostics"} | BASE,
    "cluster": {"io", "worker_memory"} | BASE,
    "noxi": {"noxi", "ops", "io", "nn"} | BASE,
    "training_runs": {"ops", "io"} | BASE,
    "extension": {"ops", "io"} | BASE,
    "testing": {"testing", "kernels", "io"} | BASE,
    "legacy": {"legacy", "ops", "io", "nn", "plot"} | BASE,
    "accessor": {"ops", "io", "plot"} | BASE,
    "registration": {"accessor"},
    "view": {"view", "plot", "ops", "io", "kernels"} | BASE,
}
FORBIDDEN = {
    "kernels": {"xarray", "dask", "zarr"},
    "ops": {"zarr", "matplotlib", "holoviews"},
    "io": {"holoviews", "matplotlib"},
}
FILES = [
    p for p in ROOT.rglob("*.py") if p.relative_to(ROOT).parts[0].removesuffix(".py") in FLOORS
]


@functools.cache
def imports(path):
    """Dotted names of everything a file imports, wherever in it."""
    return [
        name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in named(node)
    ]


def named(node):
    """Dotted names that a statement imports."""
    module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return [f"{module}{alias.name}" for alias in node.names]


def test_floors__imports_point_down():
    for path in FILES:
        floor = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for name in imports(path):
            top, *rest = name.split(".")
            assert top not in ("ingest", "fhemb_cli"), (path, name)
            assert top not in FORBIDDEN.get(floor, set()), (path, name)
            if top == "fhemb_xr":
                assert rest[0] in FLOORS[floor], (path, name)


def test_floors__ingest_sees_the_schema_the_errors_and_the_stores_only():
    for path in INGEST.rglob("*.py"):
        allowed = {"schema", "clock", "errors", "io", "budget", "typing"}
        if path.name == "demo.py":
            allowed |= {"testing", "warm"}  # its audience is simulated; it compiles once
        is_command = path.name == "demo.py" or path.parent.name == "cli"
        for name in imports(path):
            top, *rest = name.split(".")
            if top == "fhemb_xr":
                assert rest[0] in allowed, (path, name)
            if top == "fhemb_cli":  # all commands talk alike
                assert is_command, (path, name)


def at_import(tree):
    """Dotted names that a module imports when it is loaded, not in a function or for types."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from named(node)


def test_floors__commands_load_what_they_need_when_they_run():
    own = {"typer", "fhemb_cli", "ingest", *sys.stdlib_module_names}
    files = [*COMMAND.glob("*.py"), *(INGEST / "cli").glob("*.py"), INGEST / "demo.py"]
    for path in files:
        for name in at_import(ast.parse(path.read_text())):
            assert name.split(".")[0] in own, (path, name)
            assert not name.startswith("ingest.") or "cli" in name, (path, name)


BY_NAME = {
    ".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): p
    for base in PACKAGES
    for p in sorted(base.rglob("*.py"))
}


def modules_used(path):
    """Modules of ours that a file imports, wherever in it."""
    for name in imports(path):
        place = name if name in BY_NAME else name.rpartition(".")[0]
        if place in BY_NAME:
            yield place


def test_modules__import_each_other_in_no_circle():
    graph = {name: {*modules_used(path)} - {name} for name, path in BY_NAME.items()}
    assert list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    "floor", ["fhemb_xr.kernels", "fhemb_xr.ops", "fhemb_xr.io", "fhemb_xr.plot", "ingest"]
)
def test_rooms__of_a_floor_import_each_other_in_no_circle(floor):
    def room(name):
        return ".".join(name.split(".")[: floor.count(".") + 2])

    graph = {}
    for name, path in BY_NAME.items():
        if name.startswith(f"{floor}."):
            used = {room(n) for n in modules_used(path) if n.startswith(f"{floor}.")}
            graph.setdefault(room(name), set()).update(used - {room(name)})
    assert list(graphlib.TopologicalSorter(graph).static_order())


def body_lines(function):
    first, *rest = function.body
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.end_lineno - (rest[0] if is_text and rest else first).lineno + 1


@functools.cache
def functions(path):
    """Name, lines of the body and number of parameters of each function of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    every = [(n, n.args) for n in nodes if isinstance(n, ast.FunctionDef)]
    return [
        (n.name, body_lines(n), len([*a.posonlyargs, *a.args, *a.kwonlyargs])) for n, a in every
    ]


def test_functions__are_short():
    for path in BY_NAME.values():
        for name, lines, _ in functions(path):
            assert lines <= 60, (path, name)


PUBLIC = {*fx.__all__, "audience", "create_recording", "ingest"}


COMMANDS = [*COMMAND.glob("*.py"), INGEST / "cli" / "app.py"]


def test_functions__have_at_most_ten_parameters_but_public_ones():
    original = {n for n in dir(fx.legacy) if callable(getattr(fx.legacy, n))}
    for path in BY_NAME.values():
        for name, _, n in functions(path):
            # a parameter of a command is an option
            assert n <= 10 or path in COMMANDS or name in PUBLIC | original, (path, name)


def test_kernels__meet_labelled_arrays_at_one_door():
    door = "ops/blockwise/apply.py"
    users = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "apply_ufunc"
    }
    assert users == {door}


def test_folders__hold_at_most_fifteen_modules_and_have_a_face_of_a_sentence():
    for base in PACKAGES:
        for face in base.rglob("__init__.py"):
            assert ast.get_docstring(ast.parse(face.read_text())), face
            modules = [p for p in face.parent.glob("*.py") if p.name[:2] != "__"]
            assert len(modules) <= 15, face.parent


MADE = ("Client(", "LocalCluster(", "dask.config.set(", "config.set(", "print(")


def test_library__makes_no_client_and_changes_no_configuration():
    for path in (*ROOT.rglob("*.py"), *COMMAND.rglob("*.py")):
        talks, clusters = {"print("}, {*MADE} - {"print("}
        rooms = {ROOT / "cluster.py": clusters}
        allowed = talks if path.parent == COMMAND else rooms.get(path, set())
        called = [
            ast.unparse(node.func).rpartition("dask.")[2] + "("
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        ]
        assert not {*called} & ({*MADE} - allowed), path


INTERNALS = {"_meta", "_in_memory", "io_deps", "python_impl", "clone_key"}
MODULES = ("xarray.core", "zarr.core", "dask.graph_manipulation.chunks")


def internals(tree):
    """What a file uses of its dependencies that they do not call public."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in INTERNALS:
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and node.value in INTERNALS:  # getattr(x, "_meta")
            yield repr(node.value)
        for name in named(node) if isinstance(node, ast.Import | ast.ImportFrom) else ():
            top, *rest = name.split(".")
            private = any(part.startswith("_") and part[1] != "_" for part in rest)
            if top not in ("fhemb_xr", "fhemb_cli", "ingest") and (
                private or name.startswith(MODULES) or rest[-1:] == ["clone_key"]
            ):
                yield name


def test_private_names__of_dependencies_are_used_in_one_module():
    for path in BY_NAME.values():
        if path.name != "dask_internals.py":
            assert not [*internals(ast.parse(path.read_text()))], path


def test_private_names__are_seen_however_they_are_used():
    uses = """
from dask._task_spec import Task
from dask.base import clone_key
from xarray.core import indexing
import xarray.core.indexing
from zarr.core.sync import sync
from numpy import _core
x._meta
v.variable._in_memory
getattr(layer, "io_deps", {})
self.python_impl
"""
    for use in uses.strip().splitlines():
        assert [*internals(ast.parse(use))], use
    own = "from __future__ import annotations\nfrom fhemb_xr.kernels._jit import kernel\nx.core"
    assert not [*internals(ast.parse(own))]


OF_DATA = [n for n in fx.__all__ if n not in accessor.NOT_METHODS]


@pytest.mark.parametrize("name", OF_DATA)
def test_accessor__mirrors_the_functions(name):
    function = getattr(fx, name)
    classes = [c for c in (accessor.FhembDataArray, accessor.FhembDataset) if hasattr(c, name)]
    assert classes, f"{name} is a method of no accessor"
    for cls in classes:
        method = getattr(cls, name)
        mine = list(inspect.signature(method).parameters.values())[1:]
        assert mine == list(inspect.signature(function).parameters.values())[1:]
        assert method.__doc__ == function.__doc__


@pytest.mark.parametrize("cls", [accessor.FhembDataArray, accessor.FhembDataset])
def test_accessor__has_no_method_without_a_function(cls):
    methods = {n for n in dir(cls) if not n.startswith("_")}
    assert methods - {"plot"} <= set(fx.__all__)


def test_accessor__holds_nothing_but_the_object(heat):
    assert not hasattr(heat.fhemb, "__dict__")
    with pytest.raises(AttributeError):
        heat.fhemb.cache = 1


def test_plot_namespace__has_every_figure():
    from fhemb_xr import plot

    for name in accessor.FIGURES:
        assert callable(getattr(plot, name)), name


def test_public_names__are_there_and_documented():
    for name in fx.__all__:
        assert getattr(fx, name).__doc__, name
    assert isinstance(fx.__doc__, str)
    assert isinstance(xr.DataArray([1.0]).fhemb, accessor.FhembDataArray)


def test_docs__name_tests_that_exist():
    pages = "".join(p.read_text() for p in (ROOT.parent / "docs").glob("*.md"))
    said = {*re.findall(r"`(test_\w+)`", pages)} - {"test_installation"}  # the originals'
    files = [*Path(__file__).parent.rglob("test_*.py")]
    there = {*re.findall(r"def (test_\w+)", "".join(p.read_text() for p in files))}
    there |= {p.stem for p in files}
    assert said
    assert not said - there


def test_contributing__names_paths_that_exist():
    top = ROOT.parent
    text = (top / "CONTRIBUTING.md").read_text()
    said = {*re.findall(r"`([\w./-]+(?:/[\w.-]*|\.(?:pyi?|md|toml)))`", text)}
    assert len(said) > 80
    assert [p for p in said if not ((top / p).exists() or (ROOT / p).exists())] == []
    rooms = {p.parent.relative_to(ROOT).as_posix() for p in ROOT.rglob("*/__init__.py")}
    floors = {"kernels", "ops", "io", "plot"}
    assert [r for r in rooms if r.split("/")[0] in floors and f"`{r}`" not in text] == []
