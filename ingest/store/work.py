"""Options and counts of a run, which its parts share, and the errors that stop it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fhemb_xr.errors import SourceError
from ingest.source import Source
from ingest.store.writer import Task

Progress = Callable[[int, int], None]


class StrictError(SourceError):
    """The source has faults that ``strict`` refuses; nothing was written."""


class SourceChangedError(SourceError):
    """Rows changed or vanished while they were read; the same command continues."""


@dataclass
class Work:
    """Options of a run, and counts of its work."""

    source: Source
    workers: int = 2
    strict: bool = False
    reread: bool = False
    progress: Progress | None = None
    n_read: int = 0  # shards
    n_written: int = 0
    n_bytes: int = 0
    doubts: dict[str, None] = field(default_factory=dict)  # in their order, without repeats

    def doubt(self, texts: Iterable[str]) -> None:
        """Remember doubts."""
        self.doubts |= dict.fromkeys(texts)


def refuse(strict: bool, doubts: Sequence[str], task: Task | None = None) -> None:
    """Raise an error if ``strict`` is set and there are doubts.

    Raises
    ------
    StrictError
        There is a doubt; the error names the shard.
    """
    if strict and doubts:
        where = f"subject {task.subject}, frames [{task.start}, {task.stop}): " if task else ""
        raise StrictError(f"refused by --strict: {where}{'; '.join(doubts)}")
