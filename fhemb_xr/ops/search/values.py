"""What every spec of a search gives for every person and segment, in one lazy graph."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.search import summaries as kernel
from fhemb_xr.ops import pipeline
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.classification.segments import PEOPLE, SAMPLE, prepare
from fhemb_xr.ops.search import specs as grids
from fhemb_xr.ops.search.specs import Spec
from fhemb_xr.ops.time_frequency.butterworth import bandpass
from fhemb_xr.ops.time_frequency.wavelet_bands import wavelet_filter

SPEC, COLUMN, VALUE = "spec", "column", "value"
PARTS = ("value", "sample_energy", "sample_mobility_hz")


def spec_values(
    ds: xr.Dataset | xr.DataArray,
    specs: Any,
    segments: Any,
    *,
    dim: str = "subject",
) -> xr.Dataset:
    """One number for each spec of an embedding, person and segment; all specs in one graph.

    Parameters
    ----------
    ds
        A recording, or its heatmap ``(…, time, y, x)``.
    specs
        A grid: for each option of :func:`embed` one choice or a list of choices, all with all:
        ``{"names": ["std", "p80"], "wavelet": "db4", "level": 5, "bands": "each"}``. An entry
        of ``names`` is a feature, or a list of features that belong together. ``"bands":
        "each"`` is one spec for each band. Two more options: ``"bandpass_hz"``, a band of
        :func:`bandpass` in place of a wavelet; and ``"summary"`` of a segment,
        ``"log_variance"`` (the default: how strong the band is), ``"mean"`` or
        ``"mobility_hz"`` (root mean square frequency). Several grids: a list.
    segments
        Classes of segments, as :func:`prepare` takes them.
    dim
        The people.

    Returns
    -------
    Dataset
        Lazy: ``value(sample, column)``, a column for each feature of each spec, as
        ``feature(column)`` and ``spec_of(column)`` say; ``sample_energy``, the share of the
        feature's variance in the segment that the filter leaves; ``sample_mobility_hz``, its
        root mean square frequency [Hz]. Coordinates of ``spec``: ``names``, ``options`` (JSON),
        ``frequency_low``, ``frequency_high`` [Hz]; of ``sample``: those of :func:`prepare`.
        NaN where a frame of the segment is missing.

    Raises
    ------
    UnknownNameError
        An unknown option, feature, summary or wavelet, with the nearest ones.
    ValueError
        Fewer than two specs, specs that give the same, options without an effect.
    EmptySelectionError
        A segment beyond the series.

    Notes
    -----
    Save it with ``resume=True``, and what is finished is kept; :func:`search` takes what
    :func:`open_result` gives. Passes over the pixels: one, however many specs, and those of
    :func:`embed` for eigenfaces and histogram edges. Memory: that of :func:`features` and
    :func:`wavelet_filter`. Tasks: one per chunk, those of the filter for each band, and two per
    chunk that a segment touches. Computes at call: none.

    References
    ----------
    - Hjorth (1970), Electroencephalogr. Clin. Neurophysiol. 29, 306-310,
      doi:10.1016/0013-4694(70)90143-4 (mobility).

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=4, seconds=8)
    >>> grid = {"names": ["mean", "std"], "wavelet": "db2", "level": 3, "bands": "each"}
    >>> values = fx.spec_values(ds, grid, {"calm": [(0, 2), (4, 6)], "storm": [(2, 4), (6, 8)]})
    >>> dict(values.sizes), values.spec.values[1].item()
    ({'sample': 16, 'column': 8, 'spec': 8}, 'mean, bands 1')
    """
    heat = pipeline.heatmap(ds)
    schema.require_dims(heat, dim, schema.TIME)
    clock = Clock.of(heat).require_regular()
    chosen = grids.expand(specs, clock)
    parts, owners, features = list[xr.DataArray](), list[int](), list[str]()
    for members in _alike(chosen, lambda spec: spec.of_frames):
        series = _series(ds, [chosen[i] for i in members])
        groups = _alike(chosen, lambda spec: spec.in_time, members)
        some = [[chosen[i] for i in group] for group in groups]
        parts.append(_columns(series, some, segments, dim, clock.rate_hz))
        numbers = [i for group in groups for i in group]
        owners += [i for i in numbers for _ in chosen[i].names]
        features += [name for i in numbers for name in chosen[i].names]
    bare = [part.drop_vars(list(part.coords)) for part in parts]
    table = xr.concat(bare, COLUMN).assign_coords(parts[0].coords)
    each = table.sizes[SAMPLE] // heat.sizes[dim]
    table = rechunked(table, {SAMPLE: each})
    out = xr.Dataset({name: table.isel(part=i) for i, name in enumerate(PARTS)})
    return (
        _described(out, chosen, clock)
        .assign_coords(
            spec_of=(COLUMN, np.array(owners)), feature=(COLUMN, np.array(features, str))
        )
        .assign_attrs({PEOPLE: dim})
    )


def _alike(
    chosen: list[Spec], what: Callable[[Spec], Any], among: Iterable[int] | None = None
) -> list[list[int]]:
    """Numbers of the specs that have the same ``what``, group by group."""
    groups: dict[str, list[int]] = {}
    for i in range(len(chosen)) if among is None else among:
        groups.setdefault(json.dumps(what(chosen[i]), sort_keys=True), []).append(i)
    return list(groups.values())


def _series(ds: Any, some: list[Spec]) -> xr.DataArray:
    """All features that some specs need, of every frame."""
    names = list(dict.fromkeys(name for spec in some for name in spec.names))
    return pipeline.embed(ds, names, **some[0].of_frames)


def _columns(
    series: xr.DataArray, groups: list[list[Spec]], segments: Any, dim: str, rate_hz: float
) -> xr.DataArray:
    """``(sample, column, part)`` of specs of the same frames; each group has one filter."""
    place = {name: i for i, name in enumerate(series[schema.FEATURE].values.tolist())}
    each, wanted = [series], list[tuple[int, int, str]]()
    for some in groups:
        names = list(dict.fromkeys(name for spec in some for name in spec.names))
        first = sum(x.sizes[schema.FEATURE] for x in each)
        filtered = _filtered(series.sel({schema.FEATURE: names}), some[0])
        if some[0].in_time:
            each.append(filtered)
        for spec in some:
            wanted += [
                (first + names.index(n) if spec.in_time else place[n], place[n], spec.summary)
                for n in spec.names
            ]
    bare = [x.drop_vars(schema.FEATURE).variable for x in each]
    # filters side by side, so that a segment is cut out of all at once
    beside = (
        series.isel({schema.FEATURE: 0}, drop=True)
        .expand_dims({schema.FEATURE: sum(x.sizes[schema.FEATURE] for x in each)}, -1)
        .copy(data=xr.Variable.concat(bare, schema.FEATURE).transpose(*series.dims).data)
    )
    cut = prepare(rechunked(beside, {schema.FEATURE: -1}), segments, dim=dim)
    out = apply_kernel(
        kernel.columns,
        rechunked(cut, {schema.FEATURE: -1, schema.TIME: -1}),
        core=[[schema.FEATURE, schema.TIME]],
        new={COLUMN: len(wanted), "part": len(PARTS)},
        wanted=tuple(wanted),
        rate_hz=rate_hz,
    )
    return out.assign_attrs({PEOPLE: cut.attrs[PEOPLE]})


def _filtered(x: xr.DataArray, spec: Spec) -> xr.DataArray:
    """What :func:`fhemb_xr.embed` does after the features, or a band-pass."""
    if spec.bandpass_hz is not None:
        return bandpass(x, spec.bandpass_hz)
    if not spec.bands:
        return x
    left = {k: v for k, v in spec.in_time.items() if k not in ("bands", "hz", "period_s")}
    return wavelet_filter(x, spec.bands, **left)


def _described(out: xr.Dataset, chosen: list[Spec], clock: Clock) -> xr.Dataset:
    """Names, options and frequencies of the specs; units."""
    low, high = grids.intervals(chosen, clock).T
    texts = np.array([spec.text() for spec in chosen], str)
    names = np.array([" ".join(spec.names) for spec in chosen], str)
    for name, (long_name, units) in _MEANING.items():
        out[name].attrs = {"long_name": long_name, "units": units}
    out.attrs = {"long_name": "values of specs of an embedding", **clock.attrs}
    return out.assign_coords({
        SPEC: np.array(grids.labels(chosen), str),
        "names": (SPEC, names),
        "options": (SPEC, texts),
        "frequency_low": (SPEC, low, {"units": "Hz"}),
        "frequency_high": (SPEC, high, {"units": "Hz"}),
    })  # fmt: skip


_MEANING = {
    "value": ("summary of a segment", "1"),
    "sample_energy": ("share of the feature's variance that the filter leaves", "1"),
    "sample_mobility_hz": ("root mean square frequency", "Hz"),
}
