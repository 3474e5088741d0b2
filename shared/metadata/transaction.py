"""One transaction as the modules with the SQL see it: statements in, rows out, and what it has touched and locked."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, Row, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from shared.errors import LarderError
from shared.metadata.doors import Session, Steps
from shared.models import CounterScope, PackageId, ProjectId

Insert = postgresql.Insert | sqlite.Insert
Values = Mapping[str, Any]
INSERTS: dict[str, Callable[[Table], Insert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""What makes an INSERT that knows ON CONFLICT, for statements that are made once."""
_PLAN_FOR_VALUES = text("SET LOCAL plan_cache_mode = force_custom_plan")


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

    door: Steps
    connection: Session
    now: Callable[[], datetime]
    touched: set[tuple[CounterScope, int]] = field(default_factory=set)
    locked: set[PackageId] = field(default_factory=set)
    freed: Counter[ProjectId] = field(default_factory=Counter)

    async def rows(self, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        """Return all rows of a statement.

        Args:
            values: of its named parameters. A statement that was made once, with parameters, costs a third of one that
                is made with its values each time.
        """
        result = await self.door.run(self.connection.execute(statement, values))
        return result.all()

    async def row(self, statement: Executable, values: Values | None = None) -> Row[Any] | None:
        """Return the first row of a statement, or None. Args: as of `rows`."""
        result = await self.door.run(self.connection.execute(statement, values))
        return result.first()

    async def change(self, statement: Executable, values: Values | None = None) -> int:
        """Carry out a statement that returns no rows; return how many rows it changed. Args: as of `rows`."""
        result = await self.door.run(self.connection.execute(statement, values))
        return result.rowcount

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what the block did, and only that, when it raises a domain error."""
        await self._mark("SAVEPOINT within")
        try:
            yield
        except LarderError:
            with suppress(LarderError, DBAPIError):  # A full disk, say, has ended the whole transaction.
                await self._mark("ROLLBACK TO SAVEPOINT within")
            raise
        await self._mark("RELEASE SAVEPOINT within")

    async def plan_for_values(self) -> None:
        """Have PostgreSQL plan what follows for the very values of each statement.

        After a few times it would take one plan for all groups, however large, and for all words, however common.
        """
        if self.engine == "postgresql":
            await self.door.run(self.connection.execute(_PLAN_FOR_VALUES))

    async def commit(self) -> None:
        """Make what was done durable and seen."""
        await self.door.run(self.connection.commit())

    def insert(self, table: Table) -> Insert:
        """Return an INSERT that knows ON CONFLICT; both engines spell it alike, SQLAlchemy has it once for each."""
        return INSERTS[self.engine](table)

    @property
    def engine(self) -> str:
        """Return "sqlite" or "postgresql"."""
        return self.connection.dialect.name

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

    async def _mark(self, statement: str) -> None:
        await self.door.run(self.connection.execute(text(statement)))
