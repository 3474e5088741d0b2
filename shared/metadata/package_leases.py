"""Leases of files in SQL: who works on which, by compare-and-set alone."""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, bindparam, update

from shared.metadata.package_reads import FILE_COLUMNS, SqlPackageReads
from shared.metadata.package_tables import package_files
from shared.models import PackageFile, PackageFileId, PackageFileStatus

_TAKE_LEASE = (
    update(package_files)
    .where(
        package_files.c.id == bindparam("of_file"),
        package_files.c.status == PackageFileStatus.PROCESSING,
        package_files.c.attempt == bindparam("of_attempt"),
        package_files.c.leased_until.is_(None),
    )
    .values(leased_until=bindparam("leased_until"))
    .returning(*FILE_COLUMNS)
)


class SqlPackageLeases(SqlPackageReads):
    """Implements the part of PackageWrites that needs no lock and bumps no counter."""

    async def take_lease(self, file_id: PackageFileId, *, attempt: int, until: datetime) -> PackageFile | None:
        row = await self._transaction.row(
            _TAKE_LEASE, {"of_file": file_id, "of_attempt": attempt, "leased_until": until}
        )
        return PackageFile(**row._asdict()) if row else None

    async def renew_lease(self, file_id: PackageFileId, *, attempt: int, until: datetime) -> bool:
        held = update(package_files).where(*held_by(file_id, attempt))
        return await self._transaction.change(held.values(leased_until=until)) == 1

    async def release_lease(self, file_id: PackageFileId, *, attempt: int) -> bool:
        held = update(package_files).where(*held_by(file_id, attempt))
        return await self._transaction.change(held.values(leased_until=None)) == 1

    async def next_attempt(self, file_id: PackageFileId, *, attempt: int, leased_until: datetime) -> bool:
        held = update(package_files).where(*held_by(file_id, attempt), package_files.c.leased_until == leased_until)
        return await self._transaction.change(held.values(leased_until=None, attempt=attempt + 1)) == 1

    async def note_promise(self, file_id: PackageFileId) -> bool:
        waiting = update(package_files).where(
            package_files.c.id == file_id, package_files.c.status == PackageFileStatus.PROCESSING
        )
        return await self._transaction.change(waiting.values(promised_at=self._transaction.now())) == 1


def held_by(
    file_id: PackageFileId | BindParameter[Any], attempt: int | BindParameter[Any]
) -> tuple[ColumnElement[bool], ...]:
    """Return what is true while this attempt has the lease: the attempt moves on whenever a lease is taken away."""
    return (
        package_files.c.id == file_id,
        package_files.c.status == PackageFileStatus.PROCESSING,
        package_files.c.attempt == attempt,
        package_files.c.leased_until.is_not(None),
    )
