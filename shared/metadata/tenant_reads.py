"""Look-ups of tenants in SQL."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    union_all,
)

from shared.metadata.rows import columns_of
from shared.metadata.tenant_tables import members, namespace_ancestors, namespaces, projects, users
from shared.metadata.transaction import Transaction, Values
from shared.metadata.types import Identifier
from shared.models import AccessLevel, Namespace, NamespaceId, Project, ProjectId, User, UserId

USER_COLUMNS = columns_of(users, User)
NAMESPACE_FIELDS = tuple(field.name for field in fields(Namespace) if field.name != "ancestor_ids")
PROJECT_FIELDS = tuple(field.name for field in fields(Project) if field.name != "namespace")
_NAMESPACE_PREFIX = "namespace_"
_IS_ASKED_FOR = "is_asked_for"


class SqlTenantReads:
    """Implements TenantReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def project(self, project_id: ProjectId) -> Project | None:
        return await self._one_project(_PROJECT_BY_ID, {"wanted": project_id})

    async def project_by_path(self, full_path: str) -> Project | None:
        return await self._one_project(_PROJECT_BY_PATH, {"wanted": full_path.lower()})

    async def namespace(self, namespace_id: NamespaceId) -> Namespace | None:
        return await self._one_namespace(namespaces.c.id == namespace_id)

    async def namespace_by_path(self, full_path: str) -> Namespace | None:
        return await self._one_namespace(namespaces.c.full_path_key == full_path.lower())

    async def user(self, user_id: UserId) -> User | None:
        return await self._one_user(_USER_BY_ID, {"wanted": user_id})

    async def user_by_username(self, username: str) -> User | None:
        return await self._one_user(_USER_BY_NAME, {"wanted": username.lower()})

    async def level_in_project(self, user_id: UserId, project: Project, *, now: datetime) -> AccessLevel:
        return await self._highest_level(project.namespace, {"of_project": project.id, "of_user": user_id, "now": now})

    async def level_in_namespace(self, user_id: UserId, namespace: Namespace, *, now: datetime) -> AccessLevel:
        return await self._highest_level(namespace, {"of_user": user_id, "now": now})

    async def _highest_level(self, namespace: Namespace, values: Values) -> AccessLevel:
        ancestors = {_ancestor(number): one for number, one in enumerate(namespace.ancestor_ids)}
        statement = _levels(len(ancestors), is_in_project="of_project" in values)
        rows = await self._transaction.rows(statement, {**values, **ancestors})
        return max((row.level for row in rows), default=AccessLevel.NO_ACCESS)

    async def _one_user(self, statement: Select[Any], values: Values) -> User | None:
        row = await self._transaction.row(statement, values)
        return User(**row._asdict()) if row else None

    async def _one_namespace(self, condition: ColumnElement[bool]) -> Namespace | None:
        is_asked_for = and_(condition, namespaces.c.doomed_at.is_(None))
        rows = await self._transaction.rows(
            with_ancestors(
                select(*namespace_columns(), is_asked_for.label(_IS_ASKED_FOR)),
                namespaces.c.id == _or_first(namespaces, is_asked_for),
            )
        )
        found = namespace_of(rows) if rows else None
        return found if rows and rows[0].is_asked_for else None

    async def _one_project(self, statement: Select[Any], values: Values) -> Project | None:
        rows = await self._transaction.rows(statement, values)
        found = project_of(rows) if rows else None
        return found if rows and rows[0].is_asked_for else None


def _or_first(table: Table, condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Return the id of the row that is asked for, or the first id where there is no such row.

    So one row is read and made sense of in any case, and the time of a look-up does not tell whether something is there
    that the caller may not see. The first row of a tenant is never removed.
    """
    return func.coalesce(select(table.c.id).where(condition).scalar_subquery(), literal(1, Identifier))


def namespace_columns() -> list[ColumnElement[Any]]:
    """Return what `namespace_of` needs of a row; one row comes back for each ancestor."""
    own = [namespaces.c[name].label(_NAMESPACE_PREFIX + name) for name in NAMESPACE_FIELDS]
    return [*own, namespace_ancestors.c.ancestor_id]


def with_ancestors(statement: Select[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
    """Return the statement with a row for each ancestor of its namespace, the top-level one first."""
    return (
        statement.join(namespace_ancestors, namespace_ancestors.c.namespace_id == namespaces.c.id)
        .where(*conditions)
        .order_by(namespace_ancestors.c.distance.desc())
    )


def namespace_of(rows: Sequence[Row[Any]]) -> Namespace:
    """Return the namespace that these rows, one for each of its ancestors, are about."""
    first = rows[0]._mapping
    return Namespace(
        ancestor_ids=tuple(row.ancestor_id for row in rows),
        **{name: first[_NAMESPACE_PREFIX + name] for name in NAMESPACE_FIELDS},
    )


def projects_with_ancestors(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Return a row for each project that is not deleted and each ancestor of its namespace, the top-level one first."""
    return _of_projects(*conditions, projects.c.doomed_at.is_(None))


def _of_projects(*conditions: ColumnElement[bool]) -> Select[Any]:
    own = [projects.c[name] for name in PROJECT_FIELDS]
    statement = select(*own, *namespace_columns()).join_from(
        projects, namespaces, projects.c.namespace_id == namespaces.c.id
    )
    return with_ancestors(statement, *conditions)


def project_of(rows: Sequence[Row[Any]]) -> Project:
    """Return the project that these rows, one for each ancestor of its namespace, are about."""
    first = rows[0]._mapping
    return Project(namespace=namespace_of(rows), **{name: first[name] for name in PROJECT_FIELDS})


def _project_statement(key: ColumnElement[Any]) -> Select[Any]:
    is_asked_for = and_(key == bindparam("wanted"), projects.c.doomed_at.is_(None))
    statement = _of_projects(projects.c.id == _or_first(projects, is_asked_for))
    return statement.add_columns(is_asked_for.label(_IS_ASKED_FOR))


@cache
def _levels(ancestors: int, *, is_in_project: bool) -> CompoundSelect[Any]:
    """Return the levels of a user in a namespace of so many ancestors, or in a project of it. It is made once."""
    ancestor_ids = [bindparam(_ancestor(number), type_=Identifier) for number in range(ancestors)]
    is_member: ColumnElement[bool] = members.c.namespace_id.in_(ancestor_ids)
    if is_in_project:
        is_member = or_(members.c.project_id == bindparam("of_project"), is_member)
    is_current = or_(members.c.expires_at.is_(None), members.c.expires_at > bindparam("now"))
    as_member = select(members.c.level).where(members.c.user_id == bindparam("of_user"), is_member, is_current)
    as_owner = select(literal(AccessLevel.OWNER, members.c.level.type)).where(
        users.c.id == bindparam("of_user"), users.c.namespace_id.in_(ancestor_ids)
    )
    return union_all(as_member, as_owner)


def _ancestor(number: int) -> str:
    return f"ancestor_{number}"


_USER_BY_ID = select(*USER_COLUMNS).where(users.c.id == bindparam("wanted"))
_USER_BY_NAME = select(*USER_COLUMNS).where(users.c.username_key == bindparam("wanted"))
_PROJECT_BY_ID = _project_statement(projects.c.id)
_PROJECT_BY_PATH = _project_statement(projects.c.full_path_key)
