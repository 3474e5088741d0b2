"""Column types that hold and sort the same on SQLite and PostgreSQL.

They return plain types for a dialect: `dialect.type_descriptor` would make VARCHAR of TEXT under asyncpg.
"""

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

WordT = TypeVar("WordT", bound=StrEnum)
NumberT = TypeVar("NumberT", bound=IntEnum)

_LARGEST = 2**63 - 1


class Identifier(TypeDecorator[int]):
    """A 64-bit id from 1.

    A number that no row can have, however large, is looked for as 0 and so finds nothing; the drivers would raise.
    """

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # SQLite's AUTOINCREMENT demands the very word INTEGER, which is 64 bits wide there.
        return Integer() if dialect.name == "sqlite" else BigInteger()

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        if value is None or 0 < value <= _LARGEST:
            return value
        return 0


class PlainText(TypeDecorator[str]):
    """Text that sorts by code point.

    Characters that PostgreSQL or UTF-8 cannot hold (NUL, lone surrogates) become U+FFFD on the way in, on both engines
    and for look-ups too: a hostile file name in a reason must not make the verdict fail.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # SQLite's default collation compares the bytes of UTF-8, which is the order of code points already.
        return Text(collation="C") if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant to the microsecond.

    PostgreSQL keeps `timestamptz`, SQLite text of fixed width ("2026-11-21T12:00:00.123456Z"): both compare and sort by
    time, both can be read by whoever looks into the database by hand, and neither asks what zone a session is in.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text() if dialect.name == "sqlite" else DateTime(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        instant = value.astimezone(UTC)
        if dialect.name == "sqlite":
            return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        return instant

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        if value is None:
            return None
        # asyncpg stores the first and the last instant that Python knows as infinities, which come back without a zone.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class EnumText(TypeDecorator[WordT]):
    """A word of an enumeration, stored as text. Each such column has a CHECK beside it."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[WordT]) -> None:
        super().__init__()
        self.words = words

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text(collation="C") if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: WordT | None, dialect: Dialect) -> str | None:
        return None if value is None else self.words(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> WordT | None:
        return None if value is None else self.words(value)


class EnumNumber(TypeDecorator[NumberT]):
    """A number of an enumeration. Each such column has a CHECK beside it."""

    impl = Integer
    cache_ok = True

    def __init__(self, numbers: type[NumberT]) -> None:
        super().__init__()
        self.numbers = numbers

    def process_bind_param(self, value: NumberT | None, dialect: Dialect) -> int | None:
        return None if value is None else self.numbers(value).value

    def process_result_value(self, value: int | None, dialect: Dialect) -> NumberT | None:
        return None if value is None else self.numbers(value)


def storable(text: str) -> str:
    """Return the text with U+FFFD for each character that not every engine can hold."""
    if text.isascii() and "\0" not in text:
        return str(text)
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
