"""What a worker counts."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from shared.settings import Settings

log = structlog.get_logger()

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class WorkerMetrics:
    """The numbers of one worker."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._jobs = Counter("larder_jobs", "Jobs that have ended.", ("function", "result"), registry=self.registry)
        self._seconds = Histogram(
            "larder_job_seconds", "How long jobs took.", ("function",), buckets=_SECONDS, registry=self.registry
        )

    @contextmanager
    def job(self, function: str) -> Iterator[None]:
        """Count the job that the block is: `done`, `failed`, or `stopped` where the worker ends before it."""
        began = time.monotonic()
        result = "failed"
        try:
            yield
            result = "done"
        except asyncio.CancelledError:
            result = "stopped"
            raise
        finally:
            self._jobs.labels(function, result).inc()
            self._seconds.labels(function).observe(time.monotonic() - began)


@contextmanager
def shown(metrics: WorkerMetrics, settings: Settings) -> Iterator[None]:
    """While the block runs, show the numbers to whoever asks at the port that the settings name, if they name one.

    Only workers that run by themselves need it: of those that `larder serve` starts, the API shows them with its own.
    """
    if settings.worker_metrics_port is None:
        yield
        return
    server, thread = start_http_server(settings.worker_metrics_port, settings.host, metrics.registry)
    log.info("worker.metrics_shown", host=settings.host, port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
