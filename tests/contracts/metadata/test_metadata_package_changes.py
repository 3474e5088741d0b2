"""Single changes of packages and files: a status that somebody sets, failed destructions, noted downloads."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.metadata.store import SqlMetadataStore
from shared.models import INSTALLABLE, PackageFile, PackageFileId, PackageId, PackageStatus
from tests.contracts.metadata.sample_rows import (
    LATER,
    doom,
    file_as_it_is,
    new_project,
    package_of,
    publish,
    upload,
)

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ANY = frozenset(PackageStatus)


async def test_a_status_moves_from_where_it_is_expected_and_the_files_stay(store: SqlMetadataStore) -> None:
    file = await publish(store, await new_project(store))
    before = await package_of(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        wrong = frozenset({PackageStatus.DEPRECATED, PackageStatus.HIDDEN})
        missed = await rows.packages.change_status(file.package_id, source=wrong, status=PackageStatus.HIDDEN)
        moved = await rows.packages.change_status(file.package_id, source=INSTALLABLE, status=PackageStatus.DEPRECATED)
    after = await package_of(store, file)
    assert (missed, moved) == (None, after)
    assert (after.status, before.status) == (PackageStatus.DEPRECATED, PackageStatus.DEFAULT)
    assert after.updated_at > before.updated_at
    assert await file_as_it_is(store, file) == file


async def test_nothing_comes_back_from_its_destruction_and_nothing_moves_without_the_lock(
    store: SqlMetadataStore,
) -> None:
    file = await publish(store, await new_project(store))
    await doom(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.change_status(file.package_id, source=ANY, status=PackageStatus.DEFAULT) is None
    with pytest.raises(RuntimeError, match="must be locked"):
        async with store.writing() as rows:
            await rows.packages.change_status(file.package_id, source=ANY, status=PackageStatus.DEFAULT)
    assert (await package_of(store, file)).status is PackageStatus.PENDING_DESTRUCTION


async def test_a_file_more_counts_as_an_update_of_its_package_whatever_its_status(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project, "one.tar.gz")
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.change_status(file.package_id, source=ANY, status=PackageStatus.HIDDEN)
    before = await package_of(store, file)
    await publish(store, project, "two.tar.gz")
    after = await package_of(store, file)
    assert after.status is PackageStatus.HIDDEN
    assert after.updated_at > before.updated_at


async def test_a_file_that_cannot_be_destroyed_waits_behind_the_others_and_says_why(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    files = [await publish(store, project, f"{number}.tar.gz") for number in range(3)]
    await doom(store, files[0])
    living = await publish(store, project, version="2")
    async with store.writing() as rows:
        assert await rows.packages.postpone_destruction(files[0].id, reason="no such disk")
        assert not await rows.packages.postpone_destruction(living.id, reason="no such disk")
        assert not await rows.packages.postpone_destruction(PackageFileId(999_999), reason="no such disk")
    async with store.reading() as rows:
        doomed = await rows.packages.doomed(doomed_before=LATER, now=LATER, limit=9)
    assert [file.id for file in doomed] == [files[1].id, files[2].id, files[0].id]
    assert [file.status_message for file in doomed] == [None, None, "no such disk"]
    assert await file_as_it_is(store, living) == living


async def noted(store: SqlMetadataStore, *files: PackageFile) -> list[datetime | None]:
    return [(await package_of(store, file)).last_downloaded_at for file in files]


async def test_a_download_is_noted_once_in_a_grain(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    one, two, three = [await publish(store, project, version=str(number)) for number in range(3)]
    untouched = await package_of(store, one)

    async def note(**times: datetime) -> int:
        known = {"one": one.package_id, "two": two.package_id, "gone": PackageId(999_999)}
        async with store.writing() as rows:
            return await rows.packages.note_downloads({known[key]: at for key, at in times.items()}, grain=MINUTE)

    assert await note() == 0
    assert await note(one=NOON, gone=NOON) == 1
    assert await noted(store, one, two, three) == [NOON, None, None]
    almost = NOON + MINUTE - timedelta(microseconds=1)
    assert await note(one=almost, two=almost) == 1
    assert await noted(store, one, two, three) == [NOON, almost, None]
    assert await note(one=NOON - MINUTE) == 0, "an older one changes nothing"
    assert await note(one=NOON + MINUTE, two=NOON + MINUTE) == 1
    assert await noted(store, one, two, three) == [NOON + MINUTE, almost, None]
    assert (await package_of(store, one)).updated_at == untouched.updated_at


async def test_processes_that_note_the_same_packages_at_once_neither_fail_nor_write_twice(
    store: SqlMetadataStore,
) -> None:
    project = await new_project(store)
    files = [await publish(store, project, version=str(number)) for number in range(8)]
    ids = [file.package_id for file in files]

    async def note(order: list[PackageId]) -> int:
        async with store.writing() as rows:
            return await rows.packages.note_downloads(dict.fromkeys(order, NOON), grain=MINUTE)

    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(note(ids if number % 2 else ids[::-1])) for number in range(4)]
        group.create_task(upload(store, project, "more.tar.gz", version="3"))
    assert sorted(writer.result() for writer in writers) == [0, 0, 0, len(ids)]
    assert await noted(store, *files) == [NOON] * len(ids)
