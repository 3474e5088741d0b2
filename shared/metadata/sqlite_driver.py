"""aiosqlite with one visit to a connection's thread for each statement, where it takes four by itself.

SQLAlchemy makes a cursor, executes, fetches all rows and closes the cursor, and aiosqlite carries out each of that in
the connection's thread: a hop there and back costs several times what a statement does that finds its rows by an index.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, TypeVarTuple

import aiosqlite
from sqlalchemy import Row

from shared.metadata.prepared import Prepared

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BUSY = 5
_LOCK_LOOK_SECONDS = 0.0005
"""SQLite's own way of waiting for the write lock sleeps for up to a tenth of a second at a time."""


def connect(path: Path) -> "SqliteDriver":
    """Return a connection that begins and ends no transaction by itself, and waits for no lock; await it to open it."""
    return SqliteDriver(
        lambda: sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False), iter_chunk_size=64
    )


class SqliteDriver(aiosqlite.Connection):
    """A connection of aiosqlite."""

    _deferred: tuple[str, ...] = ()

    def defer(self, statement: str) -> None:
        """Carry out a statement in the next visit, before all else: one that cannot fail by itself, nor wait."""
        self._deferred = (*self._deferred, statement)

    def cursor(self) -> "SqliteCursor":  # type: ignore[override]  # SQLAlchemy takes it entered or not.
        """Return a cursor; no thread is asked before it executes something."""
        return SqliteCursor(self)

    def forget_deferred(self) -> None:
        """Carry out nothing of what was deferred."""
        self._deferred = ()

    def run(self, *statements: str) -> asyncio.Future[None]:
        """Carry out statements one after another that give no rows."""
        return self._visit(self._run, statements)

    def begin(self, statement: str, *, wait_seconds: float) -> Awaitable[None]:
        """Begin a transaction as soon as the lock is free that it needs.

        Raises:
            sqlite3.OperationalError: it was not in time.
        """
        return self._visit(self._begin, statement, wait_seconds)

    def ask(self, prepared: Prepared, values: Mapping[str, Any]) -> Awaitable["Answer"]:
        """Carry out a statement that was made once."""
        return self._visit(self._ask, prepared, prepared.bound(values))

    async def carry_out(self, cursor: "SqliteCursor", sql: str, parameters: Any) -> None:
        """Execute a statement, and leave with the cursor all that it gave."""
        await self._visit(self._carry_out, cursor, sql, parameters)

    async def carry_out_many(self, cursor: "SqliteCursor", sql: str, parameters: Any) -> None:
        """Execute a statement with one set of parameters after another."""
        await self._visit(self._carry_out_many, cursor, sql, parameters)

    def _visit(self, call: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Make a call in the connection's thread. It is made, whoever waits for the future.

        What `_execute` of aiosqlite does, without a coroutine that somebody would have to drive.
        """
        if not self._running or self._connection is None:
            raise ValueError("the connection is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        deferred, self._deferred = self._deferred, ()
        self._tx.put_nowait(
            (future, partial(self._follow, deferred, call, *args) if deferred else partial(call, *args))
        )
        return future

    def _follow(self, deferred: Sequence[str], call: Callable[[*Ts], T], *args: *Ts) -> T:
        self._run(deferred)
        return call(*args)

    def _ask(self, prepared: Prepared, values: Sequence[Any]) -> "Answer":
        done = self._conn.execute(prepared.text, values)
        # Made here: of a hundred thousand rows that takes longer than others on the loop should wait.
        rows = prepared.rows(done.fetchall()) if done.description else ()
        answer = Answer(rows, done.rowcount)
        done.close()
        return answer

    def _run(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._conn.execute(statement)

    def _begin(self, statement: str, wait_seconds: float) -> None:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                self._conn.execute(statement)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != _BUSY or time.monotonic() >= deadline:
                    raise
            else:
                return
            time.sleep(_LOCK_LOOK_SECONDS)

    def _carry_out(self, cursor: "SqliteCursor", sql: str, parameters: Any) -> None:
        done = self._conn.execute(sql, parameters)
        cursor.take(done, done.fetchall() if done.description else [])
        done.close()

    def _carry_out_many(self, cursor: "SqliteCursor", sql: str, parameters: Any) -> None:
        done = self._conn.executemany(sql, parameters)
        cursor.take(done, [])
        done.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave, and how many rows it changed."""

    rows: Sequence[Row[Any]]
    rowcount: int


class SqliteCursor:
    """What SQLAlchemy asks of a cursor."""

    def __init__(self, connection: SqliteDriver) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    def take(self, done: sqlite3.Cursor, rows: list[Any]) -> None:
        """Keep what a statement gave."""
        self.description, self.rowcount, self.lastrowid = done.description, done.rowcount, done.lastrowid
        self._rows = rows

    async def execute(self, sql: str, parameters: Any = ()) -> "SqliteCursor":
        """Carry out a statement, and fetch its rows with it."""
        await self._connection.carry_out(self, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Any) -> "SqliteCursor":
        """Carry out a statement with one set of parameters after another."""
        await self._connection.carry_out_many(self, sql, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        """Return the rows, once."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Do nothing: it was closed when it was read."""
