"""Records of Biopac's AcqKnowledge (``.acq``), also compressed ones, by the library bioread."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64
from ingest.files.contents import needed, reason

SUFFIXES = (".acq",)
WHOLE = True  # a channel is read as one chunk
_SEGMENT = "Segment"


def _opened(path: Path, channels: Sequence[int]) -> Any:
    """The file with the samples of some channels; bioread reports faults by its log."""
    bioread = needed("bioread", "Biopac files", "physio")
    logging.getLogger("bioread").setLevel(logging.CRITICAL)
    try:
        file = bioread.read(str(path), channel_indexes=list(channels))
    except Exception as error:  # bioread checks little: any fault of a damaged file
        raise SourceError(f"{path.name!r} cannot be read ({reason(error, path)})") from None
    if file is None or not file.channels:
        raise SourceError(f"{path.name!r} is no Biopac file, or has no channel")
    return file


def header(path: Path) -> dict[str, tuple[int, float, int, str]]:
    """Place, rate [Hz], number of samples and unit of each channel, by label."""
    from ingest.streams.edf_records import numbered

    file = _opened(path, [])
    starts = [m for m in file.event_markers or () if _is_segment(m)]
    if len(starts) > 1:
        warnings.warn(
            f"{path.name!r} was recorded in {len(starts)} segments: the file does not hold the "
            "time between them, so that times count samples; ingest.open_events has their "
            "starts",
            UserWarning,
            stacklevel=4,
        )
    labels = numbered([c.name.strip() for c in file.channels], path.name)
    return {
        label: (i, float(c.samples_per_second), int(c.point_count), c.units.strip())
        for i, (label, c) in enumerate(zip(labels, file.channels, strict=True))
    }


def _is_segment(marker: Any) -> bool:
    return marker.type_code == "apnd" or (
        marker.type_code is None and str(marker.text).startswith(_SEGMENT)
    )


def samples(channels: Any, places: Any, *, path: str, version: Any) -> F64:
    """Read samples: ``(c,), (t,) -> (c, t)``."""
    file = _opened(Path(path), [int(c) for c in channels])
    start, stop = int(places[0]), int(places[-1]) + 1
    rows = [file.channels[int(c)].data[start:stop] for c in channels]
    if any(len(row) != stop - start for row in rows):
        raise SourceError(f"{Path(path).name!r} ends before its header says")
    return np.stack(rows).astype(np.float64)


def events(path: Path) -> tuple[F64, F64, Sequence[str]]:
    """Onset [s], duration [s] and text of the markers."""
    file = _opened(path, [])
    marks = list(file.event_markers or ())
    onset = np.array([m.sample_index for m in marks], float) / float(file.samples_per_second)
    end = max(c.point_count / c.samples_per_second for c in file.channels)
    if (onset > end + 1).any():
        raise SourceError(
            f"{path.name!r} has markers after its end, at {onset.max():.6g} s of {end:.6g} s: "
            "save it again without compression"
        )
    return onset, np.full(len(onset), np.nan), [str(m.text) for m in marks]
