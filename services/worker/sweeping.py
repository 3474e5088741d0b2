"""The loops that run beside the jobs in every worker: the sweeps, the scrub, and the worker's heartbeat.

Workers take turns at the sweeps, so that ten of them ask no more of the database and the blob store than one does. None
of that is needed for them to be right: each sweep stands being done twice. The scrub takes its files in their rows.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.errors import LarderError, QueueUnavailable
from shared.ports.job_queue import JobQueue, Turns
from shared.usecases.blob_store_name import BlobStoreForeign

Action = Callable[[], Awaitable[object]]

log = structlog.get_logger()

_SWEEP_SECONDS = 3.0
_ORPHANS_SECONDS = 6 * 3600.0
_ORPHANS_TRY_SECONDS = 600.0
"""Not at once: a worker that is restarted again and again must not walk through all blobs where Redis forgets turns."""
_OF_ITS_TIME = 0.9
"""A turn is over a little before the one who has had it asks again."""
_SCRUB_SECONDS = 60.0
_FIRST_SCRUB_SECONDS = 10.0
_BEAT_SECONDS = 4.0


async def keep_sweeping(turns: Turns, sweep: Action, orphans: Action) -> None:
    """Sweep until cancelled; a sweep that fails is logged and the next one begins anew.

    Args:
        sweep: moves what waits; it can do some of that without Redis, and so needs no turn then.
        orphans: walks through all blobs.
    """

    async def sweep_in_turn() -> None:
        try:
            is_our_turn = await turns.take_turn("sweep", seconds=_OF_ITS_TIME * _SWEEP_SECONDS)
        except QueueUnavailable:
            is_our_turn = True
        if is_our_turn:
            await sweep()

    async def orphans_in_turn() -> None:
        if await turns.take_turn("orphans", seconds=_OF_ITS_TIME * _ORPHANS_SECONDS):
            await orphans()

    async with asyncio.TaskGroup() as group:
        group.create_task(_every(_SWEEP_SECONDS, "sweep", sweep_in_turn, first_after=0))
        group.create_task(_every(_ORPHANS_TRY_SECONDS, "orphans", orphans_in_turn, first_after=_ORPHANS_TRY_SECONDS))


async def keep_scrubbing(scrub: Action) -> None:
    """Scrub until cancelled; one that fails, or has nothing left that is due, begins anew after a while."""
    await _every(_SCRUB_SECONDS, "scrub", scrub, first_after=_FIRST_SCRUB_SECONDS)


async def keep_beating(queue: JobQueue, worker_id: str) -> None:
    """Show until cancelled that this worker lives."""
    while True:
        await queue.beat(worker_id)
        await asyncio.sleep(_BEAT_SECONDS)


async def _every(seconds: float, name: str, action: Action, *, first_after: float) -> None:
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
