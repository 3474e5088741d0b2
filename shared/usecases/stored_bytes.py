"""Look at the bytes of a file as they lie in the blob store."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from shared.errors import BlobMissing
from shared.models import PackageFile
from shared.ports.blob_store import BlobStore

MISSING = "its stored bytes are missing"

Pause = Callable[[int], Awaitable[None]]


async def no_pause(_: int) -> None:
    """Read on at once."""


async def look_at_bytes(blobs: BlobStore, file: PackageFile, *, pause: Pause = no_pause) -> str | None:
    """Read all bytes of a file; return None when they are those that were received, else what is wrong, for people.

    Args:
        pause: awaited after each piece, with its length in bytes.

    Raises:
        BlobStoreUnavailable: they cannot be read at the moment, which says nothing about them.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        async with aclosing(blobs.read(file.blob_key)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(digest.update, chunk)
                size_bytes += len(chunk)
                await pause(len(chunk))
    except BlobMissing:
        return MISSING
    if size_bytes != file.size_bytes:
        return _wrong_size(size_bytes, file)
    if digest.hexdigest() != file.sha256:
        return "its stored bytes have changed: their SHA-256 is another"
    return None


async def look_at_size(blobs: BlobStore, file: PackageFile) -> str | None:
    """Like `look_at_bytes`, without reading them: changed bytes of the same length go unnoticed.

    Raises:
        BlobStoreUnavailable: the store fails.
    """
    try:
        size_bytes = await blobs.size_of(file.blob_key)
    except BlobMissing:
        return MISSING
    return None if size_bytes == file.size_bytes else _wrong_size(size_bytes, file)


def _wrong_size(size_bytes: int, file: PackageFile) -> str:
    return f"its stored bytes are damaged: there are {size_bytes} of them instead of {file.size_bytes}"
