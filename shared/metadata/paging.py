"""One page of a statement, and how long the whole list is."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, func, select

from shared.metadata.transaction import Transaction
from shared.metadata.types import storable
from shared.pages import COUNTED_AT_MOST, Page, PageRequest

T = TypeVar("T")

_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})


async def read_page(
    transaction: Transaction,
    statement: Select[Any],
    order: Sequence[ColumnElement[Any]],
    page: PageRequest,
    make: Callable[[Row[Any]], T],
) -> Page[T]:
    """Return a page of the statement's rows in this order, in two queries."""
    rows = await transaction.rows(statement.order_by(*order).offset(page.offset).limit(page.size + 1))
    counted = await transaction.row(
        select(func.count().label("total")).select_from(statement.limit(COUNTED_AT_MOST + 1).subquery())
    )
    total = counted.total if counted is not None else 0
    return Page(
        entries=tuple(make(row) for row in rows[: page.size]),
        total=total if total <= COUNTED_AT_MOST else None,
        has_more=len(rows) > page.size,
    )


def holds(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Return whether the column holds the text, whatever the case of ASCII letters: all that both engines agree on."""
    return func.lower(column).contains(storable(text).translate(_LOWER), autoescape=True)
