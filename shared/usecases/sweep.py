"""Find what was left lying: rows whose hint was lost, leases that ran out, blobs without a row.

Two sweeps at once do no harm: every change is compare-and-set, and the queue knows a job by its id.
"""

from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import structlog

from shared.errors import BlobStoreUnavailable
from shared.models import BlobKey, PackageFile
from shared.ports.blob_store import BlobStore
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue, ProcessPackageFileJob
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.usecases.blob_store_name import require_own_blob_store
from shared.usecases.orphans import batches, without_row
from shared.usecases.process import LEASE_SECONDS

log = structlog.get_logger()

MOST_ATTEMPTS = 5
_PATIENCE = timedelta(seconds=5)
_ROWS_A_SWEEP = 500


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
            unleased = await rows.packages.unleased(created_before=now - _PATIENCE, now=now, limit=_ROWS_A_SWEEP)
            lapsed = await rows.packages.lapsed(now=now, lease_seconds=2 * LEASE_SECONDS, limit=_ROWS_A_SWEEP)
            # What a backup copies must stay; the first sweep after it has them all.
            is_held = await rows.holds.is_destruction_held(now=now)
            doomed = (
                ()
                if is_held
                else await rows.packages.doomed(doomed_before=now - _PATIENCE, now=now, limit=_ROWS_A_SWEEP)
            )
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

        The rows are looked at again right before each removal. A blob that cannot be removed is left for the next time,
        and so are all of them while a backup holds them.

        Raises:
            BlobStoreForeign: the store is not this registry's, so what is in it may be somebody's.
        """
        await require_own_blob_store(self.store, self.blobs)
        before = orphaned_before(self.upload_max_seconds)
        removed = await self.blobs.sweep_unfinished(before=before)
        async with aclosing(self.blobs.keys(before=before)) as keys:
            async for batch in batches(keys):
                for key in await without_row(self.store, batch):
                    removed += await self._remove(key)
        log.info("blobs.swept", removed=removed, before=before.isoformat())
        return removed

    async def _remove(self, key: BlobKey) -> int:
        async with self.store.reading() as rows:
            if await rows.holds.is_destruction_held(now=datetime.now(UTC)) or await rows.packages.known_blobs([key]):
                return 0
        try:
            await self.blobs.delete(key)
        except BlobStoreUnavailable:
            log.warning("blobs.unremovable", blob_key=key)
            return 0
        return 1


def orphaned_before(upload_max_seconds: float) -> date:
    """Return the first day of which a blob without a row may still be about to get one."""
    return (datetime.now(UTC) - timedelta(seconds=2 * upload_max_seconds)).date()
