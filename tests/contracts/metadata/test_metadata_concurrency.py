"""Many at once: whatever the order, nothing is lost, doubled or seen half."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from shared.errors import FileNameTaken, RecordInvalid
from shared.metadata.package_tables import packages
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.models import CounterScope, PackageFile, PackageFileStatus, PackageId, PackageStatus, Project
from tests.contracts.metadata.sample_rows import (
    DIGESTS,
    add_group,
    add_project,
    add_user,
    file_as_it_is,
    lease,
    lease_end,
    new_file,
    new_package,
    new_project,
    publish,
    upload,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


async def counter(store: SqlMetadataStore, project: Project) -> int:
    scope = (CounterScope.PROJECT, project.id)
    async with store.reading() as rows:
        return (await rows.counters([scope]))[scope]


async def test_forty_uploads_of_one_file_make_one_package_with_one_file(store: SqlMetadataStore) -> None:
    project = await new_project(store)

    async def try_upload() -> PackageFile | None:
        try:
            return await upload(store, project)
        except FileNameTaken:
            return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(try_upload()) for _ in range(40)]
    (file,) = [found for task in tasks if (found := task.result())]
    async with store.writing() as rows:
        package, added = await rows.packages.find_or_add(new_package(project.id))
        assert await rows.packages.files_named(package.id, file.file_name) == (file,)
    assert (package.id, added) == (file.package_id, False)
    assert await counter(store, project) == 1, "whoever was refused changed nothing"


async def test_forty_uploads_of_one_package_keep_all_files(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(upload(store, project, f"{number}.tar.gz")) for number in range(40)]
    files = [task.result() for task in tasks]
    assert len({file.package_id for file in files}) == 1
    assert len({file.id for file in files}) == 40
    async with store.reading() as rows:
        assert set(await rows.packages.unleased(created_before=lease_end(), now=lease_end(), limit=100)) == set(files)
    assert await counter(store, project) == 40


async def test_writers_in_several_processes_lose_no_count(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    arguments = ["-m", "tests.contracts.metadata.writer_process", database_url, str(project.id), "25"]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            f"writer-{number}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        for number in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        assert [await process.wait() for process in processes] == [0] * 4
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.communicate()
    assert await counter(store, project) == 100


async def test_transactions_of_two_projects_in_either_order_do_not_block_each_other(store: SqlMetadataStore) -> None:
    one, two = await new_project(store, "one"), await new_project(store, "two")

    async def write_both(first: Project, second: Project, number: int) -> None:
        async with store.writing() as rows:
            for project in (first, second):
                await rows.packages.find_or_add(new_package(project.id, f"{first.path}-{number}"))

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(write_both(one, two, number))
            group.create_task(write_both(two, one, number))
    assert [await counter(store, project) for project in (one, two)] == [20, 20]


async def test_two_workers_who_want_a_lease_at_once_do_not_both_get_it(store: SqlMetadataStore) -> None:
    project = await new_project(store)

    async def take(file: PackageFile) -> PackageFile | None:
        async with store.writing() as rows:
            return await rows.packages.take_lease(file.id, attempt=1, until=lease_end())

    for number in range(10):
        file = await upload(store, project, f"{number}.tar.gz")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(take(file)) for _ in range(2)]
        assert sum(task.result() is not None for task in tasks) == 1


async def test_a_verdict_and_the_next_attempt_do_not_both_win(store: SqlMetadataStore) -> None:
    project = await new_project(store)

    async def accept(file: PackageFile) -> bool:
        async with store.writing() as rows:
            await rows.packages.lock(file.package_id)
            return await rows.packages.accept_file(file.id, attempt=1, digests=DIGESTS, metadata=None)

    until = lease_end()

    async def give_to_next(file: PackageFile) -> bool:
        async with store.writing() as rows:
            return await rows.packages.next_attempt(file.id, attempt=1, leased_until=until)

    for number in range(10):
        file = await upload(store, project, f"{number}.tar.gz")
        await lease(store, file, until=until)
        async with asyncio.TaskGroup() as group:
            accepted, moved_on = group.create_task(accept(file)), group.create_task(give_to_next(file))
        current = await file_as_it_is(store, file)
        assert accepted.result() is not moved_on.result()
        assert (current.status is PackageFileStatus.DEFAULT) is accepted.result()
        assert (current.attempt == 2) is moved_on.result()


async def test_removing_the_last_file_and_adding_one_at_once_loses_no_file(store: SqlMetadataStore) -> None:
    project = await new_project(store)

    async def remove(file: PackageFile) -> bool:
        async with store.writing() as rows:
            await rows.packages.lock(file.package_id)
            assert await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
            return await rows.packages.remove_package_if_empty(file.package_id)

    for number in range(20):
        old = await publish(store, project, f"old-{number}.tar.gz", version=str(number))
        async with asyncio.TaskGroup() as group:
            if number % 2:
                removal = group.create_task(remove(old))
            addition = group.create_task(upload(store, project, f"new-{number}.tar.gz", version=str(number)))
            if not number % 2:
                removal = group.create_task(remove(old))
        added = await file_as_it_is(store, addition.result())
        assert added.status is PackageFileStatus.PROCESSING
        async with store.reading() as rows:
            assert await rows.packages.package(added.package_id) is not None
            assert (await rows.packages.package(old.package_id) is None) is removal.result()
        assert (added.package_id != old.package_id) is removal.result()


async def test_dooming_and_uploading_at_once_leaves_no_file_in_a_doomed_package(store: SqlMetadataStore) -> None:
    project = await new_project(store)

    async def doom(package_id: PackageId) -> None:
        async with store.writing() as rows:
            await rows.packages.lock(package_id)
            assert await rows.packages.doom_package(package_id, source=frozenset(PackageStatus)) is not None

    for number in range(20):
        old = await publish(store, project, f"old-{number}.tar.gz", version=str(number))
        async with asyncio.TaskGroup() as group:
            group.create_task(doom(old.package_id))
            addition = group.create_task(upload(store, project, f"new-{number}.tar.gz", version=str(number)))
        added = await file_as_it_is(store, addition.result())
        is_doomed = added.status is PackageFileStatus.PENDING_DESTRUCTION
        assert is_doomed is (added.package_id == old.package_id)


async def test_a_file_keeps_its_package_even_without_the_lock(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    with pytest.raises(IntegrityError):
        async with store.writing() as rows:
            await rows._transaction.change(delete(packages).where(packages.c.id == file.package_id))


async def test_a_path_is_given_away_once(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        team = await add_group(rows, "team")

    async def attempt(kind: str) -> bool:
        try:
            async with store.writing() as rows:
                if kind == "user":
                    await add_user(rows, "same")
                elif kind == "group":
                    await add_group(rows, "same")
                elif kind == "subgroup":
                    await add_group(rows, "same", parent=team)
                else:
                    await add_project(rows, team, "same")
        except RecordInvalid:
            return False
        return True

    for kinds in (("user", "group"), ("subgroup", "project")):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(attempt(kind)) for kind in kinds * 5]
        assert sum(task.result() for task in tasks) == 1


async def test_two_users_do_not_share_an_email(store: SqlMetadataStore) -> None:
    async def attempt(number: int) -> bool:
        try:
            async with store.writing() as rows:
                await add_user(rows, f"user-{number}", email="same@localhost")
        except RecordInvalid:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(number)) for number in range(8)]
    assert sum(task.result() for task in tasks) == 1


async def test_two_stores_on_one_database_see_each_other_at_once(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(open_metadata_store(database_url)) for _ in range(2)]
        for number in range(20):
            file = await publish(others[number % 2], project, f"{number}.tar.gz", version=str(number))
            assert await file_as_it_is(others[1 - number % 2], file) == file


async def test_a_new_file_of_a_locked_package_waits_and_is_not_refused(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with asyncio.TaskGroup() as group, store.writing() as rows:
        package = await rows.packages.lock(file.package_id)
        assert package is not None
        waiting = group.create_task(upload(store, project, "second.tar.gz"))
        await rows.packages.add_file(new_file(package, "first.tar.gz"))
    assert waiting.result().package_id == package.id
