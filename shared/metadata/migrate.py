"""Bring a database to the schema of this version: all in one transaction, one process at a time."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import SchemaUnknown
from shared.metadata.engine import (
    disposed,
    milliseconds,
    postgresql_engine,
    postgresql_url,
    sqlite_engine,
    sqlite_path,
)
from shared.metadata.faults import translated_faults

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
    try:
        _scripts().get_revision(found or "base")
    except CommandError as unknown:
        raise SchemaUnknown(found, expected) from unknown
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
        pool_size=1,
        settings={"lock_timeout": milliseconds(wait_seconds)},
        connect_seconds=_CONNECT_SECONDS,
        statement_seconds=_STATEMENT_SECONDS,
    )
    async with disposed(engine), engine.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield connection


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
