"""Features of a sound file on the clock of a recording."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask import delayed

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.errors import SourceError, UnknownNameError, extra, nearest
from fhemb_xr.kernels.encoding import sound as kernel
from fhemb_xr.kernels.encoding.sound import FEATURES, Sound
from fhemb_xr.typing import F64, Ints

_TOGETHER = 256
"""Frames whose windows are in memory at a time."""
_BLOCK = 4096
"""Frames of a task."""


def audio_features(
    path: str | os.PathLike[str],
    like: xr.DataArray | xr.Dataset,
    *,
    features: Iterable[str] = tuple(FEATURES),
    offset_s: float = 0.0,
    drift_ppm: float = 0.0,
    window_s: float = 0.2,
    novelty_s: float = 2.0,
) -> xr.DataArray:
    """Features of a sound on the clock of the frames, e.g. for :func:`fhemb_xr.encode`.

    Parameters
    ----------
    path
        Sound file: WAV, FLAC, OGG or MP3; channels are averaged.
    like
        Anything with an even clock in seconds: a recording, an embedding.
    features
        ``"level"``, A-weighted [dB of full scale, silence -120]; ``"onset"``, the mean rise of
        the level of 40 mel bands since the frame before [dB]; ``"flux"``, the rise of the
        magnitudes since the frame before, summed; ``"novelty"``, 1 - the cosine between the
        mean chroma after and before; ``"roughness"`` of the 20 strongest partials, in
        amplitudes of full scale.
    offset_s
        When the sound starts on the clock of ``like`` [s].
    drift_ppm
        By how many millionths the clock of the sound runs faster than that of ``like``.
    window_s
        Length of the window around a frame [s].
    novelty_s
        Time after and before a frame whose harmony is compared [s].

    Returns
    -------
    DataArray
        ``(time, stimulus)``, float64, lazy. NaN where a window leaves the sound.

    Raises
    ------
    SourceError
        There is no such file, or it is no sound.
    SchemaError
        If the clock is uneven, holds dates, or its rate is not known.
    UnknownNameError
        No such feature.
    ImportError
        ``soundfile`` is not installed: ``pip install 'fhemb_xr[sound]'``.

    Notes
    -----
    A window is of Hann's form, and a tone of amplitude 1 has a magnitude of 1. Bands and
    partials lie from 30 to 8000 Hz, the chroma from 130 to 4200 Hz. Memory per task: the sound
    of 4096 frames and 40 bytes per sample of 256 windows. Tasks: one for each 4096 frames.
    Computes at call: none; the head of the file is read, and its path stays in the graph.

    References
    ----------
    - Sethares (1993), J. Acoust. Soc. Am. 94, 1218-1228, doi:10.1121/1.408175.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, soundfile, fhemb_xr as fx
    >>> t = np.arange(16000) / 8000
    >>> ds = fx.testing.audience(n_subjects=1, seconds=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "tone.wav"
    ...     soundfile.write(file, 0.5 * np.sin(2 * np.pi * 1000 * t), 8000)
    ...     out = fx.audio_features(file, ds, features=["level"]).compute()
    >>> round(float(out[25, 0]))  # half of full scale: 6 dB less than a whole tone, of -3 dB
    -9
    """
    names = _names(features)
    clock = Clock.of(like).require_regular()
    seconds, frame_s = clock.seconds, 1 / clock.rate_hz
    rate, length, file = _head(path)
    window, novelty = (
        number_of_seconds(n, v) for n, v in (("window_s", window_s), ("novelty_s", novelty_s))
    )
    width = round(window * rate)
    if width < 8 or novelty < frame_s:
        raise ValueError(
            f"a window holds 8 samples of sound or more, and novelty_s a frame or more, found "
            f"window_s={window_s!r} and novelty_s={novelty_s!r}"
        )
    sound = Sound(rate, width, max(1, round(novelty * clock.rate_hz)))
    held = (_BLOCK + 2 * sound.context) * rate / clock.rate_hz
    budget.check(
        int(8 * held + 40 * (_TOGETHER + 2 * sound.context) * width),
        "the sound of 4096 frames and its windows",
        "take shorter windows, or a smaller novelty_s",
    )
    c = sound.context  # frames beyond both ends are looked at too
    beyond = frame_s * np.arange(1, c + 1)
    moments = np.concatenate([seconds[0] - beyond[::-1], seconds, seconds[-1] + beyond])
    per_second = rate * (1 + number_of_seconds("drift_ppm", drift_ppm) * 1e-6)
    late = number_of_seconds("offset_s", offset_s)
    starts = np.rint((moments - late) * per_second - width / 2).astype(np.int64)
    parts = []
    for a in range(0, clock.n, _BLOCK):
        b = min(a + _BLOCK, clock.n)
        task = delayed(_block, pure=True)(file, length, starts[a : b + 2 * c], sound, names)
        parts.append(da.from_delayed(task, (b - a, len(names)), np.float64))
    return _labelled(da.concatenate(parts), like, names, clock)


def _names(features: Iterable[str]) -> tuple[str, ...]:
    names = tuple([features] if isinstance(features, str) else features)
    for name in names:
        if name not in FEATURES:
            raise UnknownNameError(
                f"no feature {name!r} of a sound: there are {', '.join(FEATURES)}"
                f"{nearest(name, FEATURES)}"
            )
    if not names:
        raise ValueError(f"features names one or more of {', '.join(FEATURES)}, found none")
    return names


def _head(path: str | os.PathLike[str]) -> tuple[float, int, str]:
    """Rate [Hz] and samples of a sound file, and its path."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise SourceError(f"there is no sound file {file.name!r}: give its path")
    with extra("sound"):
        import soundfile
    try:
        head = soundfile.info(os.fspath(file))
    except soundfile.LibsndfileError as error:
        raise SourceError(
            f"{file.name!r} is no sound that can be read ({error.error_string}): write it as "
            "WAV or FLAC"
        ) from None
    if not head.frames:
        raise SourceError(f"{file.name!r} is a sound file without a sample: record it again")
    return float(head.samplerate), int(head.frames), os.fspath(file)


def _block(file: str, length: int, starts: Ints, sound: Sound, names: tuple[str, ...]) -> F64:
    """Features of one block of frames; only its stretch of the file is read."""
    import soundfile

    first = int(np.clip(starts[0], 0, length))
    last = int(np.clip(starts[-1] + sound.width, first, length))
    x = np.zeros(0)
    if last > first:
        x, _ = soundfile.read(file, start=first, stop=last, dtype="float64", always_2d=True)
        x = x.mean(axis=1)
    c, out = sound.context, []
    for a in range(c, len(starts) - c, _TOGETHER):
        b = min(a + _TOGETHER, len(starts) - c)
        out.append(kernel.features(x, first, starts[a - c : b + c], sound, names))
    return np.concatenate(out)


def _labelled(
    values: Any, like: xr.DataArray | xr.Dataset, names: tuple[str, ...], clock: Clock
) -> xr.DataArray:
    coords = {schema.TIME: like[schema.TIME].variable} if schema.TIME in like.coords else {}
    out = xr.DataArray(values, dims=(schema.TIME, "stimulus"), coords=coords, name="sound")
    out = out.assign_coords(
        stimulus=list(names),
        units=("stimulus", [FEATURES[name][1] for name in names]),
        long_name=("stimulus", [FEATURES[name][0] for name in names]),
    )
    return out.assign_attrs(long_name="features of the sound", **clock.attrs)
