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
def set_options(**changes: int) -> Iterator[Options]:
    """Change settings inside a ``with`` block.

    Parameters
    ----------
    **changes
        New values by name; ``budget`` is the memory one task may hold, in bytes.

    Raises
    ------
    ValueError
        If there is no such setting.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> with fx.set_options(budget=2**28) as options:
    ...     options.budget
    268435456
    """
    names = [f.name for f in fields(Options)]
    for name in changes:
        if name not in names:
            raise ValueError(f"no setting {name!r}: the settings are {names}")
    before = replace(options)
    try:
        for name, value in changes.items():
            setattr(options, name, value)
        yield options
    finally:
        for name in names:
            setattr(options, name, getattr(before, name))
