"""What the writers of all stores do alike: gather chunks into buffers, and commit once or not at all."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import BlobStoreUnavailable, LarderError
from shared.models import BlobKey
from shared.ports.blob_store import BlobReceipt


class GatheringWriter(ABC):
    """One blob on its way to a store. Who inherits from it passes full buffers on, and sees to what is left of it.

    Args:
        buffer_bytes: what the store likes to get at once.
    """

    def __init__(self, key: BlobKey, *, buffer_bytes: int) -> None:
        self._key = key
        self._buffer_bytes = buffer_bytes
        self._buffer = bytearray()
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0
        self._receipt: BlobReceipt | None = None
        self._failure: LarderError | None = None
        self._is_closed = False

    @property
    def key(self) -> BlobKey:
        return self._key

    async def write(self, chunk: bytes) -> None:
        self._refuse_when_over()
        if self._receipt is not None:
            raise RuntimeError("the blob is committed")
        start = 0
        with self._spoilt_unless_completed():
            while start < len(chunk):
                room = self._buffer_bytes - len(self._buffer)
                self._buffer += memoryview(chunk)[start : start + room]
                start += room
                if len(self._buffer) == self._buffer_bytes:
                    await self._pass_on()

    async def commit(self) -> BlobReceipt:
        self._refuse_when_over()
        if self._receipt is not None:
            return self._receipt
        with self._spoilt_unless_completed():
            await self._conclude()
        # Nothing is awaited from here on: whoever is cancelled before this line has not committed.
        self._receipt = BlobReceipt(size_bytes=self._size_bytes, sha256=self._sha256.hexdigest())
        return self._receipt

    @abstractmethod
    async def _pass_on(self) -> None:
        """Take the full buffer, and put an empty one in its place."""

    @abstractmethod
    async def _conclude(self) -> None:
        """Take what is left in the buffer, and make the blob durable and visible."""

    @contextmanager
    def _spoilt_unless_completed(self) -> Iterator[None]:
        """A writer that was interrupted does not know what it holds, so it takes nothing more."""
        self._failure = BlobStoreUnavailable("the writer was interrupted")
        yield
        self._failure = None

    def _refuse_when_over(self) -> None:
        if self._is_closed:
            raise RuntimeError("the writer is closed")
        if self._failure is not None:
            raise self._failure
