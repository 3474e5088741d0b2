"""SQLite files that are full, busy, missing or no databases."""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from shared.errors import MetadataDamaged, MetadataUnavailable, StorageFull
from shared.metadata.engine import sqlite_path
from shared.metadata.faults import translated_faults
from shared.metadata.migrate import migrate
from shared.metadata.package_tables import packages
from shared.metadata.schema import REVISION
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.ports.metadata_store import AuditEvent
from tests.contracts.metadata.sample_rows import new_package, new_project, publish, upload

_HOLD_WRITE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
print("released", flush=True)
"""


@pytest.fixture
def engine() -> str:
    return "sqlite"


def file_of(url: str) -> Path:
    path = sqlite_path(url)
    assert path is not None
    return path


@asynccontextmanager
async def write_lock_held_elsewhere(path: Path) -> AsyncIterator[Callable[[], object]]:
    """Have another process hold the write lock; give the call that makes it let go."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLD_WRITE_LOCK, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    try:
        yield lambda: process.stdin.write(b"\n")  # type: ignore[union-attr]  # asserted above
    finally:
        process.stdin.close()
        await process.communicate()


async def test_a_full_disk_is_told_and_the_store_goes_on(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    large = AuditEvent(action="x" * 20_000, actor="a", target="b")

    async def fill_the_disk() -> None:
        async with store.writing() as rows:
            await rows.packages.find_or_add(new_package(project.id))
            for _ in range(100):
                await rows.audit(large)

    async with store.writing() as rows:
        # The limit is the connection's; there is one for writing.
        await rows._transaction.rows(text("PRAGMA max_page_count = 1"))
    with pytest.raises(StorageFull):
        await fill_the_disk()
    async with store.reading() as reader:
        assert await reader._transaction.rows(select(packages.c.id)) == []
    async with store.writing() as rows:
        await rows._transaction.rows(text("PRAGMA max_page_count = 1000000"))
        await rows.audit(large)
    await publish(store, project)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (sqlite3.SQLITE_IOERR_WRITE, StorageFull),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StorageFull),
        (sqlite3.SQLITE_IOERR_FSYNC, MetadataUnavailable),
        (sqlite3.SQLITE_IOERR_DIR_FSYNC, MetadataUnavailable),
    ],
)
def test_a_failed_sync_tells_nobody_that_nothing_was_written_though_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: type[Exception]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    fault = sqlite3.OperationalError("disk I/O error")
    fault.sqlite_errorcode = code

    with pytest.raises(told), translated_faults(tmp_path):
        raise OperationalError("COMMIT", None, fault)


async def test_a_database_that_another_process_keeps_busy_is_unavailable_until_it_lets_go(database_url: str) -> None:
    path = file_of(database_url)
    async with open_metadata_store(database_url, wait_seconds=1) as store:
        project = await new_project(store)
        async with write_lock_held_elsewhere(path) as release:
            with pytest.raises(MetadataUnavailable):
                await upload(store, project)
            async with store.reading() as rows:
                assert await rows.tenants.project(project.id) == project
            release()
        await publish(store, project)


async def test_a_writer_waits_for_another_process_that_lets_go_in_time(database_url: str) -> None:
    path = file_of(database_url)
    async with open_metadata_store(database_url, wait_seconds=60) as store:
        project = await new_project(store)
        async with write_lock_held_elsewhere(path) as release:
            waiting = asyncio.create_task(upload(store, project))
            done, _ = await asyncio.wait([waiting], timeout=0.3)
            assert not done
            release()
            assert (await waiting).attempt == 1


async def test_a_migration_waits_for_another_process_that_lets_go_in_time(empty_url: str) -> None:
    async with write_lock_held_elsewhere(file_of(empty_url)) as release:
        with pytest.raises(MetadataUnavailable):
            await migrate(empty_url, wait_seconds=1)
        waiting = asyncio.create_task(migrate(empty_url))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        release()
        assert await waiting == (None, REVISION)


async def test_a_database_in_a_directory_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nowhere/larder.sqlite3"
    with pytest.raises(MetadataUnavailable):
        await migrate(url)
    async with open_metadata_store(url) as store:
        with pytest.raises(MetadataUnavailable):
            await store.check_schema()
        with pytest.raises(MetadataUnavailable):
            async with store.writing():
                pass


async def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "larder.sqlite3"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(MetadataDamaged):
        await migrate(f"sqlite:///{path}")
    async with open_metadata_store(f"sqlite:///{path}") as store:
        with pytest.raises(MetadataDamaged):
            await store.check_schema()


async def test_a_file_that_was_cut_short_is_damaged(database_url: str) -> None:
    path = file_of(database_url)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(MetadataDamaged):
        await migrate(database_url)


async def test_writes_are_synced_logged_ahead_and_checked(database_url: str, store: SqlMetadataStore) -> None:
    path = file_of(database_url)
    async with store.writing() as rows:
        pragmas = {
            name: (await rows._transaction.rows(text(f"PRAGMA {name}")))[0][0]
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }
    assert pragmas == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_an_idle_store_holds_no_transaction(database_url: str, store: SqlMetadataStore) -> None:
    path = file_of(database_url)
    await publish(store, await new_project(store))
    connection = sqlite3.connect(path, timeout=0)
    # Truncating the log needs that nobody reads from it.
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    connection.close()


async def test_a_sqlite_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(MetadataUnavailable, match=r"SQLite 3\.35\.0 is needed"):
        await migrate(f"sqlite:///{tmp_path}/larder.sqlite3")
