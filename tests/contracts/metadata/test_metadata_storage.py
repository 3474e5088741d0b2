"""How much the files of a project hold: counted in the transactions that move them, and never beyond the quota."""

import asyncio
from dataclasses import replace

import pytest
from alembic import command
from sqlalchemy import text, update

from shared.errors import QuotaExceeded
from shared.metadata.migrate import migrate
from shared.metadata.package_tables import project_storage
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.models import PackageFile, PackageFileStatus, Project
from shared.ports.storage_rows import Miscount
from tests.contracts.metadata.sample_rows import (
    doom,
    new_file,
    new_package,
    new_project,
    publish,
    refuse,
    upload,
)

_SIZE = 7
"""What each sample file holds."""
_ANY = frozenset(PackageFileStatus)


async def used(store: SqlMetadataStore, project: Project) -> int:
    async with store.reading() as rows:
        return await rows.storage.used_bytes(project.id)


async def miscounts(store: SqlMetadataStore) -> tuple[Miscount, ...]:
    async with store.reading() as rows:
        return await rows.storage.miscounts()


async def upload_within(
    store: SqlMetadataStore, project: Project, file_name: str, *, quota_bytes: int, version: str = "1.0"
) -> PackageFile:
    async with store.writing() as rows:
        package, _ = await rows.packages.find_or_add(new_package(project.id, version=version))
        return await rows.packages.add_file(new_file(package, file_name), quota_bytes=quota_bytes)


