"""The disk store: each blob is a file `YYYY/MM/DD/<uuid7>` below one root directory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date
from pathlib import Path

from aiofiles.threadpool import wrap

from shared.blob_keys import check_blob_key
from shared.blobs import files, naming
from shared.blobs.directories import DayDirectories
from shared.blobs.local_writer import LocalBlobWriter
from shared.blobs.threads import Threads, storage_errors
from shared.blobs.unfinished import Unfinished, best_unfinished
from shared.models import BlobKey
from shared.ports.blob_store import BlobWriter, LinkHeaders, LocalBlob

READ_BYTES = 1024 * 1024
# Syncs wait for the disk, not for a core, and a file system commits those that wait together at once.
_THREADS = 16


class LocalBlobStore:
    """Blobs in files. Use `open_local_blob_store`.

    Args:
        root: absolute.
        directories: those below it, open.
        unfinished: the kind of file that writers fill.
    """

    def __init__(
        self, root: Path, directories: DayDirectories, *, unfinished: type[Unfinished], threads: Threads
    ) -> None:
        self._root = root
        self._directories = directories
        self._unfinished = unfinished
        self._threads = threads

    def create(self, key: BlobKey) -> AbstractAsyncContextManager[BlobWriter]:
        return self._writing(check_blob_key(key))

    def read(self, key: BlobKey, *, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length cannot be negative")
        return self._reading(check_blob_key(key), offset, length)

    async def locate(self, key: BlobKey) -> LocalBlob | None:
        size_bytes = await self.size_of(key)
        return LocalBlob(path=self._root / key, size_bytes=size_bytes)

    async def size_of(self, key: BlobKey) -> int:
        with storage_errors():
            return await self._threads.run(files.size_of, self._directories, check_blob_key(key))

    async def link(self, key: BlobKey, headers: LinkHeaders, *, seconds: int) -> str | None:
        return None

    async def delete(self, key: BlobKey) -> None:
        with storage_errors():
            await self._threads.run(files.remove, self._directories, check_blob_key(key))

    async def keys(self, *, before: date) -> AsyncGenerator[BlobKey, None]:
        with storage_errors():
            days = await self._threads.run(self._directories.days, before)
        for day in days:
            listing = files.keys_of_day(self._directories, day)
            try:
                while (batch := await self._next_batch(listing)) is not None:
                    for key in batch:
                        yield key
            finally:
                await self._threads.run(listing.close)

    async def sweep_unfinished(self, *, before: date) -> int:
        removed = 0
        with storage_errors():
            for day in await self._threads.run(self._directories.days, before):
                removed += await self._threads.run(files.sweep_day, self._directories, day)
        return removed

    async def unfinished(self, *, before: date) -> AsyncGenerator[BlobKey, None]:
        with storage_errors():
            days = await self._threads.run(self._directories.days, before)
        for day in days:
            with storage_errors():
                keys = await self._threads.run(files.unfinished_of_day, self._directories, day)
            for key in keys:
                yield key

    async def name(self) -> str | None:
        with storage_errors():
            return await self._threads.run(naming.read_name, self._directories)

    async def give_name(self, name: str) -> None:
        with storage_errors():
            await self._threads.run(naming.write_name, self._directories, name)

    async def check(self) -> None:
        with storage_errors():
            await self._threads.run(files.try_to_write, self._directories)

    @asynccontextmanager
    async def _writing(self, key: BlobKey) -> AsyncIterator[BlobWriter]:
        writer = LocalBlobWriter(key, self._unfinished(key, self._directories), self._threads)
        try:
            yield writer
        finally:
            await writer.close()

    async def _reading(self, key: BlobKey, offset: int, length: int | None) -> AsyncGenerator[bytes, None]:
        reading = files.Reading(self._directories, key)
        try:
            with storage_errors():
                remaining = await self._threads.run(reading.begin, offset)
            remaining = remaining if length is None else min(remaining, length)
            file = wrap(reading.file, executor=self._threads.executor)
            while remaining > 0:
                with storage_errors():
                    chunk = await file.read(min(remaining, READ_BYTES))
                if not chunk:
                    return
                remaining -= len(chunk)
                yield chunk
        finally:
            await self._threads.run(reading.end)

    async def _next_batch(self, listing: Generator[list[BlobKey]]) -> list[BlobKey] | None:
        with storage_errors():
            return await self._threads.run(next, listing, None)


@asynccontextmanager
async def open_local_blob_store(
    root: Path, *, unfinished: type[Unfinished] | None = None
) -> AsyncIterator[LocalBlobStore]:
    """Open the store below a directory, which is made when it is not there.

    Args:
        unfinished: the kind of file that writers fill; None takes the best that the file system offers.

    Raises:
        StorageFull: there is no room for the directory.
        BlobStoreUnavailable: it can neither be opened nor made.
    """
    executor = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="larder-blobs")
    threads = Threads(executor)
    directories = DayDirectories(root)
    try:
        with storage_errors():
            await threads.run(directories.open)
            if unfinished is None:
                unfinished = await threads.run(best_unfinished, directories)
        yield LocalBlobStore(root, directories, unfinished=unfinished, threads=threads)
    finally:
        await threads.run(directories.close)
        await asyncio.to_thread(executor.shutdown)
