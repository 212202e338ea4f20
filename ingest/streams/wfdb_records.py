"""Records of WFDB (PhysioNet), by the library wfdb: ``.hea`` with its files beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64
from ingest.files.contents import needed, reason

SUFFIXES = (".hea", ".dat")
ANNOTATIONS = (".atr", ".qrs", ".ecg", ".ann", ".wqrs", ".gqrs", ".sqrs", ".ari", ".pu0")
_ERRORS = (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError)


def header(path: Path) -> dict[str, tuple[int, float, int, str]]:
    """Place, rate [Hz], number of samples and unit of each signal, by label."""
    head = _header(path)
    per_frame = head.samps_per_frame or [1] * head.n_sig
    return {
        label: (i, float(head.fs) * n, int(head.sig_len) * n, unit or "")
        for i, (label, n, unit) in enumerate(
            zip(_labels(head, path), per_frame, head.units, strict=True)
        )
    }


def _header(path: Path) -> Any:
    wfdb = needed("wfdb", "records of WFDB", "physio")
    name = path.with_suffix("")
    if not name.with_suffix(".hea").is_file():
        raise SourceError(f"{path.name!r} has no header {name.name + '.hea'!r} beside it")
    try:
        head = wfdb.rdheader(str(name))
    except _ERRORS as error:
        raise SourceError(f"{path.name!r} cannot be read ({reason(error, path)})") from None
    if isinstance(head, wfdb.MultiRecord):
        raise SourceError(
            f"{path.name!r} has several segments, with gaps in time: open each segment, or "
            "write one record with wfdb.wrsamp"
        )
    if not head.n_sig or not head.sig_len:
        raise SourceError(
            f"{path.name!r} has no signal or no length: ingest.open_events reads annotations"
        )
    return head


def _labels(head: Any, path: Path) -> list[str]:
    from ingest.streams.edf_records import numbered

    names = head.sig_name or [None] * head.n_sig
    return numbered([n or f"signal_{i}" for i, n in enumerate(names)], path.name)


def samples(channels: Any, places: Any, *, path: str, version: Any) -> F64:
    """Read samples: ``(c,), (t,) -> (c, t)``; missing ones are NaN."""
    wfdb = needed("wfdb", "records of WFDB", "physio")
    file, start, stop = Path(path), int(places[0]), int(places[-1]) + 1
    head = _header(file)
    out = np.empty((len(channels), stop - start))
    for row, channel in zip(out, channels, strict=True):
        n = (head.samps_per_frame or [1] * head.n_sig)[int(channel)]
        first, last = start // n, -(-stop // n)
        try:
            record = wfdb.rdrecord(
                str(file.with_suffix("")), sampfrom=first, sampto=last,
                channels=[int(channel)], smooth_frames=False,
            )  # fmt: skip
        except _ERRORS as error:
            raise SourceError(f"{file.name!r} cannot be read ({reason(error, file)})") from None
        signal = record.e_p_signal[0][start - first * n : stop - first * n]
        if len(signal) != len(row):
            raise SourceError(f"{file.name!r} ends before its header says")
        row[:] = signal
    return out


def events(path: Path) -> tuple[F64, F64, Sequence[str]]:
    """Onset [s], duration [s] and text of the annotations beside a record."""
    wfdb = needed("wfdb", "records of WFDB", "physio")
    files = [path] if path.suffix.lower() in ANNOTATIONS else _beside(path)
    try:
        marks = wfdb.rdann(str(files[0].with_suffix("")), files[0].suffix[1:])
    except _ERRORS as error:
        raise SourceError(
            f"{files[0].name!r} cannot be read ({reason(error, files[0])})"
        ) from None
    rate_hz = marks.fs or _header(files[0]).fs
    texts = [note or symbol for note, symbol in zip(marks.aux_note, marks.symbol, strict=True)]
    onset = np.asarray(marks.sample) / float(rate_hz)
    return onset, np.full(len(onset), np.nan), [t.strip("\0") for t in texts]


def _beside(path: Path) -> list[Path]:
    files = [f for s in ANNOTATIONS if (f := path.with_suffix(s)).is_file()]
    if len(files) != 1:
        names = ", ".join(repr(f.name) for f in files) or "none"
        raise SourceError(f"{path.name!r} has annotations in {names}: name the file of one")
    return files
