"""What the commands say where an extra is not installed."""

import subprocess
import sys

import numpy as np
import pytest

BLOCKED = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
del sys.argv[1]
from fhemb_cli.app import main
main()
"""


def fhemb(blocked, *args):
    """A command in a process that cannot import some modules."""
    command = [sys.executable, "-c", BLOCKED, blocked, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["psycopg", "pydantic_settings"])
def test_database__without_its_extra_names_the_pip_line(name):
    done = fhemb(name, "ingest", "plan", "--schema", "don")
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert f"{name}, which is not installed: pip install 'fhemb_xr[ingest]'" in said


def test_files__need_nothing_of_the_database(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(folder / "subj40.npy", np.full((30, 6, 5), 33.0, "f4"))
    blocked = "psycopg,pydantic_settings,platformdirs,paramiko,sshtunnel"
    done = fhemb(blocked, "ingest", "run", tmp_path / "a.zarr", "--files", folder)
    assert done.returncode == 0, done.stderr
    assert "25 Hz is assumed" in " ".join(done.stderr.split())
