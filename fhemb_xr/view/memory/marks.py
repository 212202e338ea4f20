"""Marks of a reader: spans of time with a name, bad spans, bad people; kept in a BIDS table."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from fhemb_xr.clock import spans
from fhemb_xr.errors import SourceError, StoreError, warn
from fhemb_xr.io.interchange.span_files import read_spans
from fhemb_xr.io.local import durable_files

BAD = "BAD"
TYPE = "trial_type"
_COLUMNS = (spans.ONSET, spans.DURATION, TYPE, spans.SUBJECT)
_MOST_UNDONE = 50
Mark = dict[str, Any]


class Marks:
    """Spans in the order of time; every change is written at once, whole or not at all.

    Columns of the file that the viewer does not know are kept.
    """

    def __init__(self, path: Path | None = None, uuid: str = "") -> None:
        self.path, self.uuid = path, uuid
        self.rows: list[Mark] = []
        self.version = 0
        self.problem = ""
        """Why the last change is not in the file."""
        self._past: list[list[Mark]] = []
        self._seen = b""
        if path is not None:
            if path.suffix.lower() != ".tsv":
                raise SourceError(
                    f"marks are kept in a table .tsv as BIDS has it, found {path.name!r}: "
                    "give another name, read others with fx.read_spans"
                )
            if path.exists():
                self._read(path)

    def add(self, onset: float, stop: float, label: str, subject: Any = None) -> int:
        """Add a span; its place among the others."""
        mark: Mark = {
            spans.ONSET: round(min(onset, stop), 4),
            spans.DURATION: round(abs(stop - onset), 4),
            TYPE: _word(label),
            spans.SUBJECT: subject,
        }
        self._keep()
        self.rows.append(mark)
        self._changed()
        return self.rows.index(mark)

    def change(self, place: int, **new: Any) -> int:
        """Change a span; its new place."""
        self._keep()
        mark = self.rows[place] = {**self.rows[place], **new}
        mark[TYPE] = _word(mark[TYPE])
        self._changed()
        return next(k for k, row in enumerate(self.rows) if row is mark)

    def remove(self, places: list[int]) -> None:
        """Take spans away."""
        self._keep()
        self.rows = [row for k, row in enumerate(self.rows) if k not in places]
        self._changed()

    def undo(self) -> None:
        """Take the last change back."""
        if self._past:
            self.rows = self._past.pop()
            self._changed()

    def turn_bad(self, person: Any, extent: tuple[float, float]) -> None:
        """Mark a person as bad for the whole time, or take that mark away."""
        held = [k for k, row in enumerate(self.rows) if _is_whole(row, person, extent)]
        if held:
            self.remove(held)
        else:
            self.add(*extent, BAD, person)

    def bad_people(self, extent: tuple[float, float]) -> set[Any]:
        """People who are marked as bad for the whole time."""
        people = {row[spans.SUBJECT] for row in self.rows if row[spans.SUBJECT] is not None}
        return {p for p in people if any(_is_whole(r, p, extent) for r in self.rows)}

    def labels(self) -> list[str]:
        """Names in use, each once."""
        return [*dict.fromkeys(str(row[TYPE]) for row in self.rows)]

    def table(self) -> xr.Dataset:
        """The spans as :func:`fhemb_xr.read_spans` gives them."""
        columns: dict[str, Any] = {n: [row[n] for row in self.rows] for n in _COLUMNS}
        return spans.table(pd.DataFrame(columns))

    def _read(self, path: Path) -> None:
        known = spans.rows(read_spans(path))  # it refuses what is no table of spans
        raw = path.read_bytes()
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        frame.columns = [str(c).strip() for c in frame.columns]
        lower = {str(c).casefold(): c for c in frame.columns}
        order = pd.to_numeric(frame[lower[spans.ONSET]]).argsort(kind="stable")
        named = next(n for n in spans.LABELS if n in lower)  # the one that read_spans takes
        if named != TYPE and TYPE in lower:
            raise SourceError(
                f"{path.name!r} has both {named!r} and {TYPE!r}, and the viewer keeps one name "
                "of a span: leave one of these columns out"
            )
        mine = {spans.ONSET, spans.DURATION, spans.SUBJECT, "participant_id", named}
        extra = [c for c in frame.columns if str(c).casefold() not in mine]
        for place, span in zip(order, known, strict=True):
            more = {c: frame[c].iloc[int(place)] for c in extra}
            self.rows.append(
                {
                    spans.ONSET: span[spans.ONSET],
                    spans.DURATION: span[spans.DURATION],
                    TYPE: span[spans.LABEL],
                    spans.SUBJECT: span.get(spans.SUBJECT),
                    **more,
                }
            )
        self._seen = hashlib.sha256(raw).digest()
        self._warn_of_another(path.with_suffix(".json"))

    def _warn_of_another(self, about: Path) -> None:
        """Say it if the marks were made in another recording."""
        if not (self.uuid and about.exists()):
            return
        try:
            known = json.loads(about.read_text()).get("fhemb_uuid", self.uuid)
        except (ValueError, AttributeError):  # of another program
            return
        if known != self.uuid:
            warn(
                "the marks were made in another recording, or before this one was saved anew: "
                "look whether they fit, or give another file with spans="
            )

    def _keep(self) -> None:
        self._past = [*self._past[1 - _MOST_UNDONE :], [dict(row) for row in self.rows]]

    def _changed(self) -> None:
        self.rows.sort(key=lambda row: float(row[spans.ONSET]))
        self.version += 1
        if self.path is None:
            return
        try:
            self._write(self.path)
            self.problem = ""
        except OSError as error:
            self.problem = f"not saved: {error.strerror or error}"  # str has the whole path

    def _write(self, path: Path) -> None:
        if path.exists():
            if hashlib.sha256(path.read_bytes()).digest() != self._seen:
                raise StoreError(
                    f"{path.name!r} was changed by another program: start the viewer again to "
                    "read it"
                )
        elif self._seen:
            raise StoreError(f"{path.name!r} was removed: start the viewer again")
        content = self._text().encode()
        durable_files.replace_file(path, content)
        self._seen = hashlib.sha256(content).digest()
        about = {"fhemb_uuid": self.uuid, **_MEANING} if self.uuid else _MEANING
        text = json.dumps(about, indent=2).encode()
        beside = path.with_suffix(".json")
        if not beside.exists():
            durable_files.replace_file(beside, text)

    def _text(self) -> str:
        personal = any(row[spans.SUBJECT] is not None for row in self.rows)
        known = _COLUMNS if personal else _COLUMNS[:-1]
        more = dict.fromkeys(c for row in self.rows for c in row if c not in _COLUMNS)
        columns = [*known, *more]
        lines = ["\t".join(columns)]
        lines += ["\t".join(_cell(row.get(c)) for c in columns) for row in self.rows]
        return "\n".join(lines) + "\n"


_MEANING = {
    TYPE: {"Description": "name of the span; fx.drop_bad leaves out BAD and BAD_..."},
    spans.SUBJECT: {"Description": "person whose span it is; n/a: everybody's"},
}


def place_beside(store: Path, ending: str = "_events.tsv") -> Path:
    """Where marks, or what ends otherwise, are kept: ``don_events.tsv`` beside ``don.zarr``."""
    return store.with_name(store.name.removesuffix(store.suffix) + ending)


def _is_whole(row: Mark, person: Any, extent: tuple[float, float]) -> bool:
    start, stop = row[spans.ONSET], row[spans.ONSET] + row[spans.DURATION]
    covers = start <= extent[0] + 1e-3 and stop >= extent[1] - 1e-3
    return bool(row[spans.SUBJECT] == person and spans.is_bad(row[TYPE]) and covers)


def _word(label: Any) -> str:
    """A name without tabs and line breaks, and never empty."""
    return " ".join(str(label).split()) or "n/a"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "n/a"
    return (
        f"{value:.10g}" if isinstance(value, float) else " ".join(str(value).split()) or "n/a"
    )
