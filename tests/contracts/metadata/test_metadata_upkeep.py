"""Holds on the destruction of blobs, and the rows as those see them who go through all of them."""

import hashlib
from datetime import UTC, datetime, timedelta

from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.models import CoreMetadata, CounterScope, PackageFileId, PackageId
from shared.ports.hold_rows import LONGEST_HOLD
from shared.ports.metadata_store import AuditEvent
from tests.contracts.metadata.sample_rows import accept, new_package, new_project, publish, upload
from tests.contracts.metadata.test_metadata_counters import touched_by

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def is_held(store: SqlMetadataStore, now: datetime = NOW) -> bool:
    async with store.reading() as rows:
        return await rows.holds.is_destruction_held(now=now)


async def test_blobs_are_held_until_the_last_hold_is_lifted(store: SqlMetadataStore) -> None:
    assert not await is_held(store)
    async with store.writing() as rows:
        one = await rows.holds.hold_destruction("one", now=NOW, until=NOW + MINUTE)
        two = await rows.holds.hold_destruction("two", now=NOW, until=NOW + MINUTE)
    assert await is_held(store)
    async with store.writing() as rows:
        await rows.holds.lift_hold(one)
    assert await is_held(store)
    async with store.writing() as rows:
        await rows.holds.lift_hold(two)
        await rows.holds.lift_hold(two)
    assert not await is_held(store)


async def test_a_hold_ends_by_itself_and_is_not_renewed_then(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        hold = await rows.holds.hold_destruction("backup", now=NOW, until=NOW + MINUTE)
        assert await rows.holds.renew_hold(hold, now=NOW + MINUTE / 2, until=NOW + 2 * MINUTE)
    assert await is_held(store, NOW + 1.5 * MINUTE)
    assert not await is_held(store, NOW + 2 * MINUTE)
    async with store.writing() as rows:
        assert not await rows.holds.renew_hold(hold, now=NOW + 3 * MINUTE, until=NOW + 4 * MINUTE)
    assert not await is_held(store, NOW + 3 * MINUTE)


async def test_a_hold_from_a_clock_that_jumped_holds_nothing(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        later = NOW + timedelta(days=1)
        await rows.holds.hold_destruction("backup", now=later, until=later + LONGEST_HOLD)
    assert not await is_held(store)


async def test_the_inventory_goes_through_all_files_by_id(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    files = [await publish(store, project, f"{number}.whl") for number in range(3)]
    async with store.reading() as rows:
        first = await rows.inventory.files(after=PackageFileId(0), limit=2)
        assert first == tuple(files[:2])
        assert await rows.inventory.files(after=first[-1].id, limit=2) == tuple(files[2:])
        assert await rows.inventory.count_files() == (3, 21)


async def test_the_inventory_goes_through_all_files_by_the_keys_of_their_blobs(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    files = [await upload(store, project, f"{name}.whl") for name in "abc"]
    in_order = sorted(files, key=lambda file: file.blob_key)
    async with store.reading() as rows:
        first = await rows.inventory.files_by_blob(after="", limit=2)
        assert first == tuple(in_order[:2])
        assert await rows.inventory.files_by_blob(after=first[-1].blob_key, limit=2) == tuple(in_order[2:])


async def test_the_inventory_shows_stored_metadata_with_its_digest_until_it_is_withdrawn(
    store: SqlMetadataStore,
) -> None:
    project = await new_project(store)
    raw = b"Metadata-Version: 2.4\n"
    with_it, without = await upload(store, project, "a.whl"), await upload(store, project, "b.whl")
    await accept(store, with_it, metadata=CoreMetadata(raw=raw, name="demo", version="1.0", requires_python=None))
    await accept(store, without)
    async with store.reading() as rows:
        (found,) = await rows.inventory.core_metadata(after=PackageFileId(0), limit=10)
    assert (found.file_id, found.raw, found.sha256) == (with_it.id, raw, hashlib.sha256(raw).hexdigest())

    async with store.writing() as rows:
        await rows.packages.lock(with_it.package_id)
        assert await rows.inventory.withdraw_core_metadata(with_it.id)
        assert not await rows.inventory.withdraw_core_metadata(without.id)
        assert await rows.inventory.core_metadata(after=PackageFileId(0), limit=10) == ()


async def test_withdrawn_metadata_count_for_their_project_and_other_upkeep_for_nobody(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    file = await upload(store, project)
    metadata = CoreMetadata(raw=b"Metadata-Version: 2.4\n", name="demo", version="1.0", requires_python=None)
    await accept(store, file, metadata=metadata)

    async def withdraw(rows: SqlWriting) -> None:
        await rows.packages.lock(file.package_id)
        await rows.inventory.withdraw_core_metadata(file.id)

    assert await touched_by(store, withdraw) == {(CounterScope.PROJECT, project.id)}
    assert await touched_by(store, withdraw) == set(), "it has none any more"
    assert await touched_by(store, lambda rows: rows.inventory.name_blob_store("a" * 32)) == set()
    assert await touched_by(store, lambda rows: rows.storage.recount(project.id)) == set()
    assert await touched_by(store, lambda rows: rows.holds.hold_destruction("x", now=NOW, until=NOW + MINUTE)) == set()
    event = AuditEvent(action="backup.restored", actor="system", target="instance")
    assert await touched_by(store, lambda rows: rows.audit(event)) == set()


async def test_the_inventory_shows_packages_without_files(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    await publish(store, project)
    async with store.writing() as rows:
        empty, _ = await rows.packages.find_or_add(new_package(project.id, "empty"))
        assert await rows.inventory.empty_packages(after=PackageId(0), limit=10) == (empty,)


async def test_the_first_name_of_a_blob_store_stays(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        assert await rows.inventory.blob_store_name() is None
        assert await rows.inventory.name_blob_store("a" * 32) == "a" * 32
        assert await rows.inventory.name_blob_store("b" * 32) == "a" * 32
    async with store.reading() as rows:
        assert await rows.inventory.blob_store_name() == "a" * 32


async def test_a_whole_database_finds_no_fault_within_itself(store: SqlMetadataStore) -> None:
    await publish(store, await new_project(store))

    assert await store.faults(is_thorough=False) == ()
    assert await store.faults(is_thorough=True) == ()
