"""How far long work is: a bar in a terminal, a line in a notebook, and nothing elsewhere.

Work of under a second shows nothing. ``fx.set_options(progress=False)`` turns it off.
"""

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from html import escape
from typing import Any, Protocol

from fhemb_xr.options import options

PATIENCE_S = 1.0
_EVERY_S = 0.25
_now: ContextVar["Work | None"] = ContextVar("fhemb_progress", default=None)


class Screen(Protocol):
    """Where the progress of one piece of work is shown."""

    def show(self, work: "Work") -> None:
        """Show how far it is."""

    def clear(self) -> None:
        """Leave nothing behind."""


class Work:
    """One piece of work: the tasks that are planned and done, since when."""

    def __init__(self, label: str, screen: Screen) -> None:
        self.label, self.screen = label, screen
        self.done = self.planned = 0
        self.begun = time.monotonic()
        self._next = self.begun + PATIENCE_S

    @property
    def seconds(self) -> float:
        """Time since the work began."""
        return time.monotonic() - self.begun

    def tick(self, done: int = 0) -> None:
        """Count tasks, and show it where it is time for it."""
        self.done += done
        if time.monotonic() >= self._next:
            self.screen.show(self)
            self._next = time.monotonic() + _EVERY_S


@contextmanager
def shown(label: str) -> Iterator[None]:
    """Show the progress of the Dask tasks that this thread computes inside the block.

    Inside another such block nothing changes: the outer one says what is done.
    """
    screen = _screen() if options.progress and _now.get() is None else None
    if screen is None:
        yield
        return
    work = Work(label, screen)
    before = _now.set(work)
    try:
        with _counted(work):
            yield
    finally:
        _now.reset(before)
        with suppress(Exception):  # the end of a bar is no reason to lose the result
            screen.clear()


def tick() -> None:
    """Say that the work goes on; for work that other processes do."""
    work = _now.get()
    if work is not None:
        work.tick()


@contextmanager
def _counted(work: Work) -> Iterator[None]:
    from dask.callbacks import Callback

    # Dask's callbacks are of the process: other threads call them too. While another thread
    # computes, they are set aside, and may come back after the block: it is over then.
    mine, over = threading.get_ident(), False

    def planned(dsk: Mapping[Any, Any]) -> None:
        if threading.get_ident() == mine and not over:
            work.planned += len(dsk)

    def done(*_: Any) -> None:
        if threading.get_ident() == mine and not over:
            work.tick(1)

    try:
        with Callback(start=planned, posttask=done):
            yield
    finally:
        over = True


def _screen() -> Screen | None:
    """The screen of this process: a notebook, a terminal, or none."""
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python is not None else None
    if shell is not None and getattr(shell, "kernel", None) is not None:
        return Notebook()
    if sys.stderr is not None and sys.stderr.isatty():
        with suppress(ImportError):
            return Terminal()
    return None


class Notebook:
    """A line below the cell, taken away in the end; it goes to no stream."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, work: Work) -> None:
        """Draw the line, or draw it anew."""
        share = f"{work.done:,} of {work.planned:,} tasks, " if work.planned else ""
        said = f"{work.label}: {share}{work.seconds:.0f} s"
        bar = f'<progress max="{work.planned}" value="{work.done}"></progress> '
        html = f'<div style="opacity:.8">{bar if work.planned else ""}{escape(said)}</div>'
        self._put({"text/plain": said, "text/html": html})

    def clear(self) -> None:
        """Take the line away."""
        if self._handle is not None:
            self._put({"text/plain": "", "text/html": ""})

    def _put(self, data: dict[str, str]) -> None:
        import IPython.display as shell

        show: Any = shell.display  # untyped
        if self._handle is None:
            self._handle = show(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


class Terminal:
    """A bar on the error stream, taken away in the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeElapsedColumn

        columns = "{task.description}", BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._row: Any = None

    def show(self, work: Work) -> None:
        """Draw the bar, or move it."""
        if self._row is None:
            self._bar.start()
            self._row = self._bar.add_task(work.label, total=None)
        total = work.planned or None
        self._bar.update(self._row, completed=work.done, total=total)

    def clear(self) -> None:
        """Take the bar away."""
        if self._row is not None:
            self._bar.stop()
