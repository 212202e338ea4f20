"""Wavelet bands of an embedding: the original's ``Wdecomposition``."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.legacy import families, logs
from fhemb_xr.legacy.series import Series, without_bins
from fhemb_xr.legacy.subjects import BySubject, Subjects, counted
from fhemb_xr.ops.time_frequency.wavelet_bands import wavelet_bands, wavelet_filter
from fhemb_xr.typing import F64

_log = logs.of("wdecomp")


class Wdecomposition:
    """Bands 0 (the slowest) to ``level`` of an embedding, each at full length.

    Parameters
    ----------
    decomposed_embedding
        The embedding.
    fband_embedding
        An embedding for each band; by default they are made when they are asked for.
    features
        Names of the features that are decomposed; all by default.
    wavelet, level
        A wavelet of PyWavelets, and the depth.
    """

    def __init__(
        self,
        decomposed_embedding: Any,
        fband_embedding: Mapping[int, Any] | None = None,
        features: Any = None,
        wavelet: str = "db2",
        level: int = 8,
    ) -> None:
        self.decomposed_embedding = (
            decomposed_embedding
            if features is None
            else decomposed_embedding.project(features=features)
        )
        self.wavelet, self.level = wavelet, level
        self._given = None if fband_embedding is None else dict(fband_embedding)

    @property
    def subjects(self) -> list[str]:
        """Labels of the people."""
        found: list[str] = self.decomposed_embedding.subjects
        return found

    @property
    def features(self) -> list[str]:
        """Names of the features that are decomposed."""
        found: list[str] = self.decomposed_embedding.features
        return found

    @property
    def sr(self) -> float:
        """Frames in a second."""
        return float(self.decomposed_embedding.sr)

    @functools.cached_property
    def _bands(self) -> xr.DataArray:
        x = self.decomposed_embedding.data.astype(np.float64)  # as the original's series are
        return wavelet_bands(x, self.wavelet, self.level)

    @property
    def _hz(self) -> list[tuple[float, float]]:
        ends = (self._bands["frequency_low"].values, self._bands["frequency_high"].values)
        return [(float(a), float(b)) for a, b in zip(*ends, strict=True)]

    @property
    def frequencies(self) -> list[tuple[float, float]]:
        """Interval of each band [Hz], to two decimals."""
        return [(round(a, 2), round(b, 2)) for a, b in self._hz]

    @property
    def periods(self) -> list[tuple[Any, Any]]:
        """Interval of each band [s], to two decimals; the endless end is ``"inf"``."""
        return [
            (round(1 / b, 2), round(1 / a, 2) if a else families.ENDLESS) for a, b in self._hz
        ]

    @functools.cached_property
    def fband_embedding(self) -> dict[int, Any]:
        """An embedding for each band; all bands of a person are computed together."""
        if self._given is not None:
            return self._given
        emb, bands = self.decomposed_embedding, self._bands
        n = len(emb.features)
        bare = without_bins(bands)
        parts = [bare.isel({schema.BAND: b}, drop=True) for b in range(self.level + 1)]
        whole = xr.concat(parts, schema.FEATURE).assign_attrs(bands.attrs)
        series = Series(whole.assign_coords({schema.FEATURE: np.arange(n * len(parts))}))
        return {
            b: emb.from_data(
                series,
                {name: b * n + i for i, name in enumerate(emb.features)},
                like=emb,
                bands=families.of_band(bands.attrs, b, hz),
            )
            for b, hz in enumerate(self._hz)
        }

    @property
    def subsignals(self) -> BySubject[dict[int, F64]]:
        """Matrices ``(features, time)`` by person and band."""
        people = self.decomposed_embedding.data.indexes[schema.SUBJECT].tolist()
        return BySubject(
            people, lambda i: {b: e.features_tint[i] for b, e in self.fband_embedding.items()}
        )

    def create_wreconstruction(self, subjs: Subjects = "all", fbands: Any = "all") -> Any:
        """The sum of some bands as an embedding.

        ``"all"`` is the series itself. ``[]`` is the series unfiltered: of the features that
        were decomposed, not of all as in the original.
        """
        part = self.decomposed_embedding.project(subjs)
        _log.debug("reconstruct %s of %s", fbands, counted(part.subjects))
        bands = "all" if fbands is None else fbands
        if not isinstance(bands, str | int) and not len(bands):
            return part
        x = part.data.astype(np.float64)
        out = wavelet_filter(x, bands, self.wavelet, self.level)
        return part.from_data(out, like=part)

    def __repr__(self) -> str:
        of = f"{families.shown(self.features)}, {counted(self.subjects)}"
        return f"Wdecomposition({self.wavelet}, level {self.level}, {of})"
