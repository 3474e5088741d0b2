"""Look at stored bytes again, slowly and for ever: what has rotted is taken from readers before they fetch it.

What is damage and what is not: a store that is another, or fails (a disk that is not mounted, an I/O error), says
nothing about a file, which is then put off. Bytes that differ, or are not there in a store that bears its own name, are
looked at twice before they are judged.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from shared.errors import BlobStoreUnavailable
from shared.models import PackageFile, PackageFileId, PackageFileStatus
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore
from shared.ports.scrub_rows import LONGEST_SCRUB_HOLD
from shared.usecases.blob_store_name import require_own_blob_store
from shared.usecases.damage import declare_damaged
from shared.usecases.stored_bytes import look_at_bytes

log = structlog.get_logger()

_FILES_AT_ONCE = 16
_BYTES_AT_ONCE = 64 * 1024 * 1024
_LEAST_BYTES = 256 * 1024
"""What a small file counts for: opening it and noting the result cost the disk about as much."""
_SLACK = timedelta(minutes=5)
_PUT_OFF = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrub:
    """Read every published file again when its last verification is so long ago.

    Args:
        bytes_per_second: how fast one worker reads.
        interval: after which a file is due again.
        second_look_seconds: how long what looks damaged is left alone before it is judged.
    """

    store: MetadataStore
    blobs: BlobStore
    bytes_per_second: int
    interval: timedelta
    second_look_seconds: float = 10.0

    async def __call__(self) -> int:
        """Look at files until none is due; return how many were looked at.

        Files are taken some at a time. What a killed worker had taken is free again after a while, and where the last
        one stopped the next goes on, because the rows say when each file was verified.

        Raises:
            BlobStoreForeign: the store is not this registry's; nothing is judged.
            MetadataUnavailable, BlobStoreUnavailable, StorageFull: it stopped midway.

        Idempotent: by file.
        """
        looked_at = 0
        while files := await self._take_some():
            verified = [file.id for file in files if await self._is_whole(file)]
            if verified:
                async with self.store.writing() as rows:
                    await rows.scrub.note_verified(verified, at=datetime.now(UTC))
            looked_at += len(files)
        return looked_at

    async def _take_some(self) -> tuple[PackageFile, ...]:
        await require_own_blob_store(self.store, self.blobs)
        now = datetime.now(UTC)
        verified_before = now - self.interval
        async with self.store.writing() as rows:
            due = await rows.scrub.due(verified_before=verified_before, now=now, limit=_FILES_AT_ONCE)
            chosen: list[PackageFileId] = []
            size_bytes = 0
            for file in due:
                size_bytes += max(file.size_bytes, _LEAST_BYTES)
                if chosen and size_bytes > _BYTES_AT_ONCE:
                    break
                chosen.append(file.id)
            if not chosen:
                return ()
            needed = timedelta(seconds=2 * size_bytes / self.bytes_per_second) + _SLACK
            return await rows.scrub.take_due(
                chosen, verified_before=verified_before, now=now, until=now + min(needed, LONGEST_SCRUB_HOLD)
            )

    async def _is_whole(self, file: PackageFile) -> bool:
        """Say whether the bytes are whole; if they are not, see to it."""
        try:
            if await self._look(file) is None:
                return True
            await asyncio.sleep(self.second_look_seconds)
            if not await self._is_published(file):
                return False
            reason = await self._look(file)
        except BlobStoreUnavailable as fault:
            log.warning("package_file.unreadable", file_id=file.id, blob_key=file.blob_key, error=str(fault))
            async with self.store.writing() as rows:
                await rows.scrub.put_off(file.id, until=datetime.now(UTC) + _PUT_OFF)
            return False
        if reason is None:
            return True
        # Once more, right before the judgement: a disk may have been taken away since this file was taken.
        await require_own_blob_store(self.store, self.blobs)
        await declare_damaged(self.store, file, reason=reason)
        return False

    async def _look(self, file: PackageFile) -> str | None:
        pace = _Pace(self.bytes_per_second)
        found = await look_at_bytes(self.blobs, file, pause=pace.pause)
        await pace.pause(max(0, _LEAST_BYTES - file.size_bytes))
        return found

    async def _is_published(self, file: PackageFile) -> bool:
        async with self.store.reading() as rows:
            current = await rows.packages.file(file.id)
        return current is not None and current.status is PackageFileStatus.DEFAULT


class _Pace:
    """Spreads reading evenly over time."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._began_at = asyncio.get_running_loop().time()
        self._size_bytes = 0

    async def pause(self, size_bytes: int) -> None:
        """Wait until so many more bytes were allowed."""
        self._size_bytes += size_bytes
        allowed_at = self._began_at + self._size_bytes / self._bytes_per_second
        await asyncio.sleep(allowed_at - asyncio.get_running_loop().time())
