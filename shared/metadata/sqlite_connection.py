"""A connection to SQLite whose transactions are begun and ended by name, and never by the driver."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.metadata.doors import to_the_end
from shared.metadata.prepared import PreparedStatements
from shared.metadata.sqlite_driver import SqliteDriver

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What a statement gave, read to its end."""

    found: Sequence[Row[Any]]
    rowcount: int

    def all(self) -> Sequence[Row[Any]]:
        """Return all rows."""
        return self.found

    def first(self) -> Row[Any] | None:
        """Return the first row, or None."""
        return self.found[0] if self.found else None


class SqliteConnection:
    """One connection, for one user at a time. What it has begun it ends, though who asked for it is cancelled.

    Args:
        engine: makes the one connection that this stands for; it must not pool.
        statements: what was prepared for all connections of the engine.
        pragmas: prepare it.
        wait_seconds: for how long it waits for a lock.
    """

    def __init__(
        self, engine: AsyncEngine, statements: PreparedStatements, *, pragmas: tuple[str, ...], wait_seconds: float
    ) -> None:
        self._engine = engine
        self._statements = statements
        self._pragmas = pragmas
        self._wait_seconds = wait_seconds
        self._connection: AsyncConnection | None = None
        self._opened_driver: SqliteDriver | None = None
        self.is_broken = False

    @property
    def sync_connection(self) -> Connection:
        """Return what statements are executed on."""
        found = self._opened.sync_connection
        assert found is not None  # It is open.
        return found

    @property
    def dialect(self) -> Dialect:
        """Return the dialect of its statements."""
        return self._engine.dialect

    @property
    def is_in_transaction(self) -> bool:
        """Say whether a transaction is open: some errors end it by themselves."""
        return self.driver.in_transaction

    @property
    def driver(self) -> SqliteDriver:
        """Return aiosqlite's own connection."""
        assert self._opened_driver is not None  # `open` has set it.
        return self._opened_driver

    async def open(self) -> None:
        """Connect."""
        await to_the_end(self._open())

    async def close(self) -> None:
        """Disconnect, whatever is under way."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await to_the_end(connection.close())

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Found:
        """Carry out a statement and return what it gave.

        Args:
            parameters: where they are given, not even as an empty mapping, the statement was made once.
        """
        if parameters is not None and (prepared := self._statements.find(statement, parameters)) is not None:
            answer = await to_the_end(self.driver.ask(prepared, parameters))
            return Found(answer.rows, answer.rowcount)
        return _read(await to_the_end(self._opened.execute(statement, parameters)))

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]:
        """Carry out a statement that is written out."""
        return await to_the_end(self._opened.exec_driver_sql(statement, parameters))

    async def run_sync(self, call: Callable[..., T], *args: Any) -> T:
        """Let a function work with the connection."""
        return await to_the_end(self._opened.run_sync(call, *args))

    async def begin(self, statement: str) -> None:
        """Begin a transaction.

        Args:
            statement: how.
        """
        try:
            await to_the_end(self.driver.begin(statement, wait_seconds=self._wait_seconds))
        except BaseException:
            await self.roll_back()
            raise

    async def commit(self) -> None:
        """Make the transaction durable and seen."""
        await self.mark("COMMIT")

    async def mark(self, *statements: str) -> None:
        """Carry out what begins, ends or marks something and gives no rows."""
        await to_the_end(self.driver.run(*statements))

    def defer(self, statement: str) -> None:
        """Carry such a statement out together with the next one, which saves a visit to the connection's thread."""
        self.driver.defer(statement)

    async def roll_back(self) -> None:
        """End the transaction, if there is one, as if it had not been."""
        self.driver.forget_deferred()
        if self.is_in_transaction:
            await self.mark("ROLLBACK")

    def leave(self) -> None:
        """End a transaction that only read, and wait for nothing: what is asked next is carried out after that."""
        self.driver.forget_deferred()
        try:
            if self.is_in_transaction:
                self.driver.run("ROLLBACK").add_done_callback(self._note_end)
        except (sqlite3.Error, ValueError):  # It is closed, whoever did that.
            self.is_broken = True

    def _note_end(self, end: asyncio.Future[None]) -> None:
        if end.cancelled() or end.exception() is not None:
            self.is_broken = True

    @property
    def _opened(self) -> AsyncConnection:
        assert self._connection is not None  # `open` has set it.
        return self._connection

    async def _open(self) -> None:
        connection = self._engine.connect()
        await connection.start()
        try:
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, SqliteDriver)
            await driver.run(f"PRAGMA busy_timeout={round(self._wait_seconds * 1000)}")
            await driver.run(*(f"PRAGMA {pragma}" for pragma in self._pragmas))
        except BaseException:
            await connection.close()
            raise
        self._connection, self._opened_driver = connection, driver


def _read(result: CursorResult[Any]) -> Found:
    return Found(result.all() if result.returns_rows else (), result.rowcount)
