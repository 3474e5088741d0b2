"""The port to the bytes: where the files of packages are kept."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from shared.models import BlobKey


@dataclass(frozen=True, slots=True)
class BlobReceipt:
    """What a writer has taken.

    Args:
        size_bytes: how many bytes.
        sha256: their digest, lower-case hexadecimal.
    """

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LocalBlob:
    """A blob that is a file on this machine: the kernel can send it."""

    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LinkHeaders:
    """What the store is to say when it hands out a blob by itself."""

    content_type: str
    content_disposition: str
    cache_control: str


class BlobWriter(Protocol):
    """One blob that is being written. Nobody sees it before `commit`."""

    @property
    def key(self) -> BlobKey:
        """Return the key under which `commit` will make the blob visible."""
        ...

    async def write(self, chunk: bytes) -> None:
        """Append bytes, in any chunk size: the writer gathers them to what its store likes.

        Raises:
            StorageFull: the store takes no more.
            BlobStoreUnavailable: the store fails.
        """
        ...

    async def commit(self) -> BlobReceipt:
        """Make the blob durable (file and directory synced) and visible, whole.

        Raises:
            StorageFull: the store takes no more.
            BlobStoreUnavailable: the store fails.

        Idempotent: a second call returns the same receipt.
        """
        ...


class BlobStore(Protocol):
    """Blobs under keys of the form `YYYY/MM/DD/<uuid7>`.

    A key is used once: never written twice, never shared, never reused. A key of another form is refused with
    ValueError before it reaches a path or URL.
    """

    def create(self, key: BlobKey) -> AbstractAsyncContextManager[BlobWriter]:
        """Open a writer. Leaving the context without `commit`, for whatever reason, leaves nothing behind.

        A process that is killed in between leaves nothing that `keys` would list; what else it leaves (a part
        upload) `sweep_unfinished` removes.
        """
        ...

    def read(self, key: BlobKey, *, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Stream `length` bytes from `offset` (to the end when None) in chunks of at most 1 MiB.

        Raises:
            BlobMissing: there is no such blob; raised at the first step.
            BlobStoreUnavailable: the store fails.
        """
        ...

    async def locate(self, key: BlobKey) -> LocalBlob | None:
        """Return where on this machine the blob is, or None when this store must be streamed from.

        Raises:
            BlobMissing: there is no such blob.
        """
        ...

    async def size_of(self, key: BlobKey) -> int:
        """Return how many bytes the blob has, without reading them.

        Raises:
            BlobMissing: there is no such blob.
            BlobStoreUnavailable: the store fails.
        """
        ...

    async def link(self, key: BlobKey, headers: LinkHeaders, *, seconds: int) -> str | None:
        """Return a URL from which whoever has it can GET the blob, or None where this store hands out none.

        Nobody looks whether there is such a blob. Nothing but GET works there, and a request that brings credentials
        of its own may be refused.

        Args:
            seconds: how long the URL holds.

        Raises:
            BlobStoreUnavailable: there is nothing to sign it with.
        """
        ...

    async def delete(self, key: BlobKey) -> None:
        """Remove the blob for good.

        Raises:
            BlobStoreUnavailable: the store fails; the blob may still be there.

        Idempotent: by key; a missing blob is no error.
        """
        ...

    def keys(self, *, before: date) -> AsyncGenerator[BlobKey, None]:
        """Yield the keys of all visible blobs of the days before `before`, oldest day first."""
        ...

    async def sweep_unfinished(self, *, before: date) -> int:
        """Remove what killed writers left on the days before `before`; return how many pieces that were."""
        ...

    def unfinished(self, *, before: date) -> AsyncGenerator[BlobKey, None]:
        """Yield, for each piece that a writer has not finished on the days before `before`, the key it is to get.

        What a running writer has leaves no trace here where the store can help it.
        """
        ...

    async def name(self) -> str | None:
        """Return the name that this store was given, or None: an empty disk in its place has none, or another.

        Raises:
            BlobStoreUnavailable: the store fails.
        """
        ...

    async def give_name(self, name: str) -> None:
        """Give the store its name, durably, in place of the one that it may have.

        Args:
            name: 32 hexadecimal digits.

        Raises:
            StorageFull, BlobStoreUnavailable: it may have no name now.
        """
        ...

    async def check(self) -> None:
        """Return when the store can be written to.

        Raises:
            StorageFull: it takes no more.
            BlobStoreUnavailable: it does not answer.
        """
        ...
