"""Deploy tokens in SQL: whose they are, and which of them are good."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from shared.metadata.access_tables import access_tokens
from shared.metadata.paging import read_page
from shared.metadata.tenant_tables import namespaces, projects
from shared.metadata.tokens import TOKEN_COLUMNS, token_of
from shared.metadata.transaction import Transaction
from shared.models import Namespace, TokenId
from shared.pages import Page, PageRequest
from shared.ports.token_rows import TokenSource
from shared.principals import AccessToken, TokenKind


class SqlDeployTokenReads:
    """Implements DeployTokenReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def one(self, source: TokenSource, token_id: TokenId) -> AccessToken | None:
        row = await self._transaction.row(_select(_is_of(source), access_tokens.c.id == token_id))
        return token_of(row) if row else None

    async def of_source(
        self, source: TokenSource, page: PageRequest, *, active_at: datetime | None
    ) -> Page[AccessToken]:
        return await self._page(_select(_is_of(source), *_is_good(active_at)), page)

    async def everywhere(self, page: PageRequest, *, active_at: datetime | None) -> Page[AccessToken]:
        has_source = or_(
            access_tokens.c.project_id.in_(select(projects.c.id).where(projects.c.doomed_at.is_(None))),
            access_tokens.c.namespace_id.in_(select(namespaces.c.id).where(namespaces.c.doomed_at.is_(None))),
        )
        return await self._page(_select(has_source, *_is_good(active_at)), page)

    async def _page(self, statement: Select[Any], page: PageRequest) -> Page[AccessToken]:
        return await read_page(self._transaction, statement, [access_tokens.c.id], page, token_of)


def _select(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*TOKEN_COLUMNS).where(
        access_tokens.c.kind == TokenKind.DEPLOY, access_tokens.c.revoked_at.is_(None), *conditions
    )


def _is_of(source: TokenSource) -> ColumnElement[bool]:
    column = access_tokens.c.namespace_id if isinstance(source, Namespace) else access_tokens.c.project_id
    return column == source.id


def _is_good(at: datetime | None) -> list[ColumnElement[bool]]:
    if at is None:
        return []
    return [or_(access_tokens.c.expires_at.is_(None), access_tokens.c.expires_at > at)]
