"""Delete packages and files: at once for readers, then from the disk, blob by blob."""

from contextlib import suppress
from dataclasses import dataclass

from shared.errors import NotFound, QueueUnavailable
from shared.models import PackageFileId, PackageFileStatus, PackageId, PackageStatus, ProjectId
from shared.ports.blob_store import BlobStore
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue
from shared.ports.metadata_store import AuditEvent, MetadataStore

_DELETABLE_PACKAGES = frozenset(PackageStatus) - {PackageStatus.PENDING_DESTRUCTION}
_DELETABLE_FILES = frozenset({PackageFileStatus.DEFAULT})


@dataclass(frozen=True, slots=True)
class DeletePackage:
    """Doom a package and all its files; no reader sees them from now on."""

    store: MetadataStore
    queue: JobQueue

    async def __call__(self, project_id: ProjectId, package_id: PackageId, *, actor: str) -> None:
        """Doom it in one transaction; its name and version are free at once.

        Raises:
            NotFound: the project has no such package, or it is doomed already.

        Source: app/services/packages/mark_package_for_destruction_service.rb.
        """
        async with self.store.writing() as rows:
            package = await rows.packages.lock(package_id)
            if package is None or package.project_id != project_id:
                raise NotFound
            doomed = await rows.packages.doom_package(package_id, source=_DELETABLE_PACKAGES)
            if doomed is None:
                raise NotFound
            await rows.audit(
                AuditEvent(
                    action="package.deleted",
                    actor=actor,
                    target=f"package:{package_id}",
                    project_id=project_id,
                    details={"name": package.name, "version": package.version},
                )
            )
        await _enqueue(self.queue, doomed)


@dataclass(frozen=True, slots=True)
class DeletePackageFile:
    """Doom one file; its package stays, until it has no file left."""

    store: MetadataStore
    queue: JobQueue

    async def __call__(
        self, project_id: ProjectId, package_id: PackageId, *, file_id: PackageFileId, actor: str
    ) -> None:
        """Doom it; its name is free at once.

        Raises:
            NotFound: the project has no such package, or that no such file in `default`.
        """
        async with self.store.writing() as rows:
            package = await rows.packages.lock(package_id)
            file = await rows.packages.file(file_id)
            if package is None or package.project_id != project_id:
                raise NotFound
            if file is None or file.package_id != package_id:
                raise NotFound
            if not await rows.packages.doom_file(file_id, source=_DELETABLE_FILES):
                raise NotFound
            await rows.audit(
                AuditEvent(
                    action="package_file.deleted",
                    actor=actor,
                    target=f"package_file:{file_id}",
                    project_id=file.project_id,
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

        Ends quietly when the file is gone or not doomed.

        Raises:
            BlobStoreUnavailable: the blob may still be there; the row stays, and the sweep comes again.

        Idempotent: by file.
        """
        async with self.store.reading() as rows:
            file = await rows.packages.file(file_id)
        if file is None or file.status is not PackageFileStatus.PENDING_DESTRUCTION:
            return
        await self.blobs.delete(file.blob_key)
        async with self.store.writing() as rows:
            await rows.packages.lock(file.package_id)
            if await rows.packages.remove_file(file_id, source=PackageFileStatus.PENDING_DESTRUCTION):
                await rows.packages.remove_package_if_empty(file.package_id)


async def _enqueue(queue: JobQueue, doomed: tuple[PackageFileId, ...]) -> None:
    # The rows say what is to be done; when Redis is away the sweep finds them.
    with suppress(QueueUnavailable):
        for file_id in doomed:
            await queue.enqueue(DestroyPackageFileJob(file_id))
