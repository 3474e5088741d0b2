"""What a worker writes: leases, attempts and verdicts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.metadata.store import SqlMetadataStore
from shared.models import CoreMetadata, PackageFile, PackageFileId, PackageFileStatus, PackageStatus
from tests.contracts.metadata.sample_rows import (
    DIGESTS,
    accept,
    doom,
    file_as_it_is,
    lease,
    lease_end,
    new_project,
    package_of,
    publish,
    refuse,
    upload,
)

METADATA = CoreMetadata(raw=b"Name: demo\n\xff\x00", name="demo", version="1.0", requires_python=">=3.9")


async def give_verdict(store: SqlMetadataStore, file: PackageFile, attempt: int, *, is_good: bool) -> bool:
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        if is_good:
            return await rows.packages.accept_file(file.id, attempt=attempt, digests=DIGESTS, metadata=None)
        return await rows.packages.refuse_file(file.id, attempt=attempt, reason="it is broken")


async def test_a_lease_is_taken_once_and_tells_the_file(store: SqlMetadataStore) -> None:
    file = await upload(store, await new_project(store))
    until = lease_end()
    async with store.writing() as rows:
        leased = await rows.packages.take_lease(file.id, attempt=1, until=until)
        assert await rows.packages.take_lease(file.id, attempt=1, until=until) is None
    assert leased == replace(file, leased_until=until)
    assert await file_as_it_is(store, file) == leased


async def test_a_lease_is_not_to_be_had_at_another_attempt_or_in_another_status(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    waiting = await upload(store, project)
    done = await publish(store, project, "done.tar.gz", version="2")
    async with store.writing() as rows:
        assert await rows.packages.take_lease(waiting.id, attempt=2, until=lease_end()) is None
        assert await rows.packages.take_lease(done.id, attempt=1, until=lease_end()) is None
        assert await rows.packages.take_lease(PackageFileId(999_999), attempt=1, until=lease_end()) is None
    assert (await file_as_it_is(store, waiting)).leased_until is None


async def test_only_its_holder_renews_a_lease(store: SqlMetadataStore) -> None:
    file = await upload(store, await new_project(store))
    until = lease_end(60)
    async with store.writing() as rows:
        assert not await rows.packages.renew_lease(file.id, attempt=1, until=until)
    await lease(store, file)
    async with store.writing() as rows:
        assert await rows.packages.renew_lease(file.id, attempt=1, until=until)
        assert not await rows.packages.renew_lease(file.id, attempt=2, until=lease_end())
    assert (await file_as_it_is(store, file)).leased_until == until


async def test_the_next_attempt_takes_the_lease_away(store: SqlMetadataStore) -> None:
    file = await upload(store, await new_project(store))
    until = lease_end()
    async with store.writing() as rows:
        assert not await rows.packages.next_attempt(file.id, attempt=1, leased_until=until), "nobody has it"
    await lease(store, file, until=until)
    async with store.writing() as rows:
        sooner = until - timedelta(microseconds=1)
        assert not await rows.packages.next_attempt(file.id, attempt=1, leased_until=sooner), "it was renewed"
        assert await rows.packages.next_attempt(file.id, attempt=1, leased_until=until)
        assert not await rows.packages.next_attempt(file.id, attempt=1, leased_until=until), "it has moved on"
        assert not await rows.packages.renew_lease(file.id, attempt=1, until=lease_end())
    waiting = await file_as_it_is(store, file)
    assert (waiting.attempt, waiting.leased_until, waiting.status) == (2, None, PackageFileStatus.PROCESSING)
    assert not await give_verdict(store, file, 1, is_good=True)
    assert not await give_verdict(store, file, 1, is_good=False)
    assert await file_as_it_is(store, file) == waiting
    await lease(store, waiting)
    assert await give_verdict(store, file, 2, is_good=True)


@pytest.mark.parametrize("is_good", [True, False])
async def test_a_verdict_needs_the_lease(store: SqlMetadataStore, is_good: bool) -> None:  # noqa: FBT001
    file = await upload(store, await new_project(store))
    assert not await give_verdict(store, file, 1, is_good=is_good)
    await lease(store, file)
    assert await give_verdict(store, file, 1, is_good=is_good)
    judged = await file_as_it_is(store, file)
    assert not await give_verdict(store, file, 1, is_good=not is_good), "a verdict is final"
    assert await file_as_it_is(store, file) == judged


async def test_an_accepted_file_has_its_digests_and_its_package_is_shown(store: SqlMetadataStore) -> None:
    file = await upload(store, await new_project(store), requires_python=">=3.8")
    await accept(store, file)
    accepted = await file_as_it_is(store, file)
    assert (accepted.md5, accepted.sha1, accepted.blake2b_256) == (DIGESTS.md5, DIGESTS.sha1, DIGESTS.blake2b_256)
    assert accepted.sha256 == file.sha256
    assert (accepted.status, accepted.leased_until) == (PackageFileStatus.DEFAULT, None)
    assert accepted.requires_python == ">=3.8"
    package = await package_of(store, file)
    assert package.status is PackageStatus.DEFAULT
    assert package.created_at < package.updated_at <= datetime.now(UTC)
    async with store.reading() as rows:
        assert await rows.packages.core_metadata(file.id) is None


async def test_core_metadata_is_kept_byte_for_byte_and_its_requires_python_holds(store: SqlMetadataStore) -> None:
    file = await upload(store, await new_project(store), requires_python=">=3.8")
    await accept(store, file, metadata=METADATA)
    assert (await file_as_it_is(store, file)).requires_python == ">=3.9"
    async with store.reading() as rows:
        assert await rows.packages.core_metadata(file.id) == METADATA.raw
        assert await rows.packages.core_metadata(PackageFileId(999_999)) is None


async def test_core_metadata_that_asks_for_no_python_holds_too(store: SqlMetadataStore) -> None:
    file = await upload(store, await new_project(store), requires_python=">=3.8")
    await accept(store, file, metadata=replace(METADATA, requires_python=None))
    assert (await file_as_it_is(store, file)).requires_python is None


async def test_a_refused_file_tells_why_and_so_does_its_package(store: SqlMetadataStore) -> None:
    file = await upload(store, await new_project(store))
    await refuse(store, file, reason="no archive: \0\udc80 ü")
    refused = await file_as_it_is(store, file)
    package = await package_of(store, file)
    assert (refused.status, refused.leased_until) == (PackageFileStatus.ERROR, None)
    assert package.status is PackageStatus.ERROR
    assert refused.status_message == package.status_message == "no archive: \ufffd\ufffd ü"


async def test_a_package_with_hope_left_is_not_an_error(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    first = await upload(store, project, "one.tar.gz")
    second = await upload(store, project, "two.tar.gz")
    await refuse(store, first)
    assert (await package_of(store, first)).status is PackageStatus.PROCESSING
    await refuse(store, second, reason="the second one")
    package = await package_of(store, first)
    assert (package.status, package.status_message) == (PackageStatus.ERROR, "the second one")


async def test_a_refused_file_does_not_hide_a_package_that_is_shown(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await publish(store, project, "one.tar.gz")
    second = await upload(store, project, "two.tar.gz")
    await refuse(store, second)
    assert (await package_of(store, second)).status is PackageStatus.DEFAULT


async def test_a_good_file_heals_a_package_in_error(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await refuse(store, await upload(store, project))
    good = await upload(store, project)
    assert (await package_of(store, good)).status is PackageStatus.ERROR, "adding a file changes no status"
    await accept(store, good)
    package = await package_of(store, good)
    assert (package.status, package.status_message) == (PackageStatus.DEFAULT, None)


async def test_a_released_lease_can_be_taken_again_by_the_same_attempt(store: SqlMetadataStore) -> None:
    file = await upload(store, await new_project(store))
    await lease(store, file)
    async with store.writing() as rows:
        assert not await rows.packages.release_lease(file.id, attempt=2)
        assert await rows.packages.release_lease(file.id, attempt=1)
        assert not await rows.packages.release_lease(file.id, attempt=1), "it is free"
        assert await rows.packages.take_lease(file.id, attempt=1, until=lease_end())


async def test_a_refused_file_is_withdrawn_unless_somebody_was_promised_it(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    plain, promised = await upload(store, project, version="1"), await upload(store, project, version="2")
    async with store.writing() as rows:
        assert await rows.packages.note_promise(promised.id)
        await rows.packages.lock(plain.package_id)
        assert not await rows.packages.withdraw_file(plain.id), "it may still become good"
    for file in (plain, promised):
        await lease(store, file)
        assert await give_verdict(store, file, 1, is_good=False)
    async with store.writing() as rows:
        for file in (plain, promised):
            await rows.packages.lock(file.package_id)
        assert await rows.packages.withdraw_file(plain.id)
        assert not await rows.packages.withdraw_file(promised.id)
        assert not await rows.packages.note_promise(promised.id), "its verdict is there"
    assert (await file_as_it_is(store, promised)).status is PackageFileStatus.ERROR


@pytest.mark.parametrize("is_good", [True, False])
async def test_nothing_leaves_pending_destruction(store: SqlMetadataStore, is_good: bool) -> None:  # noqa: FBT001
    project = await new_project(store)
    file = await upload(store, project)
    await lease(store, file)
    await doom(store, file)
    assert not await give_verdict(store, file, 1, is_good=is_good)
    async with store.writing() as rows:
        assert not await rows.packages.renew_lease(file.id, attempt=1, until=lease_end())
        assert not await rows.packages.next_attempt(file.id, attempt=1, leased_until=lease_end())
    doomed = await file_as_it_is(store, file)
    assert (doomed.status, doomed.leased_until) == (PackageFileStatus.PENDING_DESTRUCTION, None)
    assert (await package_of(store, file)).status is PackageStatus.PENDING_DESTRUCTION


async def test_a_verdict_on_a_file_that_is_gone_is_none(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        gone = PackageFileId(999_999)
        assert not await rows.packages.accept_file(gone, attempt=1, digests=DIGESTS, metadata=None)
        assert not await rows.packages.refuse_file(gone, attempt=1, reason="")
        assert not await rows.packages.renew_lease(gone, attempt=1, until=lease_end())
        assert not await rows.packages.next_attempt(gone, attempt=1, leased_until=lease_end())
        assert not await rows.packages.release_lease(gone, attempt=1)
        assert not await rows.packages.note_promise(gone)
        assert not await rows.packages.withdraw_file(gone)


async def test_files_that_wait_are_found_oldest_first(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    first, second, third = [await upload(store, project, f"{number}.tar.gz") for number in (1, 2, 3)]
    leased = await upload(store, project, "leased.tar.gz")
    await lease(store, leased)
    await publish(store, project, "published.tar.gz")
    async with store.reading() as rows:
        found = await rows.packages.unleased(created_before=third.created_at, now=third.created_at, limit=10)
        assert found == (first, second)
        assert await rows.packages.unleased(created_before=lease_end(), now=lease_end(), limit=2) == (first, second)


async def test_leases_that_ran_out_or_lie_beyond_any_are_found_oldest_first(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    now = datetime.now(UTC)
    ends = {
        "jumped": now + timedelta(seconds=31),
        "just over": now,
        "longest": now + timedelta(seconds=30),
        "long over": now - timedelta(days=1),
        "running": now + timedelta(microseconds=1),
    }
    for name, until in ends.items():
        await lease(store, await upload(store, project, name), until=until)
    await upload(store, project, "never leased")
    async with store.reading() as rows:
        found = await rows.packages.lapsed(now=now, lease_seconds=30, limit=10)
        assert [file.file_name for file in found] == ["jumped", "just over", "long over"]
        assert [file.leased_until for file in found] == [ends[file.file_name] for file in found]
        assert len(await rows.packages.lapsed(now=now, lease_seconds=30, limit=1)) == 1
