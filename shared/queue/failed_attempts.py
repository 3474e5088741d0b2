"""Failed authentications in Redis: one counter for each client, which ends by itself."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.ports.failed_attempts import IpAddress
from shared.queue.connection import new_client

WINDOW_MS = 60_000
_NOTE_SECONDS = 1.0
"""How long a request that failed may wait to be counted: no other request waits for that."""
_CALLS_AT_ONCE = 16
_MOST_BLOCKED = 10_000
_SITE_PREFIX_BITS = 64

log = structlog.get_logger()


class RedisFailedAttempts:
    """Counters in Redis, blocks in memory. Use `open_failed_attempts`.

    Args:
        most_blocked: how many blocks are remembered; those that were met first are forgotten first, and are noted
            again with the next failure.
    """

    def __init__(
        self, redis: Redis, *, limit: int, now: Callable[[], float], most_blocked: int, note_seconds: float
    ) -> None:
        self._redis = redis
        self._limit = limit
        self._now = now
        self._most_blocked = most_blocked
        self._note_seconds = note_seconds
        self._blocked_until: dict[str, float] = {}
        self._slots = asyncio.Semaphore(_CALLS_AT_ONCE)

    def seconds_blocked(self, address: IpAddress) -> float:
        if not self._blocked_until:
            return 0.0
        return max(self._blocked_until.get(_client(address), 0.0) - self._now(), 0.0)

    async def note(self, address: IpAddress) -> float:
        blocked_seconds = self.seconds_blocked(address)
        if blocked_seconds > 0:
            return blocked_seconds  # Somebody noted it while this request was under way.
        client = _client(address)
        try:
            async with asyncio.timeout(self._note_seconds), self._slots:
                failures, remaining_ms = await self._count(client)
        except (RedisError, OSError):
            return 0.0
        if failures <= self._limit or remaining_ms <= 0:
            return 0.0
        self._block(client, remaining_ms / 1000)
        return remaining_ms / 1000

    async def _count(self, client: str) -> tuple[int, int]:
        """Return how often the client has failed, this time included, and for how long that counts (milliseconds)."""
        key = f"larder:auth-failures:{client}"
        async with self._redis.pipeline(transaction=True) as pipe:
            # In one transaction, so that no counter is ever left without its end. It does not move with later failures.
            pipe.set(key, 0, nx=True, px=WINDOW_MS)
            pipe.incr(key)
            pipe.pttl(key)
            _, failures, remaining_ms = await pipe.execute()
        return int(failures), int(remaining_ms)

    def _block(self, client: str, seconds: float) -> None:
        now = self._now()
        if self._blocked_until.pop(client, 0.0) <= now:
            log.warning("auth.client_blocked", client=client, seconds=round(seconds, 3))
        # The oldest stand first. None lasts longer than a minute, so that what is over does not stay for long.
        while self._blocked_until:
            oldest = next(iter(self._blocked_until))
            if self._blocked_until[oldest] > now and len(self._blocked_until) < self._most_blocked:
                break
            del self._blocked_until[oldest]
        self._blocked_until[client] = now + seconds


def _client(address: IpAddress) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((int(address), _SITE_PREFIX_BITS), strict=False))


@asynccontextmanager
async def open_failed_attempts(
    redis_url: str,
    *,
    limit: int,
    now: Callable[[], float] = time.monotonic,
    most_blocked: int = _MOST_BLOCKED,
    note_seconds: float = _NOTE_SECONDS,
) -> AsyncIterator[RedisFailedAttempts]:
    """Open the count. Redis need not be there.

    Args:
        redis_url: `redis://`, `rediss://` or `unix:///path`.
        limit: how many failures a client may have in a minute.
        now: a clock in seconds that never goes back, by which blocks end.
        note_seconds: how long a note may take; one that takes longer does not count.

    Raises:
        SettingsInvalid: the URL is not that of a Redis.
    """
    redis = new_client(redis_url)
    try:
        yield RedisFailedAttempts(redis, limit=limit, now=now, most_blocked=most_blocked, note_seconds=note_seconds)
    finally:
        await redis.aclose(close_connection_pool=True)
