"""Find what was left lying: rows whose hint was lost, leases that ran out, blobs without a row.

Two sweeps at once do no harm: every change is compare-and-set, and the queue knows a job by its id.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from shared.errors import BlobStoreUnavailable
from shared.models import BlobKey, PackageFile
from shared.ports.blob_store import BlobStore
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue, ProcessPackageFileJob
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.usecases.process import LEASE_SECONDS

log = structlog.get_logger()

MOST_ATTEMPTS = 5
_PATIENCE = timedelta(seconds=5)
_ROWS_A_SWEEP = 500
_KEYS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Sweep:
    """Set waiting rows in motion again; runs every few seconds in every worker."""

    store: MetadataStore
    queue: JobQueue

    async def __call__(self) -> None:
        """Enqueue what waits without a job, give lapsed files to the next attempt, clear what is doomed.

        Emptied doomed packages are removed, and what deleted projects have left is doomed.

        Raises:
            QueueUnavailable, MetadataUnavailable: it stopped midway; the next sweep begins anew.
        """
        now = datetime.now(UTC)
        async with self.store.reading() as rows:
            unleased = await rows.packages.unleased(created_before=now - _PATIENCE, limit=_ROWS_A_SWEEP)
            lapsed = await rows.packages.lapsed(now=now, lease_seconds=2 * LEASE_SECONDS, limit=_ROWS_A_SWEEP)
            doomed = await rows.packages.doomed(doomed_before=now - _PATIENCE, limit=_ROWS_A_SWEEP)
        for file in lapsed:
            await self._try_again(file)
        for file in unleased:
            await self.queue.enqueue_again(ProcessPackageFileJob(file.id, file.attempt))
        for file in doomed:
            await self.queue.enqueue_again(DestroyPackageFileJob(file.id))
        async with self.store.writing() as rows:
            await rows.packages.remove_doomed_empty_packages(limit=_ROWS_A_SWEEP)
            # Their files are found by the next sweep.
            await rows.tenant_changes.doom_stranded_packages(limit=_ROWS_A_SWEEP)

    async def _try_again(self, file: PackageFile) -> None:
        """Begin the next attempt, or give up, unless the lease was renewed since it was looked at."""
        if file.leased_until is None:
            return
        is_last = file.attempt >= MOST_ATTEMPTS
        async with self.store.writing() as rows:
            await rows.packages.lock(file.package_id)
            if not await rows.packages.next_attempt(file.id, attempt=file.attempt, leased_until=file.leased_until):
                return
            if is_last:
                await self._give_up(rows, file)
        log.warning("package_file.lapsed", file_id=file.id, attempt=file.attempt, is_last=is_last)
        if is_last:
            await self.queue.announce(file.id)
        else:
            await self.queue.enqueue(ProcessPackageFileJob(file.id, file.attempt + 1))

    async def _give_up(self, rows: Writing, file: PackageFile) -> None:
        reason = f"processing failed {MOST_ATTEMPTS} times"
        beyond = file.attempt + 1
        await rows.packages.take_lease(file.id, attempt=beyond, until=datetime.now(UTC))
        await rows.packages.refuse_file(file.id, attempt=beyond, reason=reason)
        await rows.audit(
            AuditEvent(
                action="package_file.refused",
                actor="worker",
                target=f"package_file:{file.id}",
                project_id=file.project_id,
                details={"reason": reason},
            )
        )


@dataclass(frozen=True, slots=True)
class SweepOrphans:
    """Remove blobs that no row names: uploads that were cut between blob and row.

    Args:
        upload_max_seconds: no upload that began longer ago gets a row any more.
    """

    store: MetadataStore
    blobs: BlobStore
    upload_max_seconds: float

    async def __call__(self) -> int:
        """Walk the days that ended more than twice the longest upload ago; return how many blobs were removed.

        The rows are looked at again right before each removal. A blob that cannot be removed is left for the next time.
        """
        before = (datetime.now(UTC) - timedelta(seconds=2 * self.upload_max_seconds)).date()
        removed = await self.blobs.sweep_unfinished(before=before)
        async with aclosing(self.blobs.keys(before=before)) as keys:
            async for batch in _batches(keys):
                for key in await self._orphans(batch):
                    removed += await self._remove(key)
        log.info("blobs.swept", removed=removed, before=before.isoformat())
        return removed

    async def _remove(self, key: BlobKey) -> int:
        if not await self._orphans([key]):
            return 0
        try:
            await self.blobs.delete(key)
        except BlobStoreUnavailable:
            log.warning("blobs.unremovable", blob_key=key)
            return 0
        return 1

    async def _orphans(self, keys: list[BlobKey]) -> list[BlobKey]:
        async with self.store.reading() as rows:
            known = await rows.packages.known_blobs(keys)
        return [key for key in keys if key not in known]


async def _batches(keys: AsyncIterator[BlobKey]) -> AsyncIterator[list[BlobKey]]:
    batch: list[BlobKey] = []
    async for key in keys:
        batch.append(key)
        if len(batch) == _KEYS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
