"""Changes and deletions of groups and projects in SQL."""

from typing import Any

from sqlalchemy import Select, delete, exists, or_, select, update

from shared.errors import RecordInvalid
from shared.metadata.package_reads import written_out
from shared.metadata.package_tables import package_files, packages
from shared.metadata.tenant_reads import SqlTenantReads
from shared.metadata.tenant_tables import members, namespace_ancestors, namespaces, projects
from shared.metadata.transaction import Transaction
from shared.models import (
    CounterScope,
    Namespace,
    NamespaceId,
    NamespaceKind,
    PackageFileStatus,
    PackageStatus,
    Project,
    Visibility,
)
from shared.ports.tenant_changes import ForwardingChoice, GroupChanges, ProjectChanges

_FORWARDING = {ForwardingChoice.INHERIT: None, ForwardingChoice.ON: True, ForwardingChoice.OFF: False}
_MORE_OPEN = {
    Visibility.PRIVATE: [Visibility.INTERNAL, Visibility.PUBLIC],
    Visibility.INTERNAL: [Visibility.PUBLIC],
    Visibility.PUBLIC: [],
}
_PROJECTS_AT_ONCE = 20
_LOCKED = "cannot be changed because it is locked by an ancestor"


class SqlTenantChanges:
    """Implements TenantChanges."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._reads = SqlTenantReads(transaction)

    async def change_group(self, group: Namespace, changes: GroupChanges) -> Namespace | None:
        # From the top down, as whoever adds a subgroup does; nothing can be added below while its rules are checked.
        if group.parent_id is not None and await self._lock_group(group.parent_id) is None:
            return None
        if await self._lock_group(group.id) is None:
            return None
        if changes.visibility is not None:
            await self._check_visibility(group, changes.visibility)
        if changes.forwarding is not None or changes.locks_forwarding is not None:
            await self._check_lock(group, changes)
        values: dict[str, Any] = {
            "name": changes.name,
            "description": changes.description,
            "visibility": changes.visibility,
            "lock_pypi_package_requests_forwarding": changes.locks_forwarding,
        }
        values = {name: value for name, value in values.items() if value is not None}
        if changes.forwarding is not None:
            values["pypi_package_requests_forwarding"] = _FORWARDING[changes.forwarding]
        if values:
            await self._transaction.change(update(namespaces).where(namespaces.c.id == group.id).values(values))
            self._transaction.touch(CounterScope.NAMESPACE, group.top_level_id)
        return await self._reads.namespace(group.id)

    async def change_project(self, project: Project, changes: ProjectChanges) -> Project | None:
        # Whoever adds a project, or changes the group, waits for the group's row as well.
        visibility = await self._lock_group(project.namespace.id)
        if visibility is None:
            return None
        is_in_group = project.namespace.kind is NamespaceKind.GROUP
        if changes.visibility is not None and is_in_group and changes.visibility in _MORE_OPEN[visibility]:
            raise _too_open(changes.visibility, visibility)
        if changes.name is not None and changes.name != project.name:
            await self._refuse_taken_name(project, changes.name)
        values: dict[str, Any] = {
            "name": changes.name,
            "description": changes.description,
            "visibility": changes.visibility,
            "registry_access": changes.registry_access,
        }
        values = {name: value for name, value in values.items() if value is not None}
        if values:
            await self._transaction.change(
                update(projects).where(projects.c.id == project.id, projects.c.doomed_at.is_(None)).values(values)
            )
            self._touch_project(project)
        return await self._reads.project(project.id)

    async def doom_group(self, group: Namespace) -> bool:
        below = select(namespace_ancestors.c.namespace_id).where(namespace_ancestors.c.ancestor_id == group.id)
        if await self._lock_group(group.id) is None:
            return False
        now = self._transaction.now()
        # Who was just adding a group below one of these had its row; what they added is seen once we have the row.
        while ids := await self._lock_groups(below):
            await self._transaction.change(update(namespaces).where(namespaces.c.id.in_(ids)).values(doomed_at=now))
        inside = select(projects.c.id).where(projects.c.namespace_id.in_(below))
        await self._transaction.change(
            update(projects)
            .where(projects.c.namespace_id.in_(below), projects.c.doomed_at.is_(None))
            .values(doomed_at=now)
        )
        await self._transaction.change(
            delete(members).where(or_(members.c.namespace_id.in_(below), members.c.project_id.in_(inside)))
        )
        self._transaction.touch(CounterScope.NAMESPACE, group.top_level_id)
        return True

    async def doom_project(self, project: Project) -> bool:
        is_doomed = await self._transaction.change(
            update(projects)
            .where(projects.c.id == project.id, projects.c.doomed_at.is_(None))
            .values(doomed_at=self._transaction.now())
        )
        if not is_doomed:
            return False
        await self._transaction.change(delete(members).where(members.c.project_id == project.id))
        self._touch_project(project)
        return True

    async def doom_stranded_packages(self, *, limit: int) -> int:
        doomed = PackageStatus.PENDING_DESTRUCTION
        is_alive = packages.c.status != written_out(doomed)
        # Apart from the packages, and these in no order: nearly always there is none, and nobody shall look for long.
        emptied = await self._transaction.rows(
            select(projects.c.id)
            .where(projects.c.doomed_at.is_not(None), exists().where(packages.c.project_id == projects.c.id, is_alive))
            .limit(_PROJECTS_AT_ONCE)
        )
        if not emptied:
            return 0
        rows = await self._transaction.rows(
            select(packages.c.id, packages.c.project_id)
            .where(packages.c.project_id.in_([row.id for row in emptied]), is_alive)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ids = [row.id for row in rows]
        if not ids:
            return 0
        now = self._transaction.now()
        await self._transaction.change(
            update(packages).where(packages.c.id.in_(ids)).values(status=doomed, doomed_at=now, updated_at=now)
        )
        files = await self._transaction.rows(
            update(package_files)
            .where(package_files.c.package_id.in_(ids), package_files.c.status != PackageFileStatus.PENDING_DESTRUCTION)
            .values(status=PackageFileStatus.PENDING_DESTRUCTION, leased_until=None, doomed_at=now)
            .returning(package_files.c.project_id, package_files.c.size_bytes)
        )
        for file in files:
            self._transaction.freed[file.project_id] += file.size_bytes
        for project_id in {row.project_id for row in rows}:
            self._transaction.touch(CounterScope.PROJECT, project_id)
        return len(ids)

    async def _lock_group(self, namespace_id: NamespaceId) -> Visibility | None:
        """Lock the group's row and return its visibility as it is now; None when the group is gone."""
        row = await self._transaction.row(
            select(namespaces.c.visibility)
            .where(namespaces.c.id == namespace_id, namespaces.c.doomed_at.is_(None))
            .with_for_update(key_share=True)
        )
        return row.visibility if row else None

    async def _lock_groups(self, ids: Select[Any]) -> list[NamespaceId]:
        rows = await self._transaction.rows(
            select(namespaces.c.id)
            .where(namespaces.c.id.in_(ids), namespaces.c.doomed_at.is_(None))
            .order_by(namespaces.c.id)
            .limit(500)
            .with_for_update(key_share=True)
        )
        return [row.id for row in rows]

    async def _check_visibility(self, group: Namespace, wanted: Visibility) -> None:
        if group.parent_id is not None:
            row = await self._transaction.row(select(namespaces.c.visibility).where(namespaces.c.id == group.parent_id))
            if row is not None and wanted in _MORE_OPEN[row.visibility]:
                raise _too_open(wanted, row.visibility)
        more_open = _MORE_OPEN[wanted]
        project = select(projects.c.id).where(
            projects.c.namespace_id == group.id, projects.c.doomed_at.is_(None), projects.c.visibility.in_(more_open)
        )
        if await self._transaction.row(project.limit(1)) is not None:
            raise _too_closed(wanted, "this group contains projects with higher visibility")
        subgroup = select(namespaces.c.id).where(
            namespaces.c.parent_id == group.id,
            namespaces.c.doomed_at.is_(None),
            namespaces.c.visibility.in_(more_open),
        )
        if await self._transaction.row(subgroup.limit(1)) is not None:
            raise _too_closed(wanted, "there are sub-groups with higher visibility")

    async def _check_lock(self, group: Namespace, changes: GroupChanges) -> None:
        row = await self._transaction.row(
            select(namespaces.c.id)
            .where(
                namespaces.c.id.in_(group.ancestor_ids[:-1]),
                namespaces.c.lock_pypi_package_requests_forwarding.is_(True),
            )
            .limit(1)
        )
        if row is None:
            return
        chosen = {
            "pypi_package_requests_forwarding": changes.forwarding,
            "lock_pypi_package_requests_forwarding": changes.locks_forwarding,
        }
        raise RecordInvalid({name: (_LOCKED,) for name, choice in chosen.items() if choice is not None})

    async def _refuse_taken_name(self, project: Project, name: str) -> None:
        other = select(projects.c.id).where(
            projects.c.namespace_id == project.namespace.id,
            projects.c.name == name,
            projects.c.doomed_at.is_(None),
            projects.c.id != project.id,
        )
        if await self._transaction.row(other) is not None:
            raise RecordInvalid({"name": ("has already been taken",)})

    def _touch_project(self, project: Project) -> None:
        self._transaction.touch(CounterScope.NAMESPACE, project.namespace.top_level_id)
        self._transaction.touch(CounterScope.PROJECT, project.id)


def _too_open(wanted: Visibility, parent: Visibility) -> RecordInvalid:
    sentence = f"{wanted} is not allowed since the parent group has a {parent} visibility."
    return RecordInvalid({"visibility_level": (sentence,)})


def _too_closed(wanted: Visibility, reason: str) -> RecordInvalid:
    return RecordInvalid({"visibility_level": (f"{wanted} is not allowed since {reason}.",)})
