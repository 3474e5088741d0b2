"""What every blob store does, sentence by sentence of the port."""

import asyncio
from datetime import date, timedelta

import pytest

from shared.blob_keys import new_blob_key
from shared.errors import BlobMissing, BlobStoreUnavailable
from shared.models import BlobKey
from shared.ports.blob_store import BlobStore
from tests.contracts.blobs.backends import Premises
from tests.contracts.blobs.drive import (
    MIB,
    NEXT_DAY,
    NOON,
    content_of,
    keys_of,
    left_early,
    new_key,
    put,
    put_all,
    receipt_of,
    some_bytes,
)

SIZES = [0, 1, 65_536, MIB - 1, MIB, MIB + 1, 3 * MIB + 17]
TRAVERSALS = [
    "",
    "../../etc/passwd",
    "/etc/passwd",
    "2026/03/04/../../../etc/passwd",
    "2026/03/04/",
    "2026/03/04/x",
    "2026/03/04/019cb8a0-0000-7000-8000-000000000000/x",
    "2026/03/04/019cb8a0-0000-7000-8000-000000000000\n",
    "2026/03/04/019cb8a0-0000-7000-8000-000000000000.part",
    "2026/03/04/019CB8A0-0000-7000-8000-000000000000",
    "2026/03/04/019cb8a0-0000-4000-8000-000000000000",
    "2026/02/30/019cb8a0-0000-7000-8000-000000000000",
    "2026\0/03/04/019cb8a0-0000-7000-8000-000000000000",
]


@pytest.mark.parametrize("size_bytes", SIZES)
async def test_what_was_committed_is_read_back_whole(store: BlobStore, premises: Premises, size_bytes: int) -> None:
    key, content = new_key(), some_bytes(size_bytes)
    premises.expected = {key}

    receipt = await put(store, key, content)

    assert receipt == receipt_of(content)
    assert await content_of(store, key) == content


async def test_a_writer_tells_its_key(store: BlobStore) -> None:
    key = new_key()

    async with store.create(key) as writer:
        assert writer.key == key


async def test_a_second_commit_returns_the_same_receipt(store: BlobStore, premises: Premises) -> None:
    key = new_key()
    premises.expected = {key}

    async with store.create(key) as writer:
        await writer.write(b"abc")
        first = await writer.commit()
        assert await writer.commit() == first == receipt_of(b"abc")

    assert await content_of(store, key) == b"abc"


async def test_nobody_sees_a_blob_before_its_commit(store: BlobStore, premises: Premises) -> None:
    key, content = new_key(), some_bytes(3 * MIB)
    premises.expected = {key}

    async with premises.open_store() as other, store.create(key) as writer:
        await writer.write(content)
        for seer in (store, other):
            assert await keys_of(seer) == []
            with pytest.raises(BlobMissing):
                await content_of(seer, key)
            with pytest.raises(BlobMissing):
                await seer.locate(key)
        await writer.commit()
        for seer in (store, other):
            assert await keys_of(seer) == [key]
            assert await content_of(seer, key) == content


@pytest.mark.parametrize("size_bytes", [0, 1, 3 * MIB])
async def test_a_writer_left_without_commit_leaves_nothing(
    store: BlobStore, premises: Premises, size_bytes: int
) -> None:
    async with store.create(new_key()) as writer:
        await writer.write(some_bytes(size_bytes))

    assert premises.pieces() == set()
    assert await keys_of(store) == []


async def test_a_writer_left_by_an_error_leaves_nothing_and_passes_the_error_on(
    store: BlobStore, premises: Premises
) -> None:
    async def fail_midway() -> None:
        async with store.create(new_key()) as writer:
            await writer.write(some_bytes(3 * MIB))
            raise KeyError

    with pytest.raises(KeyError):
        await fail_midway()

    assert premises.pieces() == set()


