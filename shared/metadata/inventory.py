"""All rows, some at a time, for those who compare them with the bytes, in SQL."""

from sqlalchemy import exists, func, select, update

from shared.metadata.package_reads import FILE_COLUMNS, PACKAGE_COLUMNS
from shared.metadata.package_tables import package_file_metadata, package_files, packages
from shared.metadata.tables import instance_settings
from shared.metadata.transaction import Transaction
from shared.models import CounterScope, Package, PackageFile, PackageFileId, PackageId
from shared.ports.inventory_rows import StoredCoreMetadata

BLOB_STORE_NAME = "blob_store_name"
"""Where the settings of the instance keep the name of the blob store."""


class SqlInventoryReads:
    """Implements InventoryReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def files(self, *, after: PackageFileId, limit: int) -> tuple[PackageFile, ...]:
        rows = await self._transaction.rows(
            select(*FILE_COLUMNS).where(package_files.c.id > after).order_by(package_files.c.id).limit(limit)
        )
        return tuple(PackageFile(**row._asdict()) for row in rows)

    async def files_by_blob(self, *, after: str, limit: int) -> tuple[PackageFile, ...]:
        rows = await self._transaction.rows(
            select(*FILE_COLUMNS)
            .where(package_files.c.blob_key > after)
            .order_by(package_files.c.blob_key)
            .limit(limit)
        )
        return tuple(PackageFile(**row._asdict()) for row in rows)

    async def count_files(self) -> tuple[int, int]:
        row = await self._transaction.row(
            select(
                func.count().label("files"), func.coalesce(func.sum(package_files.c.size_bytes), 0).label("size")
            ).select_from(package_files)
        )
        assert row is not None
        return int(row.files), int(row.size)

    async def core_metadata(self, *, after: PackageFileId, limit: int) -> tuple[StoredCoreMetadata, ...]:
        stored = package_file_metadata.c
        rows = await self._transaction.rows(
            select(stored.file_id, stored.core_metadata.label("raw"), stored.core_metadata_sha256.label("sha256"))
            .where(stored.file_id > after, stored.core_metadata.is_not(None))
            .order_by(stored.file_id)
            .limit(limit)
        )
        return tuple(StoredCoreMetadata(**row._asdict()) for row in rows)

    async def empty_packages(self, *, after: PackageId, limit: int) -> tuple[Package, ...]:
        is_empty = ~exists().where(package_files.c.package_id == packages.c.id)
        rows = await self._transaction.rows(
            select(*PACKAGE_COLUMNS).where(packages.c.id > after, is_empty).order_by(packages.c.id).limit(limit)
        )
        return tuple(Package(**row._asdict()) for row in rows)

    async def blob_store_name(self) -> str | None:
        row = await self._transaction.row(
            select(instance_settings.c.value).where(instance_settings.c.name == BLOB_STORE_NAME)
        )
        return str(row.value) if row else None


class SqlInventoryWrites(SqlInventoryReads):
    """Implements InventoryWrites."""

    async def withdraw_core_metadata(self, file_id: PackageFileId) -> bool:
        file = await self._transaction.row(
            select(package_files.c.package_id, package_files.c.project_id).where(package_files.c.id == file_id)
        )
        if file is None:
            return False
        self._transaction.require_lock(file.package_id)
        changed = await self._transaction.change(
            update(package_file_metadata)
            .where(package_file_metadata.c.file_id == file_id, package_file_metadata.c.core_metadata.is_not(None))
            .values(core_metadata=None, core_metadata_sha256=None)
        )
        if changed:
            self._transaction.touch(CounterScope.PROJECT, file.project_id)
        return changed == 1

    async def name_blob_store(self, name: str) -> str:
        await self._transaction.change(
            self._transaction.insert(instance_settings)
            .values(name=BLOB_STORE_NAME, value=name, updated_at=self._transaction.now())
            .on_conflict_do_nothing(index_elements=["name"])
        )
        found = await self.blob_store_name()
        assert found is not None
        return found
