"""Compare rows with blobs, and each with itself, without changing anything; beside a running registry or without one.

What a running registry is about to do is no finding: every difference is looked at again before it is told.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.errors import BlobStoreUnavailable, MetadataDamaged
from shared.models import PackageFile, PackageFileId, PackageFileStatus, PackageId, PackageStatus
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore
from shared.usecases.blob_copies import Progress, Tell
from shared.usecases.blob_store_name import BlobStoreForeign, check_blob_store
from shared.usecases.findings import CheckReport, Finding, FindingKind
from shared.usecases.orphans import check_for_orphans
from shared.usecases.stored_bytes import look_at_bytes, look_at_size
from shared.usecases.sweep import orphaned_before

_ROWS_AT_ONCE = 500
_METADATA_AT_ONCE = 50
_LEASE_GRACE = timedelta(minutes=1)
_DOOMED_GRACE = timedelta(hours=1)

_Look = Callable[[BlobStore, PackageFile], Awaitable[str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRegistry:
    """Look for differences.

    Args:
        upload_max_seconds: no upload that began longer ago gets a row any more.
        tell: called as the look at the files goes on.
    """

    store: MetadataStore
    blobs: BlobStore
    upload_max_seconds: float
    tell: Tell

    async def by_size(self) -> CheckReport:
        """Compare all there is but the bytes of blobs, of which only the number is looked at.

        Raises:
            SchemaUnknown: the database is of another version.
            MetadataUnavailable, BlobStoreUnavailable: it could not be checked.
        """
        return await self._check(look_at_size, is_thorough=False)

    async def by_content(self) -> CheckReport:
        """Compare all there is, and read every blob.

        Raises: as `by_size`.
        """
        return await self._check(look_at_bytes, is_thorough=True)

    async def _check(self, look: _Look, *, is_thorough: bool) -> CheckReport:
        report = CheckReport()
        for fault in await self.store.faults(is_thorough=is_thorough):
            report.findings.append(Finding(FindingKind.DATABASE, "database", fault))
        try:
            await self._check_rows(report, look)
        except MetadataDamaged:
            report.notes.append("the rest could not be checked, because the database is damaged")
        return report

    async def _check_rows(self, report: CheckReport, look: _Look) -> None:
        await self.store.check_schema()
        foreign = await self._foreign_store()
        missing = await self._check_files(report, look)
        if foreign is not None:
            # Nothing can be said of single files: all of them may be where the right store is.
            problem = f"it bears the name {foreign.found} and the database has noted {foreign.expected}; "
            problem += f"{len(missing)} of {report.checked['files']} files are not in it"
            report.findings.append(
                Finding(
                    FindingKind.BLOB_STORE,
                    "blob store",
                    problem,
                    is_adoptable=not missing and report.checked["files"] > 0,
                )
            )
        else:
            report.findings += missing
            await check_for_orphans(report, self.store, self.blobs, before=orphaned_before(self.upload_max_seconds))
        await self._check_core_metadata(report)
        await self._check_doomed(report)
        await self._check_packages(report)
        await self._check_storage(report)

    async def _foreign_store(self) -> BlobStoreForeign | None:
        try:
            await check_blob_store(self.store, self.blobs)
        except BlobStoreForeign as foreign:
            return foreign
        return None

    async def _check_files(self, report: CheckReport, look: _Look) -> list[Finding]:
        """Look at every file row; return what is wrong with the bytes of some."""
        found: list[Finding] = []
        counts = dict.fromkeys(PackageFileStatus, 0)
        unverified = done = bytes_done = 0
        async with self.store.reading() as rows:
            files, size_bytes = await rows.inventory.count_files()
        async for file in self._files():
            counts[file.status] += 1
            unverified += file.status is PackageFileStatus.DEFAULT and file.verified_at is None
            if file.status is PackageFileStatus.PROCESSING:
                self._check_lease(report, file)
            if file.status in (PackageFileStatus.DEFAULT, PackageFileStatus.PROCESSING):
                problem = await self._problem(file, look)
                if problem is not None:
                    found.append(Finding(FindingKind.FILE, _target(file), f"{file.file_name}: {problem}", file=file))
            done, bytes_done = done + 1, bytes_done + file.size_bytes
            self.tell(Progress(done, files, bytes_done, size_bytes))
        report.checked["files"] = done
        for status, told in (
            (PackageFileStatus.PROCESSING, "files wait for a worker or are being processed"),
            (PackageFileStatus.PENDING_DESTRUCTION, "files are to be destroyed"),
            (PackageFileStatus.ERROR, "files are in error: refused, or found damaged"),
        ):
            if counts[status]:
                report.notes.append(f"{counts[status]} {told}")
        if unverified:
            report.notes.append(f"{unverified} published files were never verified")
        return found

    async def _problem(self, file: PackageFile, look: _Look) -> str | None:
        """Return what is wrong with the bytes of a file, unless it is another's concern by now."""
        for _ in range(2):
            try:
                problem = await look(self.blobs, file)
            except BlobStoreUnavailable as fault:
                problem = f"its stored bytes cannot be read: {fault}"
            if problem is None:
                return None
            async with self.store.reading() as rows:
                current = await rows.packages.file(file.id)
            if current is None or current.status is not file.status:
                return None
        return problem

    def _check_lease(self, report: CheckReport, file: PackageFile) -> None:
        if file.leased_until is not None and file.leased_until < datetime.now(UTC) - _LEASE_GRACE:
            problem = f"{file.file_name}: its worker is gone, and no other has taken it since {file.leased_until}"
            report.findings.append(Finding(FindingKind.WAITING, _target(file), problem, file=file))

    async def _check_doomed(self, report: CheckReport) -> None:
        now = datetime.now(UTC)
        async with self.store.reading() as rows:
            if await rows.holds.is_destruction_held(now=now):
                report.notes.append("a backup is being made, so nothing is destroyed at the moment")
                return
            waiting = await rows.packages.doomed(doomed_before=now - _DOOMED_GRACE, now=now, limit=_ROWS_AT_ONCE)
        for file in waiting:
            problem = f"{file.file_name}: deleted long ago, and its bytes still wait to be removed"
            if file.status_message:
                problem += f" ({file.status_message})"
            report.findings.append(Finding(FindingKind.WAITING, _target(file), problem, file=file))

    async def _check_core_metadata(self, report: CheckReport) -> None:
        count, after = 0, PackageFileId(0)
        while True:
            async with self.store.reading() as rows:
                found = await rows.inventory.core_metadata(after=after, limit=_METADATA_AT_ONCE)
            if not found:
                break
            for stored in found:
                if hashlib.sha256(stored.raw).hexdigest() != stored.sha256:
                    problem = "its stored METADATA has another SHA-256 than its simple page says"
                    target = f"package_file:{stored.file_id}"
                    report.findings.append(Finding(FindingKind.CORE_METADATA, target, problem, file_id=stored.file_id))
            count, after = count + len(found), found[-1].file_id
        report.checked["core metadata"] = count

    async def _check_packages(self, report: CheckReport) -> None:
        after, waiting = PackageId(0), 0
        while True:
            async with self.store.reading() as rows:
                found = await rows.inventory.empty_packages(after=after, limit=_ROWS_AT_ONCE)
            if not found:
                break
            for package in found:
                if package.status is PackageStatus.PENDING_DESTRUCTION:
                    waiting += 1
                    continue
                problem = f"{package.name} {package.version} has no files"
                report.findings.append(
                    Finding(FindingKind.PACKAGE, f"package:{package.id}", problem, package_id=package.id)
                )
            after = found[-1].id
        if waiting:
            report.notes.append(f"{waiting} deleted packages are about to go")

    async def _check_storage(self, report: CheckReport) -> None:
        async with self.store.reading() as rows:
            miscounts = await rows.storage.miscounts()
        for one in miscounts:
            problem = f"is said to hold {one.counted_bytes} bytes, and its files hold {one.held_bytes}"
            report.findings.append(
                Finding(FindingKind.STORAGE, f"project:{one.project_id}", problem, project_id=one.project_id)
            )

    async def _files(self) -> AsyncIterator[PackageFile]:
        after = PackageFileId(0)
        while True:
            async with self.store.reading() as rows:
                found = await rows.inventory.files(after=after, limit=_ROWS_AT_ONCE)
            if not found:
                return
            for file in found:
                yield file
            after = found[-1].id


def _target(file: PackageFile) -> str:
    return f"package_file:{file.id}"
