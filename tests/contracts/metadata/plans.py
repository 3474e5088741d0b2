"""What a call of the store sends to its engine, and how the engine means to answer that."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event

from shared.metadata.prepared import Prepared
from shared.metadata.sqlite_driver import Answer, SqliteDriver
from shared.metadata.store import SqlMetadataStore, SqlReading, SqlWriting
from tests.backends import PostgresqlServer

Query = Callable[[SqlReading], Awaitable[object]]


async def statements_of(store: SqlMetadataStore, query: Query) -> list[tuple[str, Any]]:
    """Return the statements that a call sends, with their values."""
    async with store.reading() as rows:
        with heard(rows) as statements:
            await query(rows)
    return statements


@contextmanager
def heard(rows: SqlReading | SqlWriting) -> Iterator[list[tuple[str, Any]]]:
    """Note the statements that a transaction sends within the block, by way of SQLAlchemy or past it."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    ask = SqliteDriver.ask

    def note_and_ask(driver: SqliteDriver, prepared: Prepared, values: Mapping[str, Any]) -> Awaitable[Answer]:
        statements.append((prepared.text, tuple(prepared.bound(values))))
        return ask(driver, prepared, values)

    connection = rows._transaction.connection.sync_connection
    event.listen(connection, "before_cursor_execute", note)
    try:
        with pytest.MonkeyPatch.context() as patches:
            patches.setattr(SqliteDriver, "ask", note_and_ask)
            yield statements
    finally:
        event.remove(connection, "before_cursor_execute", note)


def reads_a_whole_table(line: str) -> bool:
    """Say whether a line of a plan does: in PostgreSQL's words, or in SQLite's."""
    if line in ("SCAN anon_1", "SCAN CONSTANT ROW"):  # the count of what a list's own conditions have left; no table
        return False
    return "Seq Scan" in line or (line.startswith("SCAN") and "USING" not in line)


@dataclass(frozen=True, slots=True)
class Planner:
    """Asks the engine of a test.

    Args:
        request: the test's, for the fixtures of the engine that it runs on.
    """

    store: SqlMetadataStore
    engine: str
    request: pytest.FixtureRequest

    def look_at_the_rows(self) -> None:
        """Have PostgreSQL count what is there, as it does by itself after a while; nobody does so for SQLite."""
        if self.engine == "postgresql":
            self._server.execute("ANALYZE", database=self._database)

    async def plan_of(self, query: Query) -> list[str]:
        """Return the lines of the plans of all statements that the call sends."""
        statements = await statements_of(self.store, query)
        if self.engine == "postgresql":
            # The plan that holds for all values: the one that a statement is prepared with.
            plans = [
                self._server.execute(f"EXPLAIN (GENERIC_PLAN) {sql}", database=self._database) for sql, _ in statements
            ]
            return [line.strip() for plan in plans for line in plan]
        async with self.store.reading() as rows:
            explain = rows._transaction.connection.exec_driver_sql
            found = [await explain(f"EXPLAIN QUERY PLAN {sql}", values) for sql, values in statements]
        return [str(row[-1]) for plan in found for row in plan.all()]

    @property
    def _server(self) -> PostgresqlServer:
        server: PostgresqlServer = self.request.getfixturevalue("postgresql_server")
        return server

    @property
    def _database(self) -> str:
        database: str = self.request.getfixturevalue("postgresql_database")
        return database
