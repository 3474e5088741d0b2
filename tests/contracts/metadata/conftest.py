"""Every test here runs once for each engine, on a database of its own."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.metadata.store import SqlMetadataStore, open_metadata_store
from tests.backends import (  # noqa: F401 - fixtures
    PostgresqlServer,
    postgresql_database,
    postgresql_server,
    sqlite_template,
)
from tests.uncounted_writes import every_change_is_counted  # noqa: F401 - it watches all of them

_SQLITE_THREAD = "_connection_worker_thread"

ENGINES = (
    pytest.param("sqlite", marks=pytest.mark.embedded("SQLite")),
    pytest.param("postgresql", marks=pytest.mark.slow),
)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Give the name of the engine."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
async def _threads_end() -> AsyncIterator[None]:
    """Fail a test that leaves a connection open: each SQLite connection has a thread."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and _SQLITE_THREAD in thread.name]
    for thread in left:
        await asyncio.to_thread(thread.join, 60)
    assert not any(thread.is_alive() for thread in left), "the test left a connection open"


@pytest.fixture
def empty_url(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a database without a schema."""
    if engine == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.sqlite3"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def database_url(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a database with the schema and no rows."""
    if engine == "sqlite":
        path = tmp_path / "larder.sqlite3"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    name = request.getfixturevalue("postgresql_database")
    server.empty_database(name)
    yield server.url(name)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlMetadataStore]:
    """Give an open store."""
    async with open_metadata_store(database_url) as opened:
        yield opened
