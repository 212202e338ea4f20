"""All that Linux, macOS and Windows do differently when a store is written.

================= ======================= ======================= ============================
call              Linux                   macOS                   Windows
================= ======================= ======================= ============================
`sync`            fsync                   F_FULLFSYNC, which also fsync
                                          empties the disk's cache
`sync_file`       of a handle to read     the same                of a handle that may write
`sync_folder`     fsync                   as a file               nothing: folders do not open
`lock`            flock                   flock                   lock of one byte
`remove_locked`   unlink, then close      the same                close, then unlink
`rename`          once                    once                    again while a file is open
`replace`         once                    once                    again while a file is open
`exchanged`       renameat2               renamex_np              never: two renames instead
`runs`            signal 0                signal 0                psutil; signal 0 would kill
`started`         /proc                   psutil                  psutil
`ignores_modes`   looks                   looks                   never: it has no modes
================= ======================= ======================= ============================

CI runs on Linux. The other columns are tested by simulation: calls that are missing there are
missing, calls that fail there fail.
"""

import ctypes
import errno
import importlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

WINDOWS = sys.platform == "win32"
MACOS = sys.platform == "darwin"
LINUX = sys.platform.startswith("linux")
PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Pauses before a rename is tried again on Windows."""
_LOCKED_BYTE = 2**30
"""Offset of the byte that Windows locks. Nobody can read it, so it is not one of the text."""
_LONGEST_PATH = 259
_INSIDE = 110
"""Characters that the files of a store may add to the path of its folder."""
_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def sync(fd: int) -> None:
    """Sync an open file to the disk."""
    if MACOS:
        control: Any = importlib.import_module("fcntl")  # the call is unknown elsewhere
        with suppress(OSError):  # file systems of other operating systems lack it
            control.fcntl(fd, control.F_FULLFSYNC)
            return
    os.fsync(fd)


def sync_file(path: Path) -> None:
    """Sync a finished file to the disk."""
    with path.open("r+b" if WINDOWS else "rb") as file:
        sync(file.fileno())


def sync_folder(path: Path) -> None:
    """Sync a folder, so that the names in it outlast a power loss."""
    if WINDOWS:
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        sync(fd)
    finally:
        os.close(fd)


def lock(fd: int) -> None:
    """Lock an open file until it is closed or this process ends; never wait.

    Raises
    ------
    OSError
        Another process holds the lock, or the file system has none.
    """
    if WINDOWS:
        msvcrt: Any = importlib.import_module("msvcrt")
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(fd, 0, os.SEEK_SET)
        return
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_locked(path: Path, fd: int) -> None:
    """Remove a file that this process holds locked, and let go of it.

    Elsewhere the name goes first, so that the next writer makes a new file. Windows removes no
    open file; there the file stays if the next writer has it open already.
    """
    try:
        if not WINDOWS:
            path.unlink(missing_ok=True)
    finally:
        os.close(fd)
    if WINDOWS:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def rename(path: Path, new: Path) -> None:
    """Rename a file or a folder to a name that is free.

    Raises
    ------
    PermissionError
        On Windows a program has a file open there, for longer than :data:`PAUSES_S`.
    """
    _patiently(path.rename, new)


def replace(path: Path, new: Path) -> None:
    """Rename a file, in the place of another one; errors are those of :func:`rename`."""
    _patiently(path.replace, new)


def _patiently(move: Callable[[Path], Any], new: Path) -> None:
    """On Windows, try again while a reader, an indexer or a virus scanner has a file open."""
    for pause in PAUSES_S if WINDOWS else ():
        try:
            move(new)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    try:
        move(new)
    except PermissionError as error:
        if WINDOWS:
            why = "a program has a file open there: close it, and start again"
            raise PermissionError(errno.EACCES, why, new.name) from error
        raise


def exchanged(a: Path, b: Path) -> bool:
    """Exchange two folders in one step; return whether system and disk can."""
    if WINDOWS:
        return False
    system, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(a), os.fsencode(b))
    if (linux := getattr(system, "renameat2", None)) is not None:
        return not linux(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
    if (darwin := getattr(system, "renamex_np", None)) is not None:
        return not darwin(*names, _EXCHANGE)
    return False


def boot() -> str:
    """A text that differs between boots of Linux, and between containers.

    Elsewhere the start of a process, a date, tells it from one of another boot.
    """
    if LINUX:
        with suppress(OSError):
            found = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{found} {os.readlink('/proc/self/ns/pid')}"
    return sys.platform


def started(pid: int) -> str:
    """Start of a process, in the system's units; process numbers are reused."""
    if LINUX:
        with suppress(OSError, IndexError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return ""
    import psutil

    with suppress(psutil.Error):
        return repr(psutil.Process(pid).create_time())
    return ""


def runs(pid: int) -> bool:
    """Whether a process of this machine runs."""
    if WINDOWS:
        import psutil

        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def ignores_modes(fd: int) -> bool:
    """Whether others may read an open file that was made for its owner only."""
    return not WINDOWS and bool(os.fstat(fd).st_mode & 0o077)


def has_room_for_paths(store: Path, added: int) -> bool:
    """Whether the files of a store, with ``added`` characters to its name, can have paths."""
    if not WINDOWS or len(str(store)) + added + _INSIDE <= _LONGEST_PATH:
        return True
    winreg: Any = importlib.import_module("winreg")
    place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
        return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    return False
