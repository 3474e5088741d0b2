"""Transactions that wait for each other: on SQLite they share a commit, and nobody can tell but by the clock."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
from sqlalchemy import text

from shared.errors import MetadataUnavailable, NotFound, StorageFull
from shared.metadata.group_commit import Member
from shared.metadata.sqlite_doors import SqliteWriter
from shared.metadata.store import SqlMetadataStore
from shared.models import PackageFile, Project
from tests.contracts.metadata.sample_rows import new_file, new_package, new_project, upload
from tests.rows import nobody_writes
from tests.waiting import eventually

_AT_ONCE = 20


class PlannedError(Exception):
    """What a test raises to end a transaction."""


@pytest.fixture
async def project(store: SqlMetadataStore) -> Project:
    return await new_project(store)


def driver_of(store: SqlMetadataStore) -> sqlite3.Connection:
    """Return the connection that writes."""
    writer = store.doors.writer
    assert isinstance(writer, SqliteWriter)
    assert writer._connection is not None
    return writer._connection.driver._conn


@contextmanager
def commits(store: SqlMetadataStore, *, held_by: threading.Event | None = None) -> Iterator[list[str]]:
    """Note the commits of the connection that writes; they end only when the event is set."""
    noted: list[str] = []

    def note(statement: str) -> None:
        if statement == "COMMIT":
            noted.append(statement)
            assert held_by is None or held_by.wait(10)

    driver_of(store).set_trace_callback(note)  # Until it is closed: taking it away would wait for the commit.
    try:
        yield noted
    finally:
        if held_by is not None:
            held_by.set()


async def begun(noted: list[str]) -> None:
    async def is_begun() -> bool:
        return bool(noted)

    await eventually(is_begun, what="a commit begins", timeout_seconds=10)


async def files_of(store: SqlMetadataStore, uploads: list[asyncio.Task[PackageFile]]) -> list[PackageFile | None]:
    async with store.reading() as rows:
        return [await rows.packages.file(task.result().id) for task in uploads]


@asynccontextmanager
async def held_turn(store: SqlMetadataStore) -> AsyncIterator[None]:
    """Have all others wait while the block runs."""
    is_over, is_held = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with store.writing():
            is_held.set()
            await is_over.wait()

    holding = asyncio.create_task(hold())
    await is_held.wait()
    yield
    await asyncio.sleep(0)  # Those who were started within the block have come.
    is_over.set()
    await asyncio.sleep(0)
    del holding


def begin_uploads(store: SqlMetadataStore, project: Project, count: int) -> list[asyncio.Task[PackageFile]]:
    return [asyncio.create_task(upload(store, project, f"{number}.tar.gz")) for number in range(count)]


async def test_what_waits_together_is_all_there_when_it_is_told(store: SqlMetadataStore, project: Project) -> None:
    uploads = begin_uploads(store, project, _AT_ONCE)
    for task in uploads:
        file = await task
        async with store.reading() as rows:
            assert await rows.packages.file(file.id) == file


async def test_one_that_fails_leaves_nothing_and_the_others_their_work(
    store: SqlMetadataStore, project: Project
) -> None:
    async def fail(number: int) -> None:
        async with store.writing() as rows:
            package, _ = await rows.packages.find_or_add(new_package(project.id, name=f"failed-{number}"))
            await rows.packages.add_file(new_file(package))
            raise PlannedError

    uploads, failing = [], []
    for number in range(_AT_ONCE):
        uploads.append(asyncio.create_task(upload(store, project, f"{number}.tar.gz")))
        failing.append(asyncio.create_task(fail(number)))
    await asyncio.wait([*uploads, *failing])
    assert all(isinstance(task.exception(), PlannedError) for task in failing)
    assert await files_of(store, uploads) == [task.result() for task in uploads]
    async with store.reading() as rows:
        assert [line.name for line in await rows.packages.index(project.id)] == []
        assert (await rows._transaction.rows(text("SELECT count(*) FROM packages WHERE name LIKE 'failed-%'")))[0][
            0
        ] == 0


async def test_the_counters_tell_of_each_that_was_committed(store: SqlMetadataStore, project: Project) -> None:
    async with store.reading() as rows:
        before = await rows.packages.counters(project.id, limit=10)
    await asyncio.gather(*begin_uploads(store, project, _AT_ONCE))
    async with store.reading() as rows:
        after = await rows.packages.counters(project.id, limit=10)
    assert [after[scope] - before[scope] for scope in before] == [_AT_ONCE]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
class TestOnSqlite:
    @pytest.fixture(autouse=True)
    def _groups_wait_for_a_slow_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shared.metadata.group_commit._LONGEST_SECONDS", 60.0)

    async def test_those_that_wait_together_share_commits(self, store: SqlMetadataStore, project: Project) -> None:
        with commits(store) as noted:
            await asyncio.gather(*begin_uploads(store, project, _AT_ONCE))
        assert 0 < len(noted) < _AT_ONCE

    async def test_nobody_is_told_before_the_commit(self, store: SqlMetadataStore, project: Project) -> None:
        may_end = threading.Event()
        with commits(store, held_by=may_end) as noted:
            async with held_turn(store):
                uploads = begin_uploads(store, project, 5)
            await begun(noted)
            assert not any(task.done() for task in uploads)
            async with store.reading() as rows:
                assert await rows._transaction.rows(text("SELECT id FROM package_files")) == []
            may_end.set()
            await asyncio.wait(uploads)
        assert await files_of(store, uploads) == [task.result() for task in uploads]

    async def test_a_cancelled_one_whose_commit_is_under_way_waits_for_its_end(
        self, store: SqlMetadataStore, project: Project
    ) -> None:
        may_end = threading.Event()
        with commits(store, held_by=may_end) as noted:
            async with held_turn(store):
                uploads = begin_uploads(store, project, 5)
            await begun(noted)
            for _ in range(3):
                uploads[0].cancel()
                uploads[4].cancel()
                await asyncio.sleep(0)
            assert not any(task.done() for task in uploads)
            may_end.set()
            await asyncio.wait(uploads)
        assert [task.cancelled() for task in uploads] == [True, False, False, False, True]
        async with store.reading() as rows:
            assert len(await rows._transaction.rows(text("SELECT id FROM package_files"))) == 5
        await upload(store, project, "after.tar.gz")

    async def test_one_that_is_cancelled_before_leaves_the_commit_to_the_others(
        self, store: SqlMetadataStore, project: Project
    ) -> None:
        begun = asyncio.Event()

        async def wait_within() -> None:
            async with store.writing() as rows:
                await rows.packages.find_or_add(new_package(project.id, name="cancelled"))
                begun.set()
                await asyncio.Event().wait()

        first = asyncio.create_task(wait_within())
        await begun.wait()
        waiting = begin_uploads(store, project, 6)
        await asyncio.sleep(0)
        # The first has the turn, and the second gets it and is cancelled in the same moment.
        first.cancel()
        waiting[0].cancel()
        await asyncio.sleep(0)
        waiting[5].cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([first, *waiting])
        assert first.cancelled()
        done = [task for task in waiting if not task.cancelled()]
        assert len(done) >= 4
        assert await files_of(store, done) == [task.result() for task in done]
        async with store.reading() as rows:
            found = await rows._transaction.rows(text("SELECT file_name FROM package_files ORDER BY id"))
            assert await rows._transaction.rows(text("SELECT id FROM packages WHERE name = 'cancelled'")) == []
        assert [row.file_name for row in found] == [task.result().file_name for task in done]

    async def test_when_the_commit_fails_all_have_failed(self, store: SqlMetadataStore, project: Project) -> None:
        async def break_the_commit() -> None:
            async with store.writing() as rows:
                # Looked at by the commit alone.
                await rows._transaction.change(text("PRAGMA defer_foreign_keys=ON"))
                await rows._transaction.change(
                    text("INSERT INTO package_file_metadata (file_id, form) VALUES (12345, '{}')")
                )

        async with held_turn(store):
            uploads = begin_uploads(store, project, 2)
            await asyncio.sleep(0)
            breaking = asyncio.create_task(break_the_commit())
            await asyncio.sleep(0)
            uploads += [asyncio.create_task(upload(store, project, "more.tar.gz"))]
        await asyncio.wait([breaking, *uploads])
        told = [type(task.exception()) for task in (breaking, *uploads)]
        assert told == [sqlite3.IntegrityError] * 4
        async with store.reading() as rows:
            assert await rows._transaction.rows(text("SELECT id FROM package_files")) == []
        await upload(store, project, "after.tar.gz")

    async def test_one_whose_transaction_has_ended_unseen_is_told_that_its_work_is_lost(
        self, store: SqlMetadataStore, project: Project
    ) -> None:
        async def work_that_is_lost() -> None:
            async with store.writing() as rows:
                await rows.packages.find_or_add(new_package(project.id, name="lost"))
                driver_of(store).execute("ROLLBACK")

        with pytest.raises(MetadataUnavailable):
            await work_that_is_lost()
        after = await upload(store, project, "after.tar.gz")
        async with store.reading() as rows:
            assert await rows.packages.file(after.id) == after
            assert [line.name for line in await rows.packages.index(project.id)] == []

    async def test_when_one_ends_the_transaction_for_all_nobody_is_told_of_success(
        self, store: SqlMetadataStore, project: Project
    ) -> None:
        driver = driver_of(store)
        ((pages,),) = driver.execute("PRAGMA page_count").fetchall()
        driver.execute(f"PRAGMA max_page_count={pages + 5}").fetchall()

        async def write_too_much() -> None:
            async with store.writing() as rows:
                await rows._transaction.change(text("CREATE TABLE large AS SELECT hex(zeroblob(200000)) AS digits"))

        async with held_turn(store):
            uploads = begin_uploads(store, project, 1)
            await asyncio.sleep(0)
            too_much = asyncio.create_task(write_too_much())
            await asyncio.sleep(0)
            later = asyncio.create_task(upload(store, project, "later.tar.gz"))
        await asyncio.wait([*uploads, too_much, later])
        assert isinstance(too_much.exception(), StorageFull)
        told = [task.result().file_name for task in [*uploads, later] if task.exception() is None]
        async with store.reading() as rows:
            found = await rows._transaction.rows(text("SELECT file_name FROM package_files ORDER BY id"))
        assert [row.file_name for row in found] == told
        assert later.exception() is None or isinstance(later.exception(), StorageFull)

    async def test_a_waiter_that_is_cancelled_as_the_turn_ends_keeps_nobody_from_the_commit(
        self, store: SqlMetadataStore, project: Project
    ) -> None:
        writer = store.doors.writer
        assert isinstance(writer, SqliteWriter)
        async with writer.transaction() as member:
            assert isinstance(member, Member)
            (waiting,) = begin_uploads(store, project, 1)
            await asyncio.sleep(0)
            assert len(writer._waiting) == 1
            pass_on = member._pass_on

            def cancel_and_pass_on() -> None:
                waiting.cancel()
                pass_on()

            member._pass_on = cancel_and_pass_on
            await member.commit()
        assert writer._group is None
        await asyncio.wait([waiting])
        await upload(store, project, "after.tar.gz")

    async def test_a_refusal_for_the_work_of_another_waits_until_that_is_durable(
        self, store: SqlMetadataStore, project: Project
    ) -> None:
        may_end = threading.Event()
        with commits(store, held_by=may_end) as noted:
            async with held_turn(store):
                first = begin_uploads(store, project, 1)
                await asyncio.sleep(0)
                refused = asyncio.create_task(self._refuse(store))
                await asyncio.sleep(0)
            await begun(noted)
            assert not refused.done()
            may_end.set()
            await asyncio.wait([*first, refused])
        assert isinstance(refused.exception(), NotFound)

    async def _refuse(self, store: SqlMetadataStore) -> None:
        async with store.writing():
            raise NotFound

    async def test_a_long_read_leaves_the_loop_to_others(self, store: SqlMetadataStore) -> None:
        slow = text(
            "WITH RECURSIVE steps(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM steps WHERE n < 300000)"
            " SELECT count(*) AS n FROM steps"
        )
        async with store.reading() as rows:
            counting = asyncio.create_task(rows._transaction.rows(slow))
            turns = 0
            while not counting.done():
                await asyncio.sleep(0)
                turns += 1
        assert counting.result()[0].n == 300_000
        assert turns > 2

    async def test_who_waits_for_another_process_goes_on_when_it_is_done(
        self, store: SqlMetadataStore, project: Project, database_url: str
    ) -> None:
        async with nobody_writes(database_url):
            uploading = asyncio.create_task(upload(store, project))
            await asyncio.wait({uploading}, timeout=0.1)
            assert not uploading.done()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await uploading
        assert (await files_of(store, [uploading])) == [uploading.result()]
