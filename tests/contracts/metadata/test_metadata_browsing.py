"""What readers of packages see: index, page, installable_file."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from shared.metadata.package_tables import package_files, packages
from shared.metadata.store import SqlMetadataStore
from shared.models import (
    INSTALLABLE,
    CoreMetadata,
    IndexedFile,
    IndexedName,
    IndexedPage,
    PackageFileStatus,
    PackageStatus,
    ProjectId,
)
from shared.names import NormalizedName
from shared.status_markers import UNMARKED
from tests.contracts.metadata.sample_rows import (
    LATER,
    accept,
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

DEMO = NormalizedName("demo")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def set_package(store: SqlMetadataStore, package_id: int, **values: object) -> None:
    """Write what no call of the port writes yet."""
    async with store.writing() as rows:
        await rows._transaction.change(update(packages).where(packages.c.id == package_id).values(**values))


async def set_file(store: SqlMetadataStore, file_id: int, **values: object) -> None:
    async with store.writing() as rows:
        await rows._transaction.change(update(package_files).where(package_files.c.id == file_id).values(**values))


async def test_an_empty_project_has_an_empty_index_and_no_pages(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with store.reading() as rows:
        assert await rows.packages.index(project.id) == ()
        assert await rows.packages.page(project.id, DEMO) is None
        assert await rows.packages.index(ProjectId(2**70)) == ()


async def test_the_index_has_one_line_a_name_sorted_by_code_point(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    for name in ("b", "a-b", "a", "Zope", "a1", "ab"):
        await publish(store, project, f"{name}-1.0.tar.gz", name=name)
        await publish(store, project, f"{name}-2.0.tar.gz", name=name, version="2.0")
    await publish(store, other, "hidden-1.0.tar.gz", name="hidden")
    async with store.reading() as rows:
        index = await rows.packages.index(project.id)
    assert [line.normalized_name for line in index] == ["a", "a-b", "a1", "ab", "b", "zope"]
    assert index[-1] == IndexedName(name="Zope", normalized_name=NormalizedName("zope"), requires_python=None)


async def test_the_index_spells_a_name_as_the_lowest_installable_package_does(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    first = await publish(store, project, "1.tar.gz", name="De.Mo", version="9")
    await publish(store, project, "2.tar.gz", name="de_mo", version="1")
    async with store.reading() as rows:
        assert [line.name for line in await rows.packages.index(project.id)] == ["De.Mo"]
    await doom(store, first)
    async with store.reading() as rows:
        assert [line.name for line in await rows.packages.index(project.id)] == ["de_mo"]


async def test_the_index_asks_for_the_python_of_the_newest_version(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    for version, requires_python in (
        ("1.9", ">=1"),
        ("1.10", ">=2"),
        ("1.10.dev1", ">=3"),
        ("zzz", ">=4"),
        ("1.2", ">=5"),
    ):
        await publish(store, project, f"{version}.tar.gz", version=version, requires_python=requires_python)
    await publish(store, project, "1.10.whl", version="1.10", requires_python=">=6")
    async with store.reading() as rows:
        assert [line.requires_python for line in await rows.packages.index(project.id)] == [">=2"]


async def test_the_index_looks_at_installable_files_only(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await publish(store, project, "1.tar.gz", version="1", requires_python=">=1")
    newest = await upload(store, project, "2a.tar.gz", version="2", requires_python=">=2")
    async with store.reading() as rows:
        assert [line.requires_python for line in await rows.packages.index(project.id)] == [">=1"]
    await refuse(store, newest)
    await publish(store, project, "2b.tar.gz", version="2", requires_python=">=3")
    async with store.reading() as rows:
        assert [line.requires_python for line in await rows.packages.index(project.id)] == [">=3"]


@pytest.mark.parametrize("status", PackageStatus)
async def test_readers_see_the_files_of_installable_packages(store: SqlMetadataStore, status: PackageStatus) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    await set_package(store, file.package_id, status=status, doomed_at=NOW)
    async with store.reading() as rows:
        index = await rows.packages.index(project.id)
        page = await rows.packages.page(project.id, DEMO)
        found = await rows.packages.installable_file(project.id, sha256=file.sha256, file_name=file.file_name)
    if status in INSTALLABLE:
        assert len(index) == 1
        assert page is not None
        assert [line.file_id for line in page.files] == [file.id]
        assert found == file
    else:
        assert (index, page, found) == ((), None, None)


@pytest.mark.parametrize("status", PackageFileStatus)
async def test_readers_see_default_files_only(store: SqlMetadataStore, status: PackageFileStatus) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    await set_file(store, file.id, status=status, doomed_at=NOW)
    async with store.reading() as rows:
        page = await rows.packages.page(project.id, DEMO)
        found = await rows.packages.installable_file(project.id, sha256=file.sha256, file_name=file.file_name)
    assert page is not None
    assert (len(page.files) == 1, found is not None) == (status is PackageFileStatus.DEFAULT,) * 2


async def test_a_page_is_empty_but_there_when_the_files_are_all_gone(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
    async with store.reading() as rows:
        assert await rows.packages.page(project.id, DEMO) == IndexedPage(UNMARKED, ())
        assert [line.normalized_name for line in await rows.packages.index(project.id)] == [DEMO]


async def test_a_page_says_all_that_a_simple_page_needs(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project, name="De_mo", sha256="a" * 64)
    raw = b"Metadata-Version: 2.4\n"
    await accept(store, file, metadata=CoreMetadata(raw=raw, name="De_mo", version="1.0", requires_python=">=3.11,<4"))
    async with store.reading() as rows:
        page = await rows.packages.page(project.id, NormalizedName("de-mo"))
    assert page is not None
    assert page.marker == UNMARKED
    assert page.files == (
        IndexedFile(
            file_id=file.id,
            package_id=file.package_id,
            project_id=project.id,
            package_name="De_mo",
            version="1.0",
            file_name="demo-1.0.tar.gz",
            size_bytes=7,
            sha256="a" * 64,
            requires_python=">=3.11,<4",
            metadata_sha256=hashlib.sha256(raw).hexdigest(),
            yanked_reason=None,
            has_provenance=False,
            uploaded_at=file.created_at,
            verified_at=(await file_as_it_is(store, file)).verified_at,
        ),
    )


async def test_attestations_are_kept_byte_for_byte_and_their_files_page_tells_of_them(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    attestations = b'[{"version":1,"extra":"\xc3\xa4\xff"}]'
    for file_name, sent in (("attested.whl", attestations), ("plain.whl", None)):
        async with store.writing() as rows:
            package, _ = await rows.packages.find_or_add(new_package(project.id))
            file = await rows.packages.add_file(replace(new_file(package, file_name), attestations=sent))
        await accept(store, file)
    async with store.reading() as rows:
        page = await rows.packages.page(project.id, DEMO)
        assert page is not None
        assert [(line.file_name, line.has_provenance) for line in page.files] == [
            ("attested.whl", True),
            ("plain.whl", False),
        ]
        stored = [await rows.packages.attestations(line.file_id) for line in page.files]
        assert stored == [attestations, None]

    attested, _ = page.files
    async with store.writing() as rows:
        await rows.packages.lock(attested.package_id)
        await rows.packages.remove_file(attested.file_id, source=PackageFileStatus.DEFAULT)
    async with store.reading() as rows:
        assert await rows.packages.attestations(attested.file_id) is None


async def test_a_page_goes_by_package_then_by_file(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    first = await publish(store, project, "z.tar.gz", version="2")
    second = await publish(store, project, "y.tar.gz", version="1")
    third = await publish(store, project, "a.whl", version="2")
    await publish(store, project, "other.tar.gz", name="demo2")
    async with store.reading() as rows:
        page = await rows.packages.page(project.id, DEMO)
    assert page is not None
    assert [line.file_id for line in page.files] == [first.id, third.id, second.id]


async def test_a_file_is_found_by_its_exact_digest_and_name_in_its_project(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    file = await publish(store, project, sha256="a" * 64)
    async with store.reading() as rows:
        find = rows.packages.installable_file
        assert await find(project.id, sha256="a" * 64, file_name=file.file_name) == file
        assert await find(project.id, sha256="A" * 64, file_name=file.file_name) is None
        assert await find(project.id, sha256="b" * 64, file_name=file.file_name) is None
        assert await find(project.id, sha256="a" * 64, file_name=file.file_name.upper()) is None
        assert await find(project.id, sha256="a" * 64, file_name="\0") is None
        assert await find(other.id, sha256="a" * 64, file_name=file.file_name) is None


async def test_of_equal_files_that_of_the_highest_package_is_found(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    low = await publish(store, project, "same.tar.gz", version="2", sha256="a" * 64)
    high = await publish(store, project, "same.tar.gz", version="1", sha256="a" * 64)
    async with store.reading() as rows:
        assert await rows.packages.installable_file(project.id, sha256="a" * 64, file_name="same.tar.gz") == high
    await doom(store, high)
    async with store.reading() as rows:
        assert await rows.packages.installable_file(project.id, sha256="a" * 64, file_name="same.tar.gz") == low


async def test_times_survive_to_the_microsecond_in_utc(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    until = datetime(2100, 1, 31, 23, 59, 59, 1, tzinfo=UTC)
    async with store.writing() as rows:
        await rows.packages.take_lease(file.id, attempt=1, until=until)
    found = await file_as_it_is(store, file)
    assert found.leased_until == until
    assert found.leased_until.tzinfo is UTC
    assert (await package_of(store, file)).created_at.tzinfo is UTC
    async with store.reading() as rows:
        assert await rows.packages.unleased(created_before=LATER, now=LATER, limit=1) == ()
