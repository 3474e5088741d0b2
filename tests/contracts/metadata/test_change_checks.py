"""Looks at the change counters: what was committed before one began is seen, and nothing is left open behind it."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.metadata.change_checks import PostgresqlChecks, open_change_checks
from shared.metadata.engine import sqlite_path
from shared.metadata.store import SqlMetadataStore
from shared.models import CounterScope, Project
from shared.ports.change_checks import INSTANCE, ChangeChecks, Scope, Stamps
from tests.contracts.metadata.sample_rows import add_user, new_package, new_project
from tests.waiting import eventually

_STEPS = 25


@pytest.fixture
async def checks(store: SqlMetadataStore, database_url: str) -> AsyncIterator[ChangeChecks]:
    """Open the checks of the store's database."""
    async with open_change_checks(database_url) as opened:
        yield opened


def scope_of(project: Project) -> Scope:
    return CounterScope.PROJECT, project.id


async def stamp(store: SqlMetadataStore, scopes: Iterable[Scope]) -> Stamps:
    async with store.reading() as rows:
        return Stamps(await rows.counters(scopes))


async def change(store: SqlMetadataStore, project: Project, name: str) -> None:
    async with store.writing() as rows:
        await rows.packages.find_or_add(new_package(project.id, name))


async def test_stamps_hold_until_one_of_their_scopes_changes(store: SqlMetadataStore, checks: ChangeChecks) -> None:
    own, other = await new_project(store), await new_project(store, "other")
    stamps = await stamp(store, [INSTANCE, scope_of(own)])
    assert [await checks.hold(stamps) for _ in range(3)] == [True] * 3
    await change(store, other, "of-the-other")
    assert [await checks.hold(stamps) for _ in range(3)] == [True] * 3
    await change(store, own, "of-its-own")
    assert [await checks.hold(stamps) for _ in range(3)] == [False] * 3
    assert await checks.hold(await stamp(store, [INSTANCE, scope_of(own)]))


async def test_many_are_told_by_one_look_or_not_at_once(store: SqlMetadataStore, checks: ChangeChecks) -> None:
    own, other = await new_project(store), await new_project(store, "other")
    stamps = [await stamp(store, [scope_of(own)]), await stamp(store, [scope_of(other)])]
    assert checks.hold_at_once(stamps) in ([True, True], None)
    await change(store, own, "of-its-own")
    assert checks.hold_at_once(stamps) in ([False, True], None)
    assert (checks.hold_at_once([]) is None) == isinstance(checks, PostgresqlChecks)


async def test_stamps_of_several_are_those_of_all_unless_something_changed(store: SqlMetadataStore) -> None:
    own, other = await new_project(store), await new_project(store, "other")
    before, of_other = await stamp(store, [INSTANCE, scope_of(own)]), await stamp(store, [INSTANCE, scope_of(other)])
    joint = Stamps.of_all([of_other, before])
    assert joint is not None
    assert joint.counters == {**before.counters, **of_other.counters}
    assert joint.read_at == before.read_at
    await change(store, own, "of-its-own")
    assert Stamps.of_all([before, of_other, await stamp(store, [scope_of(own)])]) is None


async def test_a_scope_that_never_changed_is_seen_when_it_does(store: SqlMetadataStore, checks: ChangeChecks) -> None:
    stamps = await stamp(store, [INSTANCE])
    assert await checks.hold(stamps)
    async with store.writing() as rows:
        await rows.settings.decide({"allow_guest_plus_roles_to_pull_packages": False})
    assert not await checks.hold(stamps)


async def test_bookkeeping_and_what_was_rolled_back_change_nothing(
    store: SqlMetadataStore, checks: ChangeChecks
) -> None:
    project = await new_project(store)
    stamps = await stamp(store, [scope_of(project)])
    with suppress(LookupError):
        async with store.writing() as rows:
            await rows.packages.find_or_add(new_package(project.id))
            raise LookupError
    assert await checks.hold(stamps)


async def test_one_among_many_scopes_is_seen(store: SqlMetadataStore, checks: ChangeChecks) -> None:
    project = await new_project(store)
    async with store.writing() as rows:
        await add_user(rows)
    never = [(CounterScope.PROJECT, 10_000 + number) for number in range(1_000)]
    stamps = await stamp(store, [INSTANCE, *never, scope_of(project), (CounterScope.USER, 1)])
    assert len(stamps.counters) == 1_003
    assert [await checks.hold(stamps) for _ in range(2)] == [True] * 2
    await change(store, project, "late")
    assert not await checks.hold(stamps)


