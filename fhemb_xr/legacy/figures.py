"""Figures of one embedding, by the library's own plots; each is a method of ``Embedding``."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.legacy import logs
from fhemb_xr.legacy.subjects import Subjects, counted, label, people

_log = logs.of("embedding")


def rate(x: xr.DataArray | xr.Dataset) -> float:
    """Frames in a second; a whole number where it is one."""
    found = Clock.of(x).rate_hz
    return int(found) if found == round(found) else found


def refuse_cells(heatmap: Any, fvector: Any) -> None:
    """Refuse two arguments of which no public page shows what they mean.

    Raises
    ------
    NotImplementedError
        With what is there instead.
    """
    if heatmap is not None or fvector is not None:
        raise NotImplementedError(
            "heatmap= and fvector= are shown on no public page: cells of the coarse grid are "
            "features of fx.embed, ['g0_0', 'g0_1'], and fx.project(heat, basis) takes vectors"
        )


def refuse_bands(fbands: Any) -> None:
    """Refuse bands without a wavelet.

    Raises
    ------
    ValueError
        With the argument that is missing.
    """
    if fbands is not None:
        raise ValueError(
            f"asked for fbands={fbands!r} without a wavelet: add wfactory('db4', 8)"
        )


def plot_signal(
    self: Any,
    subjs: Subjects = "all",
    feature: Any = None,
    title: str = "",
    label: str = "",
    linestyle: str = "-",
    show: bool = True,
) -> Any:
    """Draw one feature over time, a row per person, with the band in the title."""
    from fhemb_xr import plot

    if feature is None and len(self.features) > 1:
        raise SchemaError(f"which feature to draw? There are {self.features}: add feature=...")
    x = self.chosen(subjs, 0 if feature is None else feature)
    _log.debug("signal of %s, %s", counted(x[schema.SUBJECT]), feature)
    return plot.signal(x.transpose(schema.SUBJECT, schema.TIME), title=title or None)


def visualize_eigenfaces(
    self: Any,
    subjs: Subjects = None,
    components: Sequence[int] | int | None = None,
    cmap: str = "hot",
    **kwargs: Any,
) -> dict[str, list[Any]]:
    """Figures by person, one for each component; colours are the library's own."""
    from fhemb_xr import plot

    if self.basis is None:
        raise SchemaError(
            "only eigenface scores have eigenfaces: create_pca_embedding(factory)"
        )
    basis = self.basis
    ids = people("all" if subjs is None else subjs, basis.indexes[schema.SUBJECT])
    numbers = basis.indexes[schema.COMPONENT].tolist() if components is None else components
    chosen = [numbers] if isinstance(numbers, int) else list(numbers)
    loaded = basis.sel({schema.SUBJECT: ids}).compute()
    return {label(i): [plot.eigenfaces(loaded, i, components=[n]) for n in chosen] for i in ids}


def plot_temperaturebars(
    self: Any,
    subjs: Subjects = "all",
    frms: Sequence[int] | int | None = None,
    sharex: bool = True,
    sharey: bool = True,
    centralized: bool = False,
) -> Any:
    """Bin heights of some frames as bars, a row per person and a column per frame."""
    from fhemb_xr import plot

    x = self.chosen(subjs)
    return plot.histogram(x, frames=_frames(x, frms), centred=centralized)


def plot_temperaturehist(
    self: Any,
    subjs: Subjects = "all",
    frms: Sequence[int] | int | None = None,
    sharex: bool = True,
    sharey: bool = True,
) -> Any:
    """Histograms of all values of some frames, a row per person and a column per frame."""
    from fhemb_xr import plot

    x = self.chosen(subjs)
    return plot.values(x, frames=_frames(x, frms))


def plot_intvlhist(
    self: Any,
    subjs: Subjects = "all",
    intvl: tuple[int, int] = (0, 10),
    sharex: bool = True,
    sharey: bool = True,
    feature: Any = None,
) -> Any:
    """Histogram of a feature's values in an interval of frames, a row per person."""
    from fhemb_xr import plot

    if feature is None and len(self.features) > 1:
        raise SchemaError(f"which feature to draw? There are {self.features}: add feature=...")
    x = self.chosen(subjs, 0 if feature is None else feature)
    first = _frames(x, 0)[0]
    return plot.values(x, interval=(first + intvl[0], first + intvl[1]))


def _frames(x: xr.DataArray, frms: Sequence[int] | int | None) -> list[int]:
    """Frame numbers on the session's clock of frames that are counted from the first one."""
    wanted = [0] if frms is None else [frms] if isinstance(frms, int) else list(frms)
    first = int(x[schema.FRAME][0]) if schema.FRAME in x.coords else 0
    return [first + int(k) for k in wanted]
