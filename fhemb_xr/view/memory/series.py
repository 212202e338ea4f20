"""What there is to see: every feature of every recording, embedding and result, by name."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.frames import frame_features
from fhemb_xr.ops.frames.feature_names import STATISTICS
from fhemb_xr.ops.time_frequency import wavelet_bands
from fhemb_xr.ops.units import unit_of
from fhemb_xr.typing import F32, F64

Read = Callable[[slice, slice], F32]
OF_FACES = ("mean", *(n for n in STATISTICS if n != "mean"), "p5", "p95")
"""Features that the viewer computes itself where only a recording is given."""
_FRAMES_READ = 2000
"""Frames of faces that are read at once."""
_BYTES_READ = 2**24
"""Bytes of series that are read at once."""
_DEEPEST = 8


@dataclass(frozen=True)
class Series:
    """One feature of some people, which can be read piece by piece."""

    name: str
    units: str
    people: tuple[Any, ...] = field(repr=False)
    seconds: F64 = field(repr=False)
    read: Read = field(repr=False)
    """Values ``(person, sample)`` of some people and samples."""
    piece: tuple[int, int]
    """People and samples that are best read at once."""
    session: Any = None
    feature: str = ""
    """What is seen, without session and band: ``"mean"``, ``"pc0"``."""

    @property
    def rate_hz(self) -> float:
        """Samples a second, as the usual step says."""
        steps = np.diff(self.seconds)
        return 1.0 / float(np.median(steps)) if steps.size else 1.0

    def samples(self, start_s: float, stop_s: float) -> tuple[int, int]:
        """Samples ``[start, stop)`` that a view of some seconds shows, one more at each end."""
        a, b = np.searchsorted(self.seconds, [start_s, stop_s])
        return max(0, int(a) - 1), min(self.seconds.size, int(b) + 1)

    def at(self, second: float) -> int:
        """The sample nearest to a moment."""
        return nearest_place(self.seconds, second)


def nearest_place(seconds: F64, second: float) -> int:
    """The place in rising seconds that is nearest to a moment."""
    k = int(np.searchsorted(seconds, second))
    near = [i for i in (k - 1, k) if 0 <= i < seconds.size]
    return min(near, key=lambda i: abs(seconds[i] - second))


def of_array(x: xr.DataArray, prefix: str = "") -> list[Series]:
    """Every feature, component, band and session of an array ``([subject], …, time)``.

    Raises
    ------
    SchemaError
        If there is no time, or it does not increase.
    """
    schema.require_dims(x, schema.TIME)
    seconds = Clock.of(x).require_forward().axis_s
    inner = [d for d in x.dims if d not in (schema.SUBJECT, schema.TIME)]
    people = tuple(x[schema.SUBJECT].values.tolist()) if schema.SUBJECT in x.dims else ("",)
    if schema.SUBJECT in x.dims and schema.SUBJECT not in x.coords:
        people = tuple(range(x.sizes[schema.SUBJECT]))
    out = []
    for place in itertools.product(*(range(x.sizes[d]) for d in inner)):
        chosen = dict(zip(inner, place, strict=True))
        words = [_word(x, d, k) for d, k in chosen.items() if d != schema.SESSION]
        many = x.sizes.get(schema.SESSION, 1) > 1
        session = _label(x, schema.SESSION, chosen.get(schema.SESSION, 0))
        words += [str(session)] if many else []
        name = prefix + (" · ".join(words) or str(x.name or "signal"))
        feature = (
            _label(x, schema.FEATURE, chosen[schema.FEATURE])
            if schema.FEATURE in chosen
            else None
        )
        held = max(1, x.size // (len(people) * seconds.size))
        most = max(1, _BYTES_READ // (4 * held * seconds.size))
        at_once = _people_of_a_chunk(x) or most
        out.append(
            Series(
                name, unit_of(x, feature), people, seconds, _reader(x.isel(chosen)),
                (min(at_once, len(people)), seconds.size), session, _seen(x, chosen),
            )
        )  # fmt: skip
    return out


def _people_of_a_chunk(x: xr.DataArray) -> int | None:
    """People of one chunk, of dask or on disk; None for an array in memory."""
    if x.chunks is not None:
        return int(x.chunksizes[schema.SUBJECT][0]) if schema.SUBJECT in x.dims else None
    stored: int | None = x.encoding.get("preferred_chunks", {}).get(schema.SUBJECT)
    return stored


def of_recording(ds: xr.Dataset) -> list[Series]:
    """Features of the faces of a recording, computed as they are looked at."""
    heat = ds[schema.HEATMAP].assign_attrs(ds.attrs)
    seconds = Clock.of(heat).require_forward().axis_s
    people = tuple(ds[schema.SUBJECT].values.tolist())
    sessions = ds[schema.SESSION].values.tolist()
    out = []
    for name, (k, session) in itertools.product(OF_FACES, enumerate(sessions)):
        shown = f"{name} · {session}" if len(sessions) > 1 else name
        read = _computed(heat.isel({schema.SESSION: k}), name, ds.attrs.get(schema.THRESHOLD))
        unit = unit_of(xr.DataArray(0.0), name)
        out.append(
            Series(shown, unit, people, seconds, read, (1, _FRAMES_READ), session, name)
        )  # fmt: skip
    return out


def bands_of(series: Series) -> dict[str, int]:
    """Wavelet bands of a series by their name: the number, deepest first."""
    level = _level(series.seconds.size)
    rate = series.rate_hz
    out = {f"below {rate / 2 ** (level + 1):.3g} Hz": 0} if level else {}
    for b in range(1, level + 1):
        j = level + 1 - b
        out[f"{rate / 2 ** (j + 1):.3g} to {rate / 2**j:.3g} Hz"] = b
    return out


def in_band(series: Series, band: str) -> Series:
    """One wavelet band of a series (MODWT, db4); gaps stay gaps."""
    numbers = bands_of(series)
    if band not in numbers:
        return series
    level, whole = _level(series.seconds.size), slice(None)

    def read(people: slice, _: slice) -> F32:
        x = xr.DataArray(
            series.read(people, whole).astype(np.float64),
            dims=(schema.SUBJECT, schema.TIME),
            coords={schema.TIME: np.arange(series.seconds.size) / series.rate_hz},
        )
        out = wavelet_bands.wavelet_filter(
            x, [numbers[band]], "db4", level, transform="modwt", gaps="split"
        )
        return np.asarray(out.values, dtype=np.float32)

    piece = (series.piece[0], series.seconds.size)
    return Series(
        f"{series.name}, {band}", series.units, series.people, series.seconds, read, piece,
        series.session, series.feature,
    )  # fmt: skip


def _level(n: int) -> int:
    """The deepest level that the series is eight times as long as, at most eight."""
    return max(0, min(_DEEPEST, int(np.log2(max(n, 1))) - 3))


def _reader(x: xr.DataArray) -> Read:
    def read(people: slice, samples: slice) -> F32:
        part = x.isel({schema.TIME: samples})
        if schema.SUBJECT in x.dims:
            part = part.isel({schema.SUBJECT: people}).transpose(schema.SUBJECT, schema.TIME)
        values = np.asarray(part.values, dtype=np.float32)
        return values if values.ndim == 2 else values[None]

    return read


def _computed(heat: xr.DataArray, name: str, threshold: float | None) -> Read:
    def read(people: slice, samples: slice) -> F32:
        part = heat.isel({schema.SUBJECT: people, schema.TIME: samples})
        if part.chunks is None:
            part = part.compute()  # else features would see an array that is not yet read
        found = frame_features.features(part, [name], threshold=threshold)
        values = found.isel({schema.FEATURE: 0}).transpose(schema.SUBJECT, schema.TIME)
        return np.asarray(values.values, dtype=np.float32)

    return read


def _label(x: xr.DataArray, dim: str, k: int) -> Any:
    return x[dim].values.reshape(-1)[k].item() if dim in x.coords else k


def _seen(x: xr.DataArray, chosen: dict[Any, int]) -> str:
    """The name of the feature or component that is chosen, or that is there alone."""
    for dim in (schema.FEATURE, schema.COMPONENT):
        if dim in chosen:
            return str(_label(x, dim, chosen[dim]))
        if dim in x.coords and not x[dim].ndim:
            return str(x[dim].item())
    return ""


def _word(x: xr.DataArray, dim: Any, k: int) -> str:
    """``"mean"`` of a feature, ``"band 3"`` of other dimensions."""
    label = _label(x, dim, k)
    return str(label) if isinstance(label, str) else f"{dim} {label}"


def require_some(series: Sequence[Series]) -> None:
    """Check that there is something to see.

    Raises
    ------
    SchemaError
        If there is not.
    """
    if not series:
        raise SchemaError(
            "nothing to view: give a recording, an embedding, or another array with 'time'"
        )
