"""A connection that writes to SQLite and has broken for good is replaced; nothing is lost but what failed on it."""

import asyncio
import sqlite3

import pytest

from shared.metadata.sqlite_doors import SqliteWriter
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
    await asyncio.to_thread(writer._connection.driver._conn.close)

    with pytest.raises(sqlite3.ProgrammingError):
        await new_project(store, path="lost")

    after = await new_project(store, path="after")
    async with store.reading() as rows:
        assert await rows.tenants.project(after.id) == after
