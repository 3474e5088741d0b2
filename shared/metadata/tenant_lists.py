"""Lists of groups and projects in SQL: first the ids of a page, then what belongs to them, in one query a kind."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union

from shared.metadata.paging import holds, read_page
from shared.metadata.tenant_reads import (
    namespace_columns,
    namespace_of,
    project_of,
    projects_with_ancestors,
    with_ancestors,
)
from shared.metadata.tenant_tables import members, namespace_ancestors, namespaces, projects, users
from shared.metadata.transaction import Transaction
from shared.metadata.visibility import (
    groups_above_groups,
    groups_above_projects,
    has_level_in_group,
    has_level_in_project,
    is_current,
    is_own_group,
    may_see_group,
    may_see_project,
)
from shared.models import AccessLevel, Namespace, NamespaceId, NamespaceKind, Project, ProjectId, UserId
from shared.pages import Page, PageRequest
from shared.ports.tenant_lists import (
    GroupFilter,
    GroupOrder,
    GroupReach,
    ProjectFilter,
    ProjectOrder,
    ProjectReach,
    ProjectStanding,
    Viewer,
)

_GROUP_ORDER = {
    GroupOrder.NAME: namespaces.c.name,
    GroupOrder.SIMILARITY: namespaces.c.name,
    GroupOrder.PATH: namespaces.c.path,
}
_PROJECT_ORDER = {ProjectOrder.NAME: projects.c.name, ProjectOrder.PATH: projects.c.path}


class SqlTenantLists:
    """Implements TenantLists."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def groups(self, wanted: GroupFilter, page: PageRequest) -> Page[Namespace]:
        ids: Page[NamespaceId] = await read_page(
            self._transaction, group_ids_statement(wanted), _group_order(wanted), page, lambda row: row.id
        )
        rows = await self._transaction.rows(
            with_ancestors(select(*namespace_columns()), namespaces.c.id.in_(ids.entries))
            .order_by(None)
            .order_by(namespaces.c.id, namespace_ancestors.c.distance.desc())
        )
        found = {of: namespace_of(list(same)) for of, same in groupby(rows, lambda row: row.namespace_id)}
        return Page(tuple(found[one] for one in ids.entries), ids.total, ids.has_more)

    async def projects(self, wanted: ProjectFilter, page: PageRequest) -> Page[ProjectStanding]:
        ids: Page[ProjectId] = await read_page(
            self._transaction, project_ids_statement(wanted), _project_order(wanted), page, lambda row: row.id
        )
        rows = await self._transaction.rows(
            projects_with_ancestors(projects.c.id.in_(ids.entries))
            .order_by(None)
            .order_by(projects.c.id, namespace_ancestors.c.distance.desc())
        )
        found = {of: project_of(list(same)) for of, same in groupby(rows, lambda row: row.id)}
        standings = await self._standings([found[one] for one in ids.entries], wanted.viewer)
        return Page(tuple(standings), ids.total, ids.has_more)

    async def standing(self, project: Project, viewer: Viewer) -> ProjectStanding:
        return (await self._standings([project], viewer))[0]

    async def visible(self, project_ids: Iterable[ProjectId], viewer: Viewer) -> frozenset[ProjectId]:
        rows = await self._transaction.rows(
            select(projects.c.id).where(
                projects.c.id.in_(sorted(project_ids)), projects.c.doomed_at.is_(None), may_see_project(viewer)
            )
        )
        return frozenset(ProjectId(row.id) for row in rows)

    async def is_member_below(self, group: Namespace, user_id: UserId, *, now: datetime) -> bool:
        is_it = namespace_ancestors.c.ancestor_id == group.id
        row = await self._transaction.row(
            union(groups_above_groups(user_id, now).where(is_it), groups_above_projects(user_id, now).where(is_it))
        )
        return row is not None

    async def _standings(self, listed: list[Project], viewer: Viewer) -> list[ProjectStanding]:
        if viewer.user_id is None or not listed:
            return [ProjectStanding(one, AccessLevel.NO_ACCESS, AccessLevel.NO_ACCESS) for one in listed]
        is_theirs = and_(members.c.user_id == viewer.user_id, is_current(viewer.now))
        own = {
            row.project_id: row.level
            for row in await self._transaction.rows(
                select(members.c.project_id, members.c.level).where(
                    is_theirs, members.c.project_id.in_([one.id for one in listed])
                )
            )
        }
        through_groups = {
            row.namespace_id: row.level
            for row in await self._transaction.rows(
                select(namespace_ancestors.c.namespace_id, func.max(members.c.level).label("level"))
                .join(members, members.c.namespace_id == namespace_ancestors.c.ancestor_id)
                .where(is_theirs, namespace_ancestors.c.namespace_id.in_([one.namespace.id for one in listed]))
                .group_by(namespace_ancestors.c.namespace_id)
            )
        }
        owned = await self._personal_namespace(viewer.user_id)
        return [
            ProjectStanding(
                project=one,
                own_level=AccessLevel.OWNER if one.namespace.id == owned else own.get(one.id, AccessLevel.NO_ACCESS),
                group_level=through_groups.get(one.namespace.id, AccessLevel.NO_ACCESS),
            )
            for one in listed
        ]

    async def _personal_namespace(self, user_id: UserId) -> NamespaceId | None:
        row = await self._transaction.row(select(users.c.namespace_id).where(users.c.id == user_id))
        return row.namespace_id if row else None


