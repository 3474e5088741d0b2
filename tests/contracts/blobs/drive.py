"""Ways to fill a store, and to be interrupted while doing so."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from shared.blob_keys import new_blob_key
from shared.models import BlobKey
from shared.ports.blob_store import BlobReceipt, BlobStore

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NEXT_DAY = date(2026, 3, 5)
MIB = 1024 * 1024

T = TypeVar("T")


def new_key(at: datetime = NOON) -> BlobKey:
    """Return an unused key of 4 March 2026, or of another time."""
    return new_blob_key(at)


def some_bytes(size_bytes: int) -> bytes:
    """Return bytes that differ from place to place."""
    block = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(251))
    return (block * (size_bytes // len(block) + 1))[:size_bytes]


def receipt_of(content: bytes) -> BlobReceipt:
    """Return what a store must say of this content."""
    return BlobReceipt(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


async def put(store: BlobStore, key: BlobKey, content: bytes, *, chunk_bytes: int = 64 * 1024) -> BlobReceipt:
    """Write a blob in chunks and commit it."""
    async with store.create(key) as writer:
        for start in range(0, len(content), chunk_bytes):
            await writer.write(content[start : start + chunk_bytes])
        return await writer.commit()


async def put_all(store: BlobStore, keys: Iterable[BlobKey]) -> None:
    """Write an empty blob under each of the keys, some at once."""
    slots = asyncio.Semaphore(16)

    async def put_one(key: BlobKey) -> None:
        async with slots:
            await put(store, key, b"")

    async with asyncio.TaskGroup() as tasks:
        for key in keys:
            tasks.create_task(put_one(key))


async def content_of(store: BlobStore, key: BlobKey, *, offset: int = 0, length: int | None = None) -> bytes:
    """Return what the store streams."""
    return b"".join([chunk async for chunk in store.read(key, offset=offset, length=length)])


async def keys_of(store: BlobStore, before: date = NEXT_DAY) -> list[BlobKey]:
    """Return what the store lists."""
    return [key async for key in store.keys(before=before)]


@asynccontextmanager
async def left_early(stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close a stream as a caller does who leaves before its end."""
    assert isinstance(stream, AsyncGenerator), "a caller could not tell this stream that it leaves"
    try:
        yield stream
    finally:
        await stream.aclose()


class Interrupted:
    """Runs a coroutine and cancels it where it waits for the n-th time, and where it waits after that as well.

    Args:
        wait: at which wait the first cancellation comes, from 1.
        times: how often it is cancelled.
    """

    def __init__(self, work: Coroutine[Any, Any, object], *, wait: int, times: int) -> None:
        self._work = work
        self._cancel_at = range(wait, wait + times)
        self.was_cancelled = False

    def __await__(self) -> Generator[Any, None, None]:
        waits = 0
        try:
            pending = self._work.send(None)
            while True:
                waits += 1
                if waits in self._cancel_at:
                    self.was_cancelled = True
                    if pending is not None:
                        # What a task waits for is cancelled before the task hears of it.
                        pending.cancel()
                        yield
                    pending = self._work.throw(asyncio.CancelledError())
                    continue
                yield pending
                pending = self._work.send(None)
        except StopIteration:
            return
