"""The ways into a SQLite database: a few readers, each of which sees one snapshot, and one writer."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from shared.errors import LarderError, MetadataUnavailable
from shared.metadata.doors import NONE_FREE, Gate, Session, enter, to_the_end
from shared.metadata.faults import translated_faults
from shared.metadata.group_commit import Group, Member
from shared.metadata.sqlite_connection import SqliteConnection
from shared.ports.metadata_store import PoolUse

T = TypeVar("T")

Connect = Callable[[], SqliteConnection]


@dataclass(frozen=True, slots=True)
class SqliteReaders:
    """Connections that only read.

    Args:
        connect: makes one that is not open yet.
        gate: lets as many in as there may be connections.
        free: those that nobody uses.
    """

    connect: Connect
    gate: Gate
    places: int
    wait_seconds: float
    free: list[SqliteConnection] = field(default_factory=list)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        await enter(self.gate, self.wait_seconds)
        try:
            connection = await self._free_connection()
            try:
                connection.defer("BEGIN")  # The first thing that is read makes the snapshot.
                yield connection
            finally:
                connection.leave()
                self.free.append(connection)
        finally:
            self.gate.release()

    async def run(self, step: Awaitable[T]) -> T:
        with translated_faults():
            return await step

    def use(self) -> PoolUse:
        """Return what is done with the connections."""
        return self.gate.use("readers", idle=len(self.free))

    async def close(self) -> None:
        """Close the connections; nobody uses one any more."""
        while self.free:
            await self.free.pop().close()

    async def _free_connection(self) -> SqliteConnection:
        while self.free:
            connection = self.free.pop()
            if not connection.is_broken:
                return connection
            await connection.close()
        return await self.run(_opened(self.connect))


class SqliteWriter:
    """The one connection of a process that writes. Those who wait for it share a commit.

    A transaction takes its turn, does its work within a savepoint, and passes the turn on to the next one that waits,
    which goes on in the same transaction of the database. Who finds nobody waiting, or enough work done, has it
    committed; from then on all of them are told, and not before.

    Args:
        connect: makes a connection that is not open yet.
        directory: where the database lies.
        wait_seconds: how long a transaction may wait for its turn.
    """

    places = 1

    def __init__(self, connect: Connect, *, directory: Path, wait_seconds: float) -> None:
        self._connect = connect
        self._directory = directory
        self._wait_seconds = wait_seconds
        self._connection: SqliteConnection | None = None
        self._is_in_doubt = False
        self._group: Group | None = None
        self._is_taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        await self._take_turn()
        try:
            member = Member(await self._open_group(), self._pass_on)
        except BaseException:
            self._pass_on()
            raise
        try:
            member.begin()
            yield member
        except BaseException as error:
            await to_the_end(member.undo_unless_done(error))
            if isinstance(error, LarderError):
                # What it was refused for may be the work of others, which is not durable yet and may never be.
                await self.run(member.others_outcome())
            raise
        await to_the_end(member.undo_unless_done())

    async def run(self, step: Awaitable[T]) -> T:
        with translated_faults(self._directory):
            return await step

    def use(self) -> PoolUse:
        """Return what is done with the connection."""
        in_use, is_open = int(self._is_taken), self._connection is not None
        return PoolUse("writer", in_use=in_use, idle=int(is_open and not in_use), waiting=len(self._waiting), limit=1)

    async def close(self) -> None:
        """Close the connection, once the commit that is under way has ended."""
        await self._take_turn()
        group, self._group = self._group, None
        if group is not None:  # The last one passed its turn on to this.
            group.conclude(_nothing)
            await group.end()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _open_group(self) -> Group:
        if self._group is None:
            connection = await self._sound_connection()
            self._is_in_doubt = True
            await self.run(connection.begin("BEGIN IMMEDIATE"))
            self._is_in_doubt = False
            self._group = Group(connection)
        return self._group

    async def _sound_connection(self) -> SqliteConnection:
        """Return the connection, or another in its place when something went wrong on it: it may never end."""
        if self._connection is not None and self._is_in_doubt:
            broken, self._connection = self._connection, None
            with suppress(sqlite3.Error, SQLAlchemyError, ValueError, OSError):
                await broken.close()
        if self._connection is None:
            self._connection = await self.run(_opened(self._connect))
        return self._connection

    async def _take_turn(self) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # It had come, and is not wanted any more.
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise MetadataUnavailable(NONE_FREE) from error
            raise

    def _pass_on(self) -> None:
        """End a turn: begin the next one, or the commit, after which the next one comes."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()  # Cancelled, and not yet gone: nobody would end this group.
        group = self._group
        is_complete = group is not None and (group.is_over or group.is_full or not self._waiting)
        if group is not None and is_complete:
            self._group = None
            group.conclude(partial(self._after, group))
        else:
            self._next_turn()

    def _after(self, group: Group) -> None:
        self._is_in_doubt = group.leaves_doubt
        self._next_turn()

    def _next_turn(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False


def _nothing() -> None:
    """Begin nothing afterwards."""


async def _opened(connect: Connect) -> SqliteConnection:
    connection = connect()
    try:
        await connection.open()
    except BaseException:
        await connection.close()
        raise
    return connection
