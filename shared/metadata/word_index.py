"""Words within names, off an index: PostgreSQL finds names by the three-letter pieces of what is looked for.

Its own extension for that is not everywhere, and takes an administrator to set up; a function and an index of what any
PostgreSQL has do as well. SQLite has neither, and reads the names.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, func, literal

_PIECE = 3


def index_words(table: str, column: str) -> Iterator[str]:
    """Yield the statements that make the index on PostgreSQL."""
    yield (
        "CREATE FUNCTION trigrams_of(word text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS"
        " $$ SELECT coalesce(array_agg(DISTINCT substr(word, at, 3)), '{}')"
        " FROM generate_series(1, length(word) - 2) at $$"
    )
    yield f"CREATE INDEX ix_{table}_trigrams ON {table} USING gin (trigrams_of({column}))"


def may_hold(column: ColumnElement[str], words: Sequence[str]) -> list[ColumnElement[bool]]:
    """Return what is true of all columns that hold the words, and of few others; nothing of short words."""
    pieces = func.trigrams_of(column)
    return [pieces.bool_op("@>")(func.trigrams_of(literal(word, column.type))) for word in words if len(word) >= _PIECE]
