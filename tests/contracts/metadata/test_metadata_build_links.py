"""Links between packages, their files and the pipelines that these came from."""

import pytest
from sqlalchemy import text

from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.models import (
    CounterScope,
    PackageFile,
    PackageFileId,
    PackageFileStatus,
    PackageId,
    Pipeline,
    Project,
)
from shared.ports.job_token_rows import NewPipeline
from tests.contracts.metadata.sample_rows import accept, add_user, doom, new_project, refuse, upload
from tests.contracts.metadata.test_metadata_counters import touched_by

Link = tuple[PackageId, PackageFileId | None, int]


async def links(store: SqlMetadataStore) -> list[Link]:
    """Return package, file and the pipeline's number of each link, oldest first."""
    async with store.reading() as rows:
        found = await rows._transaction.rows(
            text(
                "SELECT l.package_id, l.package_file_id, p.number FROM build_links l"
                " JOIN pipelines p ON p.id = l.pipeline_id ORDER BY l.id"
            )
        )
    return [(row.package_id, row.package_file_id, row.number) for row in found]


async def pipelines(store: SqlMetadataStore, project: Project, *numbers: int) -> list[Pipeline]:
    async with store.writing() as rows:
        user = await rows.tenants.user_by_username("ada") or await add_user(rows, "ada")
        return [
            await rows.job_tokens.save_pipeline(project, NewPipeline(number=number), user_id=user.id)
            for number in numbers
        ]


async def link(store: SqlMetadataStore, file: PackageFile, pipeline: Pipeline) -> None:
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.link_pipeline(file.package_id, file.id, pipeline.id)


async def test_a_package_has_one_link_to_a_pipeline_however_many_files_came_from_it(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    seven, eight = await pipelines(store, project, 7, 8)
    wheel, sdist = await upload(store, project, "demo.whl"), await upload(store, project, "demo.tar.gz")
    package = wheel.package_id
    for _ in range(2):
        await link(store, wheel, seven)
        await link(store, sdist, seven)
        await link(store, sdist, eight)
    assert await links(store) == [
        (package, None, 7),
        (package, wheel.id, 7),
        (package, sdist.id, 7),
        (package, None, 8),
        (package, sdist.id, 8),
    ]


async def test_a_pipeline_of_another_project_is_linked_alike(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    (pipeline,) = await pipelines(store, other, 7)
    file = await upload(store, project)
    await link(store, file, pipeline)
    assert await links(store) == [(file.package_id, None, 7), (file.package_id, file.id, 7)]


async def test_a_package_must_be_locked_before_it_is_linked(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    (pipeline,) = await pipelines(store, project, 7)
    file = await upload(store, project)
    with pytest.raises(RuntimeError):
        async with store.writing() as rows:
            await rows.packages.link_pipeline(file.package_id, file.id, pipeline.id)
    assert await links(store) == []


async def test_a_removed_file_takes_its_link_along_and_a_removed_package_all(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    (pipeline,) = await pipelines(store, project, 7)
    file = await upload(store, project)
    await link(store, file, pipeline)
    await accept(store, file)
    await doom(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)
    assert await links(store) == [(file.package_id, None, 7)]
    async with store.writing() as rows:
        assert await rows.packages.remove_doomed_empty_packages(limit=9) == 1
    assert await links(store) == []


async def test_a_refused_file_leaves_no_link_but_those_of_other_files(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    seven, eight = await pipelines(store, project, 7, 8)
    good = await upload(store, project, "good.tar.gz")
    await link(store, good, seven)
    await accept(store, good)
    for pipeline in (seven, eight):
        bad = await upload(store, project, f"bad-{pipeline.number}.tar.gz")
        await link(store, bad, pipeline)
        await refuse(store, bad)
        async with store.writing() as rows:
            await rows.packages.lock(bad.package_id)
            assert await rows.packages.withdraw_file(bad.id)
    assert await links(store) == [(good.package_id, None, 7), (good.package_id, good.id, 7)]


async def test_a_refused_file_that_somebody_was_promised_keeps_its_links(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    (pipeline,) = await pipelines(store, project, 7)
    file = await upload(store, project)
    await link(store, file, pipeline)
    async with store.writing() as rows:
        assert await rows.packages.note_promise(file.id)
    await refuse(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert not await rows.packages.withdraw_file(file.id)
    assert await links(store) == [(file.package_id, None, 7), (file.package_id, file.id, 7)]


async def test_the_packages_of_a_deleted_project_go_with_their_links(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    (pipeline,) = await pipelines(store, project, 7)
    file = await upload(store, project)
    await link(store, file, pipeline)
    await accept(store, file)
    async with store.writing() as rows:
        assert await rows.tenant_changes.doom_project(project)
        assert await rows.tenant_changes.doom_stranded_packages(limit=9) == 1
        await rows.packages.lock(file.package_id)
        assert await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)
        assert await rows.packages.remove_package_if_empty(file.package_id)
    assert await links(store) == []
    async with store.reading() as rows:
        assert await rows.packages.package(file.package_id) is None


async def test_a_link_counts_for_the_packages_project(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    (pipeline,) = await pipelines(store, other, 7)
    file = await upload(store, project)

    async def link_it(rows: SqlWriting) -> None:
        await rows.packages.lock(file.package_id)
        await rows.packages.link_pipeline(file.package_id, file.id, pipeline.id)

    assert await touched_by(store, link_it) == {(CounterScope.PROJECT, project.id)}
