"""What the worker and the operator's commands do where the files are in S3: no path leads to them."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from shared.backends import open_blobs, open_store
from shared.blob_keys import started_at
from shared.blobs.s3.location import parse_s3_url
from shared.errors import BlobMissing, BlobStoreUnavailable, StorageFull
from shared.models import CoreMetadata, PackageFileId, PackageFileStatus
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore
from shared.settings import Settings, read_settings
from shared.usecases.blob_store_name import bears_another_name
from shared.usecases.check import CheckRegistry
from shared.usecases.findings import FindingKind
from shared.usecases.scratch import Scratch
from shared.usecases.sweep import MOST_ATTEMPTS, SweepOrphans
from tests.distributions import build_sdist, build_wheel
from tests.s3_server import BUCKET, S3Server, new_s3_server, s3_credentials, s3_server
from tests.worker.conftest import Registry
from tests.worker.test_backup import back_up, restore_to
from tests.worker.upkeep import file_as_it_is, publish, scrub_of

pytestmark = pytest.mark.slow

__all__ = ["s3_credentials", "s3_server"]  # fixtures of their own module

_FIRST = PackageFileId(1)
_WHEEL = "pkg-1.0-py3-none-any.whl"


@pytest.fixture
def environment(s3_server: S3Server, s3_credentials: dict[str, str]) -> dict[str, str]:
    return {"LARDER_BLOB_URL": s3_server.blob_url(s3_server.new_prefix())}


@pytest.fixture
def own_server(s3_credentials: dict[str, str]) -> Iterator[S3Server]:
    """Give a server that the test may stop."""
    with new_s3_server() as server:
        yield server


def _scratch_files(registry: Registry) -> list[Path]:
    return list((registry.settings.data_dir / "scratch").glob("*"))


async def _check(registry: Registry) -> list[tuple[FindingKind, str]]:
    checking = CheckRegistry(
        store=registry.backends.store,
        blobs=registry.backends.blobs,
        upload_max_seconds=3600,
        tell=lambda _: None,
    )
    report = await checking.by_size()
    return [(finding.kind, finding.problem) for finding in report.findings]


@pytest.mark.parametrize(
    ("content", "file_name"),
    [(build_wheel("pkg", "1.0"), _WHEEL), (build_sdist("pkg", "1.0"), "pkg-1.0.tar.gz")],
)
async def test_a_file_is_inspected_in_a_copy_that_is_gone_afterwards(
    registry: Registry, content: bytes, file_name: str
) -> None:
    await registry.upload(content, file_name=file_name)

    await registry.process()(_FIRST, 1)

    assert (await file_as_it_is(registry, 1)).status is PackageFileStatus.DEFAULT
    assert _scratch_files(registry) == []


async def test_the_copy_is_gone_when_the_inspection_is_cancelled(registry: Registry) -> None:
    copies: list[bytes] = []
    is_inspecting = asyncio.Event()

    class Endless:
        async def inspect(self, path: Path, *, file_name: str) -> CoreMetadata:
            copies.append(await asyncio.to_thread(path.read_bytes))
            is_inspecting.set()
            await asyncio.Event().wait()
            raise AssertionError

    await registry.upload(content := build_wheel("pkg", "1.0"), file_name=_WHEEL)
    process = registry.process()
    object.__setattr__(process, "inspector", Endless())
    task = asyncio.create_task(process(_FIRST, 1))
    async with asyncio.timeout(30):
        await is_inspecting.wait()
    task.cancel()
    await asyncio.wait({task})

    assert copies == [content]
    assert _scratch_files(registry) == []


async def test_copies_of_killed_processes_are_cleared_and_those_in_use_are_not(tmp_path: Path) -> None:
    scratch, left = Scratch(tmp_path), tmp_path / "copy-of-a-killed-process"
    left.write_bytes(b"abc")

    async with scratch.copy() as copy:
        assert await Scratch(tmp_path).clear() == 1
        assert copy.path.exists()
        with copy.path.open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    assert list(tmp_path.iterdir()) == []


async def test_more_bytes_than_were_received_do_not_fill_the_machine(
    registry: Registry, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    file = await file_as_it_is(registry, 1)
    s3_server.client.put_object(Bucket=BUCKET, Key=_name_of(registry, file.blob_key), Body=bytes(20 * 1024 * 1024))
    sizes: list[int] = []

    def remove(path: Path, file: BinaryIO) -> None:
        sizes.append(path.stat().st_size)
        path.unlink()
        file.close()

    monkeypatch.setattr("shared.usecases.scratch._remove", remove)

    await registry.process()(_FIRST, 1)

    assert sizes == [file.size_bytes]
    refused = await file_as_it_is(registry, 1)
    assert refused.status_message == "the stored bytes are not those that were received"


async def test_a_machine_without_room_for_a_copy_uses_up_no_attempt(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shared.usecases.scratch.ScratchCopy._write_all", full)
        for _ in range(MOST_ATTEMPTS + 1):
            with pytest.RaisesGroup(StorageFull):
                await registry.process()(_FIRST, 1)

    await registry.process()(_FIRST, 1)
    assert (await file_as_it_is(registry, 1)).status is PackageFileStatus.DEFAULT


async def test_a_missing_object_is_a_missing_blob(registry: Registry, s3_server: S3Server) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    file = await file_as_it_is(registry, 1)
    s3_server.client.delete_object(Bucket=BUCKET, Key=_name_of(registry, file.blob_key))

    with pytest.RaisesGroup(BlobMissing):
        await registry.process()(_FIRST, 1)


async def test_check_and_scrub_find_what_is_missing_and_what_has_rotted(
    registry: Registry, s3_server: S3Server
) -> None:
    missing, rotten, whole = await publish(registry, 1, 2, 3)
    assert await _check(registry) == []
    s3_server.client.delete_object(Bucket=BUCKET, Key=_name_of(registry, missing.blob_key))
    s3_server.client.put_object(Bucket=BUCKET, Key=_name_of(registry, rotten.blob_key), Body=bytes(rotten.size_bytes))

    assert [kind for kind, _ in await _check(registry)] == [FindingKind.FILE], "the size of the rotten one is right"
    await scrub_of(registry)()

    statuses = [(await file_as_it_is(registry, file.id)).status for file in (missing, rotten, whole)]
    assert statuses == [PackageFileStatus.ERROR, PackageFileStatus.ERROR, PackageFileStatus.DEFAULT]


async def test_the_orphan_sweep_removes_objects_without_a_row_and_parts_of_killed_uploads(
    registry: Registry, s3_server: S3Server
) -> None:
    [file] = await publish(registry, 1)
    orphan, part = "2026/03/04/019cb8b8-1e00-7000-93c2-090596ed3643", "2026/03/04/019cb8b8-1e00-7000-93c2-090596ed3644"
    s3_server.client.put_object(Bucket=BUCKET, Key=_name_of(registry, orphan), Body=b"abc")
    s3_server.client.create_multipart_upload(Bucket=BUCKET, Key=_name_of(registry, part))

    removed = await SweepOrphans(registry.backends.store, registry.backends.blobs, upload_max_seconds=3600)()

    assert removed == 2
    assert await registry.backends.blobs.size_of(file.blob_key) == file.size_bytes
    assert [key async for key in registry.backends.blobs.keys(before=_tomorrow(file.blob_key))] == [file.blob_key]


async def test_a_backup_of_a_bucket_is_restored_into_another_and_on_a_disk(
    registry: Registry, s3_server: S3Server, tmp_path: Path
) -> None:
    files = await publish(registry, 1, 2)
    manifest = await back_up(registry, tmp_path / "backup")
    assert manifest.files == 2

    for number, url in enumerate((s3_server.blob_url(s3_server.new_prefix()), None)):
        data_dir = tmp_path / f"restored-{number}"
        settings, restore = restore_to(data_dir, **({"LARDER_BLOB_URL": url} if url else {}))
        await restore(tmp_path / "backup", tell=lambda _: None)
        async with open_both(settings) as (store, blobs):
            assert not await bears_another_name(store, blobs)
            assert [await blobs.size_of(file.blob_key) for file in files] == [file.size_bytes for file in files]


@pytest.mark.slow
async def test_a_store_that_is_away_for_longer_than_five_attempts_take_refuses_nothing(
    own_server: S3Server, tmp_path: Path, registry: Registry
) -> None:
    settings = read_settings(
        {
            "LARDER_DATA_DIR": str(tmp_path / "other"),
            "LARDER_REDIS_URL": registry.settings.redis_url or "",
            "LARDER_BLOB_URL": own_server.blob_url("away"),
        }
    )
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    process = registry.process()
    async with open_blobs(settings) as away:
        own_server.kill()
        object.__setattr__(process, "blobs", away)
        for _ in range(MOST_ATTEMPTS + 1):
            with pytest.RaisesGroup(BlobStoreUnavailable):
                await process(_FIRST, 1)

    await registry.process()(_FIRST, 1)
    assert (await file_as_it_is(registry, 1)).status is PackageFileStatus.DEFAULT


def _name_of(registry: Registry, key: str) -> str:
    return parse_s3_url(registry.settings.blob_url).prefix + key


def _tomorrow(key: str) -> date:
    return started_at(key).date() + timedelta(days=1)


@asynccontextmanager
async def open_both(settings: Settings) -> AsyncIterator[tuple[MetadataStore, BlobStore]]:
    async with open_store(settings) as store, open_blobs(settings) as blobs:
        yield store, blobs
