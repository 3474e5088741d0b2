"""Access tokens in SQL."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, not_, or_, select, update

from shared.errors import RecordInvalid
from shared.metadata.access_tables import access_tokens
from shared.metadata.paging import holds, read_page
from shared.metadata.rows import columns_of
from shared.metadata.tenant_tables import namespace_ancestors, projects
from shared.metadata.transaction import Transaction
from shared.models import CounterScope, Namespace, Pipeline, Project, TokenId, UserId
from shared.pages import Page, PageRequest
from shared.ports.change_checks import Scope
from shared.ports.token_rows import TokenFilter, TokenOrder, TokenSource
from shared.principals import AccessToken, TokenKind

TOKEN_COLUMNS = columns_of(access_tokens, AccessToken)
_BY_DIGEST = select(*TOKEN_COLUMNS).where(access_tokens.c.digest == bindparam("of_digest"))
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
        row = await self._transaction.row(_BY_DIGEST, {"of_digest": digest})
        return token_of(row) if row else None

    async def of_user(self, user_id: UserId, *, name: str) -> tuple[AccessToken, ...]:
        rows = await self._transaction.rows(
            select(*TOKEN_COLUMNS)
            .where(
                access_tokens.c.user_id == user_id,
                access_tokens.c.kind == TokenKind.PERSONAL,
                access_tokens.c.name == name,
            )
            .order_by(access_tokens.c.id)
        )
        return tuple(map(token_of, rows))

    async def personal(self, token_id: TokenId) -> AccessToken | None:
        row = await self._transaction.row(
            select(*TOKEN_COLUMNS).where(access_tokens.c.id == token_id, access_tokens.c.kind == TokenKind.PERSONAL)
        )
        return token_of(row) if row else None

    async def personal_page(self, wanted: TokenFilter, page: PageRequest, *, now: datetime) -> Page[AccessToken]:
        statement = select(*TOKEN_COLUMNS).where(access_tokens.c.kind == TokenKind.PERSONAL, *_conditions(wanted, now))
        order = [_ORDERS[wanted.order]] if wanted.order is not None else []
        return await read_page(self._transaction, statement, [*order, access_tokens.c.id], page, token_of)

    async def scopes_of(self, token: AccessToken) -> frozenset[Scope]:
        # Whoever changes a token bumps what this returns; whoever remembers something by it watches the same.
        found = set() if token.user_id is None else {(CounterScope.USER, int(token.user_id))}
        if token.namespace_id is not None or token.project_id is not None:
            of_project = select(projects.c.namespace_id).where(projects.c.id == token.project_id).scalar_subquery()
            top_level = (
                select(namespace_ancestors.c.ancestor_id)
                .where(
                    namespace_ancestors.c.namespace_id
                    == (of_project if token.namespace_id is None else token.namespace_id)
                )
                .order_by(namespace_ancestors.c.distance.desc())
                .limit(1)
            )
            for row in await self._transaction.rows(top_level):
                found.add((CounterScope.NAMESPACE, row.ancestor_id))
        return frozenset(found)


class SqlTokenWrites(SqlTokenReads):
    """Implements TokenWrites."""

    async def add_personal(
        self,
        user_id: UserId,
        *,
        digest: str,
        name: str,
        description: str | None = None,
        scopes: tuple[str, ...],
        expires_at: datetime | None,
    ) -> AccessToken:
        return await self._add(
            kind=TokenKind.PERSONAL,
            digest=digest,
            name=name,
            description=description,
            user_id=user_id,
            scopes=list(scopes),
            expires_at=expires_at,
        )

    async def add_deploy(
        self,
        source: TokenSource,
        *,
        digest: str,
        name: str,
        username: str | None,
        scopes: tuple[str, ...],
        expires_at: datetime | None,
        creator_id: UserId,
    ) -> AccessToken:
        token = await self._add(
            kind=TokenKind.DEPLOY,
            digest=digest,
            name=name,
            username=username,
            project_id=source.id if isinstance(source, Project) else None,
            namespace_id=source.id if isinstance(source, Namespace) else None,
            creator_id=creator_id,
            scopes=list(scopes),
            expires_at=expires_at,
        )
        if username is not None:
            return token
        called = f"gitlab+deploy-token-{token.id}"
        await self._transaction.change(
            update(access_tokens).where(access_tokens.c.id == token.id).values(username=called)
        )
        return replace(token, username=called)

    async def add_job(
        self, pipeline: Pipeline, *, digest: str, user_id: UserId, expires_at: datetime, creator_id: UserId
    ) -> AccessToken:
        return await self._add(
            kind=TokenKind.JOB,
            digest=digest,
            name=f"pipeline {pipeline.number}",
            user_id=user_id,
            project_id=pipeline.project_id,
            pipeline_id=pipeline.id,
            creator_id=creator_id,
            scopes=[],
            expires_at=expires_at,
        )

    async def _add(self, **values: object) -> AccessToken:
        row = await self._transaction.row(
            self._transaction.insert(access_tokens)
            .values(created_at=self._transaction.now(), **values)
            .on_conflict_do_nothing(index_elements=["digest"])
            .returning(*TOKEN_COLUMNS)
        )
        if row is None:
            raise _taken()
        token = token_of(row)
        await self._touch_source(token)
        return token

    async def revoke(self, token_id: TokenId, *, at: datetime) -> bool:
        return await self._change(access_tokens.c.id == token_id, access_tokens.c.revoked_at.is_(None), revoked_at=at)

    async def replace_secret(self, token_id: TokenId, *, digest: str) -> None:
        holder = await self.by_digest(digest)
        if holder is not None and holder.id != token_id:
            raise _taken()
        await self._change(access_tokens.c.id == token_id, digest=digest, revoked_at=None)

    async def mark_used(self, token_id: TokenId, *, at: datetime) -> None:
        # Two requests may come here out of order; the later use stands.
        is_later = or_(access_tokens.c.last_used_at.is_(None), access_tokens.c.last_used_at < at)
        await self._transaction.change(
            update(access_tokens).where(access_tokens.c.id == token_id, is_later).values(last_used_at=at)
        )

    async def _change(self, *conditions: ColumnElement[bool], **values: object) -> bool:
        row = await self._transaction.row(
            update(access_tokens).where(*conditions).values(**values).returning(*TOKEN_COLUMNS)
        )
        if row is None:
            return False
        await self._touch_source(token_of(row))
        return True

    async def _touch_source(self, token: AccessToken) -> None:
        for scope, scope_id in await self.scopes_of(token):
            self._transaction.touch(scope, scope_id)


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


def token_of(row: Row[Any]) -> AccessToken:
    """Return the token that a row of `TOKEN_COLUMNS` holds."""
    fields = row._asdict()
    return AccessToken(**{**fields, "scopes": tuple(fields["scopes"])})


def _taken() -> RecordInvalid:
    return RecordInvalid({"token": ("has already been taken",)})
