"""The queue on arq: jobs in Redis, announcements through its channels. Redis may come and go at any time."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar, assert_never

from arq.constants import expires_extra_ms, in_progress_key_prefix, job_key_prefix
from arq.jobs import serialize_job
from arq.utils import timestamp_ms
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.errors import QueueUnavailable
from shared.models import PackageFileId
from shared.ports.job_queue import (
    DestroyPackageFileJob,
    Job,
    ProcessPackageFileJob,
    QueueBacklog,
    QueueState,
    VerdictWatch,
)
from shared.queue.connection import (
    CALL_SECONDS,
    DESTROY_FUNCTION,
    FRESH_CLAIM_SECONDS,
    JOBS_CHANNEL,
    LONGEST_JOB_SECONDS,
    PROCESS_FUNCTION,
    QUEUE_NAME,
    TURN_KEY_PREFIX,
    VERDICTS_CHANNEL,
    WORKER_SEEN_KEY,
    WORKER_SEEN_MS,
    new_client,
)
from shared.queue.listener import Listener
from shared.queue.serialization import job_serializer
from shared.queue.verdicts import Verdicts

T = TypeVar("T")

_CALLS_AT_ONCE = 16
_FRESH_CLAIM_MS = (LONGEST_JOB_SECONDS + 10 - FRESH_CLAIM_SECONDS) * 1000
"""A claim that lasts longer than this was made within the last FRESH_CLAIM_SECONDS."""


@dataclass(frozen=True, slots=True)
class _Order:
    """A job as arq knows it."""

    queue_id: str
    function: str
    arguments: tuple[int, ...]

    def definition(self, now_ms: int) -> bytes:
        """Return what a worker reads."""
        return serialize_job(self.function, self.arguments, {}, None, now_ms, serializer=job_serializer)


class ArqJobQueue:
    """Jobs, announcements and heartbeats in Redis. Use `open_arq_queue`."""

    def __init__(self, redis: Redis, verdicts: Verdicts) -> None:
        self._redis = redis
        self._verdicts = verdicts
        self._slots = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def enqueue(self, job: Job) -> None:
        order = _order_of(job)
        now_ms = timestamp_ms()

        async def put() -> None:
            # arq's own enqueue_job does the same in three round trips. A job is there until it has run: both keys of
            # one that is queued or running are kept as they are.
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(job_key_prefix + order.queue_id, order.definition(now_ms), nx=True, px=expires_extra_ms)
                pipe.zadd(QUEUE_NAME, {order.queue_id: now_ms}, nx=True)
                pipe.publish(JOBS_CHANNEL, "")
                await pipe.execute()

        await self._call(put)

    async def enqueue_again(self, job: Job) -> None:
        order = _order_of(job)
        now_ms = timestamp_ms()

        claim = in_progress_key_prefix + order.queue_id

        async def put_again() -> None:
            claimed_for_ms = await self._redis.pttl(claim)
            async with self._redis.pipeline(transaction=True) as pipe:
                if claimed_for_ms < _FRESH_CLAIM_MS:
                    # arq starts no claimed job, and a killed worker's claim stays until the longest job would be over.
                    pipe.delete(claim)
                pipe.set(job_key_prefix + order.queue_id, order.definition(now_ms), nx=True, px=expires_extra_ms)
                # Nor one whose time is to come: that of a job that was enqueued before a clock was set back.
                pipe.zadd(QUEUE_NAME, {order.queue_id: now_ms}, lt=True)
                pipe.publish(JOBS_CHANNEL, "")
                await pipe.execute()

        await self._call(put_again)

    def watch(self, file_id: PackageFileId) -> AbstractAsyncContextManager[VerdictWatch]:
        return self._verdicts.watching(file_id)

    def hearing_jobs(self, ring: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        return Listener(self._redis, JOBS_CHANNEL, lambda _: ring()).listening()

    async def announce(self, file_id: PackageFileId) -> None:
        with suppress(QueueUnavailable):
            await self._call(lambda: self._redis.publish(VERDICTS_CHANNEL, str(int(file_id))))

    async def beat(self, worker_id: str) -> None:
        with suppress(QueueUnavailable):
            await self._call(lambda: self._redis.set(WORKER_SEEN_KEY, worker_id, px=WORKER_SEEN_MS))

    async def take_turn(self, name: str, *, seconds: float) -> bool:
        turn = secrets.token_hex(8)

        async def take() -> bool:
            key = TURN_KEY_PREFIX + name
            taken = await self._redis.set(key, turn, nx=True, px=round(seconds * 1000))
            # When the first call's answer was lost, the second one finds what it has set itself.
            return bool(taken) or await self._redis.get(key) == turn.encode()

        return await self._call(take)

    async def state(self) -> QueueState:
        try:
            seen = await self._call(lambda: self._redis.exists(WORKER_SEEN_KEY))
        except QueueUnavailable:
            return QueueState(reachable=False, worker_seen=False)
        return QueueState(reachable=True, worker_seen=bool(seen))

    async def backlog(self) -> QueueBacklog | None:
        async def look() -> tuple[int, list[tuple[bytes, float]]]:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zcard(QUEUE_NAME)
                pipe.zrange(QUEUE_NAME, 0, 0, withscores=True)
                jobs, first = await pipe.execute()
            return int(jobs), first

        try:
            jobs, first = await self._call(look)
        except QueueUnavailable:
            return None
        # A job's place in the queue is the time from which on it is due.
        due_since_ms = first[0][1] if first else timestamp_ms()
        return QueueBacklog(jobs=jobs, oldest_seconds=max(0.0, (timestamp_ms() - due_since_ms) / 1000))

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what Redis answers within a second. Calls must be fit to be made twice.

        Raises:
            QueueUnavailable: it does not answer, or refuses.
        """
        try:
            async with asyncio.timeout(CALL_SECONDS), self._slots:
                with suppress(RedisConnectionError):
                    return await call()
                # Redis may have been restarted since the connection was made; the second call makes a new one.
                return await call()
        except (RedisError, OSError) as error:
            raise QueueUnavailable from error


def _order_of(job: Job) -> _Order:
    match job:
        case ProcessPackageFileJob(file_id=file_id, attempt=attempt):
            return _Order(f"process:{file_id}:{attempt}", PROCESS_FUNCTION, (file_id, attempt))
        case DestroyPackageFileJob(file_id=file_id):
            return _Order(f"destroy:{file_id}", DESTROY_FUNCTION, (file_id,))
        case _:
            assert_never(job)


@asynccontextmanager
async def open_arq_queue(redis_url: str) -> AsyncIterator[ArqJobQueue]:
    """Open the queue. Redis need not be there; when it comes, now or later, the queue works.

    Args:
        redis_url: `redis://`, `rediss://` or `unix:///path`.

    Raises:
        SettingsInvalid: the URL is not that of a Redis.
    """
    redis = new_client(redis_url)
    verdicts = Verdicts(redis)
    try:
        async with verdicts.listening():
            yield ArqJobQueue(redis, verdicts)
    finally:
        await redis.aclose(close_connection_pool=True)
