"""Pseudonyms of people, which only the holder of a key can resolve.

Hashing all numbers undoes a plain hash of ``subj57`` in a tenth of a second. It cannot undo a
hash under a key of 32 random bytes. The key lies in its own file, which only its owner can
read. It lies in no store, because whoever has the key and the store has the names.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import ConfigError
from fhemb_xr.io import provenance, sensitivity
from fhemb_xr.io.local import durable_files

T = TypeVar("T", xr.Dataset, xr.DataArray)
KEY_BYTES = 32
_PEOPLE = re.compile(rf"{schema.SUBJECT}(_\d+)?")
_DATE = re.compile(r"\d{4}|\d{1,2}[-./]\d{1,2}")
ATTRIBUTES = frozenset({
    "long_name", "units", "axis", "Conventions", schema.SAMPLING_RATE, schema.THRESHOLD,
    schema.SCHEMA, schema.SPEC, schema.SENSITIVITY, provenance.KIND, "fhemb_bands", "metric",
    "scale", "normalize", "window", "window_s", "dim", "gamma", "radius", "local", "n_features",
    "method", "scaler", "pixels", "kernel", "n_clusters", "seed", "statistic", "surrogate", "n",
    "tail", "alpha", "how", "decimals", "itakura", "p", "precision", "nan", "max_lag",
    "fhemb_coefficients",
})  # fmt: skip
"""Attributes that stay: the library writes them, and they name nobody."""
COORDINATES = frozenset({
    schema.SUBJECT, schema.SESSION, schema.TIME, schema.FRAME, schema.FEATURE, schema.BAND,
    schema.WINDOW, schema.LAG, schema.COMPONENT, schema.AXIS, schema.Y, schema.X, "bin_edges",
    "bin_upper", "frequency_low", "frequency_high", "period_low", "period_high", "frequency",
    "scale", "lag_at_max",
})  # fmt: skip
"""Coordinates that stay, with those of pairs (``subject_0``)."""


def anonymize(
    obj: T,
    *,
    key: bytes | str | os.PathLike[str],
    shift_days: int | None = None,
    keep: Collection[str] = (),
) -> T:
    """Replace people's labels by pseudonyms, and remove whatever else could identify them.

    A label becomes ``p`` and 16 digits of HMAC-SHA256 under ``key``. People are sorted by
    their pseudonyms, so that the order tells nothing either. One key gives a person the same
    pseudonym in every object.

    Attributes, coordinates and variables stay only if they are known to name nobody
    (:data:`ATTRIBUTES`, :data:`COORDINATES`). Titles, histories, uuids, texts and ``position``
    (a person's seat) are removed, and also every variable of a recording that is not in the
    schema. Wall-clock times become seconds since the first time, or move by ``shift_days``.

    Parameters
    ----------
    obj
        A recording, an embedding, a relation, or any other result.
    key
        32 random bytes (at least 16), or a file that holds them in hexadecimal, see
        :func:`new_key`.
    shift_days
        Number of days by which wall-clock times move back; use the same number for data that
        belong together. The time of day stays. None turns times into seconds since the first.
    keep
        Names of further attributes, coordinates and variables that stay.

    Returns
    -------
    DataArray or Dataset
        An object with the same values; lazy if ``obj`` is lazy.

    Raises
    ------
    ConfigError
        The key file does not exist, can be read by others, lies inside a store, or is too
        short.
    ValueError
        The name of a session may be a date.

    Notes
    -----
    Memory per task: a chunk. Tasks: under two per chunk. Computes at call: none.

    **A picture identifies a face**, whatever its label. Pseudonyms are personal data as long
    as the key exists (GDPR, Recital 26). The mark ``fhemb_sensitivity`` does not change.
    Seconds and frame numbers of the session stay, because the whole audience shares them.

    References
    ----------
    - Krawczyk, Bellare & Canetti (1997), HMAC, RFC 2104, doi:10.17487/RFC2104.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=4)
    >>> hidden = ds.fhemb.anonymize(key=bytes(range(32)))
    >>> hidden.subject.values.tolist()
    ['pb2c32af54d55959e', 'pf0b70e7b9ba6ef16']
    >>> "position" in hidden, "title" in hidden.attrs
    (False, False)
    """
    secret = key if isinstance(key, bytes) else read_key(key)
    if len(secret) < KEY_BYTES // 2:
        raise ConfigError(f"the key has {len(secret)} bytes: give {KEY_BYTES}, or at least 16")
    _check_sessions(obj, keep)
    mark = _mark(obj)
    out = obj.drop_encoding()
    if isinstance(out, xr.Dataset):
        ours = set(schema.VARIABLES) if schema.HEATMAP in out else set(out.data_vars)
        telling = [n for n, v in out.data_vars.items() if n not in ours or _tells(n, v)]
        out = out.drop_vars([n for n in telling if n not in keep])
    out = out.drop_vars([c for c, v in out.coords.items() if _is_foreign(c, v, keep)])
    out = _renamed(_with_clocks(out, shift_days), secret)
    return _with_attributes(out, keep, mark)


def new_key(path: str | os.PathLike[str]) -> Path:
    """Make a file with a new key, which only its owner can read.

    Raises
    ------
    FileExistsError
        The file exists; without the old key no pseudonym can be resolved.
    ConfigError
        The file would lie inside a store.
    """
    place = Path(path).expanduser()
    _require_outside(place)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with durable_files.open_new(place) as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
    return place


def read_key(path: str | os.PathLike[str]) -> bytes:
    """Read the key from a file that only its owner can read.

    Raises
    ------
    ConfigError
        The file does not exist, others can read it, it lies inside a store, or it holds no
        hexadecimal number.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise ConfigError(f"there is no key {place.name!r}: `fhemb anonymize` makes one")
    _require_outside(place)
    mode = stat.S_IMODE(place.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"others can read the key {place.name!r}: chmod 600 it")
    try:
        return bytes.fromhex(place.read_text().strip())
    except ValueError:
        raise ConfigError(f"the key {place.name!r} is not {2 * KEY_BYTES} hex digits") from None


