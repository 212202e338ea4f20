"""Computing with the Dask scheduler in use, with one clear error for each failure."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import dask

from fhemb_xr.budget import session_client
from fhemb_xr.errors import ClusterError
from fhemb_xr.io.local import preflight, progress, sources

RETRIES = 2
"""Number of retries of a task: a share may fail for a moment. Tasks may run more than once."""
_POLL_S = 0.5
_HOST_S = 2.0
"""Time between two questions to the scheduler whether there are workers."""


def compute(work: list[Any], folder: Path | None = None) -> list[Any]:
    """Compute dask collections whose tasks may be done more than once.

    With worker processes, every worker is asked first whether it can do the work. A task that
    fails is tried again. An error or Ctrl-C cancels all remaining tasks.

    Parameters
    ----------
    work
        Dask collections.
    folder
        Folder that the tasks write into, if they write into one.

    Returns
    -------
    list[Any]
        Values of the collections, in the same order.

    Raises
    ------
    ClusterError
        A worker cannot do the work; a task, which the error names, killed workers; there was
        no worker; or the scheduler was lost.
    """
    client = _client()
    if client is None or not work:
        return list(dask.compute(*work))
    distributed = sys.modules["distributed"]
    scheduler = distributed.scheduler
    futures: list[Any] = []
    try:
        preflight.require(client, folder, sources.folders(work))
        futures = client.compute(work, retries=RETRIES)
        _wait(client, futures)
        return list(client.gather(futures))
    except scheduler.KilledWorker as error:
        deaths = error.allowed_failures + 1
        why = (
            f"{deaths} workers died of the task {_name(error.task)!r}, most likely for want of "
            "memory (see their logs): use smaller chunks, or workers with more memory or "
            "fewer threads, and save again with resume=True"
        )
    except (scheduler.NoWorkerError, scheduler.NoValidWorkerError) as error:
        why = f"there was no worker for the task {_name(error.task)!r}: are workers running?"
        if n := preflight.n_workers(client):
            why = _paused(n, f"before the task {_name(error.task)!r}")
    except (
        distributed.client.FutureCancelledError,
        distributed.client.FuturesCancelledError,
        distributed.comm.CommClosedError,
    ):
        why = preflight.LOST
    finally:
        if client.status == "running":
            with contextlib.suppress(OSError):  # the scheduler may be gone
                client.cancel(futures, force=True)
    raise ClusterError(why)


def _wait(client: Any, futures: list[Any]) -> None:
    """Wait for all futures, and check from time to time that workers exist and work."""
    import distributed

    seen = asked = time.monotonic()
    while True:
        try:
            # FIRST_COMPLETED also returns at the first error
            distributed.wait(futures, timeout=_POLL_S, return_when="FIRST_COMPLETED")
            waiting = [f for f in futures if not f.done()]
            if any(f.status in ("error", "cancelled", "lost") for f in futures) or not waiting:
                return
            futures = waiting
        except TimeoutError:
            pass
        progress.tick()
        if client.status != "running":
            raise ClusterError(preflight.LOST)
        now = time.monotonic()
        if now - asked < _HOST_S:
            continue
        asked = now
        if preflight.n_at_work(client):
            seen = now
        elif now - seen > (patience := preflight.patience_s()):
            # the scheduler does not give up tasks that a worker took before it paused
            n = preflight.n_workers(client)
            raise ClusterError(
                _paused(n, f"for {patience:g} s") if n else preflight.none_for(patience)
            )


def _paused(n: int, when: str) -> str:
    return (
        f"all workers ({n}) paused {when}, as their memory is nearly full: give them more, or "
        "run fx.warm() once before (else each compiles, which takes 300 MiB), and save again "
        "with resume=True"
    )


def _client() -> Any:
    """The default client; None if there is none or another scheduler is chosen."""
    client = session_client()
    if client is None:
        return None
    import dask.base

    return client if dask.base.get_scheduler() == client.get else None


def _name(task: Any) -> str:
    """The name of a task without the token that makes it unique."""
    from dask.utils import key_split

    return str(key_split(task))
