"""Records in BDF and EDF: channels, annotations, samples."""

import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64
from ingest.files.contents import needed

SUFFIXES = (".bdf", ".edf")
LOCK = threading.Lock()  # edflib is not thread-safe, and refuses a file that is open


def reader(path: Path) -> Any:
    """Open a record; a record with gaps is refused."""
    pyedflib = needed("pyedflib", "EDF and BDF files", "physio")
    try:
        with path.open("rb") as file:
            kind = file.read(236)[192:197]
        if kind in (b"EDF+D", b"BDF+D"):
            raise SourceError(
                f"{path.name!r} has gaps in time ({kind.decode()}), which cannot be read: "
                f"convert it to {kind[:4].decode()}C or to separate files, e.g. with EDFbrowser"
            )
        return pyedflib.EdfReader(str(path))
    except SourceError:
        raise
    except OSError as error:
        reason = str(error).removeprefix(str(path)).strip(": ")
        raise SourceError(f"{path.name!r} cannot be read ({reason})") from None


def header(path: Path) -> dict[str, tuple[int, float, int, str]]:
    """Place, rate [Hz], number of samples and unit of each channel, by label."""
    with LOCK, reader(path) as record:
        labels = [label.strip() for label in record.getSignalLabels()]
        if not labels:
            raise SourceError(
                f"{path.name!r} has no signal, only annotations: ingest.open_events reads them"
            )
        lengths = record.getNSamples()
        return {
            label: (
                i,
                float(record.getSampleFrequency(i)),
                int(lengths[i]),
                record.getPhysicalDimension(i).strip(),
            )
            for i, label in enumerate(numbered(labels, path.name))
        }


def numbered(labels: Sequence[str], file: str) -> list[str]:
    """Labels made unique: a repeated label gets ``_2``, and so on, with a warning.

    Examples
    --------
    >>> numbered(["ECG", "EMG"], "a.edf")
    ['ECG', 'EMG']
    """
    twice = [label for label, n in Counter(labels).items() if n > 1]
    if not twice:
        return list(labels)
    seen: Counter[str] = Counter()
    out: list[str] = []
    for label in labels:
        seen[label] += 1
        name = label if seen[label] == 1 else f"{label}_{seen[label]}"
        while name in out or (name != label and name in labels):
            name += "_"
        out.append(name)
    warnings.warn(
        f"{file!r} has several channels called {', '.join(map(repr, twice))}: the second is "
        f"now called {out[_second(labels, twice[0])]!r}, and so on",
        UserWarning,
        stacklevel=5,
    )
    return out


def _second(labels: Sequence[str], label: str) -> int:
    return [i for i, other in enumerate(labels) if other == label][1]


def samples(channels: Any, places: Any, *, path: str, version: Any) -> F64:
    """Read samples, then close the file for other readers: ``(c,), (t,) -> (c, t)``."""
    with LOCK, reader(Path(path)) as record:
        start, n = int(places[0]), len(places)
        return np.stack([record.readSignal(int(c), start, n) for c in channels])


def events(path: Path) -> tuple[F64, F64, Sequence[str]]:
    """Onset [s], duration [s] and text of the annotations."""
    with LOCK, reader(path) as record:
        onset, duration, text = record.readAnnotations()
    spans = np.asarray(duration, dtype=np.float64)
    return np.asarray(onset, dtype=np.float64), np.where(spans < 0, np.nan, spans), text
