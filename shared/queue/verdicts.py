"""The ears of a process: one subscription to the channel of verdicts, handed on to whoever watches a file."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from redis.asyncio.client import PubSub, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.models import PackageFileId
from shared.queue.connection import CALL_SECONDS, VERDICTS_CHANNEL

_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 2.0
# A peer that vanished without a word is noticed after two of these.
_SILENCE_SECONDS = 5.0

log = structlog.get_logger()


class Watch:
    """Ears for one file. Each announcement ends one wait: a caller that looks at the row and waits again does wait."""

    def __init__(self) -> None:
        self._announced = asyncio.Event()

    def announce(self) -> None:
        """End the wait, now or when it begins."""
        self._announced.set()

    async def wait(self, *, timeout_seconds: float) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._announced.wait()
        except TimeoutError:
            return False
        self._announced.clear()
        return True


class Verdicts:
    """Hears announcements, and finds a lost Redis again by itself."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._watches: dict[PackageFileId, set[Watch]] = {}
        self._tried = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for as long as the context is open; it opens when Redis was found, or could not be."""
        task = asyncio.create_task(self._listen(), name="larder verdicts")
        try:
            await self._first_try()
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    @asynccontextmanager
    async def watching(self, file_id: PackageFileId) -> AsyncIterator[Watch]:
        """Register ears for one file."""
        watch = Watch()
        watches = self._watches.setdefault(file_id, set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches:
                self._watches.pop(file_id, None)

    async def _first_try(self) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._tried.wait()
        except TimeoutError:
            pass  # Redis neither answers nor refuses; the listener goes on trying.

    async def _listen(self) -> None:
        backoff_seconds = _FIRST_BACKOFF_SECONDS
        was_heard = True
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await self._subscribe(subscription)
                    log.info("verdicts.subscribed")
                    backoff_seconds, was_heard = _FIRST_BACKOFF_SECONDS, True
                    await self._hear(subscription)
            except (RedisError, OSError) as error:
                if was_heard:
                    log.warning("verdicts.subscription_lost", error=type(error).__name__)
                was_heard = False
            finally:
                self._tried.set()
            await asyncio.sleep(backoff_seconds)
            backoff_seconds = min(2 * backoff_seconds, _LONGEST_BACKOFF_SECONDS)

    async def _subscribe(self, subscription: PubSub) -> None:
        async with asyncio.timeout(CALL_SECONDS):
            await subscription.subscribe(VERDICTS_CHANNEL)
            message = await subscription.get_message(timeout=CALL_SECONDS)
        if message is None or message["type"] != "subscribe":
            raise RedisConnectionError("no answer to a subscription")
        self._tried.set()

    async def _hear(self, subscription: PubSub) -> None:
        is_quiet = False
        while True:
            # Longer than it waits for a message, because it may connect anew first.
            async with asyncio.timeout(_SILENCE_SECONDS + CALL_SECONDS):
                message = await subscription.get_message(timeout=_SILENCE_SECONDS)
            if message is not None:
                is_quiet = False
                self._hand_on(message)
            elif is_quiet:
                raise RedisConnectionError("no answer to a ping")
            else:
                is_quiet = True
                async with asyncio.timeout(CALL_SECONDS):
                    await subscription.ping()

    def _hand_on(self, message: dict[str, Any]) -> None:
        data = message["data"]
        if message["type"] != "message" or not data.isdigit():
            return
        for watch in self._watches.get(PackageFileId(int(data)), ()):
            watch.announce()
