"""Radiometric files of FLIR cameras: JPEG, ``.fff``, ``.seq`` and ``.csq``.

All of them hold frames in FLIR's format FFF: a directory of records, among them the raw counts
and the settings of the camera. A JPEG hides one FFF in its segments, a ``.seq`` is a row of
FFFs, and the counts of a ``.csq`` are JPEG-LS. The directory is read here; flyr reads the
settings and turns counts into temperatures. A table of flyr's temperature of each of the 65 536
counts gives the same values as flyr, faster. Serial numbers, places and names are not read.

Structure: https://exiftool.org/TagNames/FLIR.html.
"""

import mmap
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F32, F64
from ingest.files.contents import Contents, Picture, needed

MAGIC = b"FFF\0"
_HEADER, _ENTRY = 64, 32
_RAW, _CAMERA = 1, 32  # types of records
_CLOCK, _RATE = 0x384, 0x464  # places in the record of the camera
_VERSIONS = range(100, 201)
_ADVICE = "export it as TIFF or CSV with the camera's own program"
_NAMES = {
    "emissivity": "emissivity",
    "object_distance": "distance_m",
    "reflected_apparent_temperature": "reflected_degC",
    "atmospheric_temperature": "atmosphere_degC",
    "relative_humidity": "relative_humidity",
    "ir_window_temperature": "window_degC",
    "ir_window_transmission": "window_transmission",
}


@dataclass(frozen=True)
class _Frame:
    """Places of the raw counts and of the camera's settings of one frame, in bytes."""

    raw: int
    raw_stop: int
    camera: int


def open_jpeg(path: Path, stack: ExitStack) -> Contents:
    """Open a radiometric JPEG: a stack of one frame in °C, named after the file."""
    one = picture(path)
    return Contents(
        {path.stem: one.values[None]},
        units={path.stem: one.unit},
        camera=one.camera,
        alone=True,
    )


def is_radiometric(path: Path) -> bool:
    """Whether a JPEG holds a segment of FLIR."""
    with path.open("rb") as file:
        return b"FLIR\0" in file.read(2**20)


def picture(path: Path) -> Picture:
    """The frame of a radiometric JPEG or of an ``.fff``, in °C.

    Raises
    ------
    SourceError
        The file holds no radiometric frame, or one that is not understood.
    """
    _flyr(path)
    data = path.read_bytes()
    if data[:4] != MAGIC:
        from flyr.records import extract_flir_app1

        if b"FLIR\0" not in data:
            raise SourceError(
                f"{path.name!r} is a picture without temperatures: export the radiometric JPEG "
                "of the camera"
            )
        try:
            data = extract_flir_app1(BytesIO(data)).read()
        except (ValueError, KeyError) as error:
            raise SourceError(f"cannot read {path.name!r} ({error}): {_ADVICE}") from None
    frames, _ = _frames(data, path)
    return Picture(_celsius(data, frames[0], path), "degC", _about(data, frames[0], path))


def open_sequence(path: Path, stack: ExitStack) -> Contents:
    """Open a ``.seq``, ``.csq`` or ``.fff``: one stack in °C with the camera's clock."""
    _flyr(path)
    file = stack.enter_context(path.open("rb"))
    data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    frames, doubts = _frames(data, path)
    rows = _Frames(data, frames, path)
    seconds, doubt = _clock(data, frames, path)
    first, last = _about(data, frames[0], path), _about(data, frames[-1], path)
    doubts += [doubt] if doubt else []
    if first != last:
        doubts.append(f"the camera's settings change within {path.name!r}")
    return Contents(
        {path.stem: rows}, units={path.stem: "degC"}, seconds=seconds, camera=first,
        doubts=tuple(doubts), alone=True,
    )  # fmt: skip


class _Frames:
    """Frames of a sequence as rows ``(time, y, x)`` in °C."""

    def __init__(self, data: Any, frames: list[_Frame], path: Path) -> None:
        self._data, self._frames, self._path = data, frames, path
        self.shape = (len(frames), *_celsius(data, frames[0], path).shape)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    def __getitem__(self, rows: slice) -> F32:
        chosen = range(*rows.indices(len(self._frames)))
        out = np.empty((len(chosen), *self.shape[1:]), np.float32)
        for i, k in enumerate(chosen):
            frame = _celsius(self._data, self._frames[k], self._path)
            if frame.shape != self.shape[1:]:
                raise SourceError(
                    f"frame {k} of {self._path.name!r} has {frame.shape} pixels, the first "
                    f"{self.shape[1:]}"
                )
            out[i] = frame
        return out


def _flyr(path: Path) -> Any:
    return needed("flyr", f"{path.suffix} files of FLIR", "camera")


def _frames(data: Any, path: Path) -> tuple[list[_Frame], list[str]]:
    """Places of all frames, and doubts about what is skipped."""
    frames: list[_Frame] = []
    start, size, skipped = 0, len(data), 0
    while start + _HEADER <= size:
        if data[start : start + 4] != MAGIC:
            following = data.find(MAGIC, start)
            skipped += (size if following < 0 else following) - start
            if following < 0:
                break
            start = following
        frame, stop = _directory(data, start, path)
        if frame is None:  # the last frame of a camera that was switched off
            return _required(frames, path), [f"the last frame of {path.name!r} is cut off"]
        frames.append(frame)
        start = stop
    doubts = [f"{skipped} bytes between the frames of {path.name!r} are skipped"]
    return _required(frames, path), doubts if skipped else []


def _required(frames: list[_Frame], path: Path) -> list[_Frame]:
    if not frames:
        raise SourceError(f"{path.name!r} holds no whole frame of FLIR: {_ADVICE}")
    return frames


