"""Stored bytes that are looked at again: what is damage, what is not, and what comes of it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.models import PackageFileStatus, PackageId, PackageStatus, UploadChecks
from shared.usecases.blob_store_name import BlobStoreForeign
from shared.usecases.scrub import Scrub
from shared.usecases.sweep import SweepOrphans
from shared.usecases.upload import UploadOutcome
from tests.distributions import build_wheel
from tests.waiting import eventually
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
    wheel_name,
)

pytestmark = pytest.mark.embedded("files are damaged and taken away on the disk; test_blobs_in_s3.py does so in S3")

_DOOM = "UPDATE package_files SET status = 'pending_destruction', doomed_at = '2026-01-01T00:00:00.000000Z'"


async def test_whole_files_are_verified_and_then_left_alone_for_long(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    before = datetime.now(UTC)

    assert await scrub_of(registry)() == 1
    assert await scrub_of(registry)() == 0

    found = await file_as_it_is(registry, file.id)
    assert found.status is PackageFileStatus.DEFAULT
    assert found.verified_at is not None
    assert before <= found.verified_at <= datetime.now(UTC)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("rot", "its stored bytes have changed: their SHA-256 is another"),
        ("cut", "its stored bytes are damaged: there are 3 of them instead of {size}"),
        ("remove", "its stored bytes are missing"),
    ],
)
async def test_a_damaged_file_is_taken_from_its_readers_with_a_reason_and_the_others_stay(
    registry: Registry, harm: str, reason: str
) -> None:
    damaged, whole = await publish(registry, 0, 1)
    await scrub_of(registry)()
    await execute(registry, "UPDATE package_files SET verified_at = NULL")
    match harm:
        case "rot":
            rot(registry, damaged)
        case "cut":
            blob_of(registry, damaged).write_bytes(b"abc")
        case _:
            blob_of(registry, damaged).unlink()

    await scrub_of(registry)()

    found, other = await file_as_it_is(registry, damaged.id), await file_as_it_is(registry, whole.id)
    assert (found.status, found.status_message) == (
        PackageFileStatus.ERROR,
        reason.format(size=damaged.size_bytes),
    )
    assert other.status is PackageFileStatus.DEFAULT
    async with registry.backends.store.reading() as rows:
        package = await rows.packages.package(PackageId(damaged.package_id))
    assert package is not None
    assert (package.status, package.status_message) == (PackageStatus.ERROR, found.status_message)
    assert await audited(registry, "package_file.damaged") == [f"package_file:{damaged.id}"]


async def test_the_same_bytes_again_put_a_damaged_file_in_order(registry: Registry) -> None:
    (damaged,) = await publish(registry, 0)
    await scrub_of(registry)()
    await execute(registry, "UPDATE package_files SET verified_at = NULL")
    blob_of(registry, damaged).unlink()
    await scrub_of(registry)()

    again = asyncio.create_task(
        registry.upload(build_wheel("pkg", "1.0"), file_name=wheel_name(0), version="1.0", wait_seconds=20)
    )
    await eventually(lambda: _has_row(registry, 2), what="the new row is there", timeout_seconds=60)
    await registry.process(UploadChecks.STRICT)(damaged.id + 1, 1)  # type: ignore[arg-type]  # an id is an id

    assert await again is UploadOutcome.PUBLISHED
    found = await file_as_it_is(registry, damaged.id + 1)
    assert found.sha256 == damaged.sha256
    assert blob_of(registry, found).is_file()
    async with registry.backends.store.reading() as rows:
        package = await rows.packages.package(PackageId(damaged.package_id))
        offered = await rows.packages.installable_file(
            damaged.project_id, sha256=damaged.sha256, file_name=damaged.file_name
        )
    assert package is not None
    assert (package.status, package.status_message) == (PackageStatus.DEFAULT, None)
    assert offered == found


async def test_a_disk_that_is_not_mounted_says_nothing_about_files(registry: Registry) -> None:
    files = await publish(registry, 0, 1)
    await scrub_of(registry)()
    await execute(registry, "UPDATE package_files SET verified_at = NULL")
    take_the_disk_away(registry)

    with pytest.raises(BlobStoreForeign):
        await scrub_of(registry)()

    for file in files:
        found = await file_as_it_is(registry, file.id)
        assert found.status is PackageFileStatus.DEFAULT
    assert await audited(registry, "package_file.damaged") == []


@pytest.mark.slow
async def test_a_disk_that_goes_away_between_two_looks_says_nothing_about_files(registry: Registry) -> None:
    (file,) = await publish(registry, 0)

    class GoingAway(Faulty):
        async def read(self, key: str, **options: int) -> object:
            await asyncio.to_thread(take_the_disk_away, registry)
            async for chunk in super().read(key, **options):  # type: ignore[attr-defined]
                yield chunk

    with pytest.raises(BlobStoreForeign):
        await scrub_of(registry, blobs=GoingAway(registry.backends.blobs))()

    found = await file_as_it_is(registry, file.id)
    assert found.status is PackageFileStatus.DEFAULT


@pytest.mark.slow
async def test_a_new_database_over_an_old_store_sweeps_nothing_away(registry: Registry) -> None:
    await publish(registry, 0)
    await scrub_of(registry)()
    for table in ("package_file_metadata", "package_files", "packages", "instance_settings"):
        await execute(registry, f"DELETE FROM {table}")  # noqa: S608 - names above
    sweep = SweepOrphans(store=registry.backends.store, blobs=registry.backends.blobs, upload_max_seconds=-86400 * 2)

    with pytest.raises(BlobStoreForeign):
        await sweep()

    assert len(await registry.blobs()) == 1


@pytest.mark.slow
async def test_a_file_that_cannot_be_read_is_put_off_and_not_judged(registry: Registry) -> None:
    unreadable, whole = await publish(registry, 0, 1)
    blobs = Faulty(registry.backends.blobs, unreadable.blob_key)

    assert await scrub_of(registry, blobs=blobs)() == 2
    assert await scrub_of(registry, blobs=blobs)() == 0, "it is not tried over and over"

    found, other = await file_as_it_is(registry, unreadable.id), await file_as_it_is(registry, whole.id)
    assert (found.status, found.verified_at) == (PackageFileStatus.DEFAULT, unreadable.verified_at)
    assert other.verified_at != whole.verified_at


@pytest.mark.slow
async def test_what_is_whole_at_the_second_look_is_not_judged(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    content = blob_of(registry, file).read_bytes()
    rot(registry, file)
    looks = 0

    class Healing(Faulty):
        async def read(self, key: str, **options: int) -> object:
            nonlocal looks
            looks += 1
            if looks == 2:
                await asyncio.to_thread(blob_of(registry, file).write_bytes, content)
            async for chunk in super().read(key, **options):  # type: ignore[attr-defined]
                yield chunk

    await scrub_of(registry, blobs=Healing(registry.backends.blobs))()

    found = await file_as_it_is(registry, file.id)
    assert found.status is PackageFileStatus.DEFAULT
    assert found.verified_at != file.verified_at


@pytest.mark.slow
async def test_a_file_that_is_deleted_meanwhile_is_not_judged(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    blob_of(registry, file).unlink()

    class Deleting(Faulty):
        async def read(self, key: str, **options: int) -> object:
            await execute(registry, _DOOM)
            async for chunk in super().read(key, **options):  # type: ignore[attr-defined]
                yield chunk

    await registry.backends.blobs.give_name("a" * 32)
    async with registry.backends.store.writing() as rows:
        await rows.inventory.name_blob_store("a" * 32)
    await scrub_of(registry, blobs=Deleting(registry.backends.blobs))()

    found = await file_as_it_is(registry, file.id)
    assert found.status is PackageFileStatus.PENDING_DESTRUCTION


@pytest.mark.slow
async def test_several_workers_share_the_files(registry: Registry) -> None:
    await publish(registry, *range(6))
    scrubs = [scrub_of(registry) for _ in range(3)]

    looked_at = await asyncio.gather(*(scrub() for scrub in scrubs))

    assert sum(looked_at) == 6


@pytest.mark.slow
async def test_reading_is_spread_over_time(registry: Registry) -> None:
    await publish(registry, 0, 1)
    loop = asyncio.get_running_loop()
    # Each of the two small files counts for 256 KiB.
    scrub = Scrub(
        store=registry.backends.store,
        blobs=registry.backends.blobs,
        bytes_per_second=1024**2,
        interval=timedelta(days=30),
    )
    began = loop.time()

    await scrub()

    assert loop.time() - began >= 0.5


async def _has_row(registry: Registry, file_id: int) -> bool:
    return await registry.file(file_id) is not None
