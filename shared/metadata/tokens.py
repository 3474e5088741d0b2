"""Access tokens in SQL."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, not_, or_, select, update

from shared.errors import RecordInvalid
from shared.metadata.access_tables import access_tokens
from shared.metadata.paging import holds, read_page
from shared.metadata.rows import columns_of
from shared.metadata.transaction import Transaction
from shared.models import AccessToken, CounterScope, TokenId, TokenKind, UserId
from shared.pages import Page, PageRequest
from shared.ports.token_rows import TokenFilter, TokenOrder

_COLUMNS = columns_of(access_tokens, AccessToken)
_ORDERS: dict[TokenOrder, ColumnElement[Any]] = {
    TokenOrder.CREATED_ASC: access_tokens.c.created_at.asc(),
    TokenOrder.CREATED_DESC: access_tokens.c.created_at.desc(),
    TokenOrder.EXPIRES_ASC: access_tokens.c.expires_at.asc().nulls_last(),
    TokenOrder.EXPIRES_DESC: access_tokens.c.expires_at.desc().nulls_last(),
    TokenOrder.LAST_USED_ASC: access_tokens.c.last_used_at.asc().nulls_last(),
    TokenOrder.LAST_USED_DESC: access_tokens.c.last_used_at.desc().nulls_last(),
    TokenOrder.NAME_ASC: access_tokens.c.name.asc(),
    TokenOrder.NAME_DESC: access_tokens.c.name.desc(),
}


class SqlTokenReads:
    """Implements TokenReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def by_digest(self, digest: str) -> AccessToken | None:
        row = await self._transaction.row(select(*_COLUMNS).where(access_tokens.c.digest == digest))
        return _token(row) if row else None

    async def of_user(self, user_id: UserId, *, name: str) -> tuple[AccessToken, ...]:
        rows = await self._transaction.rows(
            select(*_COLUMNS)
            .where(
                access_tokens.c.user_id == user_id,
                access_tokens.c.kind == TokenKind.PERSONAL,
                access_tokens.c.name == name,
            )
            .order_by(access_tokens.c.id)
        )
        return tuple(map(_token, rows))

    async def personal(self, token_id: TokenId) -> AccessToken | None:
        row = await self._transaction.row(
            select(*_COLUMNS).where(access_tokens.c.id == token_id, access_tokens.c.kind == TokenKind.PERSONAL)
        )
        return _token(row) if row else None

    async def personal_page(self, wanted: TokenFilter, page: PageRequest, *, now: datetime) -> Page[AccessToken]:
        statement = select(*_COLUMNS).where(access_tokens.c.kind == TokenKind.PERSONAL, *_conditions(wanted, now))
        order = [_ORDERS[wanted.order]] if wanted.order is not None else []
        return await read_page(self._transaction, statement, [*order, access_tokens.c.id], page, _token)


class SqlTokenWrites(SqlTokenReads):
    """Implements TokenWrites."""

    async def add(
        self,
        *,
        kind: TokenKind,
        digest: str,
        name: str,
        user_id: UserId | None,
        scopes: tuple[str, ...],
        expires_at: datetime | None,
        description: str | None = None,
    ) -> AccessToken:
        row = await self._transaction.row(
            self._transaction.insert(access_tokens)
            .values(
                kind=kind,
                digest=digest,
                name=name,
                description=description,
                user_id=user_id,
                scopes=list(scopes),
                expires_at=expires_at,
                created_at=self._transaction.now(),
            )
            .on_conflict_do_nothing(index_elements=["digest"])
            .returning(*_COLUMNS)
        )
        if row is None:
            raise _taken()
        self._touch(user_id)
        return _token(row)

    async def revoke(self, token_id: TokenId, *, at: datetime) -> bool:
        row = await self._transaction.row(
            update(access_tokens)
            .where(access_tokens.c.id == token_id, access_tokens.c.revoked_at.is_(None))
            .values(revoked_at=at)
            .returning(access_tokens.c.user_id)
        )
        if row is None:
            return False
        self._touch(row.user_id)
        return True

    async def replace_secret(self, token_id: TokenId, *, digest: str) -> None:
        holder = await self.by_digest(digest)
        if holder is not None and holder.id != token_id:
            raise _taken()
        row = await self._transaction.row(
            update(access_tokens)
            .where(access_tokens.c.id == token_id)
            .values(digest=digest, revoked_at=None)
            .returning(access_tokens.c.user_id)
        )
        if row is not None:
            self._touch(row.user_id)

    async def mark_used(self, token_id: TokenId, *, at: datetime) -> None:
        # Two requests may come here out of order; the later use stands.
        is_later = or_(access_tokens.c.last_used_at.is_(None), access_tokens.c.last_used_at < at)
        await self._transaction.change(
            update(access_tokens).where(access_tokens.c.id == token_id, is_later).values(last_used_at=at)
        )

    def _touch(self, user_id: UserId | None) -> None:
        if user_id is not None:
            self._transaction.touch(CounterScope.USER, user_id)


def _conditions(wanted: TokenFilter, now: datetime) -> list[ColumnElement[bool]]:
    column = access_tokens.c
    is_revoked = column.revoked_at.is_not(None)
    is_active = and_(column.revoked_at.is_(None), or_(column.expires_at.is_(None), column.expires_at > now))
    conditions: list[ColumnElement[bool]] = []
    if wanted.user_id is not None:
        conditions.append(column.user_id == wanted.user_id)
    if wanted.is_revoked is not None:
        conditions.append(is_revoked if wanted.is_revoked else not_(is_revoked))
    if wanted.is_active is not None:
        conditions.append(is_active if wanted.is_active else not_(is_active))
    if wanted.search is not None:
        conditions.append(holds(column.name, wanted.search))
    for at, earliest, latest in (
        (column.created_at, wanted.created_after, wanted.created_before),
        (column.last_used_at, wanted.last_used_after, wanted.last_used_before),
        (column.expires_at, wanted.expires_after, wanted.expires_before),
    ):
        conditions += [] if earliest is None else [at >= earliest]
        conditions += [] if latest is None else [at <= latest]
    return conditions


def _token(row: Row[Any]) -> AccessToken:
    fields = row._asdict()
    return AccessToken(**{**fields, "scopes": tuple(fields["scopes"])})


def _taken() -> RecordInvalid:
    return RecordInvalid({"token": ("has already been taken",)})
