"""What Windows refuses, refused here: the part of it that stores meet.

Folders do not open. A file that is open is not removed, replaced or renamed, and neither is a
folder that holds one. ``fsync`` needs a handle that may write. A locked byte cannot be read by
others. Calls that only POSIX has are missing, and signal 0 would end a process.
"""

import errno
import fcntl
import os
import shutil
import sys
import types
from pathlib import Path

import distributed  # noqa: F401  (what it imports looks for fcntl)
import psutil

from fhemb_xr.io.local import systems

MISSING = ("pread", "pathconf", "getuid", "geteuid", "fchmod", "killpg", "O_NOFOLLOW")


def simulate(patch, long_paths=False):
    """Make this process meet what a process on Windows meets."""
    disk = Disk()
    for name in ("WINDOWS", "LINUX"):
        patch.setattr(systems, name, name == "WINDOWS")
    for name in ("open", "fsync", "read", "unlink", "rename", "replace"):
        patch.setattr(os, name, getattr(disk, name))
    patch.setattr(os, "remove", disk.unlink)
    patch.setattr(os, "kill", _killed)
    patch.setattr(psutil, "pid_exists", lambda pid: Path(f"/proc/{pid}").exists())
    for name in MISSING:
        patch.delattr(os, name, raising=False)
    patch.setattr(shutil, "_use_fd_functions", False)
    patch.setitem(sys.modules, "fcntl", None)
    msvcrt = types.SimpleNamespace(LK_NBLCK=2, locking=disk.locking)
    patch.setitem(sys.modules, "msvcrt", msvcrt)
    patch.setitem(sys.modules, "winreg", _registry(long_paths))
    return disk


class Disk:
    """The file calls of this process, with the refusals of Windows."""

    def __init__(self):
        self.real = {n: getattr(os, n) for n in ("open", "fsync", "read", "unlink", "rename")}
        self.real["replace"] = os.replace
        self.locked = {}  # file: the handle and the byte
        self.synced = 0

    def open(self, path, flags, mode=0o777, **more):
        if os.path.isdir(path):
            raise _refused(path)
        return self.real["open"](path, flags, mode, **more)

    def fsync(self, fd):
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        self.synced += 1
        self.real["fsync"](fd)

    def read(self, fd, count):
        holder, byte = self.locked.get(os.fstat(fd).st_ino, (fd, 0))
        at = os.lseek(fd, 0, os.SEEK_CUR) if holder != fd else 0
        if holder != fd and at <= byte < at + count:
            raise _refused(fd)
        return self.real["read"](fd, count)

    def locking(self, fd, how, count):
        assert (how, count) == (2, 1)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _refused(fd) from None
        self.locked[os.fstat(fd).st_ino] = fd, os.lseek(fd, 0, os.SEEK_CUR)

    def unlink(self, path, **more):
        if _is_open(path):
            raise _refused(path)
        self.real["unlink"](path, **more)

    def rename(self, path, new):
        if os.path.exists(new):
            raise FileExistsError(errno.EEXIST, "File exists", str(new))
        if _is_open(path):
            raise _refused(path)
        self.real["rename"](path, new)

    def replace(self, path, new):
        if _is_open(path) or _is_open(new) or os.path.isdir(new):
            raise _refused(path)
        self.real["replace"](path, new)


def _is_open(path):
    """Whether this process has the file open, or one in the folder."""
    whole = os.path.realpath(path)
    for link in Path("/proc/self/fd").iterdir():
        try:
            place = os.readlink(link)
        except OSError:  # closed meanwhile
            continue
        if place == whole or place.startswith(f"{whole}/"):
            return True
    return False


def _killed(pid, sign):
    raise AssertionError(f"signal {sign} ends the process {pid} on Windows")


def _refused(what):
    return PermissionError(errno.EACCES, "Permission denied", str(what))


def _registry(long_paths):
    class Key:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    return types.SimpleNamespace(
        HKEY_LOCAL_MACHINE=0,
        OpenKey=lambda *_: Key(),
        QueryValueEx=lambda *_: (int(long_paths), 4),
    )
