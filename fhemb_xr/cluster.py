"""Worker processes on this machine that nobody else can reach, and that come back.

What ``LocalCluster`` leaves open is closed here: its dashboard listens on every interface, a
worker's spilled data are readable by others, a cluster that has lost its workers waits for ever
and one whose task kills them tries four times.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhemb_xr.budget import SHARE
from fhemb_xr.errors import ClusterError
from fhemb_xr.io.local import systems
from fhemb_xr.io.local.locks import try_lock
from fhemb_xr.options import options, set_options

if TYPE_CHECKING:
    from distributed import Client

LOOPBACK = "127.0.0.1"
DEATHS = 2
"""Workers that may die of one task before it is given up."""
NO_WORKERS_S = 60
RESTORE_S = 1.0
STOP_S = 0.2
"""Time that a worker has to end after Ctrl-C."""
_SCRATCH, _LOCK = "fhemb-scratch-", "lock"


MMAP_BYTES = 2**26
"""Arrays up to this size stay in the memory that a worker has; glibc's own limit falls to
64 KiB under Dask, so that every array is mapped, and its pages are zeroed, again."""
ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(MMAP_BYTES),
    "MALLOC_MMAP_THRESHOLD_": str(MMAP_BYTES),
}
"""Environment of workers that ends their page faults."""


@contextmanager
def local_cluster(
    n_workers: int = 2,
    *,
    memory_limit: int | str = "2GiB",
    threads_per_worker: int = 1,
    scratch: str | os.PathLike[str] | None = None,
    security: Any = None,
) -> Iterator["Client"]:
    """Worker processes on this machine, while the block runs.

    Parameters
    ----------
    n_workers
        Number of processes. Those that die are replaced.
    memory_limit
        Memory of each process, in bytes or as ``"2GiB"``. A process that takes more is killed.
    threads_per_worker
        Number of tasks that a process runs at once. They share its memory.
    scratch
        Folder for data that do not fit into memory; by default the system's temporary one. A
        folder in it, readable by its owner only, is made and removed at the end.
    security
        Security as in :class:`distributed.LocalCluster`. ``True`` encrypts and authenticates
        the traffic between the processes, for a machine that other users can log in to (needs
        the package cryptography).

    Yields
    ------
    Client
        The client, which computes everything in the block.

    Raises
    ------
    ValueError
        Less than one process or thread.

    Notes
    -----
    Scheduler, workers and dashboard listen on loopback only, whatever the configuration says.
    A task of which three workers died, and any task that finds no worker for 60 s, is given up
    with an error. Ctrl-C ends the block and with it everything that runs. Inside, the budget of
    a task (:func:`set_options`) is at most half of a worker's memory for each thread, so that
    work too large for the workers is refused before it begins.

    Workers start with :data:`ALLOCATOR` in their environment, unless it is set: they keep
    freed memory for the next array, and give it back when they are short of memory.
    ``docs/cluster.md`` has the figures, and how to do the same on a cluster of your own.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=4)
    >>> with fx.local_cluster(1, memory_limit="1GiB"):  # doctest: +SKIP
    ...     ds.fhemb.embed(["mean"]).fhemb.save("means.zarr")
    """
    from dask.utils import parse_bytes
    from distributed import Client

    from fhemb_xr.worker_memory import GivesBack

    if min(n_workers, threads_per_worker) < 1:
        raise ValueError(
            f"a cluster has at least one process of one thread, asked for {n_workers} of "
            f"{threads_per_worker}"
        )
    share = int(SHARE * parse_bytes(memory_limit) / threads_per_worker)
    with (
        _private_folder(scratch) as folder,
        _budget_of(share),
        _cluster(
            n_workers=n_workers,
            threads_per_worker=threads_per_worker,
            memory_limit=memory_limit,
            local_directory=str(folder),
            security=security,
        ) as cluster,
        _restoring(cluster, n_workers),
        Client(cluster) as client,
        _stopping(cluster),
    ):
        client.register_plugin(GivesBack())
        yield client


@contextmanager
def _budget_of(share: int) -> Iterator[None]:
    """The budget of a worker's task in all threads, and in cells of a notebook that follow."""
    setting = set_options(budget=min(options.budget, share))
    try:
        yield
    finally:
        setting.undo()


