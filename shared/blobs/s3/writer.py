"""The writer of the S3 store: one PUT for what fits into a part, else a multipart upload, a few parts at once."""

import asyncio
import hashlib
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import structlog

from shared.blobs.gathering import GatheringWriter
from shared.blobs.s3.place import Part, Place, Upload
from shared.blobs.threads import outlast
from shared.errors import BlobStoreUnavailable, LarderError
from shared.models import BlobKey

PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
_INLINE_BYTES = 64 * 1024
"""Up to here a digest takes less time than a thread."""
_CLOSE_SECONDS = 20.0
_SETTLE_SECONDS = 0.5
_REMOVE_SECONDS = 10.0
"""Who waits for a 503 should not wait for a store as well that does not even remove."""

T = TypeVar("T")

log = structlog.get_logger()


class S3BlobWriter(GatheringWriter):
    """One blob on its way to the store; `close` must follow, whatever happens.

    It holds three parts at most: one fills while two are sent. Requests run in tasks of their own, so that a
    cancellation of the caller leaves none of them half done: what came of each is known before all is removed.
    """

    def __init__(self, key: BlobKey, place: Place, *, part_bytes: int) -> None:
        super().__init__(key, buffer_bytes=part_bytes)
        self._place = place
        self._hashing = asyncio.Lock()
        self._upload: Upload | None = None
        self._parts: list[asyncio.Task[Part]] = []
        self._requests: list[asyncio.Task[Any]] = []
        self._has_parts = False
        self._may_be_visible = False

    async def close(self) -> None:
        """Give everything back; what is not committed is gone."""
        self._is_closed = True
        if self._receipt is not None or not self._requests:
            return
        await outlast(asyncio.ensure_future(self._discard()))

    async def _conclude(self) -> None:
        if self._upload is None:
            await self._finish(self._put())
            return
        if self._buffer:
            await self._pass_on()
        await self._settle(most=0)
        await self._finish(self._complete(self._upload))

    async def _pass_on(self) -> None:
        await self._settle(most=_PARTS_AT_ONCE - 1)
        if self._upload is None:
            self._has_parts = True
            self._upload = await self._run(self._place.begin_upload(self._place.prefix + self._key))
        full, self._buffer = self._buffer, bytearray()
        self._size_bytes += len(full)
        task = asyncio.create_task(self._send_part(self._upload, full, number=len(self._parts) + 1))
        self._parts.append(task)
        self._requests.append(task)

    async def _send_part(self, upload: Upload, content: bytearray, *, number: int) -> Part:
        async with self._hashing:  # Those who wait for it get it in the order in which they came.
            digest = await self._digest(content)
        return await self._place.send_part(upload, content, number=number, sha256=digest)

    async def _put(self) -> bool:
        content, self._buffer = self._buffer, bytearray()
        self._size_bytes = len(content)
        digest = await self._digest(content)
        self._may_be_visible = True
        return await self._place.put(self._place.prefix + self._key, content, sha256=digest)

    async def _complete(self, upload: Upload) -> bool:
        parts = [task.result() for task in self._parts]
        self._may_be_visible = True
        return await self._place.complete_upload(upload, parts, size_bytes=self._size_bytes)

    async def _finish(self, work: Coroutine[Any, Any, bool]) -> None:
        if not await self._run(work):
            self._may_be_visible = False  # What is there is another's.
            self._failure = BlobStoreUnavailable("the key is taken")
            raise self._failure

    async def _digest(self, content: bytearray) -> bytes:
        """Return the digest of these bytes, and go on with that of the whole."""

        def digest() -> bytes:
            self._sha256.update(content)
            return hashlib.sha256(content).digest()

        return digest() if len(content) <= _INLINE_BYTES else await asyncio.to_thread(digest)

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what the work returns; when the caller is cancelled, it goes on and `close` waits for it."""
        task = asyncio.create_task(work)
        self._requests.append(task)
        await asyncio.wait({task})
        return self._result(task)

    async def _settle(self, *, most: int) -> None:
        """Wait until no more than so many parts are on their way."""
        while len(running := [task for task in self._parts if not task.done()]) > most:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in self._parts:
            if task.done():
                self._result(task)

    def _result(self, task: asyncio.Task[T]) -> T:
        try:
            return task.result()
        except LarderError as failure:
            self._failure = failure
            raise
        except asyncio.CancelledError:
            raise BlobStoreUnavailable("the writer was interrupted") from None

    async def _discard(self) -> None:
        _, running = await asyncio.wait(self._requests, timeout=_CLOSE_SECONDS)
        for task in running:
            task.cancel()
        await asyncio.wait(self._requests)
        is_known = not [task for task in self._requests if task.cancelled() or task.exception()]
        try:
            async with asyncio.timeout(_REMOVE_SECONDS):
                await self._remove()
                if not is_known:
                    # The store may still be at work on a request that was cut off.
                    await asyncio.sleep(_SETTLE_SECONDS)
                    await self._remove()
        except (LarderError, TimeoutError) as error:
            # The sweeps remove what is left: parts by their day, a blob because no row names it.
            log.warning("blob.discard_failed", blob_key=self._key, error=type(error).__name__)

    async def _remove(self) -> None:
        if self._has_parts:
            # Asked for by name: the answer that told its number may have been lost.
            async with aclosing(self._place.uploads(self._key)) as uploads:
                async for upload in uploads:
                    await self._place.abort_upload(upload)
        if self._may_be_visible:
            await self._place.delete(self._place.prefix + self._key)
