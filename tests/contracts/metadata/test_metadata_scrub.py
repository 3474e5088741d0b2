"""Which files a scrub takes, what it notes of them, and what becomes of a damaged one."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from shared.metadata.package_tables import package_files
from shared.metadata.store import SqlMetadataStore
from shared.models import CounterScope, PackageFile, PackageFileId, PackageFileStatus, PackageStatus, Project
from shared.ports.scrub_rows import LONGEST_SCRUB_HOLD
from tests.contracts.metadata.sample_rows import (
    accept,
    doom,
    file_as_it_is,
    new_project,
    package_of,
    publish,
    upload,
)

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
_DEFAULT = frozenset({PackageFileStatus.DEFAULT})
_REASON = "its stored bytes are missing"


async def verified(store: SqlMetadataStore, project: Project, name: str, at: datetime | None) -> PackageFile:
    """Publish a file that was verified then."""
    file = await publish(store, project, f"{name}.whl")
    async with store.writing() as rows:
        await rows._transaction.change(
            update(package_files).where(package_files.c.id == file.id).values(verified_at=at)
        )
    return await file_as_it_is(store, file)


async def due(store: SqlMetadataStore, *, now: datetime = NOW, limit: int = 100) -> list[str]:
    async with store.reading() as rows:
        found = await rows.scrub.due(verified_before=now - 30 * DAY, now=now, limit=limit)
    return [file.file_name.removesuffix(".whl") for file in found]


async def take(store: SqlMetadataStore, *files: PackageFile, now: datetime = NOW) -> list[PackageFileId]:
    async with store.writing() as rows:
        taken = await rows.scrub.take_due(
            [file.id for file in files], verified_before=now - 30 * DAY, now=now, until=now + timedelta(minutes=5)
        )
    return [file.id for file in taken]


async def damage(store: SqlMetadataStore, file: PackageFile) -> bool:
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        return await rows.scrub.damage_file(file.id, reason=_REASON, source=_DEFAULT)


async def counter(store: SqlMetadataStore, project: Project) -> int:
    scope = (CounterScope.PROJECT, project.id)
    async with store.reading() as rows:
        return (await rows.counters([scope]))[scope]


async def test_files_are_due_that_were_never_verified_and_then_those_that_wait_longest(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await verified(store, project, "lately", NOW - DAY)
    await verified(store, project, "long-ago", NOW - 31 * DAY)
    await verified(store, project, "longer-ago", NOW - 60 * DAY)
    await verified(store, project, "never", None)
    await upload(store, project, "processing.whl")

    assert await due(store) == ["never", "longer-ago", "long-ago"]
    assert await due(store, limit=2) == ["never", "longer-ago"]


async def test_a_file_is_held_by_one_scrub_until_it_is_noted_or_the_hold_is_over(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    one = await verified(store, project, "one", NOW - 31 * DAY)
    two = await verified(store, project, "two", NOW - 31 * DAY)

    assert await take(store, one) == [one.id]
    assert await due(store) == ["two"]
    assert await take(store, one, two) == [two.id]
    assert await due(store, now=NOW + timedelta(minutes=6)) == ["one", "two"], "a killed scrub holds nothing for ever"

    async with store.writing() as rows:
        assert await rows.scrub.note_verified([one.id], at=NOW) == 1
    assert (await file_as_it_is(store, one)).verified_at == NOW
    assert await take(store, one, now=NOW + timedelta(minutes=6)) == [], "whoever looked it up before comes too late"
    assert await due(store, now=NOW + 31 * DAY) == ["two", "one"]


async def test_a_hold_from_a_clock_that_jumped_counts_for_nothing(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await verified(store, project, "one", None)

    assert await take(store, file, now=NOW + LONGEST_SCRUB_HOLD + DAY) == [file.id]
    assert await due(store) == ["one"]
    assert await take(store, file) == [file.id]


async def test_two_scrubs_at_once_take_no_file_twice(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    files = [await verified(store, project, str(number), None) for number in range(6)]

    taken = await asyncio.gather(take(store, *files), take(store, *files))

    assert sorted([*taken[0], *taken[1]]) == [file.id for file in files]


async def test_a_file_that_is_put_off_is_due_again_later(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await verified(store, project, "one", None)

    async with store.writing() as rows:
        assert await rows.scrub.put_off(file.id, until=NOW + timedelta(hours=1))

    assert await due(store) == []
    assert await due(store, now=NOW + timedelta(hours=2)) == ["one"]


async def test_what_a_scrub_notes_is_bookkeeping(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await verified(store, project, "one", None)
    before = await counter(store, project)

    await take(store, file)
    async with store.writing() as rows:
        await rows.scrub.put_off(file.id, until=NOW)
        await rows.scrub.note_verified([file.id], at=NOW)

    assert await counter(store, project) == before


async def test_a_damaged_file_leaves_its_readers_and_its_package_keeps_the_others(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    damaged, whole = await publish(store, project, "a.whl"), await publish(store, project, "b.whl")
    before = await counter(store, project)

    assert await damage(store, damaged)

    found = await file_as_it_is(store, damaged)
    assert (found.status, found.status_message) == (PackageFileStatus.ERROR, _REASON)
    assert (await package_of(store, whole)).status is PackageStatus.DEFAULT
    assert await counter(store, project) == before + 1
    assert not await damage(store, damaged), "only from `default`"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (PackageStatus.DEFAULT, PackageStatus.ERROR),
        (PackageStatus.HIDDEN, PackageStatus.HIDDEN),
        (PackageStatus.DEPRECATED, PackageStatus.DEPRECATED),
    ],
)
async def test_a_package_without_a_whole_file_is_in_error_unless_somebody_has_decided_on_its_status(
    store: SqlMetadataStore, status: PackageStatus, expected: PackageStatus
) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.change_status(file.package_id, source=frozenset({PackageStatus.DEFAULT}), status=status)

    assert await damage(store, file)

    package = await package_of(store, file)
    assert package.status is expected
    assert package.status_message == (_REASON if expected is PackageStatus.ERROR else None)

    await accept(store, await upload(store, project))
    assert (await package_of(store, file)).status is (
        PackageStatus.DEFAULT if status is PackageStatus.DEFAULT else status
    )


async def test_a_package_with_a_file_on_its_way_is_not_in_error(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project, "a.whl")
    await upload(store, project, "b.whl")

    assert await damage(store, file)

    assert (await package_of(store, file)).status is PackageStatus.DEFAULT


async def test_a_doomed_file_is_neither_due_nor_taken_nor_judged(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await verified(store, project, "one", None)
    await doom(store, file)

    assert await due(store) == []
    assert await take(store, file) == []
    assert not await damage(store, file)
    async with store.writing() as rows:
        assert await rows.scrub.note_verified([file.id], at=NOW) == 0
        assert not await rows.scrub.put_off(file.id, until=NOW)
