"""Delete packages and files: at once for readers, then from the disk, blob by blob."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from shared.errors import BlobStoreUnavailable, MetadataUnavailable, NotFound, QueueUnavailable, StorageFull
from shared.models import PackageFile, PackageFileId, PackageFileStatus, PackageId, PackageStatus
from shared.ports.blob_store import BlobStore
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue
from shared.ports.metadata_store import AuditEvent, MetadataStore
from shared.usecases.package_audit import visitor_event
from shared.usecases.package_lookup import DISPLAYABLE, check_unmodified, lock_package
from shared.usecases.protection import require_unprotected_delete, require_unprotected_file_delete
from shared.usecases.visits import Visit

log = structlog.get_logger()

_DELETABLE_FILES = frozenset({PackageFileStatus.DEFAULT})


@dataclass(frozen=True, slots=True)
class DeletePackage:
    """Doom a package and all its files; no reader sees them from now on."""

    store: MetadataStore
    queue: JobQueue

    async def __call__(self, visit: Visit, package_id: PackageId, *, unmodified_since: datetime | None = None) -> None:
        """Doom it in one transaction; its name and version are free at once.

        Raises:
            RecordNotFound: the project has no such package, or none that is shown; one that is doomed already is none.
            PackageDeleteProtected: a rule of the project keeps the caller from it.
            PreconditionFailed: it was changed since then.

        Source: app/services/packages/mark_package_for_destruction_service.rb.
        """
        async with self.store.writing() as rows:
            await rows.protection_rules.hold(visit.project.id)
            package = await lock_package(rows, visit.project.id, package_id)
            check_unmodified(package.updated_at, unmodified_since)
            await require_unprotected_delete(rows, visit, package)
            doomed = await rows.packages.doom_package(package_id, source=DISPLAYABLE)
            await rows.audit(
                visitor_event(
                    "package.deleted",
                    visit,
                    target=f"package:{package_id}",
                    details={"name": package.name, "version": package.version},
                )
            )
        await _enqueue(self.queue, doomed or ())


@dataclass(frozen=True, slots=True)
class DeletePackageFile:
    """Doom one file; its package stays, until it has no file left."""

    store: MetadataStore
    queue: JobQueue

    async def __call__(
        self,
        visit: Visit,
        package_id: PackageId,
        *,
        file_id: PackageFileId,
        unmodified_since: datetime | None = None,
    ) -> None:
        """Doom it; its name is free at once.

        Raises:
            RecordNotFound: as of `DeletePackage`.
            Forbidden: a rule of the project keeps the caller from it.
            NotFound: the package has no such file in `default`.
            PreconditionFailed: the file is newer than that.

        Source: lib/api/package_files.rb.
        """
        async with self.store.writing() as rows:
            await rows.protection_rules.hold(visit.project.id)
            package = await lock_package(rows, visit.project.id, package_id)
            await require_unprotected_file_delete(rows, visit, package)
            file = await rows.packages.file(file_id)
            if file is None or file.package_id != package_id or file.status not in _DELETABLE_FILES:
                raise NotFound
            # Once it is published, a file changes only by being yanked.
            check_unmodified(file.yanked_at or file.created_at, unmodified_since)
            await rows.packages.doom_file(file_id, source=_DELETABLE_FILES)
            await rows.audit(
                visitor_event(
                    "package_file.deleted",
                    visit,
                    target=f"package_file:{file_id}",
                    details={"file_name": file.file_name, "sha256": file.sha256},
                )
            )
        await _enqueue(self.queue, (file_id,))


@dataclass(frozen=True, slots=True)
class DestroyPackageFile:
    """Remove a doomed file for good: the worker's part of a delete."""

    store: MetadataStore
    blobs: BlobStore

    async def __call__(self, file_id: PackageFileId) -> None:
        """Remove its blob, then its row, then its package's row when that was the last file.

        Ends quietly when the file is gone or not doomed, or while a backup holds all blobs. Where the blob cannot be
        removed, the row stays, with the reason, and the sweep comes again.

        Raises:
            MetadataUnavailable, StorageFull: the row may still be there; the sweep comes again, too.

        Idempotent: by file.
        """
        async with self.store.reading() as rows:
            file = await rows.packages.file(file_id)
            is_held = await rows.holds.is_destruction_held(now=datetime.now(UTC))
        if file is None or file.status is not PackageFileStatus.PENDING_DESTRUCTION or is_held:
            return
        try:
            await self.blobs.delete(file.blob_key)
        except (BlobStoreUnavailable, StorageFull) as fault:
            await self._postpone(file, fault)
            return
        await self._remove_rows(file)

    async def _postpone(self, file: PackageFile, fault: BlobStoreUnavailable | StorageFull) -> None:
        reason = f"its blob could not be removed: {str(fault) or type(fault).__name__}"
        log.warning("package_file.not_destroyed", file_id=file.id, blob_key=file.blob_key, reason=reason)
        with suppress(MetadataUnavailable, StorageFull):  # The log knows, and the sweep comes again all the same.
            async with self.store.writing() as rows:
                await rows.packages.postpone_destruction(file.id, reason=reason)

    async def _remove_rows(self, file: PackageFile) -> None:
        async with self.store.writing() as rows:
            package = await rows.packages.lock(file.package_id)
            if not await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION):
                return
            is_last = await rows.packages.remove_package_if_empty(file.package_id)
            if package is None or not is_last or package.status is PackageStatus.PENDING_DESTRUCTION:
                return
            # Nobody has deleted the package itself: it goes with its last file.
            await rows.audit(
                AuditEvent(
                    action="package.emptied",
                    actor="worker",
                    target=f"package:{package.id}",
                    project_id=package.project_id,
                    details={"name": package.name, "version": package.version},
                )
            )


async def _enqueue(queue: JobQueue, doomed: tuple[PackageFileId, ...]) -> None:
    # The rows say what is to be done; when Redis is away the sweep finds them.
    with suppress(QueueUnavailable):
        for file_id in doomed:
            await queue.enqueue(DestroyPackageFileJob(file_id))
