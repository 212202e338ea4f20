"""The ledger of a store: which shards were read.

The ledger is a file of JSON lines in the folder of the heatmap. (zarr does not look for arrays
inside an array, so it does not warn.) The first line describes the store. Every other line is
one complete shard: its rows, their number, the checksum of the written data, and whether it is
empty. A shard counts only when its line is on the disk; a truncated line does not count. A
missing chunk whose line says ``empty`` never existed; any other missing chunk was lost.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.local import systems
from fhemb_xr.io.local.durable_files import replace_file
from ingest.shards import Counts, Subject

NAME = manifest.LEDGER
Key = tuple[str, Subject, int]


@dataclass(frozen=True)
class Entry:
    """One complete shard; frames are ``[start, stop)``."""

    session: str
    subject: Subject = field(repr=False)
    start: int
    stop: int
    crc32: str
    empty: bool
    counts: Counts
    version: str = ""  # version of the rows in the source; "": the source has none

    @property
    def key(self) -> Key:
        """Session, subject and first frame."""
        return self.session, self.subject, self.start

    def line(self) -> str:
        """The line of the file."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Entry":
        """Make an entry from the fields of a line."""
        return cls(**(fields | {"counts": Counts(**fields["counts"])}))


class Ledger:
    """The lines of one store; appending is safe from threads."""

    def __init__(self, path: Path, header: dict[str, Any], entries: dict[Key, Entry]) -> None:
        self.path, self.header, self.entries = path, header, entries
        self._lock = threading.Lock()

    @classmethod
    def read(cls, store: Path) -> "Ledger":
        """Read the ledger of a store.

        Raises
        ------
        StoreError
            There is no ledger, or it is damaged.
        """
        path = store / schema.HEATMAP / NAME
        if not path.is_file():
            raise StoreError(f"{str(store)!r} was not made by ingest: choose another name")
        header, *lines = _lines(path.read_bytes()) or [{}]
        if not header:
            raise StoreError(f"the ledger of {str(store)!r} is damaged: remove the store")
        entries = [Entry.of(e) for e in lines]
        return cls(path, header, {e.key: e for e in entries})

    @classmethod
    def create(cls, store: Path, header: Mapping[str, Any]) -> "Ledger":
        """Make a ledger without shards."""
        ledger = cls(store / schema.HEATMAP / NAME, dict(header), {})
        ledger.rewrite()
        return ledger

    def append(self, entry: Entry) -> None:
        """Mark a shard as complete, on the disk."""
        with self._lock:
            with self.path.open("ab") as file:
                file.write(entry.line().encode())
                file.flush()
                systems.sync(file.fileno())
            self.entries[entry.key] = entry

    def rewrite(self) -> None:
        """Write the lines in the order of their keys, so that the order of work is not seen."""
        lines = [json.dumps(self.header, separators=(",", ":")) + "\n"]
        order = {name: i for i, name in enumerate(self.header["subjects"])}
        entries = sorted(
            self.entries.values(), key=lambda e: (e.session, e.start, order[e.subject])
        )
        lines += [e.line() for e in entries]
        replace_file(self.path, "".join(lines).encode())

    def revise(self, header: Mapping[str, Any], drop: Iterable[Key]) -> None:
        """Change the header and drop some shards, in one rename."""
        dropped = set(drop)
        self.header = dict(header)
        self.entries = {k: e for k, e in self.entries.items() if k not in dropped}
        self.rewrite()

    def mend(self) -> None:
        """Remove a truncated last line: the next entry must start on a new line."""
        raw = self.path.read_bytes()
        if raw[_whole(raw) :]:
            self.rewrite()

    def total(self) -> Counts:
        """Sum of the counts of all shards."""
        return sum((e.counts for e in self.entries.values()), Counts())


def _whole(raw: bytes) -> int:
    """Number of bytes in complete lines."""
    n_bytes = 0
    for line in raw.splitlines(keepends=True):
        try:
            json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        n_bytes += len(line)
    return n_bytes


def _lines(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw[: _whole(raw)].splitlines()]
