"""Status markers of package names: what is said, what readers see of it, and that no upload slips past it."""

import asyncio
from itertools import product

import pytest

from shared.errors import Forbidden
from shared.metadata.store import SqlMetadataStore
from shared.models import CounterScope, PackageFile, PackageFileStatus, Project, Visibility
from shared.names import NormalizedName
from shared.ports.pull_sources import GroupPull
from shared.status_markers import UNMARKED, NameStatus, StatusMarker
from tests.contracts.metadata.locks import until_somebody_waits
from tests.contracts.metadata.sample_rows import (
    add_group,
    add_project,
    doom,
    new_file,
    new_package,
    new_project,
    publish,
    refuse,
    upload,
)

DEMO, OTHER = NormalizedName("demo"), NormalizedName("other")
ARCHIVED, QUARANTINED = StatusMarker(NameStatus.ARCHIVED, "it is done"), StatusMarker(NameStatus.QUARANTINED)


async def mark(store: SqlMetadataStore, project: Project, marker: StatusMarker) -> bool:
    async with store.writing() as rows:
        return await rows.package_names.mark(project.id, DEMO, marker=marker)


async def marker_of(store: SqlMetadataStore, project: Project, name: NormalizedName = DEMO) -> StatusMarker | None:
    async with store.reading() as rows:
        return await rows.package_names.marker(project.id, name)


