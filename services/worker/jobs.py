"""The functions that arq runs: from ids to a use case. What they need stands in the worker's context.

A job that fails is logged by arq and is over: the row still says what is to be done, and the sweep comes again.
"""

from dataclasses import dataclass
from typing import Any

import structlog

from services.worker.metrics import WorkerMetrics
from shared.models import PackageFileId
from shared.usecases.destroy import DestroyPackageFile
from shared.usecases.process import ProcessPackageFile

CONTEXT_KEY = "larder"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobContext:
    """The use cases that the jobs call, and where they are counted."""

    process: ProcessPackageFile
    destroy: DestroyPackageFile
    metrics: WorkerMetrics


async def process_package_file(ctx: dict[str, Any], file_id: int, attempt: int) -> None:
    """Give the verdict on an uploaded file."""
    jobs: JobContext = ctx[CONTEXT_KEY]
    with structlog.contextvars.bound_contextvars(job_id=ctx["job_id"]):
        try:
            with jobs.metrics.job("process_package_file"):
                await jobs.process(PackageFileId(file_id), attempt)
        except Exception:
            # Its blob may have been destroyed while it was being read: no fault, and nobody waits for it.
            if await jobs.process.is_wanted(PackageFileId(file_id), attempt):
                raise
            log.info("package_file.no_longer_wanted", file_id=file_id, attempt=attempt)


async def destroy_package_file(ctx: dict[str, Any], file_id: int) -> None:
    """Remove a doomed file for good."""
    jobs: JobContext = ctx[CONTEXT_KEY]
    with structlog.contextvars.bound_contextvars(job_id=ctx["job_id"]), jobs.metrics.job("destroy_package_file"):
        await jobs.destroy(PackageFileId(file_id))
