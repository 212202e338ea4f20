"""Power over time and frequency: spectrograms and scalograms.

The arithmetic is that of scipy and PyWavelets; here it works for any chunks along time.
"""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import UnknownNameError, nearest
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.grid import Block, Ranges, blocks
from fhemb_xr.ops.blockwise.overlap import Plan, along_time, columns, floating
from fhemb_xr.ops.checks import listed

FREQUENCY = "frequency"
_TOGETHER = 64
"""Channels whose complex spectra are in memory at a time."""


def spectrogram(
    x: xr.DataArray, *, window_s: float = 20.0, step_s: float = 5.0, window: str = "hann"
) -> xr.DataArray:
    """Power spectral density in windows along time.

    Parameters
    ----------
    x
        Array with ``time``, in any chunks.
    window_s, step_s
        Length of a window, and distance to the next window [s]; rounded to samples.
    window
        Name of a window of scipy.

    Returns
    -------
    DataArray
        ``(…, window, frequency)`` [unit²/Hz], one-sided. The mean of each window is subtracted.
        ``window`` is its start [s from the first sample], as in :func:`lagged_correlation`.
        There are only whole windows; a window with a missing sample is NaN.

    Raises
    ------
    ValueError
        A window that is longer than the series, or a step shorter than a sample.
    BudgetError
        The windows of a block exceed the budget of one task.

    Notes
    -----
    ``scipy.signal.ShortTimeFFT``, block by block. Memory per task: samples read * (1 + window /
    step). Tasks: under six per chunk. Computes at call: none.

    References
    ----------
    - Welch (1967), IEEE Trans. Audio Electroacoust. 15, 70-73, doi:10.1109/TAU.1967.1161901.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(5000) / 25
    >>> x = xr.DataArray(np.sin(2 * np.pi * 1.2 * t), dims="time", attrs={"sampling_rate": 25})
    >>> power = fx.spectrogram(x.chunk(time=1000))
    >>> float(power.mean("window").idxmax("frequency").round(3))
    1.2
    """
    schema.require_dims(x, schema.TIME)
    clock = Clock.of(x).require_regular()
    rate, n = clock.rate_hz, clock.n
    length, step = clock.samples("window_s", window_s), clock.samples("step_s", step_s)
    if not step >= 1 or not 2 <= length <= n:
        raise ValueError(
            f"windows are of 2 samples to the {n / rate:g} s of the series, a sample or more "
            f"apart, found window_s={window_s!r} and step_s={step_s!r}"
        )
    window = _taper(window, length)
    dims = [schema.WINDOW if d == schema.TIME else d for d in x.dims]
    moments = [name for name, c in x.coords.items() if schema.TIME in c.dims]
    spectrum = xr.DataArray(
        _windowed(x, length, step, partial(_densities, rate=rate, window=window)),
        dims=(*dims, FREQUENCY),
        coords=x.drop_vars(moments).coords,
        name=x.name,
    ).assign_coords(
        {
            schema.WINDOW: (
                schema.WINDOW, np.arange(0, n - length + 1, step) / rate, {"units": "s"},
            ),
            FREQUENCY: (FREQUENCY, np.fft.rfftfreq(length, 1 / rate), {"units": "Hz"}),
        }
    )  # fmt: skip
    units = {"units": f"({x.attrs['units']})^2/Hz"} if "units" in x.attrs else {}
    spectrum.attrs = {
        **units, "long_name": "power spectral density", "window_s": length / rate
    }  # fmt: skip
    return spectrum.transpose(..., schema.WINDOW, FREQUENCY)


