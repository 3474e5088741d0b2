"""Copy the blobs that rows name from one store to another, each held against its row on the way."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from shared.errors import BlobMissing, BlobStoreUnavailable
from shared.models import BlobKey, PackageFile, PackageFileId, PackageFileStatus
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore
from shared.usecases.stored_bytes import MISSING

_COPIES_AT_ONCE = 4
_ROWS_AT_ONCE = 200
_NEEDED = frozenset({PackageFileStatus.DEFAULT, PackageFileStatus.PROCESSING})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long copy has come. Files that need no bytes count as done."""

    files_done: int
    files: int
    bytes_done: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Uncopied:
    """A file that somebody may wait for, and whose bytes are not in the copy."""

    file: PackageFile
    problem: str


Tell = Callable[[Progress], None]


class BlobCopies:
    """A copy of all blobs that the rows of a store name, and what came of it.

    Doomed files are left out: their rows are about to go. What was refused is copied where it is whole, and not missed
    where it is not.
    """

    def __init__(self, *, rows_of: MetadataStore, source: BlobStore, target: BlobStore, tell: Tell) -> None:
        self.copied_files = 0
        self.copied_bytes = 0
        self.uncopied: list[Uncopied] = []
        self._store = rows_of
        self._source = source
        self._target = target
        self._tell = tell

    async def make(self) -> None:
        """Copy them all, some at a time.

        Raises (in groups):
            StorageFull, BlobStoreUnavailable: the target takes no more.
            MetadataUnavailable: the rows cannot be read.
        """
        async with self._store.reading() as rows:
            files, size_bytes = await rows.inventory.count_files()
        done = bytes_done = 0
        async for some in self._rows():
            for start in range(0, len(some), _COPIES_AT_ONCE):
                batch = some[start : start + _COPIES_AT_ONCE]
                async with asyncio.TaskGroup() as group:
                    for file in batch:
                        if file.status is not PackageFileStatus.PENDING_DESTRUCTION:
                            group.create_task(self._copy(file))
                done += len(batch)
                bytes_done += sum(file.size_bytes for file in batch)
                self._tell(Progress(done, files, bytes_done, size_bytes))
        self.uncopied.sort(key=lambda one: one.file.id)

    async def _rows(self) -> AsyncIterator[tuple[PackageFile, ...]]:
        after = PackageFileId(0)
        while True:
            async with self._store.reading() as rows:
                found = await rows.inventory.files(after=after, limit=_ROWS_AT_ONCE)
            if not found:
                return
            yield found
            after = found[-1].id

    async def _copy(self, file: PackageFile) -> None:
        problem = await self._copy_blob(file)
        if problem is None:
            self.copied_files += 1
            self.copied_bytes += file.size_bytes
        elif file.status in _NEEDED:
            self.uncopied.append(Uncopied(file, problem))

    async def _copy_blob(self, file: PackageFile) -> str | None:
        try:
            async with self._target.create(file.blob_key) as writer:
                async with aclosing(self._read(file.blob_key)) as chunks:
                    async for chunk in chunks:
                        await writer.write(chunk)
                receipt = await writer.commit()
        except _UnreadableError as error:
            return error.problem
        if (receipt.size_bytes, receipt.sha256) == (file.size_bytes, file.sha256):
            return None
        await self._target.delete(file.blob_key)
        return "its stored bytes are not those that were received"

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


class _UnreadableError(Exception):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
