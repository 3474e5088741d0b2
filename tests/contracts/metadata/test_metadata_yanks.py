"""Yanks: what is marked, for whom it counts, and what becomes of it when other things happen."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.models import (
    INSTALLABLE,
    CounterScope,
    Package,
    PackageFile,
    PackageFileStatus,
    PackageStatus,
    Project,
)
from shared.names import NormalizedName
from shared.yanks import Yank, yank_of_file, yank_of_package
from tests.contracts.metadata.sample_rows import (
    accept,
    doom,
    file_as_it_is,
    new_project,
    package_of,
    publish,
    refuse,
    upload,
)

DEMO = NormalizedName("demo")
EARLY, LATE = datetime(2026, 11, 21, 12, tzinfo=UTC), datetime(2026, 11, 22, 12, tzinfo=UTC)
_NOT_SAID = "not said"


async def yank_package(store: SqlMetadataStore, file: PackageFile, reason: str | None = None) -> Package | None:
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        return await rows.packages.yank_package(file.package_id, source=INSTALLABLE, reason=reason)


async def yank_file(store: SqlMetadataStore, file: PackageFile, reason: str | None = None) -> PackageFile | None:
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        return await rows.packages.yank_file(file.id, reason=reason)


async def unyank_package(store: SqlMetadataStore, file: PackageFile) -> bool:
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        return await rows.packages.unyank_package(file.package_id, source=INSTALLABLE)


async def unyank_file(store: SqlMetadataStore, file: PackageFile) -> bool:
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        return await rows.packages.unyank_file(file.id)


async def shown(store: SqlMetadataStore, project: Project) -> dict[str, str | None]:
    """Return the reason that the page of `demo` tells for each of its files; None for one that is not yanked."""
    async with store.reading() as rows:
        page = await rows.packages.page(project.id, DEMO)
    assert page is not None
    return {line.file_name: line.yanked_reason for line in page.files}


async def counter(store: SqlMetadataStore, project: Project) -> int:
    scope = (CounterScope.PROJECT, project.id)
    async with store.reading() as rows:
        return (await rows.counters([scope]))[scope]


@pytest.mark.parametrize(
    ("of_file", "of_package", "expected"),
    [
        (_NOT_SAID, _NOT_SAID, None),
        ("broken", _NOT_SAID, "broken"),
        (None, _NOT_SAID, ""),
        (_NOT_SAID, "all broken", "all broken"),
        (_NOT_SAID, None, ""),
        ("this one", "all broken", "this one"),
        (None, "all broken", "all broken"),
        ("this one", None, "this one"),
        (None, None, ""),
    ],
)
async def test_a_file_is_yanked_when_it_or_its_package_is_and_its_own_reason_counts_first(
    store: SqlMetadataStore, of_file: str | None, of_package: str | None, expected: str | None
) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    await publish(store, project, "other-2.0.tar.gz", version="2.0")

    if of_file != _NOT_SAID:
        await yank_file(store, file, of_file)
    if of_package != _NOT_SAID:
        await yank_package(store, file, of_package)

    assert await shown(store, project) == {file.file_name: expected, "other-2.0.tar.gz": None}
    told = yank_of_file(await file_as_it_is(store, file), await package_of(store, file))
    assert (None if told is None else told.reason or "") == expected


async def test_a_yank_says_since_when_and_a_later_one_changes_its_reason_alone(database_url: str) -> None:
    clock = [EARLY]
    async with open_metadata_store(database_url, now=lambda: clock[0]) as store:
        project = await new_project(store)
        file = await publish(store, project)
        clock[0] = LATE
        package = await yank_package(store, file, "one")
        yanked = await yank_file(store, file, "two")
        assert package is not None
        assert yanked is not None
        assert (yank_of_package(package), package.updated_at) == (Yank(LATE, "one"), LATE)
        assert (yanked.yanked_at, yanked.yanked_reason) == (LATE, "two")

        clock[0] = LATE + timedelta(hours=1)
        again, file_again = await yank_package(store, file), await yank_file(store, file)
        assert again is not None
        assert again == await package_of(store, file)
        assert (yank_of_package(again), again.updated_at) == (Yank(LATE, None), clock[0])
        assert file_again == await file_as_it_is(store, file)
        assert yank_of_file(file_again, again) == Yank(LATE, None)


async def test_a_file_that_comes_later_to_a_yanked_package_is_yanked(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    waiting = await upload(store, project, "before.whl")
    await yank_package(store, file, "broken")
    await accept(store, waiting)
    await publish(store, project, "after.whl")
    assert await shown(store, project) == dict.fromkeys((file.file_name, "before.whl", "after.whl"), "broken")


async def test_a_mark_of_a_file_outlives_that_of_its_package_and_the_other_way_round(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    await yank_file(store, file, "this one")
    await yank_package(store, file, "all")
    assert await unyank_package(store, file)
    assert await shown(store, project) == {file.file_name: "this one"}
    await yank_package(store, file, "all")
    assert await unyank_file(store, file)
    assert await shown(store, project) == {file.file_name: "all"}
    assert await unyank_package(store, file)
    assert await shown(store, project) == {file.file_name: None}
    assert yank_of_file(await file_as_it_is(store, file), await package_of(store, file)) is None


async def test_marks_count_for_their_project_whenever_they_change(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    file = await publish(store, project)
    changes = (yank_package, yank_file, unyank_package, unyank_file)
    before = await counter(store, project)
    for change in changes:
        await change(store, file)
    assert await counter(store, project) == before + len(changes)
    assert not await unyank_package(store, file)
    assert not await unyank_file(store, file)
    assert await counter(store, project) == before + len(changes)
    assert await counter(store, other) == 0


async def test_a_change_of_a_files_mark_counts_as_one_of_its_package(database_url: str) -> None:
    clock = [EARLY]
    async with open_metadata_store(database_url, now=lambda: clock[0]) as store:
        file = await publish(store, await new_project(store))
        for change in (yank_file, unyank_file, yank_package, unyank_package):
            clock[0] += timedelta(hours=1)
            await change(store, file)
            assert (await package_of(store, file)).updated_at == clock[0]


async def test_what_readers_cannot_see_is_not_yanked(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    refused, waiting = await upload(store, project, "refused.whl"), await upload(store, project, "waiting.whl")
    await refuse(store, refused)
    doomed = await publish(store, project, version="2.0")
    await yank_package(store, doomed)
    await yank_file(store, doomed)
    await doom(store, doomed)
    before = await counter(store, project)

    assert await yank_package(store, refused) is None
    for file in (refused, waiting, doomed):
        assert await yank_file(store, file) is None
        assert not await unyank_file(store, file)
    assert not await unyank_package(store, doomed)
    async with store.writing() as rows:
        await rows.packages.lock(doomed.package_id)
        # Nothing leaves `pending_destruction`, not even for who asks for it.
        assert await rows.packages.yank_package(doomed.package_id, source=frozenset(PackageStatus), reason=None) is None
        assert not await rows.packages.unyank_package(doomed.package_id, source=frozenset(PackageStatus))
    assert await counter(store, project) == before


async def test_a_package_is_yanked_under_its_lock_only(store: SqlMetadataStore) -> None:
    file = await publish(store, await new_project(store))
    async with store.writing() as rows:
        for change in (
            rows.packages.yank_package(file.package_id, source=INSTALLABLE, reason=None),
            rows.packages.unyank_package(file.package_id, source=INSTALLABLE),
            rows.packages.yank_file(file.id, reason=None),
            rows.packages.unyank_file(file.id),
        ):
            with pytest.raises(RuntimeError, match="must be locked"):
                await change


async def test_what_is_gone_is_not_yanked(store: SqlMetadataStore) -> None:
    file = await publish(store, await new_project(store))
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
        await rows.packages.remove_package_if_empty(file.package_id)
    assert await yank_package(store, file) is None
    assert await yank_file(store, file) is None
    assert not await unyank_package(store, file)
    assert not await unyank_file(store, file)


async def test_yanks_an_upload_and_a_delete_at_once_leave_a_state_that_one_order_explains(
    store: SqlMetadataStore,
) -> None:
    project = await new_project(store)
    for number in range(5):
        version = f"{number}.0"
        file = await publish(store, project, f"{number}.tar.gz", version=version)
        async with asyncio.TaskGroup() as group:
            yank = group.create_task(yank_package(store, file, "broken"))
            adding = group.create_task(upload(store, project, f"{number}.whl", version=version))
            yank_one = group.create_task(yank_file(store, file, "this one"))
            group.create_task(doom(store, file))

        package, of_file = await package_of(store, file), await file_as_it_is(store, file)
        assert package.status is PackageStatus.PENDING_DESTRUCTION
        # Each mark came before the delete, or not at all.
        assert (yank.result() is not None) == (package.yanked_at is not None)
        assert (yank_one.result() is not None) == (of_file.yanked_at is not None)
        added = await file_as_it_is(store, adding.result())
        is_new = added.package_id != file.package_id
        assert is_new == (added.status is PackageFileStatus.PROCESSING)
        if is_new:
            # The version is there anew, and nobody has yanked this package.
            await accept(store, added)
        assert await _shown_of(store, project, version) == [None] * is_new


async def _shown_of(store: SqlMetadataStore, project: Project, version: str) -> list[str | None]:
    async with store.reading() as rows:
        page = await rows.packages.page(project.id, DEMO)
    return [line.yanked_reason for line in (page.files if page else ()) if line.version == version]
