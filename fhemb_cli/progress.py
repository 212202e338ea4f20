"""A bar of the tasks of a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress(label: str, workers: Any) -> Iterator[None]:
    """Show a bar of the tasks of this process; with worker processes, the time."""
    from fhemb_xr.io.local.progress import shown

    with shown(f"{label} on workers" if workers else label):
        yield