async def test_a_blob_stays_when_an_error_follows_its_commit(store: BlobStore, premises: Premises) -> None:
    key = new_key()
    premises.expected = {key}

    async def fail_afterwards() -> None:
        async with store.create(key) as writer:
            await writer.commit()
            raise KeyError

    with pytest.raises(KeyError):
        await fail_afterwards()

    assert await content_of(store, key) == b""


async def test_a_closed_writer_takes_nothing_more(store: BlobStore) -> None:
    async with store.create(new_key()) as writer:
        await writer.write(b"abc")

    with pytest.raises(RuntimeError):
        await writer.write(b"d")
    with pytest.raises(RuntimeError):
        await writer.commit()


async def test_a_key_that_is_taken_keeps_its_first_blob(store: BlobStore, premises: Premises) -> None:
    key = new_key()
    premises.expected = {key}
    await put(store, key, b"first")

    with pytest.raises(BlobStoreUnavailable):
        await put(store, key, b"second")

    assert await content_of(store, key) == b"first"


async def test_writers_do_not_disturb_each_other(store: BlobStore, premises: Premises) -> None:
    contents = {new_key(): some_bytes(number * 97_001) for number in range(24)}
    premises.expected = set(contents)

    async with asyncio.TaskGroup() as tasks:
        for key, content in contents.items():
            tasks.create_task(put(store, key, content))

    assert sorted(await keys_of(store)) == sorted(contents)
    for key, content in contents.items():
        assert await content_of(store, key) == content


async def test_a_missing_blob_is_told_at_the_first_step(store: BlobStore) -> None:
    key = new_key()

    with pytest.raises(BlobMissing) as caught:
        await anext(store.read(key))

    assert caught.value.key == key


async def test_a_blob_is_read_in_chunks_of_at_most_a_mebibyte(store: BlobStore, premises: Premises) -> None:
    key, content = new_key(), some_bytes(3 * MIB + 5)
    premises.expected = {key}
    await put(store, key, content)

    lengths = [len(chunk) async for chunk in store.read(key)]

    assert sum(lengths) == len(content)
    assert max(lengths) <= MIB
    assert min(lengths) > 0


