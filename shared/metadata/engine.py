"""Set-up of the engines: one text for SQLite and PostgreSQL from here on.

SQLite has one writer connection in a process, which takes the write lock when it begins (`BEGIN IMMEDIATE`; the default
would read first, ask for the lock later and lose updates), and a few readers, each of which sees one snapshot.
PostgreSQL has one pool for both: writers at READ COMMITTED, with the rows locked that they decide by, and readers at
REPEATABLE READ, so that their selects agree.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from shared.errors import MetadataUnavailable
from shared.metadata.doors import Doors, Gate, ServerDoor
from shared.metadata.prepared import PreparedStatements
from shared.metadata.sqlite_connection import SqliteConnection
from shared.metadata.sqlite_doors import SqliteReaders, SqliteWriter
from shared.metadata.sqlite_driver import connect

_SQLITE_SCHEME = "sqlite://"
_OLDEST_SQLITE = (3, 35, 0)
"""The first that knows RETURNING."""
_SQLITE_READERS = 4
POSTGRESQL_CONNECTIONS = 5
"""For one process, of which a machine runs one a core; a server takes a hundred as it comes."""
_RECYCLE_SECONDS = 1800
"""After which a connection is made anew: what its session has gathered goes, and the host is looked up again."""
_IDLE_IN_TRANSACTION_SECONDS = 60.0


@asynccontextmanager
async def open_doors(
    url: str, *, wait_seconds: float, connections: int = POSTGRESQL_CONNECTIONS
) -> AsyncIterator[Doors]:
    """Set up the engines for a database; nothing connects before it is needed.

    Args:
        url: `sqlite:///<absolute path>` or `postgresql://...`.
        wait_seconds: how long a transaction may wait for a connection, and then for a lock.
        connections: how many there may be to PostgreSQL.

    Raises:
        ValueError: the URL is neither.
    """
    path = sqlite_path(url)
    if path is None:
        async with _open_postgresql(postgresql_url(url), wait_seconds, connections) as doors:
            yield doors
    else:
        async with _open_sqlite(path, wait_seconds) as doors:
            yield doors


def sqlite_path(url: str) -> Path | None:
    """Return where the database of a `sqlite:` URL lies; None for other URLs. The path is taken as it stands, absolute.

    Raises:
        ValueError: the URL names no file.
    """
    if not url.startswith(_SQLITE_SCHEME):
        return None
    path = url.removeprefix(_SQLITE_SCHEME)
    if not path.strip("/") or not path.startswith("/"):
        raise ValueError("a sqlite URL is sqlite:///<absolute path>")
    return Path("/" + path.lstrip("/"))


def postgresql_url(url: str) -> URL:
    """Return the URL with the driver in it.

    Raises:
        ValueError: it is not one of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    # Neither message shows the URL: it may hold a password.
    if parsed is None or parsed.get_backend_name() not in ("postgresql", "postgres") or not parsed.database:
        raise ValueError("a database URL is sqlite:///<absolute path> or postgresql://user:password@host/database")
    query = {("ssl" if name == "sslmode" else name): value for name, value in parsed.query.items()}
    return parsed.set(drivername="postgresql+asyncpg", query=query)


def shown_url(url: str) -> str:
    """Return a database's URL as it may be printed: without its password.

    Raises:
        ValueError: it is none of a database.
    """
    if sqlite_path(url) is not None:
        return url
    parsed = postgresql_url(url).set(drivername="postgresql")
    query = {name: "***" if name.endswith("password") else value for name, value in parsed.query.items()}
    return parsed.set(query=query).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def sqlite_engine(path: Path, *, pool_size: int, begin: str, pragmas: tuple[str, ...]) -> AsyncEngine:
    """Return an engine whose transactions begin with `begin`, on connections that `pragmas` have prepared.

    Raises:
        MetadataUnavailable: this Python comes with a SQLite that is too old.
    """
    _require_sqlite()
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        hide_parameters=True,  # Digests of tokens and whole forms would stand in the log of a failed statement.
        # None: the driver begins nothing by itself, so `begin` decides.
        connect_args={"isolation_level": None, "timeout": 0},
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
    )

    def prepare(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", _beginner(begin))
    return engine


def postgresql_engine(
    url: URL, *, pool_size: int, settings: dict[str, str], connect_seconds: float, statement_seconds: float
) -> AsyncEngine:
    """Return an engine whose sessions have these settings."""
    return create_async_engine(
        url,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        connect_args={
            "timeout": connect_seconds,
            # Beyond the server's own limit: for a server that has fallen silent.
            "command_timeout": statement_seconds + 5.0,
            "server_settings": {"application_name": "larder", **settings},
        },
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=_RECYCLE_SECONDS,
    )


def milliseconds(seconds: float) -> str:
    """Return the time as databases take it."""
    return str(max(1, round(seconds * 1000)))


def _beginner(statement: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin


@asynccontextmanager
async def _open_sqlite(path: Path, wait_seconds: float) -> AsyncIterator[Doors]:
    engine = _sqlite_doors_engine(path)
    connection = partial(SqliteConnection, engine, PreparedStatements(engine.dialect), wait_seconds=wait_seconds)
    # FULL: what was committed survives a power cut. Each connection has to say so for itself.
    # It waits for the write lock by itself, see `sqlite_driver`.
    writing = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=0")
    writer = SqliteWriter(partial(connection, pragmas=writing), directory=path.parent, wait_seconds=wait_seconds)
    readers = SqliteReaders(
        partial(connection, pragmas=("query_only=ON",)),
        Gate(_SQLITE_READERS),
        _SQLITE_READERS,
        wait_seconds,
    )
    try:
        yield Doors(reader=readers, writer=writer, pools=lambda: (readers.use(), writer.use()))
    finally:
        await readers.close()
        await writer.close()


def _sqlite_doors_engine(path: Path) -> AsyncEngine:
    """Return what makes connections that begin nothing by themselves."""
    _require_sqlite()
    return create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        hide_parameters=True,  # As above.
        connect_args={"async_creator_fn": lambda *_, **__: connect(path)},
        poolclass=NullPool,
    )


def _require_sqlite() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise MetadataUnavailable(f"SQLite {oldest} is needed; this Python comes with {sqlite3.sqlite_version}")


@asynccontextmanager
async def _open_postgresql(url: URL, wait_seconds: float, connections: int) -> AsyncIterator[Doors]:
    engine = postgresql_engine(
        url,
        pool_size=connections,
        settings={
            "lock_timeout": milliseconds(wait_seconds),
            "statement_timeout": milliseconds(2 * wait_seconds),
            "idle_in_transaction_session_timeout": milliseconds(_IDLE_IN_TRANSACTION_SECONDS),
        },
        connect_seconds=wait_seconds,
        statement_seconds=2 * wait_seconds,
    )
    readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    gate = Gate(connections)
    pool = engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    async with disposed(engine):
        yield Doors(
            reader=ServerDoor(readers, gate, connections, wait_seconds),
            writer=ServerDoor(engine, gate, connections, wait_seconds),
            pools=lambda: (gate.use("server", idle=pool.checkedin()),),
        )


@asynccontextmanager
async def disposed(engine: AsyncEngine) -> AsyncIterator[None]:
    """Close the engine's connections when the block ends."""
    try:
        yield
    finally:
        await engine.dispose()
