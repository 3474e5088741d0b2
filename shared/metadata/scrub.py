"""Which files are looked at again, by whom, and what becomes of damaged ones, in SQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, or_, select, update

from shared.metadata.package_reads import FILE_COLUMNS, written_out
from shared.metadata.package_tables import package_files, packages
from shared.metadata.transaction import Transaction
from shared.models import CounterScope, PackageFile, PackageFileId, PackageFileStatus, PackageStatus
from shared.ports.scrub_rows import LONGEST_SCRUB_HOLD

_IS_DEFAULT = package_files.c.status == written_out(PackageFileStatus.DEFAULT)


class SqlScrubReads:
    """Implements ScrubReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def due(self, *, verified_before: datetime, now: datetime, limit: int) -> tuple[PackageFile, ...]:
        # Two queries, because the engines disagree on where NULL sorts, and so no index would serve one.
        never = _due(package_files.c.verified_at.is_(None), now, limit)
        found = await self._looked_up(never)
        if len(found) < limit:
            long_ago = _due(package_files.c.verified_at < verified_before, now, limit - len(found))
            found = [*found, *await self._looked_up(long_ago)]
        return tuple(PackageFile(**row._asdict()) for row in found)

    async def _looked_up(self, files: Select[Any]) -> Sequence[Row[Any]]:
        return await self._transaction.rows(files)


class SqlScrubWrites(SqlScrubReads):
    """Implements ScrubWrites."""

    async def _looked_up(self, files: Select[Any]) -> Sequence[Row[Any]]:
        # What another scrub is about to take is left to it, so that many share what is due instead of waiting for it.
        return await self._transaction.rows(files.with_for_update(skip_locked=True))

    async def take_due(
        self, file_ids: Sequence[PackageFileId], *, verified_before: datetime, now: datetime, until: datetime
    ) -> tuple[PackageFile, ...]:
        verified_at = package_files.c.verified_at
        is_due = or_(verified_at.is_(None), verified_at < verified_before)
        rows = await self._transaction.rows(
            update(package_files)
            .where(package_files.c.id.in_(list(file_ids)), _IS_DEFAULT, is_due, _is_free(now))
            .values(scrub_held_until=until)
            .returning(*FILE_COLUMNS)
        )
        return tuple(sorted((PackageFile(**row._asdict()) for row in rows), key=lambda file: file.id))

    async def note_verified(self, file_ids: Collection[PackageFileId], *, at: datetime) -> int:
        # Who deletes a package has its files one by one, too: to wait for one of them could be to wait in a ring.
        free = select(package_files.c.id).where(package_files.c.id.in_(sorted(file_ids)), _IS_DEFAULT)
        rows = await self._transaction.rows(free.with_for_update(skip_locked=True))
        return await self._transaction.change(
            update(package_files)
            .where(package_files.c.id.in_([row.id for row in rows]))
            .values(verified_at=at, scrub_held_until=None)
        )

    async def put_off(self, file_id: PackageFileId, *, until: datetime) -> bool:
        taken = update(package_files).where(package_files.c.id == file_id, _IS_DEFAULT)
        return await self._transaction.change(taken.values(scrub_held_until=until)) == 1

    async def damage_file(self, file_id: PackageFileId, *, reason: str, source: frozenset[PackageFileStatus]) -> bool:
        file = await self._transaction.row(
            select(package_files.c.package_id, package_files.c.project_id).where(package_files.c.id == file_id)
        )
        if file is None:
            return False
        self._transaction.require_lock(file.package_id)
        movable = sorted(source - {PackageFileStatus.PENDING_DESTRUCTION})
        damaged = await self._transaction.change(
            update(package_files)
            .where(package_files.c.id == file_id, package_files.c.status.in_(movable))
            .values(status=PackageFileStatus.ERROR, status_message=reason, leased_until=None, scrub_held_until=None)
        )
        if damaged == 0:
            return False
        has_hope = exists().where(
            package_files.c.package_id == file.package_id,
            package_files.c.status.in_([PackageFileStatus.DEFAULT, PackageFileStatus.PROCESSING]),
        )
        await self._transaction.change(
            update(packages)
            .where(
                packages.c.id == file.package_id,
                packages.c.status.in_([PackageStatus.DEFAULT, PackageStatus.PROCESSING]),
                ~has_hope,
            )
            .values(status=PackageStatus.ERROR, status_message=reason, updated_at=self._transaction.now())
        )
        self._transaction.touch(CounterScope.PROJECT, file.project_id)
        return True


def _due(condition: ColumnElement[bool], now: datetime, limit: int) -> Select[Any]:
    return (
        select(*FILE_COLUMNS)
        .where(_IS_DEFAULT, condition, _is_free(now))
        .order_by(package_files.c.verified_at, package_files.c.id)
        .limit(limit)
    )


def _is_free(now: datetime) -> ColumnElement[bool]:
    held = package_files.c.scrub_held_until
    return or_(held.is_(None), held <= now, held > now + LONGEST_SCRUB_HOLD)
