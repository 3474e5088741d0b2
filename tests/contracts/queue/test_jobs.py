"""Jobs reach a worker, once while they are queued or running, and Redis may be away."""

import asyncio
import json
import time

import pytest

from shared.errors import QueueUnavailable
from shared.models import PackageFileId
from shared.ports.job_queue import DestroyPackageFileJob, Job, JobQueue, ProcessPackageFileJob
from shared.queue.arq_queue import open_arq_queue
from shared.queue.connection import LONGEST_JOB_SECONDS
from tests.contracts.queue.workers import Desk, redis_of, work_off
from tests.ports import free_port
from tests.redis_server import RedisServer, new_redis_server

_FILE = PackageFileId(7)
_PROCESS = ProcessPackageFileJob(_FILE, attempt=2)
_DESTROY = DestroyPackageFileJob(_FILE)
_PROCESS_DONE = ("process:7:2", "process", 7, 2)
_DESTROY_DONE = ("destroy:7", "destroy", 7)
_LONGEST_CALL_SECONDS = 5.0
"""A second, and what a busy machine may add; that a hundred calls wait one after the other would take longer."""
_CLAIM = "arq:in-progress:process:7:2"
_NEW_CLAIM_MS = (LONGEST_JOB_SECONDS + 10) * 1000


@pytest.mark.parametrize(("job", "done"), [(_PROCESS, _PROCESS_DONE), (_DESTROY, _DESTROY_DONE)])
async def test_a_job_reaches_a_worker_under_its_queue_id(
    queue: JobQueue, redis_server: RedisServer, job: Job, done: tuple[object, ...]
) -> None:
    desk = Desk()

    await queue.enqueue(job)
    await work_off(redis_server, desk)

    assert desk.done == [done]


async def test_a_job_is_taken_once_though_it_was_enqueued_often_and_by_several_processes(
    queue: JobQueue, other_queue: JobQueue, redis_server: RedisServer
) -> None:
    desk = Desk()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(queue.enqueue(_PROCESS))
            tasks.create_task(other_queue.enqueue(_PROCESS))
    await work_off(redis_server, desk)

    assert desk.done == [_PROCESS_DONE]


async def test_a_job_that_runs_is_not_queued_again(queue: JobQueue, redis_server: RedisServer) -> None:
    desk = Desk()
    desk.may_end.clear()
    await queue.enqueue(_PROCESS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work_off(redis_server, desk))
        async with asyncio.timeout(60):
            await desk.begun.wait()
        await queue.enqueue(_PROCESS)
        desk.may_end.set()
    await work_off(redis_server, desk)

    assert desk.done == [_PROCESS_DONE]


