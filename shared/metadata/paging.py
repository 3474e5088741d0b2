"""Lists in SQL: one page of a statement's rows, and the search in a column."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Row, Select, func, literal, select

from shared.metadata.transaction import Transaction
from shared.metadata.types import storable
from shared.pages import COUNTED_AT_MOST, Page, PageRequest

T = TypeVar("T")

_FOLD = str.maketrans({chr(letter): chr(letter + 32) for letter in range(ord("A"), ord("Z") + 1)})


async def page_of(
    transaction: Transaction, statement: Select[Any], page: PageRequest, record: Callable[[Row[Any]], T]
) -> Page[T]:
    """Return one page of the rows of an ordered statement, as records, and how many rows there are in all."""
    rows = await transaction.rows(statement.limit(page.size + 1).offset(page.offset))
    bounded = (
        statement.order_by(None)
        .with_only_columns(literal(1).label("one"), maintain_column_froms=True)
        .limit(COUNTED_AT_MOST + 1)
        .subquery("counted")
    )
    counted = await transaction.row(select(func.count().label("total")).select_from(bounded))
    total = counted.total if counted else 0
    return Page(
        entries=tuple(record(row) for row in rows[: page.size]),
        total=None if total > COUNTED_AT_MOST else total,
        has_more=len(rows) > page.size,
    )


def contains(column: Column[str], text: str) -> ColumnElement[bool]:
    """Return the condition that a column has this text in it, in whatever case.

    Only ASCII letters are folded: that is what `lower` does on SQLite, and on PostgreSQL under the collation "C".
    """
    return func.lower(column).contains(storable(text).translate(_FOLD), autoescape=True)
