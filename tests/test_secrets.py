"""Secrets reach nothing that is shown or kept; nothing unpickles; names are no paths."""

import ast
import dataclasses
import importlib
import json
import logging
import os
import pickle
import re
import tomllib
import traceback
from pathlib import Path

import numpy as np
import psycopg
import pytest
import typer
import xarray as xr
import zarr
from psycopg import sql
from typer.testing import CliRunner

import fhemb_xr as fx
import ingest
from fhemb_xr import cli
from fhemb_xr.errors import FhembError, StoreError
from ingest import cli as ingest_cli
from ingest import settings
from ingest.postgres.connections import Door
from ingest.postgres.source import PostgresSource
from tests.ingest.postgres.test_source import audience, wide

PASSWORD, PHRASE = "canary-password-9d1", "canary-passphrase-4e7"
CANARIES = (PASSWORD, PHRASE)
ROOTS = (Path(fx.__file__).parent, Path(ingest.__file__).parent)
FILES = [path for root in ROOTS for path in sorted(root.rglob("*.py"))]


@pytest.fixture(scope="module")
def laboratory(postgres, tmp_path_factory):
    """A reader whose password is the canary, its configuration, and a place for stores."""
    folder = tmp_path_factory.mktemp("laboratory")
    with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
        conn.execute("CREATE SCHEMA lab")
        wide(conn, audience(), schema="lab")
        role = sql.SQL("CREATE ROLE reader LOGIN PASSWORD {}").format(sql.Literal(PASSWORD))
        conn.execute(role)
        conn.execute("GRANT USAGE ON SCHEMA lab TO reader")
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA lab TO reader")
        config = folder / "config"
        config.mkdir()
        secret = config / ".env.db"
        secret.touch(0o600)
        secret.write_text(
            f"DB_HOST={postgres.host}\nDB_PORT={postgres.port}\nDB_NAME={postgres.dbname}\n"
            f"DB_USERNAME=reader\nDB_PASSWORD={PASSWORD}\nSSH_PASSPHRASE={PHRASE}\n"
        )
        yield folder, config
        conn.execute("DROP OWNED BY reader; DROP ROLE reader; DROP SCHEMA lab CASCADE")


PLAIN = ["--wavelet", "none"]
STEPS = [
    (cli.app, ["doctor"], 0),
    (cli.app, ["doctor", "--json"], 0),
    (ingest_cli.app, ["init"], 0),  # the one that is missing
    (ingest_cli.app, ["plan", "--schema", "lab"], 0),
    (ingest_cli.app, ["plan", "--schema", "lab", "--json"], 0),
    (ingest_cli.app, ["run", "don.zarr", "--schema", "lab"], 0),
    (ingest_cli.app, ["run", "don.zarr", "--schema", "lab", "--json"], 0),
    (ingest_cli.app, ["verify", "don.zarr", "--schema", "lab", "--json"], 0),
    (ingest_cli.app, ["run", "no.zarr", "--schema", "lab", "--table", "face"], 1),
    (cli.app, ["info", "don.zarr"], 0),
    (cli.app, ["embed", "don.zarr", "emb.zarr", "-f", "mean,skew", *PLAIN], 0),
    (cli.app, ["embed", "don.zarr", "emb.zarr", "-f", "mean", *PLAIN, "--json"], 1),
    (cli.app, ["similarity", "emb.zarr", "dtw.zarr", "--metric", "euclidean", "--json"], 0),
    (cli.app, ["verify", "don.zarr", "--json"], 0),
]
WRONG = {"DB_PASSWORD": "other-" + PASSWORD}, {"DB_PORT": "1"}, {"DB_NAME": "nowhere"}, {
    "REMOTE_HOST": "127.0.0.1", "REMOTE_PORT": "1", "SSH_USERNAME": "u", "SSH_PKEY": "/no/key",
}  # fmt: skip


@pytest.mark.db
def test_canary__is_in_nothing_that_any_command_says_or_writes(laboratory, monkeypatch, caplog):
    folder, config = laboratory
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(folder)
    runner, said = CliRunner(), []

    def run(app, args, **changes):
        env = {**os.environ, "FHEMB_CONFIG_DIR": str(config), **changes}
        done = runner.invoke(app, args, env=env)
        said.append(done.output + "".join(traceback.format_exception(done.exception)))
        return done

    for app, args, code in STEPS:
        assert run(app, args).exit_code == code, (args, said[-1])
    for change in WRONG:
        for app, args in ((cli.app, ["doctor"]), (ingest_cli.app, ["plan", "--schema", "lab"])):
            assert run(app, [*args, "--json"], **change).exit_code == 1, (args, change)
    written = [p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".env.db"]
    assert len(written) > 20
    for canary in CANARIES:
        assert canary not in "".join(said) + caplog.text
        assert not any(canary.encode() in data for data in written)


@pytest.mark.db
def test_canary__is_in_no_repr_attribute_pickle_or_chain(laboratory, monkeypatch):
    _, config = laboratory
    found = settings.database(config)
    source = PostgresSource(found.connection(), "lab")
    door = Door(found.connection(), None, 5)
    shown = [repr(x) + str(x) for x in (found, source, door, vars(found), found.model_dump())]
    shown += [found.model_dump_json(), json.dumps(found.model_dump(), default=str)]
    for secret in (source, door):
        with pytest.raises(TypeError, match="password"):
            pickle.dumps(secret)
    monkeypatch.setenv("DB_PORT", PASSWORD)
    with pytest.raises(FhembError) as caught:
        settings.database(config)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    shown.append("".join(traceback.format_exception(caught.value)))
    for canary in CANARIES:
        assert canary not in "".join(shown)


