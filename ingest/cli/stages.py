"""Commands that one program runs one after the other, with libraries that are loaded once."""

import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_TOLD_S, _ENDS_S = 1.5, 5.0
"""Time for a stage to end by itself after Ctrl-C, and after it is told to end."""


def run(arguments: list[str]) -> int:
    """Run ``fhemb`` with these arguments in this process; return its exit code."""
    from fhemb_cli.app import app

    return app(arguments, prog_name="fhemb", standalone_mode=False) or 0


class Ahead:
    """A process that loads libraries while others run, and then runs one command.

    Nothing may run in threads when it is made: on Linux it begins as a copy of this process.
    It ends when this process does, however that ends.
    """

    def __init__(self, *libraries: str) -> None:
        # a copy of a process that has used Apple's libraries may crash
        how = "fork" if sys.platform == "linux" else "spawn"
        context: Any = multiprocessing.get_context(how)
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_wait, args=(self._ours, theirs, libraries), daemon=True
        )
        self._process.start()
        theirs.close()

    def run(self, arguments: list[str]) -> int:
        """Run ``fhemb`` there; when this process is stopped, the command can clean up."""
        stage = self._process
        self._ours.send(arguments)
        try:
            stage.join()
        except BaseException:  # Ctrl-C, which the terminal tells the stage too; SIGTERM, not
            for patience_s in (_TOLD_S, _ENDS_S):
                stage.join(patience_s)
                if stage.exitcode is not None:
                    break
                os.kill(stage.pid or 0, signal.SIGINT)
            else:
                stage.kill()
            raise
        return stage.exitcode or 0


def _wait(theirs: "Connection", ours: "Connection", libraries: tuple[str, ...]) -> None:
    """Load libraries; then run what is asked for, unless nobody asks any more."""
    theirs.close()  # a copy of it: the pipe ends when the other process has none
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until there is something to clean up
    with suppress(EOFError):
        for name in libraries:
            with suppress(ImportError):  # the command names what is missing
                import_module(name)
        arguments = ours.recv()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.exit(run(arguments))
