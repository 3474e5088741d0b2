"""What all tables share: the naming of constraints, and the columns that many of them have."""

from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Identity, Index, MetaData, text

from shared.metadata.types import EnumNumber, EnumText, Identifier, NumberT, PlainText, UtcDateTime, WordT

REVISION = "0006"
"""The newest migration. A test compares it with the scripts, so that nothing has to read those at run time."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def id_column() -> Column[int]:
    """Return a primary key whose values never come back; on SQLite the table adds `sqlite_autoincrement`."""
    return Column("id", Identifier, Identity(always=True), primary_key=True)


def reference(name: str, target: str, *, nullable: bool = False) -> Column[Any]:
    """Return a foreign key. None of them cascades: what is removed is removed by name."""
    return Column(name, Identifier, ForeignKey(target), nullable=nullable)


def text_column(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column of text."""
    return Column(name, PlainText, nullable=nullable)


def time_column(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column of instants."""
    return Column(name, UtcDateTime, nullable=nullable)


def word_column(name: str, words: type[WordT]) -> tuple[Column[WordT], CheckConstraint]:
    """Return a column of an enumeration's words, with its CHECK."""
    return Column(name, EnumText(words), nullable=False), one_of(name, words)


def level_column(name: str, numbers: type[NumberT]) -> tuple[Column[NumberT], CheckConstraint]:
    """Return a column of an enumeration's numbers, with its CHECK."""
    listed = ", ".join(str(number.value) for number in numbers)
    return Column(name, EnumNumber(numbers), nullable=False), CheckConstraint(f"{name} IN ({listed})", name=name)


def one_of(name: str, words: type[StrEnum] | tuple[str, ...]) -> CheckConstraint:
    """Return the CHECK of a column of words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{name} IN ({listed})", name=name)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index over the rows that `where` describes; queries must state the very same terms to use it."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
