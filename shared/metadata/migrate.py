"""Bring a database to the schema of this version: all in one transaction, one process at a time.

Processes of the version before go on meanwhile, and with the new schema until they are replaced: a migration adds, and
takes away only what those no longer use. On PostgreSQL an index would keep their writes out for as long as it is built.
So a migration may name statements that build such things ahead of the transaction, beside the writers
(`AHEAD_ON_POSTGRESQL`). What was left half built is built anew.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import MetadataUnavailable, SchemaUnknown
from shared.metadata.engine import (
    disposed,
    milliseconds,
    postgresql_engine,
    postgresql_url,
    sqlite_engine,
    sqlite_path,
)
from shared.metadata.faults import translated_faults
from shared.metadata.tables import metadata

_WAIT_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 3600.0
_RETRY_SECONDS = 0.05
_ADVISORY_LOCK = 0x6C6172646572  # "larder"; any number that nobody else in the database uses.


def expected_revision() -> str:
    """Return the revision that this version's scripts lead to."""
    head = _scripts().get_current_head()
    if head is None:
        raise LookupError("there are no migrations")
    return head


async def migrate(url: str, *, wait_seconds: float = _WAIT_SECONDS) -> tuple[str | None, str]:
    """Bring the database to this version's schema; return the revision before and after.

    Two processes may call it at once: the second waits, and finds nothing to do.

    Args:
        wait_seconds: how long to wait for another process that migrates or writes.

    Raises:
        SchemaUnknown: the database holds a schema that this version does not know; nothing was changed.
        MetadataUnavailable: the database does not answer, or is kept busy.
        StorageFull: its disk takes no more.
        ValueError: the URL names no database that is supported.
    """
    path = sqlite_path(url)
    directory = path.parent if path else None
    with translated_faults(directory):
        async with (
            _exclusive_sqlite(path, wait_seconds) if path else _exclusive_postgresql(postgresql_url(url), wait_seconds)
        ) as connection:
            before, after = await connection.run_sync(_upgrade)
            await connection.commit()
    return before, after


def check_revision(connection: Connection) -> tuple[str | None, str]:
    """Return the revision that the database has, and that of this version.

    Raises:
        SchemaUnknown: this version does not know the one that it has.
    """
    expected = expected_revision()
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and not _is_known(_scripts(), found):
        raise SchemaUnknown(found, expected)
    return found, expected


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    found, expected = check_revision(connection)
    if found == expected:
        return found, expected
    # What was migrated is told by the return value.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        _check_foreign_keys(connection)
    return found, expected


def _check_foreign_keys(connection: Connection) -> None:
    """Fail when a copied table lost what others refer to: the keys are off while tables are copied."""
    broken = connection.execute(text("PRAGMA foreign_key_check")).first()
    if broken is not None:
        raise RuntimeError(f"the migration broke a foreign key of table {broken[0]}")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


@asynccontextmanager
async def _exclusive_postgresql(url: URL, wait_seconds: float) -> AsyncIterator[AsyncConnection]:
    engine = postgresql_engine(
        url,
        pool_size=2,
        # Whatever the role has: to build an index may take an hour.
        settings={"lock_timeout": milliseconds(wait_seconds), "statement_timeout": "0"},
        connect_seconds=_CONNECT_SECONDS,
        statement_seconds=_STATEMENT_SECONDS,
    )
    async with disposed(engine), engine.connect() as keeper:
        await keeper.execution_options(isolation_level="AUTOCOMMIT")
        await _lock(keeper, wait_seconds)
        await keeper.execute(text("SET lock_timeout = 0"))  # An index may have to wait for the end of a long backup.
        await _build_ahead(keeper)
        async with engine.connect() as connection:
            yield connection


async def _lock(keeper: AsyncConnection, wait_seconds: float) -> None:
    """Keep others out until the connection is closed.

    Not by waiting in a statement: an index that is built beside writers waits for all statements that began before.
    """
    try:
        async with asyncio.timeout(wait_seconds):
            while True:
                if await keeper.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_LOCK}):
                    return
                await asyncio.sleep(_RETRY_SECONDS)
    except TimeoutError as late:
        raise MetadataUnavailable("another process migrates") from late


async def _build_ahead(keeper: AsyncConnection) -> None:
    """Do what migrations that are still to come would else keep writers out for."""
    found = await keeper.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    statements = await asyncio.to_thread(_ahead_of, found)
    if not statements:
        return
    half_built = "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
    half_built += " WHERE NOT indisvalid AND relname = ANY(:tables) AND pg_table_is_visible(indrelid)"
    for index in (await keeper.scalars(text(half_built), {"tables": list(metadata.tables)})).all():
        await keeper.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index}"))
    for statement in statements:
        # What it needs may come with a migration that is still to be made; then the transaction makes both.
        with suppress(ProgrammingError):
            await keeper.execute(text(statement))


def _ahead_of(found: str | None) -> list[str]:
    """Return the statements of the migrations from this revision on; none for one that is not known."""
    scripts = _scripts()
    if found is None or not _is_known(scripts, found):
        return []
    to_come = reversed(list(scripts.iterate_revisions("head", found)))
    return [statement for script in to_come for statement in getattr(script.module, "AHEAD_ON_POSTGRESQL", ())]


def _is_known(scripts: ScriptDirectory, revision: str) -> bool:
    try:
        scripts.get_revision(revision)
    except CommandError:
        return False
    return True


@asynccontextmanager
async def _exclusive_sqlite(path: Path, wait_seconds: float) -> AsyncIterator[AsyncConnection]:
    engine = sqlite_engine(
        path,
        pool_size=1,
        begin="BEGIN EXCLUSIVE",
        pragmas=(
            f"busy_timeout={milliseconds(wait_seconds)}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=OFF",
        ),
    )
    async with disposed(engine), AsyncExitStack() as stack:
        connection = await _connect_sqlite(engine, wait_seconds)
        stack.push_async_callback(connection.close)
        await connection.begin()
        yield connection


async def _connect_sqlite(engine: AsyncEngine, wait_seconds: float) -> AsyncConnection:
    # SQLite waits for every lock but the one that turns the write-ahead log on.
    async with asyncio.timeout(wait_seconds):
        while True:
            try:
                return await engine.connect()
            except OperationalError as fault:
                if getattr(fault.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                    raise
            await asyncio.sleep(_RETRY_SECONDS)
