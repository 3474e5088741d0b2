"""Single changes of packages and files in SQL: a status that somebody sets, and notes that no reader waits for."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import case, literal, or_, select, update

from shared.metadata.package_leases import SqlPackageLeases
from shared.metadata.package_reads import PACKAGE_COLUMNS
from shared.metadata.package_tables import package_files, packages
from shared.models import CounterScope, Package, PackageFileId, PackageFileStatus, PackageId, PackageStatus


class SqlPackageChanges(SqlPackageLeases):
    """Implements a part of PackageWrites."""

    async def change_status(
        self, package_id: PackageId, *, source: frozenset[PackageStatus], status: PackageStatus
    ) -> Package | None:
        self._transaction.require_lock(package_id)
        movable = sorted(source - {PackageStatus.PENDING_DESTRUCTION})
        row = await self._transaction.row(
            update(packages)
            .where(packages.c.id == package_id, packages.c.status.in_(movable))
            .values(status=status, updated_at=self._transaction.now())
            .returning(*PACKAGE_COLUMNS)
        )
        if row is None:
            return None
        package = Package(**row._asdict())
        self._transaction.touch(CounterScope.PROJECT, package.project_id)
        return package

    async def postpone_destruction(self, file_id: PackageFileId, *, reason: str) -> bool:
        is_doomed = package_files.c.status == PackageFileStatus.PENDING_DESTRUCTION
        waiting = update(package_files).where(package_files.c.id == file_id, is_doomed)
        postponed = waiting.values(status_message=reason, doomed_at=self._transaction.now())
        return await self._transaction.change(postponed) == 1

    async def note_downloads(self, downloads: Mapping[PackageId, datetime], *, grain: timedelta) -> int:
        if not downloads:
            return 0
        # By id, so that two processes never wait for each other; an upload may hold one of them for a moment.
        await self._transaction.rows(
            select(packages.c.id)
            .where(packages.c.id.in_(list(downloads)))
            .order_by(packages.c.id)
            .with_for_update(key_share=True)
        )
        last = packages.c.last_downloaded_at
        times = {package_id: literal(at, last.type) for package_id, at in downloads.items()}
        limits = {package_id: literal(at - grain, last.type) for package_id, at in downloads.items()}
        is_due = or_(last.is_(None), last <= case(limits, value=packages.c.id))
        return await self._transaction.change(
            update(packages)
            .where(packages.c.id.in_(list(downloads)), is_due)
            .values(last_downloaded_at=case(times, value=packages.c.id))
        )