def group_ids_statement(wanted: GroupFilter) -> Select[Any]:
    """Return the ids of the groups that are wanted and may be seen."""
    conditions = [
        namespaces.c.kind == NamespaceKind.GROUP,
        namespaces.c.doomed_at.is_(None),
        may_see_group(wanted.viewer),
        *(or_(holds(namespaces.c.name, word), holds(namespaces.c.path, word)) for word in wanted.search.split()),
    ]
    match wanted.reach:
        case GroupReach.EVERYWHERE:
            pass
        case GroupReach.TOP_LEVEL:
            conditions.append(namespaces.c.parent_id.is_(None))
        case GroupReach.CHILDREN:
            conditions.append(namespaces.c.parent_id == wanted.parent_id)
        case GroupReach.DESCENDANTS:
            conditions.append(
                namespaces.c.id.in_(
                    select(namespace_ancestors.c.namespace_id).where(
                        namespace_ancestors.c.ancestor_id == wanted.parent_id, namespace_ancestors.c.distance > 0
                    )
                )
            )
    if wanted.visibility is not None:
        conditions.append(namespaces.c.visibility == wanted.visibility)
    if wanted.lowest_level is not None:
        conditions.append(has_level_in_group(wanted.viewer, wanted.lowest_level))
    if wanted.is_own:
        conditions.append(is_own_group(wanted.viewer))
    if wanted.skipped_ids:
        conditions.append(namespaces.c.id.not_in(wanted.skipped_ids))
    return select(namespaces.c.id).where(*conditions)


def project_ids_statement(wanted: ProjectFilter) -> Select[Any]:
    """Return the ids of the projects that are wanted and may be seen."""
    conditions = [
        projects.c.doomed_at.is_(None),
        may_see_project(wanted.viewer),
        *(
            or_(holds(projects.c.name, word), holds(projects.c.path, word), holds(projects.c.description, word))
            for word in wanted.search.split()
        ),
    ]
    match wanted.reach:
        case ProjectReach.EVERYWHERE:
            pass
        case ProjectReach.NAMESPACE:
            conditions.append(projects.c.namespace_id == wanted.namespace_id)
        case ProjectReach.NAMESPACE_AND_BELOW:
            conditions.append(
                projects.c.namespace_id.in_(
                    select(namespace_ancestors.c.namespace_id).where(
                        namespace_ancestors.c.ancestor_id == wanted.namespace_id
                    )
                )
            )
    if wanted.visibility is not None:
        conditions.append(projects.c.visibility == wanted.visibility)
    if wanted.lowest_level is not None:
        conditions.append(has_level_in_project(wanted.viewer, wanted.lowest_level))
    return select(projects.c.id).where(*conditions)


def _group_order(wanted: GroupFilter) -> list[ColumnElement[Any]]:
    column = _GROUP_ORDER.get(wanted.order, namespaces.c.id)
    return [column.desc() if wanted.is_descending else column.asc(), namespaces.c.id.asc()]


def _project_order(wanted: ProjectFilter) -> list[ColumnElement[Any]]:
    columns = [_PROJECT_ORDER.get(wanted.order, projects.c.id), projects.c.id]
    return [column.desc() if wanted.is_descending else column.asc() for column in columns]
