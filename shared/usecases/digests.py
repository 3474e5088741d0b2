"""Compute the digests of a blob in one pass over its bytes, off the event loop."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shared.models import Digests


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


async def digest_stream(chunks: AsyncIterator[bytes], *, is_fips: bool) -> tuple[Digests, int]:
    """Return the digests of the stream, and its length in bytes.

    Two threads take two digests each, as long in all: hashlib lets go of the interpreter lock. They work on one chunk
    while the next is read. The last chunk, which of a small file is all there is, costs one thread.

    Args:
        is_fips: there is no MD5.
    """
    md5 = None if is_fips else hashlib.md5(usedforsecurity=False)
    sha1 = hashlib.sha1(usedforsecurity=False)
    sha256 = hashlib.sha256()
    blake2b_256 = hashlib.blake2b(digest_size=32)
    halves = [[one for one in half if one is not None] for half in ((md5, sha1), (sha256, blake2b_256))]
    size_bytes = 0
    waiting = b""
    under_way: asyncio.Future[list[None]] = asyncio.gather()
    async for chunk in chunks:
        await under_way
        if waiting:
            under_way = asyncio.gather(*(asyncio.to_thread(_update, half, waiting) for half in halves))
        size_bytes += len(chunk)
        waiting = chunk
    await under_way
    await asyncio.to_thread(_update, [one for half in halves for one in half], waiting)
    digests = Digests(
        md5=None if md5 is None else md5.hexdigest(),
        sha1=sha1.hexdigest(),
        sha256=sha256.hexdigest(),
        blake2b_256=blake2b_256.hexdigest(),
    )
    return digests, size_bytes


def _update(hashes: Sequence[_Hash], data: bytes) -> None:
    for one in hashes:
        one.update(data)
