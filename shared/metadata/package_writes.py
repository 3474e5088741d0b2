"""Changes of packages and files in SQL.

Each change of a status is one UPDATE that names the status it comes from; whether it hit a row is the answer.
"""

import hashlib
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, select, update

from shared.errors import FileNameTaken, MetadataUnavailable
from shared.metadata.build_links import add_links, remove_links_of_file, remove_links_of_packages
from shared.metadata.package_changes import SqlPackageChanges
from shared.metadata.package_names import forget_unpublished_name, note_accepted_name, note_name
from shared.metadata.package_reads import PACKAGE_TYPE
from shared.metadata.package_statements import (
    ADD_FILE,
    ADD_METADATA,
    ADD_PACKAGE,
    CHANGE_METADATA,
    CONCLUDE_FILE,
    DOOMED_PACKAGE,
    FILES_NAMED,
    PACKAGE_BY_ID,
    PACKAGE_OF_VERSION,
    SHOW_PACKAGE,
)
from shared.metadata.package_tables import package_file_metadata, package_files, packages
from shared.metadata.package_yanks import SqlPackageYanks
from shared.metadata.storage import take_storage
from shared.metadata.transaction import Values
from shared.models import (
    CoreMetadata,
    CounterScope,
    Digests,
    Package,
    PackageFile,
    PackageFileId,
    PackageFileStatus,
    PackageId,
    PackageStatus,
    PipelineId,
)
from shared.ports.package_rows import NewPackage, NewPackageFile

_IS_EMPTY = ~exists().where(package_files.c.package_id == packages.c.id)
_MOST_LOOKS = 20


