"""What an operator watches of a registry as a whole: what it holds, what waits, and how its parts fare."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import LarderError
from shared.ports.job_queue import JobQueue, QueueBacklog
from shared.ports.metadata_store import MetadataStore
from shared.ports.totals_rows import RegistryTotals
from shared.usecases.latest import Latest
from shared.usecases.readiness import CheckReadiness, ReadinessReport

_COUNT_SECONDS = 60.0
"""How long a count may take."""
TOTALS_AGE_SECONDS = 30.0
"""How old totals may be: they cost the more the more there is."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The registry, as of now.

    Args:
        totals: at most half a minute old; None when they cannot be read.
        backlog: None while Redis is away.
        at: the clock that the ages of what waits are reckoned by.
    """

    totals: RegistryTotals | None
    backlog: QueueBacklog | None
    readiness: ReadinessReport
    at: datetime


class WatchRegistry:
    """Look at everything, however many ask."""

    def __init__(self, *, store: MetadataStore, queue: JobQueue, check_readiness: CheckReadiness) -> None:
        self._store = store
        self._queue = queue
        self._check_readiness = check_readiness
        self._totals = Latest(self._count, most_seconds=lambda: TOTALS_AGE_SECONDS)

    async def __call__(self) -> Watched:
        """Return what is to be seen; what cannot be seen is None."""
        totals = await self._totals()
        backlog = await self._queue.backlog()
        return Watched(totals, backlog, await self._check_readiness(), datetime.now(UTC))

    async def _count(self) -> RegistryTotals | None:
        try:
            async with asyncio.timeout(_COUNT_SECONDS), self._store.reading() as rows:
                return await rows.totals.registry()
        except (LarderError, TimeoutError):
            return None
