"""A film as a file: a face, its curve and the sound, by PyAV."""

import io
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.errors import SchemaError, SourceError, extra
from fhemb_xr.io.local.durable_files import open_new
from fhemb_xr.plot import figure_data, labels, signals, theme
from fhemb_xr.typing import F64

Pixels = NDArray[np.uint8]
SIZE_PX = (640, 720)
"""Width and height of a film with a face; without one half as high."""
AT_A_TIME = 250
"""Frames that are in memory at a time."""
CODECS = ("libx264", "mpeg4")


def make_video(
    x: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    subject: object = None,
    *,
    signal: xr.DataArray | None = None,
    seconds: tuple[float, float] | None = None,
    sound: str | os.PathLike[str] | None = None,
    offset_s: float = 0.0,
    faces: bool = False,
    title: str | None = None,
) -> Path:
    """Write a film, ``.mp4``: a face over a curve that a cursor follows, with the sound.

    Parameters
    ----------
    x
        Heatmap ``(…, time, y, x)`` [°C] or a recording; or series ``(…, [feature,] time)``,
        then there is no face in the film.
    path
        The file; one that exists is replaced. Only its owner may read it.
    subject
        Person who is shown; the first by default.
    signal
        Series ``(…, [feature,] time)`` on the clock of ``x``, drawn under the face, at most
        eight; by default the mean temperature of the face.
    seconds
        Half-open interval on the session's clock; everything by default.
    sound
        A file with sound; what belongs to the interval is heard.
    offset_s
        When the sound starts on the session's clock [s].
    faces
        Whether the film may show a face: personal data, which need that person's consent.
    title
        Text above; by default the subject.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ValueError
        A face without ``faces=True``, another ending than ``.mp4``, more than eight curves.
    SourceError
        The file of the sound cannot be read, or has none.
    ImportError
        PyAV is not installed: ``pip install 'fhemb_xr[streams]'``.

    Notes
    -----
    Memory: 250 frames, and the curves. Computes: one for the curves, one for the scale of
    temperature, and one for each 250 frames.

    Examples
    --------
    >>> import pathlib, tempfile, fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=1, seconds=1, shape=(20, 16))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = fx.make_video(ds, f"{folder}/face.mp4", faces=True)
    ...     path.name, path.stat().st_size > 1000
    ('face.mp4', True)
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"a film is written as .mp4, found {path.name!r}")
    with extra("streams"):
        import av
    theme.backends()  # refuses here where matplotlib is missing
    face, curves = _parts(x, subject, signal, seconds)
    if face is not None and not faces:
        raise ValueError(
            f"{path.name!r} would show a face: with that person's consent, say faces=True"
        )
    scene = _scene(face, curves, title)
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open_new(staged, "wb+") as file:
            with av.open(file, "w", format="mp4") as out:
                _written(out, scene, None if sound is None else Path(sound), offset_s)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
    return path


def _parts(
    x: xr.DataArray | xr.Dataset, subject: object, signal: Any, seconds: Any
) -> tuple[xr.DataArray | None, xr.DataArray]:
    """The face ``(time, y, x)``, if there is one, and the curves ``(feature, time)``."""
    from fhemb_xr.ops.frames.selection import select

    array = figure_data.variable(x, (schema.TIME,)) if isinstance(x, xr.DataArray) else None
    if array is None:
        from fhemb_xr.ops.pipeline import heatmap

        array = heatmap(x).assign_attrs(x.attrs)
    if seconds is not None:
        array = select(array, seconds=seconds)
        signal = None if signal is None else select(signal, seconds=seconds)
    array = figure_data.one(figure_data.one(array, schema.SUBJECT, subject), schema.SESSION)
    face = None
    if schema.Y in array.dims:
        face = figure_data.require(array, "a film", schema.TIME, schema.Y, schema.X)
        Clock.of(face).require_regular()
    if signal is None:
        signal = array if face is None else _mean(face)
    else:
        held = signal.coords.get(schema.SUBJECT)
        asked = subject if held is not None and held.ndim else None
        signal = figure_data.one(figure_data.one(signal, schema.SUBJECT, asked), schema.SESSION)
    if schema.FEATURE not in signal.dims:
        named = figure_data.only_feature(signal) or "curve"
        signal = signal.drop_vars(schema.FEATURE, errors="ignore")
        signal = signal.expand_dims({schema.FEATURE: [named]})
    curves = figure_data.require(signal, "curves", schema.FEATURE, schema.TIME)
    if face is not None:
        _require_one_time(face, curves)
    if curves.sizes[schema.FEATURE] > len(theme.CYCLE):
        raise ValueError(
            f"at most {len(theme.CYCLE)} curves can be told apart, found "
            f"{curves.sizes[schema.FEATURE]}: choose with .sel(feature=[...])"
        )
    return face, figure_data.loaded(curves, "curves")


def _require_one_time(face: xr.DataArray, curves: xr.DataArray) -> None:
    """Check that every frame of the face has its sample of the curves.

    Raises
    ------
    SchemaError
        Another number of samples, or other seconds.
    """
    seconds, wanted = signals.seconds_of(curves), signals.seconds_of(face)
    step = 1 / Clock.of(face).rate_hz
    if seconds.size == wanted.size and np.all(np.abs(seconds - wanted) < step / 2):
        return
    of = [f"{s.size} frames from {s[0]:.2f} to {s[-1]:.2f} s" for s in (seconds, wanted)]
    raise SchemaError(
        f"the curves are of {of[0]}, the face of {of[1]}: select the same time of both"
    )


def _mean(face: xr.DataArray) -> xr.DataArray:
    from fhemb_xr.ops.frames.frame_features import features

    out = features(face, ["mean"], threshold=face.attrs.get(schema.THRESHOLD))
    return out.assign_attrs(units="degC", **Clock.of(face).attrs)


@dataclass(frozen=True)
class Scene:
    """What every frame shares: the canvas, where the face lies in it, where the cursor runs."""

    face: xr.DataArray | None
    clim: tuple[float, float]
    canvas: Pixels
    face_box: tuple[int, int, int, int]
    """Rows and columns of the face: first row, last row, first column, last column."""
    curve_box: tuple[int, int, int, int]
    seconds: F64
    rate_hz: float


def _scene(face: xr.DataArray | None, curves: xr.DataArray, title: str | None) -> Scene:
    """The canvas, drawn once."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clock = Clock.of(curves if face is None else face).require_regular()
    seconds = signals.seconds_of(curves)
    width, height = SIZE_PX if face is not None else (SIZE_PX[0], SIZE_PX[1] // 2)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    agg: Any = FigureCanvasAgg(figure)
    shown = labels.name_of(curves if face is None else face)
    figure.suptitle(labels.capital_first(shown) if title is None else title, fontsize=11)
    clim = (0.0, 1.0)
    places = (0.12, 0.12, 0.84, 0.76 if face is None else 0.22)
    below = figure.add_axes(places)
    for values, name, colour in zip(
        curves.values, figure_data.ids(curves, schema.FEATURE), theme.CYCLE, strict=False
    ):
        below.plot(seconds, values, color=colour, linewidth=1, label=name)
    below.set_xlim(seconds[0], seconds[-1] if seconds.size > 1 else seconds[0] + 1)
    below.set_xlabel("Time [s]")
    below.set_ylabel("Temperature [°C]" if curves.attrs.get("units") == "degC" else "")
    if curves.sizes[schema.FEATURE] > 1 or face is None:
        below.legend(loc="upper right", fontsize=8, frameon=False)
    above = None
    if face is not None:
        both = xr.Dataset({"low": face.min(), "high": face.max()}).compute()
        clim = figure_data.limits(np.array([float(both["low"]), float(both["high"])]))
        above = figure.add_axes((0.12, 0.42, 0.7, 0.5))
        blank = np.full([face.sizes[d] for d in (schema.Y, schema.X)], np.nan)
        image = above.imshow(blank, cmap=theme.TEMPERATURE, vmin=clim[0], vmax=clim[1])
        above.set_axis_off()
        bar = figure.add_axes((0.85, 0.42, 0.03, 0.5))
        figure.colorbar(image, cax=bar, label="Temperature [°C]")
    agg.draw()
    canvas = np.asarray(agg.buffer_rgba())[..., :3].copy()
    boxes = [(0, 0, 0, 0) if a is None else _box(a, height) for a in (above, below)]
    return Scene(face, clim, canvas, boxes[0], boxes[1], seconds, clock.rate_hz)


def _box(axes: Any, height: int) -> tuple[int, int, int, int]:
    """First and last row and column of axes on the canvas."""
    extent = axes.get_window_extent()
    rows = round(height - extent.y1), round(height - extent.y0)
    return (*rows, round(extent.x0), round(extent.x1))


def _frames(scene: Scene) -> Iterator[Pixels]:
    """Every frame of the film, ``(height, width, 3)``."""
    from matplotlib import colormaps

    top, bottom, left, right = scene.curve_box
    span = scene.seconds[-1] - scene.seconds[0]
    share = (scene.seconds - scene.seconds[0]) / (span if span > 0 else 1)
    columns = np.rint(left + share * (right - 1 - left)).astype(int)
    grey = np.array([int(theme.MISSING[k : k + 2], 16) for k in (1, 3, 5)], np.uint8)
    table = (255 * colormaps[theme.TEMPERATURE](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)
    low, high = scene.clim
    for first in range(0, scene.seconds.size, AT_A_TIME):
        part = slice(first, first + AT_A_TIME)
        pixels = None
        if scene.face is not None:
            pixels = scene.face.isel({schema.TIME: part}).compute().values.astype(np.float64)
        for k in range(first, min(first + AT_A_TIME, scene.seconds.size)):
            out = scene.canvas.copy()
            out[top:bottom, columns[k]] = (0, 0, 0)
            if pixels is not None:
                frame = pixels[k - first]
                level = np.nan_to_num((frame - low) / (high - low) * 255).clip(0, 255)
                colours = table[level.astype(np.uint8)]
                colours[~np.isfinite(frame)] = grey
                y0, y1, x0, x1 = scene.face_box
                rows = np.arange(y1 - y0) * frame.shape[0] // (y1 - y0)
                across = np.arange(x1 - x0) * frame.shape[1] // (x1 - x0)
                out[y0:y1, x0:x1] = colours[rows[:, None], across]
            yield out


def _written(out: Any, scene: Scene, sound: Path | None, offset_s: float) -> None:
    """Encode the frames, and the sound that belongs to them."""
    import av

    rate = Fraction(scene.rate_hz).limit_denominator(1000)
    codec = next(c for c in CODECS if c in av.codecs_available)
    video = out.add_stream(codec, rate=rate)
    video.height, video.width = scene.canvas.shape[:2]
    video.pix_fmt = "yuv420p"
    heard = None if sound is None else _heard(sound, scene, offset_s)
    audio = None if heard is None else out.add_stream("aac", rate=heard[1], layout="stereo")
    for pixels in _frames(scene):
        for packet in video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
            out.mux(packet)
    for packet in video.encode(None):
        out.mux(packet)
    if heard is not None:
        for packet in _encoded(audio, *heard):
            out.mux(packet)


def _heard(sound: Path, scene: Scene, offset_s: float) -> tuple[NDArray[np.float32], int]:
    """The samples ``(2, n)`` that belong to the film, silence where there are none."""
    import av

    late = number_of_seconds("offset_s", offset_s)
    start = float(scene.seconds[0]) - late
    stop = start + scene.seconds.size / scene.rate_hz
    try:
        with av.open(io.BytesIO(sound.read_bytes()), "r") as file:
            if not file.streams.audio:
                raise SourceError(f"{sound.name!r} has no sound")
            rate = int(file.streams.audio[0].rate)
            out = np.zeros((2, max(1, round((stop - start) * rate))), np.float32)
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
            place = round(-start * rate)
            for frame in file.decode(audio=0):
                for piece in resampler.resample(frame):
                    place = _laid(out, piece.to_ndarray(), place)
            for piece in resampler.resample(None):
                place = _laid(out, piece.to_ndarray(), place)
    except (OSError, av.error.FFmpegError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"cannot read the sound {sound.name!r}: {error}") from None
    return out, rate


def _laid(out: NDArray[np.float32], piece: NDArray[Any], place: int) -> int:
    """Lay a piece at its place, as far as it lies in the film; the next place."""
    n = int(piece.shape[1])
    a, b = max(place, 0), min(place + n, out.shape[1])
    if a < b:
        out[:, a:b] = piece[:, a - place : b - place]
    return place + n


def _encoded(stream: Any, samples: NDArray[np.float32], rate: int) -> Iterator[Any]:
    import av

    for start in range(0, samples.shape[1], 1024):
        piece = np.ascontiguousarray(samples[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)
