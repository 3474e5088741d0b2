"""Transactions: all or nothing, what they count, what their readers see."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text

from shared.errors import RecordInvalid
from shared.metadata.package_tables import package_names
from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.metadata.tables import audit_events
from shared.models import (
    AccessLevel,
    AccessToken,
    CounterScope,
    PackageFile,
    PackageFileStatus,
    PackageStatus,
    Project,
    TokenKind,
    User,
)
from shared.ports.metadata_store import AuditEvent
from tests.contracts.metadata.sample_rows import (
    DIGESTS,
    add_group,
    add_project,
    add_user,
    doom,
    lease,
    lease_end,
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


async def touched_by(store: SqlMetadataStore, change: Callable[[SqlWriting], Awaitable[object]]) -> set[Scope]:
    """Return the scopes whose counters the change bumps; each by one."""
    before = await all_counters(store)
    async with store.writing() as rows:
        await change(rows)
    after = await all_counters(store)
    moved = {scope: after[scope] - before.get(scope, 0) for scope in after if after[scope] != before.get(scope, 0)}
    assert set(moved.values()) <= {1}, "one transaction counts once, whatever it does"
    return set(moved)


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
        assert not await rows.packages.has_blob(file.blob_key)
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


async def test_a_cancelled_transaction_leaves_nothing_and_the_store_goes_on(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    for steps in range(1, 12):
        entered = asyncio.Event()

        async def work(entered: asyncio.Event = entered) -> None:
            async with store.writing() as rows:
                entered.set()
                package, _ = await rows.packages.find_or_add(new_package(project.id))
                await rows.packages.add_file(new_file(package))
                await rows.audit(AuditEvent(action="a", actor="b", target="c"))
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await entered.wait()
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with store.reading() as rows:
        assert await rows.packages.index(project.id) == ()
        assert await rows._transaction.rows(select(audit_events.c.id)) == []
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
    async with asyncio.timeout(5), store.reading() as reader:
        assert await reader.packages.index(project.id) == ()
        async with store.writing() as writer:
            await writer.packages.find_or_add(new_package(project.id))
            async with store.reading() as other:
                assert await other.packages.index(project.id) == ()


async def test_a_reader_cannot_write(store: SqlMetadataStore) -> None:
    with pytest.raises(Exception, match=r"read-?only|readonly"):
        async with store.reading() as rows:
            await rows._transaction.change(text("DELETE FROM change_counters"))


async def test_package_changes_count_for_their_project_and_bookkeeping_for_nobody(store: SqlMetadataStore) -> None:
    project, _ = await new_project(store), await new_project(store, "other")
    file = await upload(store, project)
    own = {(CounterScope.PROJECT, project.id)}

    async def touches(change: Callable[[SqlWriting], Awaitable[object]]) -> set[Scope]:
        async def locked(rows: SqlWriting) -> None:
            await rows.packages.lock(file.package_id)
            await change(rows)

        return await touched_by(store, locked)

    new = new_package(project.id)
    assert await touches(lambda rows: rows.packages.find_or_add(new)) == set()
    assert await touches(lambda rows: rows.packages.find_or_add(new_package(project.id, version="2"))) == own
    assert await touches(lambda rows: rows.packages.take_lease(file.id, attempt=1, until=lease_end())) == set()
    assert await touches(lambda rows: rows.packages.renew_lease(file.id, attempt=1, until=lease_end())) == set()
    assert await touches(lambda rows: rows.packages.next_attempt(file.id, attempt=1)) == set()
    assert await touches(lambda rows: rows.packages.refuse_file(file.id, attempt=2, reason="")) == set()
    assert await touches(lambda rows: rows.packages.take_lease(file.id, attempt=2, until=lease_end())) == set()
    assert await touches(lambda rows: accept_twice(rows, file)) == own
    any_file, any_package = frozenset(PackageFileStatus), frozenset(PackageStatus)
    assert await touches(lambda rows: rows.packages.doom_file(file.id, source=frozenset())) == set()
    assert await touches(lambda rows: rows.packages.doom_file(file.id, source=any_file)) == own
    assert await touches(lambda rows: rows.packages.doom_package(file.package_id, source=any_package)) == own
    assert await touches(lambda rows: rows.packages.doom_package(file.package_id, source=any_package)) == set()
    doomed = PackageFileStatus.PENDING_DESTRUCTION
    assert await touches(lambda rows: rows.packages.remove_package_if_empty(file.package_id)) == set()
    assert await touches(lambda rows: rows.packages.remove_file(file.id, source=doomed)) == own
    assert await touches(lambda rows: rows.packages.remove_package_if_empty(file.package_id)) == own


async def accept_twice(rows: SqlWriting, file: PackageFile) -> None:
    assert await rows.packages.accept_file(file.id, attempt=2, digests=DIGESTS, metadata=None)
    assert not await rows.packages.accept_file(file.id, attempt=2, digests=DIGESTS, metadata=None)


async def test_a_refusal_and_a_sweep_count_for_their_project(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    own = {(CounterScope.PROJECT, project.id)}
    file = await upload(store, project)
    await lease(store, file)

    async def refuse(rows: SqlWriting) -> None:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.refuse_file(file.id, attempt=1, reason="")

    async def empty(rows: SqlWriting) -> None:
        await rows.packages.lock(file.package_id)
        await rows.packages.doom_package(file.package_id, source=frozenset(PackageStatus))
        await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)

    assert await touched_by(store, refuse) == own
    assert await touched_by(store, empty) == own
    assert await touched_by(store, lambda rows: rows.packages.remove_doomed_empty_packages(limit=9)) == own
    assert await touched_by(store, lambda rows: rows.packages.remove_doomed_empty_packages(limit=9)) == set()


async def test_access_facts_count_for_their_top_level_namespace(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        project = await add_project(rows, team)
    own = {(CounterScope.NAMESPACE, top.id)}
    level = AccessLevel.GUEST

    async def refused(rows: SqlWriting) -> None:
        with pytest.raises(RecordInvalid):
            await add_group(rows, "team", parent=top)
        with pytest.raises(RecordInvalid):
            await add_project(rows, team)

    assert await touched_by(store, lambda rows: add_group(rows, "sub", parent=team)) == own
    assert await touched_by(store, lambda rows: add_project(rows, team, "another")) == own
    assert own == await touched_by(
        store, lambda rows: rows.tenants.add_namespace_member(team, ada.id, level=level, expires_at=None)
    )
    assert own == await touched_by(
        store, lambda rows: rows.tenants.add_project_member(project, ada.id, level=level, expires_at=None)
    )
    assert await touched_by(store, refused) == set()


async def test_a_new_top_level_namespace_counts_for_itself_and_a_user_too(store: SqlMetadataStore) -> None:
    touched = await touched_by(store, lambda rows: add_group(rows, "top"))
    async with store.reading() as rows:
        top = await rows.tenants.namespace_by_path("top")
    assert top is not None
    assert touched == {(CounterScope.NAMESPACE, top.id)}
    touched = await touched_by(store, add_user)
    async with store.reading() as rows:
        ada = await rows.tenants.user_by_username("ada")
    assert ada is not None
    assert touched == {(CounterScope.NAMESPACE, ada.namespace_id), (CounterScope.USER, ada.id)}


async def test_personal_tokens_count_for_their_user_and_their_use_for_nobody(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        token = await add_token(rows, ada, "a")
    own = {(CounterScope.USER, ada.id)}
    now = datetime.now(UTC)
    assert await touched_by(store, lambda rows: add_token(rows, ada, "b")) == own
    assert await touched_by(store, lambda rows: rows.tokens.mark_used(token.id, at=now)) == set()
    assert await touched_by(store, lambda rows: rows.tokens.revoke(token.id, at=now)) == own
    assert await touched_by(store, lambda rows: rows.tokens.revoke(token.id, at=now)) == set()
    assert await touched_by(store, lambda rows: rows.tokens.replace_secret(token.id, digest="c")) == own


async def add_token(rows: SqlWriting, user: User, digest: str) -> AccessToken:
    return await rows.tokens.add(
        kind=TokenKind.PERSONAL, digest=digest, name="laptop", user_id=user.id, scopes=("api",), expires_at=None
    )


async def test_counters_of_scopes_that_never_changed_are_zero(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await publish(store, project)
    wanted = [(CounterScope.PROJECT, project.id), (CounterScope.USER, project.id), (CounterScope.INSTANCE, 0)]
    async with store.reading() as rows:
        found = await rows.counters(wanted)
        assert await rows.counters([]) == {}
    assert list(found.values()) == [2, 0, 0]
    assert list(found) == wanted


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


async def test_the_first_package_of_a_name_notes_the_name_for_ever(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    names = select(package_names.c.normalized_name, package_names.c.first_seen_at, package_names.c.status)
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
