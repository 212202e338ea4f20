"""Settings of the library, changed for good or for a while."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

PIPELINES = ("auto", "zarr", "zarrs")


def _pipeline() -> str:
    return os.environ.get("FHEMB_CODEC_PIPELINE", "auto")


@dataclass
class Options:
    """Settings; :func:`set_options` changes them."""

    budget: int = 2**30
    """Bytes that one task may hold; work that needs more is refused with the numbers."""
    codec_pipeline: str = field(default_factory=_pipeline)
    """What decodes the chunks of a store: ``"zarrs"`` (compiled, extra ``fast``), ``"zarr"``,
    or ``"auto"``, the first where it is installed; by default what ``FHEMB_CODEC_PIPELINE``
    says. It holds for what is opened after it, and never for writing."""


options = Options()


class set_options:  # noqa: N801  (called like a function, as xarray's)
    """Change settings: for good, or inside a ``with`` block.

    Parameters
    ----------
    **changes
        New values by name; ``budget`` is the memory one task may hold, in bytes or as text:
        ``"2 GiB"``; ``codec_pipeline`` what reads the chunks of a store: ``"auto"``, ``"zarr"``
        or ``"zarrs"``.

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
        from dask.utils import parse_bytes

        names = [f.name for f in fields(Options)]
        for name in changes:
            if name not in names:
                raise ValueError(f"no setting {name!r}: the settings are {names}")
        wanted = {name: _checked(name, value, parse_bytes) for name, value in changes.items()}
        self._before = {name: getattr(options, name) for name in wanted}
        for name, value in wanted.items():
            setattr(options, name, value)

    def __enter__(self) -> Options:
        return options

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            setattr(options, name, value)


def _checked(name: str, value: Any, n_bytes: Callable[[Any], int]) -> Any:
    if name == "codec_pipeline":
        if value not in PIPELINES:
            raise ValueError(f"no codec pipeline {value!r}: there are {PIPELINES}")
        return value
    found = n_bytes(value)
    if found <= 0:
        raise ValueError(f"{name} is a number of bytes above 0, found {value!r}")
    return found
