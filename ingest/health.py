"""Checks of ``fhemb doctor`` on ingest: the configuration, its safety, the database."""

from collections.abc import Iterator
from pathlib import Path

from fhemb_xr.errors import FhembError
from ingest import settings

Check = tuple[str, str, str]


def checks() -> Iterator[Check]:
    """Yield name, state (``OK WARN FAIL SKIP``) and result of each check, without secrets."""
    folder = settings.config_dir()
    if not (folder / ".env.db").exists():
        yield "configuration", "SKIP", f"no .env.db in {str(folder)!r}"
        return
    try:
        config = settings.database()
    except FhembError as error:
        yield "configuration", "FAIL", str(error)
        return
    yield "configuration", "OK", f"{str(folder)!r}, readable by its owner only"
    yield from _database(config)
    yield from _mounts(folder)


def _mounts(folder: Path) -> Iterator[Check]:
    """Whether the folders of ``.env.paths`` are mounted; a missing one is only a warning."""
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


def _database(config: settings.Database) -> Iterator[Check]:
    """Whether the database answers, and whether this user could write to it."""
    import psycopg

    from ingest.postgres.connections import Door
    from ingest.ssh.tunnel import chosen, tunnel

    try:
        with (
            tunnel(config) as way,
            Door(config.connection(), way, statement_s=10).open() as connection,
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
        through = f", by {chosen(config)}" if way else ""
        yield "database", "OK", f"PostgreSQL {version}{extra} answers{through}"
        if writes and writes[0]:
            text = f"this user may write to {writes[0]} tables: a user that only reads is safer"
            yield "database role", "WARN", text
        else:
            yield "database role", "OK", "this user can only read"


_WRITES = """
SELECT count(*) FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema|_timescaledb)'
  AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
"""
