"""Deletes as the worker carries them out: blob, then row, whatever happens in between."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from arq.constants import job_key_prefix

from shared.errors import RecordNotFound
from shared.models import BlobKey, PackageFile, PackageFileId, PackageFileStatus, PackageId
from shared.ports.blob_store import BlobStore, BlobWriter, LinkHeaders, LocalBlob
from shared.queue.connection import QUEUE_NAME
from shared.usecases.destroy import DeletePackage, DeletePackageFile, DestroyPackageFile
from shared.usecases.sweep import Sweep
from tests.distributions import build_sdist, build_wheel
from tests.rows import execute
from tests.waiting import eventually
from tests.worker.conftest import Registry

_WHEEL, _SDIST = "pkg-1.0-py3-none-any.whl", "pkg-1.0.tar.gz"
_FIRST, _SECOND = PackageFileId(1), PackageFileId(2)
_PACKAGE = PackageId(1)


@pytest.fixture
async def published(registry: Registry) -> Registry:
    """A registry with one package of two files."""
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    await registry.upload(build_sdist("pkg", "1.0"), file_name=_SDIST)
    for file_id in (_FIRST, _SECOND):
        await registry.process()(file_id, 1)
    return registry


def _destroy(registry: Registry, blobs: BlobStore | None = None) -> DestroyPackageFile:
    return DestroyPackageFile(registry.backends.store, blobs or registry.backends.blobs)


async def _delete_package(registry: Registry) -> None:
    await DeletePackage(registry.backends.store, registry.backends.queue)(registry.visit, _PACKAGE)


async def _sweep(registry: Registry) -> list[str]:
    """Sweep when Redis has lost everything and enough time has passed; return the deletes that are queued then."""
    redis = registry.backends.queue._redis  # type: ignore[attr-defined]  # what is behind the port
    await redis.delete(QUEUE_NAME, *(f"{job_key_prefix}destroy:{file_id}" for file_id in (_FIRST, _SECOND)))
    await execute(
        registry.settings.database_url,
        "UPDATE package_files SET doomed_at = '2026-01-01T00:00:00.000000Z' WHERE doomed_at IS NOT NULL",
    )
    await Sweep(registry.backends.store, registry.backends.queue)()
    return sorted(name.decode() for name in await redis.zrange(QUEUE_NAME, 0, -1) if name.startswith(b"destroy"))


async def _traces(registry: Registry) -> tuple[int, int, int]:
    return await registry.count("packages"), await registry.count("package_files"), len(await registry.blobs())


async def test_files_go_one_by_one_and_the_package_with_the_last(published: Registry) -> None:
    await _delete_package(published)
    with pytest.raises(RecordNotFound):
        await _delete_package(published)
    assert await _traces(published) == (1, 2, 2)

    await _destroy(published)(_FIRST)
    assert await _traces(published) == (1, 1, 1)
    await _destroy(published)(_SECOND)
    assert await _traces(published) == (0, 0, 0)
    assert await published.count("package_names") == 1, "what was ours once is never looked for elsewhere"


async def test_a_file_that_is_alive_is_not_destroyed(published: Registry) -> None:
    await _destroy(published)(_FIRST)
    await _destroy(published)(PackageFileId(99))
    assert await _traces(published) == (1, 2, 2)


async def test_jobs_that_run_twice_and_at_once_do_no_harm(published: Registry) -> None:
    await _delete_package(published)
    async with asyncio.TaskGroup() as group:
        for file_id in (_FIRST, _SECOND) * 3:
            group.create_task(_destroy(published)(file_id))
    assert await _traces(published) == (0, 0, 0)


async def test_a_delete_whose_jobs_were_lost_is_carried_out_by_the_sweep(published: Registry) -> None:
    await _delete_package(published)
    assert await _sweep(published) == ["destroy:1", "destroy:2"]


@dataclass(frozen=True)
class _CutOff:
    """A blob store whose worker is killed as soon as the bytes are gone."""

    blobs: BlobStore

    def create(self, key: BlobKey) -> AbstractAsyncContextManager[BlobWriter]:
        return self.blobs.create(key)

    def read(self, key: BlobKey, *, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        return self.blobs.read(key, offset=offset, length=length)

    async def locate(self, key: BlobKey) -> LocalBlob | None:
        return await self.blobs.locate(key)

    async def size_of(self, key: BlobKey) -> int:
        return await self.blobs.size_of(key)

    async def link(self, key: BlobKey, headers: LinkHeaders, *, seconds: int) -> str | None:
        return await self.blobs.link(key, headers, seconds=seconds)

    async def delete(self, key: BlobKey) -> None:
        await self.blobs.delete(key)
        raise asyncio.CancelledError

    def keys(self, *, before: date) -> AsyncGenerator[BlobKey, None]:
        return self.blobs.keys(before=before)

    async def sweep_unfinished(self, *, before: date) -> int:
        return await self.blobs.sweep_unfinished(before=before)

    def unfinished(self, *, before: date) -> AsyncGenerator[BlobKey, None]:
        return self.blobs.unfinished(before=before)

    async def name(self) -> str | None:
        return await self.blobs.name()

    async def give_name(self, name: str) -> None:
        await self.blobs.give_name(name)

    async def check(self) -> None:
        await self.blobs.check()


async def test_a_worker_that_ends_between_blob_and_row_leaves_the_row_to_the_sweep(published: Registry) -> None:
    await DeletePackageFile(published.backends.store, published.backends.queue)(
        published.visit, _PACKAGE, file_id=_FIRST
    )
    with pytest.raises(asyncio.CancelledError):
        await _destroy(published, _CutOff(published.backends.blobs))(_FIRST)
    assert await _traces(published) == (1, 2, 1)
    assert await _sweep(published) == ["destroy:1"]

    await _destroy(published)(_FIRST)
    assert await _traces(published) == (1, 1, 1)


async def _file(registry: Registry, file_id: PackageFileId) -> PackageFile:
    file = await registry.file(file_id)
    assert file is not None
    return file


async def _block(blob: Path) -> None:
    """Put something in the blob's place that no disk removes like a file."""

    def put() -> None:
        blob.unlink()
        (blob / "in the way").mkdir(parents=True)

    await asyncio.to_thread(put)


