"""Announcements reach whoever watches their file, in every process, and Redis may be away."""

import asyncio
import time

import pytest

from shared.models import PackageFileId
from shared.ports.job_queue import JobQueue, ProcessPackageFileJob, VerdictWatch
from shared.queue.arq_queue import open_arq_queue
from tests.contracts.queue.workers import PATIENCE_SECONDS, redis_of, until
from tests.redis_server import RedisServer, new_redis_server

_FILE = PackageFileId(7)
_OTHER_FILE = PackageFileId(77)
_SILENCE_SECONDS = 0.1


async def test_a_watch_hears_what_another_process_announces(queue: JobQueue, other_queue: JobQueue) -> None:
    async with queue.watch(_FILE) as watch:
        await other_queue.announce(_FILE)

        assert await watch.wait(timeout_seconds=PATIENCE_SECONDS)


async def test_a_watch_hears_its_own_process(queue: JobQueue) -> None:
    async with queue.watch(_FILE) as watch:
        await queue.announce(_FILE)

        assert await watch.wait(timeout_seconds=PATIENCE_SECONDS)


async def test_an_announcement_ends_a_wait_that_has_begun(queue: JobQueue, other_queue: JobQueue) -> None:
    async with queue.watch(_FILE) as watch, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(watch.wait(timeout_seconds=PATIENCE_SECONDS))
        await asyncio.sleep(0)
        began = time.monotonic()
        await other_queue.announce(_FILE)
        assert await waiting
        assert time.monotonic() - began < PATIENCE_SECONDS / 2


async def test_all_who_watch_a_file_hear_it(queue: JobQueue, other_queue: JobQueue) -> None:
    async with queue.watch(_FILE) as first, queue.watch(_FILE) as second, other_queue.watch(_FILE) as third:
        await queue.announce(_FILE)

        for watch in (first, second, third):
            assert await watch.wait(timeout_seconds=PATIENCE_SECONDS)


async def test_a_watch_does_not_hear_other_files(queue: JobQueue) -> None:
    async with queue.watch(_FILE) as watch, queue.watch(_OTHER_FILE) as other:
        await queue.announce(_OTHER_FILE)

        assert await other.wait(timeout_seconds=PATIENCE_SECONDS)
        assert not await watch.wait(timeout_seconds=_SILENCE_SECONDS)


async def test_a_watch_does_not_hear_what_was_announced_before_it_began(queue: JobQueue) -> None:
    async with queue.watch(_FILE) as earlier:
        await queue.announce(_FILE)
        assert await earlier.wait(timeout_seconds=PATIENCE_SECONDS)

        async with queue.watch(_FILE) as later:
            assert not await later.wait(timeout_seconds=_SILENCE_SECONDS)


async def test_an_announcement_ends_one_wait_and_the_next_one_another(queue: JobQueue) -> None:
    async with queue.watch(_FILE) as watch:
        for _ in range(2):
            await queue.announce(_FILE)
            assert await watch.wait(timeout_seconds=PATIENCE_SECONDS)
            assert not await watch.wait(timeout_seconds=_SILENCE_SECONDS)


async def test_messages_of_strangers_do_not_end_the_listening(queue: JobQueue, redis_server: RedisServer) -> None:
    async with queue.watch(_FILE) as watch:
        async with redis_of(redis_server) as redis:
            for message in (b"", b"x", b"-7", "²".encode(), b"\xff", b"7" * 30, b"7 "):
                await redis.publish("larder:verdicts", message)
        assert not await watch.wait(timeout_seconds=_SILENCE_SECONDS)

        await queue.announce(_FILE)
        assert await watch.wait(timeout_seconds=PATIENCE_SECONDS)


async def test_watching_and_announcing_without_redis_is_silent() -> None:
    async with new_redis_server() as server, open_arq_queue(server.url) as queue, queue.watch(_FILE) as watch:
        await queue.announce(_FILE)

        assert not await watch.wait(timeout_seconds=_SILENCE_SECONDS)


async def test_a_redis_that_comes_late_is_listened_to() -> None:
    async with new_redis_server() as server, open_arq_queue(server.url) as queue, queue.watch(_FILE) as watch:
        await server.start()

        await _until_heard(queue, watch)


@pytest.mark.parametrize("way", ["kill", "stop"])
async def test_a_watch_hears_announcements_again_after_redis_was_away(
    queue: JobQueue, redis_server: RedisServer, way: str
) -> None:
    async with queue.watch(_FILE) as watch:
        await getattr(redis_server, way)()
        await queue.announce(_FILE)
        assert not await watch.wait(timeout_seconds=_SILENCE_SECONDS)

        await redis_server.start()

        await _until_heard(queue, watch)


async def test_a_queue_that_has_just_been_opened_hears_at_once(redis_server: RedisServer) -> None:
    async with (
        redis_of(redis_server) as redis,
        open_arq_queue(redis_server.url) as queue,
        queue.watch(_FILE) as watch,
    ):
        await redis.publish("larder:verdicts", b"7")

        assert await watch.wait(timeout_seconds=PATIENCE_SECONDS)


async def test_a_watch_that_is_over_is_forgotten(redis_server: RedisServer) -> None:
    async with open_arq_queue(redis_server.url) as queue:
        async with queue.watch(_FILE), queue.watch(_FILE):
            assert queue._verdicts._watches

        assert queue._verdicts._watches == {}


async def test_a_process_keeps_one_subscription_however_many_watch(queue: JobQueue, redis_server: RedisServer) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(_watch_briefly(queue, PackageFileId(number)))

    async with redis_of(redis_server) as redis:
        assert await redis.pubsub_numsub("larder:verdicts") == [(b"larder:verdicts", 1)]


async def test_a_closed_queue_leaves_no_connection(redis_server: RedisServer) -> None:
    async with open_arq_queue(redis_server.url) as queue:
        await queue.announce(_FILE)

    async with redis_of(redis_server) as redis:

        async def only_we_are_connected() -> bool:
            return bool((await redis.info("clients"))["connected_clients"] == 1)

        await until(only_we_are_connected)
        assert await redis.pubsub_numsub("larder:verdicts") == [(b"larder:verdicts", 0)]


async def _until_heard(queue: JobQueue, watch: VerdictWatch) -> None:
    async def heard() -> bool:
        await queue.announce(_FILE)
        return await watch.wait(timeout_seconds=0.05)

    await until(heard)


async def _watch_briefly(queue: JobQueue, file_id: PackageFileId) -> None:
    async with queue.watch(file_id) as watch:
        await queue.announce(file_id)
        assert await watch.wait(timeout_seconds=PATIENCE_SECONDS)


async def test_a_worker_hears_of_a_job_that_was_handed_on_and_of_one_that_was_so_again(
    queue: JobQueue, other_queue: JobQueue
) -> None:
    job, bell = ProcessPackageFileJob(_FILE, 1), asyncio.Event()
    async with queue.hearing_jobs(bell.set), asyncio.timeout(PATIENCE_SECONDS):
        await other_queue.enqueue(job)
        await bell.wait()
        bell.clear()
        await other_queue.enqueue_again(job)
        await bell.wait()
