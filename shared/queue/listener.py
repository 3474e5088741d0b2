"""The ears of a process: a subscription to one channel, which finds a lost Redis again by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from redis.asyncio.client import PubSub, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.queue.connection import CALL_SECONDS

_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 2.0
# A peer that vanished without a word is noticed after two of these.
_SILENCE_SECONDS = 5.0

log = structlog.get_logger()


class Listener:
    """Hears what is said on a channel.

    Args:
        hand_on: gets the bytes of each message.
    """

    def __init__(self, redis: Redis, channel: str, hand_on: Callable[[bytes], None]) -> None:
        self._redis = redis
        self._channel = channel
        self._hand_on = hand_on
        self._tried = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for as long as the context is open; it opens when Redis was found, or could not be."""
        task = asyncio.create_task(self._listen(), name=f"larder ears {self._channel}")
        try:
            await self._first_try()
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

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
                    log.info("channel.subscribed", channel=self._channel)
                    backoff_seconds, was_heard = _FIRST_BACKOFF_SECONDS, True
                    await self._hear(subscription)
            except (RedisError, OSError) as error:
                if was_heard:
                    log.warning("channel.subscription_lost", channel=self._channel, error=type(error).__name__)
                was_heard = False
            finally:
                self._tried.set()
            await asyncio.sleep(backoff_seconds)
            backoff_seconds = min(2 * backoff_seconds, _LONGEST_BACKOFF_SECONDS)

    async def _subscribe(self, subscription: PubSub) -> None:
        async with asyncio.timeout(CALL_SECONDS):
            await subscription.subscribe(self._channel)
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
                if message["type"] == "message":
                    self._hand_on(message["data"])
            elif is_quiet:
                raise RedisConnectionError("no answer to a ping")
            else:
                is_quiet = True
                async with asyncio.timeout(CALL_SECONDS):
                    await subscription.ping()
