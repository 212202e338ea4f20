"""Comparing a store with its ledger and its source; the first difference is named."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr import schema
from fhemb_xr.io.local.locks import locked
from ingest.shards import Block
from ingest.source import Reader, Source, count_like
from ingest.store import revision
from ingest.store.writer import Target, Task, checksum


@dataclass(frozen=True)
class Verdict:
    """The result of a verification; ``difference`` is the first difference, as a sentence."""

    store: str
    shards: int
    checked: int
    difference: str | None

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return self.difference is None

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self) | {"equal": self.equal}


def verify(store: str | Path, source: Source | None = None) -> Verdict:
    """Compare every shard with the ledger and, if a source is given, with a new reading.

    Parameters
    ----------
    store
        Folder of the store.
    source
        Source of the store; None compares with the ledger only.

    Returns
    -------
    Verdict
        The number of shards that agree, and the first difference.

    Raises
    ------
    StoreError
        The store was not made by ingest, or a run is writing it.
    SourceError
        The source cannot be read.

    Notes
    -----
    Memory: two stored shards.
    """
    path = Path(store)
    with locked(path):
        target = Target(path)
        if source is None:
            return _verdict(target, None)
        count_like(source, target.sessions, target.ledger.header["rate_hz"])
        revision.require_same_origin(target, source.found())
        with source.readers(1) as readers:
            return _verdict(target, readers[0])


def _verdict(target: Target, reader: Reader | None) -> Verdict:
    tasks = target.tasks()
    for i, task in enumerate(tasks):
        difference = _difference(target, task, reader)
        if difference:
            where = f"session {task.session!r}, subject {task.subject}, "
            span = f"frames [{task.start}, {task.stop}): "
            return Verdict(str(target.path), len(tasks), i, where + span + difference)
    return Verdict(str(target.path), len(tasks), len(tasks), None)


def _difference(target: Target, task: Task, reader: Reader | None) -> str | None:
    entry = target.ledger.entries.get((task.session, task.subject, task.start))
    if entry is None:
        return "not written yet"
    try:
        stored = target.stored(task)
    except (OSError, ValueError, RuntimeError) as error:  # a codec found a wrong checksum
        return f"the store cannot be read: {error}"
    if checksum(stored) != entry.crc32:
        return f"the store has checksum {checksum(stored)}, the ledger {entry.crc32}"
    if reader is None:
        return None
    fresh = target.block(task)
    reader.read(fresh, lambda run, cell: target.place(fresh, run, cell))
    if fresh.counts != entry.counts:
        return f"the source now has {fresh.counts}, the ledger {entry.counts}"
    return _first(stored, fresh)


def _first(stored: Block, fresh: Block) -> str | None:
    for name in (schema.HEIGHT, schema.WIDTH, schema.POSITION, "heat"):
        mine, theirs = getattr(stored, name), getattr(fresh, name)
        differs = (mine != theirs) & ~((mine != mine) & (theirs != theirs))
        if differs.any():
            at = tuple(int(i) for i in np.argwhere(differs)[0])
            return (
                f"{name} differs first at frame {stored.start + at[0]}, {list(at[1:])}: "
                f"the store has {mine[at]}, the source {theirs[at]} (as stored)"
            )
    return None
