"""Copy the blobs that rows name from one store to another, each held against its row on the way."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, replace
from datetime import date

from shared.errors import BlobMissing, BlobStoreUnavailable
from shared.models import BlobKey, PackageFile, PackageFileStatus
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore
from shared.usecases.stored_bytes import MISSING

_FILES_AT_ONCE = 16
"""A store in the network takes long for each, however small."""
_LARGE_BYTES = 8 * 1024**2
_LARGE_AT_ONCE = 4
"""So many of those take the memory that a writer has for its buffers."""
_INLINE_BYTES = 64 * 1024
"""Up to here a digest takes less time than a thread."""
_ROWS_AT_ONCE = 200
_DAY = len("YYYY/MM/DD")
WAITED_FOR = frozenset({PackageFileStatus.DEFAULT, PackageFileStatus.PROCESSING})
"""The statuses of files whose bytes somebody misses."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long copy has come. Files that need no bytes count as done."""

    files_done: int
    files: int
    bytes_done: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Uncopied:
    """A file that somebody may wait for, and whose bytes are not in the copy, because the source has lost them."""

    file: PackageFile
    problem: str


Tell = Callable[[Progress], None]


class BlobCopies:
    """A copy of all blobs that the rows of a store name, and what came of it.

    A blob appears in the target when its bytes were found to be those of its row, and not before. So one that is there
    already was compared, whoever was killed since, and is left as it is. Rows and what is there are gone through side
    by side, in the order of their keys: to ask a store in the network for each file would take hours.

    Doomed files are left out: their rows are about to go. What was refused is copied where it is whole, and not missed
    where it is not.

    Args:
        target: empty, or what was begun to be filled from the same source.
    """

    def __init__(self, *, rows_of: MetadataStore, source: BlobStore, target: BlobStore, tell: Tell) -> None:
        self.copied_files = 0
        self.copied_bytes = 0
        self.found_files = 0
        self.uncopied: list[Uncopied] = []
        self._store = rows_of
        self._source = source
        self._target = target
        self._tell = tell
        self._told = Progress(0, 0, 0, 0)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def make(self) -> None:
        """Copy them all, some at a time.

        Raises (in groups):
            StorageFull, BlobStoreUnavailable: the target takes no more.
            MetadataUnavailable: the rows cannot be read.
        """
        async with self._store.reading() as rows:
            files, size_bytes = await rows.inventory.count_files()
        self._told = Progress(0, files, 0, size_bytes)
        waiting: asyncio.Queue[PackageFile | None] = asyncio.Queue(_FILES_AT_ONCE)

        async def copy() -> None:
            while (file := await waiting.get()) is not None:
                await self._copy(file)
                self._note_done(file)

        async with aclosing(self._wanting()) as wanting, asyncio.TaskGroup() as group:
            for _ in range(_FILES_AT_ONCE):
                group.create_task(copy())
            async for file in wanting:
                await waiting.put(file)
            for _ in range(_FILES_AT_ONCE):
                await waiting.put(None)
        self.uncopied.sort(key=lambda one: one.file.id)

    async def _wanting(self) -> AsyncGenerator[PackageFile, None]:
        """Yield the files whose blobs are not in the target, and count the others."""
        async with aclosing(_keys_in_order(self._target)) as keys, aclosing(self._rows()) as files:
            key = await anext(keys, None)
            async for file in files:
                while key is not None and key < file.blob_key:
                    key = await anext(keys, None)
                if file.status is PackageFileStatus.PENDING_DESTRUCTION:
                    self._note_done(file)
                elif file.blob_key == key:
                    self.found_files += 1
                    self._note_done(file)
                else:
                    yield file

    async def _rows(self) -> AsyncGenerator[PackageFile, None]:
        after = ""
        while True:
            async with self._store.reading() as rows:
                found = await rows.inventory.files_by_blob(after=after, limit=_ROWS_AT_ONCE)
            if not found:
                return
            for file in found:
                yield file
            after = found[-1].blob_key

    def _note_done(self, file: PackageFile) -> None:
        told = self._told
        self._told = replace(told, files_done=told.files_done + 1, bytes_done=told.bytes_done + file.size_bytes)
        self._tell(self._told)

    async def _copy(self, file: PackageFile) -> None:
        async with self._large if file.size_bytes >= _LARGE_BYTES else nullcontext():
            problem = await self._copy_blob(file)
        if problem is None:
            self.copied_files += 1
            self.copied_bytes += file.size_bytes
        elif file.status in WAITED_FOR:
            self.uncopied.append(Uncopied(file, problem))

    async def _copy_blob(self, file: PackageFile) -> str | None:
        digest, size_bytes = hashlib.sha256(), 0
        try:
            async with self._target.create(file.blob_key) as writer, aclosing(self._read(file.blob_key)) as chunks:
                async for chunk in chunks:
                    await writer.write(chunk)
                    size_bytes += len(chunk)
                    if len(chunk) <= _INLINE_BYTES:
                        digest.update(chunk)
                    else:
                        await asyncio.to_thread(digest.update, chunk)
                if (size_bytes, digest.hexdigest()) != (file.size_bytes, file.sha256):
                    return "its stored bytes are not those that were received"
                await writer.commit()
        except _UnreadableError as error:
            return error.problem
        return None

    async def _read(self, key: BlobKey) -> AsyncGenerator[bytes, None]:
        """Read from the source, whose faults are about one file and not about the copy as a whole."""
        try:
            async with aclosing(self._source.read(key)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BlobMissing as error:
            raise _UnreadableError(MISSING) from error
        except BlobStoreUnavailable as error:
            raise _UnreadableError(f"its stored bytes cannot be read: {error}") from error


async def _keys_in_order(blobs: BlobStore) -> AsyncGenerator[BlobKey, None]:
    """Yield the keys of all blobs, sorted; those of one day are in memory at a time."""
    of_day: list[BlobKey] = []
    async with aclosing(blobs.keys(before=date.max)) as keys:
        async for key in keys:
            if of_day and key[:_DAY] != of_day[0][:_DAY]:
                for one in sorted(of_day):
                    yield one
                of_day = []
            of_day.append(key)
    for one in sorted(of_day):
        yield one


class _UnreadableError(Exception):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
