"""Whether this process wants to be sent requests: not while it starts, and not while it drains."""

import asyncio
from dataclasses import dataclass, field

from shared.usecases.readiness import ReadinessReport

SETTLING_SECONDS = 10.0
"""How long a start waits for Redis and a worker; an upload without them still is safe, only slower."""


def _clock() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Lifecycle:
    """The life of one API process. Made inside its event loop."""

    started_at: float = field(default_factory=_clock)
    has_settled: bool = False
    is_draining: bool = False

    def drain(self) -> None:
        """Note that the process is about to end."""
        self.is_draining = True

    def obstacle(self, report: ReadinessReport) -> str | None:
        """Return why no requests should be sent here, or None.

        Redis and the workers count only until they were seen once: without them an upload is still safe, and reads
        do not need them.
        """
        if (report.redis.is_ok and report.worker.is_ok) or _clock() - self.started_at >= SETTLING_SECONDS:
            self.has_settled = True
        if self.is_draining:
            return "shutting down"
        for name, check in (("database", report.database), ("blob store", report.blob_store)):
            if not check.is_ok:
                return f"{name}: {check.message}"
        return None if self.has_settled else "starting: waiting for Redis and a worker"
