"""The grid of a search: what may be asked of an embedding, written out, each thing once."""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.search.summaries import SUMMARIES
from fhemb_xr.ops import pipeline
from fhemb_xr.ops.checks import require_choice, require_count, require_interval, unknown_name
from fhemb_xr.ops.frames import feature_names
from fhemb_xr.ops.option_tables import BANDS, is_usual
from fhemb_xr.ops.time_frequency import band_spec

NAMES, SUMMARY, BANDPASS, EACH = "names", "summary", "bandpass_hz", "each"
IN_TIME = ("wavelet", *BANDS.usual)
OF_EMBED = {k: p.default for k, p in [*signature(pipeline.embed).parameters.items()][1:]}
KNOWN = (*OF_EMBED, BANDPASS, SUMMARY)
Grid = Mapping[str, Any]


@dataclass(frozen=True)
class Spec:
    """One embedding, and how a segment of it is summed up.

    Attributes
    ----------
    names
        Features.
    options
        Options of :func:`fhemb_xr.embed` that are given, beside the names.
    bandpass_hz
        Band of :func:`fhemb_xr.bandpass`, or None.
    summary
        One of the summaries of a segment.
    bands
        Numbers of the wavelet's bands, or none without a wavelet.
    """

    names: tuple[str, ...]
    options: dict[str, Any]
    bandpass_hz: tuple[float | None, float | None] | None
    summary: str
    bands: tuple[int, ...]

    @property
    def of_frames(self) -> dict[str, Any]:
        """Options that change the features of a frame."""
        return {k: v for k, v in self.options.items() if k not in IN_TIME}

    @property
    def in_time(self) -> dict[str, Any]:
        """Options of the filter in time."""
        found = {k: v for k, v in self.options.items() if k in IN_TIME}
        return found if self.bandpass_hz is None else {BANDPASS: list(self.bandpass_hz)}

    def given(self) -> dict[str, Any]:
        """All that was asked, as :func:`fhemb_xr.embed` and the search have it."""
        more = {} if self.bandpass_hz is None else {BANDPASS: list(self.bandpass_hz)}
        return {NAMES: list(self.names), **self.options, **more, SUMMARY: self.summary}

    def text(self) -> str:
        """The same as JSON."""
        return _text(self.given())

    def effect(self) -> str:
        """The same text for specs that give the same numbers."""
        level = self.options.get("level", BANDS.usual["level"])
        names = ("wavelet", "mode", "transform", "gaps", "max_gap_s")
        how = {
            k: v
            for k, v in self.options.items()
            if k in names and not is_usual(v, BANDS.usual.get(k))
        }
        # detail j of a deep transform is that of a shallow one: band b is D_(level + 1 - b)
        details = sorted(level + 1 - b for b in self.bands if b)
        rest = [level] if 0 in self.bands else []
        if len(self.bands) == level + 1:  # all bands sum to what was filtered
            how, details, rest = {}, [], []
        frames = {k: v for k, v in self.of_frames.items() if not is_usual(v, OF_EMBED[k])}
        given = [sorted(self.names), frames, how, details, rest, self.bandpass_hz, self.summary]
        return _text(given)


def expand(specs: Any, rate: Clock) -> list[Spec]:
    """All specs of a grid, or of several one after another.

    Raises
    ------
    UnknownNameError
        An option, a feature or a summary that is not there, with the nearest ones.
    ValueError
        Nothing to choose from, options without an effect, or two specs that give the same.
    """
    grids = [specs] if isinstance(specs, Mapping) else specs
    if not isinstance(grids, list | tuple) or not all(isinstance(g, Mapping) for g in grids):
        raise SchemaError(
            "specs are a mapping {'names': ['mean', 'std'], 'wavelet': 'db4', ...} or a list "
            f"of such, found {grids!r:.60}"
        )
    out = [_spec(one, rate) for grid in grids for one in _written_out(grid)]
    if len(out) < 2:
        raise ValueError(
            f"a search chooses among two specs or more, found {len(out)}: give lists of "
            "choices, {'names': ['mean', 'std']}, or use fx.classify"
        )
    seen: dict[str, int] = {}
    for number, spec in enumerate(out):
        first = seen.setdefault(spec.effect(), number)
        if first != number:
            raise ValueError(
                f"two specs give the same, {out[first].text()} and {spec.text()}: leave one "
                "out (the details of a shallow level are among those of a deep one)"
            )
    return out


