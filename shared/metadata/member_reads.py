"""Look-ups of members in SQL."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, false, func, literal, null, or_, select, union_all

from shared.metadata.paging import holds, read_page
from shared.metadata.tenant_reads import USER_COLUMNS
from shared.metadata.tenant_tables import members, namespace_ancestors, users
from shared.metadata.transaction import Transaction
from shared.metadata.visibility import is_current
from shared.models import AccessLevel, Membership, Namespace, NamespaceKind, Project, User, UserId, UserState
from shared.pages import Page, PageRequest
from shared.ports.member_rows import MemberFilter, MemberSource

_CREATOR_PREFIX = "creator_"
_creators = users.alias("creators")
_NEXT_END = (
    select(members.c.expires_at)
    .where(members.c.user_id == bindparam("of_user"), members.c.expires_at > bindparam("now"))
    .order_by(members.c.expires_at)
    .limit(1)
)


class SqlMemberReads:
    """Implements MemberReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def direct(self, source: MemberSource, wanted: MemberFilter, page: PageRequest) -> Page[Membership]:
        return await self._page(_direct(source, wanted.now), wanted, page)

    async def effective(self, source: MemberSource, wanted: MemberFilter, page: PageRequest) -> Page[Membership]:
        return await self._page(_effective(source, wanted.now), wanted, page)

    async def direct_one(self, source: MemberSource, user_id: UserId, *, now: datetime) -> Membership | None:
        return await self._one(_direct(source, now), user_id)

    async def effective_one(self, source: MemberSource, user_id: UserId, *, now: datetime) -> Membership | None:
        return await self._one(_effective(source, now), user_id)

    async def has_other_owner(self, group: Namespace, user_id: UserId, *, now: datetime) -> bool:
        row = await self._transaction.row(
            select(members.c.id)
            .join(users, users.c.id == members.c.user_id)
            .where(
                members.c.namespace_id.in_(_ancestor_ids(group)),
                members.c.level == AccessLevel.OWNER,
                members.c.user_id != user_id,
                users.c.state == UserState.ACTIVE,
                is_current(now),
            )
            .limit(1)
        )
        return row is not None

    async def next_end(self, user_id: UserId, *, now: datetime) -> datetime | None:
        row = await self._transaction.row(_NEXT_END, {"of_user": user_id, "now": now})
        return row.expires_at if row else None

    async def _page(self, found: Select[Any], wanted: MemberFilter, page: PageRequest) -> Page[Membership]:
        conditions: list[ColumnElement[bool]] = []
        if wanted.search.strip():
            text = wanted.search.strip()
            searched = [users.c.name, users.c.username, *([users.c.email] if wanted.searches_emails else [])]
            conditions.append(or_(*(holds(column, text) for column in searched)))
        if wanted.user_ids is not None:
            conditions.append(users.c.id.in_(wanted.user_ids))
        return await read_page(self._transaction, found.where(*conditions), [users.c.id], page, _membership)

    async def _one(self, found: Select[Any], user_id: UserId) -> Membership | None:
        row = await self._transaction.row(found.where(users.c.id == user_id))
        return _membership(row) if row else None


def _direct(source: MemberSource, now: datetime) -> Select[Any]:
    match source:
        case Namespace():
            return _with_users(members.c.namespace_id == source.id, false(), now)
        case Project():
            is_personal = source.namespace.kind is NamespaceKind.USER
            is_owner = users.c.namespace_id == source.namespace.id if is_personal else false()
            return _with_users(members.c.project_id == source.id, is_owner, now)


def _effective(source: MemberSource, now: datetime) -> Select[Any]:
    match source:
        case Namespace():
            return _with_users(members.c.namespace_id.in_(_ancestor_ids(source)), false(), now)
        case Project(namespace=namespace):
            is_member = or_(members.c.project_id == source.id, members.c.namespace_id.in_(_ancestor_ids(namespace)))
            return _with_users(is_member, users.c.namespace_id == namespace.id, now)


def _ancestor_ids(namespace: Namespace) -> Select[Any]:
    return select(namespace_ancestors.c.ancestor_id).where(namespace_ancestors.c.namespace_id == namespace.id)


def _with_users(is_member: ColumnElement[bool], is_owner: ColumnElement[bool], now: datetime) -> Select[Any]:
    """Return one row for each user with a membership: the highest, and of equal ones the oldest."""
    as_member = select(
        members.c.user_id, members.c.level, members.c.created_at, members.c.expires_at, members.c.creator_id
    ).where(is_member, is_current(now))
    as_owner = select(
        users.c.id, literal(AccessLevel.OWNER, members.c.level.type), users.c.created_at, null(), null()
    ).where(is_owner)
    found = union_all(as_member, as_owner).subquery()
    rank = func.row_number().over(
        partition_by=found.c.user_id, order_by=(found.c.level.desc(), found.c.created_at, found.c.creator_id)
    )
    ranked = select(found, rank.label("rank")).subquery()
    return (
        select(
            *USER_COLUMNS,
            ranked.c.level,
            ranked.c.created_at.label("member_since"),
            ranked.c.expires_at,
            *(_creators.c[column.name].label(_CREATOR_PREFIX + column.name) for column in USER_COLUMNS),
        )
        .join_from(ranked, users, and_(users.c.id == ranked.c.user_id, ranked.c.rank == 1))
        .outerjoin(_creators, _creators.c.id == ranked.c.creator_id)
    )


def _membership(row: Row[Any]) -> Membership:
    found = row._mapping
    creator = {column.name: found[_CREATOR_PREFIX + column.name] for column in USER_COLUMNS}
    return Membership(
        user=User(**{column.name: found[column.name] for column in USER_COLUMNS}),
        level=row.level,
        created_at=row.member_since,
        expires_at=row.expires_at,
        creator=None if creator["id"] is None else User(**creator),
    )
