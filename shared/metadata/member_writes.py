"""Changes of members in SQL."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select, update

from shared.metadata.member_reads import SqlMemberReads
from shared.metadata.tenant_tables import members, namespace_ancestors, namespaces, projects
from shared.models import AccessLevel, CounterScope, Namespace, Project, UserId
from shared.ports.member_rows import MemberSource


class SqlMemberWrites(SqlMemberReads):
    """Implements MemberWrites."""

    async def lock(self, source: MemberSource) -> bool:
        table = namespaces if isinstance(source, Namespace) else projects
        row = await self._transaction.row(
            select(table.c.id)
            .where(table.c.id == source.id, table.c.doomed_at.is_(None))
            .with_for_update(key_share=True)
        )
        return row is not None

    async def add(
        self,
        source: MemberSource,
        user_id: UserId,
        *,
        level: AccessLevel,
        expires_at: datetime | None,
        creator_id: UserId,
    ) -> datetime:
        column, now = _column(source), self._transaction.now()
        values = {
            "level": level,
            "expires_at": expires_at,
            "created_at": now,
            "creator_id": creator_id,
        }
        await self._transaction.change(
            self._transaction.insert(members)
            .values({column: source.id, "user_id": user_id, **values})
            .on_conflict_do_update(
                index_elements=[column, "user_id"], index_where=members.c[column].is_not(None), set_=values
            )
        )
        self._touch(source)
        return now

    async def change(
        self, source: MemberSource, user_id: UserId, *, level: AccessLevel, expires_at: datetime | None
    ) -> bool:
        is_changed = await self._transaction.change(
            update(members).where(*_is_member(source, user_id)).values(level=level, expires_at=expires_at)
        )
        if is_changed:
            self._touch(source)
        return is_changed > 0

    async def remove(self, source: MemberSource, user_id: UserId) -> bool:
        is_removed = await self._transaction.change(delete(members).where(*_is_member(source, user_id)))
        if is_removed:
            self._touch(source)
        return is_removed > 0

    async def remove_below(self, group: Namespace, user_id: UserId) -> int:
        below = select(namespace_ancestors.c.namespace_id).where(namespace_ancestors.c.ancestor_id == group.id)
        lies_below = or_(
            members.c.namespace_id.in_(below.where(namespace_ancestors.c.distance > 0)),
            members.c.project_id.in_(select(projects.c.id).where(projects.c.namespace_id.in_(below))),
        )
        removed = await self._transaction.change(delete(members).where(members.c.user_id == user_id, lies_below))
        if removed:
            self._touch(group)
        return removed

    def _touch(self, source: MemberSource) -> None:
        namespace = source.namespace if isinstance(source, Project) else source
        self._transaction.touch(CounterScope.NAMESPACE, namespace.top_level_id)


def _column(source: MemberSource) -> str:
    return "namespace_id" if isinstance(source, Namespace) else "project_id"


def _is_member(source: MemberSource, user_id: UserId) -> tuple[ColumnElement[bool], ...]:
    return members.c[_column(source)] == source.id, members.c.user_id == user_id
