"""Put the worker together: arq with this registry's jobs."""

from arq.worker import func

from services.worker.inspection import DistributionInspector
from services.worker.jobs import CONTEXT_KEY, JobContext, destroy_package_file, process_package_file
from services.worker.metrics import WorkerMetrics
from services.worker.prompt import PromptWorker
from shared.backends import Backends, queue_connection
from shared.settings import Settings
from shared.usecases.destroy import DestroyPackageFile
from shared.usecases.process import ProcessPackageFile
from shared.usecases.scratch import Scratch

_DESTROY_SECONDS = 300
_JOBS_AT_ONCE = 10
DRAIN_SECONDS = 25
"""For how long a stopping worker finishes what it has begun."""


def scratch_of(settings: Settings) -> Scratch:
    """Return where the worker keeps copies of blobs that are not on this machine."""
    return Scratch(settings.data_dir / "scratch")


def create_worker(
    settings: Settings,
    backends: Backends,
    inspector: DistributionInspector,
    *,
    metrics: WorkerMetrics,
    handles_signals: bool,
) -> PromptWorker:
    """Return a worker that is ready to run; it opens connections to Redis of its own when it does.

    Args:
        metrics: where the jobs are counted.
        handles_signals: SIGTERM and SIGINT drain it and end its run.
    """
    jobs = JobContext(
        process=ProcessPackageFile(
            store=backends.store,
            blobs=backends.blobs,
            queue=backends.queue,
            inspector=inspector,
            checks=settings.upload_checks,
            is_fips=settings.is_fips,
            scratch=scratch_of(settings),
        ),
        destroy=DestroyPackageFile(store=backends.store, blobs=backends.blobs),
        metrics=metrics,
    )
    connection = queue_connection(settings)
    return PromptWorker(
        queue=backends.queue,
        functions=[
            func(process_package_file, name="process_package_file", timeout=connection.longest_job_seconds),
            func(destroy_package_file, name="destroy_package_file", timeout=_DESTROY_SECONDS),
        ],
        redis_pool=connection.client,
        queue_name=connection.queue_name,
        job_serializer=connection.serialize,
        job_deserializer=connection.deserialize,
        # A result that is kept blocks its job id, and nobody reads results: verdicts stand in rows.
        keep_result=0,
        max_jobs=_JOBS_AT_ONCE,
        handle_signals=handles_signals,
        job_completion_wait=DRAIN_SECONDS,
        ctx={CONTEXT_KEY: jobs},
    )
