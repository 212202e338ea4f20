"""What was read, shard by shard: the ledger in a store.

The ledger is a file of JSON lines in the folder of the heatmap (zarr looks for no arrays
inside an array, so nothing warns). Its first line says what the store is of; every further line
is one shard that is complete: which rows, how many, the checksum of what was written, whether
there was anything to write. A line is on the disk before the shard counts, and one that was cut
short does not count. So a missing chunk with a line that says ``empty`` is one that was never
there, and any other missing chunk was lost.
"""

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.local.durable_files import replace_file
from ingest.shards import Counts, Subject

NAME = manifest.LEDGER
Key = tuple[str, Subject, int]


@dataclass(frozen=True)
class Entry:
    """One complete shard; frames are ``[start, stop)``."""

    session: str
    subject: Subject
    start: int
    stop: int
    crc32: str
    empty: bool
    counts: Counts
    version: str = ""  # of the rows in the source; "": it cannot tell

    @property
    def key(self) -> Key:
        """What tells shards apart."""
        return self.session, self.subject, self.start

    def line(self) -> str:
        """As it stands in the file."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"

    @classmethod
    def of(cls, found: dict[str, Any]) -> "Entry":
        """From a line of the file."""
        return cls(**(found | {"counts": Counts(**found["counts"])}))


class Ledger:
    """The lines of one store; appending is safe from threads."""

    def __init__(self, path: Path, header: dict[str, Any], entries: dict[Key, Entry]) -> None:
        self.path, self.header, self.entries = path, header, entries
        self._lock = threading.Lock()

    @classmethod
    def read(cls, store: Path) -> "Ledger":
        """The ledger of a store.

        Raises
        ------
        StoreError
            If there is none.
        """
        path = store / schema.HEATMAP / NAME
        if not path.is_file():
            raise StoreError(f"{str(store)!r} was not made by ingest: choose another name")
        header, *found = _lines(path.read_bytes()) or [{}]
        if not header:
            raise StoreError(f"the ledger of {str(store)!r} is damaged: remove the store")
        entries = [Entry.of(e) for e in found]
        return cls(path, header, {e.key: e for e in entries})

    @classmethod
    def create(cls, store: Path, header: Mapping[str, Any]) -> "Ledger":
        """A ledger without a shard."""
        made = cls(store / schema.HEATMAP / NAME, dict(header), {})
        made.rewrite()
        return made

    def append(self, entry: Entry) -> None:
        """Mark a shard as complete, on the disk."""
        with self._lock:
            with self.path.open("ab") as file:
                file.write(entry.line().encode())
                file.flush()
                os.fsync(file.fileno())
            self.entries[entry.key] = entry

    def rewrite(self) -> None:
        """The same lines in the order of their keys, so that how they came leaves no trace."""
        lines = [json.dumps(self.header, separators=(",", ":")) + "\n"]
        order = {name: i for i, name in enumerate(self.header["subjects"])}
        entries = sorted(
            self.entries.values(), key=lambda e: (e.session, e.start, order[e.subject])
        )
        lines += [e.line() for e in entries]
        replace_file(self.path, "".join(lines).encode())

    def revise(self, header: Mapping[str, Any], drop: Iterable[Key]) -> None:
        """Another header, and some shards no longer complete, in one rename."""
        gone = set(drop)
        self.header = dict(header)
        self.entries = {k: e for k, e in self.entries.items() if k not in gone}
        self.rewrite()

    def mend(self) -> None:
        """Drop a last line that was cut short: the next one must start a line of its own."""
        raw = self.path.read_bytes()
        if raw[_whole(raw) :]:
            self.rewrite()

    def total(self) -> Counts:
        """The counts of all shards together."""
        return sum((e.counts for e in self.entries.values()), Counts())


def _whole(raw: bytes) -> int:
    """Length of the lines that are whole."""
    at = 0
    for line in raw.splitlines(keepends=True):
        try:
            json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        at += len(line)
    return at


def _lines(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw[: _whole(raw)].splitlines()]
