"""A connection to SQLite that has broken for good is replaced by another; nothing is lost but what failed on it."""

import asyncio
import sqlite3

import pytest
from sqlalchemy.exc import ProgrammingError

from shared.metadata.sqlite_doors import SqliteReaders, SqliteWriter
from shared.metadata.store import SqlMetadataStore
from tests.contracts.metadata.sample_rows import new_project


@pytest.fixture
def engine() -> str:
    return "sqlite"


async def test_the_one_that_writes(store: SqlMetadataStore) -> None:
    await new_project(store, path="before")
    writer = store.doors.writer
    assert isinstance(writer, SqliteWriter)
    assert writer._connection is not None
    await asyncio.to_thread(writer._connection.driver._conn.close)

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
    await asyncio.to_thread(connection.driver._conn.close)

    with pytest.raises((sqlite3.ProgrammingError, ProgrammingError)):
        async with store.reading() as rows:
            await rows.tenants.project(project.id)

    async with store.reading() as rows:
        assert await rows.tenants.project(project.id) == project
