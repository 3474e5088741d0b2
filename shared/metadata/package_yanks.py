"""Marks of yanked packages and files in SQL."""

from sqlalchemy import func, literal, update

from shared.metadata.package_leases import SqlPackageLeases
from shared.metadata.package_reads import FILE_COLUMNS, PACKAGE_COLUMNS
from shared.metadata.package_tables import package_files, packages
from shared.models import CounterScope, Package, PackageFile, PackageFileId, PackageFileStatus, PackageId, PackageStatus

_IS_DEFAULT = package_files.c.status == PackageFileStatus.DEFAULT
_NO_MARK = {"yanked_at": None, "yanked_reason": None}


class SqlPackageYanks(SqlPackageLeases):
    """Implements the part of PackageWrites that is about yanks."""

    async def yank_package(
        self, package_id: PackageId, *, source: frozenset[PackageStatus], reason: str | None
    ) -> Package | None:
        self._transaction.require_lock(package_id)
        now = self._transaction.now()
        since = func.coalesce(packages.c.yanked_at, literal(now, packages.c.yanked_at.type))
        row = await self._transaction.row(
            update(packages)
            .where(packages.c.id == package_id, packages.c.status.in_(_movable(source)))
            .values(yanked_at=since, yanked_reason=reason, updated_at=now)
            .returning(*PACKAGE_COLUMNS)
        )
        if row is None:
            return None
        package = Package(**row._asdict())
        self._transaction.touch(CounterScope.PROJECT, package.project_id)
        return package

    async def unyank_package(self, package_id: PackageId, *, source: frozenset[PackageStatus]) -> bool:
        self._transaction.require_lock(package_id)
        row = await self._transaction.row(
            update(packages)
            .where(
                packages.c.id == package_id,
                packages.c.status.in_(_movable(source)),
                packages.c.yanked_at.is_not(None),
            )
            .values(updated_at=self._transaction.now(), **_NO_MARK)
            .returning(packages.c.project_id)
        )
        if row is None:
            return False
        self._transaction.touch(CounterScope.PROJECT, row.project_id)
        return True

    async def yank_file(self, file_id: PackageFileId, *, reason: str | None) -> PackageFile | None:
        file = await self.file(file_id)
        if file is None:
            return None
        self._transaction.require_lock(file.package_id)
        now = literal(self._transaction.now(), package_files.c.yanked_at.type)
        row = await self._transaction.row(
            update(package_files)
            .where(package_files.c.id == file_id, _IS_DEFAULT)
            .values(yanked_at=func.coalesce(package_files.c.yanked_at, now), yanked_reason=reason)
            .returning(*FILE_COLUMNS)
        )
        if row is None:
            return None
        await self._touch_package_of(file)
        return PackageFile(**row._asdict())

    async def unyank_file(self, file_id: PackageFileId) -> bool:
        file = await self.file(file_id)
        if file is None:
            return False
        self._transaction.require_lock(file.package_id)
        yanked = update(package_files).where(
            package_files.c.id == file_id, _IS_DEFAULT, package_files.c.yanked_at.is_not(None)
        )
        if await self._transaction.change(yanked.values(_NO_MARK)) == 0:
            return False
        await self._touch_package_of(file)
        return True

    async def _touch_package_of(self, file: PackageFile) -> None:
        updated = update(packages).where(packages.c.id == file.package_id).values(updated_at=self._transaction.now())
        await self._transaction.change(updated)
        self._transaction.touch(CounterScope.PROJECT, file.project_id)


def _movable(source: frozenset[PackageStatus]) -> list[PackageStatus]:
    return sorted(source - {PackageStatus.PENDING_DESTRUCTION})
