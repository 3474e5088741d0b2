"""Workers take turns at what is done for all of them, and do without where Redis cannot tell whose turn it is."""

import asyncio
from collections import Counter

import pytest

from services.worker import sweeping
from services.worker.sweeping import keep_sweeping
from shared.ports.job_queue import JobQueue
from shared.queue.arq_queue import open_arq_queue
from tests.redis_server import RedisServer, new_redis_server
from tests.waiting import eventually
from tests.worker.conftest import Registry

_WORKERS = 3
_PATIENCE_SECONDS = 60


class Done:
    """Counts what was done, and how often somebody asked whose turn it is."""

    def __init__(self, queue: JobQueue) -> None:
        self.counts: Counter[str] = Counter()
        self._queue = queue

    async def take_turn(self, name: str, *, seconds: float) -> bool:
        self.counts[f"asked: {name}"] += 1
        return await self._queue.take_turn(name, seconds=seconds)

    async def sweep(self) -> None:
        self.counts["sweep"] += 1

    async def orphans(self) -> None:
        self.counts["orphans"] += 1

    async def reaches(self, name: str, count: int) -> None:
        async def has_reached() -> bool:
            return self.counts[name] >= count

        await eventually(has_reached, what=f"{name} {count} times", timeout_seconds=_PATIENCE_SECONDS)


async def test_three_workers_sweep_as_often_as_one(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_ORPHANS_TRY_SECONDS", 0.01)
    monkeypatch.setattr(sweeping, "_SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(sweeping, "_OF_ITS_TIME", 100_000.0)
    async with open_arq_queue(redis_server.url) as queue:
        done = Done(queue)
        await _work_until(done, "asked: orphans", "asked: sweep")

    assert (done.counts["sweep"], done.counts["orphans"]) == (1, 1)


async def test_the_next_turn_comes_when_the_last_one_is_over(registry: Registry) -> None:
    queue = registry.backends.queue
    assert await queue.take_turn("sweep", seconds=0.05)
    assert await queue.take_turn("orphans", seconds=3600)

    async def is_our_turn() -> bool:
        return await queue.take_turn("sweep", seconds=3600)

    await eventually(is_our_turn, what="the next turn", timeout_seconds=_PATIENCE_SECONDS)
    assert not await queue.take_turn("sweep", seconds=3600)
    assert not await queue.take_turn("orphans", seconds=3600)


async def test_without_redis_rows_are_swept_and_blobs_are_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_ORPHANS_TRY_SECONDS", 0.01)
    monkeypatch.setattr(sweeping, "_SWEEP_SECONDS", 0.01)
    async with new_redis_server() as server, open_arq_queue(server.url) as queue:
        done = Done(queue)
        await _work_until(done, "sweep", "asked: orphans")

    assert done.counts["orphans"] == 0


async def _work_until(done: Done, *counted: str) -> None:
    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(keep_sweeping(done, done.sweep, done.orphans)) for _ in range(_WORKERS)]
        for name in counted:
            await done.reaches(name, 5 * _WORKERS)
        for worker in workers:
            worker.cancel()
