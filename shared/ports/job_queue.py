"""The port to the queue: hints from the API to the worker, and the worker's word back.

The row is the truth, the queue is a hint: whoever loses a message loses time, never a file.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from shared.models import PackageFileId


@dataclass(frozen=True, slots=True)
class ProcessPackageFileJob:
    """Look at an uploaded file and give a verdict. Its queue id is `process:<file>:<attempt>`."""

    file_id: PackageFileId
    attempt: int


@dataclass(frozen=True, slots=True)
class DestroyPackageFileJob:
    """Remove a doomed file's blob and row. Its queue id is `destroy:<file>`."""

    file_id: PackageFileId


Job = ProcessPackageFileJob | DestroyPackageFileJob


@dataclass(frozen=True, slots=True)
class QueueState:
    """What readiness wants to know.

    Args:
        worker_seen: some worker has beaten its heart within the last 15 seconds.
    """

    reachable: bool
    worker_seen: bool


@dataclass(frozen=True, slots=True)
class QueueBacklog:
    """What waits in the queue.

    Args:
        jobs: how many are queued or running.
        oldest_seconds: for how long the first of them has been due; 0 when there is none.
    """

    jobs: int
    oldest_seconds: float


class VerdictWatch(Protocol):
    """Ears for the announcement about one file."""

    async def wait(self, *, timeout_seconds: float) -> bool:
        """Return True as soon as the file was announced since the watch began, False after the timeout.

        An announcement says only "look at the row now"; it may be missed while Redis is away, so look then too.
        """
        ...


class Turns(Protocol):
    """What workers agree by on who does what is done for all of them."""

    async def take_turn(self, name: str, *, seconds: float) -> bool:
        """Return whether the caller is to do what is done once in so many seconds, whatever the number of workers.

        Who is told so and dies has had the turn. What must not be done twice needs more than this: Redis may forget.

        Args:
            name: of what is done.

        Raises:
            QueueUnavailable: Redis does not answer.
        """
        ...


class JobQueue(Turns, Protocol):
    """arq on Redis."""

    async def enqueue(self, job: Job) -> None:
        """Hand a job to some worker.

        Raises:
            QueueUnavailable: Redis does not answer; the sweep will enqueue it later.

        Idempotent: by the job's queue id while it is queued or running.
        """
        ...

    async def enqueue_again(self, job: Job) -> None:
        """Like `enqueue`, for a job that should long have been done: a worker that seems to hold it may have died.

        A worker's claim on the job id is dropped once it is 15 seconds old, so that another can start the job. If the
        first one lives after all, both run: jobs stand that.

        Raises:
            QueueUnavailable: Redis does not answer.
        """
        ...

    def watch(self, file_id: PackageFileId) -> AbstractAsyncContextManager[VerdictWatch]:
        """Listen for this file from now on. Never fails: with Redis away the watch stays silent."""
        ...

    def hearing_jobs(self, ring: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Have `ring` called whenever a job was handed on, for as long as the context is open.

        Never fails, and promises nothing: with Redis away nobody rings.
        """
        ...

    async def announce(self, file_id: PackageFileId) -> None:
        """Tell every process that waits for this file to look at its row. Quiet when Redis is away."""
        ...

    async def beat(self, worker_id: str) -> None:
        """Show that a worker lives, for the next 15 seconds. Quiet when Redis is away."""
        ...

    async def state(self) -> QueueState:
        """Return what can be said of Redis and the workers within a second. Never fails."""
        ...

    async def backlog(self) -> QueueBacklog | None:
        """Return what waits; None while Redis does not answer."""
        ...
