"""The ways into a database: how many at a time, how long to wait, and what becomes of a cancelled statement."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import MetadataUnavailable
from shared.metadata.faults import translated_faults

T = TypeVar("T")


class Runner(Protocol):
    """How a step of a transaction is awaited."""

    async def __call__(self, step: Coroutine[Any, Any, T]) -> T:
        """Return what the step returns."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """A way to connections: so many at a time, and a bounded wait for the next.

    Args:
        directory: where the SQLite database lies that is written through this door; None otherwise.
        gate: bounds the wait; a pool's own queue can lose a connection when who waits for it is cancelled.
        runner: `directly` where the server undoes what a lost client did, else `to_the_end`.
    """

    engine: AsyncEngine
    directory: Path | None
    gate: asyncio.Semaphore
    wait_seconds: float
    runner: Runner

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction on a connection of its own; rolled back unless it was committed.

        Raises:
            MetadataUnavailable: no connection was free in time, or the database does not answer.
            StorageFull: the disk takes no more.
        """
        await self._enter()
        try:
            connection = self.engine.connect()
            try:
                await self.run(connection.start())
                await self.run(connection.begin().start())
                yield connection
            finally:
                if connection.sync_connection is not None:
                    await to_the_end(connection.close())
        finally:
            self.gate.release()

    async def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Await a step of a transaction.

        Raises:
            MetadataUnavailable: the database does not answer, or not in time.
            StorageFull: the disk takes no more.
        """
        with translated_faults(self.directory):
            return await self.runner(step)

    async def _enter(self) -> None:
        try:
            async with asyncio.timeout(self.wait_seconds):
                await self.gate.acquire()
        except TimeoutError as late:
            raise MetadataUnavailable("no database connection became free in time") from late


@dataclass(frozen=True, slots=True)
class Doors:
    """The two ways into a database."""

    reader: Door
    writer: Door


async def directly(step: Coroutine[Any, Any, T]) -> T:
    """Await the step; a cancellation breaks its connection off, and PostgreSQL rolls back what was under way."""
    return await step


async def to_the_end(step: Coroutine[Any, Any, T]) -> T:
    """Await the step to its end even when the caller is cancelled meanwhile; then the cancellation goes on.

    A SQLite connection that is closed in the midst of a statement lives on, with its locks, until Python has collected
    the statement: one cancelled upload would keep all writers of all processes waiting.
    """
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
