"""Databases that are busy, and callers that give up: what is heard, and that the store goes on."""

import asyncio

import pytest

from shared.errors import MetadataUnavailable
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.models import Project
from tests.contracts.metadata.sample_rows import new_package, new_project, publish, upload


@pytest.fixture
async def project(store: SqlMetadataStore) -> Project:
    return await new_project(store)


async def test_more_writers_than_connections_wait_for_each_other(store: SqlMetadataStore, project: Project) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(upload(store, project, f"{number}.tar.gz"))
    async with store.reading() as rows:
        assert await rows.tenants.project(project.id) == project


async def test_who_waits_too_long_for_a_connection_is_told_so(database_url: str) -> None:
    async with open_metadata_store(database_url, wait_seconds=1) as store:
        enough = asyncio.Event()
        holding: list[asyncio.Event] = []

        async def hold(held: asyncio.Event) -> None:
            async with store.reading():
                held.set()
                await enough.wait()

        async with asyncio.TaskGroup() as group:
            for _ in range(store.doors.reader.places):
                holding.append(asyncio.Event())
                group.create_task(hold(holding[-1]))
            for held in holding:
                await held.wait()
            with pytest.raises(MetadataUnavailable):
                async with store.reading():
                    pass
            enough.set()
        await store.check_schema()


async def test_who_waits_too_long_for_a_package_is_told_so(database_url: str) -> None:
    async with (
        open_metadata_store(database_url) as first,
        open_metadata_store(database_url, wait_seconds=1) as second,
    ):
        project = await new_project(first)
        file = await publish(first, project)
        async with first.writing() as rows:
            await rows.packages.lock(file.package_id)
            with pytest.raises(MetadataUnavailable):
                await upload(second, project, "other.tar.gz")
            async with second.reading() as reader:
                assert await reader.packages.file(file.id) == file
        assert (await upload(second, project, "other.tar.gz")).package_id == file.package_id


async def test_a_cancelled_wait_takes_no_connection_along(database_url: str) -> None:
    async with open_metadata_store(database_url) as store:
        project = await new_project(store)
        async with store.writing() as rows:
            await rows.packages.find_or_add(new_package(project.id))
            waiting = [asyncio.create_task(upload(store, project, f"{number}.tar.gz")) for number in range(20)]
            for _ in range(3):
                await rows.packages.index(project.id)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting)
        async with asyncio.timeout(60):
            await publish(store, project, "after.tar.gz")


async def test_a_check_that_is_cut_short_takes_no_connection_along(store: SqlMetadataStore) -> None:
    for steps in range(12):
        check = asyncio.create_task(store.check_schema())
        for _ in range(steps):
            await asyncio.sleep(0)
        check.cancel()
        await asyncio.wait([check])
    async with asyncio.timeout(60):
        await store.check_schema()
