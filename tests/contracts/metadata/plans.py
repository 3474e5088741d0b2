"""What a call of the store sends to its engine, and how the engine means to answer that."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event

from shared.metadata.prepared import Prepared
from shared.metadata.sqlite_driver import Answer, SqliteDriver
from shared.metadata.store import SqlMetadataStore, SqlReading, SqlWriting
from tests.backends import PostgresqlServer

Query = Callable[[SqlReading], Awaitable[object]]
Change = Callable[[SqlWriting], Awaitable[object]]
Sent = tuple[str, Any]
"""A statement with its values."""
_PLAN_FOR_VALUES = "SET LOCAL plan_cache_mode = force_custom_plan"


async def statements_of(store: SqlMetadataStore, query: Query) -> list[Sent]:
    """Return the statements that a call sends, with their values."""
    async with store.reading() as rows:
        with heard(rows) as statements:
            await query(rows)
    return statements


async def statements_of_writing(store: SqlMetadataStore, change: Change) -> list[Sent]:
    """Return the statements that a call sends, and those that its transaction ends with."""
    statements: list[Sent] = []
    with ExitStack() as stack:
        async with store.writing() as rows:
            statements = stack.enter_context(heard(rows))
            await change(rows)
    return statements


@contextmanager
def heard(rows: SqlReading | SqlWriting) -> Iterator[list[Sent]]:
    """Note the statements that a transaction sends within the block, by way of SQLAlchemy or past it."""
    statements: list[Sent] = []

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
        return await self.plan_of_statements(await statements_of(self.store, query))

    async def plan_of_statements(self, statements: Sequence[Sent]) -> list[str]:
        """Return the lines of their plans."""
        if self.engine == "postgresql":
            anew = next((at for at, (sql, _) in enumerate(statements) if sql == _PLAN_FOR_VALUES), len(statements))
            # The plan that holds for all values: the one that a statement is prepared with.
            plans = [
                self._server.execute(f"EXPLAIN (GENERIC_PLAN) {sql}", database=self._database)
                for sql, _ in statements[:anew]
            ]
            plans += [await self._explain("EXPLAIN", *sent) for sent in statements[anew + 1 :]]
            return [line.strip() for plan in plans for line in plan]
        return [line for sent in statements for line in await self._explain("EXPLAIN QUERY PLAN", *sent)]

    async def _explain(self, word: str, sql: str, values: Any) -> list[str]:
        """Return the plan for these very values."""
        async with self.store.reading() as rows:
            found = await rows._transaction.connection.exec_driver_sql(f"{word} {sql}", values)
        return [str(row[-1]) for row in found.all()]

    @property
    def _server(self) -> PostgresqlServer:
        server: PostgresqlServer = self.request.getfixturevalue("postgresql_server")
        return server

    @property
    def _database(self) -> str:
        database: str = self.request.getfixturevalue("postgresql_database")
        return database
