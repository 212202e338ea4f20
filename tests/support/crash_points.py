"""Crashes at every file operation of an operation, in the process or by a real SIGKILL.

SQLite's way of testing: count the operations once, then crash at each of them, and look whether
the old or the new result is whole and the next run works. From the crash on no file operation
happens at all: nobody may tidy up after a power failure.
"""

import asyncio
import builtins
import contextlib
import io
import os
import signal
import subprocess
import sys

import numpy as np
from zarr.core.sync import sync

from fhemb_xr.io.local import systems

OPERATIONS = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "chmod", "link")


class SimulatedCrash(BaseException):
    """Power off: what was done is done, nothing more happens."""


class Power:
    """Counts file operations, opening for writing too; from the ``k``-th on none happens."""

    def __init__(self, patch, k=10**9, crash=None):
        self.k, self.n, self.crash = k, 0, crash
        for name in OPERATIONS:
            patch.setattr(os, name, self._wrapped(getattr(os, name)))
        patch.setattr(systems, "exchanged", self._wrapped(systems.exchanged))
        writing = self._wrapped(io.open)

        def opened(file, mode="r", *args, **kwargs):
            changes = isinstance(mode, str) and set("wxa+") & set(mode)
            return (writing if changes else real)(file, mode, *args, **kwargs)

        real = io.open
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)

    def _wrapped(self, real):
        def operation(*args, **kwargs):
            self.n += 1
            if self.n > self.k:
                if self.crash is not None:
                    self.crash()
                raise SimulatedCrash
            return real(*args, **kwargs)

        return operation


def crash_at(points, monkeypatch, folder, prepare, operate, check):
    """Crash ``operate`` at some points, or at all; ``check`` says what it found after each.

    ``prepare(place)`` makes the state before; ``operate(place)`` is run, crashed and run again;
    ``check(place, crashed)`` asserts, and returns a word for the state after the crash.
    """
    prepare(folder / "count")
    with monkeypatch.context() as patch:
        power = Power(patch)
        operate(folder / "count")
    check(folder / "count", False)
    chosen = range(power.n) if points is None else np.linspace(0, power.n - 1, points)
    found = []
    for k in sorted({int(k) for k in chosen}):
        place = folder / str(k)
        prepare(place)
        with monkeypatch.context() as patch:
            Power(patch, k)
            with contextlib.suppress(SimulatedCrash):
                operate(place)
            sync(_settled())
        found.append(check(place, True))
        operate(place)
        check(place, False)
    return power.n, found


async def _settled():
    """Zarr's thread died too: nothing that it had begun goes on after the crash."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


def killed_at(k, script, *args):
    """Run a script of its own that is killed for real at its ``k``-th file operation."""
    head = (
        f"import os, signal, sys\nsys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from crash_points import Power, Patch\n"
        f"arm = lambda: Power(Patch(), {k}, lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", head + script, *map(str, args)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


class Patch:
    """What pytest's monkeypatch does, in a script that never takes it back."""

    setattr = staticmethod(setattr)