def scalogram(
    x: xr.DataArray, hz: Sequence[float] | None = None, *, wavelet: str = "cmor1.5-1.0"
) -> xr.DataArray:
    """Power by the continuous wavelet transform.

    Parameters
    ----------
    x
        Array with ``time``, in any chunks.
    hz
        Frequencies [Hz]; by default eight per octave, from 0.1 Hz to half the sampling rate.
    wavelet
        Name of a continuous wavelet of PyWavelets.

    Returns
    -------
    DataArray
        ``(…, time, frequency)``: ``|coefficient|²`` in the dtype and chunks of ``x``. Every run
        of samples is transformed on its own. Its ends are mirrored, because zeros would
        turn the mean into a step. A missing sample is missing at all frequencies.

    Raises
    ------
    UnknownNameError
        Unknown continuous wavelet; with the nearest names.
    ValueError
        Frequencies that are not above 0 and at most half the sampling rate.
    BudgetError
        A block and its neighbours at the lowest frequency exceed the budget of one task.

    Notes
    -----
    ``pywt.cwt(method="fft")`` on blocks; a block reads half of the longest wavelet on each
    side. Memory per sample read: ``2 * itemsize * frequencies + 60`` bytes. Tasks: under
    six per chunk. Computes at call: none.

    References
    ----------
    - Torrence & Compo (1998), Bull. Am. Meteorol. Soc. 79, 61-78,
      doi:10.1175/1520-0477(1998)079<0061:APGTWA>2.0.CO;2.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(2000) / 25
    >>> x = xr.DataArray(np.sin(2 * np.pi * t), dims="time", attrs={"sampling_rate": 25})
    >>> power = fx.scalogram(x.chunk(time=700), [0.25, 0.5, 1, 2])
    >>> float(power.mean("time").idxmax("frequency"))
    1.0
    """
    import pywt

    wavelet = _continuous(wavelet)
    rate = Clock.of(x).require_regular().rate_hz
    every = 2.0 ** np.arange(np.log2(0.1), np.log2(rate / 2), 1 / 8)
    wanted = np.array(every if hz is None else listed(hz))
    known = wanted.dtype.kind in "iuf" and wanted.ndim == 1 and wanted.size > 0
    if not known or not ((wanted > 0) & (wanted <= rate / 2)).all():
        raise ValueError(f"frequencies lie above 0 and up to {rate / 2:g} Hz, found {hz!r}")
    wanted = wanted.astype(np.float64)
    scales = pywt.frequency2scale(wavelet, wanted / rate)
    continuous = pywt.ContinuousWavelet(wavelet)
    width = continuous.upper_bound - continuous.lower_bound
    reaches = np.ceil(scales * width / 2).astype(int) + 2
    out = along_time(
        x,
        partial(_powers, scales=scales, reaches=reaches, wavelet=wavelet),
        int(reaches.max()),
        extra=(FREQUENCY, len(wanted)),
        each=2 * len(wanted) + 16,  # the result, and its block cut out of it
    )
    out = out.assign_coords({FREQUENCY: (FREQUENCY, wanted, {"units": "Hz"})})
    units = {"units": f"({x.attrs['units']})^2"} if "units" in x.attrs else {}
    return out.assign_attrs({**units, schema.SAMPLING_RATE: rate, "long_name": "power"})


def _continuous(wavelet: str) -> str:
    """The continuous wavelet of PyWavelets that is meant.

    Raises
    ------
    UnknownNameError
        No such wavelet, or parameters that it has not.
    """
    import pywt

    names = pywt.wavelist(kind="continuous")
    found = synonyms.wavelet(wavelet, names)
    if found is None:
        raise UnknownNameError(f"no continuous wavelet {wavelet!r}{nearest(wavelet, names)}")
    if found in synonyms.PARAMETRIC:
        found = {"cmor": "cmor1.5-1.0", "shan": "shan1.5-1.0", "fbsp": "fbsp2-1.0-1.0"}[found]
    try:
        pywt.ContinuousWavelet(found)
    except ValueError:
        raise UnknownNameError(
            f"no continuous wavelet {wavelet!r}: its parameters are numbers, as in "
            "'cmor1.5-1.0', 'shan1.5-1.0' and 'fbsp2-1.0-1.0'"
        ) from None
    return found


