"""What the whole registry holds, in SQL.

Nearly all rows are in `default`. The others are counted, off an index that has only them. Those in `default` are
counted as well, as long as that takes no time; of a large database PostgreSQL is asked how many it reckons with, as it
does for its plans, because each process wants to know every half minute.
"""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Table, func, select, text

from shared.metadata.package_reads import written_out
from shared.metadata.package_tables import package_files, packages, project_storage
from shared.metadata.transaction import Transaction
from shared.models import PackageFileStatus, PackageStatus
from shared.ports.totals_rows import RegistryTotals

_COUNTED_AT_MOST = 100_000
_USUAL = "default"
# By how full its pages were when it was last looked at, and how many it has now.
_RECKONED = "reltuples / greatest(relpages, 1) * (pg_relation_size(oid) / current_setting('block_size')::integer)"


class SqlTotalsReads:
    """Implements TotalsReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def registry(self) -> RegistryTotals:
        of_packages = await self._by_status(packages)
        of_files = await self._by_status(package_files)
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
            packages={PackageStatus(status): number for status, number in of_packages.items()},
            files={PackageFileStatus(status): number for status, number in of_files.items()},
            stored_bytes=int(row.stored_bytes),
            waiting_since=row.waiting_since,
            doomed_since=row.doomed_since,
        )

    async def _by_status(self, table: Table) -> Mapping[str, int]:
        """Return how many rows are in each status that any is in."""
        is_usual = table.c.status == written_out(_USUAL)
        rows = await self._transaction.rows(
            select(table.c.status, func.count().label("number")).where(~is_usual).group_by(table.c.status)
        )
        found = {str(row.status): int(row.number) for row in rows}
        reckoned = await self._reckoned(table)
        usual = max(0, reckoned - sum(found.values())) if reckoned > _COUNTED_AT_MOST else await self._count(is_usual)
        return found | ({_USUAL: usual} if usual else {})

    async def _count(self, condition: ColumnElement[bool]) -> int:
        row = await self._transaction.row(select(func.count().label("number")).where(condition))
        return int(row.number) if row else 0

    async def _reckoned(self, table: Table) -> int:
        """Return how many rows PostgreSQL reckons with; 0 where it has not looked yet, and on SQLite."""
        if self._transaction.engine != "postgresql":
            return 0
        row = await self._transaction.row(
            text(f"SELECT {_RECKONED} AS number FROM pg_class WHERE oid = '{table.name}'::regclass")  # noqa: S608 - ours
        )
        return int(row.number) if row else 0
