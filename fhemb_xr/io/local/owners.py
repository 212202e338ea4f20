"""Who is writing a staging: host, boot, process, and a sign of life.

On sshfs, SMB and NFS a lock is known to one machine only. So a writer leaves its name in what
it writes, and nobody removes a staging unless its writer is known to be dead:

========================== =======================================================
writer                     dead
========================== =======================================================
this process               when it has let go of the staging
this machine, this boot    when no such process runs, or one that started later
this machine, other boot   yes
another machine            after :data:`SILENCE_S` without a sign of life
========================== =======================================================
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fhemb_xr.errors import StoreError

ENDING = ".owner"
"""What the file beside a staging has behind the name of the staging."""
BEAT_S = 60.0
"""Time between two signs of life."""
SILENCE_S = 3600.0
"""Time without one after which a writer on another machine is taken for dead."""
MINE: set[str] = set()
"""Tokens of the stagings that this process is writing."""


@contextmanager
def owning(folder: Path) -> Iterator[None]:
    """Say beside ``folder`` that this process writes it, until the block ends."""
    owner = me()
    MINE.add(owner["token"])
    stop = threading.Event()
    file = file_of(folder)
    beat = threading.Thread(target=_beat, args=(file, stop), daemon=True, name="fhemb-owner")
    try:
        with suppress(OSError):  # a full disk is told of by whoever writes the data
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
    """Refuse to touch a staging whose writer may live.

    Parameters
    ----------
    folder
        The staging.
    name
        Name of the store, for the message.

    Raises
    ------
    StoreError
        With host and process of the writer, and its last sign of life.
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
    """The running process, as a record that other machines can judge."""
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
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
        Time since its last sign of life [s].
    """
    here = socket.gethostname(), _boot()
    if owner.get("host") != here[0]:
        return age_s > SILENCE_S
    if owner.get("boot") != here[1]:
        return True
    pid = int(owner.get("pid", 0))
    if pid == os.getpid() and owner.get("started") == _started(pid):
        return owner.get("token") not in MINE
    return not _runs(pid) or owner.get("started") != _started(pid)


def text(owner: dict[str, Any]) -> str:
    """The writer in words."""
    return f"process {owner.get('pid')} of the machine {owner.get('host')!r}"


def _owner(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _age_s(file: Path) -> float:
    """Seconds since a file was touched, by the clock of the disk that it lies on."""
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
        with suppress(OSError):  # it is published, or removed
            os.utime(file)


def _boot() -> str:
    """What changes when the machine starts, and between containers with own processes."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return sys.platform


def _started(pid: int) -> str:
    """When a process started, in the system's own count: a number is given to others later."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _runs(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # signal 0 would end it there: only time tells
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
