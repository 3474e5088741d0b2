"""Many processes on one PostgreSQL: they share what is to be done, and never wait for each other in a ring."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from shared.metadata.package_tables import package_files
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.models import PackageFile, PackageFileStatus, PackageStatus, Project
from shared.status_markers import NameStatus, StatusMarker
from tests.contracts.metadata.sample_rows import DIGESTS, lease_end, new_project, publish, upload

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_ALL = frozenset(PackageStatus)
_ROUNDS = 25
_numbers = itertools.count()


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
async def replicas(database_url: str) -> AsyncIterator[list[SqlMetadataStore]]:
    """Give the stores of several processes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_metadata_store(database_url)) for _ in range(3)]


async def test_two_scrubs_at_once_share_what_is_due(replicas: list[SqlMetadataStore]) -> None:
    one, two, _ = replicas
    project = await new_project(one)
    files = [await publish(one, project, f"{number}.whl") for number in range(6)]
    async with one.writing() as rows:
        await rows._transaction.change(update(package_files).values(verified_at=None))

    async with one.writing() as first, two.writing() as second:
        firsts = await first.scrub.due(verified_before=NOW, now=NOW, limit=3)
        seconds = await second.scrub.due(verified_before=NOW, now=NOW, limit=3)
        until = NOW + timedelta(minutes=5)
        for rows, due in ((first, firsts), (second, seconds)):
            ids = [file.id for file in due]
            assert len(await rows.scrub.take_due(ids, verified_before=NOW, now=NOW, until=until)) == 3

    assert sorted(file.id for file in (*firsts, *seconds)) == [file.id for file in files]


async def test_uploads_deletes_sweeps_and_scrubs_never_wait_in_a_ring(replicas: list[SqlMetadataStore]) -> None:
    """PostgreSQL ends one of those who do, which would be seen here as an error."""
    one, two, three = replicas
    projects = [await new_project(one, path) for path in ("app", "lib")]
    files = [await publish(one, project, f"{number}.whl") for project in projects for number in range(4)]

    async with asyncio.TaskGroup() as group:
        for number in range(_ROUNDS):
            for store, project in ((one, projects[0]), (two, projects[1]), (three, projects[0])):
                group.create_task(_publish(store, project, number))
            group.create_task(_delete(one, projects[number % 2], number))
            for store, ordered in ((two, projects), (three, projects[::-1])):
                group.create_task(_delete_in_both(store, ordered, number))
            group.create_task(_mark(three, files[number % len(files)]))
            group.create_task(_note(one, files))
            group.create_task(_sweep(two))

    async with one.reading() as rows:
        found = await rows._transaction.row(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    assert found is not None
    assert found.deadlocks == 0


async def _publish(store: SqlMetadataStore, project: Project, number: int) -> PackageFile:
    """Publish into a package that others publish into and delete."""
    file = await upload(store, project, f"{project.path}-{number}-{next(_numbers)}.whl", version=f"1.{number % 3}")
    async with store.writing() as rows:
        await rows.packages.take_lease(file.id, attempt=1, until=lease_end())
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.accept_file(file.id, attempt=1, digests=DIGESTS, metadata=None)
    return file


async def _delete(store: SqlMetadataStore, project: Project, number: int) -> None:
    file = await _publish(store, project, number)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.doom_package(file.package_id, source=_ALL)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)
        await rows.packages.remove_package_if_empty(file.package_id)


async def _delete_in_both(store: SqlMetadataStore, projects: list[Project], number: int) -> None:
    """Delete what is in both projects in one transaction, as the sweep does after a group; in either order."""
    name = f"both-{number}-{next(_numbers)}"
    files = [await upload(store, project, "both.whl", name=name) for project in projects]
    async with store.writing() as rows:
        for file in files:
            await rows.packages.lock(file.package_id)
            assert await rows.packages.doom_file(file.id, source=frozenset(PackageFileStatus))


async def _note(store: SqlMetadataStore, files: list[PackageFile]) -> None:
    async with store.writing() as rows:
        await rows.packages.note_downloads({file.package_id: NOW for file in files}, grain=timedelta(0))
    async with store.writing() as rows:
        await rows.scrub.note_verified([file.id for file in files], at=NOW)


async def _sweep(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        await rows.packages.remove_doomed_empty_packages(limit=500)
        await rows.tenant_changes.doom_stranded_packages(limit=500)


async def _mark(store: SqlMetadataStore, file: PackageFile) -> None:
    async with store.writing() as rows:
        package = await rows.packages.lock(file.package_id)
        assert package is not None
        await rows.package_names.lock(file.project_id, package.normalized_name)
        await rows.package_names.mark(
            file.project_id, package.normalized_name, marker=StatusMarker(NameStatus.ACTIVE, None)
        )
