"""The writer of a staging: host, boot, process, and a sign of life.

On sshfs, SMB and NFS only one machine knows of a lock. A writer therefore leaves a file with
its name beside its staging. Nobody removes a staging unless its writer is known to be dead:

========================== =======================================================
writer                     dead
========================== =======================================================
this process               if it has released the staging
this machine, this boot    if no such process runs, or one that started later
this machine, other boot   yes
another machine            after :data:`SILENCE_S` without a sign of life
========================== =======================================================
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import systems

ENDING = ".owner"
"""Suffix of the file that names the writer of a staging."""
BEAT_S = 60.0
"""Time between two signs of life."""
SILENCE_S = 3600.0
"""Time without a sign of life after which a writer on another machine counts as dead."""
MINE: set[str] = set()
"""Tokens of the stagings that this process is writing."""


@contextmanager
def owning(folder: Path) -> Iterator[None]:
    """Name this process as the writer of ``folder`` until the block ends."""
    owner = me()
    MINE.add(owner["token"])
    stop = threading.Event()
    file = file_of(folder)
    beat = threading.Thread(target=_beat, args=(file, stop), daemon=True, name="fhemb-owner")
    try:
        with suppress(OSError):  # on a full disk, writing the data raises the error
            file.write_text(json.dumps(owner))
        beat.start()
        yield
    finally:
        MINE.discard(owner["token"])
        stop.set()
        with suppress(OSError):
            file.unlink(missing_ok=True)


def file_of(folder: Path) -> Path:
    """The file that names the writer of a staging."""
    return folder.with_name(folder.name + ENDING)


def require_dead(folder: Path, name: str) -> None:
    """Refuse to touch a staging whose writer may be alive.

    Parameters
    ----------
    folder
        The staging.
    name
        Name of the store, for the message.

    Raises
    ------
    StoreError
        The writer may be alive; the error gives its host, process and last sign of life.
    """
    owner = _owner(file_of(folder))
    age_s = 0.0 if owner is None else _age_s(file_of(folder))
    if owner is None or is_dead(owner, age_s):
        return
    raise StoreError(
        f"{name!r} is being written by {text(owner)}, last sign of life {age_s:.0f} s ago: "
        f"wait for it, or stop it (if that machine is gone, remove {folder.name!r})"
    )


def me() -> dict[str, Any]:
    """A record of this process that other machines can check."""
    return {
        "host": socket.gethostname(),
        "boot": systems.boot(),
        "pid": os.getpid(),
        "started": systems.started(os.getpid()),
        "token": os.urandom(8).hex(),
        "time": time.time(),
    }


def is_dead(owner: dict[str, Any], age_s: float) -> bool:
    """Whether the writer of a record is known to be dead.

    Parameters
    ----------
    owner
        A record of :func:`me`.
    age_s
        Time since the last sign of life of the writer [s].
    """
    here = socket.gethostname(), systems.boot()
    if owner.get("host") != here[0]:
        return age_s > SILENCE_S
    if owner.get("boot") != here[1]:
        return True
    pid = int(owner.get("pid", 0))
    if pid == os.getpid() and owner.get("started") == systems.started(pid):
        return owner.get("token") not in MINE
    return not systems.runs(pid) or owner.get("started") != systems.started(pid)


def text(owner: dict[str, Any]) -> str:
    """The writer as text: process and machine."""
    return f"process {owner.get('pid')} of the machine {owner.get('host')!r}"


def _owner(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _age_s(file: Path) -> float:
    """Seconds since a file was touched, by the clock of its own disk."""
    probe = file.with_name(f".now-{os.urandom(4).hex()}")
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return max(0.0, now - file.stat().st_mtime)
    except OSError:
        with suppress(OSError):
            return max(0.0, time.time() - file.stat().st_mtime)
    return 0.0


def _beat(file: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        with suppress(OSError):  # the staging was published or removed
            os.utime(file)
