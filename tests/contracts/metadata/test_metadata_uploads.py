"""From a name to a file that waits: find_or_add, lock, files_named, add_file."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.errors import FileNameTaken
from shared.metadata.store import SqlMetadataStore
from shared.models import PackageFileStatus, PackageId, PackageStatus
from tests.contracts.metadata.sample_rows import (
    accept,
    add_user,
    doom,
    file_as_it_is,
    new_file,
    new_package,
    new_project,
    package_of,
    publish,
    refuse,
    upload,
)


async def test_a_new_package_waits_in_processing(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    before = datetime.now(UTC)
    async with store.writing() as rows:
        ada = await add_user(rows)
        new = replace(new_package(project.id, "Demo.Pkg", "1.0"), creator_id=ada.id)
        package, added = await rows.packages.find_or_add(new)
    assert added
    assert (package.project_id, package.creator_id) == (project.id, ada.id)
    assert (package.name, package.normalized_name) == ("Demo.Pkg", "demo-pkg")
    assert (package.version, package.canonical_version) == ("1.0", "1")
    assert (package.status, package.status_message) == (PackageStatus.PROCESSING, None)
    assert before <= package.created_at == package.updated_at <= datetime.now(UTC)
    assert package.last_downloaded_at is None
    async with store.reading() as rows:
        assert await rows.packages.package(package.id) == package


async def test_other_spellings_find_the_package_as_the_first_uploader_spelt_it(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with store.writing() as rows:
        first, _ = await rows.packages.find_or_add(new_package(project.id, "Demo.Pkg", "1.0"))
        second, added = await rows.packages.find_or_add(new_package(project.id, "demo_pkg", "1.0.0"))
    assert (second, added) == (first, False)


@pytest.mark.parametrize("status", [PackageStatus.PROCESSING, PackageStatus.DEFAULT, PackageStatus.ERROR])
async def test_a_package_is_found_in_every_status_but_doomed(store: SqlMetadataStore, status: PackageStatus) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    if status is PackageStatus.DEFAULT:
        await accept(store, file)
    if status is PackageStatus.ERROR:
        await refuse(store, file)
    async with store.writing() as rows:
        found, added = await rows.packages.find_or_add(new_package(project.id))
    assert (found.id, found.status, added) == (file.package_id, status, False)


async def test_an_upload_that_finds_a_doomed_package_starts_a_new_one(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    old = await publish(store, project)
    await doom(store, old)
    new = await upload(store, project)
    assert new.package_id > old.package_id
    assert (await package_of(store, old)).status is PackageStatus.PENDING_DESTRUCTION
    assert (await package_of(store, new)).status is PackageStatus.PROCESSING


async def test_projects_and_versions_have_packages_of_their_own(store: SqlMetadataStore) -> None:
    one, two = await new_project(store, "one"), await new_project(store, "two")
    files = [await upload(store, one), await upload(store, two), await upload(store, one, version="2")]
    assert len({file.package_id for file in files}) == 3


async def test_a_new_file_waits_for_its_first_attempt(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project, "demo-1.0.tar.gz", sha256="a" * 64, requires_python=">=3.11")
    assert (file.project_id, file.file_name, file.size_bytes) == (project.id, "demo-1.0.tar.gz", 7)
    assert (file.md5, file.sha1, file.sha256, file.blake2b_256) == (None, None, "a" * 64, None)
    assert file.requires_python == ">=3.11"
    assert (file.status, file.status_message) == (PackageFileStatus.PROCESSING, None)
    assert (file.attempt, file.leased_until) == (1, None)
    assert await file_as_it_is(store, file) == file


async def test_the_form_is_kept_as_it_was_sent(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    form = {"z": ["2", "1", "2"], "a": [], "description": ["Schön 🎉", "\0", "\ud800"], "": [""]}
    async with store.writing() as rows:
        package, _ = await rows.packages.find_or_add(new_package(project.id))
        file = await rows.packages.add_file(replace(new_file(package), form=form))
    async with store.reading() as rows:
        found = await rows.packages.form(file.id)
        assert found == form
        assert list(found) == list(form)
        assert await rows.packages.form(type(file.id)(999_999)) == {}


async def test_a_name_of_a_waiting_or_a_published_file_is_taken(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    with pytest.raises(FileNameTaken):
        await upload(store, project)
    await accept(store, file)
    with pytest.raises(FileNameTaken):
        await upload(store, project)


async def test_a_name_of_a_refused_or_a_doomed_file_is_free(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await refuse(store, await upload(store, project))
    published = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(published.package_id)
        assert await rows.packages.doom_file(published.id, source=frozenset({PackageFileStatus.DEFAULT}))
    again = await upload(store, project)
    assert again.package_id == published.package_id


async def test_a_name_in_another_package_is_free(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await upload(store, project, "same.tar.gz", version="1")
    await upload(store, project, "same.tar.gz", version="2")


async def test_a_taken_name_does_not_spoil_the_transaction(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await upload(store, project)
    async with store.writing() as rows:
        package, _ = await rows.packages.find_or_add(new_package(project.id))
        with pytest.raises(FileNameTaken):
            await rows.packages.add_file(new_file(package))
        file = await rows.packages.add_file(new_file(package, "demo-1.0-py3-none-any.whl"))
    assert await file_as_it_is(store, file) == file


async def test_files_of_a_name_are_told_without_the_doomed_by_ascending_id(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    doomed = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(doomed.package_id)
        await rows.packages.doom_file(doomed.id, source=frozenset(PackageFileStatus))
    refused = await upload(store, project)
    await refuse(store, refused)
    current = await upload(store, project)
    await upload(store, project, "other.tar.gz")
    async with store.writing() as rows:
        found = await rows.packages.files_named(current.package_id, current.file_name)
    assert [file.id for file in found] == [refused.id, current.id]


async def test_a_locked_package_is_told_as_it_is_and_none_when_it_is_gone(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with store.writing() as rows:
        package = await rows.packages.lock(file.package_id)
        assert package is not None
        assert package.status is PackageStatus.DEFAULT
        assert await rows.packages.lock(PackageId(999_999)) is None
        assert await rows.packages.lock(PackageId(2**70)) is None


async def test_nobody_changes_a_package_without_its_lock(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    package = await package_of(store, file)
    async with store.writing() as rows:
        with pytest.raises(RuntimeError):
            await rows.packages.add_file(new_file(package, "other.tar.gz"))
        with pytest.raises(RuntimeError):
            await rows.packages.doom_package(package.id, source=frozenset(PackageStatus))
        with pytest.raises(RuntimeError):
            await rows.packages.doom_file(file.id, source=frozenset(PackageFileStatus))
        with pytest.raises(RuntimeError):
            await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
        with pytest.raises(RuntimeError):
            await rows.packages.remove_package_if_empty(package.id)


async def test_a_locked_package_makes_the_next_transaction_wait(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    order: list[str] = []

    async def follow() -> None:
        async with store.writing() as rows:
            package = await rows.packages.lock(file.package_id)
            order.append("second")
            assert package is not None
            assert package.status is PackageStatus.PENDING_DESTRUCTION

    async with asyncio.TaskGroup() as group, store.writing() as rows:
        await rows.packages.lock(file.package_id)
        group.create_task(follow())
        await rows.packages.doom_package(file.package_id, source=frozenset(PackageStatus))
        # Time for the other to overtake, if it could.
        for _ in range(20):
            await rows.packages.package(file.package_id)
        order.append("first")
    assert order == ["first", "second"]
