"""What a run was asked for: made once, written into the ledger, compared by later runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhemb_xr.errors import StoreError, UnknownNameError, nearest
from ingest.shards import Subject


@dataclass(frozen=True)
class Request:
    """What a store shall hold, and how; the parameters are those of :func:`ingest.run.ingest`.

    A value of None (and ``subjects="all"``) means that nothing was asked: the first run decides
    by what the source has, a later one takes what the store has.
    """

    subjects: object = "all"
    frames: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    resize: tuple[int, int] | None = None
    rate_hz: float | None = None
    title: str | None = None
    threshold: float = 25.0
    float32: bool | None = None
    shard_frames: int | None = None

    def differs_from(self, header: Mapping[str, Any]) -> str:
        """The first thing that was asked for and that a store does not hold; ``""``: none.

        Parameters
        ----------
        header
            First line of the ledger of the store.
        """
        for name, wanted, held in self._compared(header):
            if wanted != held:
                return f"holds the {name} {held!r}, asked for {wanted!r}"
        return ""

    def require_same(self, header: Mapping[str, Any], store: str) -> None:
        """Refuse a request that is for another store.

        Raises
        ------
        StoreError
            If it differs; with what was asked for and what the store holds.
        """
        if difference := self.differs_from(header):
            raise StoreError(f"{store!r} {difference}: choose another name for another store")

    def _compared(self, header: Mapping[str, Any]) -> list[tuple[str, object, object]]:
        """Name, wanted and held value of everything that was asked for."""
        people = tuple(header["subjects"])
        grid = tuple(header["grid"])
        size = grid if header.get("resized") else None
        compared: list[tuple[str, object, object]] = []
        if not (isinstance(self.subjects, str) and self.subjects == "all"):
            compared.append(("subjects", choose(self.subjects, people), people))
        if self.frames is not None:
            spans = [(s["start"], s["stop"]) for s in header["sessions"]]
            held = (min(start for start, _ in spans), max(stop for _, stop in spans))
            first = header["asked_frames"]  # may reach beyond the frames that there were
            same = list(self.frames) in (list(held), first)
            compared.append(("frames", held if same else tuple(self.frames), held))
        if self.grid is not None:
            compared.append(("grid", tuple(self.grid), grid))
        if self.resize is not None:
            compared.append(("size", tuple(self.resize), size))
        if self.rate_hz is not None:
            compared.append(("rate_hz", float(self.rate_hz), float(header["rate_hz"])))
        if self.float32 is not None:
            compared.append(("float32", self.float32, header["float32"]))
        return compared


def choose(spec: object, available: Sequence[Subject]) -> tuple[Subject, ...]:
    """Subjects by the original's grammar, in the order of the source.

    Parameters
    ----------
    spec
        ``"all"``, ids, or inclusive pairs: ``[(40, 44), 53]``.
    available
        Ids that the source has.

    Raises
    ------
    UnknownNameError
        If one is not there, with the nearest ones.

    Examples
    --------
    >>> choose([(40, 42), 53], [40, 41, 42, 43, 53])
    (40, 41, 42, 53)
    """
    if isinstance(spec, str) and spec == "all":
        return tuple(available)
    pair = isinstance(spec, tuple) and len(spec) == 2
    entries = [spec] if pair or not isinstance(spec, list | tuple) else list(spec)
    wanted: set[object] = set()
    for entry in entries:
        chosen = {s for s in available if _matches(s, entry)}
        if not chosen:
            name = entry[0] if isinstance(entry, tuple | list) else entry
            raise UnknownNameError(
                f"no subject {entry!r} in the source{nearest(name, available)}"
            )
        wanted |= chosen
    return tuple(s for s in available if s in wanted)


def _matches(subject: Subject, entry: Any) -> bool:
    if isinstance(entry, tuple | list):
        low, high = entry
        return isinstance(subject, type(low)) and low <= subject <= high
    return bool(subject == entry)


def parse_subjects(text: str) -> object:
    """``"40-44,53"`` as ``[(40, 44), 53]``; names that are not numbers stay as they are.

    Examples
    --------
    >>> parse_subjects("40-44, 53"), parse_subjects("all"), parse_subjects("anna,b-2")
    ([(40, 44), 53], 'all', ['anna', 'b-2'])
    """
    if text.strip() == "all":
        return "all"
    entries: list[object] = []
    for part in (p.strip() for p in text.split(",")):
        if pair := re.fullmatch(r"(\d+)\s*-\s*(\d+)", part):
            entries.append((int(pair[1]), int(pair[2])))
        elif part:
            entries.append(int(part) if part.isdigit() else part)
    return entries
