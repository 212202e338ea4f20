"""Former place of :mod:`ingest.postgres.embedded_server`, kept for scripts that name it."""

from ingest.postgres.embedded_server import Server, serve

__all__ = ["Server", "serve"]
