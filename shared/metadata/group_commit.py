"""Several transactions of one process in one of the database: each by itself, and all made durable by one commit.

A commit waits for the disk, and what was written by a hundred transactions takes it hardly longer than what was written
by one. Nobody is told of success before the commit that holds their work. One that fails goes back to its savepoint and
leaves nothing; when the commit itself fails, all have failed.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Executable

from shared.errors import LarderError, MetadataDamaged, MetadataUnavailable, StorageFull
from shared.metadata.doors import Found, to_the_end
from shared.metadata.sqlite_connection import SqliteConnection

T = TypeVar("T")

_ENDS_ALL = (StorageFull, MetadataUnavailable, MetadataDamaged)
_FULL = 13  # SQLITE_FULL
_MOST_MEMBERS = 64
_LONGEST_SECONDS = 0.1
"""For how long members may join: other processes wait for the write lock meanwhile."""


class Group:
    """The transactions that share a commit.

    Args:
        connection: in a transaction of the database that nobody has used yet.
    """

    def __init__(self, connection: SqliteConnection) -> None:
        self.connection = connection
        self._began_at = time.monotonic()
        self._members = 0
        self._fault: Exception | None = None
        self._is_concluded = asyncio.Event()
        self._conclusion: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Say whether it is time to commit, whoever waits."""
        return self._members >= _MOST_MEMBERS or time.monotonic() - self._began_at >= _LONGEST_SECONDS

    @property
    def has_members(self) -> bool:
        """Say whether there is work of somebody in it."""
        return self._members > 0

    @property
    def is_over(self) -> bool:
        """Say whether the transaction has ended by itself, and with it the work of all members."""
        return self._fault is not None

    @property
    def leaves_doubt(self) -> bool:
        """Say whether anything but a full disk went wrong, so that the connection may be broken for good."""
        is_full = isinstance(self._fault, StorageFull) or getattr(self._fault, "sqlite_errorcode", 0) == _FULL
        return self._fault is not None and not is_full

    def add(self) -> None:
        """Count a member's work in."""
        self._members += 1

    def give_up(self, fault: Exception) -> None:
        """Note that the work of all members is lost."""
        self._fault = self._fault or fault

    def conclude(self, afterwards: Callable[[], None]) -> None:
        """Commit if there is anything to commit, and then call `afterwards`, whatever came of it."""
        self._conclusion = asyncio.create_task(self._conclude(afterwards), name="larder group commit")

    async def end(self) -> None:
        """Return when it has turned out, whatever it is. A cancellation is raised only then."""
        await to_the_end(self._is_concluded.wait())

    async def outcome(self) -> None:
        """Return when all is durable. A cancellation is raised only when it has turned out.

        Raises:
            What the driver raised: it is not.
        """
        await self.end()
        if isinstance(self._fault, LarderError):
            raise type(self._fault)(*self._fault.args) from self._fault
        if self._fault is not None:
            raise self._fault

    async def _conclude(self, afterwards: Callable[[], None]) -> None:
        try:
            if self._members and self._fault is None:
                await self._commit()
            await self.connection.roll_back()
        except sqlite3.Error as fault:
            self.give_up(fault)
        finally:
            self._is_concluded.set()
            afterwards()

    async def _commit(self) -> None:
        self._fault = MetadataUnavailable("the commit was interrupted")
        try:
            await self.connection.commit()
            self._fault = None
        except sqlite3.Error as fault:
            self._fault = fault  # Each member raises it.


class Member:
    """One transaction of a group, as those who use it see it: a connection of their own.

    Args:
        pass_on: ends this one's turn; called once.
    """

    def __init__(self, group: Group, pass_on: Callable[[], None]) -> None:
        self._group = group
        self._connection = group.connection
        self._pass_on = pass_on
        self._is_done = False
        self._is_first = not group.has_members

    def begin(self) -> None:
        """Begin it, once."""
        self._connection.defer("SAVEPOINT member")

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    @property
    def sync_connection(self) -> Connection:
        return self._connection.sync_connection

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Found:
        return await self._connection.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> Found:
        return await self._connection.exec_driver_sql(statement, parameters)

    async def run_sync(self, call: Callable[..., T], *args: Any) -> T:
        return await self._connection.run_sync(call, *args)

    async def commit(self) -> None:
        if not self._connection.is_in_transaction:
            raise _lost()
        self._connection.defer("RELEASE SAVEPOINT member")
        self._is_done = True
        self._group.add()
        self._pass_on()
        await self._group.outcome()

    async def undo_unless_done(self, reason: BaseException | None = None) -> None:
        """Leave nothing of a transaction that was not committed.

        Args:
            reason: why it was not.
        """
        if self._is_done:
            return
        self._is_done = True
        try:
            if not self._connection.is_in_transaction:
                # A full disk, say, has ended it for all.
                self._group.give_up(reason if isinstance(reason, _ENDS_ALL) else _lost())
                return
            await self._connection.mark("ROLLBACK TO SAVEPOINT member", "RELEASE SAVEPOINT member")
        except sqlite3.Error as fault:
            self._group.give_up(fault)
        finally:
            self._pass_on()

    async def others_outcome(self) -> None:
        """Return when the work is durable that this one has seen of others. Raises: as of `Group.outcome`."""
        if not self._is_first:
            await self._group.outcome()


def _lost() -> MetadataUnavailable:
    return MetadataUnavailable("the transaction was rolled back with another's")
