"""Looks at the change counters, as often as there are requests: as cheap as a database can make it."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from weakref import WeakSet

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import MetadataUnavailable
from shared.metadata.engine import disposed, milliseconds, postgresql_engine, postgresql_url, sqlite_path
from shared.metadata.faults import translated_faults
from shared.models import CounterScope
from shared.ports.change_checks import ChangeChecks, Scope, Stamps

_WAIT_SECONDS = 2.0
"""How long a look may take before the rows are read instead."""
_PAUSE_SECONDS = 1.0
"""How long nobody looks after a look that failed."""
_FEW = 16
"""So many counters are asked for one by one."""

_ONE = "SELECT value FROM change_counters WHERE scope = ? AND id = ?"
_OF_SCOPE = "SELECT id, value FROM change_counters WHERE scope = ? AND id IN (SELECT value FROM json_each(?))"
_OF_ALL = (
    "SELECT scope, id, value FROM change_counters JOIN unnest($1::text[], $2::bigint[]) AS wanted (scope, id)"
    " USING (scope, id)"
)


@asynccontextmanager
async def open_change_checks(url: str) -> AsyncIterator[ChangeChecks]:
    """Open the checks of a database; nothing connects before it is needed.

    Args:
        url: as of `open_metadata_store`.

    Raises:
        ValueError: the URL is none of a database.
    """
    path = sqlite_path(url)
    if path is None:
        async with _open_postgresql(postgresql_url(url)) as of_server:
            yield of_server
        return
    of_file = SqliteChecks(path)
    try:
        yield of_file
    finally:
        of_file.close()


class SqliteChecks:
    """Implements ChangeChecks on the loop's own thread: a look takes microseconds, a hop to another ten times that.

    Readers of a WAL wait for no writer. `data_version` changes with every commit of any other connection, be it one of
    this process or of another: while it stays, so do all counters.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        # Not those of which nobody keeps what was derived any more.
        self._confirmed: WeakSet[Stamps] = WeakSet()

    async def hold(self, stamps: Stamps) -> bool:
        return self.hold_at_once([stamps])[0]

    def hold_at_once(self, stamps: Sequence[Stamps]) -> list[bool]:
        try:
            connection = self._look()
            return [self._holds(connection, one) for one in stamps]
        except sqlite3.Error:
            self.close()
            return [False] * len(stamps)

    def close(self) -> None:
        """Close the connection; the next look opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # What was confirmed on this connection says nothing on the next one, whose versions are others.
            self._version = None
            self._confirmed.clear()
            with suppress(sqlite3.Error):
                connection.close()

    def _look(self) -> sqlite3.Connection:
        connection = self._connection or self._connect()
        # Each statement is read to its end: only then its read transaction is over.
        ((version,),) = connection.execute("PRAGMA data_version").fetchall()
        if version != self._version:
            self._version = version
            self._confirmed.clear()
        return connection

    def _holds(self, connection: sqlite3.Connection, stamps: Stamps) -> bool:
        if stamps in self._confirmed:
            return True
        if any(_read(connection, scope) != value for scope, value in _few(stamps)):
            return False
        if len(stamps.counters) > _FEW and _read_many(connection, stamps.counters) != stamps.counters:
            return False
        # If somebody committed since the version was asked for, the next look will find another version.
        self._confirmed.add(stamps)
        return True

    def _connect(self) -> sqlite3.Connection:
        # `ro` could not open a WAL that nobody else has open. Nothing here waits for a lock: who is busy reads rows.
        connection = sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only=ON").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        self._connection = connection
        return connection


def _few(stamps: Stamps) -> Iterable[tuple[Scope, int]]:
    return stamps.counters.items() if len(stamps.counters) <= _FEW else ()


def _read(connection: sqlite3.Connection, scope: Scope) -> int:
    rows = connection.execute(_ONE, (scope[0].value, scope[1])).fetchall()
    return int(rows[0][0]) if rows else 0


def _read_many(connection: sqlite3.Connection, scopes: Iterable[Scope]) -> dict[Scope, int]:
    ids: dict[CounterScope, list[int]] = {}
    current = dict.fromkeys(scopes, 0)
    for scope, scope_id in current:
        ids.setdefault(scope, []).append(scope_id)
    for scope, wanted in ids.items():
        for scope_id, value in connection.execute(_OF_SCOPE, (scope.value, json.dumps(wanted))).fetchall():
            current[scope, scope_id] = value
    return current


class PostgresqlChecks:
    """Implements ChangeChecks on one connection that commits each statement by itself.

    Whoever comes while a look is under way waits for the next one, together with all others who do.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._waiting: list[tuple[Stamps, asyncio.Future[bool]]] = []
        self._looking: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._is_lost = False
        self._good_from = float("-inf")

    async def hold(self, stamps: Stamps) -> bool:
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before:
            return False
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((stamps, answer))
        if self._looking is None:
            # A task of its own: one that is cancelled while it waits takes the look from nobody else.
            self._looking = asyncio.create_task(self._look_for_all(), name="larder change checks")
        return await answer

    def hold_at_once(self, stamps: Sequence[Stamps]) -> None:
        return None

    async def close(self) -> None:
        """Wait until nobody looks any more, and close the connection."""
        if self._looking is not None:
            await asyncio.wait({self._looking})
        await self._disconnect()

    async def _look_for_all(self) -> None:
        waiting: list[tuple[Stamps, asyncio.Future[bool]]] = []
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                current = await self._look({scope for stamps, _ in waiting for scope in stamps.counters})
                for stamps, answer in waiting:
                    if not answer.done():
                        is_of_this_database = stamps.read_at >= self._good_from
                        answer.set_result(current is not None and is_of_this_database and _agree(stamps, current))
        finally:
            # Whatever happened, nobody is left waiting for a look that never comes.
            self._looking = None
            for _, answer in (*waiting, *self._waiting):
                if not answer.done():
                    answer.set_result(False)
            self._waiting = []

    async def _look(self, scopes: set[Scope]) -> dict[Scope, int] | None:
        """Return the counters that are not 0; None when they cannot be read."""
        wanted = [scope.value for scope, _ in scopes], [scope_id for _, scope_id in scopes]
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                with translated_faults():
                    connection = self._connection or await self._connect()
                    result = await connection.exec_driver_sql(_OF_ALL, wanted)
                    return {(CounterScope(row.scope), row.id): row.value for row in result}
        except (MetadataUnavailable, TimeoutError):
            self._not_before = asyncio.get_running_loop().time() + _PAUSE_SECONDS
            self._is_lost = True
            await self._disconnect()
            return None

    async def _connect(self) -> AsyncConnection:
        self._connection = await self._engine.connect()
        if self._is_lost:
            self._is_lost, self._good_from = False, monotonic()
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(MetadataUnavailable), translated_faults():
                await connection.invalidate()
                await connection.close()


def _agree(stamps: Stamps, current: dict[Scope, int]) -> bool:
    return all(current.get(scope, 0) == value for scope, value in stamps.counters.items())


@asynccontextmanager
async def _open_postgresql(url: URL) -> AsyncIterator[PostgresqlChecks]:
    engine = postgresql_engine(
        url,
        pool_size=1,
        settings={"statement_timeout": milliseconds(_WAIT_SECONDS)},
        connect_seconds=_WAIT_SECONDS,
        statement_seconds=_WAIT_SECONDS,
    )
    async with disposed(engine):
        checks = PostgresqlChecks(engine.execution_options(isolation_level="AUTOCOMMIT"))
        try:
            yield checks
        finally:
            await checks.close()