async def test_a_reader_may_leave_early(store: BlobStore, premises: Premises) -> None:
    key = new_key()
    premises.expected = {key}
    await put(store, key, some_bytes(3 * MIB))

    async with left_early(store.read(key)) as stream:
        await anext(stream)

    assert premises.open_descriptors() == []


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
async def test_negative_ranges_are_refused(store: BlobStore, offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        await anext(store.read(new_key(), offset=offset, length=length))


async def test_locate_tells_the_size_and_a_file_with_the_same_bytes(store: BlobStore, premises: Premises) -> None:
    key = new_key()
    premises.expected = {key}
    await put(store, key, b"abc")

    found = await store.locate(key)

    if found is not None:
        assert found.size_bytes == 3
        assert found.path.is_absolute()
        assert found.path.read_bytes() == b"abc"


async def test_a_deleted_blob_is_gone(store: BlobStore, premises: Premises) -> None:
    key, neighbour = new_key(), new_key()
    premises.expected = {neighbour}
    await put(store, key, b"abc")
    await put(store, neighbour, b"def")

    await store.delete(key)

    assert await keys_of(store) == [neighbour]
    with pytest.raises(BlobMissing):
        await content_of(store, key)


async def test_deleting_a_missing_blob_is_no_error(store: BlobStore, premises: Premises) -> None:
    key = new_key()
    await store.delete(key)
    await put(store, key, b"abc")

    await store.delete(key)
    await store.delete(key)

    assert premises.pieces() == set()


async def test_keys_lists_the_days_before_a_day_oldest_first(store: BlobStore, premises: Premises) -> None:
    days = [NOON + timedelta(days=distance) for distance in (-400, -31, -1, 0)]
    keys = [new_blob_key(at) for at in days]
    later = [new_blob_key(NOON + timedelta(days=1)), new_blob_key(NOON + timedelta(days=300))]
    premises.expected = {*keys, *later}
    for key in reversed(keys + later):
        await put(store, key, b"")

    assert await keys_of(store, NEXT_DAY) == keys
    assert await keys_of(store, date(2020, 1, 1)) == []


async def test_keys_lists_many_blobs_of_a_day_and_may_be_left_early(store: BlobStore, premises: Premises) -> None:
    keys = {new_blob_key(NOON + timedelta(seconds=number)) for number in range(1100)}
    premises.expected = set(keys)
    await put_all(store, keys)

    assert set(await keys_of(store)) == keys
    async with left_early(store.keys(before=NEXT_DAY)) as listing:
        await anext(listing)
    assert premises.open_descriptors() == []


async def test_blobs_may_be_deleted_while_they_are_listed(store: BlobStore, premises: Premises) -> None:
    for number in range(30):
        await put(store, new_blob_key(NOON + timedelta(days=-number)), b"")

    async for key in store.keys(before=NEXT_DAY):
        await store.delete(key)

    assert premises.pieces() == set()


@pytest.mark.parametrize("key", TRAVERSALS)
async def test_a_key_of_another_form_is_refused(store: BlobStore, key: str) -> None:
    bad = BlobKey(key)

    with pytest.raises(ValueError, match="blob key"):
        await anext(store.read(bad))
    with pytest.raises(ValueError, match="blob key"):
        await store.locate(bad)
    with pytest.raises(ValueError, match="blob key"):
        await store.delete(bad)
    with pytest.raises(ValueError, match="blob key"):
        async with store.create(bad):
            pass


async def test_a_store_that_can_be_written_to_passes_its_check_and_keeps_nothing_of_it(
    store: BlobStore, premises: Premises
) -> None:
    await store.check()

    assert premises.pieces() == set()


async def test_sweeping_leaves_blobs_and_running_writers_alone(store: BlobStore, premises: Premises) -> None:
    old, running = new_key(NOON - timedelta(days=40)), new_key()
    premises.expected = {old, running}
    await put(store, old, b"abc")

    async with store.create(running) as writer:
        await writer.write(some_bytes(2 * MIB))
        assert await store.sweep_unfinished(before=NOON.date()) == 0
        await writer.commit()

    assert await keys_of(store) == [old, running]


async def test_two_stores_of_the_same_place_see_the_same_blobs(store: BlobStore, premises: Premises) -> None:
    key = new_key()

    async with premises.open_store() as other:
        await put(store, key, b"abc")
        assert await content_of(other, key) == b"abc"
        await other.delete(key)
        with pytest.raises(BlobMissing):
            await store.locate(key)


async def test_a_store_has_no_name_before_it_is_given_one_and_then_keeps_it(
    store: BlobStore, premises: Premises
) -> None:
    assert await store.name() is None

    await store.give_name("a" * 32)
    await store.give_name("b" * 32)
    await store.give_name("b" * 32)

    assert await store.name() == "b" * 32
    async with premises.open_store() as other:
        assert await other.name() == "b" * 32
    assert await keys_of(store) == []


@pytest.mark.parametrize("name", ["", "../escape", "a" * 31, "A" * 32])
async def test_a_store_takes_no_name_of_another_form(store: BlobStore, name: str) -> None:
    with pytest.raises(ValueError, match="name of a blob store"):
        await store.give_name(name)


async def test_several_may_list_one_store_at_once_and_each_sees_all_of_it(store: BlobStore, premises: Premises) -> None:
    keys = [new_blob_key(NOON - timedelta(days=400 * number)) for number in range(12)]
    premises.expected = set(keys)
    for key in keys:
        await put(store, key, b"")
    await store.give_name("a" * 32)

    async with asyncio.TaskGroup() as group:
        listings = [group.create_task(keys_of(store)) for _ in range(24)]
        names = [group.create_task(store.name()) for _ in range(24)]

    assert all(set(listing.result()) == set(keys) for listing in listings)
    assert {name.result() for name in names} == {"a" * 32}
