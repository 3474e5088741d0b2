"""The worker's verdict on uploaded files."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.distributions import build_sdist, build_wheel

from shared.models import PackageFileId, PackageFileStatus, PackageId, PackageStatus, UploadChecks
from shared.usecases.destroy import DeletePackage, DestroyPackageFile
from shared.usecases.process import LEASE_SECONDS
from shared.usecases.sweep import MOST_ATTEMPTS, Sweep
from shared.usecases.upload import UploadOutcome
from tests.waiting import eventually
from tests.worker.conftest import Registry

_WHEEL = "pkg-1.0-py3-none-any.whl"
_FIRST = PackageFileId(1)


async def _status(registry: Registry) -> PackageStatus | None:
    async with registry.backends.store.reading() as rows:
        package = await rows.packages.package(PackageId(1))
    return package.status if package else None


async def _attempt(registry: Registry) -> int:
    file = await registry.file()
    assert file is not None
    return file.attempt


async def test_a_good_wheel_becomes_default_with_all_digests_and_its_metadata(registry: Registry) -> None:
    wheel = build_wheel("pkg", "1.0", requires_python=">=3.9")
    assert await registry.upload(wheel, file_name=_WHEEL) is UploadOutcome.ACCEPTED

    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.requires_python, file.size_bytes) == (PackageFileStatus.DEFAULT, ">=3.9", len(wheel))
    assert file.md5
    assert file.sha1
    assert file.blake2b_256
    assert await _status(registry) is PackageStatus.DEFAULT
    async with registry.backends.store.reading() as rows:
        raw = await rows.packages.core_metadata(_FIRST)
    assert raw is not None
    assert b"Requires-Python: >=3.9" in raw


async def test_a_good_sdist_becomes_default(registry: Registry) -> None:
    await registry.upload(build_sdist("pkg", "1.0"), file_name="pkg-1.0.tar.gz")

    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert file.status is PackageFileStatus.DEFAULT


@pytest.mark.parametrize(
    ("content", "form", "reason"),
    [
        (b"not an archive", {}, None),
        (build_wheel("pkg", "2.0"), {}, None),
        (build_wheel("other", "1.0"), {}, None),
        (
            build_wheel("pkg", "1.0", requires_python=">=3.9"),
            {"requires_python": ">=3.12"},
            "requires_python '>=3.12' differs from '>=3.9' in the metadata",
        ),
        (
            build_wheel("pkg", "1.0"),
            {"md5_digest": "0" * 32},
            "md5_digest does not match the uploaded file",
        ),
        (
            build_wheel("pkg", "1.0"),
            {"blake2_256_digest": "0" * 64},
            "blake2_256_digest does not match the uploaded file",
        ),
    ],
)
async def test_a_bad_file_becomes_error_with_a_reason(
    registry: Registry, content: bytes, form: dict[str, str], reason: str | None
) -> None:
    await registry.upload(content, file_name=_WHEEL, **form)  # type: ignore[arg-type]  # one of the named fields

    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert file.status is PackageFileStatus.ERROR
    assert file.status_message
    assert reason is None or file.status_message == reason
    assert await _status(registry) is PackageStatus.ERROR


@pytest.mark.parametrize("content", [b"not an archive", build_wheel("other", "1.0"), build_wheel("pkg", "2.0")])
async def test_with_checks_off_an_unreadable_or_foreign_archive_is_taken_without_metadata(
    registry: Registry, content: bytes
) -> None:
    await registry.upload(content, file_name=_WHEEL, checks=UploadChecks.OFF)

    await registry.process(UploadChecks.OFF)(_FIRST, 1)

    async with registry.backends.store.reading() as rows:
        assert await rows.packages.core_metadata(_FIRST) is None
    file = await registry.file()
    assert file is not None
    assert file.status is PackageFileStatus.DEFAULT


async def test_two_workers_on_one_job_give_one_verdict(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    process = registry.process()

    await asyncio.gather(*(process(_FIRST, 1) for _ in range(4)))

    file = await registry.file()
    assert file is not None
    assert (file.status, file.attempt) == (PackageFileStatus.DEFAULT, 1)


async def test_a_job_of_an_older_attempt_ends_quietly(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    async with registry.backends.store.writing() as rows:
        assert await rows.packages.take_lease(_FIRST, attempt=1, until=datetime.now(UTC))
        assert await rows.packages.next_attempt(_FIRST, attempt=1)

    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.attempt) == (PackageFileStatus.PROCESSING, 2)


async def test_a_file_that_is_deleted_while_it_waits_stays_deleted(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    backends = registry.backends
    await DeletePackage(backends.store, backends.queue)(registry.visit.project.id, PackageId(1), actor="user:1")

    await registry.process()(_FIRST, 1)
    assert await _status(registry) is PackageStatus.PENDING_DESTRUCTION
    await DestroyPackageFile(backends.store, backends.blobs)(_FIRST)
    await DestroyPackageFile(backends.store, backends.blobs)(_FIRST)

    assert await registry.file() is None
    assert await _status(registry) is None
    assert registry.blobs_on_disk() == []


async def test_the_same_version_can_be_uploaded_while_its_predecessor_is_being_destroyed(registry: Registry) -> None:
    wheel = build_wheel("pkg", "1.0")
    await registry.upload(wheel, file_name=_WHEEL)
    backends = registry.backends
    await DeletePackage(backends.store, backends.queue)(registry.visit.project.id, PackageId(1), actor="user:1")

    assert await registry.upload(wheel, file_name=_WHEEL) is UploadOutcome.ACCEPTED

    second = await registry.file(2)
    assert second is not None
    assert second.package_id == PackageId(2)


async def test_a_lost_blob_becomes_an_error_and_not_an_endless_job(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    for path in registry.blobs_on_disk():
        path.unlink()

    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.status_message) == (PackageFileStatus.ERROR, "the stored bytes are missing")


async def test_the_sweep_gives_a_lapsed_file_to_the_next_attempt_and_gives_up_after_the_last(
    registry: Registry,
) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    sweep = Sweep(registry.backends.store, registry.backends.queue)

    for attempt in range(1, MOST_ATTEMPTS + 1):
        async with registry.backends.store.writing() as rows:
            assert await rows.packages.take_lease(_FIRST, attempt=attempt, until=datetime.now(UTC))
        await sweep()

    file = await registry.file()
    assert file is not None
    assert (file.status, file.status_message) == (PackageFileStatus.ERROR, "processing failed 5 times")


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1)])
async def test_a_lease_from_a_clock_that_is_a_day_off_is_over(registry: Registry, jump: timedelta) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    async with registry.backends.store.writing() as rows:
        until = datetime.now(UTC) + jump + timedelta(seconds=LEASE_SECONDS)
        assert await rows.packages.take_lease(_FIRST, attempt=1, until=until)

    await Sweep(registry.backends.store, registry.backends.queue)()

    assert await _attempt(registry) == 2


async def test_a_lease_that_runs_is_left_alone(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    async with registry.backends.store.writing() as rows:
        until = datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS)
        assert await rows.packages.take_lease(_FIRST, attempt=1, until=until)

    await Sweep(registry.backends.store, registry.backends.queue)()

    assert await _attempt(registry) == 1


async def test_the_uploader_is_told_as_soon_as_the_verdict_is_there(registry: Registry) -> None:
    async with asyncio.TaskGroup() as group:
        upload = group.create_task(registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL, wait_seconds=30))
        await eventually(registry.file, what="the row of the upload", timeout_seconds=10)
        await registry.process()(_FIRST, 1)

    assert upload.result() is UploadOutcome.PUBLISHED


async def test_a_second_upload_of_a_file_that_is_being_processed_shares_its_verdict(registry: Registry) -> None:
    wheel = build_wheel("pkg", "1.0")
    await registry.upload(wheel, file_name=_WHEEL)
    async with asyncio.TaskGroup() as group:
        upload = group.create_task(registry.upload(wheel, file_name=_WHEEL, wait_seconds=30))
        await registry.process()(_FIRST, 1)

    assert upload.result() is UploadOutcome.PUBLISHED
    assert await registry.file(2) is None
    assert len(registry.blobs_on_disk()) == 1
