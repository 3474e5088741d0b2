"""What the whole registry holds, in SQL."""

from sqlalchemy import func, select

from shared.metadata.package_reads import written_out
from shared.metadata.package_tables import package_files, packages, project_storage
from shared.metadata.transaction import Transaction
from shared.models import PackageFileStatus, PackageStatus
from shared.ports.totals_rows import RegistryTotals


class SqlTotalsReads:
    """Implements TotalsReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def registry(self) -> RegistryTotals:
        of_packages = await self._transaction.rows(
            select(packages.c.status, func.count().label("number")).group_by(packages.c.status)
        )
        of_files = await self._transaction.rows(
            select(package_files.c.status, func.count().label("number")).group_by(package_files.c.status)
        )
        files = package_files.c
        row = await self._transaction.row(
            select(
                select(func.coalesce(func.sum(project_storage.c.bytes), 0)).scalar_subquery().label("stored_bytes"),
                select(func.min(files.created_at))
                .where(files.status == written_out(PackageFileStatus.PROCESSING))
                .scalar_subquery()
                .label("waiting_since"),
                select(func.min(files.doomed_at))
                .where(files.status == written_out(PackageFileStatus.PENDING_DESTRUCTION))
                .scalar_subquery()
                .label("doomed_since"),
            )
        )
        assert row is not None
        return RegistryTotals(
            packages={PackageStatus(one.status): one.number for one in of_packages},
            files={PackageFileStatus(one.status): one.number for one in of_files},
            stored_bytes=int(row.stored_bytes),
            waiting_since=row.waiting_since,
            doomed_since=row.doomed_since,
        )
