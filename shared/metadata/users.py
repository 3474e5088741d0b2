"""Users as a list, and their state, in SQL."""

from typing import Any

from sqlalchemy import ColumnElement, Row, or_, select, update

from shared.metadata.paging import holds, read_page
from shared.metadata.rows import columns_of
from shared.metadata.tenant_tables import users
from shared.metadata.transaction import Transaction
from shared.models import CounterScope, User, UserId, UserState
from shared.pages import Page, PageRequest
from shared.ports.user_rows import UserFilter

_COLUMNS = columns_of(users, User)


class SqlUserReads:
    """Implements UserReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def page(self, wanted: UserFilter, page: PageRequest) -> Page[User]:
        statement = select(*_COLUMNS).where(*_conditions(wanted))
        return await read_page(self._transaction, statement, [users.c.id.desc()], page, _user)

    async def by_email(self, email: str) -> User | None:
        row = await self._transaction.row(select(*_COLUMNS).where(users.c.email_key == email.lower()))
        return _user(row) if row else None


class SqlUserWrites(SqlUserReads):
    """Implements UserWrites."""

    async def set_state(self, user_id: UserId, state: UserState, *, source: UserState) -> bool:
        changed = await self._transaction.change(
            update(users).where(users.c.id == user_id, users.c.state == source).values(state=state)
        )
        if changed:
            self._transaction.touch(CounterScope.USER, user_id)
        return changed > 0


def _conditions(wanted: UserFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.states != frozenset(UserState):
        conditions.append(users.c.state.in_(sorted(wanted.states)))
    if wanted.username is not None:
        conditions.append(users.c.username_key == wanted.username.lower())
    if wanted.is_external is not None:
        conditions.append(users.c.is_external.is_(wanted.is_external))
    if wanted.search is not None:
        searched = [users.c.username, users.c.name, *([users.c.email] if wanted.searches_emails else [])]
        conditions.append(or_(*(holds(column, wanted.search) for column in searched)))
    return conditions


def _user(row: Row[Any]) -> User:
    return User(**row._asdict())
