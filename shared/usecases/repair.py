"""Mend what a check has found, as far as it can be mended; beside a running registry or without one.

Every mend looks again first and is compare-and-set, so that it takes nothing from who was faster.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import BlobStoreUnavailable
from shared.models import PackageFileStatus
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import AuditEvent, MetadataStore
from shared.usecases.blob_store_name import BlobStoreForeign, adopt_blob_store, check_blob_store
from shared.usecases.damage import declare_damaged
from shared.usecases.findings import CheckReport, Finding, FindingKind
from shared.usecases.orphans import without_row
from shared.usecases.stored_bytes import look_at_bytes
from shared.usecases.sweep import orphaned_before


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a finding.

    Args:
        is_mended: nothing is left to do about it.
        told: what was done, or why nothing was.
    """

    finding: Finding
    is_mended: bool
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairRegistry:
    """Mend findings.

    Args:
        upload_max_seconds: no upload that began longer ago gets a row any more.
    """

    store: MetadataStore
    blobs: BlobStore
    upload_max_seconds: float

    async def __call__(self, report: CheckReport) -> list[Outcome]:
        """Mend each finding of a report, in its order; return what became of them.

        Raises:
            MetadataUnavailable, BlobStoreUnavailable, StorageFull: it stopped midway; what was mended stays so.

        Idempotent: by finding.
        """
        mends: dict[FindingKind, Callable[[Finding], Awaitable[tuple[bool, str]]]] = {
            FindingKind.DATABASE: self._database,
            FindingKind.BLOB_STORE: self._blob_store,
            FindingKind.FILE: self._file,
            FindingKind.CORE_METADATA: self._core_metadata,
            FindingKind.WAITING: self._waiting,
            FindingKind.PACKAGE: self._package,
            FindingKind.STORAGE: self._storage,
            FindingKind.ORPHAN: self._orphan,
            FindingKind.PART: self._part,
        }
        return [Outcome(finding, *await mends[finding.kind](finding)) for finding in report.findings]

    async def _database(self, _: Finding) -> tuple[bool, str]:
        return False, "cannot be mended here: restore a backup"

    async def _blob_store(self, finding: Finding) -> tuple[bool, str]:
        if not finding.is_adoptable:
            return False, "cannot be mended here: mount the right disk, or put LARDER_BLOB_URL right"
        await adopt_blob_store(self.store, self.blobs)
        return True, "all files are in it, so it bears the database's name now"

    async def _file(self, finding: Finding) -> tuple[bool, str]:
        file = finding.file
        assert file is not None
        if file.status is PackageFileStatus.PROCESSING:
            return False, "left to the worker, which is processing it"
        try:
            await check_blob_store(self.store, self.blobs)
            reason = await look_at_bytes(self.blobs, file)
        except BlobStoreForeign:
            return False, "left alone, because the blob store is another"
        except BlobStoreUnavailable:
            return False, "left alone, because its bytes may be there: look after the disk"
        if reason is None:
            return True, "its bytes are whole by now"
        if await declare_damaged(self.store, file, reason=reason, actor="system"):
            return True, "is in error now, and no longer offered; upload it again to put it in its place"
        return True, "was deleted meanwhile"

    async def _core_metadata(self, finding: Finding) -> tuple[bool, str]:
        assert finding.file_id is not None
        async with self.store.writing() as rows:
            file = await rows.packages.file(finding.file_id)
            if file is None:
                return True, "was deleted meanwhile"
            await rows.packages.lock(file.package_id)
            await rows.inventory.withdraw_core_metadata(file.id)
            await rows.audit(
                AuditEvent(
                    action="package_file.metadata_withdrawn",
                    actor="system",
                    target=f"package_file:{file.id}",
                    project_id=file.project_id,
                )
            )
        return True, "is no longer offered by itself; installers read it from the file"

    async def _waiting(self, _: Finding) -> tuple[bool, str]:
        return False, "left to the worker: start one, or look at why it does not get on"

    async def _package(self, finding: Finding) -> tuple[bool, str]:
        package_id = finding.package_id
        assert package_id is not None
        async with self.store.writing() as rows:
            await rows.packages.lock(package_id)
            is_removed = await rows.packages.remove_package_if_empty(package_id)
        return True, "was removed" if is_removed else "has files by now, or is gone"

    async def _storage(self, finding: Finding) -> tuple[bool, str]:
        assert finding.project_id is not None
        async with self.store.writing() as rows:
            held_bytes = await rows.storage.recount(finding.project_id)
        return True, f"was counted anew: {held_bytes} bytes"

    async def _orphan(self, finding: Finding) -> tuple[bool, str]:
        key = finding.blob_key
        assert key is not None
        async with self.store.reading() as rows:
            if await rows.holds.is_destruction_held(now=datetime.now(UTC)):
                return False, "left where it is while a backup is being made"
        with suppress(BlobStoreForeign):
            await check_blob_store(self.store, self.blobs)
            if not await without_row(self.store, [key]):
                return True, "has a row by now"
            await self.blobs.delete(key)
            return True, "was removed"
        return False, "left alone, because the blob store is another"

    async def _part(self, _: Finding) -> tuple[bool, str]:
        await self.blobs.sweep_unfinished(before=orphaned_before(self.upload_max_seconds))
        return True, "was removed"
