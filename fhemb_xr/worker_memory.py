"""Workers that give freed memory back before Dask pauses them.

glibc keeps what arrays let go, for the next ones. Dask sees only what a process has: at 80 % of
its limit a worker begins no other task, and one without a task to finish stays paused for ever.
"""

import ctypes
import sys
from functools import partial
from typing import Any

from distributed import WorkerPlugin
from tornado.ioloop import PeriodicCallback

SHORT = 0.65
"""Share of a worker's memory beyond which it gives back what is free."""
EVERY_S = 0.25


class GivesBack(WorkerPlugin):
    """Give freed memory back to the system while a worker is short of it."""

    name = "fhemb-gives-back"

    def setup(self, worker: Any) -> None:
        """Look at the worker's memory while it runs."""
        self.looking = PeriodicCallback(partial(give_back_if_short, worker), EVERY_S * 1000)
        self.looking.start()

    def teardown(self, worker: Any) -> None:
        """Look no more."""
        self.looking.stop()


def give_back_if_short(worker: Any) -> None:
    """Give free memory back if the worker has little left."""
    limit = worker.memory_manager.memory_limit
    if not limit or worker.monitor.get_process_memory() < SHORT * limit:
        return
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)  # glibc's own
