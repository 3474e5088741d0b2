"""All rows as of one instant, in a SQLite file of their own, and the way back; whatever the engine.

SQLite writes its copy itself (`VACUUM INTO`: one read transaction, beside which writers go on). From PostgreSQL the
rows are copied table by table in one REPEATABLE READ transaction, and with them the numbers that its sequences had come
to. So a registry can be restored on the other engine, too.
"""

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, Table, delete, insert, inspect, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import DatabaseNotEmpty
from shared.metadata.engine import disposed, milliseconds, postgresql_engine, postgresql_url, sqlite_engine, sqlite_path
from shared.metadata.faults import translated_faults
from shared.metadata.inventory import BLOB_STORE_NAME
from shared.metadata.migrate import migrate
from shared.metadata.package_tables import package_files
from shared.metadata.tables import destruction_holds, instance_settings, metadata
from shared.metadata.tenant_tables import users
from shared.models import PackageFileStatus

_WAIT_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 3600.0
_ROWS_AT_ONCE = 500


async def take_snapshot(url: str, path: Path) -> None:
    """Write all rows of a database, as of one instant, into a new file, durably.

    Args:
        url: as `open_metadata_store` takes it; of this version's schema.
        path: absolute; nothing is there.

    Raises:
        MetadataUnavailable: the database does not answer.
        StorageFull: there is no room for the copy.
    """
    source = sqlite_path(url)
    with translated_faults(path.parent):
        # It holds digests of tokens. SQLite fills an empty file as it would make a new one.
        await asyncio.to_thread(path.touch, 0o600, exist_ok=False)
        if source is not None:
            await _blocking(lambda connection: _vacuum(connection, path), source)
        else:
            await _copy_out(postgresql_url(url), path)
    await asyncio.to_thread(_sync, path)


async def settle_snapshot(path: Path) -> None:
    """Bring a copied snapshot up to this version's schema, and end in it what only its own time had.

    Nobody holds its blobs any more, no worker has its files, and its doomed files wait from now on. Its blob store gets
    a name of its own: under the old one it would take the store of the registry that it is a copy of for its own.

    Raises:
        SchemaUnknown: a newer version wrote it.
    """
    await migrate(f"sqlite:///{path}")
    with translated_faults(path.parent):
        async with _sqlite(path) as connection:
            await connection.execute(delete(destruction_holds))
            await connection.execute(delete(instance_settings).where(instance_settings.c.name == BLOB_STORE_NAME))
            await connection.execute(
                update(package_files)
                .where(package_files.c.status == PackageFileStatus.PROCESSING)
                .values(leased_until=None)
            )
            await connection.execute(
                update(package_files)
                .where(package_files.c.status == PackageFileStatus.PENDING_DESTRUCTION)
                .values(doomed_at=datetime.now(UTC))
            )
            await connection.execute(update(package_files).values(scrub_held_until=None))
            await connection.commit()


async def require_empty(url: str) -> None:
    """Return when a snapshot can be put in the place of this database.

    Raises:
        DatabaseNotEmpty: there are rows, or a file.
        MetadataUnavailable: the database does not answer.
    """
    path = sqlite_path(url)
    if path is not None:
        if await asyncio.to_thread(path.exists):
            raise DatabaseNotEmpty
        return
    with translated_faults():
        async with _postgresql(postgresql_url(url), "READ COMMITTED") as connection:
            if await connection.run_sync(lambda sync: inspect(sync).has_table(users.name)):
                await _require_no_users(connection)


async def load_snapshot(path: Path, url: str) -> None:
    """Put a settled snapshot in the place of a database that is not there yet, or is empty; whole or not at all.

    Args:
        path: of the snapshot; used up where the database is a file on the same file system.

    Raises:
        DatabaseNotEmpty: there are rows, or a file.
        MetadataUnavailable, StorageFull: it could not be done; nothing has changed.
    """
    target = sqlite_path(url)
    with translated_faults(path.parent):
        await _blocking(_leave_write_ahead_log, path)
        if target is None:
            await _copy_in(path, url)
        else:
            await asyncio.to_thread(_move, path, target)