def _cluster(**settings: Any) -> Any:
    import dask
    from distributed import LocalCluster

    # read once, by what starts here: the user's configuration is as it was after
    before = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    own = {k: os.environ.get(k, v) for k, v in ALLOCATOR.items()}
    changes = {
        "distributed.scheduler.no-workers-timeout": f"{NO_WORKERS_S}s",
        "distributed.nanny.pre-spawn-environ": {**before, **own},
    }
    with dask.config.set(changes):
        return LocalCluster(
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"allowed_failures": DEATHS},
            **settings,
        )


@contextmanager
def connected(scheduler: str | None) -> Iterator[Any]:
    """A client of a Dask scheduler that runs elsewhere, while the block runs.

    Parameters
    ----------
    scheduler
        Address such as ``"tcp://host:8786"``, or the scheduler file; None: the address that
        dask's own configuration gives (``DASK_SCHEDULER_ADDRESS``), or no client.

    Yields
    ------
    object
        The client, or None.

    Raises
    ------
    ClusterError
        No scheduler answers there.
    """
    import dask

    asked = scheduler or dask.config.get("scheduler-address", None)
    if not asked:
        yield None
        return
    from distributed import Client

    file = Path(asked).expanduser()
    where = {"scheduler_file": str(file)} if "://" not in asked and file.is_file() else {}
    if not where and ":" not in asked:
        raise ClusterError(
            f"there is no scheduler file {asked!r}: give the file of `dask scheduler "
            "--scheduler-file FILE`, or an address such as tcp://host:8786"
        )
    try:
        client = Client(**(where or {"address": asked}))
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {asked!r} ({type(error).__name__}): is it running, "
            "and is this machine allowed to reach it?"
        ) from None
    with client:
        yield client


@contextmanager
def _restoring(cluster: Any, n_workers: int) -> Iterator[None]:
    """Ask again for as many workers as there were: a nanny that died is not replaced else."""
    from tornado.ioloop import PeriodicCallback

    loop = cluster.loop
    again = PeriodicCallback(lambda: cluster.scale(n_workers), RESTORE_S * 1000)
    loop.add_callback(again.start)
    try:
        yield
    finally:
        loop.add_callback(again.stop)


@contextmanager
def _stopping(cluster: Any) -> Iterator[None]:
    """End the workers at once after Ctrl-C: distributed waits 4 s for their tasks."""
    try:
        yield
    except KeyboardInterrupt:
        logging.getLogger("distributed.nanny").setLevel(logging.ERROR)  # "still alive, killing"
        with contextlib.suppress(Exception):  # the cluster's own end is still to come
            cluster.sync(_end, cluster)
        raise


async def _end(cluster: Any) -> None:
    workers = [*cluster.workers.values()]
    await asyncio.gather(*(w.close(timeout=STOP_S) for w in workers), return_exceptions=True)


@contextmanager
def _private_folder(parent: str | os.PathLike[str] | None) -> Iterator[Path]:
    """A folder of ours in ``parent``, mode 0700; those of killed processes go first."""
    place = Path(tempfile.gettempdir() if parent is None else parent).expanduser()
    place.mkdir(parents=True, exist_ok=True)
    for old in leftovers(place):
        shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=place))  # 0700
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try_lock(lock)  # let go when this process ends, however it ends
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def leftovers(place: Path | None = None) -> list[Path]:
    """Scratch folders of ours whose process is gone: they may hold pieces of faces."""
    place = Path(tempfile.gettempdir()) if place is None else place
    return [p for p in sorted(place.glob(f"{_SCRATCH}*")) if _is_abandoned(p)]


def _is_abandoned(folder: Path) -> bool:
    # the folder is gone, or somebody else's, or its disk has no locks, so that nobody knows
    with contextlib.suppress(OSError):
        lock = os.open(folder / _LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            systems.lock(lock)
        finally:
            os.close(lock)
        return True
    return False
