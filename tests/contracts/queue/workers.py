"""Real workers, and patience."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from arq.connections import ArqRedis
from arq.worker import Worker, func

from services.worker.prompt import PromptWorker
from shared.ports.job_queue import JobQueue
from shared.queue.connection import DESTROY_FUNCTION, PROCESS_FUNCTION, QUEUE_NAME, new_worker_client
from shared.queue.serialization import job_deserializer, job_serializer
from tests.redis_server import RedisServer
from tests.waiting import eventually

PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.01


class Desk:
    """What a worker's jobs do: they note their arguments, and wait for leave where the test wants them to."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def process(self, ctx: dict[str, Any], file_id: int, attempt: int) -> None:
        """Take `process_package_file`."""
        await self._note(ctx, "process", file_id, attempt)

    async def destroy(self, ctx: dict[str, Any], file_id: int) -> None:
        """Take `destroy_package_file`."""
        await self._note(ctx, "destroy", file_id)

    async def _note(self, ctx: dict[str, Any], *what: object) -> None:
        self.begun.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.may_end.wait()
        self.done.append((ctx["job_id"], *what))


@asynccontextmanager
async def redis_of(server: RedisServer) -> AsyncIterator[ArqRedis]:
    """Connect as a worker does."""
    redis = new_worker_client(server.url)
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


async def work_off(server: RedisServer, desk: Desk) -> None:
    """Let a worker take all jobs that are queued."""
    async with redis_of(server) as redis:
        worker = Worker(
            functions=[func(desk.process, name=PROCESS_FUNCTION), func(desk.destroy, name=DESTROY_FUNCTION)],
            queue_name=QUEUE_NAME,
            redis_pool=redis,
            burst=True,
            handle_signals=False,
            max_jobs=1,  # A worker that is busy leaves other jobs, and its own one enqueued again, to others.
            poll_delay=0.01,
            keep_result=0,
            job_serializer=job_serializer,
            job_deserializer=job_deserializer,
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            await worker.async_run()
        assert worker.jobs_failed == 0


@asynccontextmanager
async def working(url: str, queue: JobQueue, desk: Desk) -> AsyncIterator[PromptWorker]:
    """Run the registry's own worker in the background, which must not end by itself."""
    worker = PromptWorker(
        queue=queue,
        functions=[func(desk.process, name=PROCESS_FUNCTION), func(desk.destroy, name=DESTROY_FUNCTION)],
        redis_pool=new_worker_client(url),
        queue_name=QUEUE_NAME,
        handle_signals=False,
        keep_result=0,
        job_serializer=job_serializer,
        job_deserializer=job_deserializer,
    )
    running = asyncio.create_task(worker.async_run())
    try:
        yield worker
        assert not running.done(), "it has ended by itself"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await asyncio.gather(*worker.tasks.values(), return_exceptions=True)  # Closing would cut them.
        await worker.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return when it holds; fail when it does not within a minute."""
    await eventually(holds, what="it comes true", timeout_seconds=PATIENCE_SECONDS)
