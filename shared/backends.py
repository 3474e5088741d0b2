"""The composition root: from settings to open backends, the only place that knows which implementation is which."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from arq.connections import ArqRedis

from shared.blobs.local import open_local_blob_store
from shared.blobs.s3.location import S3Location, parse_s3_url
from shared.errors import BlobStoreUnavailable, MetadataUnavailable, SettingsInvalid
from shared.metadata.change_checks import open_change_checks
from shared.metadata.engine import sqlite_path
from shared.metadata.store import open_metadata_store
from shared.ports.blob_store import BlobStore
from shared.ports.change_checks import ChangeChecks
from shared.ports.failed_attempts import FailedAttempts
from shared.ports.job_queue import JobQueue
from shared.ports.metadata_store import MetadataStore
from shared.queue.arq_queue import open_arq_queue
from shared.queue.connection import LONGEST_JOB_SECONDS, QUEUE_NAME, new_worker_client
from shared.queue.failed_attempts import open_failed_attempts
from shared.queue.serialization import job_deserializer, job_serializer
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Backends:
    """What every use case stands on."""

    store: MetadataStore
    change_checks: ChangeChecks
    blobs: BlobStore
    queue: JobQueue
    failed_attempts: FailedAttempts


@asynccontextmanager
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    """Open the backends that the settings name, and close them in reverse order.

    None of them need answer yet: readiness tells whether they do.

    Raises:
        SettingsInvalid: no Redis is named, or a URL asks for what is not installed.
    """
    redis_url = _redis_url(settings)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        change_checks = await stack.enter_async_context(open_change_checks(settings.database_url))
        blobs = await stack.enter_async_context(open_blobs(settings))
        queue = await stack.enter_async_context(open_arq_queue(redis_url))
        failed_attempts = await stack.enter_async_context(
            open_failed_attempts(redis_url, limit=settings.auth_failures_per_minute)
        )
        yield Backends(
            store=store, change_checks=change_checks, blobs=blobs, queue=queue, failed_attempts=failed_attempts
        )


@dataclass(frozen=True, slots=True)
class QueueConnection:
    """What an arq worker needs to serve the queue that the API fills.

    Args:
        client: connects when it is first used, and is closed by the worker.
        longest_job_seconds: the time limit of its longest function; how old a claim is, is reckoned from it.
    """

    client: ArqRedis = field(repr=False)  # its own repr prints how Redis is reached
    queue_name: str
    longest_job_seconds: int
    serialize: Callable[[dict[str, Any]], bytes]
    deserialize: Callable[[bytes], dict[str, Any]]


def queue_connection(settings: Settings) -> QueueConnection:
    """Return how a worker reaches the queue that the settings name.

    Raises:
        SettingsInvalid: no Redis is named.
    """
    return QueueConnection(
        client=new_worker_client(_redis_url(settings)),
        queue_name=QUEUE_NAME,
        longest_job_seconds=LONGEST_JOB_SECONDS,
        serialize=job_serializer,
        deserialize=job_deserializer,
    )


def open_store(settings: Settings) -> AbstractAsyncContextManager[MetadataStore]:
    """Open the rows alone, for commands that need no Redis."""
    return open_metadata_store(
        settings.database_url,
        wait_seconds=settings.database_wait_seconds,
        connections=settings.database_connections,
    )


async def is_blob_store_there(settings: Settings) -> bool:
    """Say whether the blob store can be opened without being made: where it is no directory it always can."""
    root = _blob_root(settings)
    return root is None or await asyncio.to_thread(root.is_dir)


@asynccontextmanager
async def open_existing_store(settings: Settings) -> AsyncIterator[MetadataStore]:
    """Like `open_store`, for commands that must not make what is not there.

    Raises:
        MetadataUnavailable: there is no such file.
    """
    path = sqlite_path(settings.database_url)
    if path is not None and not path.is_file():
        raise MetadataUnavailable(f"there is no file {path}")
    async with open_store(settings) as store:
        yield store


def open_store_in(path: Path) -> AbstractAsyncContextManager[MetadataStore]:
    """Open the rows in a SQLite file of this version's schema."""
    return open_metadata_store(f"sqlite:///{path}")


def open_blobs(settings: Settings) -> AbstractAsyncContextManager[BlobStore]:
    """Open the bytes alone, for commands that need no Redis.

    Raises:
        SettingsInvalid: the URL names no store, or one that asks for what is not installed.
    """
    root = _blob_root(settings)
    if root is not None:
        return open_local_blob_store(root)
    try:
        from shared.blobs.s3.store import open_s3_blob_store
    except ImportError as error:
        raise SettingsInvalid("LARDER_BLOB_URL names S3, which needs the extra: pip install larder[s3]") from error
    return open_s3_blob_store(_s3_location(settings))


@asynccontextmanager
async def open_existing_blobs(settings: Settings) -> AsyncIterator[BlobStore]:
    """Like `open_blobs`, for commands that must not make what is not there.

    Raises:
        BlobStoreUnavailable: there is no such directory.
    """
    root = _blob_root(settings)
    if root is not None and not root.is_dir():
        raise BlobStoreUnavailable(f"there is no directory {root}")
    async with open_blobs(settings) as blobs:
        yield blobs


def open_blobs_in(root: Path) -> AbstractAsyncContextManager[BlobStore]:
    """Open the bytes below a directory."""
    return open_local_blob_store(root)


def _redis_url(settings: Settings) -> str:
    if settings.redis_url is None:
        raise SettingsInvalid("LARDER_REDIS_URL must be set here; only `larder serve` brings its own Redis")
    return settings.redis_url


def _blob_root(settings: Settings) -> Path | None:
    """Return the directory of a disk store, or None when the URL names S3."""
    parts = urlsplit(settings.blob_url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _s3_location(settings: Settings) -> S3Location:
    try:
        return parse_s3_url(settings.blob_url)
    except ValueError as error:
        raise SettingsInvalid(f"LARDER_BLOB_URL {error}") from None
