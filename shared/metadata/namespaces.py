"""Groups and personal namespaces as one list, in SQL."""

from collections import defaultdict
from dataclasses import fields
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, union_all

from shared.metadata.paging import holds, read_page
from shared.metadata.tenant_tables import members, namespace_ancestors, namespaces, users
from shared.metadata.transaction import Transaction
from shared.models import AccessLevel, Namespace, NamespaceId
from shared.pages import Page, PageRequest
from shared.ports.namespace_rows import NamespaceFilter

_COLUMNS = tuple(namespaces.c[field.name] for field in fields(Namespace) if field.name != "ancestor_ids")


class SqlNamespaceReads:
    """Implements NamespaceReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def page(self, wanted: NamespaceFilter, page: PageRequest, *, now: datetime) -> Page[Namespace]:
        statement = select(*_COLUMNS).where(namespaces.c.doomed_at.is_(None), *_conditions(wanted, now))
        found = await read_page(self._transaction, statement, [namespaces.c.id], page, lambda row: dict(row._mapping))
        ancestors = await self._ancestors([entry["id"] for entry in found.entries])
        return Page(
            entries=tuple(Namespace(ancestor_ids=ancestors[entry["id"]], **entry) for entry in found.entries),
            total=found.total,
            has_more=found.has_more,
        )

    async def _ancestors(self, ids: list[NamespaceId]) -> dict[NamespaceId, tuple[NamespaceId, ...]]:
        rows = await self._transaction.rows(
            select(namespace_ancestors.c.namespace_id, namespace_ancestors.c.ancestor_id)
            .where(namespace_ancestors.c.namespace_id.in_(ids))
            .order_by(namespace_ancestors.c.distance.desc())
        )
        found: defaultdict[NamespaceId, tuple[NamespaceId, ...]] = defaultdict(tuple)
        for row in rows:
            found[row.namespace_id] += (row.ancestor_id,)
        return found


def _conditions(wanted: NamespaceFilter, now: datetime) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.user_id is not None:
        own = select(users.c.namespace_id).where(users.c.id == wanted.user_id)
        joined = select(members.c.namespace_id).where(
            members.c.user_id == wanted.user_id,
            members.c.namespace_id.is_not(None),
            members.c.level.in_([level for level in AccessLevel if level >= wanted.lowest_level]),
            or_(members.c.expires_at.is_(None), members.c.expires_at > now),
        )
        conditions.append(namespaces.c.id.in_(union_all(own, joined)))
    if wanted.search is not None:
        conditions.append(or_(holds(namespaces.c.name, wanted.search), holds(namespaces.c.full_path, wanted.search)))
    if wanted.is_top_level:
        conditions.append(namespaces.c.parent_id.is_(None))
    return conditions
