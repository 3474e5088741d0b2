"""Deleting: dooming packages and files, and removing their rows."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.models import BlobKey, CoreMetadata, PackageFileId, PackageFileStatus, PackageStatus
from tests.contracts.metadata.sample_rows import (
    LATER,
    accept,
    doom,
    file_as_it_is,
    new_package,
    new_project,
    package_of,
    publish,
    refuse,
    upload,
)

ANY_PACKAGE = frozenset(PackageStatus)
ANY_FILE = frozenset(PackageFileStatus)


async def test_a_doomed_package_takes_all_its_files_along(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    files = [
        await publish(store, project, "published.tar.gz"),
        await upload(store, project, "waiting.tar.gz"),
        await upload(store, project, "refused.tar.gz"),
    ]
    await refuse(store, files[2])
    other = await publish(store, project, version="2")
    async with store.writing() as rows:
        await rows.packages.lock(files[0].package_id)
        doomed = await rows.packages.doom_package(files[0].package_id, source=frozenset({PackageStatus.DEFAULT}))
    assert doomed == tuple(file.id for file in files)
    assert (await package_of(store, files[0])).status is PackageStatus.PENDING_DESTRUCTION
    for file in files:
        assert (await file_as_it_is(store, file)).status is PackageFileStatus.PENDING_DESTRUCTION
    assert (await file_as_it_is(store, other)).status is PackageFileStatus.DEFAULT


async def test_a_package_in_another_status_is_not_doomed(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        wrong = ANY_PACKAGE - {PackageStatus.DEFAULT}
        assert await rows.packages.doom_package(file.package_id, source=wrong) is None
        assert await rows.packages.doom_package(file.package_id, source=frozenset()) is None
    assert await file_as_it_is(store, file) == file


async def test_a_package_is_doomed_once(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    await doom(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.doom_package(file.package_id, source=ANY_PACKAGE) is None


async def test_a_doomed_file_leaves_its_package_and_the_others_alone(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project, "one.tar.gz")
    other = await publish(store, project, "two.tar.gz")
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert not await rows.packages.doom_file(file.id, source=frozenset({PackageFileStatus.ERROR}))
        assert await rows.packages.doom_file(file.id, source=frozenset({PackageFileStatus.DEFAULT}))
        assert not await rows.packages.doom_file(file.id, source=ANY_FILE), "it is doomed already"
        assert not await rows.packages.doom_file(PackageFileId(999_999), source=ANY_FILE)
    assert (await file_as_it_is(store, file)).status is PackageFileStatus.PENDING_DESTRUCTION
    assert await file_as_it_is(store, other) == other
    assert (await package_of(store, file)).status is PackageStatus.DEFAULT


async def test_doomed_files_are_found_oldest_first(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    late = await publish(store, project, "late.tar.gz")
    early = await publish(store, project, "early.tar.gz", version="2")
    await publish(store, project, "kept.tar.gz", version="3")
    await doom(store, early)
    async with store.writing() as rows:
        await rows.packages.lock(late.package_id)
        await rows.packages.doom_file(late.id, source=ANY_FILE)
    async with store.reading() as rows:
        found = await rows.packages.doomed(doomed_before=LATER, now=LATER, limit=10)
        assert [file.id for file in found] == [early.id, late.id]
        assert len(await rows.packages.doomed(doomed_before=LATER, now=LATER, limit=1)) == 1
        assert await rows.packages.doomed(doomed_before=late.created_at, now=late.created_at, limit=10) == ()


async def test_what_waits_since_a_time_to_come_is_found_because_a_clock_was_set_back(database_url: str) -> None:
    async with open_metadata_store(database_url, now=lambda: datetime.now(UTC) + timedelta(days=1)) as store:
        project = await new_project(store)
        waiting = await upload(store, project, "waiting.tar.gz")
        doomed = await publish(store, project, "doomed.tar.gz", version="2")
        await doom(store, doomed)
        async with store.reading() as rows:
            before = datetime.now(UTC) - timedelta(seconds=5)
            assert await rows.packages.unleased(created_before=before, now=before, limit=10) == (waiting,)
            assert [file.id for file in await rows.packages.doomed(doomed_before=before, now=before, limit=10)] == [
                doomed.id
            ]


async def test_a_file_is_removed_with_all_that_belongs_to_it(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    await accept(store, file, metadata=CoreMetadata(raw=b"x", name="demo", version="1.0", requires_python=None))
    await doom(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.known_blobs([file.blob_key])
        assert await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)
        assert not await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)
    async with store.reading() as rows:
        assert await rows.packages.file(file.id) is None
        assert await rows.packages.form(file.id) == {}
        assert await rows.packages.core_metadata(file.id) is None
        assert not await rows.packages.known_blobs([file.blob_key])
        assert await rows.packages.doomed(doomed_before=LATER, now=LATER, limit=10) == ()


@pytest.mark.parametrize("source", sorted(ANY_FILE - {PackageFileStatus.DEFAULT}))
async def test_a_file_in_another_status_is_not_removed(store: SqlMetadataStore, source: PackageFileStatus) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert not await rows.packages.remove_file(file.id, source=source)
    assert await file_as_it_is(store, file) == file


async def test_a_blob_is_known_whatever_the_status_of_its_file(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    await refuse(store, file)
    await doom(store, file)
    async with store.reading() as rows:
        assert await rows.packages.known_blobs([file.blob_key])
        assert not await rows.packages.known_blobs([BlobKey("2026/11/21/other")])


async def test_a_package_is_removed_only_when_it_has_no_files(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert not await rows.packages.remove_package_if_empty(file.package_id)
        await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
        assert await rows.packages.remove_package_if_empty(file.package_id)
        assert not await rows.packages.remove_package_if_empty(file.package_id)
    async with store.reading() as rows:
        assert await rows.packages.package(file.package_id) is None


async def test_who_comes_too_late_for_a_package_that_is_gone_is_told_so_quietly(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
        await rows.packages.remove_package_if_empty(file.package_id)
    async with store.writing() as rows:
        assert await rows.packages.lock(file.package_id) is None
        assert not await rows.packages.remove_file(file.id, source=PackageFileStatus.ERROR)
        assert not await rows.packages.doom_file(file.id, source=ANY_FILE)
        assert await rows.packages.doom_package(file.package_id, source=ANY_PACKAGE) is None
        assert not await rows.packages.remove_package_if_empty(file.package_id)


async def test_only_doomed_packages_without_files_are_swept(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    swept = []
    for version in ("1", "2", "3"):
        async with store.writing() as rows:
            package, _ = await rows.packages.find_or_add(new_package(project.id, version=version))
            await rows.packages.doom_package(package.id, source=ANY_PACKAGE)
        swept.append(package.id)
    with_file = await publish(store, project, version="4")
    await doom(store, with_file)
    async with store.writing() as rows:
        shown, _ = await rows.packages.find_or_add(new_package(project.id, version="5"))
    async with store.writing() as rows:
        assert await rows.packages.remove_doomed_empty_packages(limit=2) == 2
        assert await rows.packages.remove_doomed_empty_packages(limit=2) == 1
        assert await rows.packages.remove_doomed_empty_packages(limit=2) == 0
    async with store.reading() as rows:
        for package_id in swept:
            assert await rows.packages.package(package_id) is None
        assert await rows.packages.package(with_file.package_id) is not None
        assert await rows.packages.package(shown.id) is not None


async def test_ids_never_come_back(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    seen: list[tuple[int, int]] = []
    for _ in range(3):
        file = await publish(store, project)
        seen.append((file.package_id, file.id))
        async with store.writing() as rows:
            await rows.packages.lock(file.package_id)
            await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
            await rows.packages.remove_package_if_empty(file.package_id)
    assert seen == sorted(set(seen))
    assert len({package_id for package_id, _ in seen}) == len({file_id for _, file_id in seen}) == 3
