"""While a backup holds the blobs, none is removed; readers notice nothing of that, and afterwards all goes on."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.blob_keys import new_blob_key
from shared.errors import ValidationFailed
from shared.models import PackageFileStatus
from shared.ports.hold_rows import HoldId
from shared.usecases.destroy import DeletePackageFile, DestroyPackageFile
from shared.usecases.sweep import Sweep, SweepOrphans
from tests.worker.conftest import Registry
from tests.worker.upkeep import execute, file_as_it_is, publish

_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def hold(registry: Registry) -> HoldId:
    now = datetime.now(UTC)
    async with registry.backends.store.writing() as rows:
        return await rows.holds.hold_destruction("backup", now=now, until=now + timedelta(minutes=1))


async def lift(registry: Registry, held: HoldId) -> None:
    async with registry.backends.store.writing() as rows:
        await rows.holds.lift_hold(held)


async def test_a_deleted_file_is_destroyed_when_the_hold_is_over(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    held = await hold(registry)
    delete = DeletePackageFile(registry.backends.store, registry.backends.queue)
    await delete(registry.visit, file.package_id, file_id=file.id)
    destroy = DestroyPackageFile(registry.backends.store, registry.backends.blobs)

    await destroy(file.id)

    assert (await file_as_it_is(registry, file.id)).status is PackageFileStatus.PENDING_DESTRUCTION
    assert await registry.blobs() == [file.blob_key]

    await lift(registry, held)
    await destroy(file.id)

    assert await registry.count("package_files") == 0
    assert await registry.blobs() == []


@pytest.mark.slow
async def test_the_sweep_brings_doomed_files_back_when_the_hold_is_over(registry: Registry) -> None:
    (file,) = await publish(registry, 0)
    await execute(
        registry, "UPDATE package_files SET status = 'pending_destruction', doomed_at = '2026-01-01T00:00:00.000000Z'"
    )
    held = await hold(registry)
    sweep = Sweep(store=registry.backends.store, queue=registry.backends.queue)
    redis = registry.backends.queue._redis  # type: ignore[attr-defined]  # what is behind the port

    await sweep()
    assert await redis.exists(f"arq:job:destroy:{file.id}") == 0

    await lift(registry, held)
    await sweep()
    assert await redis.exists(f"arq:job:destroy:{file.id}") == 1


@pytest.mark.slow
async def test_orphans_stay_while_they_are_held(registry: Registry) -> None:
    await publish(registry, 0)
    key = new_blob_key(_LONG_AGO)
    async with registry.backends.blobs.create(key) as writer:
        await writer.commit()
    sweep = SweepOrphans(store=registry.backends.store, blobs=registry.backends.blobs, upload_max_seconds=3600)
    held = await hold(registry)

    assert await sweep() == 0
    await lift(registry, held)
    assert await sweep() == 1


@pytest.mark.slow
async def test_the_bytes_of_a_refused_upload_stay_while_they_are_held(registry: Registry) -> None:
    held = await hold(registry)
    with pytest.raises(ValidationFailed):
        await registry.upload(b"x", file_name="pkg-1.0.tar.gz", sha256_digest="0" * 64)
    assert len(await registry.blobs()) == 1

    await lift(registry, held)
    with pytest.raises(ValidationFailed):
        await registry.upload(b"x", file_name="pkg-1.0.tar.gz", sha256_digest="0" * 64)
    assert len(await registry.blobs()) == 1
