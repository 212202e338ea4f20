"""The recording: its variables, dimensions and units, declared once and checked from here."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from fhemb_xr import clock
from fhemb_xr.errors import EmptySelectionError, SchemaError, unlabelled_error

VERSION = "1.0"
"""Version of the layout, in ``attrs["fhemb_schema"]``: same major reads, newer minor warns."""

TIME, FRAME, SAMPLING_RATE = clock.TIME, clock.FRAME, clock.SAMPLING_RATE
SUBJECT, SESSION, Y, X = "subject", "session", "y", "x"
FEATURE, COMPONENT, BAND, WINDOW, LAG = "feature", "component", "band", "window", "lag"
HEATMAP, HEIGHT, WIDTH, POSITION, N_TIME = "heatmap", "height", "width", "position", "n_time"
AXIS = "axis"
PERSON, LANDMARK, XY, AU, POSE = "person", "landmark", "xy", "au", "pose"
JOINT, PART, EMBEDDED = "joint", "part", "embedding"
FACE, AUS, HEAD, VIT, SKELETON = "face", "aus", "head", "vit", "skeleton"
SPLIT, POLICY, POLICY_DIMS, DECIMALS = (
    "split",
    "normalization",
    "normalization_dims",
    "decimals",
)
EMBEDDING = "embedding"
THRESHOLD = "temperature_threshold"
SCHEMA = "fhemb_schema"
SPEC = "fhemb_spec"
SENSITIVITY = "fhemb_sensitivity"
"""Of every store, see :mod:`fhemb_xr.io.sensitivity`."""
HISTORY = "history"
RESIZED = "resized"
"""Attribute of a heatmap whose frames fill the grid, whatever their height and width were."""
DEFAULT_RATE_HZ = clock.ASSUMED_HZ


@dataclass(frozen=True)
class Variable:
    """One array of a recording."""

    name: str
    dims: tuple[str, ...]
    dtype: str
    units: str
    meaning: str
    required: bool = False

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes that every store of this variable carries."""
        return {"long_name": self.meaning, "units": self.units}


_SERIES = (SUBJECT, SESSION, TIME)
VARIABLES = {
    v.name: v
    for v in (
        Variable(HEATMAP, (*_SERIES, Y, X), "float32", "degC", "facial temperature", True),
        Variable(HEIGHT, _SERIES, "int16", "pixel", "rows of the frame as stored, 0 = no face"),
        Variable(
            WIDTH, _SERIES, "int16", "pixel", "columns of the frame as stored, 0 = no face"
        ),
        Variable(
            POSITION, (*_SERIES, AXIS), "float32", "pixel", "face centre in the camera image"
        ),
        Variable(N_TIME, (SUBJECT, SESSION), "int64", "1", "frames that exist"),
    )
}


