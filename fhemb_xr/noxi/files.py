"""Readers and writers of files, which the package ``ingest`` registers.

Nothing here imports ``ingest``: as its commands, they come in by entry points.
"""

from importlib.metadata import entry_points
from typing import Any

from fhemb_xr.errors import ConfigError

GROUP = "fhemb.streams"


def function(name: str) -> Any:
    """A function of ``ingest`` by its name.

    Raises
    ------
    ConfigError
        The installation does not know it.
    """
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    raise ConfigError(
        f"this installation has no {name!r} for files: pip install 'fhemb_xr[streams]'"
    )
