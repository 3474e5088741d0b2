"""The writer of the disk store: gathers chunks, and writes and hashes one buffer while the next one fills."""

import asyncio
from collections.abc import Callable
from typing import NoReturn, TypeVarTuple

import structlog
from aiofiles.threadpool import wrap

from shared.blobs.gathering import GatheringWriter
from shared.blobs.threads import Threads, outlast, storage_errors
from shared.blobs.unfinished import Unfinished
from shared.errors import LarderError
from shared.models import BlobKey

BUFFER_BYTES = 1024 * 1024

Ts = TypeVarTuple("Ts")

log = structlog.get_logger()


class LocalBlobWriter(GatheringWriter):
    """One blob on its way to the disk; `close` must follow, whatever happens.

    A blob smaller than a buffer costs one call in a thread in all. Larger ones hold two buffers at most: one fills
    while the other is written and hashed.
    """

    def __init__(self, key: BlobKey, unfinished: Unfinished, threads: Threads) -> None:
        super().__init__(key, buffer_bytes=BUFFER_BYTES)
        self._unfinished = unfinished
        self._threads = threads
        self._in_flight: tuple[asyncio.Future[None], ...] = ()

    async def close(self) -> None:
        """Give everything back; what is not committed is gone."""
        self._is_closed = True
        if self._receipt is not None:
            return
        cancelled: asyncio.CancelledError | None = None
        for future in self._in_flight:
            try:
                await outlast(future)
            except asyncio.CancelledError as error:
                cancelled = error
            if not future.cancelled():
                future.exception()  # Whatever it was, the blob is given up already.
        self._in_flight = ()
        if self._unfinished.file is not None:
            try:
                await self._threads.run(self._unfinished.discard)
            except OSError as error:
                # The sweeps remove what is left: a part file by its day, a blob because no row names it.
                log.warning("blob.discard_failed", blob_key=self._key, errno=error.errno)
        if cancelled is not None:
            raise cancelled

    async def _conclude(self) -> None:
        await self._settle()
        rest, self._buffer = self._buffer, bytearray()
        self._size_bytes += len(rest)
        await self._step(self._finish, rest)

    async def _pass_on(self) -> None:
        await self._settle()
        if self._unfinished.file is None:
            await self._step(self._unfinished.begin)
        full, self._buffer = self._buffer, bytearray()
        self._size_bytes += len(full)
        self._in_flight = (
            asyncio.ensure_future(self._append(full)),
            self._threads.start(self._sha256.update, full),
        )

    async def _append(self, data: bytearray) -> None:
        assert self._unfinished.file is not None  # `_pass_on` has begun it.
        file = wrap(self._unfinished.file, executor=self._threads.executor)
        view = memoryview(data)
        while view:
            view = view[await file.write(view) :]

    def _finish(self, rest: bytearray) -> None:
        self._sha256.update(rest)
        self._unfinished.publish(rest)

    async def _settle(self) -> None:
        """Wait for the buffer that is on its way, if there is one."""
        if not self._in_flight:
            return
        await asyncio.wait(self._in_flight)
        done, self._in_flight = self._in_flight, ()
        errors = [error for future in done if (error := future.exception())]
        if errors:
            self._fail(errors[0])

    async def _step(self, call: Callable[[*Ts], None], *args: *Ts) -> None:
        try:
            await self._threads.run(call, *args)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> NoReturn:
        try:
            with storage_errors():
                raise error
        except LarderError as failure:
            self._failure = failure
            raise
