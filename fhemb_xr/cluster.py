"""Worker processes on this machine that nobody else can reach, and that come back.

What ``LocalCluster`` leaves open is closed here: its dashboard listens on every interface, a
worker's spilled data are readable by others, a cluster that has lost its workers waits for ever
and one whose task kills them tries four times.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhemb_xr.budget import SHARE
from fhemb_xr.io.local.atomic_files import try_lock
from fhemb_xr.options import options, set_options

if TYPE_CHECKING:
    from distributed import Client

LOOPBACK = "127.0.0.1"
DEATHS = 2
"""Workers that may die of one task before it is given up."""
NO_WORKERS_S = 60
RESTORE_S = 1.0
_SCRATCH, _LOCK = "fhemb-scratch-", "lock"


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
        Processes. Those that die are replaced.
    memory_limit
        Of each process, in bytes or as ``"2GiB"``; beyond it the process is killed.
    threads_per_worker
        Tasks that a process runs at once; they share its memory.
    scratch
        Folder for what does not fit into memory; the system's temporary one. A folder in it,
        readable by its owner only, is made and removed at the end.
    security
        As in :class:`distributed.LocalCluster`; ``True`` encrypts and authenticates what the
        processes say to each other, for a machine that other users can log in to (needs the
        package cryptography).

    Yields
    ------
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

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=4)
    >>> with fx.local_cluster(1, memory_limit="1GiB"):  # doctest: +SKIP
    ...     ds.fhemb.embed(["mean"]).fhemb.save("means.zarr")
    """
    from dask.utils import parse_bytes
    from distributed import Client

    if min(n_workers, threads_per_worker) < 1:
        raise ValueError(
            f"a cluster has at least one process of one thread, asked for {n_workers} of "
            f"{threads_per_worker}"
        )
    share = int(SHARE * parse_bytes(memory_limit) / threads_per_worker)
    with (
        _private_folder(scratch) as folder,
        set_options(budget=min(options.budget, share)),
        _cluster(
            n_workers=n_workers,
            threads_per_worker=threads_per_worker,
            memory_limit=memory_limit,
            local_directory=str(folder),
            security=security,
        ) as cluster,
        _restoring(cluster, n_workers),
        Client(cluster) as client,
    ):
        yield client


def _cluster(**settings: Any) -> Any:
    import dask
    from distributed import LocalCluster

    # read once, by the scheduler that starts here: the user's configuration is as it was after
    with dask.config.set({"distributed.scheduler.no-workers-timeout": f"{NO_WORKERS_S}s"}):
        return LocalCluster(
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"allowed_failures": DEATHS},
            **settings,
        )


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
    with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
        lock = os.open(folder / _LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            return try_lock(lock)
        finally:
            os.close(lock)
    return False
