"""Run a worker until it is told to stop: jobs, sweeps and heartbeat in one process."""

import asyncio
import os
import socket
from contextlib import suppress
from datetime import timedelta

import structlog
from arq.worker import Worker
from redis.exceptions import RedisError

from services.worker.inspection import DistributionInspector, InspectionLimits
from services.worker.metrics import WorkerMetrics, shown
from services.worker.sweeping import keep_beating, keep_scrubbing, keep_sweeping
from services.worker.worker import DRAIN_SECONDS, create_worker, scratch_of
from shared.backends import open_backends
from shared.metrics import Numbers, show_pools
from shared.settings import Settings
from shared.usecases.scrub import Scrub
from shared.usecases.sweep import Sweep, SweepOrphans

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then finish what was begun, bounded, and return."""
    worker_id = f"{socket.gethostname()}:{os.getpid()}"
    inspections = InspectionLimits.of(settings.limits)
    if removed := await scratch_of(settings).clear():
        log.info("scratch.cleared", copies=removed)
    async with open_backends(settings) as backends, DistributionInspector(inspections) as inspector:
        metrics = WorkerMetrics()
        show_pools(metrics.registry, backends.store.pools)
        worker = create_worker(settings, backends, inspector, metrics=metrics, handles_signals=True)
        sweep = Sweep(store=backends.store, queue=backends.queue)
        orphans = SweepOrphans(
            store=backends.store, blobs=backends.blobs, upload_max_seconds=settings.upload_max_seconds
        )
        scrub = Scrub(
            store=backends.store,
            blobs=backends.blobs,
            bytes_per_second=settings.scrub_bytes_per_second,
            interval=timedelta(seconds=settings.scrub_interval_seconds),
        )
        async with asyncio.TaskGroup() as group:
            sweeping = group.create_task(keep_sweeping(backends.queue, sweep, orphans))
            scrubbing = group.create_task(keep_scrubbing(scrub)) if settings.scrub_bytes_per_second else None
            beating = group.create_task(keep_beating(backends.queue, worker_id))
            log.info("worker.started", worker_id=worker_id)
            try:
                async with Numbers(metrics.registry, title="larder worker", data_dir=settings.data_dir).shared():
                    with shown(metrics, settings):
                        await _run(worker)
            finally:
                sweeping.cancel()
                if scrubbing is not None:
                    scrubbing.cancel()
                beating.cancel()
    log.info("worker.stopped", worker_id=worker_id)


async def _run(worker: Worker) -> None:
    """Run jobs until a signal ends that, and close the worker's connections."""
    try:
        await worker.async_run()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Otherwise arq has cancelled its own main task: that is how it ends after a signal, drained.
    finally:
        await _close(worker)


async def _close(worker: Worker) -> None:
    """Wait, bounded, for the running jobs, and close the connection.

    Where Redis is gone, arq cannot note that a job is done; its row says so all the same.
    """
    with suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await worker.close()
    for job in worker.tasks.values():
        job.cancel()
    await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