async def test_a_commit_of_another_process_is_seen_by_the_next_look(
    store: SqlMetadataStore, checks: ChangeChecks, database_url: str
) -> None:
    project = await new_project(store)
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.contracts.metadata.stepping_writer",
        database_url,
        str(project.id),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    seen = []
    async with asyncio.timeout(60):
        for _ in range(_STEPS):
            stamps = await stamp(store, [scope_of(project)])
            assert await checks.hold(stamps)
            writer.stdin.write(b"\n")
            assert await writer.stdout.readline() == b"committed\n"
            seen.append(not await checks.hold(stamps))
        writer.stdin.close()
        assert await writer.wait() == 0
    assert seen == [True] * _STEPS


async def test_a_look_waits_for_no_writer_and_sees_what_it_commits(
    store: SqlMetadataStore, checks: ChangeChecks
) -> None:
    project = await new_project(store)
    stamps = await stamp(store, [scope_of(project)])
    async with asyncio.timeout(10), store.writing() as rows:
        await rows.packages.find_or_add(new_package(project.id))
        assert await checks.hold(stamps)
    assert not await checks.hold(stamps)


async def test_looks_that_are_asked_for_at_once_all_get_their_answers(
    store: SqlMetadataStore, checks: ChangeChecks
) -> None:
    projects = [await new_project(store, f"project-{number}") for number in range(8)]
    stamps = [await stamp(store, [scope_of(project)]) for project in projects]
    for project in projects[::2]:
        await change(store, project, "changed")
    cancelled = asyncio.create_task(checks.hold(stamps[0]))
    answers = [asyncio.create_task(checks.hold(one)) for one in stamps * 5]
    await asyncio.sleep(0)
    cancelled.cancel()
    async with asyncio.timeout(60):
        assert [await answer for answer in answers] == [False, True] * 4 * 5


async def test_nothing_is_left_open_between_looks(
    store: SqlMetadataStore, checks: ChangeChecks, database_url: str
) -> None:
    project = await new_project(store)
    stamps = await stamp(store, [scope_of(project)])
    for name in ("a", "b"):
        assert await checks.hold(stamps)
        await change(store, project, name)
        assert not await checks.hold(stamps)
        stamps = await stamp(store, [scope_of(project)])
    path = sqlite_path(database_url)
    if path is not None:
        assert await asyncio.to_thread(_checkpoint, path) == 0
        return
    state = text(
        "SELECT count(*) AS open FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
    )
    async with store.reading() as rows:
        (found,) = await rows._transaction.rows(state)
    assert found.open == 0


def _checkpoint(path: Path) -> int:
    """Return whether anybody stood in the way of moving the whole log into the database."""
    with sqlite3.connect(path, timeout=0) as database:
        (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    database.close()
    return int(busy)


async def test_nothing_holds_while_the_database_is_away_and_it_is_found_again(
    store: SqlMetadataStore, checks: ChangeChecks, database_url: str
) -> None:
    project = await new_project(store)
    stamps = await stamp(store, [scope_of(project)])
    assert await checks.hold(stamps)
    path = sqlite_path(database_url)
    if path is None:
        await _end_looks(store)
        await change(store, project, "meanwhile")
    else:
        async with open_change_checks(f"sqlite://{path.parent}/nowhere/larder.sqlite3") as away:
            assert not await away.hold(stamps)
        await change(store, project, "meanwhile")
    assert not await checks.hold(stamps)

    async def holds_again() -> bool:
        return await checks.hold(await stamp(store, [scope_of(project)]))

    await eventually(holds_again, what="the database is found again", timeout_seconds=60)


async def test_what_was_read_from_a_server_that_went_away_never_holds_again(
    store: SqlMetadataStore, database_url: str
) -> None:
    if sqlite_path(database_url) is not None:
        return  # A file is open for as long as anybody looks.
    stamps = await stamp(store, [INSTANCE])
    async with open_change_checks(database_url) as checks:
        assert await checks.hold(stamps)
        await _end_looks(store)

        async def holds_again() -> bool:
            return await checks.hold(await stamp(store, [INSTANCE]))

        await eventually(holds_again, what="the database is found again", timeout_seconds=60)
        assert not await checks.hold(stamps), "what is there now may be another, that counts from an earlier number"


async def _end_looks(store: SqlMetadataStore) -> None:
    end = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database() AND query LIKE '%unnest%'"
    )
    async with store.reading() as rows:
        assert len(await rows._transaction.rows(end)) == 1


async def test_those_who_wait_together_share_a_look(database_url: str, store: SqlMetadataStore) -> None:
    if sqlite_path(database_url) is not None:
        return  # There a look costs less than waiting would.
    stamps = await stamp(store, [INSTANCE])
    looks = []
    async with open_change_checks(database_url) as checks:
        assert isinstance(checks, PostgresqlChecks)
        look = checks._look

        async def counted(scopes: set[Scope]) -> dict[Scope, int] | None:
            looks.append(scopes)
            return await look(scopes)

        checks._look = counted  # type: ignore[method-assign]  # to count them
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(checks.hold(stamps))
    # One began with the first; it may have begun before the others asked.
    assert len(looks) <= 2