class SqlPackageWrites(SqlPackageChanges, SqlPackageYanks):
    """Implements PackageWrites."""

    async def find_or_add(self, new: NewPackage) -> tuple[Package, bool]:
        wanted = {
            "of_project": new.project_id,
            "of_name": new.normalized_name,
            "of_version": new.canonical_version,
        }
        # Another transaction may add it between our look and our INSERT, or doom it before we have its lock.
        for _ in range(_MOST_LOOKS):
            found = await self._locked(PACKAGE_OF_VERSION, wanted)
            if found is not None:
                return found, False
            added = await self._insert_package(new)
            if added is not None:
                return added, True
        raise MetadataUnavailable("the package came and went too often")

    async def lock(self, package_id: PackageId) -> Package | None:
        # Who asked for a package that is gone may go on as well: ids never come back.
        self._transaction.locked.add(package_id)
        return await self._locked(PACKAGE_BY_ID, {"of_package": package_id})

    async def files_named(self, package_id: PackageId, file_name: str) -> tuple[PackageFile, ...]:
        rows = await self._transaction.rows(FILES_NAMED, {"of_package": package_id, "of_name": file_name})
        return tuple(PackageFile(**row._asdict()) for row in rows)

    async def add_file(self, new: NewPackageFile, *, quota_bytes: int | None = None) -> PackageFile:
        self._transaction.require_lock(new.package_id)
        values = {
            "package_id": new.package_id,
            "project_id": new.project_id,
            "blob_key": new.blob_key,
            "file_name": new.file_name,
            "size_bytes": new.size_bytes,
            "sha256": new.sha256,
            "requires_python": new.requires_python,
            "status": PackageFileStatus.PROCESSING,
            "attempt": 1,
            "uploader_kind": new.uploader_kind,
            "uploader_id": new.uploader_id,
            "token_id": new.token_id,
            "created_at": self._transaction.now(),
        }
        row = await self._transaction.row(ADD_FILE[self._transaction.engine], values)
        if row is None:
            raise FileNameTaken
        file = PackageFile(**row._asdict())
        await self._transaction.change(
            ADD_METADATA, {"file_id": file.id, "form": new.form, "attestations": new.attestations}
        )
        # Last, because others who add a file to this project wait from here on.
        await take_storage(self._transaction, file.project_id, size_bytes=file.size_bytes, quota_bytes=quota_bytes)
        self._transaction.touch(CounterScope.PROJECT, file.project_id)
        return file

    async def link_pipeline(self, package_id: PackageId, file_id: PackageFileId, pipeline_id: PipelineId) -> None:
        await add_links(self._transaction, package_id, file_id=file_id, pipeline_id=pipeline_id)

    async def accept_file(
        self, file_id: PackageFileId, *, attempt: int, digests: Digests, metadata: CoreMetadata | None
    ) -> bool:
        values: dict[str, Any] = {
            "status": PackageFileStatus.DEFAULT,
            "status_message": None,
            "leased_until": None,
            "md5": digests.md5,
            "sha1": digests.sha1,
            "blake2b_256": digests.blake2b_256,
            "verified_at": self._transaction.now(),
        }
        if metadata is not None:
            values["requires_python"] = metadata.requires_python
        file = await self._conclude(file_id, attempt, values)
        if file is None:
            return False
        if metadata is not None:
            of_file = {
                "of_file": file_id,
                "core_metadata": metadata.raw,
                "core_metadata_sha256": hashlib.sha256(metadata.raw).hexdigest(),
            }
            await self._transaction.change(CHANGE_METADATA, of_file)
        moved = {"of_package": file.package_id, "now": self._transaction.now()}
        if await self._transaction.row(SHOW_PACKAGE, moved):
            self._transaction.touch(CounterScope.PROJECT, file.project_id)
        await note_accepted_name(self._transaction, file.package_id)
        return True

    async def refuse_file(self, file_id: PackageFileId, *, attempt: int, reason: str) -> bool:
        values = {"status": PackageFileStatus.ERROR, "status_message": reason, "leased_until": None}
        file = await self._conclude(file_id, attempt, values)
        if file is None:
            return False
        has_hope = exists().where(
            package_files.c.package_id == file.package_id,
            package_files.c.status.in_([PackageFileStatus.DEFAULT, PackageFileStatus.PROCESSING]),
        )
        await self._move_package(
            file.package_id,
            (packages.c.status == PackageStatus.PROCESSING) & ~has_hope,
            status=PackageStatus.ERROR,
            status_message=reason,
        )
        return True

    async def doom_package(
        self, package_id: PackageId, *, source: frozenset[PackageStatus]
    ) -> tuple[PackageFileId, ...] | None:
        self._transaction.require_lock(package_id)
        movable = sorted(source - {PackageStatus.PENDING_DESTRUCTION})
        is_moved = await self._move_package(
            package_id,
            packages.c.status.in_(movable),
            status=PackageStatus.PENDING_DESTRUCTION,
            doomed_at=self._transaction.now(),
        )
        if not is_moved:
            return None
        await self._doom_files(
            package_files.c.package_id == package_id, package_files.c.status != PackageFileStatus.PENDING_DESTRUCTION
        )
        rows = await self._transaction.rows(
            select(package_files.c.id).where(package_files.c.package_id == package_id).order_by(package_files.c.id)
        )
        return tuple(PackageFileId(row.id) for row in rows)

    async def doom_file(self, file_id: PackageFileId, *, source: frozenset[PackageFileStatus]) -> bool:
        file = await self.file(file_id)
        if file is None:
            return False
        self._transaction.require_lock(file.package_id)
        movable = sorted(source - {PackageFileStatus.PENDING_DESTRUCTION})
        if not await self._doom_files(package_files.c.id == file_id, package_files.c.status.in_(movable)):
            return False
        self._transaction.touch(CounterScope.PROJECT, file.project_id)
        return True

    async def remove_file(self, file_id: PackageFileId, *, source: PackageFileStatus) -> bool:
        return await self._remove_file(file_id, package_files.c.status == source)

    async def withdraw_file(self, file_id: PackageFileId) -> bool:
        return await self._remove_file(
            file_id, package_files.c.status == PackageFileStatus.ERROR, package_files.c.promised_at.is_(None)
        )

    async def remove_package_if_empty(self, package_id: PackageId) -> bool:
        self._transaction.require_lock(package_id)
        return await self._remove_packages([package_id]) == 1

    async def remove_doomed_empty_packages(self, *, limit: int) -> int:
        # Whoever holds one of them is about to add or remove a file; the next sweep will see what became of it.
        rows = await self._transaction.rows(
            select(packages.c.id)
            .where(packages.c.status == DOOMED_PACKAGE, _IS_EMPTY)
            .order_by(packages.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return await self._remove_packages([row.id for row in rows])

    async def _locked(self, statement: Select[Any], values: Values) -> Package | None:
        row = await self._transaction.row(statement, values)
        if row is None:
            return None
        package = Package(**row._asdict())
        self._transaction.locked.add(package.id)
        return package

    async def _insert_package(self, new: NewPackage) -> Package | None:
        """Add the package and, with the first of its name, the name; None when another transaction was faster."""
        now = self._transaction.now()
        values = {
            "project_id": new.project_id,
            "package_type": PACKAGE_TYPE,
            "name": new.name,
            "normalized_name": new.normalized_name,
            "version": new.version,
            "canonical_version": new.canonical_version,
            "status": PackageStatus.PROCESSING,
            "creator_id": new.creator_id,
            "created_at": now,
            "updated_at": now,
        }
        row = await self._transaction.row(ADD_PACKAGE[self._transaction.engine], values)
        if row is None:
            return None
        await note_name(self._transaction, new.project_id, new.normalized_name)
        package = Package(**row._asdict())
        self._transaction.locked.add(package.id)
        self._transaction.touch(CounterScope.PROJECT, package.project_id)
        return package

    async def _conclude(self, file_id: PackageFileId, attempt: int, values: dict[str, Any]) -> PackageFile | None:
        """Write a verdict as the holder of the lease; None when the file is no longer this attempt's."""
        file = await self.file(file_id)
        if file is None:
            return None
        self._transaction.require_lock(file.package_id)
        if await self._transaction.change(CONCLUDE_FILE, {"of_file": file_id, "of_attempt": attempt, **values}) == 0:
            return None
        self._transaction.touch(CounterScope.PROJECT, file.project_id)
        return file

    async def _move_package(self, package_id: PackageId, condition: ColumnElement[bool], **values: Any) -> bool:
        row = await self._transaction.row(
            update(packages)
            .where(packages.c.id == package_id, condition)
            .values(updated_at=self._transaction.now(), **values)
            .returning(packages.c.project_id)
        )
        if row is None:
            return False
        self._transaction.touch(CounterScope.PROJECT, row.project_id)
        return True

    async def _doom_files(self, *conditions: ColumnElement[bool]) -> int:
        rows = await self._transaction.rows(
            update(package_files)
            .where(*conditions)
            .values(status=PackageFileStatus.PENDING_DESTRUCTION, leased_until=None, doomed_at=self._transaction.now())
            .returning(package_files.c.project_id, package_files.c.size_bytes)
        )
        for row in rows:
            self._transaction.freed[row.project_id] += row.size_bytes
        return len(rows)

    async def _remove_file(self, file_id: PackageFileId, *conditions: ColumnElement[bool]) -> bool:
        row = await self._transaction.row(
            select(
                package_files.c.package_id,
                package_files.c.project_id,
                package_files.c.verified_at,
                package_files.c.size_bytes,
                package_files.c.status,
            ).where(package_files.c.id == file_id, *conditions)
        )
        if row is None:
            return False
        self._transaction.require_lock(row.package_id)
        # What refers to the row goes first, so the row's status is held by the package's lock and checked again.
        await remove_links_of_file(self._transaction, file_id, was_published=row.verified_at is not None)
        await self._transaction.change(delete(package_file_metadata).where(package_file_metadata.c.file_id == file_id))
        await self._transaction.change(delete(package_files).where(package_files.c.id == file_id, *conditions))
        if row.status is not PackageFileStatus.PENDING_DESTRUCTION:
            self._transaction.freed[row.project_id] += row.size_bytes
        self._transaction.touch(CounterScope.PROJECT, row.project_id)
        return True

    async def _remove_packages(self, package_ids: list[PackageId]) -> int:
        """Remove those of the packages, all locked, that have no file rows."""
        rows = await self._transaction.rows(
            select(packages.c.id, packages.c.project_id, packages.c.normalized_name).where(
                packages.c.id.in_(package_ids), _IS_EMPTY
            )
        )
        empty = [row.id for row in rows]
        await remove_links_of_packages(self._transaction, empty)
        await self._transaction.change(delete(packages).where(packages.c.id.in_(empty)))
        for row in rows:
            await forget_unpublished_name(self._transaction, row.project_id, row.normalized_name)
            self._transaction.touch(CounterScope.PROJECT, row.project_id)
        return len(empty)
