"""Databases that stand still while a registry is moved, and what rows say of where they came from.

SQLite lets a connection have a file for itself (`locking_mode=EXCLUSIVE`) when no other has it open, were it idle for
days, and keeps all others out from then on. PostgreSQL shows who is connected, and its table locks keep writers out who
come later; readers go on.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import SchemaUnknown
from shared.metadata.change_counters import bump_counters
from shared.metadata.engine import postgresql_url, sqlite_path
from shared.metadata.faults import translated_faults
from shared.metadata.inventory import BLOB_STORE_NAME
from shared.metadata.migrate import check_revision
from shared.metadata.snapshots import snapshot_of
from shared.metadata.storage import settle_storage
from shared.metadata.store import SqlWriting
from shared.metadata.table_copies import postgresql_connection, sqlite_connection
from shared.metadata.tables import audit_events, instance_settings, metadata
from shared.metadata.tenant_tables import users
from shared.metadata.transaction import INSERTS, Transaction
from shared.ports.metadata_store import Writing
from shared.ports.moved_rows import Arrival, Mark, RegistryInUse, StillDatabase

T = TypeVar("T")

_MOVED = "moved"
"""Where the settings of the instance keep the last arrival."""
_MOVED_ACTION = "registry.moved"
_PATIENCE_SECONDS = 3.0
"""How long processes that were just stopped may take until they are gone."""
_LOOK_SECONDS = 0.1
_LOCK_SECONDS = 1.0
_ALONE = ("busy_timeout=0", "locking_mode=EXCLUSIVE")
_LOCK_NOT_AVAILABLE = "55P03"
_OTHERS = text(
    "SELECT pid, coalesce(host(client_addr), 'this machine') AS place FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'larder' AND pid <> pg_backend_pid()"
)


async def look_at_rows(url: str) -> Mark | None:
    """Return what the rows of a database say of themselves; None where there are none. Nothing is changed.

    Args:
        url: as `open_metadata_store` takes it.

    Raises:
        SchemaUnknown: it holds a schema that this version does not know, or rows of an older one.
        MetadataUnavailable: it does not answer.
    """
    path = sqlite_path(url)
    if path is not None and not await asyncio.to_thread(path.exists):
        return None
    with translated_faults():
        async with (
            sqlite_connection(path, begin="BEGIN")
            if path
            else postgresql_connection(postgresql_url(url), "REPEATABLE READ")
        ) as connection:
            found, expected = await connection.run_sync(check_revision)
            # Every registry has an administrator from its first start on.
            has_users = await connection.run_sync(lambda sync: inspect(sync).has_table(users.name))
            if not has_users or await connection.scalar(select(users.c.id).limit(1)) is None:
                return None
            if found != expected:
                raise SchemaUnknown(found, expected)
            return await _mark(connection)


async def arrive_in_file(path: Path, arrival: Arrival) -> None:
    """Note in the rows of a SQLite file of this version where they have come to, and from where.

    Raises:
        MetadataUnavailable, StorageFull: it could not be done.
    """
    with translated_faults(path.parent):
        async with sqlite_connection(path) as connection:
            await _arrive(connection, arrival)
            await connection.commit()


@asynccontextmanager
async def hold_still(url: str) -> AsyncIterator[StillDatabase]:
    """Have a database for oneself until the block ends.

    Args:
        url: as `open_metadata_store` takes it; of this version's schema.

    Raises:
        RegistryInUse: somebody else uses it, and does not stop within seconds.
        MetadataUnavailable: it does not answer.
    """
    path = sqlite_path(url)
    if path is None:
        async with postgresql_connection(
            postgresql_url(url), "REPEATABLE READ", wait_seconds=_LOCK_SECONDS
        ) as connection:
            with translated_faults():
                await _until_held(connection, _lock_tables)
            yield _StillRows(connection, None)
    else:
        async with sqlite_connection(path, begin="BEGIN EXCLUSIVE", pragmas=_ALONE) as connection:
            with translated_faults(path.parent):
                await _until_held(connection, _lock_file)
            yield _StillRows(connection, path.parent)


class _StillRows:
    """Implements StillDatabase."""

    def __init__(self, connection: AsyncConnection, directory: Path | None) -> None:
        self._connection = connection
        self._directory = directory

    async def mark(self) -> Mark:
        with translated_faults():
            return await _mark(self._connection)

    async def take_snapshot(self, path: Path) -> None:
        if self._directory is not None:
            await self._connection.rollback()  # SQLite copies in no transaction; it stays locked.
        await snapshot_of(self._connection, path)

    @asynccontextmanager
    async def arriving(self, arrival: Arrival) -> AsyncIterator[Writing]:
        transaction = Transaction(self, self._connection, lambda: datetime.now(UTC))
        yield SqlWriting(transaction)
        await settle_storage(transaction)
        await bump_counters(transaction)
        await self.run(_arrive(self._connection, arrival))
        await self.run(self._connection.commit())

    async def run(self, step: Awaitable[T]) -> T:
        with translated_faults(self._directory):
            return await step

    async def require_held(self) -> None:
        with translated_faults():
            await self._connection.scalar(select(users.c.id).limit(1))
            who = await _who_else(self._connection) if self._directory is None else None
        if who is not None:  # It would write as soon as the locks are gone.
            raise RegistryInUse(who)


async def _until_held(connection: AsyncConnection, lock: Callable[[AsyncConnection], Awaitable[str | None]]) -> None:
    """Try to lock the database until it can be, or time is up: what was just stopped may take a moment to be gone."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (who := await lock(connection)) is not None:
        await connection.rollback()
        if time.monotonic() >= deadline:
            raise RegistryInUse(who)
        await asyncio.sleep(_LOOK_SECONDS)


