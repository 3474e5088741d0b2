"""A connection that writes to SQLite and has broken for good is replaced; nothing is lost but what failed on it."""

import sqlite3

import pytest

from shared.metadata.sqlite_doors import SqliteReaders, SqliteWriter
from shared.metadata.store import SqlMetadataStore
from tests.contracts.metadata.sample_rows import new_project


@pytest.fixture
def engine() -> str:
    return "sqlite"


async def test_the_next_transaction_gets_another_one(store: SqlMetadataStore) -> None:
    await new_project(store, path="before")
    writer = store.doors.writer
    assert isinstance(writer, SqliteWriter)
    assert writer._connection is not None
    await writer._connection.driver._visit(writer._connection.driver._conn.close)

    with pytest.raises(sqlite3.ProgrammingError):
        await new_project(store, path="lost")

    after = await new_project(store, path="after")
    async with store.reading() as rows:
        assert await rows.tenants.project(after.id) == after


async def test_one_that_reads(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with store.reading() as rows:
        await rows.tenants.project(project.id)
    readers = store.doors.reader
    assert isinstance(readers, SqliteReaders)
    (connection,) = readers.free
    await connection.driver._visit(connection.driver._conn.close)  # In its own thread: it may be busy there.

    with pytest.raises(sqlite3.ProgrammingError):
        async with store.reading() as rows:
            await rows.tenants.project(project.id)

    async with store.reading() as rows:
        assert await rows.tenants.project(project.id) == project
    assert connection not in readers.free
