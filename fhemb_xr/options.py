"""Settings of the library, with a context manager to change them for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace


@dataclass
class Options:
    """Settings; :func:`set_options` changes them."""

    budget: int = 2**30
    """Bytes that one task may hold; work that needs more is refused with the numbers."""


options = Options()


@contextmanager
def set_options(**changes: int | str) -> Iterator[Options]:
    """Change settings inside a ``with`` block.

    Parameters
    ----------
    **changes
        New values by name; ``budget`` is the memory one task may hold, in bytes or as text:
        ``"2 GiB"``.

    Raises
    ------
    ValueError
        If there is no such setting, or the value is no number of bytes above 0.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> with fx.set_options(budget=2**28) as options:
    ...     options.budget
    268435456
    """
    from dask.utils import parse_bytes

    names = [f.name for f in fields(Options)]
    wanted: dict[str, int] = {}
    for name, value in changes.items():
        if name not in names:
            raise ValueError(f"no setting {name!r}: the settings are {names}")
        wanted[name] = parse_bytes(value)
        if wanted[name] <= 0:
            raise ValueError(f"{name} is a number of bytes above 0, found {value!r}")
    before = replace(options)
    try:
        for name, n_bytes in wanted.items():
            setattr(options, name, n_bytes)
        yield options
    finally:
        for name in names:
            setattr(options, name, getattr(before, name))