def _taper(window: Any, length: int) -> Any:
    """The name or the pair of a window, if scipy has it."""
    from scipy.signal import get_window

    window = window.strip().casefold() if isinstance(window, str) else window
    try:
        get_window(window, length)
    except (ValueError, TypeError):
        raise UnknownNameError(
            f"no window {window!r}: it is one of scipy.signal.get_window, such as 'hann', "
            "'hamming', 'blackman' or ('kaiser', 8.0)"
        ) from None
    return window


def _windowed(x: xr.DataArray, length: int, step: int, work: Any) -> Any:
    """A function of windows; a block has the windows that start in the same chunk or chunks."""
    axis, data = int(x.get_axis_num(schema.TIME)), floating(x.data)
    n = data.shape[axis]
    chunks = data.chunks[axis] if isinstance(data, da.Array) else (n,)
    edges = np.minimum([0, *accumulate(chunks)], n - length + 1)  # later no window starts
    starting = np.diff(edges)
    cut = blocks(starting[starting > 0].tolist(), step, partial(_span, length, step))
    counts = [(block.read_samples - length) // step + 1 for block in cut]
    work = partial(_block, work=partial(work, length=length, step=step))
    if not isinstance(data, da.Array):
        return work([data], None, axis, cut[0])
    plan, n_frequencies = Plan(data, axis, cut, work), length // 2 + 1
    spectra = 2 * max(counts) * n_frequencies  # the result, and its copy in the order of axes
    plan.require_fit(1, "spectra", "smaller chunks or a larger step", more=spectra)
    return plan.array((n_frequencies,), np.empty((0,) * (data.ndim + 1), data.dtype), counts)


def _span(length: int, step: int, a: int, b: int) -> Ranges:
    """Samples of the windows that start from ``a`` on and before ``b``."""
    return ((-(-a // step) * step, (b - 1) // step * step + length),)


def _block(parts: list[Any], _: Any, axis: int, block: Block, *, work: Any) -> Any:
    x, others = columns(parts, axis)
    out = work(x[: block.read_samples])
    shape = (len(out), *others, out.shape[-1])
    return np.ascontiguousarray(np.moveaxis(out.reshape(shape), 0, axis))


def _densities(x: Any, *, length: int, step: int, rate: float, window: str) -> Any:
    """Spectra of windows: ``(t, c) -> (window, c, frequency)``."""
    from scipy.signal import ShortTimeFFT, get_window

    taper = get_window(window, length)
    sft = ShortTimeFFT(taper, step, rate, fft_mode="onesided2X", scale_to="psd")
    n = (len(x) - length) // step + 1
    out = np.empty((n, x.shape[1], length // 2 + 1), x.dtype)
    for c in range(0, x.shape[1], _TOGETHER):
        part = sft.spectrogram(
            x[:, c : c + _TOGETHER], detr="constant", axis=0, p0=0, p1=n,
            k_offset=sft.m_num_mid,  # scipy counts from the middle of the first window
        )  # fmt: skip
        out[:, c : c + _TOGETHER] = np.moveaxis(part, -1, 0).swapaxes(1, 2)
    return out


def _powers(x: Any, *, scales: Any, reaches: Any, wavelet: str) -> Any:
    from fhemb_xr.kernels.time_frequency.gap_filling import each_run

    def work(run: Any) -> Any:
        import pywt

        out = np.empty((*run.shape, len(scales)), x.dtype)
        # one by one: all frequencies at once would all be complex in memory
        for i, (scale, reach) in enumerate(zip(scales, reaches, strict=True)):
            longer = np.pad(run, ((reach, reach), (0, 0)), mode="symmetric")
            found = pywt.cwt(longer, [scale], wavelet, method="fft", axis=0)[0][0]
            out[..., i] = (found.real**2 + found.imag**2)[reach:-reach]
        return out

    return each_run(x, work, extra=(len(scales),))
