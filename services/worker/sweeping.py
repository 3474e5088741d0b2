"""The loops that run beside the jobs in every worker: the sweeps, the scrub, and the worker's heartbeat."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.errors import LarderError
from shared.ports.job_queue import JobQueue
from shared.usecases.blob_store_name import BlobStoreForeign
from shared.usecases.scrub import Scrub
from shared.usecases.sweep import Sweep, SweepOrphans

log = structlog.get_logger()

_SWEEP_SECONDS = 3.0
_ORPHANS_SECONDS = 6 * 3600.0
_FIRST_ORPHANS_SECONDS = 600.0
"""Not at once: a worker that is restarted again and again must not walk through all blobs each time."""
_SCRUB_SECONDS = 60.0
_FIRST_SCRUB_SECONDS = 10.0
_BEAT_SECONDS = 4.0


async def keep_sweeping(sweep: Sweep, orphans: SweepOrphans) -> None:
    """Sweep until cancelled; a sweep that fails is logged and the next one begins anew."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_every(_SWEEP_SECONDS, "sweep", sweep, first_after=0))
        group.create_task(_every(_ORPHANS_SECONDS, "orphans", orphans, first_after=_FIRST_ORPHANS_SECONDS))


async def keep_scrubbing(scrub: Scrub) -> None:
    """Scrub until cancelled; one that fails, or has nothing left that is due, begins anew after a while."""
    await _every(_SCRUB_SECONDS, "scrub", scrub, first_after=_FIRST_SCRUB_SECONDS)


async def keep_beating(queue: JobQueue, worker_id: str) -> None:
    """Show until cancelled that this worker lives."""
    while True:
        await queue.beat(worker_id)
        await asyncio.sleep(_BEAT_SECONDS)


async def _every(seconds: float, name: str, action: Callable[[], Awaitable[object]], *, first_after: float) -> None:
    await asyncio.sleep(first_after)
    while True:
        try:
            await action()
        except BlobStoreForeign as error:
            # Nothing mends itself here: a disk is not mounted, or a URL names the wrong place.
            log.error("blobs.foreign", sweep=name, found=error.found, expected=error.expected)  # noqa: TRY400 - likewise
        except LarderError as error:
            # Redis or the database is away: worth a line, not a stack.
            log.warning("sweep.postponed", sweep=name, error=type(error).__name__)
        except Exception:
            log.exception("sweep.failed", sweep=name)
        await asyncio.sleep(seconds)
