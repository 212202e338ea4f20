"""The whole way in one lazy call: pixels to features to eigenfaces to bands."""

import json
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops import background
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.ops.frames import feature_names, frame_features
from fhemb_xr.ops.option_tables import BANDS, FEATURES, OptionTable
from fhemb_xr.ops.pca import eigenfaces
from fhemb_xr.ops.time_frequency import wavelet_bands as banding

SPEC_VERSION = 1
STATISTICS = (
    "max", "min", "mean", "variance", "std", "median", "skew", "kurtosis", "entropy",
)  # fmt: skip
Names = str | Sequence[str | tuple[str, str]]
_OF_PCA = tuple(signature(eigenfaces.pca).parameters)[1:]


def embed(
    ds: xr.Dataset | xr.DataArray,
    names: Names = STATISTICS,
    *,
    threshold: float | str | None = "recording",
    pca: xr.Dataset | Mapping[str, Any] | None = None,
    wavelet: str | None = None,
    level: int = 8,
    bands: str | int | Sequence[int] | None = None,
    mode: str = "symmetric",
    transform: str = "dwt",
    hz: tuple[float, float] | None = None,
    period_s: tuple[float, float] | None = None,
    gaps: str = "split",
    max_gap_s: float = 1.0,
    bins: str | int | Sequence[float] = "sturges",
    density: bool = True,
    entropy_bins: int = 30,
    entropy_range: Sequence[float] | None = None,
    entropy_correction: str = "none",
) -> xr.DataArray:
    """Features of every face in every frame, as one lazy array.

    Pixels below ``threshold`` are masked, then features are computed for each frame. Features
    ``pc`` are scores on eigenfaces of these frames, or of the basis ``pca``. With ``wavelet``,
    each feature is then filtered in time to ``bands``.

    Parameters
    ----------
    ds
        A recording, or its heatmap ``(…, time, y, x)`` [°C].
    names
        Features in the order of the result, see :func:`features`. A pair of one numbered family
        is an inclusive interval, in a list or alone: ``("p5", "p95")``; a list of two names is
        two features.
    threshold
        Temperature below which a pixel is background [°C]; ``"recording"``: the threshold of
        the recording, if it has one; ``None``: no masking.
    pca
        Basis from :func:`pca`, or options for it (``{"scaler": "standard"}``).
    wavelet, level, bands, mode, transform, hz, period_s, gaps, max_gap_s
        See :func:`wavelet_filter`. ``wavelet=None``: unfiltered features. Without ``bands``,
        ``hz`` and ``period_s``: all bands.
    bins, density, entropy_bins, entropy_range, entropy_correction
        See :func:`features`.

    Returns
    -------
    DataArray
        ``embedding(…, time, feature)``, lazy where the heatmap is, with its specification as
        JSON in ``attrs["fhemb_spec"]``: :func:`replay` makes the same array from it.

    Raises
    ------
    UnknownNameError
        Unknown feature or wavelet; with the nearest names.
    ValueError
        An option without effect: of bands without ``wavelet``, of bins without ``bh``, of
        entropy without ``entropy``, ``pca`` without ``pc``.

    Notes
    -----
    Memory: that of :func:`features` for each running task. Bands are filtered on features, not
    on pixels. Passes over the pixels: one, plus one for eigenfaces, plus one for histogram
    edges. Computes at call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=8)
    >>> emb = ds.fhemb.embed(["skew", ("p5", "p95")], wavelet="db4", level=3, bands=[1, 2])
    >>> emb.sizes["feature"], emb.attrs["sampling_rate"]
    (20, 25.0)
    """
    wanted = feature_names.expand(names)
    check_used(
        wanted, wavelet, level=level, bands=bands, mode=mode, transform=transform, hz=hz,
        period_s=period_s, gaps=gaps, max_gap_s=max_gap_s, bins=bins, density=density,
        entropy_bins=entropy_bins, pca=pca,
    )  # fmt: skip
    heat = heatmap(ds)
    limit = background.chosen(ds, threshold)
    heat = background.celsius(heat, limit)
    basis, options = _basis(heat, wanted, limit, pca)
    out = frame_features.features(
        heat,
        wanted,
        threshold=limit,
        bins=bins,
        density=density,
        entropy_bins=entropy_bins,
        entropy_range=entropy_range,
        entropy_correction=entropy_correction,
        pca=basis,
    )
    later = {"hz": hz, "period_s": period_s, "gaps": gaps, "max_gap_s": max_gap_s}
    if wavelet is not None:
        chosen = "all" if bands is None and hz is None and period_s is None else bands
        how: Any = {"transform": transform, **later}
        out = banding.wavelet_filter(out, chosen, wavelet, level, mode, **how)
    out.attrs[schema.SPEC] = _spec(
        names=wanted,
        threshold=limit,
        pca=options,
        wavelet=wavelet,
        level=level,
        bands=bands,
        mode=mode,
        transform=transform,
        bins=bins,
        density=density,
        entropy_bins=entropy_bins,
        **_where_given(BANDS, later),
        **_where_given(
            FEATURES, {"entropy_range": entropy_range, "entropy_correction": entropy_correction}
        ),
    )
    return out.rename(schema.EMBEDDING)