@pytest.mark.embedded("puts something in the way on the disk")
async def test_a_blob_that_cannot_be_removed_leaves_the_reason_in_the_row_and_is_tried_again(
    published: Registry,
) -> None:
    await _delete_package(published)
    before = [await _file(published, file_id) for file_id in (_FIRST, _SECOND)]
    blob = published.settings.data_dir / "blobs" / before[0].blob_key
    await _block(blob)

    for file_id in (_FIRST, _SECOND):
        await _destroy(published)(file_id)

    left = await _file(published, _FIRST)
    assert left.status is PackageFileStatus.PENDING_DESTRUCTION
    assert left.status_message is not None
    assert left.status_message.startswith("its blob could not be removed: ")
    assert await published.file(_SECOND) is None, "one that fails holds up no other"
    assert await _sweep(published) == ["destroy:1"]

    await asyncio.to_thread((blob / "in the way").rmdir)
    await asyncio.to_thread(blob.rmdir)
    await _destroy(published)(_FIRST)
    assert await _traces(published) == (0, 0, 0)


async def test_an_upload_into_a_package_whose_last_file_is_being_destroyed_keeps_it(published: Registry) -> None:
    delete = DeletePackageFile(published.backends.store, published.backends.queue)
    for file_id in (_FIRST, _SECOND):
        await delete(published.visit, _PACKAGE, file_id=file_id)
    await _destroy(published)(_FIRST)
    await published.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    await _destroy(published)(_SECOND)
    third = await _file(published, PackageFileId(3))
    assert third.package_id == _PACKAGE
    await published.process()(third.id, 1)
    assert await _traces(published) == (1, 1, 1)


@pytest.mark.slow
async def test_many_deletes_and_uploads_of_one_version_at_once_leave_what_the_last_one_says(
    published: Registry,
) -> None:
    wheel = build_wheel("pkg", "1.0")

    async def delete() -> None:
        async with published.backends.store.reading() as rows:
            package = await rows.packages.package(_PACKAGE)
        if package is not None:
            await _delete_package(published)

    async with asyncio.TaskGroup() as group:
        group.create_task(delete())
        for _ in range(3):
            group.create_task(published.upload(wheel, file_name=_WHEEL))

    async def doomed_are_gone() -> bool:
        async with published.backends.store.reading() as rows:
            ids = [
                file.id
                for file in await rows.packages.doomed(
                    doomed_before=datetime.now(UTC) + timedelta(1), now=datetime.now(UTC) + timedelta(1), limit=99
                )
            ]
        for file_id in ids:
            await _destroy(published)(file_id)
        return not ids

    await eventually(doomed_are_gone, what="what was deleted is gone", timeout_seconds=60)
    files, blobs = await published.count("package_files"), len(await published.blobs())
    assert files == blobs
    assert await published.count("packages") == min(files, 1)
