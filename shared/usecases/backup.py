"""Make one consistent copy of a registry while it serves.

First a hold: from then on no process removes a blob. Then a snapshot of all rows, and then the blobs that these name,
which the hold keeps where they are; uploads, reads and deletes (as far as readers see them) go on meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from shared.errors import MetadataUnavailable, OperatorError, StorageFull
from shared.ports.blob_store import BlobStore
from shared.ports.hold_rows import HoldId
from shared.ports.metadata_store import AuditEvent, MetadataStore
from shared.usecases.backup_place import (
    BLOBS,
    DATABASE,
    FORMAT,
    ROOT_TOKEN,
    Incomplete,
    Manifest,
    copy_file,
    digest_of_file,
    new_place,
    publish,
)
from shared.usecases.blob_copies import BlobCopies, Tell
from shared.usecases.blob_store_name import require_own_blob_store

log = structlog.get_logger()

_HOLD = timedelta(minutes=2)
_RENEW_SECONDS = 20.0


class HoldLost(OperatorError):
    """The hold ended before the backup did, so blobs that its snapshot names may be gone."""

    def __init__(self) -> None:
        super().__init__("the backup stood still for too long, and files may have been removed since: make it again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """Copy a registry into a new directory.

    Args:
        token_file: where the data directory keeps the administrator's token, if it does.
        holder: who makes the backup, for people.
        version: of this Larder.
        schema: of its database.
        take_snapshot: writes all rows as of one instant into a new SQLite file.
        open_snapshot: opens the rows of such a file.
        open_copy: opens the blob store below a directory.
    """

    store: MetadataStore
    blobs: BlobStore
    token_file: Path
    holder: str
    version: str
    schema: str
    take_snapshot: Callable[[Path], Awaitable[None]]
    open_snapshot: Callable[[Path], AbstractAsyncContextManager[MetadataStore]]
    open_copy: Callable[[Path], AbstractAsyncContextManager[BlobStore]]

    async def __call__(self, place: Path, *, tell: Tell) -> Manifest:
        """Write the backup to a place where nothing is; return what it says of itself.

        It is there whole or not at all. Files that the registry has lost before are named in its manifest.

        Args:
            place: absolute.
            tell: called as the copy goes on.

        Raises (some of them in groups):
            BackupRefused: the place is taken.
            SchemaUnknown: the database is of another version.
            BlobStoreForeign: the blob store is not this registry's.
            HoldLost: the machine stood still for longer than a hold lasts.
            MetadataUnavailable, BlobStoreUnavailable, StorageFull: it could not be done.
        """
        await self.store.check_schema()
        await require_own_blob_store(self.store, self.blobs)
        async with _in_thread(place) as part:
            database = part / DATABASE
            async with self._hold():
                now = datetime.now(UTC)
                await self.take_snapshot(database)
                async with self.open_snapshot(database) as snapshot, self.open_copy(part / BLOBS) as target:
                    copies = BlobCopies(rows_of=snapshot, source=self.blobs, target=target, tell=tell)
                    await copies.make()
            # A disk that went away in between would make a backup without most of its files.
            await require_own_blob_store(self.store, self.blobs)
            with suppress(FileNotFoundError):
                await asyncio.to_thread(copy_file, self.token_file, part / ROOT_TOKEN)
            manifest = Manifest(
                format=FORMAT,
                version=self.version,
                schema=self.schema,
                created_at=now.isoformat(timespec="seconds"),
                files=copies.copied_files,
                size_bytes=copies.copied_bytes,
                database_sha256=await asyncio.to_thread(digest_of_file, database),
                incomplete=tuple(
                    Incomplete(one.file.id, one.file.file_name, one.file.blob_key, one.problem)
                    for one in copies.uncopied
                ),
            )
            await asyncio.to_thread(publish, part, place, manifest)
        return manifest

    @asynccontextmanager
    async def _hold(self) -> AsyncIterator[None]:
        """Keep all blobs where they are until the block ends; what was doomed before may still go.

        Raises (some of them in groups):
            HoldLost: they were not kept all the time.
        """
        now = datetime.now(UTC)
        async with self.store.writing() as rows:
            hold_id = await rows.holds.hold_destruction(self.holder, now=now, until=now + _HOLD)
            await rows.audit(AuditEvent(action="backup.started", actor="system", target="instance"))
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._keep_hold(hold_id))
                yield
                renewing.cancel()
            if not await self._renew(hold_id):
                raise HoldLost
        finally:
            with suppress(MetadataUnavailable, StorageFull):  # It ends by itself.
                async with self.store.writing() as rows:
                    await rows.holds.lift_hold(hold_id)

    async def _keep_hold(self, hold_id: HoldId) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                is_held = await self._renew(hold_id)
            except (MetadataUnavailable, StorageFull) as fault:
                log.warning("backup.hold_not_renewed", error=type(fault).__name__)
                continue
            if not is_held:
                raise HoldLost

    async def _renew(self, hold_id: HoldId) -> bool:
        now = datetime.now(UTC)
        async with self.store.writing() as rows:
            return await rows.holds.renew_hold(hold_id, now=now, until=now + _HOLD)


@asynccontextmanager
async def _in_thread(place: Path) -> AsyncIterator[Path]:
    """Open `new_place` without blocking the loop."""
    opening = new_place(place)
    part = await asyncio.to_thread(opening.__enter__)
    try:
        yield part
    finally:
        await asyncio.shield(asyncio.to_thread(opening.__exit__, None, None, None))