async def test_a_job_that_a_killed_worker_holds_is_taken_by_another_when_it_is_enqueued_again(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    desk = Desk()
    await queue.enqueue(_PROCESS)
    async with redis_of(redis_server) as redis:
        await redis.set(_CLAIM, b"1", px=_NEW_CLAIM_MS - 15_500)

    await queue.enqueue(_PROCESS)
    async with redis_of(redis_server) as redis:
        assert await redis.exists(_CLAIM)
    await queue.enqueue_again(_PROCESS)
    await work_off(redis_server, desk)

    assert desk.done == [_PROCESS_DONE]


async def test_a_job_that_a_worker_has_just_taken_is_left_to_it(queue: JobQueue, redis_server: RedisServer) -> None:
    async with redis_of(redis_server) as redis:
        await redis.set(_CLAIM, b"1", px=_NEW_CLAIM_MS)

        await queue.enqueue_again(_PROCESS)

        assert await redis.exists(_CLAIM)


async def test_a_job_enqueued_before_a_clock_was_set_back_is_taken_when_it_is_enqueued_again(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    desk = Desk()
    await queue.enqueue(_PROCESS)
    async with redis_of(redis_server) as redis:
        await redis.zadd("larder:jobs", {"process:7:2": (time.time() + 86_400) * 1000})

    await queue.enqueue_again(_PROCESS)
    await work_off(redis_server, desk)

    assert desk.done == [_PROCESS_DONE]


async def test_a_job_that_redis_lost_is_queued_when_it_is_enqueued_again(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    desk = Desk()

    await queue.enqueue_again(_PROCESS)
    await queue.enqueue_again(_PROCESS)
    await work_off(redis_server, desk)

    assert desk.done == [_PROCESS_DONE]


async def test_a_job_cannot_be_enqueued_again_while_redis_is_dead(queue: JobQueue, redis_server: RedisServer) -> None:
    await redis_server.kill()

    with pytest.raises(QueueUnavailable):
        await queue.enqueue_again(_PROCESS)


async def test_a_job_that_runs_also_runs_elsewhere_when_it_is_enqueued_again(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    first, second = Desk(), Desk()
    first.may_end.clear()
    await queue.enqueue(_PROCESS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work_off(redis_server, first))
        async with asyncio.timeout(60):
            await first.begun.wait()
        await queue.enqueue_again(_PROCESS)
        await work_off(redis_server, second)
        first.may_end.set()

    assert first.done == second.done == [_PROCESS_DONE]


async def test_a_job_that_has_run_can_be_queued_again(queue: JobQueue, redis_server: RedisServer) -> None:
    desk = Desk()

    for _ in range(2):
        await queue.enqueue(_DESTROY)
        await work_off(redis_server, desk)

    assert desk.done == [_DESTROY_DONE, _DESTROY_DONE]


async def test_another_attempt_and_another_kind_are_other_jobs(queue: JobQueue, redis_server: RedisServer) -> None:
    desk = Desk()

    await queue.enqueue(_PROCESS)
    await queue.enqueue(ProcessPackageFileJob(_FILE, attempt=3))
    await queue.enqueue(_DESTROY)
    await work_off(redis_server, desk)

    assert sorted(desk.done) == [_DESTROY_DONE, _PROCESS_DONE, ("process:7:3", "process", 7, 3)]


async def test_a_job_that_is_enqueued_again_and_again_keeps_its_place(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    async with redis_of(redis_server) as redis:
        await queue.enqueue(_PROCESS)
        await redis.zincrby("larder:jobs", -60_000, "process:7:2")
        place = await redis.zscore("larder:jobs", "process:7:2")

        await queue.enqueue(_PROCESS)
        await queue.enqueue_again(_PROCESS)

        assert await redis.zscore("larder:jobs", "process:7:2") == place


async def test_a_job_is_stored_as_json(queue: JobQueue, redis_server: RedisServer) -> None:
    await queue.enqueue(_PROCESS)

    async with redis_of(redis_server) as redis:
        stored = json.loads(await redis.get("arq:job:process:7:2") or b"")

    assert stored | {"et": 0} == {"t": None, "f": "process_package_file", "a": [7, 2], "k": {}, "et": 0}


async def test_many_jobs_at_once_are_all_queued(queue: JobQueue, redis_server: RedisServer) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(queue.enqueue(DestroyPackageFileJob(PackageFileId(number))))

    async with redis_of(redis_server) as redis:
        assert await redis.zcard("larder:jobs") == 200


async def test_opening_needs_no_redis_and_what_comes_later_is_used() -> None:
    async with new_redis_server() as server:
        began = time.monotonic()
        async with open_arq_queue(server.url) as queue:
            assert time.monotonic() - began < _LONGEST_CALL_SECONDS
            with pytest.raises(QueueUnavailable):
                await queue.enqueue(_PROCESS)

            await server.start()
            await queue.enqueue(_PROCESS)
            desk = Desk()
            await work_off(server, desk)

    assert desk.done == [_PROCESS_DONE]


async def test_a_job_cannot_be_queued_while_redis_is_dead_and_can_when_it_is_back(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    await queue.enqueue(_DESTROY)
    await redis_server.kill()

    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(QueueUnavailable):
            await queue.enqueue(_PROCESS)
        assert time.monotonic() - began < _LONGEST_CALL_SECONDS

    await redis_server.start()
    await queue.enqueue(_PROCESS)
    desk = Desk()
    await work_off(redis_server, desk)
    assert _PROCESS_DONE in desk.done


async def test_the_first_job_after_a_restart_is_queued(queue: JobQueue, redis_server: RedisServer) -> None:
    async with asyncio.TaskGroup() as tasks:  # Opens several connections, which the restart makes stale.
        for number in range(8):
            tasks.create_task(queue.enqueue(DestroyPackageFileJob(PackageFileId(number))))
    await redis_server.kill()
    redis_server.lose_data()
    await redis_server.start()

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(queue.enqueue(DestroyPackageFileJob(PackageFileId(number))))

    async with redis_of(redis_server) as redis:
        assert await redis.zcard("larder:jobs") == 8


@pytest.mark.usefixtures("redis_is_given_a_second")
async def test_a_redis_that_hangs_is_given_up_within_a_second_and_used_again_when_it_goes_on(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    await queue.enqueue(_DESTROY)
    redis_server.freeze()

    began = time.monotonic()
    with pytest.raises(QueueUnavailable):
        await queue.enqueue(_PROCESS)
    assert time.monotonic() - began < _LONGEST_CALL_SECONDS

    redis_server.thaw()
    await queue.enqueue(_PROCESS)
    desk = Desk()
    await work_off(redis_server, desk)
    assert sorted(desk.done) == [_DESTROY_DONE, _PROCESS_DONE]


@pytest.mark.usefixtures("redis_is_given_a_second")
async def test_many_calls_into_a_redis_that_hangs_are_all_given_up_in_time(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    redis_server.freeze()

    began = time.monotonic()
    calls = [asyncio.create_task(queue.enqueue(DestroyPackageFileJob(PackageFileId(number)))) for number in range(100)]
    await asyncio.wait(calls)
    seconds = time.monotonic() - began
    redis_server.thaw()

    assert {type(call.exception()) for call in calls} == {QueueUnavailable}
    assert seconds < _LONGEST_CALL_SECONDS


async def test_the_queue_works_over_tcp(redis_server: RedisServer) -> None:
    async with new_redis_server(port=free_port()) as server:
        await server.start()
        async with open_arq_queue(server.tcp_url) as queue:
            await queue.enqueue(_PROCESS)
            desk = Desk()
            await work_off(server, desk)

    assert desk.done == [_PROCESS_DONE]


async def test_a_call_that_is_cancelled_is_cancelled_whatever_it_is_doing(queue: JobQueue) -> None:
    """Else a worker whose Redis went away would go on beating for ever, and neither end nor work."""
    swallowed = []
    for turns in range(20):
        await queue.beat("worker")  # So that each call finds an open connection.
        call = asyncio.create_task(queue.beat("worker"))
        for _ in range(turns):
            await asyncio.sleep(0)
        if call.cancel():
            await asyncio.wait({call})
            if not call.cancelled():
                swallowed.append(turns)

    assert swallowed == []