@dataclass(frozen=True)
class Stream:
    """One kind of feature of a face or body, frame by frame."""

    name: str
    dims: tuple[str, ...]
    units: str
    meaning: str
    policy: str = "none"
    labels: tuple[str, ...] = ()

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes that every such stream has."""
        return {"long_name": self.meaning, "units": self.units}


_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
STREAMS = {
    s.name: s
    for s in (
        Stream(FACE, (FRAME, LANDMARK, XY), "pixel", "facial landmarks", "minmax", ("x", "y")),
        Stream(
            AUS,
            (FRAME, AU),
            "1",
            "intensity of facial action units, 0 to 5",
            "minmax",
            tuple(f"AU{n:02}" for n in _UNITS),
        ),
        Stream(
            HEAD,
            (FRAME, POSE),
            "mm, rad",
            "place and rotation of the head",
            "minmax",
            ("Tx", "Ty", "Tz", "Rx", "Ry", "Rz"),
        ),
        Stream(VIT, (FRAME, EMBEDDED), "1", "embedding by a vision transformer"),
        Stream(SKELETON, (FRAME, JOINT, PART), "1", "joints of the body", "standard"),
    )
}
"""Feature streams by name; ``policy`` is how each is normalised where nothing else is asked."""
WHO = (SESSION, PERSON)
"""Dimensions of a Dataset of streams before ``frame``, and levels of a tree of them."""


def labels(sizes: Mapping[Hashable, int]) -> dict[Hashable, tuple[Hashable, list[str]]]:
    """Labels along the dimensions of streams that have names, where as many are there."""
    named = {s.dims[-1]: [*s.labels] for s in STREAMS.values() if s.labels}
    return {d: (d, named[d]) for d, n in sizes.items() if d in named and len(named[d]) == n}


def sampling_rate(obj: xr.DataArray | xr.Dataset) -> float:
    """Frames a second [Hz], as :attr:`fhemb_xr.clock.Clock.rate_hz` has it.

    Raises
    ------
    SchemaError
        If nothing says it, or ``time`` and ``attrs["sampling_rate"]`` say two rates.
    """
    return clock.Clock.of(obj).rate_hz


def require_dims(obj: xr.DataArray, *dims: Hashable) -> None:
    """Check that ``obj`` is an array of real numbers with ``dims``, and something along them.

    Raises
    ------
    SchemaError
        Naming what is missing and what is there.
    EmptySelectionError
        A dimension has no entry.
    """
    require_real(obj)
    missing = [d for d in dims if d not in obj.dims]
    if missing:
        raise SchemaError(
            f"need the dimensions {dims}, found {obj.dims}: {missing} missing; "
            "rename what plays their part with .rename(...)"
        )
    if empty := [d for d in dims if not obj.sizes[d]]:
        raise EmptySelectionError(f"nothing is left along {empty}: select more")


def require_real(obj: xr.DataArray) -> None:
    """Check that ``obj`` is an array of real numbers.

    Raises
    ------
    SchemaError
        Naming what it is.
    """
    if not isinstance(obj, xr.DataArray):
        raise unlabelled_error(obj)
    if obj.dtype.kind not in "biuf":
        name = "the array" if obj.name is None else repr(obj.name)
        raise SchemaError(f"need real numbers, {name} has dtype {obj.dtype}")


def check_version(attrs: dict[str, object]) -> str | None:
    """Whether this version can read a store: a warning text, or None.

    Raises
    ------
    SchemaError
        If the store is of no version, or of a newer major one.
    """
    found = attrs.get(SCHEMA)
    if not isinstance(found, str) or not all(p.isdigit() for p in found.split(".")):
        raise SchemaError(
            f"this is not a store of fhemb_xr: attribute {SCHEMA!r} is {found!r}, "
            f"expected a version such as {VERSION!r}"
        )
    major, minor = (int(p) for p in [*found.split("."), "0"][:2])
    mine = tuple(int(p) for p in VERSION.split("."))
    if major > mine[0]:
        raise SchemaError(
            f"the store has schema {found}, this version reads up to {mine[0]}.x: "
            "update fhemb_xr"
        )
    newer = (major, minor) > mine
    return (
        f"the store has schema {found}, newer than {VERSION}: unknown parts are ignored"
        if newer
        else None
    )


def is_like_recording(ds: xr.Dataset) -> bool:
    """Whether a Dataset means to be a recording: its heatmap has all dimensions of one."""
    heat = VARIABLES[HEATMAP]
    return HEATMAP in ds.data_vars and {*ds[HEATMAP].dims} == {*heat.dims}


def ordered(ds: xr.Dataset) -> xr.Dataset:
    """``ds`` with the dimensions of a recording's variables in their order."""
    turned = {
        n: ds[n].transpose(*v.dims)
        for n, v in VARIABLES.items()
        if n in ds.data_vars and {*ds[n].dims} == {*v.dims} and ds[n].dims != v.dims
    }
    return ds.assign(turned) if turned else ds


def validate(ds: xr.Dataset) -> None:
    """Check that ``ds`` is a recording, by names, dims, dtypes and attributes; reads no data.

    Raises
    ------
    SchemaError
        One sentence naming everything that is wrong.
    """
    wrong = [text for v in VARIABLES.values() for text in _faults(ds, v)]
    if SAMPLING_RATE not in ds.attrs:
        wrong.append(f"no attribute {SAMPLING_RATE!r} [Hz]")
    elif not _positive(ds.attrs[SAMPLING_RATE]):
        wrong.append(
            f"{SAMPLING_RATE!r} is {ds.attrs[SAMPLING_RATE]!r}, not a positive number of Hz"
        )
    if not wrong:
        wrong = _axis_faults(ds)
    if wrong:
        raise SchemaError("not a recording: " + "; ".join(wrong))


def _positive(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value) and value > 0)


def _faults(ds: xr.Dataset, v: Variable) -> list[str]:
    if v.name not in ds.variables:
        found = sorted(map(str, ds.data_vars))
        return [f"no variable {v.name!r} among {found}"] if v.required else []
    var = ds[v.name]
    wrong = []
    if var.dims != v.dims:
        wrong.append(f"{v.name!r} has the dimensions {var.dims}, expected {v.dims}")
    if var.dtype.kind not in "iuf":
        wrong.append(f"{v.name!r} has dtype {var.dtype}, expected {v.dtype}")
    return wrong


def _axis_faults(ds: xr.Dataset) -> list[str]:
    wrong = []
    for name in (SUBJECT, SESSION, TIME):
        index = ds.indexes.get(name)
        if index is None:
            wrong.append(f"dimension {name!r} has no coordinate")
        elif not index.is_unique:
            wrong.append(f"{name!r} repeats {index[index.duplicated()].tolist()[0]!r}")
    if TIME in ds.indexes and not ds.indexes[TIME].is_monotonic_increasing:
        wrong.append("'time' is not increasing")
    return wrong
