"""Every test here runs against a real Redis of its own."""

from collections.abc import AsyncIterator

import pytest

from shared.ports.job_queue import JobQueue
from shared.queue.arq_queue import open_arq_queue
from tests.redis_server import RedisServer
from tests.redis_server import redis_server as redis_server  # noqa: PLC0414  # A fixture is used by its name.


@pytest.fixture
async def queue(redis_server: RedisServer) -> AsyncIterator[JobQueue]:
    """Give the queue of one process."""
    async with open_arq_queue(redis_server.url) as opened:
        yield opened


@pytest.fixture
async def other_queue(redis_server: RedisServer) -> AsyncIterator[JobQueue]:
    """Give the queue of another process."""
    async with open_arq_queue(redis_server.url) as opened:
        yield opened
