"""Terminal output of a run: a progress bar, and a table at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fhemb_cli.console import talk

if TYPE_CHECKING:
    from rich.table import Table

    from ingest.run import Progress, Summary


def summary_table(done: "Summary") -> "Table":
    """A table of what a run did."""
    from rich.table import Table

    from fhemb_xr.budget import human

    table = Table(show_header=False, title=f"recording in {done.store}")
    counts = {n.replace("_", " "): n_ for n, n_ in vars(done.counts).items() if n_}
    rows: dict[str, object] = {
        "subjects": done.subjects,
        "frames": done.frames,
        "shards": f"{done.shards}, {done.shards_written} of them written now",
        **counts,
        "frames without a face": done.missing,
        "read": human(done.read_bytes),
        "on disk": human(_size(Path(done.store))),
        "seconds": f"{done.seconds:.2f}",
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _size(store: Path) -> int:
    return sum(f.stat().st_size for f in store.rglob("*") if f.is_file())


@contextmanager
def progress_bar() -> Iterator["Progress | None"]:
    """Show a bar on stderr when a run takes longer than a second."""
    if not talk().is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.completed}/{task.total} frames"),
        BarColumn(),
        TimeRemainingColumn(),
        console=talk(),
        transient=True,
    )
    task = bar.add_task("")

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if time.monotonic() - started > 1 and not bar.live.is_started:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()