def _written_out(grid: Grid) -> Iterable[dict[str, Any]]:
    """Every choice of each option with every choice of the others."""
    for name in grid:
        if name not in KNOWN:
            raise unknown_name("option of a spec", name, KNOWN)
    choices = {name: _choices(name, value) for name, value in grid.items()}
    if empty := [name for name, found in choices.items() if not found]:
        raise ValueError(f"nothing to choose from, found {empty[0]}=[]")
    for values in itertools.product(*choices.values()):
        one = dict(zip(choices, values, strict=True))
        if isinstance(one.get("bands"), str) and one["bands"] == EACH:
            level = require_count("level", one.get("level", BANDS.usual["level"]))
            yield from ({**one, "bands": b} for b in range(level + 1))
        else:
            yield one


def _choices(name: str, value: Any) -> list[Any]:
    """A list is one of choices; whatever else is one choice."""
    if isinstance(value, xr.Dataset | xr.DataArray):
        raise SchemaError(
            f"a spec is written in a few words, found an xarray.{type(value).__name__} as "
            f"{name!r}: give options, {{'pca': {{'per': 'pooled'}}}}"
        )
    if isinstance(value, np.ndarray):
        return list(value.tolist())
    return [*value] if isinstance(value, list | range) else [value]


def _spec(one: dict[str, Any], clock: Clock) -> Spec:
    names = tuple(feature_names.expand(one.pop(NAMES, pipeline.STATISTICS)))
    how = require_choice("summary", one.pop(SUMMARY, SUMMARIES[0]), SUMMARIES)
    band = one.pop(BANDPASS, None)
    if band is not None:
        band = require_interval(BANDPASS, band, open_ends=True)
    one = {k: _plain(v) for k, v in one.items() if v is not None or k == "threshold"}
    if band is not None and (wrong := [k for k in one if k in IN_TIME]):
        raise ValueError(
            f"a spec has a wavelet or a band-pass, found {BANDPASS}={band!r} and "
            f"{wrong[0]}={one[wrong[0]]!r}: give two grids, [{{...}}, {{...}}]"
        )
    pipeline.check_used(list(names), **{"wavelet": None, **one})
    bands: tuple[int, ...] = ()
    if (wavelet := one.get("wavelet")) is not None:
        one["wavelet"] = band_spec.discrete(wavelet)
        ways = {k: one.get(k) for k in ("hz", "period_s")}
        every = one.get("bands") is None and not any(v is not None for v in ways.values())
        level = one["level"] = require_count("level", one.get("level", BANDS.usual["level"]))
        bands = band_spec.choose(
            "all" if every else one.get("bands"), level, clock, ways["hz"], ways["period_s"]
        )
    return Spec(names, one, band, how, bands)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [*value] if isinstance(value, range | set) else value


def _text(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True)
    except TypeError:
        raise SchemaError(
            f"a spec is made of names, numbers and lists, found {value!r:.80}"
        ) from None


def labels(specs: list[Spec]) -> list[str]:
    """Names of the specs: the features, and whatever is not the same in all of them."""
    given = [spec.given() for spec in specs]
    keys = [k for k in KNOWN if k != NAMES]
    varying = [k for k in keys if len({_text(g.get(k)) for g in given}) > 1]
    out = []
    for spec, options in zip(specs, given, strict=True):
        names = spec.names
        short = "+".join(names) if len(names) < 4 else f"{names[0]}…{names[-1]}"
        more = [f"{k} {_shown(options[k])}" for k in varying if options.get(k) is not None]
        out.append(", ".join([short, *more]))
    doubled = {name for name in out if out.count(name) > 1}
    return [f"{name} ({i})" if name in doubled else name for i, name in enumerate(out)]


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "–".join("" if v is None else f"{v:g}" for v in value)
    return str(value)


def intervals(specs: list[Spec], clock: Clock) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Lowest and highest frequency of each spec [Hz]; those of the series without a filter."""
    rate = clock.rate_hz
    out = np.empty((len(specs), 2))
    for row, spec in zip(out, specs, strict=True):
        row[:] = 0, rate / 2
        if spec.bandpass_hz is not None:
            low, high = spec.bandpass_hz
            row[:] = low or 0, rate / 2 if high is None else high
        elif spec.bands:
            each = np.array(band_spec.frequencies(spec.options["level"], rate))
            chosen = each[[*spec.bands]]
            row[:] = chosen[:, 0].min(), chosen[:, 1].max()
    return out
