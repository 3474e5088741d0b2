"""What becomes of announced verdicts: they are handed on to whoever watches a file."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from redis.asyncio.client import Redis

from shared.models import PackageFileId
from shared.queue.connection import VERDICTS_CHANNEL
from shared.queue.listener import Listener


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
    """Hears announcements."""

    def __init__(self, redis: Redis) -> None:
        self._watches: dict[PackageFileId, set[Watch]] = {}
        self._listener = Listener(redis, VERDICTS_CHANNEL, self._hand_on)

    def listening(self) -> AbstractAsyncContextManager[None]:
        """Listen for as long as the context is open; it opens when Redis was found, or could not be."""
        return self._listener.listening()

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

    def _hand_on(self, data: bytes) -> None:
        if not data.isdigit():
            return
        for watch in self._watches.get(PackageFileId(int(data)), ()):
            watch.announce()
