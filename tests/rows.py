"""Rows as tests find and set them behind the registry's back, on whichever engine it runs.

A test shares its loop with the registry. Whoever waits on the loop's thread for a lock waits for a transaction that
needs the loop to end, so nothing here does: each call has a connection of its own, whose driver waits elsewhere.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, Executable, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from shared.metadata.engine import disposed, postgresql_url, sqlite_path
from shared.metadata.tables import metadata

_PATIENCE_SECONDS = 60.0


async def execute(url: str, statement: str | Executable, **values: Any) -> list[tuple[Any, ...]]:
    """Carry out one statement in a transaction of its own.

    Args:
        url: that of the database.
        statement: text names its values `:so`, and brings JSON back as text, times as the engine keeps them.

    Returns:
        the rows that it gives, which most changes do not.
    """
    async with _connected(url) as connection, connection.begin():
        if not isinstance(statement, str):
            result = await connection.execute(statement, values)
            return [tuple(row) for row in result] if result.returns_rows else []
        result = await connection.execute(text(statement), values)
        return [tuple(map(_as_text, row)) for row in result] if result.returns_rows else []


async def count(url: str, table: str, where: str = "true") -> int:
    """Return how many rows a table has, all or those of which `where` is true."""
    [(found,)] = await execute(url, f"SELECT count(*) FROM {table} WHERE {where}")  # noqa: S608 - a test's own words
    return int(found)


async def everything(url: str) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all tables, by column, in the order of their keys."""
    async with _connected(url) as connection:
        found = {}
        for table in metadata.sorted_tables:
            result = await connection.execute(select(table).order_by(*table.primary_key))
            found[table.name] = [dict(row) for row in result.mappings()]
        return found


async def take_no_more(url: str, table: str) -> None:
    """Have the database refuse every further row of a table."""
    if sqlite_path(url) is None:
        await execute(url, f"ALTER TABLE {table} ADD CONSTRAINT full_table CHECK (false) NOT VALID")
    else:
        refusal = "BEGIN SELECT RAISE(ABORT, 'full table'); END"
        await execute(url, f"CREATE TRIGGER full_table BEFORE INSERT ON {table} {refusal}")


@asynccontextmanager
async def nobody_writes(url: str) -> AsyncIterator[None]:
    """Keep all others from writing to the database while the block runs; they can read."""
    async with _connected(url) as connection:
        if sqlite_path(url) is None:
            tables = ", ".join(metadata.tables)
            await connection.exec_driver_sql(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
        else:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        await connection.rollback()


def _as_text(value: Any) -> Any:
    """Return JSON, which the driver of PostgreSQL reads by itself, as the text that SQLite has."""
    return json.dumps(value) if isinstance(value, dict | list) else value


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    path = sqlite_path(url)
    if path is None:
        engine = create_async_engine(postgresql_url(url), poolclass=NullPool)
    else:
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(path)),
            connect_args={"timeout": _PATIENCE_SECONDS},
            poolclass=NullPool,
        )
    async with disposed(engine), engine.connect() as connection:
        yield connection
