"""A worker whose Redis answers and does not do what it is asked, or whose answer was lost on the way."""

import time

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from shared.models import PackageFileId
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue
from shared.queue.arq_queue import open_arq_queue
from tests.contracts.queue.workers import Desk, redis_of, until, working
from tests.redis_server import RedisServer, new_redis_server

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # by arq's own close

_JOB = DestroyPackageFileJob(PackageFileId(7))
_DONE = ("destroy:7", "destroy", 7)
_CLAIM = "arq:in-progress:destroy:7"


async def test_one_that_is_refused_asks_less_and_less_often_says_why_and_goes_on_afterwards() -> None:
    desk = Desk()
    operator_may_do_all = ("user operator on >password ~* &* +@all",)
    with capture_logs() as told:
        async with new_redis_server(options=operator_may_do_all) as server:
            await server.start()
            async with (
                Redis.from_url(server.url.replace("unix://", "unix://operator:password@")) as operator,
                open_arq_queue(server.url) as queue,
            ):
                await operator.acl_setuser("default", enabled=True, commands=["-zrangebyscore"])
                began = time.monotonic()
                async with working(server.url, queue, desk):
                    await queue.enqueue(_JOB)

                    async def is_refused_often() -> bool:
                        return len(refusals(told)) >= 4

                    await until(is_refused_often)
                    assert time.monotonic() - began > 0.1 + 0.2 + 0.4
                    assert desk.done == []

                    await operator.acl_setuser("default", enabled=True, commands=["+zrangebyscore"])

                    async def is_done() -> bool:
                        return desk.done == [_DONE]

                    await until(is_done)
    assert all("zrangebyscore" in line["reason"] for line in refusals(told))


def refusals(told: list[EventDict]) -> list[EventDict]:
    return [line for line in told if line["event"] == "queue.lost"]


async def test_a_job_that_was_claimed_when_the_answer_was_lost_is_not_lost_with_it(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    desk = Desk()
    async with redis_of(redis_server) as redis, working(redis_server.url, queue, desk) as worker:
        await redis.set(_CLAIM, worker._claimant)
        await queue.enqueue(_JOB)

        async def is_done() -> bool:
            return desk.done == [_DONE]

        await until(is_done)


async def test_a_job_that_another_worker_has_claimed_is_left_to_it(queue: JobQueue, redis_server: RedisServer) -> None:
    desk = Desk()
    async with redis_of(redis_server) as redis, working(redis_server.url, queue, desk):
        await redis.set(_CLAIM, b"another")
        await queue.enqueue(_JOB)
        await queue.enqueue(DestroyPackageFileJob(PackageFileId(8)))

        async def is_done() -> bool:
            return bool(desk.done)

        await until(is_done)
        assert desk.done == [("destroy:8", "destroy", 8)]
