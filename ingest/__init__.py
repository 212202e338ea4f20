"""From the database to a recording: ``ingest.ingest(source, store)`` and ``fhemb ingest``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.hints import Hints
    from ingest.planning import plan
    from ingest.postgres.source import PostgresSource
    from ingest.run import ingest
    from ingest.stacks import StackSource
    from ingest.store.verification import verify
    from ingest.streams.traces import open_events, open_trace

_HOME = {
    "Hints": "ingest.hints",
    "PostgresSource": "ingest.postgres.source",
    "StackSource": "ingest.stacks",
    "ingest": "ingest.run",
    "open_events": "ingest.streams.traces",
    "open_trace": "ingest.streams.traces",
    "plan": "ingest.planning",
    "verify": "ingest.store.verification",
}

__all__ = [
    "Hints",
    "PostgresSource",
    "StackSource",
    "ingest",
    "open_events",
    "open_trace",
    "plan",
    "verify",
]


def __dir__() -> list[str]:
    """The public names, also those that nobody has used yet."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ingest' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
