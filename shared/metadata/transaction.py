"""One transaction as the modules with the SQL see it: statements in, rows out, and what it has touched and locked."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, Row, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import LarderError
from shared.metadata.doors import Door
from shared.models import CounterScope, PackageId, ProjectId

Insert = postgresql.Insert | sqlite.Insert


@dataclass(frozen=True, slots=True)
class Transaction:
    """A connection inside its transaction.

    Args:
        door: the way that the connection came in.
        now: the clock that stamps rows.
        touched: the counters to bump before the commit.
        locked: the packages whose rows this transaction holds.
        freed: how many bytes of files that count no more are to be taken off each project.
    """

    door: Door
    connection: AsyncConnection
    now: Callable[[], datetime]
    touched: set[tuple[CounterScope, int]] = field(default_factory=set)
    locked: set[PackageId] = field(default_factory=set)
    freed: Counter[ProjectId] = field(default_factory=Counter)

    async def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        """Return all rows of a statement."""
        result = await self.door.run(self.connection.execute(statement))
        return result.all()

    async def row(self, statement: Executable) -> Row[Any] | None:
        """Return the first row of a statement, or None."""
        result = await self.door.run(self.connection.execute(statement))
        return result.first()

    async def change(self, statement: Executable) -> int:
        """Carry out a statement that returns no rows; return how many rows it changed."""
        result = await self.door.run(self.connection.execute(statement))
        return result.rowcount

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what the block did, and only that, when it raises a domain error."""
        savepoint = await self.door.run(self.connection.begin_nested().start())
        try:
            yield
        except LarderError:
            await self.door.run(savepoint.rollback())
            raise
        await self.door.run(savepoint.commit())

    async def commit(self) -> None:
        """Make what was done durable and seen."""
        await self.door.run(self.connection.commit())

    def insert(self, table: Table) -> Insert:
        """Return an INSERT that knows ON CONFLICT; both engines spell it alike, SQLAlchemy has it once for each."""
        return sqlite.insert(table) if self.connection.dialect.name == "sqlite" else postgresql.insert(table)

    def touch(self, scope: CounterScope, scope_id: int) -> None:
        """Note that a reader of this scope could see something else from the commit on."""
        self.touched.add((scope, scope_id))

    def require_lock(self, package_id: PackageId) -> None:
        """Fail when the package's row was not locked first: on SQLite nothing else would tell.

        Raises:
            RuntimeError: it is not locked; a mistake in the caller.
        """
        if package_id not in self.locked:
            raise RuntimeError(f"package {package_id} must be locked before it is changed")
