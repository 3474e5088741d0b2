"""The ways into a database: how many at a time, how long to wait, and what becomes of a cancelled statement."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from sqlalchemy import Connection, Dialect, Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import MetadataUnavailable
from shared.metadata.faults import translated_faults
from shared.ports.metadata_store import PoolUse

T = TypeVar("T")


class Found(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Return how many rows it changed."""
        ...

    def all(self) -> Sequence[Row[Any]]:
        """Return all rows."""
        ...

    def first(self) -> Row[Any] | None:
        """Return the first row, or None."""
        ...


class Session(Protocol):
    """A connection inside its transaction; SQLAlchemy's is one."""

    @property
    def dialect(self) -> Dialect:
        """Return the dialect of its statements."""
        ...

    @property
    def sync_connection(self) -> Connection | None:
        """Return what is behind it."""
        ...

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None, /) -> Found:
        """Carry out a statement."""
        ...

    async def exec_driver_sql(self, statement: str, parameters: Any = None, /) -> Found:
        """Carry out a statement that is written out."""
        ...

    async def run_sync(self, call: Callable[..., T], /, *args: Any) -> T:
        """Let a function work with the connection."""
        ...

    async def commit(self) -> None:
        """Make what was done durable and seen."""
        ...


class Gate(asyncio.Semaphore):
    """Lets so many in at a time, and counts them.

    Args:
        places: how many.
    """

    def __init__(self, places: int) -> None:
        super().__init__(places)
        self.places = places
        self.inside = 0
        self.waiting = 0

    async def acquire(self) -> Literal[True]:
        """Enter as soon as there is room."""
        self.waiting += 1
        try:
            await super().acquire()
        finally:
            self.waiting -= 1
        self.inside += 1
        return True

    def release(self) -> None:
        """Leave."""
        self.inside -= 1
        super().release()

    def use(self, name: str, *, idle: int) -> PoolUse:
        """Return what goes on behind it."""
        return PoolUse(name, in_use=self.inside, idle=idle, waiting=self.waiting, limit=self.places)


class Steps(Protocol):
    """Carries out the steps of a transaction."""

    async def run(self, step: Awaitable[T]) -> T:
        """Await a step of a transaction.

        Raises:
            MetadataUnavailable: the database does not answer, or not in time.
            StorageFull: the disk takes no more.
        """
        ...


class Door(Steps, Protocol):
    """A way to connections: so many at a time, and a bounded wait for the next."""

    @property
    def places(self) -> int:
        """Return how many transactions there may be at once."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Session]:
        """Begin a transaction, alone as far as anybody can tell; rolled back unless it was committed.

        Raises:
            MetadataUnavailable: no connection was free in time, or the database does not answer.
            StorageFull: the disk takes no more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Doors:
    """The two ways into a database.

    Args:
        pools: what is behind them.
    """

    reader: Door
    writer: Door
    pools: Callable[[], tuple[PoolUse, ...]]


@dataclass(frozen=True, slots=True)
class ServerDoor:
    """A way to a server, which undoes what a lost client did.

    Args:
        gate: bounds the wait; a pool's own queue can lose a connection when who waits for it is cancelled.
    """

    engine: AsyncEngine
    gate: Gate
    places: int
    wait_seconds: float

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        await enter(self.gate, self.wait_seconds)
        try:
            connection = self.engine.connect()
            try:
                await self.run(self._connected(connection))
                await self.run(connection.begin().start())
                yield connection
            finally:
                if connection.sync_connection is not None:
                    await to_the_end(connection.close())
        finally:
            self.gate.release()

    async def _connected(self, connection: AsyncConnection) -> None:
        # A server that hangs lets each of these wait: the look whether a connection is still good, and a new one.
        async with asyncio.timeout(self.wait_seconds):
            await connection.start()

    async def run(self, step: Awaitable[T]) -> T:
        # A cancellation breaks the connection off, and PostgreSQL rolls back what was under way.
        with translated_faults():
            return await step


async def enter(gate: Gate, wait_seconds: float) -> None:
    """Pass the gate, which whoever calls this must release.

    Raises:
        MetadataUnavailable: it did not open in time.
    """
    if not gate.locked():
        await gate.acquire()
        return
    try:
        async with asyncio.timeout(wait_seconds):
            await gate.acquire()
    except TimeoutError as late:
        raise MetadataUnavailable(NONE_FREE) from late


NONE_FREE = "no database connection became free in time"


async def to_the_end(step: Awaitable[T]) -> T:
    """Await the step to its end even when the caller is cancelled meanwhile; then the cancellation goes on."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
