"""Audit events: written in the transaction that does what they tell of, and only ever read afterwards."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, cast, func, insert, literal, select, tuple_

from shared.metadata.access_tables import access_tokens
from shared.metadata.paging import read_page
from shared.metadata.tables import audit_events
from shared.metadata.tenant_tables import namespaces, projects, users
from shared.metadata.transaction import Transaction
from shared.metadata.types import Identifier, UtcDateTime
from shared.pages import Cursor, Page, PageRequest, Stretch
from shared.ports.audit_rows import AuditEventId, AuditFilter, RecordedEvent
from shared.ports.metadata_store import AuditEvent

_NEWEST_FIRST = (audit_events.c.created_at.desc(), audit_events.c.id.desc())
_OLDEST_FIRST = (audit_events.c.created_at, audit_events.c.id)
_USER = "user:"
_ADD = insert(audit_events)


async def write_audit_event(transaction: Transaction, event: AuditEvent) -> None:
    """Write down who did what."""
    values = {
        "created_at": transaction.now(),
        "action": event.action,
        "actor": event.actor,
        "target": event.target,
        "project_id": event.project_id,
        "namespace_id": event.namespace_id,
        "token_id": event.token_id,
        "details": event.details,
    }
    await transaction.change(_ADD, values)


class SqlAuditReads:
    """Implements AuditReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def page(self, wanted: AuditFilter, page: PageRequest) -> Page[RecordedEvent]:
        found = await read_page(
            self._transaction,
            select(audit_events.c.id).where(*_conditions(wanted)),
            _NEWEST_FIRST,
            page,
            lambda row: int(row.id),
        )
        return Page(await self._told(found.entries), found.total, found.has_more)

    async def stretch(self, wanted: AuditFilter, *, cursor: Cursor | None, limit: int) -> Stretch[RecordedEvent]:
        statement = select(audit_events.c.id).where(*_conditions(wanted))
        if cursor is None:
            rows = await self._transaction.rows(statement.order_by(*_NEWEST_FIRST).limit(limit + 1))
            return await self._followed([row.id for row in rows], limit)
        beside = await self._transaction.row(select(audit_events.c.created_at).where(audit_events.c.id == cursor.id))
        if beside is None:
            return Stretch((), None)
        place = tuple_(audit_events.c.created_at, audit_events.c.id)
        mark = tuple_(literal(beside.created_at, UtcDateTime), literal(cursor.id, Identifier))
        if not cursor.is_backward:
            newest = statement.where(place < mark).order_by(*_NEWEST_FIRST).limit(limit + 1)
            return await self._followed([row.id for row in await self._transaction.rows(newest)], limit)
        nearest = statement.where(place > mark).order_by(*_OLDEST_FIRST).limit(limit)
        ids = [row.id for row in await self._transaction.rows(nearest)]
        # What they were looked for from stands behind them.
        return Stretch(await self._told(ids[::-1]), Cursor(ids[0]) if ids else None)

    async def event(self, wanted: AuditFilter, event_id: AuditEventId) -> RecordedEvent | None:
        row = await self._transaction.row(_with_names().where(audit_events.c.id == event_id, *_conditions(wanted)))
        return _recorded(row) if row else None

    async def _followed(self, ids: Sequence[int], limit: int) -> Stretch[RecordedEvent]:
        shown = ids[:limit]
        return Stretch(await self._told(shown), Cursor(shown[-1]) if len(ids) > limit else None)

    async def _told(self, ids: Sequence[int]) -> tuple[RecordedEvent, ...]:
        rows = await self._transaction.rows(_with_names().where(audit_events.c.id.in_(ids))) if ids else ()
        found = {row.id: _recorded(row) for row in rows}
        return tuple(found[one] for one in ids)


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.project_id is not None:
        conditions.append(audit_events.c.project_id == wanted.project_id)
    if wanted.namespace_id is not None:
        conditions.append(audit_events.c.namespace_id == wanted.namespace_id)
    if wanted.created_after is not None:
        conditions.append(audit_events.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(audit_events.c.created_at <= wanted.created_before)
    return conditions


def _with_names() -> Select[Any]:
    """Return events with what is known of those whom they name."""
    named = func.substr(audit_events.c.actor, len(_USER) + 1)
    author_id = case(
        (audit_events.c.actor.like(f"{_USER}%"), cast(named, Identifier)),
        # A job acts as its user; a deploy token has none.
        else_=access_tokens.c.user_id,
    )
    return (
        select(
            audit_events,
            users.c.id.label("author_id"),
            users.c.name.label("author_name"),
            projects.c.full_path.label("project_path"),
            namespaces.c.full_path.label("namespace_path"),
        )
        .outerjoin(access_tokens, access_tokens.c.id == audit_events.c.token_id)
        .outerjoin(users, users.c.id == author_id)
        .outerjoin(projects, projects.c.id == audit_events.c.project_id)
        .outerjoin(namespaces, namespaces.c.id == audit_events.c.namespace_id)
    )


def _recorded(row: Row[Any]) -> RecordedEvent:
    found = row._asdict()
    return RecordedEvent(**{**found, "details": found["details"] or {}})
