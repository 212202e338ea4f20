"""Computing what is to be stored, with whatever Dask there is, and saying what went wrong."""

import sys
from typing import Any

from fhemb_xr.errors import ClusterError

RETRIES = 2
"""A task that only reads, or writes its own chunk, may be done again: a share may stutter."""


def compute(work: Any) -> None:
    """Do delayed ``work``, whose tasks may be done more than once.

    On worker processes a task that fails is tried again; when an error ends the wait, Ctrl-C
    too, the client lets go of all that is left.

    Raises
    ------
    ClusterError
        Workers died of a task, with its name; or no worker was there to do it.
    """
    distributed = sys.modules.get("distributed")  # no worker processes without it
    if distributed is None:
        work.compute()
        return
    scheduler = distributed.scheduler
    try:
        work.compute(**({"retries": RETRIES} if _has_client(distributed) else {}))
        return
    except scheduler.KilledWorker as error:
        deaths = error.allowed_failures + 1
        why = (
            f"{deaths} workers died of the task {_name(error.task)!r}, most likely for want of "
            "memory: use smaller chunks, or workers with more memory or fewer threads"
        )
    except (scheduler.NoWorkerError, scheduler.NoValidWorkerError) as error:
        why = f"no worker was there for the task {_name(error.task)!r}: are they running?"
    raise ClusterError(why)


def _has_client(distributed: Any) -> bool:
    """Whether a client will do the work, and not a scheduler chosen beside it."""
    import dask.base

    try:
        client = distributed.default_client()
    except ValueError:
        return False
    return bool(dask.base.get_scheduler() == client.get)


def _name(task: Any) -> str:
    """What a task is called, less the token that makes it unique."""
    from dask.utils import key_split

    return str(key_split(task))
