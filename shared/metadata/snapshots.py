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
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import DatabaseNotEmpty
from shared.metadata.engine import postgresql_url, sqlite_path
from shared.metadata.faults import translated_faults
from shared.metadata.inventory import BLOB_STORE_NAME
from shared.metadata.migrate import check_revision, migrate
from shared.metadata.package_tables import package_files
from shared.metadata.table_copies import (
    WAIT_SECONDS,
    copy_to_file,
    copy_to_server,
    postgresql_connection,
    sqlite_connection,
)
from shared.metadata.tables import destruction_holds, instance_settings
from shared.metadata.tenant_tables import users
from shared.models import PackageFileStatus


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
    async with (
        sqlite_connection(source, begin="BEGIN")
        if source
        else postgresql_connection(postgresql_url(url), "REPEATABLE READ")
    ) as connection:
        await snapshot_of(connection, path)


async def snapshot_of(connection: AsyncConnection, path: Path) -> None:
    """Like `take_snapshot`, of what a connection sees; on SQLite it is in no transaction, on PostgreSQL in one."""
    with translated_faults(path.parent):
        # It holds digests of tokens. SQLite fills an empty file as it would make a new one.
        await asyncio.to_thread(path.touch, 0o600, exist_ok=False)
        if connection.dialect.name == "sqlite":
            await _vacuum_into(connection, path)
        else:
            await _copy_out(connection, path)
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
        async with sqlite_connection(path) as connection:
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
        SchemaUnknown: it holds a schema that this version does not know.
        MetadataUnavailable: the database does not answer.
    """
    path = sqlite_path(url)
    if path is not None:
        await asyncio.to_thread(_require_nothing, path)
        return
    with translated_faults():
        async with postgresql_connection(postgresql_url(url), "READ COMMITTED") as connection:
            if await connection.run_sync(lambda sync: inspect(sync).has_table(users.name)):
                await _require_no_users(connection)
            await connection.run_sync(check_revision)


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
        await asyncio.to_thread(_leave_write_ahead_log, path)
        if target is None:
            await _copy_in(path, url)
        else:
            await asyncio.to_thread(_move, path, target)


async def _vacuum_into(connection: AsyncConnection, path: Path) -> None:
    """Have SQLite copy its rows; a cancellation interrupts it, and is raised when it has ended."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    working = asyncio.ensure_future(driver.execute("VACUUM INTO ?", (str(path),)))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await driver.interrupt()
        await asyncio.wait([working])
        if not working.cancelled():
            working.exception()
        raise


async def _copy_out(source: AsyncConnection, path: Path) -> None:
    await migrate(f"sqlite:///{path}")
    async with sqlite_connection(path) as target:
        await copy_to_file(source, target)
        await target.commit()
    await asyncio.to_thread(_leave_write_ahead_log, path)


def _leave_write_ahead_log(path: Path) -> None:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS, isolation_level=None)
    with closing(connection):
        connection.execute("PRAGMA journal_mode=DELETE")


async def _copy_in(path: Path, url: str) -> None:
    await migrate(url)
    async with (
        sqlite_connection(path) as source,
        postgresql_connection(postgresql_url(url), "READ COMMITTED") as target,
    ):
        await _require_no_users(target)
        await copy_to_server(source, target)
        await target.commit()


async def _require_no_users(connection: AsyncConnection) -> None:
    # Every registry has an administrator from its first start on.
    if await connection.scalar(select(users.c.id).limit(1)) is not None:
        raise DatabaseNotEmpty


def _require_nothing(path: Path) -> None:
    """Return when nothing of a SQLite database is there: what another one has left in its log would be read into it.

    Raises:
        DatabaseNotEmpty: there is something.
    """
    if any(Path(f"{path}{ending}").exists() for ending in ("", "-wal", "-shm", "-journal")):
        raise DatabaseNotEmpty


def _move(path: Path, target: Path) -> None:
    """Give the file its final name, durably, and never in the place of another."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_nothing(target)
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