def pseudonym(label: object, secret: bytes) -> str:
    """The pseudonym of a person."""
    message = f"{schema.SUBJECT}:{label}".encode()
    return "p" + hmac.new(secret, message, hashlib.sha256).hexdigest()[:16]


def _require_outside(path: Path) -> None:
    if any((p / "zarr.json").exists() for p in path.resolve().parents):
        raise ConfigError(f"the key {path.name!r} would lie inside a store: keep it elsewhere")


def _check_sessions(obj: xr.Dataset | xr.DataArray, keep: Collection[str]) -> None:
    if schema.SESSION in keep or schema.SESSION not in obj.coords:
        return
    dated = [s for s in obj[schema.SESSION].values.ravel().tolist() if _DATE.search(str(s))]
    if dated:
        raise ValueError(
            f"the session {dated[0]!r} may be called by a date: rename it with "
            ".assign_coords(session=...), or give keep=['session']"
        )


def _tells(name: Any, var: xr.DataArray) -> bool:
    """Whether a variable may identify people: it holds text or seats."""
    return bool(name == schema.POSITION or var.dtype.kind in "OUST")


def _is_foreign(name: Any, var: xr.DataArray, keep: Collection[str]) -> bool:
    known = name in COORDINATES or bool(_PEOPLE.fullmatch(str(name)))
    plain = name in var.dims and var.dtype.kind in "iufbmM"
    clock = var.dtype.kind == "M" and not {schema.TIME, schema.SESSION}.isdisjoint(var.dims)
    return not (known or plain or clock or name in keep)


def _with_clocks(obj: T, shift_days: int | None) -> T:
    """``obj`` with wall-clock times moved, or as seconds since the first time."""
    clocks = {n: v for n, v in obj.coords.items() if v.dtype.kind == "M"}
    out = obj.assign_coords({n: _moved(v, shift_days) for n, v in clocks.items()})
    if isinstance(out, xr.Dataset):
        values = {n: v for n, v in out.data_vars.items() if v.dtype.kind == "M"}
        return out.assign({n: _moved(v, shift_days) for n, v in values.items()})
    return out.copy(data=_moved(out, shift_days).data) if out.dtype.kind == "M" else out


def _moved(clock: xr.DataArray, shift_days: int | None) -> Any:
    if shift_days is not None:
        return (clock.variable - np.timedelta64(shift_days, "D")).astype(clock.dtype)
    seconds = (clock.variable - clock.variable.min()) / np.timedelta64(1, "s")
    seconds.attrs = {"units": "s"}
    return seconds


def _renamed(obj: T, secret: bytes) -> T:
    """``obj`` with pseudonyms, sorted by them."""
    for name in [n for n in obj.coords if _PEOPLE.fullmatch(str(n))]:
        labels = [pseudonym(s, secret) for s in obj[name].values.ravel().tolist()]
        dims, attrs = obj[name].dims, obj[name].attrs
        named = np.asarray(labels).reshape(obj[name].shape)
        obj = obj.assign_coords({name: (dims, named, attrs)})
        if dims == (name,):
            obj = obj.isel({name: np.argsort(named)})
    return obj


def _mark(obj: xr.Dataset | xr.DataArray) -> str:
    ds = obj if isinstance(obj, xr.Dataset) else obj.to_dataset(name="_")
    return sensitivity.of(ds)


def _with_attributes(obj: T, keep: Collection[str], mark: str) -> T:
    def known(attrs: dict[Any, Any]) -> dict[Any, Any]:
        return {k: v for k, v in attrs.items() if k in ATTRIBUTES or k in keep}

    out: Any = obj.copy()
    parts: list[Any] = [*out.coords.values()]
    parts += [*out.data_vars.values()] if isinstance(out, xr.Dataset) else []
    for var in parts:
        var.attrs = known(var.attrs)
    out.attrs = known(out.attrs) | {
        schema.SENSITIVITY: mark,
        schema.HISTORY: provenance.line("anonymize"),
    }
    named: T = out
    return named
