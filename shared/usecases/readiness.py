"""Tell whether the parts that a registry stands on answer."""

import asyncio
from dataclasses import dataclass

import structlog

from shared.errors import LarderError, SchemaUnknown
from shared.ports.blob_store import BlobStore
from shared.ports.job_queue import JobQueue
from shared.ports.metadata_store import MetadataStore
from shared.usecases.blob_store_name import noted_name
from shared.usecases.latest import Latest

log = structlog.get_logger()

_PATIENCE_SECONDS = 2.0
FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one part.

    Args:
        message: what is wrong with it, without addresses or secrets; None when nothing is.
        is_another: something answers in its place.
        is_certain: False where it answers, and nobody could tell whether something else does in its place.
    """

    is_ok: bool
    message: str | None = None
    is_another: bool = False
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """The state of every part."""

    database: Check
    blob_store: Check
    redis: Check
    worker: Check


class CheckReadiness:
    """Ask every part, all at once, and at most once a second however many want to know: anybody may ask."""

    def __init__(self, *, store: MetadataStore, blobs: BlobStore, queue: JobQueue) -> None:
        self._store = store
        self._blobs = blobs
        self._queue = queue
        self._latest = Latest(self._ask, most_seconds=lambda: FRESH_SECONDS)
        self._has_fitted = False

    async def __call__(self) -> ReadinessReport:
        """Return a report that is at most a second old, within about four seconds; never fails."""
        return await self._latest()

    async def _ask(self) -> ReadinessReport:
        async with asyncio.TaskGroup() as group:
            database = group.create_task(self._database())
            blob_store = group.create_task(self.blob_store())
            queue = group.create_task(self._queue.state())
        state = queue.result()
        return ReadinessReport(
            database=database.result(),
            blob_store=blob_store.result(),
            redis=Check(is_ok=True) if state.reachable else Check(is_ok=False, message="does not answer"),
            worker=Check(is_ok=True) if state.worker_seen else Check(is_ok=False, message="none was seen of late"),
        )

    async def _database(self) -> Check:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._store.check_schema()
        except SchemaUnknown as error:
            # Brought up while this process ran, which goes on until one of the new version takes its place.
            if self._has_fitted and error.found is not None and error.found > error.expected:
                return Check(is_ok=True)
            return Check(
                is_ok=False, message=f"holds schema {error.found} and not {error.expected}: run larder migrate"
            )
        except (LarderError, TimeoutError):
            return Check(is_ok=False, message="does not answer")
        self._has_fitted = True
        return Check(is_ok=True)

    async def blob_store(self) -> Check:
        """Return how the blob store fares just now, whoever has asked of late; never fails."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._blobs.check()
                found = await self._blobs.name()
        except (LarderError, TimeoutError) as error:
            return Check(is_ok=False, message=type(error).__name__)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                noted = await noted_name(self._store)
        except (LarderError, TimeoutError):
            return Check(is_ok=True, is_certain=False)  # That the rows do not answer, their own check says.
        if noted is None or noted == found:
            return Check(is_ok=True)
        # What is taken now would lie on the wrong disk.
        log.error("blobs.foreign", hint="mount the disk of the blob store, or look at LARDER_BLOB_URL")
        return Check(is_ok=False, message="is not the one of this database: mount its disk", is_another=True)
