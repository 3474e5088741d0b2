"""Transactions: all or nothing, and what their readers see."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import delete, select, text

from shared.metadata.package_tables import package_names, packages
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.metadata.tables import audit_events
from shared.models import (
    CounterScope,
    PackageFileStatus,
    Project,
)
from shared.ports.metadata_store import AuditEvent
from tests.contracts.metadata.sample_rows import (
    DIGESTS,
    accept,
    add_user,
    doom,
    lease,
    new_file,
    new_package,
    new_project,
    package_of,
    publish,
    upload,
)

Scope = tuple[CounterScope, int]


class PlannedError(Exception):
    """What a test raises to end a transaction."""


async def all_counters(store: SqlMetadataStore) -> dict[Scope, int]:
    async with store.reading() as rows:
        found = await rows._transaction.rows(text("SELECT scope, id, value FROM change_counters"))
    return {(CounterScope(row.scope), row.id): row.value for row in found}


async def test_what_a_transaction_did_is_gone_when_it_raises(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    before = await all_counters(store)
    with suppress(PlannedError):
        async with store.writing() as rows:
            package, _ = await rows.packages.find_or_add(new_package(project.id))
            file = await rows.packages.add_file(new_file(package))
            await add_user(rows)
            await rows.audit(AuditEvent(action="a", actor="b", target="c"))
            raise PlannedError
    async with store.reading() as rows:
        assert await rows.packages.package(package.id) is None
        assert await rows.packages.file(file.id) is None
        assert not await rows.packages.known_blobs([file.blob_key])
        assert await rows.tenants.user_by_username("ada") is None
        assert await rows._transaction.rows(select(audit_events.c.id)) == []
        assert await rows._transaction.rows(select(package_names.c.normalized_name)) == []
    assert await all_counters(store) == before


async def test_nothing_is_seen_before_the_block_is_left(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with store.writing() as writer:
        package, _ = await writer.packages.find_or_add(new_package(project.id))
        assert await writer.packages.package(package.id) == package
        async with store.reading() as reader:
            assert await reader.packages.package(package.id) is None
    async with store.reading() as reader:
        assert await reader.packages.package(package.id) == package


async def test_a_cancelled_transaction_leaves_nothing_and_holds_up_nobody(
    store: SqlMetadataStore, database_url: str
) -> None:
    project = await new_project(store)

    async def upload_and_read() -> None:
        async with store.writing() as rows:
            package, _ = await rows.packages.find_or_add(new_package(project.id))
            await rows.packages.add_file(new_file(package))
            await rows.audit(AuditEvent(action="a", actor="b", target="c"))
            await rows.packages.lock(package.id)
            raise PlannedError

    async with open_metadata_store(database_url, wait_seconds=10) as other:
        for number in range(60):
            task = asyncio.create_task(upload_and_read())
            # Anywhere between the first statement and the last.
            await asyncio.wait([task], timeout=number * 0.0002)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or isinstance(task.exception(), PlannedError)
            async with other.writing() as rows:
                await add_user(rows, f"user-{number}")
    async with store.reading() as reader:
        assert await reader._transaction.rows(select(packages.c.id)) == []
        assert await reader._transaction.rows(select(audit_events.c.id)) == []
    await publish(store, project)


async def test_a_reader_sees_one_state_however_long_it_looks(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with store.reading() as rows:
        page = await rows.packages.page(project.id, new_package(project.id).normalized_name)
        await doom(store, file)
        await publish(store, project, "other-1.0.tar.gz", name="other")
        assert await rows.packages.file(file.id) == file
        assert [line.name for line in await rows.packages.index(project.id)] == ["demo"]
        assert await rows.packages.page(project.id, new_package(project.id).normalized_name) == page
    async with store.reading() as rows:
        assert [line.name for line in await rows.packages.index(project.id)] == ["other"]


async def test_a_reader_does_not_hold_up_a_writer_nor_a_writer_a_reader(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with asyncio.timeout(60), store.reading() as reader:
        assert await reader.packages.index(project.id) == ()
        async with store.writing() as writer:
            await writer.packages.find_or_add(new_package(project.id))
            async with store.reading() as other:
                assert await other.packages.index(project.id) == ()


async def test_a_reader_cannot_write(store: SqlMetadataStore) -> None:
    with pytest.raises(Exception, match=r"read-?only|readonly"):
        async with store.reading() as rows:
            await rows._transaction.change(text("DELETE FROM change_counters"))


async def test_an_audit_event_is_kept_with_its_time(store: SqlMetadataStore) -> None:
    before = datetime.now(UTC)
    event = AuditEvent(
        action="project.created",
        actor="user:7",
        target="project:4",
        project_id=4,
        namespace_id=2,
        token_id=9,
        details={"full_path": "a/b", "size_bytes": 5, "none": None},
    )
    async with store.writing() as rows:
        await rows.audit(event)
        await rows.audit(AuditEvent(action="a", actor="system", target="b"))
    async with store.reading() as rows:
        first, second = await rows._transaction.rows(select(audit_events).order_by(audit_events.c.id))
    assert (first.action, first.actor, first.target) == (event.action, event.actor, event.target)
    assert (first.project_id, first.namespace_id, first.token_id) == (4, 2, 9)
    assert first.details == event.details
    assert before <= first.created_at <= datetime.now(UTC)
    assert (second.project_id, second.namespace_id, second.token_id, second.details) == (None, None, None, None)


async def test_a_name_of_which_nothing_was_accepted_goes_with_its_last_package(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    files = [await upload(store, project, version=version) for version in ("1", "2")]
    left = []
    for file in files:
        async with store.writing() as rows:
            await rows.packages.lock(file.package_id)
            await rows.packages.remove_file(file.id, source=PackageFileStatus.PROCESSING)
            assert await rows.packages.remove_package_if_empty(file.package_id)
            left.append(len(await rows._transaction.rows(select(package_names.c.normalized_name))))
    assert left == [1, 0]


async def test_the_first_accepted_file_of_a_name_notes_the_name_for_ever(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    names = select(package_names.c.normalized_name, package_names.c.first_accepted_at, package_names.c.status)
    file = await publish(store, project)
    async with store.reading() as rows:
        before = await rows._transaction.rows(names)
    assert [(row.normalized_name, row.status) for row in before] == [("demo", "active")]
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
        await rows.packages.remove_package_if_empty(file.package_id)
    await publish(store, project, version="2")
    async with store.reading() as rows:
        assert await rows._transaction.rows(names) == before


async def test_an_accepted_file_makes_its_name_ours_though_the_names_row_was_removed(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    # Where two transactions run at once, one may remove the row while the other adds a package of that name.
    async with store.writing() as rows:
        await rows._transaction.change(delete(package_names))
    await accept(store, file)
    async with store.reading() as reader:
        (row,) = await reader._transaction.rows(select(package_names))
    assert (row.project_id, row.normalized_name, row.status) == (project.id, "demo", "active")
    assert row.first_accepted_at is not None


async def test_times_of_other_zones_are_stored_as_the_same_instant(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    until = datetime(2100, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    await lease(store, file, until=until)
    async with store.reading() as rows:
        found = await rows.packages.file(file.id)
    assert found is not None
    assert found.leased_until is not None
    assert found.leased_until.isoformat() == "2099-12-31T23:30:00+00:00"
    with pytest.raises(Exception, match="zone"):
        await lease(store, await upload(store, project, version="2"), until=datetime(2100, 1, 1))  # noqa: DTZ001


async def test_packages_are_updated_when_readers_would_notice(store: SqlMetadataStore, project_of: Project) -> None:
    file = await upload(store, project_of)
    waiting = await package_of(store, file)
    await lease(store, file)
    assert await package_of(store, file) == waiting
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.accept_file(file.id, attempt=1, digests=DIGESTS, metadata=None)
    assert (await package_of(store, file)).updated_at > waiting.updated_at


@pytest.fixture
async def project_of(store: SqlMetadataStore) -> Project:
    return await new_project(store)
