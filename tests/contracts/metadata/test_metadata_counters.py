"""Change counters: which changes count, and for whom."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from shared.errors import RecordInvalid
from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.models import AccessLevel, CounterScope, PackageFile, PackageFileStatus, PackageStatus, User
from shared.principals import AccessToken
from tests.contracts.metadata.plans import heard
from tests.contracts.metadata.sample_rows import (
    DIGESTS,
    add_group,
    add_project,
    add_user,
    lease,
    lease_end,
    new_package,
    new_project,
    publish,
    upload,
)

Scope = tuple[CounterScope, int]


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
    until = lease_end()
    assert await touches(lambda rows: rows.packages.renew_lease(file.id, attempt=1, until=until)) == set()
    assert await touches(lambda rows: rows.packages.note_promise(file.id)) == set()
    assert await touches(lambda rows: rows.packages.next_attempt(file.id, attempt=1, leased_until=until)) == set()
    assert await touches(lambda rows: rows.packages.refuse_file(file.id, attempt=2, reason="")) == set()
    assert await touches(lambda rows: rows.packages.take_lease(file.id, attempt=2, until=lease_end())) == set()
    assert await touches(lambda rows: accept_twice(rows, file)) == own
    any_file, any_package = frozenset(PackageFileStatus), frozenset(PackageStatus)
    downloads = {file.package_id: datetime.now(UTC)}
    assert await touches(lambda rows: rows.packages.note_downloads(downloads, grain=timedelta(minutes=1))) == set()
    assert await touches(lambda rows: change_status(rows, file, source=any_package)) == own
    assert await touches(lambda rows: change_status(rows, file, source=frozenset())) == set()
    assert await touches(lambda rows: rows.packages.doom_file(file.id, source=frozenset())) == set()
    assert await touches(lambda rows: rows.packages.doom_file(file.id, source=any_file)) == own
    assert await touches(lambda rows: rows.packages.postpone_destruction(file.id, reason="away")) == set()
    assert await touches(lambda rows: rows.packages.doom_package(file.package_id, source=any_package)) == own
    assert await touches(lambda rows: rows.packages.doom_package(file.package_id, source=any_package)) == set()
    doomed = PackageFileStatus.PENDING_DESTRUCTION
    assert await touches(lambda rows: rows.packages.remove_package_if_empty(file.package_id)) == set()
    assert await touches(lambda rows: rows.packages.remove_file(file.id, source=doomed)) == own
    assert await touches(lambda rows: rows.packages.remove_package_if_empty(file.package_id)) == own


async def change_status(rows: SqlWriting, file: PackageFile, *, source: frozenset[PackageStatus]) -> None:
    await rows.packages.change_status(file.package_id, source=source, status=PackageStatus.HIDDEN)


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
    return await rows.tokens.add_personal(user.id, digest=digest, name="laptop", scopes=("api",), expires_at=None)


async def test_counters_of_scopes_that_never_changed_are_zero(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await publish(store, project)
    wanted = [(CounterScope.PROJECT, project.id), (CounterScope.USER, project.id), (CounterScope.INSTANCE, 0)]
    async with store.reading() as rows:
        found = await rows.counters(wanted)
        assert await rows.counters([]) == {}
    assert list(found.values()) == [2, 0, 0]
    assert list(found) == wanted


async def test_counters_are_bumped_last_and_in_sorted_order(store: SqlMetadataStore) -> None:
    projects = [await new_project(store, f"project-{number}") for number in range(12)]
    with ExitStack() as hearing:  # What the commit sends is heard, too.
        async with store.writing() as rows:
            statements = hearing.enter_context(heard(rows))
            for project in reversed(projects):
                await rows.packages.find_or_add(new_package(project.id))
            await add_user(rows)
    is_bump = ["INTO change_counters" in statement for statement, _ in statements]
    assert is_bump == sorted(is_bump)
    bumped = [tuple(parameters[:2]) for statement, parameters in statements if "INTO change_counters" in statement]
    assert len(bumped) == 14
    assert bumped == sorted(bumped)