def _directory(data: Any, start: int, path: Path) -> tuple[_Frame | None, int]:
    """The frame at a place, None if it is cut off; and the end of its records."""
    order = "<" if int.from_bytes(data[start + 20 : start + 24], "little") in _VERSIONS else ">"
    version, at, n = struct.unpack_from(f"{order}III", data, start + 20)
    stop = start + at + n * _ENTRY
    if version not in _VERSIONS or not 0 < n <= 256:
        raise SourceError(f"{path.name!r} is no FLIR file that is understood: {_ADVICE}")
    if stop > len(data):
        return None, stop
    places: dict[int, tuple[int, int]] = {}
    for i in range(n):
        kind, _, _, _, offset, length = struct.unpack_from(
            f"{order}HHIIII", data, start + at + i * _ENTRY
        )
        places.setdefault(kind, (start + offset, start + offset + length))
        stop = max(stop, start + offset + length)
    if not {_RAW, _CAMERA} <= places.keys():
        raise SourceError(
            f"{path.name!r} has a frame without raw counts or without the camera's settings: "
            f"{_ADVICE}"
        )
    if max(places[_RAW][1], places[_CAMERA][1]) > len(data):
        return None, stop
    return _Frame(*places[_RAW], places[_CAMERA][0]), stop


def _celsius(data: Any, frame: _Frame, path: Path) -> F32:
    """One frame in °C."""
    counts = _counts(data, frame, path)
    table: F32 = _temperatures(tuple(_settings(data, frame, path).items()))
    return np.asarray(table[counts], dtype=np.float32)


def _counts(data: Any, frame: _Frame, path: Path) -> NDArray[np.uint16]:
    """The raw counts of a frame: plain, PNG or JPEG-LS."""
    order = "<" if data[frame.raw : frame.raw + 2] == b"\x02\0" else ">"
    columns, lines = struct.unpack_from(f"{order}HH", data, frame.raw + 2)
    body = data[frame.raw + 32 : frame.raw_stop]
    if body[:4] == b"\x89PNG":
        from PIL import Image

        with Image.open(BytesIO(body)) as image:
            counts = np.asarray(image).astype(np.uint16).byteswap()  # FLIR swaps PNG's bytes
    elif body[:2] == b"\xff\xd8":
        counts = _jpeg_ls(body, path)
    elif len(body) >= 2 * columns * lines > 0:
        counts = np.frombuffer(body, f"{order}u2", columns * lines).reshape(lines, columns)
    else:
        raise SourceError(f"{path.name!r} holds counts in a form that is unknown: {_ADVICE}")
    if counts.shape != (lines, columns):
        raise SourceError(
            f"{path.name!r} says {lines} x {columns} pixels and holds {counts.shape}: {_ADVICE}"
        )
    return np.asarray(counts, dtype=np.uint16)


def _jpeg_ls(body: bytes, path: Path) -> NDArray[Any]:
    imagecodecs = needed("imagecodecs", ".csq files", "camera")
    try:
        return np.asarray(imagecodecs.jpegls_decode(body))
    except imagecodecs.JpeglsError as error:
        raise SourceError(f"cannot read {path.name!r} ({error}): {_ADVICE}") from None


def _settings(data: Any, frame: _Frame, path: Path) -> dict[str, float]:
    """Settings of the camera that decide the temperatures, as flyr reads them."""
    from flyr.thermal import parse_camera_info

    if data[frame.camera : frame.camera + 2] != b"\x02\0":
        raise SourceError(f"{path.name!r} has settings in big-endian order: {_ADVICE}")
    record = BytesIO(data[frame.camera : frame.camera + 1024])
    read = parse_camera_info(record, (0, _CAMERA, 0, 0))
    wanted = {k: v for k, v in read.items() if not k.startswith(("raw_value", "camera_"))}
    if not (wanted["planck_r1"] > 0 and wanted["planck_b"] > 0 and wanted["emissivity"] > 0):
        raise SourceError(f"{path.name!r} has no calibration (Planck's R1, B): {_ADVICE}")
    return wanted


@lru_cache(maxsize=8)
def _temperatures(settings: tuple[tuple[str, float], ...]) -> F32:
    """Temperature [°C] of each count, by flyr."""
    from flyr.thermogram import FlyrThermogram

    counts = np.arange(2**16).reshape(256, 256)
    with np.errstate(all="ignore"):  # counts below the camera's range have no temperature
        celsius = FlyrThermogram(counts, dict(settings)).celsius
    return np.asarray(celsius.ravel(), dtype=np.float32)


def _about(data: Any, frame: _Frame, path: Path) -> Mapping[str, float]:
    """Settings that are kept with the recording."""
    settings = _settings(data, frame, path)
    kept = {}
    for name, short in _NAMES.items():
        value = settings[name] - 273.15 if short.endswith("degC") else settings[name]
        kept[short] = float(f"{value:.6g}")
    return kept


def _clock(data: Any, frames: list[_Frame], path: Path) -> tuple[F64 | None, str]:
    """Time of each frame [s since 1970]; None and a doubt if the clock does not run."""
    if len(frames) == 1:
        return None, ""
    ticks = [struct.unpack_from("<IH", data, f.camera + _CLOCK) for f in frames]
    seconds = np.array([s + ms / 1e3 for s, ms in ticks])
    if seconds[0] > 0 and (np.diff(seconds) > 0).all():
        return seconds, ""
    rate_hz = struct.unpack_from("<H", data, frames[0].camera + _RATE)[0]
    if 0 < rate_hz <= 1000:
        doubt = f"the clock of {path.name!r} does not run: its rate of {rate_hz} Hz is taken"
        return np.arange(len(frames)) / rate_hz, doubt
    return None, f"the clock of {path.name!r} does not run"
