"""Records of BrainVision (``.vhdr`` with ``.eeg`` and ``.vmrk`` beside it), by MNE."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64
from ingest.files.contents import needed, reason

SUFFIXES = (".vhdr",)
_PER_VOLT = {"µV": 1e6, "uV": 1e6, "μV": 1e6, "mV": 1e3, "nV": 1e9, "V": 1.0}


def _opened(path: Path) -> Any:
    mne = needed("mne", "BrainVision files", "physio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about places of electrodes and dates
        try:
            return mne.io.read_raw_brainvision(str(path), preload=False, verbose="ERROR")
        except Exception as error:  # MNE parses text files; any fault of a damaged one
            raise SourceError(f"{path.name!r} cannot be read ({reason(error, path)})") from None


def header(path: Path) -> dict[str, tuple[int, float, int, str]]:
    """Place, rate [Hz], number of samples and unit of each channel, by label."""
    raw = _opened(path)
    pauses = sum(text.startswith("New Segment") for text in raw.annotations.description)
    if pauses:
        warnings.warn(
            f"{path.name!r} was paused {pauses} times: times count samples, without the "
            "pauses; ingest.open_events has their places",
            UserWarning,
            stacklevel=4,
        )
    units, n, rate_hz = raw._orig_units, int(raw.n_times), float(raw.info["sfreq"])
    return {label: (i, rate_hz, n, units[label]) for i, label in enumerate(raw.ch_names)}


def samples(channels: Any, places: Any, *, path: str, version: Any) -> F64:
    """Read samples: ``(c,), (t,) -> (c, t)``, in the units of the file."""
    raw = _opened(Path(path))
    picks = [int(c) for c in channels]
    volts = raw.get_data(picks, int(places[0]), int(places[-1]) + 1, verbose="ERROR")
    scale = [_PER_VOLT.get(raw._orig_units[raw.ch_names[c]], 1.0) for c in picks]
    return np.asarray(volts * np.array(scale)[:, None], dtype=np.float64)


def events(path: Path) -> tuple[F64, F64, Sequence[str]]:
    """Onset [s], duration [s] and text of the markers: ``type/description``."""
    marks = _opened(path).annotations
    return marks.onset.copy(), marks.duration.copy(), [str(t) for t in marks.description]