def replay(
    spec: str | Mapping[str, Any],
    ds: xr.Dataset | xr.DataArray,
    *,
    pca: xr.Dataset | None = None,
) -> xr.DataArray:
    """The embedding that a specification describes, of this recording.

    Parameters
    ----------
    spec
        ``attrs["fhemb_spec"]`` of an embedding: the JSON text, or its content as a mapping.
    ds
        A recording, or its heatmap.
    pca
        Basis, if the embedding was made with a given basis.

    Returns
    -------
    DataArray
        What :func:`embed` returned when the specification was written.

    Raises
    ------
    SchemaError
        Not a specification, a specification of a newer version, or one that needs a basis.

    Notes
    -----
    Memory, tasks, computes: those of :func:`embed`.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=4)
    >>> emb = fx.embed(ds, ["mean"])
    >>> fx.replay(emb.attrs["fhemb_spec"], ds).identical(emb)
    True
    """
    found = _parse(spec)
    options = found.pop("pca")
    if options == "given" and pca is None:
        raise SchemaError("the embedding used a basis of its own: give it as pca=...")
    if options != "given" and pca is not None:
        raise SchemaError(
            f"the embedding used no given basis, its pca was {options!r}: leave out pca="
        )
    return embed(ds, pca=pca if options == "given" else options, **_used(found))


def check_used(wanted: list[str], wavelet: str | None, **given: Any) -> None:
    """Refuse options of features that are not asked for, and of bands without a wavelet."""
    FEATURES.require_used(feature_names.families(wanted), given)
    if wavelet is None and (wrong := [n for n in BANDS.usual if not BANDS.has_usual(n, given)]):
        raise ValueError(
            f"asked for {wrong[0]}={given[wrong[0]]!r} without a wavelet: add wavelet='db4'"
        )


def _used(found: dict[str, Any]) -> dict[str, Any]:
    """A specification without options that had no effect, as older versions wrote them."""
    families = feature_names.families(found["names"])
    users = {name: FEATURES.users(name) for name in FEATURES.usual}
    unused = {name for name, some in users.items() if not {*some} & {*families}}
    if found.get("wavelet") is None:
        unused |= {*BANDS.usual}
    return {name: value for name, value in found.items() if name not in unused}


def heatmap(ds: xr.Dataset | xr.DataArray) -> xr.DataArray:
    """The heatmap of a recording, with the recording's sampling rate and threshold.

    Raises
    ------
    SchemaError
        If the Dataset has no ``heatmap``.
    """
    if isinstance(ds, xr.DataArray):
        return ds
    if not isinstance(ds, xr.Dataset):
        schema.require_real(ds)
    if schema.HEATMAP not in ds:
        raise SchemaError(f"no variable 'heatmap' among {sorted(map(str, ds.data_vars))}")
    rate = {k: ds.attrs[k] for k in (schema.SAMPLING_RATE, schema.THRESHOLD) if k in ds.attrs}
    return ds[schema.HEATMAP].assign_attrs(rate)


def _basis(
    heat: xr.DataArray,
    wanted: Sequence[str],
    threshold: float | None,
    asked: xr.Dataset | Mapping[str, Any] | None,
) -> tuple[xr.Dataset | None, Any]:
    """The basis to project on, and what the specification says of it."""
    numbers = [int(n[2:]) for n in wanted if n.startswith("pc")]
    if not numbers:
        return None, None
    if isinstance(asked, xr.Dataset):
        return asked, "given"
    options = {"n_components": max(numbers) + 1, **(asked or {})}
    for name in options:
        if name not in _OF_PCA:
            raise unknown_name("option of pca", name, _OF_PCA)
    return eigenfaces.pca(heat, **{"threshold": threshold, **options}), options


def _where_given(table: OptionTable, options: dict[str, Any]) -> dict[str, Any]:
    """Settings that old code does not know, only where they are used: it reads the others."""
    return {
        name: value for name, value in options.items() if not table.has_usual(name, options)
    }


def _spec(**settings: Any) -> str:
    return json.dumps({"version": SPEC_VERSION, **settings}, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    """Ranges, and what is NumPy's, as JSON has it."""
    if isinstance(value, range | set):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} has no place in the specification of an embedding")


def _parse(spec: str | Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = dict(json.loads(spec) if isinstance(spec, str) else spec)
        version = found.pop("version")
    except (ValueError, KeyError, TypeError):
        raise SchemaError(f"not a specification of an embedding: {spec!r:.80}") from None
    if version != SPEC_VERSION:
        raise SchemaError(
            f"the specification has version {version!r}, this version reads {SPEC_VERSION}"
        )
    return found
