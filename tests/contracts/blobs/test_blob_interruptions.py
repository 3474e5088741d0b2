"""A client that goes away cancels its upload anywhere: nothing may be left, and nothing may be half visible."""

import asyncio

import pytest

from shared.errors import BlobStoreUnavailable
from shared.ports.blob_store import BlobStore
from tests.contracts.blobs.backends import Premises
from tests.contracts.blobs.drive import (
    MIB,
    NEXT_DAY,
    Interrupted,
    content_of,
    keys_of,
    left_early,
    new_key,
    put,
    some_bytes,
)

_MOST_WAITS = 60


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("size_bytes", [10, 3 * MIB + 10])
async def test_a_writer_cancelled_at_any_wait_leaves_nothing(
    store: BlobStore, premises: Premises, size_bytes: int, times: int
) -> None:
    content = some_bytes(size_bytes)

    for wait in range(1, _MOST_WAITS):
        key = new_key()
        interrupted = Interrupted(put(store, key, content), wait=wait, times=times)
        try:
            await interrupted
        except asyncio.CancelledError:
            assert premises.pieces() == set()
            assert premises.open_descriptors() == []
            continue
        assert not interrupted.was_cancelled
        premises.expected = {key}
        assert wait > 1
        return
    pytest.fail("the upload did not come to its end")


@pytest.mark.parametrize("times", [1, 2])
async def test_a_reader_cancelled_at_any_wait_leaves_nothing_open(
    store: BlobStore, premises: Premises, times: int
) -> None:
    key = new_key()
    premises.expected = {key}
    await put(store, key, some_bytes(3 * MIB))

    async def download() -> None:
        async with left_early(store.read(key)) as stream:
            async for _ in stream:
                pass

    for wait in range(1, _MOST_WAITS):
        interrupted = Interrupted(download(), wait=wait, times=times)
        try:
            await interrupted
        except asyncio.CancelledError:
            assert premises.open_descriptors() == []
            continue
        assert wait > 1
        return
    pytest.fail("the download did not come to its end")


@pytest.mark.parametrize("times", [1, 2])
async def test_a_listing_cancelled_at_any_wait_leaves_nothing_open(
    store: BlobStore, premises: Premises, times: int
) -> None:
    key = new_key()
    premises.expected = {key}
    await put(store, key, b"")

    async def look() -> None:
        async with left_early(store.keys(before=NEXT_DAY)) as listing:
            async for _ in listing:
                pass

    for wait in range(1, _MOST_WAITS):
        interrupted = Interrupted(look(), wait=wait, times=times)
        try:
            await interrupted
        except asyncio.CancelledError:
            assert premises.open_descriptors() == []
            continue
        assert wait > 1
        return
    pytest.fail("the listing did not come to its end")


async def test_a_writer_that_was_interrupted_takes_nothing_more(store: BlobStore) -> None:
    async with store.create(new_key()) as writer:
        await writer.write(b"some")
        with pytest.raises(asyncio.CancelledError):
            await Interrupted(writer.commit(), wait=1, times=1)
        with pytest.raises(BlobStoreUnavailable):
            await writer.write(b"more")
        with pytest.raises(BlobStoreUnavailable):
            await writer.commit()

    assert await keys_of(store) == []


async def test_a_commit_that_returned_holds_though_the_caller_is_cancelled(
    store: BlobStore, premises: Premises
) -> None:
    key = new_key()
    premises.expected = {key}
    committed = asyncio.Event()

    async def upload() -> None:
        async with store.create(key) as writer:
            await writer.write(b"abc")
            await writer.commit()
            committed.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(upload())
    async with asyncio.timeout(60):
        await committed.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=60)

    assert task.cancelled()
    assert await content_of(store, key) == b"abc"


async def test_a_loop_that_cancels_all_its_tasks_at_once_leaves_nothing(store: BlobStore, premises: Premises) -> None:
    for turns in range(0, 120, 6):
        key = new_key()
        upload = asyncio.create_task(put(store, key, some_bytes(6 * MIB)))
        for _ in range(turns):
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=60)

        assert upload.done()
        assert premises.open_descriptors() == []
        if not upload.cancelled():
            await store.delete(key)
        assert premises.pieces() == set()
