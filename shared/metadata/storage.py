"""How much the files of each project hold, in SQL: one row a project, moved with the files.

Its lock is taken after those of packages and names, and before those of the change counters. So what a transaction
frees is noted, and taken off at its end.
"""

from sqlalchemy import bindparam, func, select, update

from shared.errors import QuotaExceeded
from shared.metadata.package_reads import written_out
from shared.metadata.package_tables import package_files, packages, project_storage
from shared.metadata.transaction import INSERTS, Transaction
from shared.models import PackageFileStatus, ProjectId
from shared.ports.storage_rows import Miscount

_COUNTS = package_files.c.status != written_out(PackageFileStatus.PENDING_DESTRUCTION)


_TAKE = {
    engine: insert(project_storage)
    .on_conflict_do_update(
        index_elements=["project_id"], set_={"bytes": project_storage.c.bytes + bindparam("moved_bytes")}
    )
    .returning(project_storage.c.bytes)
    for engine, insert in INSERTS.items()
}


async def take_storage(
    transaction: Transaction, project_id: ProjectId, *, size_bytes: int, quota_bytes: int | None
) -> None:
    """Count a file that is being added; all else that adds one to this project waits until the transaction ends.

    Raises:
        QuotaExceeded: with it the project would hold more than that.
    """
    # What was freed in this very transaction makes room.
    moved_bytes = size_bytes - transaction.freed.pop(project_id, 0)
    row = await transaction.row(
        _TAKE[transaction.engine], {"project_id": project_id, "bytes": moved_bytes, "moved_bytes": moved_bytes}
    )
    used_bytes = row.bytes if row else moved_bytes
    if quota_bytes is not None and used_bytes > quota_bytes:
        raise QuotaExceeded(used_bytes=used_bytes - size_bytes, allowed_bytes=quota_bytes)


async def settle_storage(transaction: Transaction) -> None:
    """Take off what was freed, project by project in sorted order, so that two transactions never wait in a ring."""
    for project_id, freed_bytes in sorted(transaction.freed.items()):
        await transaction.change(
            update(project_storage)
            .where(project_storage.c.project_id == project_id)
            .values(bytes=project_storage.c.bytes - freed_bytes)
        )


class SqlStorageReads:
    """Implements StorageReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def used_bytes(self, project_id: ProjectId) -> int:
        row = await self._transaction.row(
            select(project_storage.c.bytes).where(project_storage.c.project_id == project_id)
        )
        return row.bytes if row else 0

    async def miscounts(self) -> tuple[Miscount, ...]:
        # One statement, so that both sides are of one moment.
        files = (
            select(package_files.c.project_id, func.sum(package_files.c.size_bytes).label("bytes"))
            .where(_COUNTS)
            .group_by(package_files.c.project_id)
            .subquery()
        )
        counted, held = func.coalesce(project_storage.c.bytes, 0), func.coalesce(files.c.bytes, 0)
        project_id = func.coalesce(project_storage.c.project_id, files.c.project_id)
        rows = await self._transaction.rows(
            select(project_id.label("project_id"), counted.label("counted"), held.label("held"))
            .select_from(
                project_storage.outerjoin(files, project_storage.c.project_id == files.c.project_id, full=True)
            )
            .where(counted != held)
            .order_by(project_id)
        )
        return tuple(Miscount(ProjectId(row.project_id), int(row.counted), int(row.held)) for row in rows)


class SqlStorageWrites(SqlStorageReads):
    """Implements StorageWrites."""

    async def recount(self, project_id: ProjectId) -> int:
        # The row's lock first: whoever adds or dooms files and has it is then done, and seen by what follows.
        insert = self._transaction.insert(project_storage).values(project_id=project_id, bytes=0)
        await self._transaction.change(insert.on_conflict_do_nothing(index_elements=["project_id"]))
        is_it = project_storage.c.project_id == project_id
        await self._transaction.row(select(project_storage.c.bytes).where(is_it).with_for_update())
        row = await self._transaction.row(
            # Through its packages, because no index has the files of a project together.
            select(func.coalesce(func.sum(package_files.c.size_bytes), 0).label("bytes"))
            .join_from(packages, package_files, package_files.c.package_id == packages.c.id)
            .where(packages.c.project_id == project_id, _COUNTS)
        )
        held_bytes = int(row.bytes) if row else 0
        await self._transaction.change(update(project_storage).where(is_it).values(bytes=held_bytes))
        return held_bytes
