"""Settings of the library, changed for good or for a while."""

import os
import threading
from contextvars import ContextVar
from typing import Any

import numpy as np

from fhemb_xr.errors import ConfigError, nearest

VARIABLE = "FHEMB_CODEC_PIPELINE"
PIPELINES = ("auto", "zarr", "zarrs")
_LOCK = threading.Lock()
_for_good: list["set_options"] = []
"""Changes outside a ``with`` block, the last one on top."""
_inside: ContextVar[tuple["set_options", ...]] = ContextVar("fhemb_options", default=())
"""Changes of the ``with`` blocks round this line, of this thread alone."""


class Options:
    """Settings as they are here and now; :func:`set_options` changes them."""

    @property
    def budget(self) -> int:
        """Bytes that one task may hold; work that needs more is refused with the numbers."""
        return int(_now("budget", 2**30))

    @property
    def codec_pipeline(self) -> str:
        """Reader of the chunks of a store: ``"zarrs"`` (compiled, extra ``fast``), ``"zarr"``,
        or ``"auto"``, the first where it is installed; by default what
        ``FHEMB_CODEC_PIPELINE`` says. It holds for what is opened after it, and never for
        writing.
        """
        return str(_now("codec_pipeline", None) or _of_environment())

    @property
    def progress(self) -> bool:
        """Whether work of over a second shows how far it is, in a terminal or a notebook."""
        return bool(_now("progress", True))


def _now(name: str, default: Any) -> Any:
    for setting in (*reversed(_inside.get()), *reversed(_for_good)):
        if name in setting.changes:
            return setting.changes[name]
    return default


options = Options()


class set_options:  # noqa: N801  (called like a function, as xarray's)
    """Change settings: for good, or inside a ``with`` block.

    Inside a ``with`` block a change holds for this thread alone, and nested blocks go back one
    by one. Without ``with`` it holds for all threads.

    Parameters
    ----------
    **changes
        New values by name; ``budget`` is the memory one task may hold, in bytes or as text:
        ``"2 GiB"``; ``codec_pipeline`` what reads the chunks of a store: ``"auto"``, ``"zarr"``
        or ``"zarrs"``; ``progress`` whether work of over a second shows how far it is.

    Raises
    ------
    ValueError
        If there is no such setting or pipeline, or the budget is no number of bytes above 0.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> with fx.set_options(budget=2**28) as options:
    ...     options.budget
    268435456
    """

    def __init__(self, **changes: Any) -> None:
        for name in changes:
            if name not in _CHECKS:
                raise ValueError(
                    f"no setting {name!r}: there are {', '.join(_CHECKS)}"
                    f"{nearest(name, _CHECKS)}"
                )
        self.changes = {name: _CHECKS[name](value) for name, value in changes.items()}
        with _LOCK:
            _for_good.append(self)

    def __enter__(self) -> Options:
        self.undo()
        _inside.set((*_inside.get(), self))
        return options

    def __exit__(self, *_: object) -> None:
        self.undo()
        around = [*_inside.get()]
        if self in around:
            around.reverse()
            around.remove(self)  # the innermost block of this setting
            _inside.set(tuple(reversed(around)))

    def undo(self) -> None:
        """Take back a change that was made without ``with``."""
        with _LOCK:
            if self in _for_good:
                _for_good.remove(self)


def _budget(value: Any) -> int:
    from dask.utils import parse_bytes

    try:
        n_bytes = parse_bytes(value) if isinstance(value, str) else value
    except ValueError:
        n_bytes = None
    number = np.asarray(n_bytes)
    if number.ndim or number.dtype.kind not in "iuf" or not 1 <= number < np.inf:
        raise ValueError(
            f"budget is a number of bytes above 0, or a text such as '2 GiB', found {value!r}"
        )
    return int(number)


def _pipeline(value: Any) -> str:
    if not isinstance(value, str) or value.casefold() not in PIPELINES:
        raise ValueError(f"no codec pipeline {value!r}: there are {PIPELINES}")
    return value.casefold()


def _switch(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"progress is True or False, found {value!r}")
    return bool(value)


def _of_environment() -> str:
    asked = os.environ.get(VARIABLE, "").strip().casefold() or "auto"
    if asked not in PIPELINES:
        raise ConfigError(f"{VARIABLE}={asked!r} is no codec pipeline: there are {PIPELINES}")
    return asked


_CHECKS = {"budget": _budget, "codec_pipeline": _pipeline, "progress": _switch}
