"""What ``fhemb doctor`` asks of ingest: is the configuration there, is it safe, who answers."""

from collections.abc import Iterator
from pathlib import Path

from fhemb_xr.errors import FhembError
from ingest import settings

Check = tuple[str, str, str]


def checks() -> Iterator[Check]:
    """Name, state (``OK WARN FAIL SKIP``) and finding; no secret in any of them."""
    folder = settings.config_dir()
    if not (folder / ".env.db").exists():
        yield "configuration", "SKIP", f"no .env.db in {str(folder)!r}"
        return
    try:
        found = settings.database()
    except FhembError as error:
        yield "configuration", "FAIL", str(error)
        return
    yield "configuration", "OK", f"{str(folder)!r}, readable by its owner only"
    yield from _database(found)
    yield from _mounts(folder)


def _mounts(folder: Path) -> Iterator[Check]:
    """Whether what ``.env.paths`` names is mounted; only what needs it must have it."""
    if not (folder / ".env.paths").exists():
        return
    try:
        paths = settings.paths()
    except FhembError as error:
        yield "paths", "FAIL", str(error)
        return
    for name in ("localroot", "mount", "audiofiles", "mount_nas2"):
        if getattr(paths, name) is None:
            continue
        try:
            yield name.upper(), "OK", f"{str(paths.mounted(name))!r} is there"
        except FhembError as error:
            yield name.upper(), "WARN", str(error)


def _database(found: settings.Database) -> Iterator[Check]:
    """Whether the database answers, through its tunnel, and whether it could be written."""
    import psycopg

    from ingest.postgres.connections import Door
    from ingest.ssh.tunnel import chosen, tunnel

    try:
        with (
            tunnel(found) as way,
            Door(found.connection(), way, statement_s=10).open() as connection,
        ):
            version = connection.info.server_version // 10000
            scale = connection.execute(
                "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
            ).fetchone()
            writes = connection.execute(_WRITES).fetchone()
    except FhembError as error:
        yield "database", "FAIL", str(error)
    except psycopg.Error as error:
        yield "database", "FAIL", f"no answer ({type(error).__name__}): is it running?"
    else:
        extra = f" with TimescaleDB {scale[0]}" if scale else ""
        through = f", by {chosen(found)}" if way else ""
        yield "database", "OK", f"PostgreSQL {version}{extra} answers{through}"
        if writes and writes[0]:
            text = f"this user may write to {writes[0]} tables: one that only reads is safer"
            yield "database role", "WARN", text
        else:
            yield "database role", "OK", "this user can only read"


_WRITES = """
SELECT count(*) FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema|_timescaledb)'
  AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
"""
