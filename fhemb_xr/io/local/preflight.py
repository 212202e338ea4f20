"""A check before the first task on worker processes: can every worker do this work?

Dask does not check. Workers without this library die one after the other. Workers that see
another disk write their chunks to a place where nobody looks.
"""

import contextlib
import importlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fhemb_xr.errors import ClusterError

NO_WORKERS_S = 60.0
"""Longest wait for a worker; dask's own setting takes precedence."""
_WAIT_S = 3.0
"""Time that a share may take to show a new file to other machines."""
_RESTART_S = 5.0
"""Time that a worker may take to answer, or to leave the scheduler's list."""


def require(client: Any, folder: Path | None, sources: list[Path]) -> None:
    """Refuse work that a worker of ``client`` cannot do.

    Parameters
    ----------
    client
        A :class:`distributed.Client`.
    folder
        Folder that the workers write into; None if they write elsewhere.
    sources
        Folders that the workers read.

    Raises
    ------
    ClusterError
        There is no worker. Or a worker lacks this library, has another version of it, or does
        not see the folder or a source. The error names the worker and the cure.
    """
    require_workers(client)
    with _token(folder) as token:
        answers = _answers(client, token, list(map(str, sources)))
    for worker, answer in sorted(answers.items()):
        if why := _fault(answer, folder):
            raise ClusterError(f"the worker {worker} {why}")


def _answers(client: Any, token: tuple[str, str] | None, sources: list[str]) -> dict[str, Any]:
    """The answer of each worker.

    A worker may end while it is asked. Its nanny then starts a successor, which is asked
    instead.
    """
    answers: dict[str, Any] = {}
    until = time.monotonic() + _RESTART_S
    while True:
        require_workers(client)
        addresses = _workers(client)
        answers = {worker: answers[worker] for worker in addresses if worker in answers}
        asked = [worker for worker in addresses if not isinstance(answers.get(worker), dict)]
        if not asked or time.monotonic() > until:
            return answers
        if answers:
            time.sleep(0.1)  # a worker is ending, and its successor starts
        question = _question(), token, sources, _WAIT_S
        answers |= client.run(*question, workers=asked, on_error="return")


def require_workers(client: Any) -> None:
    """Wait for a worker; submit one task, so that a cluster that grows on demand starts one.

    Raises
    ------
    ClusterError
        There was no worker for :func:`patience_s` seconds.
    """
    if n_workers(client):
        return
    call = client.submit(int, pure=False)  # clusters start workers when there is work
    until = time.monotonic() + patience_s()
    try:
        while not n_workers(client):
            if client.status != "running":
                raise ClusterError(LOST)
            if time.monotonic() > until:
                raise ClusterError(none_for(patience_s()))
            time.sleep(0.1)
    finally:
        call.release()


LOST = (
    "the connection to the Dask scheduler was lost: start the cluster again, and save again "
    "with resume=True, which keeps finished chunks"
)


def none_for(seconds: float) -> str:
    """The error text for a cluster without workers."""
    return (
        f"the Dask cluster had no workers for {seconds:g} s: start workers (the logs say why "
        "earlier ones ended), and save again with resume=True; for a longer wait set dask's "
        "distributed.scheduler.no-workers-timeout"
    )


def patience_s() -> float:
    """Number of seconds to wait for a worker."""
    import dask
    from dask.utils import parse_timedelta

    asked = dask.config.get("distributed.scheduler.no-workers-timeout", None)
    return float(parse_timedelta(asked)) if asked else NO_WORKERS_S


def n_workers(client: Any) -> int:
    """Number of workers that the scheduler knows now."""
    return len(_workers(client))


def n_at_work(client: Any) -> int:
    """Number of workers that take tasks, or are at one: those short of memory are paused."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return sum(
        w["status"] == "running" or w["metrics"].get("task_counts", {}).get("executing", 0) > 0
        for w in workers
    )


def _workers(client: Any) -> list[str]:
    """Addresses of the workers that the scheduler knows now."""
    return list(client.scheduler_info(n_workers=-1)["workers"])


@contextlib.contextmanager
def _token(folder: Path | None) -> Iterator[tuple[str, str] | None]:
    """Make a file in ``folder``; yield its path and its content."""
    if folder is None:
        yield None
        return
    file, text = folder / f".token-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    file.write_text(text)
    try:
        yield str(file), text
    finally:
        file.unlink(missing_ok=True)


def _question() -> Callable[..., dict[str, Any]]:
    """The function that every worker runs; a closure is sent by value and needs no library."""

    def look(
        token: tuple[str, str] | None, sources: list[str], wait_s: float
    ) -> dict[str, Any]:
        import importlib
        import os
        import time

        try:
            version = importlib.import_module("fhemb_xr").__version__
        except Exception as error:  # an import can fail with any error
            return {"error": f"{type(error).__name__}: {error}"}
        content, until = None, time.monotonic() + wait_s
        while token is not None and content != token[1]:
            try:
                with open(token[0]) as file:
                    content = file.read()
            except OSError:
                if time.monotonic() > until:
                    break
                time.sleep(0.1)
        writes = token is None or os.access(os.path.dirname(token[0]), os.W_OK)
        return {
            "version": version,
            "sees": token is None or content == token[1],
            "writes": writes,
            "absent": [path for path in sources if not os.path.exists(path)],
        }

    return look


def _fault(answer: Any, folder: Path | None) -> str | None:
    """The reason why a worker cannot do the work, as the rest of a sentence; None: it can."""
    here = importlib.import_module("fhemb_xr").__version__
    if not isinstance(answer, dict):
        return f"does not answer ({answer!r}): look into its log, or start it again"
    if "error" in answer:
        return (
            f"cannot import fhemb_xr ({answer['error']}): install it in the environment of "
            f"the workers, in version {here}"
        )
    if answer["version"] != here:
        return (
            f"has fhemb_xr {answer['version']}, this process has {here}: install "
            "the same version for all"
        )
    where = folder.parent if folder is not None else None
    if not answer["sees"]:
        return (
            f"does not see the folder {str(where)!r} of the result: save to a folder that "
            "this process and all workers share, under the same path"
        )
    if not answer["writes"]:
        return f"may not write into the folder {str(where)!r}: change its mode or owner"
    if answer["absent"]:
        return (
            f"does not see the store {answer['absent'][0]!r}, which the work reads: put it "
            "into a folder that all workers share, under the same path"
        )
    return None
