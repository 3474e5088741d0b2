"""Whether this process wants to be sent requests: not while it starts, and not while it drains."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from shared.usecases.readiness import Check, ReadinessReport

STOPPING = "shutting down"
SETTLING_SECONDS = 10.0
"""How long a start waits for Redis and a worker; an upload without them still is safe, only slower."""


_SETTLED_SECONDS = 0.1
_LOOK_SECONDS = 1.0


def _clock() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Lifecycle:
    """The life of one API process. Made inside its event loop.

    Args:
        drain_seconds: for how long it takes connections once it drains.
        grace_seconds: how long requests that are under way may take to finish after that.
        draining_since: by the loop's clock; None while it serves.
    """

    grace_seconds: float = 30.0
    drain_seconds: float = 0.0
    started_at: float = field(default_factory=_clock)
    has_settled: bool = False
    has_seen_blob_store: bool = False
    draining_since: float | None = None
    requests_under_way: int = 0
    requests_begun: int = 0
    _is_idle: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request, or the sending of its answer, while it is under way."""
        self.begin_request()
        try:
            yield
        finally:
            self.end_request()

    def begin_request(self) -> None:
        """Count one more that is under way, until `end_request` is called."""
        self.requests_under_way += 1
        self.requests_begun += 1
        self._is_idle.clear()

    def end_request(self) -> None:
        """Count it no more."""
        self.requests_under_way -= 1
        if self.requests_under_way == 0:
            self._is_idle.set()

    def drain(self) -> None:
        """Note that the process is about to end: readiness says so, and connections end with their next answer."""
        self.draining_since = _clock()

    @property
    def is_draining(self) -> bool:
        """Say whether the process is about to end."""
        return self.draining_since is not None

    def is_in_a_hurry(self) -> bool:
        """Say whether who could wait, or answer now, had better answer: little of the grace is left."""
        if self.draining_since is None:
            return False
        return _clock() - self.draining_since >= self.drain_seconds + self.grace_seconds / 2

    async def idle(self) -> None:
        """Wait until no request is under way, and for a moment none was.

        Clients that keep their connections are about to send another one, which shall be answered, too; with that they
        hear that the connection ends.
        """
        while True:
            if self.requests_under_way:
                await self._is_idle.wait()
            begun = self.requests_begun
            await asyncio.sleep(_SETTLED_SECONDS)
            if not self.requests_under_way and begun == self.requests_begun:
                return

    @asynccontextmanager
    async def looking_for_blob_store(self, check: Callable[[], Awaitable[Check]]) -> AsyncIterator[None]:
        """While the block runs, look for what has to be seen once: it may be that nobody asks.

        Processes that share a socket are not all asked, and one that is asked for the first time when the blob store is
        away would not be ready.
        """

        async def look() -> None:
            while not self.has_seen_blob_store:
                self._note(await check())
                await asyncio.sleep(_LOOK_SECONDS)

        looking = asyncio.create_task(look(), name="larder readiness")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})

    def obstacle(self, report: ReadinessReport) -> str | None:
        """Return why no requests should be sent here, or None.

        Nothing useful can be done without the database. Redis and the workers count only until they were seen once:
        without them an upload is still safe, and reads do not need them. So does the blob store, without which pages
        are still served: one that is away is away for all processes, and who took all of them out of the rotation for
        it would have no pages either. One that was never seen is likely to be named wrongly, in a version that must
        not replace the last one; and one that belongs to another database takes nothing that anybody finds again.
        """
        if (report.redis.is_ok and report.worker.is_ok) or _clock() - self.started_at >= SETTLING_SECONDS:
            self.has_settled = True
        self._note(report.blob_store)
        if self.is_draining:
            return STOPPING
        if not report.database.is_ok:
            return f"database: {report.database.message}"
        if not report.blob_store.is_ok and (report.blob_store.is_another or not self.has_seen_blob_store):
            return f"blob store: {report.blob_store.message}"
        return None if self.has_settled else "starting: waiting for Redis and a worker"

    def _note(self, blob_store: Check) -> None:
        if blob_store.is_ok and blob_store.is_certain:
            self.has_seen_blob_store = True
