"""The worker's verdict on uploaded files."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.blobs.local import open_local_blob_store
from shared.errors import BlobMissing, DigestMissing, StorageFull, ValidationFailed
from shared.models import PackageFileId, PackageFileStatus, PackageId, PackageStatus, UploadChecks
from shared.usecases.blob_store_name import require_own_blob_store
from shared.usecases.destroy import DestroyPackageFile
from shared.usecases.process import LEASE_SECONDS
from shared.usecases.sweep import MOST_ATTEMPTS, Sweep
from shared.usecases.upload import UploadOutcome
from tests.distributions import build_sdist, build_wheel, core_metadata
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


async def _doom(registry: Registry) -> None:
    """Doom the package as the end of its project would, which waits for no verdict."""
    async with registry.backends.store.writing() as rows:
        await rows.packages.lock(PackageId(1))
        assert await rows.packages.doom_package(PackageId(1), source=frozenset(PackageStatus))


async def _lapse(registry: Registry, *, attempt: int) -> None:
    """Let the sweep find the lease of this attempt over."""
    async with registry.backends.store.writing() as rows:
        assert await rows.packages.renew_lease(_FIRST, attempt=attempt, until=datetime.now(UTC))
    await Sweep(registry.backends.store, registry.backends.queue)()


async def _let_the_database_have(registry: Registry, pages: int) -> None:
    """Let it grow to so many pages and no further; it has some already."""
    async with registry.backends.store.writing() as rows:
        # The limit is the connection's; there is one for writing.
        await rows._transaction.rows(text(f"PRAGMA max_page_count = {pages}"))  # type: ignore[attr-defined]


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


async def test_in_fips_mode_there_is_every_digest_but_an_md5(registry: Registry) -> None:
    # A form of before may name one, which is then not looked at.
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL, md5_digest="0" * 32)

    await registry.process(is_fips=True)(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.md5) == (PackageFileStatus.DEFAULT, None)
    assert file.sha1
    assert file.blake2b_256


async def test_in_fips_mode_the_other_digests_of_a_form_count_as_ever(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL, blake2_256_digest="0" * 64)

    await registry.process(is_fips=True)(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert file.status_message == "blake2_256_digest does not match the uploaded file"


async def test_an_upload_that_must_say_its_sha256_and_does_not_is_not_taken(registry: Registry) -> None:
    with pytest.raises(DigestMissing):
        await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL, needs_sha256=True)

    assert await registry.blobs() == []
    assert await registry.count("package_files") == 0


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


_FLAWED = build_wheel("pkg", "1.0", metadata=b"Metadata-Version: 2.0\nName: pkg\nVersion: 1.0\nRequires-Python: >=3\n")


async def test_metadata_that_breaks_the_standard_is_refused(registry: Registry) -> None:
    await registry.upload(_FLAWED, file_name=_WHEEL)

    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert file.status is PackageFileStatus.ERROR
    assert file.status_message == (
        "metadata is invalid: Metadata-Version 2.0 was never a standard; "
        "build the distribution anew with a current tool, or set LARDER_UPLOAD_CHECKS=off"
    )


async def test_with_checks_off_such_metadata_is_taken_and_acted_on(registry: Registry) -> None:
    await registry.upload(_FLAWED, file_name=_WHEEL, checks=UploadChecks.OFF)

    await registry.process(UploadChecks.OFF)(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.requires_python) == (PackageFileStatus.DEFAULT, ">=3")
    async with registry.backends.store.reading() as rows:
        assert await rows.packages.core_metadata(_FIRST) is not None


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


@pytest.mark.embedded("SQLite is told to have no room")
async def test_a_verdict_that_finds_no_room_uses_up_no_attempt(registry: Registry) -> None:
    metadata = core_metadata("pkg", "1.0") + b"\n" + b"A long description.\n" * 20_000
    await registry.upload(build_wheel("pkg", "1.0", metadata=metadata), file_name=_WHEEL)
    await _let_the_database_have(registry, 1)

    for _ in range(MOST_ATTEMPTS + 1):
        with pytest.raises(StorageFull):
            await registry.process()(_FIRST, 1)

    await _let_the_database_have(registry, 1_000_000)
    await registry.process()(_FIRST, 1)
    file = await registry.file()
    assert file is not None
    assert file.status is PackageFileStatus.DEFAULT


async def test_a_job_of_an_older_attempt_ends_quietly(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    async with registry.backends.store.writing() as rows:
        until = datetime.now(UTC)
        assert await rows.packages.take_lease(_FIRST, attempt=1, until=until)
        assert await rows.packages.next_attempt(_FIRST, attempt=1, leased_until=until)

    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.attempt) == (PackageFileStatus.PROCESSING, 2)


async def test_a_file_that_is_deleted_while_it_waits_stays_deleted(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    backends = registry.backends
    await _doom(registry)

    await registry.process()(_FIRST, 1)
    assert await _status(registry) is PackageStatus.PENDING_DESTRUCTION
    await DestroyPackageFile(backends.store, backends.blobs)(_FIRST)
    await DestroyPackageFile(backends.store, backends.blobs)(_FIRST)

    assert await registry.file() is None
    assert await _status(registry) is None
    assert await registry.blobs() == []


async def test_the_same_version_can_be_uploaded_while_its_predecessor_is_being_destroyed(registry: Registry) -> None:
    wheel = build_wheel("pkg", "1.0")
    await registry.upload(wheel, file_name=_WHEEL)
    await _doom(registry)

    assert await registry.upload(wheel, file_name=_WHEEL) is UploadOutcome.ACCEPTED

    second = await registry.file(2)
    assert second is not None
    assert second.package_id == PackageId(2)


@pytest.mark.embedded("takes a file from the disk")
async def test_a_blob_that_is_away_for_a_moment_is_found_by_a_later_attempt(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    (key,) = await registry.blobs()
    blob = registry.settings.data_dir / "blobs" / key
    aside = blob.rename(blob.with_name("aside"))

    with pytest.raises(ExceptionGroup) as failure:
        await registry.process()(_FIRST, 1)
    assert failure.group_contains(BlobMissing)
    aside.rename(blob)
    await _lapse(registry, attempt=1)
    await registry.process()(_FIRST, 2)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.attempt) == (PackageFileStatus.DEFAULT, 2)


async def test_a_store_whose_disk_is_not_mounted_uses_up_no_attempt(registry: Registry, tmp_path: Path) -> None:
    await require_own_blob_store(registry.backends.store, registry.backends.blobs)
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)

    async with open_local_blob_store(tmp_path / "mount-point") as empty:
        elsewhere = replace(registry.process(), blobs=empty)
        for _ in range(MOST_ATTEMPTS + 1):
            with pytest.raises(ExceptionGroup) as failure:
                await elsewhere(_FIRST, 1)
            assert failure.group_contains(BlobMissing)
    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.attempt) == (PackageFileStatus.DEFAULT, 1)


async def test_a_worker_that_is_stopped_leaves_the_attempt_to_another(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    job = asyncio.create_task(registry.process()(_FIRST, 1))

    async def is_leased() -> bool:
        file = await registry.file()
        return file is not None and (file.leased_until is not None or file.status is PackageFileStatus.DEFAULT)

    await eventually(is_leased, what="the job has its lease", timeout_seconds=60)
    job.cancel()
    await asyncio.wait({job})
    await registry.process()(_FIRST, 1)

    file = await registry.file()
    assert file is not None
    assert (file.status, file.attempt) == (PackageFileStatus.DEFAULT, 1)


async def test_a_lease_that_is_renewed_after_the_sweep_has_looked_is_left_alone(registry: Registry) -> None:
    await registry.upload(build_wheel("pkg", "1.0"), file_name=_WHEEL)
    over = datetime.now(UTC)
    async with registry.backends.store.writing() as rows:
        assert await rows.packages.take_lease(_FIRST, attempt=1, until=over)
        assert await rows.packages.renew_lease(_FIRST, attempt=1, until=over + timedelta(seconds=LEASE_SECONDS))

    async with registry.backends.store.writing() as rows:
        assert not await rows.packages.next_attempt(_FIRST, attempt=1, leased_until=over)

    assert await _attempt(registry) == 1


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
        await eventually(registry.file, what="the row of the upload", timeout_seconds=60)
        await registry.process()(_FIRST, 1)

    assert upload.result() is UploadOutcome.PUBLISHED


async def _joined(registry: Registry, wheel: bytes, **fields: str) -> asyncio.Task[UploadOutcome]:
    """Upload a file that is being processed already, and return when that upload waits for its verdict."""
    joiner = asyncio.create_task(registry.upload(wheel, file_name=_WHEEL, wait_seconds=30, **fields))  # type: ignore[arg-type]  # one of the named fields

    async def has_its_blob() -> bool:
        return len(await registry.blobs()) == 2

    await eventually(has_its_blob, what="the second blob", timeout_seconds=60)
    return joiner


async def test_a_second_upload_of_a_file_that_is_being_processed_shares_its_verdict(registry: Registry) -> None:
    wheel = build_wheel("pkg", "1.0")
    await registry.upload(wheel, file_name=_WHEEL)
    joiner = await _joined(registry, wheel)

    await registry.process()(_FIRST, 1)

    assert await joiner is UploadOutcome.PUBLISHED
    assert await registry.file(2) is None
    assert len(await registry.blobs()) == 1


async def test_a_joined_upload_is_judged_by_itself_when_the_first_one_is_refused(registry: Registry) -> None:
    wheel = build_wheel("pkg", "1.0")
    await registry.upload(wheel, file_name=_WHEEL, md5_digest="0" * 32)
    joiner = await _joined(registry, wheel)

    await registry.process()(_FIRST, 1)

    async def second_is_there() -> bool:
        return await registry.file(2) is not None

    await eventually(second_is_there, what="a row of its own", timeout_seconds=60)
    await registry.process()(PackageFileId(2), 1)
    assert await joiner is UploadOutcome.PUBLISHED


@pytest.mark.parametrize("field", ["md5_digest", "blake2_256_digest"])
async def test_a_repeated_upload_with_a_wrong_digest_is_refused(registry: Registry, field: str) -> None:
    wheel = build_wheel("pkg", "1.0")
    await registry.upload(wheel, file_name=_WHEEL)
    await registry.process()(_FIRST, 1)

    with pytest.raises(ValidationFailed, match=f"{field} does not match the uploaded file"):
        await registry.upload(wheel, file_name=_WHEEL, **{field: "0" * 64})  # type: ignore[arg-type]  # as above

    file = await registry.file()
    assert file is not None
    assert file.status is PackageFileStatus.DEFAULT
    assert len(await registry.blobs()) == 1


async def test_what_a_second_uploader_was_promised_stays_visible_when_the_first_one_is_refused(
    registry: Registry,
) -> None:
    bad = b"not an archive"
    async with asyncio.TaskGroup() as group:
        first = group.create_task(_refused(registry, bad))
        await eventually(registry.file, what="the row of the upload", timeout_seconds=60)
        assert await registry.upload(bad, file_name=_WHEEL) is UploadOutcome.ACCEPTED
        await registry.process()(_FIRST, 1)

    assert first.result()
    file = await registry.file()
    assert file is not None
    assert (file.status, file.status_message) == (PackageFileStatus.ERROR, first.result())


async def test_refused_uploads_of_one_package_leave_nothing_at_all(registry: Registry) -> None:
    async with asyncio.TaskGroup() as group:
        uploads = [group.create_task(_refused(registry, b"bad", name)) for name in (_WHEEL, "pkg-1.0.tar.gz")]

        async def both_are_there() -> bool:
            return await registry.file(2) is not None

        await eventually(both_are_there, what="both rows", timeout_seconds=60)
        await registry.process()(_FIRST, 1)
        await registry.process()(PackageFileId(2), 1)

    assert all(upload.result() for upload in uploads)
    assert await _status(registry) is None
    assert await registry.blobs() == []
    assert await registry.count("package_names") == 0
    assert await registry.count("packages") == 0
    assert await registry.count("package_file_metadata") == 0


async def _refused(registry: Registry, content: bytes, file_name: str = _WHEEL) -> str:
    """Upload, wait for the verdict, and return the reason of the refusal."""
    with pytest.raises(ValidationFailed) as refusal:
        await registry.upload(content, file_name=file_name, wait_seconds=30)
    return refusal.value.reason
