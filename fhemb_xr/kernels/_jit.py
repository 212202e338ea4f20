"""The one place where numba is asked to compile, and where compiled code is kept.

A first call compiles for seconds. The machine code is therefore kept in a private folder of
the user, one folder per state of the sources: numba looks only at the file of the compiled
function, and would run stale code if a function that it calls in another file had changed.
Machine code is read back by unpickling, so the folder must belong to the user and be closed to
others (0700); otherwise nothing is kept and every process compiles for itself.

``FHEMB_JIT_CACHE=off`` keeps nothing; any other value is the folder to use.
"""

import functools
import hashlib
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import event, types
from numba.core.registry import CPUDispatcher

F = TypeVar("F", bound=Callable[..., Any])
SWITCH = "FHEMB_JIT_CACHE"
_UNUSED_S = 30 * 86400
"""Age after which compiled code of other states of the sources is removed."""


@functools.cache
def cache_folder() -> Path | None:
    """The folder of compiled code, made if necessary; None where none is safe or wanted."""
    asked = os.environ.get(SWITCH, "")
    if asked.lower() in ("off", "0", "no", "false"):
        return None
    root = Path(asked).expanduser() if asked else _user_folder() / "fhemb_xr" / "jit"
    folder = root / _state_of_sources()
    try:
        for path in (root, folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(path):
                return None
        os.utime(folder)  # in use: not swept
        _sweep(root, folder)
    except (OSError, RuntimeError):  # read-only, full, no home: compile each time
        return None
    return folder


def _user_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _state_of_sources() -> str:
    """A name for the sources of all kernels and the versions that compile them."""
    here = Path(__file__).parent
    digest = hashlib.sha256(repr((numba.__version__, sys.version, os.fspath(here))).encode())
    for path in sorted(here.rglob("*.py")):
        seen = path.stat()
        digest.update(repr((path.name, seen.st_size, seen.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]


def _is_private(path: Path) -> bool:
    if os.name == "nt":  # the profile's own rights
        return True
    seen = path.lstat()
    mine = stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid()
    return mine and not stat.S_IMODE(seen.st_mode) & 0o077


def _sweep(root: Path, used: Path) -> None:
    """Remove compiled code of sources that nobody has used for a month."""
    limit = time.time() - _UNUSED_S
    for path in root.iterdir():
        if path != used and len(path.name) == 16 and path.stat().st_mtime < limit:
            shutil.rmtree(path, ignore_errors=True)


_PATIENCE_S = 1.0
"""Seconds of compiling after which a word is said."""


class _Word(event.Listener):
    """Says that a first call compiles, once a process, where somebody is looking."""

    def __init__(self) -> None:
        self.timers: dict[int, tuple[int, threading.Timer]] = {}  # by thread: depth, timer
        self.said = False

    def on_start(self, event: Any) -> None:
        thread = threading.get_ident()
        if thread in self.timers:
            depth, timer = self.timers[thread]
        else:
            depth, timer = 0, threading.Timer(_PATIENCE_S, self.say)
            timer.daemon = True
            timer.start()
        self.timers[thread] = depth + 1, timer

    def on_end(self, event: Any) -> None:
        thread = threading.get_ident()
        depth, timer = self.timers.pop(thread, (1, None))
        if depth > 1 and timer is not None:
            self.timers[thread] = depth - 1, timer
        elif timer is not None:
            timer.cancel()

    def say(self) -> None:
        """To a terminal, or to the cell of a notebook, where stderr would be red and stay."""
        python = sys.modules.get("IPython")
        shell = python.get_ipython() if python is not None else None
        notebook = getattr(shell, "kernel", None) is not None
        if self.said or not (sys.stderr.isatty() or notebook):
            return
        self.said = True
        kept = "once" if cache_folder() else f"in every session, as {SWITCH} keeps nothing"
        where = sys.stdout if notebook else sys.stderr
        where.write(f"fhemb_xr: compiling, {kept} (fx.warm() does all of it) …\n")


event.register("numba:compile", _Word())


_DECORATING = threading.Lock()
_kept: set[Any] = set()
"""Loops of other packages whose code is kept."""
"""Tasks load kernels in several threads, and numba's setting is one for all of them."""


def _compiled(function: F, **options: Any) -> F:
    """Compile when first called: no GIL, no own threads, because dask owns the threads."""
    folder = cache_folder()
    config: Any = numba.config
    with _DECORATING:
        before = config.CACHE_DIR
        try:
            if folder is not None:  # numba chooses the place while it decorates
                config.CACHE_DIR = os.fspath(folder)
            made: F = numba.njit(function, nogil=True, cache=folder is not None, **options)
        finally:
            config.CACHE_DIR = before
    if isinstance(made, CPUDispatcher):  # a plain function where numba is switched off
        _compile_constants_once(made)
    return made


def _compile_constants_once(made: Any) -> None:
    """Compile a kernel that others call for the type of a constant, not also for its value.

    numba sees a counter that begins at 0 as the literal 0 first, and would compile what takes
    it for that literal and again for any number: a tenth of the time of a first call.
    """
    resolved = made.get_call_template

    def of_types(args: Any, kws: Any) -> Any:
        return resolved(
            tuple(map(types.unliteral, args)), {k: types.unliteral(v) for k, v in kws.items()}
        )

    made.get_call_template = of_types


def keep(package: str) -> None:
    """Keep what a package that is loaded has compiled by numba, as if its loops were ours.

    tslearn would compile for seconds in each session. A folder for each of its versions: numba
    does not see that a function in another file has changed.
    """
    root = cache_folder()
    config: Any = numba.config
    if root is None:
        return
    folder = root / f"{package}-{metadata.version(package)}"
    modules = [m for n, m in [*sys.modules.items()] if n.partition(".")[0] == package]
    loops = {f for m in modules for f in vars(m).values() if isinstance(f, CPUDispatcher)}
    loops -= _kept
    if not loops:
        return
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return  # a disk that is full
    _kept.update(loops)
    with _DECORATING:
        before, config.CACHE_DIR = config.CACHE_DIR, os.fspath(folder)
        try:
            for dispatcher in loops:
                if dispatcher.py_func.__module__.partition(".")[0] == package:
                    dispatcher.enable_caching()
        finally:
            config.CACHE_DIR = before


def kernel(function: F) -> F:
    """Compile a loop in strict IEEE arithmetic."""
    return _compiled(function, fastmath=False)


def fast_kernel(function: F) -> F:
    """The same for loops whose sums may be reordered, so that the compiler vectorises.

    NaN and infinity keep their meaning: only reassociation and contraction are allowed.
    """
    return _compiled(function, fastmath={"reassoc", "contract", "nsz"})


def fused_kernel(function: F) -> F:
    """The same where a product and a sum may be rounded once instead of twice, and no more."""
    return _compiled(function, fastmath={"contract"})


def inlined_kernel(function: F) -> F:
    """The same for a part of a kernel whose values stay in registers: it is never a call."""
    return _compiled(function, fastmath={"contract"}, forceinline=True)