async def test_a_name_is_active_until_something_else_is_said(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    assert await marker_of(store, project) is None
    assert not await mark(store, project, ARCHIVED)
    await upload(store, project)
    assert await marker_of(store, project) == UNMARKED
    for status, reason in product(NameStatus, (None, "so", "")):
        marker = StatusMarker(status, reason)
        assert await mark(store, project, marker)
        assert await marker_of(store, project) == marker
        async with store.writing() as rows:
            assert await rows.package_names.hold(project.id, DEMO) == marker
            assert await rows.package_names.lock(project.id, DEMO) == marker
            assert await rows.package_names.hold(project.id, OTHER) is None
            assert await rows.package_names.lock(project.id, OTHER) is None


async def test_what_is_said_of_a_name_counts_for_its_project_alone(store: SqlMetadataStore) -> None:
    projects = [await new_project(store), await new_project(store, "other")]
    for project in projects:
        await publish(store, project)
    scopes = [(CounterScope.PROJECT, project.id) for project in projects]
    async with store.reading() as rows:
        before = await rows.counters(scopes)
    await mark(store, projects[0], ARCHIVED)
    async with store.reading() as rows:
        after = await rows.counters(scopes)
    assert [after[scope] - before[scope] for scope in scopes] == [1, 0]
    assert await marker_of(store, projects[1]) == UNMARKED


async def test_the_page_of_a_name_says_what_is_said_of_it(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    await publish(store, project, "other.whl", name="other")
    for status in NameStatus:
        marker = StatusMarker(status, "so")
        await mark(store, project, marker)
        async with store.reading() as rows:
            page = await rows.packages.page(project.id, DEMO)
            other = await rows.packages.page(project.id, OTHER)
            index = await rows.packages.index(project.id)
        assert page is not None
        assert other is not None
        offered = [] if status is NameStatus.QUARANTINED else [file.id]
        assert (page.marker, [line.file_id for line in page.files]) == (marker, offered)
        assert (other.marker, len(other.files)) == (UNMARKED, 1)
        assert [line.normalized_name for line in index] == [DEMO, OTHER]


async def test_files_of_a_quarantined_name_are_not_found_and_those_of_other_names_are(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project, sha256="a" * 64)
    other = await publish(store, project, sha256="a" * 64, name="other")

    async def found() -> PackageFile | None:
        async with store.reading() as rows:
            return await rows.packages.installable_file(project.id, sha256="a" * 64, file_name=file.file_name)

    assert await found() == other
    async with store.writing() as rows:
        await rows.package_names.mark(project.id, OTHER, marker=QUARANTINED)
    assert await found() == file, "the same bytes under another name"
    await mark(store, project, QUARANTINED)
    assert await found() is None
    await mark(store, project, ARCHIVED)
    assert await found() == file


async def test_a_page_of_several_projects_says_what_they_agree_on(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        projects = [await add_project(rows, top, path) for path in ("one", "other")]
    files = [await publish(store, project, f"{project.path}.whl") for project in projects]
    source = GroupPull(group_id=top.id, open_visibilities=frozenset(Visibility), own=None)
    cases: list[tuple[StatusMarker, StatusMarker, StatusMarker, list[PackageFile]]] = [
        (UNMARKED, UNMARKED, UNMARKED, files),
        (ARCHIVED, ARCHIVED, ARCHIVED, files),
        (ARCHIVED, UNMARKED, UNMARKED, files),
        (ARCHIVED, StatusMarker(NameStatus.ARCHIVED), StatusMarker(NameStatus.ARCHIVED), files),
        (ARCHIVED, QUARANTINED, UNMARKED, files[:1]),
        (QUARANTINED, QUARANTINED, QUARANTINED, []),
    ]
    for one, other, together, offered in cases:
        await mark(store, projects[0], one)
        await mark(store, projects[1], other)
        async with store.reading() as reader:
            page = await reader.packages.page(source, DEMO)
            found = [
                await reader.packages.installable_file(source, sha256=file.sha256, file_name=file.file_name)
                for file in files
            ]
        assert page is not None
        assert (page.marker, [line.file_id for line in page.files]) == (together, [file.id for file in offered])
        assert [file for file in found if file] == offered


async def test_what_is_said_of_a_name_stays_when_its_packages_go(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    await mark(store, project, ARCHIVED)
    await doom(store, file)
    await remove(store, file, PackageFileStatus.PENDING_DESTRUCTION)
    assert await marker_of(store, project) == ARCHIVED
    async with store.reading() as rows:
        assert await rows.packages.page(project.id, DEMO) is None
        assert await rows.packages.index(project.id) == ()


@pytest.mark.parametrize("marker", [UNMARKED, QUARANTINED, StatusMarker(NameStatus.ACTIVE, "it is fine")])
async def test_a_name_that_was_never_published_is_forgotten_unless_something_was_said(
    store: SqlMetadataStore, marker: StatusMarker
) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    await mark(store, project, marker)
    await refuse(store, file)
    await remove(store, file, PackageFileStatus.ERROR)
    assert await marker_of(store, project) == (None if marker == UNMARKED else marker)


async def test_no_upload_comes_to_a_name_once_it_was_closed(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await publish(store, project)
    is_closed = asyncio.Event()

    async def add(number: int) -> bool:
        """Return whether the file was added after the name was closed."""
        async with store.writing() as rows:
            was_closed = is_closed.is_set()
            package, _ = await rows.packages.find_or_add(new_package(project.id, version=f"{number}"))
            if await rows.package_names.hold(project.id, DEMO) == ARCHIVED:
                raise Forbidden
            await rows.packages.add_file(new_file(package, f"{number}.whl"))
        return was_closed

    async def try_to_add(number: int) -> bool | None:
        try:
            return await add(number)
        except Forbidden:
            return None

    async def close() -> None:
        async with store.writing() as rows:
            await rows.package_names.lock(project.id, DEMO)
            await rows.package_names.mark(project.id, DEMO, marker=ARCHIVED)
        is_closed.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        early = [group.create_task(try_to_add(number)) for number in range(10)]
        closing = group.create_task(close())
        late = [group.create_task(try_to_add(number)) for number in range(10, 20)]
    assert closing.done()
    results = [task.result() for task in (*early, *late)]
    assert True not in results
    assert await try_to_add(99) is None


# On SQLite one writer goes at a time anyway.
@pytest.mark.parametrize("engine", [pytest.param("postgresql", marks=pytest.mark.slow)])
async def test_uploads_that_hold_a_name_do_not_wait_for_each_other_and_closing_it_waits_for_them(
    store: SqlMetadataStore, engine: str
) -> None:
    assert engine == "postgresql"
    project = await new_project(store)
    await publish(store, project)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        async with store.writing() as one:
            assert await one.package_names.hold(project.id, DEMO) == UNMARKED
            async with store.writing() as two:
                assert await two.package_names.hold(project.id, DEMO) == UNMARKED
            closing = group.create_task(mark(store, project, ARCHIVED))
            await until_somebody_waits(store)
            assert not closing.done()
        assert await closing


async def remove(store: SqlMetadataStore, file: PackageFile, source: PackageFileStatus) -> None:
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.remove_file(file.id, source=source)
        assert await rows.packages.remove_package_if_empty(file.package_id)
