"""Note when packages were last downloaded: off the path of every download, and at most once a minute a package."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice

import structlog

from shared.errors import MetadataUnavailable, StorageFull
from shared.models import PackageId
from shared.ports.metadata_store import MetadataStore

log = structlog.get_logger()

GRAIN = timedelta(minutes=1)
_GATHERING_SECONDS = 0.5
"""After a write, what is downloaded meanwhile waits for the next one: however many packages, two writes a second."""
_RETRY_SECONDS = 2.0
_LAST_WRITE_SECONDS = 2.0
_PACKAGES_A_WRITE = 200
_MOST_WAITING = 10_000
"""How much is remembered while the database is away."""


def _now() -> datetime:
    return datetime.now(UTC)


class NoteDownloads:
    """Gathers what one process has sent, and writes it down while `writing` is open.

    What is noted is bookkeeping: losing it harms nobody, and no download waits for it or fails with it. Several
    processes that send one package note it once a minute together, because the row decides.
    """

    def __init__(self, store: MetadataStore, *, now: Callable[[], datetime] = _now) -> None:
        """Make it for a store.

        Args:
            now: the clock, in UTC.
        """
        self._store = store
        self._now = now
        self._waiting: dict[PackageId, datetime] = {}
        self._seen: dict[PackageId, datetime] = {}
        self._something_waits = asyncio.Event()

    def __call__(self, package_id: PackageId) -> None:
        """Remember that the package was downloaded just now; costs a look at a dictionary."""
        now = self._now()
        seen = self._seen.get(package_id)
        if seen is not None and abs(now - seen) < GRAIN:
            return
        if len(self._waiting) >= _MOST_WAITING:
            return
        self._seen[package_id] = self._waiting[package_id] = now
        self._something_waits.set()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write down what is remembered, until the block ends; then, bounded, what is left of it."""
        task = asyncio.create_task(self._keep_writing(), name="larder downloads")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            with suppress(MetadataUnavailable, StorageFull, TimeoutError):
                async with asyncio.timeout(_LAST_WRITE_SECONDS):
                    await self._write_all()
            if not task.cancelled():
                task.result()

    async def _keep_writing(self) -> None:
        while True:
            await self._something_waits.wait()
            self._something_waits.clear()
            try:
                await self._write_all()
            except (MetadataUnavailable, StorageFull) as error:
                log.warning("downloads.not_noted", packages=len(self._waiting), error=type(error).__name__)
                self._something_waits.set()
                await asyncio.sleep(_RETRY_SECONDS)
            self._forget_what_is_due()
            await asyncio.sleep(_GATHERING_SECONDS)

    async def _write_all(self) -> None:
        while self._waiting:
            downloads = dict(islice(self._waiting.items(), _PACKAGES_A_WRITE))
            async with self._store.writing() as rows:
                await rows.packages.note_downloads(downloads, grain=GRAIN)
            # Only now: a write that was cut off is made again.
            for package_id in downloads:
                self._waiting.pop(package_id, None)

    def _forget_what_is_due(self) -> None:
        now = self._now()
        self._seen = {package_id: at for package_id, at in self._seen.items() if abs(now - at) < GRAIN}
