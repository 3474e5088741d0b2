"""Every test here runs against a real Redis of its own."""

from collections.abc import AsyncIterator

import pytest

from shared.ports.job_queue import JobQueue
from shared.queue import arq_queue
from shared.queue.arq_queue import open_arq_queue
from shared.queue.connection import CALL_SECONDS
from tests.redis_server import RedisServer, redis_is_given_time, redis_server

__all__ = ["redis_is_given_time", "redis_server"]


@pytest.fixture
def redis_is_given_a_second(redis_is_given_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls be given up as usual, where Redis hangs."""
    monkeypatch.setattr(arq_queue, "CALL_SECONDS", CALL_SECONDS)


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
