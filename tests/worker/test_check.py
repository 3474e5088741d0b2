"""What a check finds, that it changes nothing, what a repair mends, and that both leave a running registry alone."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.api.lifecycle import Lifecycle
from shared.backends import open_store_in
from shared.blob_keys import new_blob_key
from shared.errors import BlobStoreUnavailable, MetadataUnavailable, SchemaUnknown
from shared.models import BlobKey, PackageFile, PackageFileStatus, PackageStatus
from shared.usecases.blob_store_name import BlobStoreForeign
from shared.usecases.check import CheckRegistry
from shared.usecases.findings import CheckReport, FindingKind
from shared.usecases.readiness import Check, CheckReadiness
from shared.usecases.repair import Outcome, RepairRegistry
from shared.whole_databases import take_snapshot
from tests.worker.conftest import Registry
from tests.worker.upkeep import (
    Faulty,
    audited,
    blob_of,
    execute,
    file_as_it_is,
    publish,
    rot,
    scrub_of,
    take_the_disk_away,
)

pytestmark = pytest.mark.embedded("files are damaged and taken away on the disk; test_blobs_in_s3.py does so in S3")

_OLD = datetime(2026, 1, 1, tzinfo=UTC)
_HOUR = 3600.0


def check_of(registry: Registry, *, blobs: object = None) -> CheckRegistry:
    return CheckRegistry(
        store=registry.backends.store,
        blobs=blobs or registry.backends.blobs,  # type: ignore[arg-type]  # a double of the port
        upload_max_seconds=_HOUR,
        tell=lambda _: None,
    )


async def repair(registry: Registry, report: CheckReport) -> list[Outcome]:
    mending = RepairRegistry(store=registry.backends.store, blobs=registry.backends.blobs, upload_max_seconds=_HOUR)
    return await mending(report)


async def put(registry: Registry, at: datetime) -> BlobKey:
    """Leave a blob without a row, from an upload that began then."""
    key = new_blob_key(at)
    async with registry.backends.blobs.create(key) as writer:
        await writer.write(b"abc")
        await writer.commit()
    return key


def found(report: CheckReport) -> list[tuple[FindingKind, str]]:
    return [(finding.kind, finding.target) for finding in report.findings]


def target(file: PackageFile) -> str:
    return f"package_file:{file.id}"


@pytest.mark.slow
async def test_a_registry_in_order_is_clean(registry: Registry) -> None:
    await publish(registry, 0, 1)
    await put(registry, datetime.now(UTC))

    report = await check_of(registry).by_content()

    assert report.findings == []
    assert report.checked == {"files": 2, "blobs": 3, "core metadata": 2}
    assert report.notes == ["1 blobs have no row yet: uploads that are going on, or were cut off of late"]


async def test_missing_and_damaged_files_are_found_and_taken_from_their_readers(registry: Registry) -> None:
    missing, short, rotten, whole = await publish(registry, 0, 1, 2, 3)
    await scrub_of(registry)()
    blob_of(registry, missing).unlink()
    blob_of(registry, short).write_bytes(b"abc")
    rot(registry, rotten)
    before = [await file_as_it_is(registry, number) for number in (1, 2, 3, 4)]

    by_size, by_content = await check_of(registry).by_size(), await check_of(registry).by_content()

    assert found(by_size) == [(FindingKind.FILE, target(file)) for file in (missing, short)]
    assert found(by_content) == [(FindingKind.FILE, target(file)) for file in (missing, short, rotten)]
    assert [await file_as_it_is(registry, number) for number in (1, 2, 3, 4)] == before, "a check changes nothing"

    outcomes = await repair(registry, by_content)

    assert [outcome.is_mended for outcome in outcomes] == [True] * 3
    assert [(await file_as_it_is(registry, file.id)).status for file in (missing, short, rotten)] == ["error"] * 3
    assert (await file_as_it_is(registry, whole.id)).status is PackageFileStatus.DEFAULT
    assert await audited(registry, "package_file.damaged") == [target(file) for file in (missing, short, rotten)]
    assert (await check_of(registry).by_content()).findings == [], "what is known to be damaged is only noted"


async def test_orphans_are_found_when_they_can_get_no_row_any_more_and_removed(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    orphan, young = await put(registry, _OLD), await put(registry, datetime.now(UTC))

    report = await check_of(registry).by_size()
    assert found(report) == [(FindingKind.ORPHAN, orphan)]
    assert [outcome.told for outcome in await repair(registry, report)] == ["was removed"]

    left = set(await registry.blobs())
    assert left == {file.blob_key, young}


@pytest.mark.slow
async def test_part_files_of_killed_uploads_are_found_and_removed(registry: Registry) -> None:
    await publish(registry, 0)
    old, young = await put(registry, _OLD), await put(registry, datetime.now(UTC))
    root = registry.settings.data_dir / "blobs"
    for key in (old, young):
        (root / key).rename(root / f"{key}.part")

    report = await check_of(registry).by_size()
    assert found(report) == [(FindingKind.PART, old)]
    assert [outcome.is_mended for outcome in await repair(registry, report)] == [True]

    assert not (root / f"{old}.part").exists()
    assert (root / f"{young}.part").exists()


@pytest.mark.slow
async def test_stored_metadata_that_its_page_would_not_vouch_for_is_withdrawn(registry: Registry) -> None:
    damaged, _ = await publish(registry, 0, 1)
    await execute(registry, f"UPDATE package_file_metadata SET core_metadata = X'00' WHERE file_id = {damaged.id}")  # noqa: S608

    report = await check_of(registry).by_size()
    assert found(report) == [(FindingKind.CORE_METADATA, target(damaged))]
    assert [outcome.is_mended for outcome in await repair(registry, report)] == [True]

    async with registry.backends.store.reading() as rows:
        assert await rows.packages.core_metadata(damaged.id) is None
    assert (await check_of(registry).by_size()).findings == []


@pytest.mark.slow
async def test_a_package_without_files_is_found_and_removed(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    await execute(registry, "DELETE FROM package_file_metadata")
    await execute(registry, "DELETE FROM package_files")
    await execute(registry, "DELETE FROM project_storage")
    os.unlink(blob_of(registry, file))  # noqa: PTH108 - as rm does

    report = await check_of(registry).by_size()
    assert found(report) == [(FindingKind.PACKAGE, f"package:{file.package_id}")]
    assert [outcome.told for outcome in await repair(registry, report)] == ["was removed"]

    assert await registry.count("packages") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "state",
    [
        "status = 'processing', leased_until = '2026-01-01T00:00:00.000000Z'",
        "status = 'pending_destruction', doomed_at = '2026-01-01T00:00:00.000000Z'",
    ],
)
async def test_files_that_wait_for_too_long_are_found_and_left_to_the_worker(registry: Registry, state: str) -> None:
    (file,) = await publish(registry, 0)
    await execute(registry, f"UPDATE package_files SET {state}")  # noqa: S608 - the states above
    if "destruction" in state:
        await execute(registry, "DELETE FROM project_storage")

    report = await check_of(registry).by_size()

    assert found(report) == [(FindingKind.WAITING, target(file))]
    assert [outcome.is_mended for outcome in await repair(registry, report)] == [False]


@pytest.mark.slow
async def test_files_that_wait_as_they_should_are_noted(registry: Registry) -> None:
    (doomed,) = await publish(registry, 0)
    await registry.upload(b"whatever", file_name="pkg-2.0.tar.gz", version="2.0")
    async with registry.backends.store.writing() as rows:
        await rows.packages.lock(doomed.package_id)
        await rows.packages.doom_package(doomed.package_id, source=frozenset(PackageStatus))

    report = await check_of(registry).by_size()

    assert report.findings == []
    assert report.notes == [
        "1 files wait for a worker or are being processed",
        "1 files are to be destroyed",
    ]


@pytest.mark.slow
async def test_broken_references_are_found_and_cannot_be_mended(registry: Registry) -> None:
    await publish(registry, 0)
    await execute(registry, "DELETE FROM packages")

    report = await check_of(registry).by_size()

    assert (FindingKind.DATABASE, "database") in found(report)
    assert "refers to a row of packages that is not there" in report.findings[0].problem
    assert not (await repair(registry, report))[0].is_mended


@pytest.mark.slow
async def test_a_database_that_is_damaged_is_found_whatever_can_still_be_read(
    registry: Registry, tmp_path: Path
) -> None:
    await publish(registry, 0)
    whole = tmp_path / "whole.sqlite3"
    await take_snapshot(registry.settings, whole)
    for name, start in (("torn", 20 * 4096), ("none", 0)):
        torn = tmp_path / name
        content = bytearray(whole.read_bytes())
        content[start : start + 8 * 4096] = os.urandom(8 * 4096)
        torn.write_bytes(content)
        async with open_store_in(torn) as store:
            report = await replace(check_of(registry), store=store).by_size()
        assert report.findings[0].kind is FindingKind.DATABASE


@pytest.mark.slow
async def test_a_store_that_is_another_is_one_finding_and_no_file_is_judged(registry: Registry) -> None:
    files = await publish(registry, 0, 1)
    await scrub_of(registry)()
    take_the_disk_away(registry)

    report = await check_of(registry).by_size()
    assert found(report) == [(FindingKind.BLOB_STORE, "blob store")]
    assert report.findings[0].problem.endswith("2 of 2 files are not in it")
    assert [outcome.is_mended for outcome in await repair(registry, report)] == [False]

    for file in files:
        assert (await file_as_it_is(registry, file.id)).status is PackageFileStatus.DEFAULT


@pytest.mark.slow
async def test_a_store_that_was_moved_without_its_name_is_known_by_its_files(registry: Registry) -> None:
    await publish(registry, 0)
    await scrub_of(registry)()
    name = await registry.backends.blobs.name()
    (registry.settings.data_dir / "blobs" / f".name-{name}").rmdir()

    report = await check_of(registry).by_size()
    assert found(report) == [(FindingKind.BLOB_STORE, "blob store")]
    assert [outcome.is_mended for outcome in await repair(registry, report)] == [True]

    assert await registry.backends.blobs.name() == name
    assert (await check_of(registry).by_size()).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, "0" * 32], ids=["nameless", "of another registry"])
async def test_a_store_without_most_of_the_files_is_not_taken_over(registry: Registry, name: str | None) -> None:
    files = await publish(registry, 0, 1, 2)
    for file in files[:2]:
        blob_of(registry, file).unlink()
    if name is not None:
        await registry.backends.blobs.give_name(name)

    with pytest.raises(BlobStoreForeign):
        await scrub_of(registry)()

    assert await registry.backends.blobs.name() == name
    for file in files:
        assert (await file_as_it_is(registry, file.id)).status is PackageFileStatus.DEFAULT


@pytest.mark.slow
async def test_a_store_that_is_another_takes_no_requests(registry: Registry) -> None:
    await publish(registry, 0)
    await scrub_of(registry)()
    backends = registry.backends

    async def blob_store() -> Check:
        return (await CheckReadiness(store=backends.store, blobs=backends.blobs, queue=backends.queue)()).blob_store

    assert await blob_store() == Check(is_ok=True)
    take_the_disk_away(registry)
    assert await blob_store() == Check(
        is_ok=False, message="is not the one of this database: mount its disk", is_another=True
    )


async def test_a_store_whose_name_cannot_be_read_is_not_said_to_be_well(registry: Registry) -> None:
    class Nameless(Faulty):
        async def name(self) -> str | None:
            raise BlobStoreUnavailable("AccessDenied")

    backends = registry.backends
    blobs: Any = Nameless(backends.blobs)
    report = await CheckReadiness(store=backends.store, blobs=blobs, queue=backends.queue)()
    assert report.blob_store == Check(is_ok=False, message="BlobStoreUnavailable")


async def test_while_the_rows_do_not_answer_nobody_can_tell_whose_store_it_is(registry: Registry) -> None:
    class Away:
        def reading(self) -> object:
            raise MetadataUnavailable("it is away")

        async def check_schema(self) -> None:
            raise MetadataUnavailable("it is away")

    store: Any = Away()
    report = await CheckReadiness(store=store, blobs=registry.backends.blobs, queue=registry.backends.queue)()
    assert report.blob_store == Check(is_ok=True, is_certain=False)
    life = Lifecycle()
    assert life.obstacle(report) == "database: does not answer"
    assert not life.has_seen_blob_store


async def test_a_project_that_is_said_to_hold_what_it_does_not_is_found_and_counted_anew(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    await execute(registry, "UPDATE project_storage SET bytes = bytes + 7")

    report = await check_of(registry).by_size()
    assert found(report) == [(FindingKind.STORAGE, f"project:{file.project_id}")]
    assert [outcome.is_mended for outcome in await repair(registry, report)] == [True]

    assert (await check_of(registry).by_size()).findings == []


@pytest.mark.slow
async def test_a_file_that_cannot_be_read_is_found_and_not_judged(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    blobs = Faulty(registry.backends.blobs, file.blob_key)

    report = await check_of(registry, blobs=blobs).by_content()

    assert found(report) == [(FindingKind.FILE, target(file))]
    assert report.findings[0].problem.endswith("its stored bytes cannot be read: Input/output error")
    assert [outcome.told for outcome in await repair(registry, report)] == ["its bytes are whole by now"]


@pytest.mark.slow
async def test_nothing_is_removed_while_a_backup_holds_it(registry: Registry) -> None:
    await publish(registry, 0)
    await put(registry, _OLD)
    now = datetime.now(UTC)
    async with registry.backends.store.writing() as rows:
        await rows.holds.hold_destruction("backup", now=now, until=now + timedelta(minutes=1))

    outcomes = await repair(registry, await check_of(registry).by_size())

    assert [(outcome.is_mended, outcome.told) for outcome in outcomes] == [
        (False, "left where it is while a backup is being made")
    ]
    assert len(await registry.blobs()) == 2


@pytest.mark.slow
async def test_another_schema_cannot_be_checked(registry: Registry) -> None:
    await execute(registry, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaUnknown):
        await check_of(registry).by_size()