async def _lock_file(connection: AsyncConnection) -> str | None:
    """Return who keeps the file from being this connection's alone, or None when it is."""
    try:
        await connection.begin()
    except OperationalError as fault:
        if getattr(fault.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise
        return "another process has its database open"
    await connection.commit()  # In this mode the locks outlast the transaction.
    return None


async def _lock_tables(connection: AsyncConnection) -> str | None:
    """Lock all tables against writers; return who else is connected, or None."""
    names = ", ".join(table.name for table in metadata.sorted_tables)
    try:
        # Before anything is read: so the transaction sees all that was committed before it had the locks.
        await connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
    except DBAPIError as fault:
        if getattr(fault.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        return "somebody writes into its database"
    return await _who_else(connection)


async def _who_else(connection: AsyncConnection) -> str | None:
    """Return who else is connected to PostgreSQL, or None."""
    await connection.execute(text("SELECT pg_stat_clear_snapshot()"))  # A transaction sees what it saw at first.
    other = (await connection.execute(_OTHERS)).first()
    return None if other is None else f"a process of Larder at {other.place} has its database open"


async def _mark(connection: AsyncConnection) -> Mark:
    names = instance_settings.c.name.in_((BLOB_STORE_NAME, _MOVED))
    rows = await connection.execute(select(instance_settings.c.name, instance_settings.c.value).where(names))
    noted = {row.name: row.value for row in rows}
    newest = (
        await connection.execute(
            select(audit_events.c.id, audit_events.c.action).order_by(audit_events.c.id.desc()).limit(1)
        )
    ).first()
    return Mark(
        blob_store_name=noted.get(BLOB_STORE_NAME),
        arrival=Arrival(**noted[_MOVED]) if _MOVED in noted else None,
        newest_event=newest.id if newest else 0,
        is_untouched=newest is not None and newest.action == _MOVED_ACTION,
    )


async def _arrive(connection: AsyncConnection, arrival: Arrival) -> None:
    now = datetime.now(UTC)
    for name, value in ((BLOB_STORE_NAME, arrival.blob_store_name), (_MOVED, asdict(arrival))):
        noted = {"value": value, "updated_at": now}
        await connection.execute(
            INSERTS[connection.dialect.name](instance_settings)
            .values(name=name, **noted)
            .on_conflict_do_update(index_elements=["name"], set_=noted)
        )
    event = {"created_at": now, "action": _MOVED_ACTION, "actor": "system", "target": "instance"}
    await connection.execute(insert(audit_events).values(event))
