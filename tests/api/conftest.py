"""A whole registry for each test: the real application on a socket, the engines of the run, Redis and the worker."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.settings import Settings, read_settings
from tests.api.registry import Registry, running_registry, running_worker
from tests.backends import sqlite_template
from tests.engines import migrated_settings
from tests.redis_server import RedisServer, redis_is_given_time, redis_server
from tests.uncounted_writes import every_change_is_counted

__all__ = ["every_change_is_counted", "redis_is_given_time", "redis_server", "sqlite_template"]


@pytest.fixture
def environment() -> dict[str, str]:
    """Give the settings that a test wants beside the usual ones; tests override it."""
    return {}


@pytest.fixture
def settings(
    environment: dict[str, str], tmp_path: Path, redis_server: RedisServer, request: pytest.FixtureRequest
) -> Iterator[Settings]:
    """Give the settings of a registry whose database is there and migrated."""
    with migrated_settings() as engines:
        if not engines:
            shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "larder.sqlite3")
        yield read_settings(
            {
                "LARDER_DATA_DIR": str(tmp_path),
                "LARDER_PORT": "0",
                "LARDER_REDIS_URL": redis_server.url,
                # As long as a busy machine may need: an upload that is told 202 breaks most tests.
                "LARDER_UPLOAD_WAIT_SECONDS": "60",
                **{f"LARDER_{name}": value for name, value in engines.items()},
                **environment,
            }
        )


@pytest.fixture
async def bare_registry(settings: Settings) -> AsyncIterator[Registry]:
    """Run a registry without a worker."""
    async with running_registry(settings) as registry:
        yield registry


@pytest.fixture
async def registry(settings: Settings) -> AsyncIterator[Registry]:
    """Run a registry with its worker."""
    async with running_registry(settings) as registry, running_worker(settings):
        yield registry
