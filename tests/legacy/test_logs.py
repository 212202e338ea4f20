"""Loggers of the original's modules: quiet until asked, set by name."""

import logging
import subprocess
import sys

import pytest

import fhemb_xr.legacy as fhemb

SCRIPT = """
import logging
import fhemb_xr.legacy as fhemb
fhemb.wfactory("db4", 8)
print("quiet")
fhemb.setup_logging(module_levels={"factories": "DEBUG", "tutils": 40})
fhemb.setup_logging()
root = logging.getLogger("fhemb_xr.legacy")
print([type(h).__name__ for h in root.handlers])
fhemb.wfactory("db4", 8)
fhemb.setup_logging(force=True)
fhemb.wfactory("db4", 8)
print(logging.getLogger("fhemb_xr.legacy.tutils").level)
"""


def test_logging__is_quiet_then_by_module_and_twice_is_once():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["quiet", "['NullHandler', 'StreamHandler']", "0"]
    said = done.stderr.splitlines()
    assert len(said) == 1
    assert "fhemb_xr.legacy.factories DEBUG: wavelet db4, level 8" in said[0]


@pytest.fixture
def loggers():
    root = logging.getLogger("fhemb_xr.legacy")
    before = list(root.handlers)
    yield root
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
    for name in ("embedding", "dbms", "tseries"):
        logging.getLogger(f"fhemb_xr.legacy.{name}").setLevel(logging.NOTSET)
    root.setLevel(logging.NOTSET)


def test_levels__are_names_or_numbers_of_known_modules(loggers):
    fhemb.set_log_levels({"embedding": "INFO", "dbms": 10})
    fhemb.set_logger_level("tseries", "critical")
    levels = [loggers.getChild(n).level for n in ("embedding", "dbms", "tseries")]
    assert levels == [20, 10, 50]
    with pytest.raises(
        KeyError, match=r"no module 'embeding': there are .*; the nearest are embedding"
    ):
        fhemb.set_logger_level("embeding", "INFO")
    with pytest.raises(ValueError, match="found 'LOUD'"):
        fhemb.set_log_levels({"dbms": "LOUD"})


def test_calls__say_once_what_they_do(piece, caplog):
    face = piece.face_t
    with caplog.at_level(logging.DEBUG, "fhemb_xr.legacy"):
        face.project([65, 66], features=["mean"])
    assert [r.name for r in caplog.records] == ["fhemb_xr.legacy.dbms"]
