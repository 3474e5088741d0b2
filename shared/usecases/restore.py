"""Bring a backup back into an empty data directory.

The database comes last: until everything else is there, and was compared with its digests, there is no registry.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import AuditEvent, MetadataStore
from shared.usecases.backup_place import (
    BLOBS,
    DATABASE,
    ROOT_TOKEN,
    BackupRefused,
    Manifest,
    clear,
    copy_file,
    read_manifest,
    sync_directory,
    write_durably,
)
from shared.usecases.blob_copies import WAITED_FOR, BlobCopies, Tell, Uncopied
from shared.usecases.blob_store_name import adopt_blob_store, holds_blobs
from shared.usecases.damage import declare_damaged

UNFINISHED = "restore-unfinished"
"""A file in the data directory while a restore goes on; what it lies in is no registry."""

_LOCK = "larder.lock"
_WORK = ".restore.sqlite3"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back.

    Args:
        lost: files whose bytes the backup has not, or not whole; they are in `error` now.
    """

    manifest: Manifest
    files: int
    size_bytes: int
    lost: tuple[Uncopied, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Bring a backup back.

    Args:
        data_dir: held by the caller.
        token_file: where the administrator's token goes; None: the configuration has one.
        require_empty_database: fails when the database holds anything.
        settle: brings the rows of a file up to this version, and ends in it what only its own time had.
        load: puts the rows of a file in the place of the database.
        open_rows: opens the rows of a file.
        open_blobs: opens the registry's blob store, or, given a directory, the one below that.
    """

    data_dir: Path
    token_file: Path | None
    require_empty_database: Callable[[], Awaitable[None]]
    settle: Callable[[Path], Awaitable[None]]
    load: Callable[[Path], Awaitable[None]]
    open_rows: Callable[[Path], AbstractAsyncContextManager[MetadataStore]]
    open_blobs: Callable[[Path | None], AbstractAsyncContextManager[BlobStore]]

    async def __call__(self, place: Path, *, tell: Tell) -> Restored:
        """Copy everything, each blob compared with its row; what fails leaves nothing behind.

        What a killed restore has left is removed first.

        Raises (some of them in groups):
            BackupRefused: it is no backup, it is damaged, or what it is to be restored into is not empty.
            DatabaseNotEmpty: the database holds rows, or its file is there.
            SchemaUnknown: a newer version wrote it.
            MetadataUnavailable, BlobStoreUnavailable, StorageFull: it could not be done.
        """
        manifest = await asyncio.to_thread(read_manifest, place)
        await asyncio.to_thread(self._require_empty_directory, place)
        try:
            await self.require_empty_database()
            await asyncio.to_thread(self._mark)
            async with self.open_blobs(None) as blobs:
                restored = await self._restore(place, manifest, blobs, tell)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(clear, self.data_dir, keep=frozenset({_LOCK})))
            raise
        await asyncio.to_thread((self.data_dir / UNFINISHED).unlink)
        await asyncio.to_thread(sync_directory, self.data_dir)
        return restored

    async def _restore(self, place: Path, manifest: Manifest, blobs: BlobStore, tell: Tell) -> Restored:
        if await holds_blobs(blobs):
            raise BackupRefused("the blob store holds blobs already: name an empty one in LARDER_BLOB_URL")
        try:
            work = self.data_dir / _WORK
            if await asyncio.to_thread(copy_file, place / DATABASE, work) != manifest.database_sha256:
                raise BackupRefused(f"the database in {place} is damaged: its SHA-256 is not the one of its manifest")
            await self.settle(work)
            async with self.open_rows(work) as rows, self.open_blobs(place / BLOBS) as source:
                copies = BlobCopies(rows_of=rows, source=source, target=blobs, tell=tell)
                await copies.make()
                for lost in copies.uncopied:
                    reason = f"it was restored from a backup without its bytes: {lost.problem}"
                    await declare_damaged(rows, lost.file, reason=reason, actor="system", source=WAITED_FOR)
                await adopt_blob_store(rows, blobs)
                async with rows.writing() as writing:
                    await writing.audit(AuditEvent(action="backup.restored", actor="system", target="instance"))
            if self.token_file is not None:
                with suppress(FileNotFoundError):
                    await asyncio.to_thread(copy_file, place / ROOT_TOKEN, self.token_file)
            await self.load(work)
        except BaseException:
            await asyncio.shield(_remove_all(blobs))
            raise
        return Restored(manifest, copies.copied_files, copies.copied_bytes, tuple(copies.uncopied))

    def _require_empty_directory(self, place: Path) -> None:
        if place.resolve().is_relative_to(self.data_dir.resolve()):
            raise BackupRefused(f"{place} lies in the directory that it is to be restored into: move it out of there")
        if (self.data_dir / UNFINISHED).exists():
            clear(self.data_dir, keep=frozenset({_LOCK, UNFINISHED}))
            return
        if any(entry.name != _LOCK for entry in self.data_dir.iterdir()):
            raise BackupRefused(f"{self.data_dir} is not empty: name a new directory in LARDER_DATA_DIR")

    def _mark(self) -> None:
        mark = self.data_dir / UNFINISHED
        if not mark.exists():
            write_durably(mark, b"")


async def _remove_all(blobs: BlobStore) -> None:
    async with aclosing(blobs.keys(before=date.max)) as keys:
        async for key in keys:
            await blobs.delete(key)