def _vacuum(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("VACUUM INTO ?", (str(path),))


def _leave_write_ahead_log(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=DELETE")


async def _blocking(work: Callable[[sqlite3.Connection], None], path: Path) -> None:
    """Do work on a connection in a thread; a cancellation interrupts the statement, and is raised when it has ended."""
    with closing(await asyncio.to_thread(_connect, path)) as connection:
        working = asyncio.ensure_future(asyncio.to_thread(work, connection))
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            connection.interrupt()
            await asyncio.wait([working])
            working.exception()
            raise


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )


async def _copy_out(url: URL, path: Path) -> None:
    await migrate(f"sqlite:///{path}")
    async with _postgresql(url, "REPEATABLE READ") as source, _sqlite(path) as target:
        await target.execute(text("PRAGMA defer_foreign_keys=ON"))
        await _copy_tables(source, target)
        for table in _counted_tables():
            last = await source.scalar(
                text("SELECT pg_sequence_last_value(pg_get_serial_sequence(:name, 'id')::regclass)"),
                {"name": table.name},
            )
            # Before any row of the table it has no line yet.
            await target.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
            await target.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"),
                {"name": table.name, "last": last or 0},
            )
        await target.commit()
    await _blocking(_leave_write_ahead_log, path)


async def _copy_in(path: Path, url: str) -> None:
    await migrate(url)
    async with _sqlite(path) as source, _postgresql(postgresql_url(url), "READ COMMITTED") as target:
        await _require_no_users(target)
        for table in _counted_tables():
            await target.execute(text(f"ALTER TABLE {table.name} ALTER COLUMN id SET GENERATED BY DEFAULT"))
        await _copy_tables(source, target)
        for table in _counted_tables():
            await target.execute(text(f"ALTER TABLE {table.name} ALTER COLUMN id SET GENERATED ALWAYS"))
            last = await source.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
            if last:
                await target.execute(
                    text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"),
                    {"name": table.name, "last": last},
                )
        await target.commit()


async def _require_no_users(connection: AsyncConnection) -> None:
    # Every registry has an administrator from its first start on.
    if await connection.scalar(select(users.c.id).limit(1)) is not None:
        raise DatabaseNotEmpty


async def _copy_tables(source: AsyncConnection, target: AsyncConnection) -> None:
    # By id, because a group is older than those in it; and what is referred to before what refers.
    for table in metadata.sorted_tables:
        rows = await source.stream(select(table).order_by(*table.primary_key.columns))
        async for some in rows.partitions(_ROWS_AT_ONCE):
            await target.execute(insert(table), [dict(row._mapping) for row in some])


def _counted_tables() -> list[Table]:
    """Return the tables whose ids the database counts."""
    return [table for table in metadata.sorted_tables if "id" in table.c and table.c.id.identity is not None]


@asynccontextmanager
async def _sqlite(path: Path) -> AsyncIterator[AsyncConnection]:
    engine = sqlite_engine(path, pool_size=1, begin="BEGIN IMMEDIATE", pragmas=("synchronous=FULL", "foreign_keys=ON"))
    async with disposed(engine), engine.connect() as connection:
        yield connection


@asynccontextmanager
async def _postgresql(url: URL, isolation: str) -> AsyncIterator[AsyncConnection]:
    engine = postgresql_engine(
        url,
        pool_size=1,
        settings={"lock_timeout": milliseconds(_WAIT_SECONDS)},
        connect_seconds=_CONNECT_SECONDS,
        statement_seconds=_STATEMENT_SECONDS,
    ).execution_options(isolation_level=isolation)
    async with disposed(engine), engine.connect() as connection:
        yield connection


def _move(path: Path, target: Path) -> None:
    """Give the file its final name, durably, and never in the place of another."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except FileExistsError as error:
        raise DatabaseNotEmpty from error
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(path, target)
    path.unlink()
    _sync(target)


def _copy(path: Path, target: Path) -> None:
    """Copy to another file system: beside the target first, so that it is there whole or not at all."""
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(path, beside)
        beside.chmod(0o600)
        _sync(beside)
        os.link(beside, target)
    except FileExistsError as error:
        raise DatabaseNotEmpty from error
    finally:
        beside.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make a file durable, and its name."""
    for place, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(place, flags | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