async def test_files_count_from_their_upload_on_whatever_becomes_of_them(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    assert await used(store, project) == 0
    await publish(store, project, "published.tar.gz")
    await upload(store, project, "waiting.tar.gz")
    await refuse(store, await upload(store, project, "refused.tar.gz"))
    await publish(store, other)
    assert await used(store, project) == 3 * _SIZE
    assert await used(store, other) == _SIZE
    assert await miscounts(store) == ()


async def test_doomed_files_count_no_more_and_are_taken_off_once(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    package = [await publish(store, project, f"{number}.tar.gz") for number in range(3)]
    single = await publish(store, project, "single.tar.gz", version="2")
    async with store.writing() as rows:
        await rows.packages.lock(single.package_id)
        assert await rows.packages.doom_file(single.id, source=_ANY)
        assert not await rows.packages.doom_file(single.id, source=_ANY)
    assert await used(store, project) == 3 * _SIZE
    await doom(store, package[0])
    assert await used(store, project) == 0
    async with store.writing() as rows:
        await rows.packages.lock(single.package_id)
        assert await rows.packages.remove_file(single.id, source=PackageFileStatus.PENDING_DESTRUCTION)
    assert await used(store, project) == 0
    assert await miscounts(store) == ()


async def test_a_refused_file_that_is_taken_back_counts_no_more(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    await refuse(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.withdraw_file(file.id)
        assert not await rows.packages.withdraw_file(file.id)
    assert await used(store, project) == 0


async def test_what_a_deleted_project_leaves_counts_no_more(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await publish(store, project)
    async with store.writing() as rows:
        assert await rows.tenant_changes.doom_project(project)
    async with store.writing() as rows:
        assert await rows.tenant_changes.doom_stranded_packages(limit=10) == 1
    assert await used(store, project) == 0
    assert await miscounts(store) == ()


async def test_the_quota_may_be_filled_to_its_last_byte_and_not_beyond(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await upload_within(store, project, "1.tar.gz", quota_bytes=2 * _SIZE)
    await upload_within(store, project, "2.tar.gz", quota_bytes=2 * _SIZE)
    with pytest.raises(QuotaExceeded) as refused:
        await upload_within(store, project, "3.tar.gz", quota_bytes=3 * _SIZE - 1)
    assert (refused.value.used_bytes, refused.value.allowed_bytes) == (2 * _SIZE, 3 * _SIZE - 1)
    assert await used(store, project) == 2 * _SIZE


async def test_what_a_transaction_frees_makes_room_in_it(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    old = await upload_within(store, project, "old.tar.gz", quota_bytes=_SIZE)
    async with store.writing() as rows:
        package, _ = await rows.packages.find_or_add(new_package(project.id))
        assert await rows.packages.doom_file(old.id, source=_ANY)
        larger = replace(new_file(package, "new.tar.gz"), size_bytes=_SIZE + 1)
        await rows.packages.add_file(larger, quota_bytes=_SIZE + 1)
    assert await used(store, project) == _SIZE + 1
    assert await miscounts(store) == ()


async def test_of_many_at_once_only_as_many_as_fit_pass(store: SqlMetadataStore) -> None:
    project = await new_project(store)

    async def try_upload(number: int) -> bool:
        try:
            await upload_within(store, project, f"{number}.tar.gz", quota_bytes=5 * _SIZE, version=f"1.{number}")
        except QuotaExceeded:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(try_upload(number)) for number in range(20)]
    assert sum(task.result() for task in tries) == 5
    assert await used(store, project) == 5 * _SIZE
    assert await miscounts(store) == ()


@pytest.mark.slow
async def test_uploads_and_refusals_of_one_name_never_wait_for_each_other_in_a_ring(store: SqlMetadataStore) -> None:
    project = await new_project(store)

    async def come_and_go(number: int) -> None:
        for _ in range(5):
            file = await upload(store, project, f"{number}.tar.gz", version=f"1.{number}")
            await refuse(store, file)
            async with store.writing() as rows:
                await rows.packages.lock(file.package_id)
                assert await rows.packages.withdraw_file(file.id)
                await rows.packages.remove_package_if_empty(file.package_id)

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(come_and_go(number))
    assert await used(store, project) == 0


async def test_a_wrong_count_is_found_and_mended(store: SqlMetadataStore) -> None:
    right, wrong = await new_project(store), await new_project(store, "wrong")
    await publish(store, right)
    await publish(store, wrong)
    async with store.doors.writer.transaction() as connection:
        await connection.execute(
            update(project_storage).where(project_storage.c.project_id == wrong.id).values(bytes=100)
        )
        await connection.commit()
    assert await miscounts(store) == (Miscount(wrong.id, counted_bytes=100, held_bytes=_SIZE),)
    async with store.writing() as rows:
        assert await rows.storage.recount(wrong.id) == _SIZE
    assert await miscounts(store) == ()


async def test_a_count_that_is_not_there_is_made(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await publish(store, project)
    async with store.doors.writer.transaction() as connection:
        await connection.execute(project_storage.delete())
        await connection.commit()
    assert await miscounts(store) == (Miscount(project.id, counted_bytes=0, held_bytes=_SIZE),)
    async with store.writing() as rows:
        assert await rows.storage.recount(project.id) == _SIZE


_OLD_ROWS = (
    """INSERT INTO packages
        (project_id, package_type, name, normalized_name, version, canonical_version, status, created_at, updated_at)
        VALUES ({project}, 'pypi', 'demo', 'demo', '1', '1', 'default', '2026-11-21', '2026-11-21')""",
    *(
        f"""INSERT INTO package_files
        (package_id, project_id, blob_key, file_name, size_bytes, sha256, status, attempt, uploader_kind, uploader_id,
        created_at, doomed_at)
        SELECT id, project_id, '{status}', '{status}', {size_bytes}, 'x', '{status}', 1, 'user', 1, '2026-11-21',
        '2026-11-21' FROM packages"""  # noqa: S608 - the words below
        for status, size_bytes in (("default", 1), ("processing", 20), ("error", 300), ("pending_destruction", 4000))
    ),
)


async def test_the_migration_counts_what_is_there(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0002"))
        await migrate(empty_url)
    async with open_metadata_store(empty_url) as store:
        project, empty = await new_project(store), await new_project(store, "empty")
        async with store.doors.writer.transaction() as connection:
            for statement in _OLD_ROWS:
                await connection.execute(text(statement.format(project=project.id)))
            await connection.commit()
    await migrate(empty_url)
    async with open_metadata_store(empty_url) as store:
        assert (await used(store, project), await used(store, empty)) == (321, 0)
        assert await miscounts(store) == ()
