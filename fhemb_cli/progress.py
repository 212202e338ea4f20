"""A bar of the tasks of a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fhemb_cli.console import talk


@contextmanager
def progress(label: str, workers: Any) -> Iterator[None]:
    """Show a bar of the tasks of this process; with worker processes, a spinner."""
    if not talk().is_terminal:
        yield
        return
    if workers:
        with talk().status(f"{label} on workers …"):
            yield
        return
    from dask.callbacks import Callback
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = TextColumn(label), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=talk(), transient=True) as bar:
        row = bar.add_task(label, total=None)

        def planned(dsk: Any) -> None:
            bar.reset(row, total=len(dsk))

        def done(*_: Any) -> None:
            bar.advance(row)

        with Callback(start=planned, posttask=done):
            yield
