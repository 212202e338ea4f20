"""Computing what is to be stored, with the Dask in use, and saying what went wrong."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import dask

from fhemb_xr.budget import session_client
from fhemb_xr.errors import ClusterError
from fhemb_xr.io.local import preflight, sources

RETRIES = 2
"""A task that only reads, or writes its own chunk, may be done again: a share may stutter."""
_POLL_S = 0.5
_HOST_S = 2.0
"""Time between two questions to the scheduler whether there are workers."""


def compute(work: list[Any], folder: Path | None = None) -> list[Any]:
    """Compute dask collections whose tasks may be done more than once.

    On worker processes every worker is asked first whether it can do the work; a task that
    fails is tried again; when an error ends the wait, Ctrl-C too, the client lets go of all
    that is left.

    Parameters
    ----------
    work
        Dask collections.
    folder
        Folder that the tasks write into, if they do.

    Returns
    -------
    Their values, in the same order.

    Raises
    ------
    ClusterError
        A worker cannot do the work; workers died of a task, with its name; no worker was
        there; or the scheduler was lost.
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
            "memory (their logs tell): use smaller chunks, or workers with more memory or "
            "fewer threads, and save again with resume=True"
        )
    except (scheduler.NoWorkerError, scheduler.NoValidWorkerError) as error:
        why = f"no worker was there for the task {_name(error.task)!r}: are they running?"
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
    """Wait for all futures, and look from time to time whether anybody works on them."""
    import distributed

    seen = asked = time.monotonic()
    while True:
        try:
            # the error of a task ends it as soon as it is known
            distributed.wait(futures, timeout=_POLL_S, return_when="FIRST_COMPLETED")
            waiting = [f for f in futures if not f.done()]
            if any(f.status in ("error", "cancelled", "lost") for f in futures) or not waiting:
                return
            futures = waiting
        except TimeoutError:
            pass
        if client.status != "running":
            raise ClusterError(preflight.LOST)
        now = time.monotonic()
        if now - asked < _HOST_S:
            continue
        asked = now
        if preflight.n_workers(client):
            seen = now
        elif now - seen > preflight.patience_s():
            raise ClusterError(preflight.none_for(preflight.patience_s()))


def _client() -> Any:
    """The client that will do the work; None where a scheduler is chosen beside it."""
    client = session_client()
    if client is None:
        return None
    import dask.base

    return client if dask.base.get_scheduler() == client.get else None


def _name(task: Any) -> str:
    """The name of a task without the token that makes it unique."""
    from dask.utils import key_split

    return str(key_split(task))
