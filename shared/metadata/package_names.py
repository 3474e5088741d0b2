"""The names that a project has had, in SQL, and what it says of them: what was published once is ours for ever."""

from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, delete, exists, func, literal, select, update

from shared.metadata.package_tables import package_names, packages
from shared.metadata.transaction import INSERTS, Transaction
from shared.models import CounterScope, PackageId, ProjectId
from shared.names import NormalizedName
from shared.status_markers import NameStatus, StatusMarker

_ACTIVE = literal(NameStatus.ACTIVE, package_names.c.status.type)


_MARKER = select(package_names.c.status, package_names.c.status_reason.label("reason")).where(
    package_names.c.project_id == bindparam("of_project"), package_names.c.normalized_name == bindparam("of_name")
)
_MARKER_LOCKED = _MARKER.with_for_update()
_MARKER_SHARED = _MARKER.with_for_update(read=True)


class SqlPackageNameReads:
    """Implements PackageNameReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def marker(self, project_id: ProjectId, name: NormalizedName) -> StatusMarker | None:
        return _marker(await self._transaction.row(_MARKER, _named(project_id, name)))


class SqlPackageNameWrites(SqlPackageNameReads):
    """Implements PackageNameWrites."""

    async def hold(self, project_id: ProjectId, name: NormalizedName) -> StatusMarker | None:
        # Shared, so that uploads of one name do not wait for each other; whoever changes the row waits for them.
        return _marker(await self._transaction.row(_MARKER_SHARED, _named(project_id, name)))

    async def lock(self, project_id: ProjectId, name: NormalizedName) -> StatusMarker | None:
        return _marker(await self._transaction.row(_MARKER_LOCKED, _named(project_id, name)))

    async def mark(self, project_id: ProjectId, name: NormalizedName, *, marker: StatusMarker) -> bool:
        marked = update(package_names).where(*_is_it(project_id, name))
        values = {"status": marker.status, "status_reason": marker.reason}
        if await self._transaction.change(marked.values(values)) == 0:
            return False
        self._transaction.touch(CounterScope.PROJECT, project_id)
        return True


def _named(project_id: ProjectId, name: NormalizedName) -> dict[str, Any]:
    return {"of_project": project_id, "of_name": name}


def _is_it(project_id: ProjectId, name: NormalizedName) -> tuple[ColumnElement[bool], ...]:
    return package_names.c.project_id == project_id, package_names.c.normalized_name == name


def _marker(row: Row[Any] | None) -> StatusMarker | None:
    return None if row is None else StatusMarker(status=row.status, reason=row.reason)


_NOTE = {engine: insert_into(package_names).on_conflict_do_nothing() for engine, insert_into in INSERTS.items()}


async def note_name(transaction: Transaction, project_id: ProjectId, name: NormalizedName) -> None:
    """Add the row of a name that a package has, if there is none."""
    values = {"project_id": project_id, "normalized_name": name, "status": NameStatus.ACTIVE}
    await transaction.change(_NOTE[transaction.engine], values)


_NOW = bindparam("now", type_=package_names.c.first_accepted_at.type)
_ACCEPT = {
    engine: insert_into(package_names)
    .from_select(
        ["project_id", "normalized_name", "status", "first_accepted_at"],
        select(packages.c.project_id, packages.c.normalized_name, _ACTIVE, _NOW).where(
            packages.c.id == bindparam("of_package")
        ),
    )
    .on_conflict_do_update(
        index_elements=["project_id", "normalized_name"],
        set_={"first_accepted_at": func.coalesce(package_names.c.first_accepted_at, _NOW)},
    )
    for engine, insert_into in INSERTS.items()
}


async def note_accepted_name(transaction: Transaction, package_id: PackageId) -> None:
    """Make the name of the package stay for ever: from now on it was ours.

    The row may be gone: on PostgreSQL `forget_unpublished_name` does not see a package that is being added meanwhile.
    """
    await transaction.change(_ACCEPT[transaction.engine], {"of_package": package_id, "now": transaction.now()})


async def forget_unpublished_name(transaction: Transaction, project_id: ProjectId, name: NormalizedName) -> None:
    """Remove the row of a name of which no file was ever accepted, no package is left, and nothing is said."""
    has_package = exists().where(packages.c.project_id == project_id, packages.c.normalized_name == name)
    await transaction.change(
        delete(package_names).where(
            *_is_it(project_id, name),
            package_names.c.first_accepted_at.is_(None),
            package_names.c.status == NameStatus.ACTIVE,
            package_names.c.status_reason.is_(None),
            ~has_package,
        )
    )