@pytest.mark.db
@pytest.mark.cluster
def test_canary__is_in_no_graph_log_or_event_of_a_cluster(laboratory, tmp_path):
    _, config = laboratory
    source = PostgresSource(settings.database(config).connection(), "lab")
    with fx.local_cluster(1, memory_limit="1GiB") as client:
        ingest.ingest(source, tmp_path / "a.zarr", workers=1)
        x = fx.embed(fx.open_recording(tmp_path / "a.zarr"), ["mean"])
        fx.save(x, tmp_path / "x.zarr")
        failed = client.submit(open, "/nowhere")
        assert failed.exception() is not None
        said = [client.get_scheduler_logs(), client.get_worker_logs(), client.get_events()]
        said += [dict(x.__dask_graph__()), client.run(lambda: dict(os.environ))]
        shown = repr(said)
        shown += client.run_on_scheduler(lambda dask_scheduler: repr(dask_scheduler.tasks))
        assert failed.key in shown
    for canary in CANARIES:
        assert canary not in shown


def commands(app, prefix=()):
    group = typer.main.get_command(app)
    return {(*prefix, name) for name in group.commands}


def test_canary__has_met_every_command():
    met = {args[0] for app, args, _ in STEPS if app is cli.app}
    harmless = {
        "report",
        "repair",
        "forget",
        "export",
        "anonymize",
        "pair",
        "view",
    }  # read stores, not settings
    assert {name for (name,) in commands(cli.app)} - {"ingest", "demo"} <= met | harmless
    met = {args[0] for app, args, _ in STEPS if app is ingest_cli.app}
    assert {name for (name,) in commands(ingest_cli.app)} == met


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".hidden", "__init__", "a\\b", ""])
def test_names__are_no_paths(tmp_path, name):
    x = xr.Dataset({name: ("k", [1.0, 2.0])})
    with pytest.raises(ValueError, match="cannot be stored as"):
        fx.save(x, tmp_path / "in" / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_ids__are_labels_and_never_paths(tmp_path):
    ids = ["../../evil", "/etc/passwd", "a\0b", "x" * 300]
    x = xr.DataArray(np.ones((4, 3)), dims=("subject", "k"), coords={"subject": ids}, name="x")
    fx.save(x, tmp_path / "in" / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["a.zarr"]
    assert fx.open_result(tmp_path / "in" / "a.zarr").subject.values.tolist() == ids


UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "joblib", "shelve", "marshal",
              "cloudpickle", "numcodecs.pickles"}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_code__unpickles_nothing(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {a.name for a in node.names} & UNPICKLERS, path
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in UNPICKLERS, path
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not re.search(r"npy_stack|read_pickle|^eval$|^exec$|torch\.load", called), (
                path
            )
            if called == "np.load":
                given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert given.get("allow_pickle") == "False", (path, node.lineno)
            assert "shell" not in {k.arg for k in node.keywords}, path


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def test_stores_and_files__with_a_pickle_are_refused_unread(tmp_path):
    from ingest.demo import read_clip

    mark = tmp_path / "mark"
    np.savez(tmp_path / "clip.npz", face=np.array([Bomb(mark)], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_clip(tmp_path / "clip.npz")
    store = tmp_path / "old.zarr"
    meta = {
        "zarr_format": 2,
        "shape": [1],
        "chunks": [1],
        "dtype": "|O",
        "order": "C",
        "compressor": None,
        "fill_value": None,
        "filters": [{"id": "pickle", "protocol": 4}],
    }
    (store / "x").mkdir(parents=True)
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    (store / "x" / ".zarray").write_text(json.dumps(meta))
    (store / "x" / "0").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(StoreError):
        fx.open_recording(store)
    with pytest.raises(StoreError):
        fx.open_result(store)
    with pytest.raises(Exception, match=r"object|dtype|O"):
        zarr.create_array(tmp_path / "new.zarr", shape=(1,), dtype=object)
    assert not mark.exists()


def test_dependencies__each_have_a_lowest_version():
    found = tomllib.loads((ROOTS[0].parent / "pyproject.toml").read_text())["project"]
    lines = [d for group in found["optional-dependencies"].values() for d in group]
    for line in [*found["dependencies"], *lines]:
        assert re.search(r">=\d", line) or line.startswith("fhemb_xr["), line


def test_dependencies__are_pinned_one_by_one():
    pins = (ROOTS[0].parent / "constraints.txt").read_text().splitlines()
    for line in (p for p in pins if p and not p.startswith("#")):
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def _dataclasses():
    for path in FILES:
        root = next(r for r in ROOTS if path.is_relative_to(r))
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        if "@dataclass" in path.read_text():
            module = importlib.import_module(name.removesuffix(".__init__"))
            yield from (c for c in vars(module).values()
                        if dataclasses.is_dataclass(c) and c.__module__ == name)  # fmt: skip


def test_people__are_in_no_repr_of_a_dataclass():
    """``logger.debug("%s", task)`` once wrote whose shard it was."""
    # a number of people, rows that are looked at, names of a column and of a dimension
    allowed = {("Summary", "subjects"), ("Window", "people"), ("Layout", "subject")}
    allowed |= {("Plan", "people")}
    named = {"subject", "subjects", "people", "person", "persons", "who"}
    found = [(c.__name__, f.name) for c in _dataclasses() for f in dataclasses.fields(c)
             if f.name in named and f.repr]  # fmt: skip
    assert {*found} == allowed
