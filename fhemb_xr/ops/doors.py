"""The door of every public function: the right kind of object, in numbers that kernels know.

``fx.<name>`` and the methods of the accessor pass here; the functions in the rooms do not, so
that one may call another freely. Nothing is computed.

* Wrong kinds (numpy, a Dataset for an array) are refused in one sentence.
* Real numbers become native float32 or float64: float16 becomes float32; big-endian numbers
  are swapped; integers and long doubles become float64, so that no result takes its
  dtype from whole-number pixels.
* Masked samples of a dask array become NaN.
* A selection that holds nothing is refused.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import EmptySelectionError, SchemaError, nearest

KINDS = (xr.DataArray, xr.Dataset)
KINDS_OF_XARRAY = (*KINDS, xr.DataTree, type(None))
ROOMS = ("fhemb_xr.ops.", "fhemb_xr.plot.", "fhemb_xr.io.privacy.pseudonyms")
"""Where the functions live that have a door; stores have checks of their own."""
AS_THEY_ARE = ("select",)
"""Functions of ops that hand on what they were given."""
COUNTS = ("labels", "clusters", "beats", "rate")
"""Parameters whose whole numbers stay whole."""


def public(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` behind its door; its signature and docstring stay."""
    if not function.__module__.startswith(ROOMS) or not _checked(function):
        return function

    @functools.wraps(function)
    def behind_the_door(*args: Any, **kwargs: Any) -> Any:
        return enter(function, *args, **kwargs)

    return behind_the_door


def enter(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``function`` with arguments that have passed the door.

    Raises
    ------
    SchemaError
        If an argument is of the wrong kind.
    EmptySelectionError
        If the first argument has a dimension without an entry.
    TypeError
        If there is no such parameter, with the nearest one.
    """
    bound = _bound(function, args, kwargs)
    checked = _checked(function)
    converting = _converts(function)
    for i, (name, kinds) in enumerate(checked.items()):
        if name not in bound.arguments:
            continue
        given = _require(function.__name__, name, bound.arguments[name], kinds)
        if not i and function.__name__ not in (*AS_THEY_ARE, "mask"):
            _require_something(given)
        if converting:
            given = real(given, whole=name in COUNTS)
        bound.arguments[name] = given
    return function(*bound.args, **bound.kwargs)


def real(x: Any, *, whole: bool = False) -> Any:
    """``x`` in native float32 or float64; with ``whole``, integers stay.

    A Dataset: its ``heatmap``, and the other variables of floating point. What is not real
    (text, dates, complex numbers) stays.
    """
    if isinstance(x, xr.Dataset):
        new = {
            n: real(v)
            for n, v in x.data_vars.items()
            if v.dtype.kind in ("iuf" if n == schema.HEATMAP else "f") and real(v) is not v
        }
        return x.assign(new) if new else x
    if not isinstance(x, xr.DataArray) or x.dtype.kind not in "iuf":
        return x
    if x.chunks is not None and isinstance(da.utils.meta_from_array(x.data), np.ma.MaskedArray):
        x = x.copy(data=x.data.map_blocks(_filled, dtype=_target(x.dtype, False)))
    target = _target(x.dtype, whole)
    return x if x.dtype == target else x.astype(target)


def _target(dtype: np.dtype[Any], whole: bool) -> np.dtype[Any]:
    if dtype.kind in "iu":
        return dtype.newbyteorder("=") if whole else np.dtype(np.float64)
    return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)


def _filled(block: Any) -> Any:
    """A masked block with NaN in place of what is masked."""
    plain = np.ma.getdata(block).astype(_target(block.dtype, False))
    plain[np.ma.getmaskarray(block)] = np.nan
    return plain


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@functools.cache
def _checked(function: Callable[..., Any]) -> dict[str, tuple[type, ...]]:
    """Parameters that take an xarray object, and all classes that each may have."""
    out = {}
    for name, parameter in _signature(function).parameters.items():
        kinds = tuple(_classes(parameter.annotation))
        if set(kinds) & set(KINDS):
            out[name] = kinds
    return out


def _converts(function: Callable[..., Any]) -> bool:
    room = function.__module__
    return (
        room.startswith("fhemb_xr.ops.")
        and not room.startswith("fhemb_xr.ops.streams")
        and function.__name__ not in AS_THEY_ARE
    )


def _classes(annotation: Any) -> list[type]:
    if isinstance(annotation, typing.TypeVar):
        return [k for c in annotation.__constraints__ for k in _classes(c)]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return [k for part in typing.get_args(annotation) for k in _classes(part)]
    origin = typing.get_origin(annotation) or annotation
    return [origin] if isinstance(origin, type) else [object]


def _bound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    signature = _signature(function)
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        known = signature.parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
        wrong = [k for k in kwargs if k not in known and not open_ended]
        hint = nearest(wrong[0], [*known][1:]) if wrong else f": it takes {_bare(signature)}"
        raise TypeError(f"{function.__name__}() {error}{hint}") from None


def _bare(signature: inspect.Signature) -> inspect.Signature:
    """Names and defaults: types would fill the line."""
    none = inspect.Parameter.empty
    bare = [p.replace(annotation=none) for p in signature.parameters.values()]
    return signature.replace(parameters=bare, return_annotation=none)


def _require(function: str, name: str, given: Any, kinds: tuple[type, ...]) -> Any:
    others = object in kinds or {*kinds} - {*KINDS_OF_XARRAY}
    if isinstance(given, kinds) or (others and not isinstance(given, KINDS)):
        return given  # what is neither an array nor a Dataset, the function itself looks at
    wanted = [f"an xarray.{k.__name__}" for k in KINDS_OF_XARRAY[:3] if k in kinds]
    raise SchemaError(
        f"{function} needs {' or '.join(wanted)} as {name!r}, found {_named(given)}: "
        f"{_cure(function, given, kinds)}"
    )


def _named(given: Any) -> str:
    if isinstance(given, xr.Dataset):
        return f"a Dataset of {sorted(map(str, given.data_vars))}"
    if isinstance(given, xr.DataArray):
        return f"a DataArray with the dimensions {given.dims}"
    return f"{type(given).__module__.split('.')[0]}.{type(given).__name__}"


def _cure(function: str, given: Any, kinds: tuple[type, ...]) -> str:
    if isinstance(given, xr.Dataset):
        if schema.HEATMAP in given.data_vars:
            return f"give ds[{schema.HEATMAP!r}], or an embedding, fx.embed(ds, ...)"
        names = sorted(map(str, given.data_vars)) or ["..."]
        return f"choose a variable of the Dataset, ds[{names[0]!r}]"
    if isinstance(given, xr.DataArray) and xr.DataTree in kinds:
        return "streams are opened by fx.open_streams(store)"
    if isinstance(given, xr.DataArray):
        return "a basis is made by fx.pca(heat), a recording opened by fx.open_recording(store)"
    if xr.DataArray in kinds:
        return "name its dimensions with xr.DataArray(values, dims=(...))"
    return "open a store with fx.open_recording(store) or fx.open_result(store)"


def _require_something(given: Any) -> None:
    sizes = getattr(given, "sizes", {})
    # a result without a null has no permutation, and is something
    if empty := [d for d, n in sizes.items() if not n and d != "permutation"]:
        raise EmptySelectionError(f"nothing is left along {empty}: select more")
