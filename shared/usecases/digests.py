"""Compute the four digests of a blob in one pass over its bytes, off the event loop."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

from shared.models import Digests


async def digest_stream(chunks: AsyncIterator[bytes]) -> tuple[Digests, int]:
    """Return the digests of the stream, and its length in bytes.

    The digests of one chunk are computed side by side in threads: hashlib lets go of the interpreter lock. The last
    chunk, which of a small file is all there is, costs one thread and not four.
    """
    hashes = (
        hashlib.md5(usedforsecurity=False),
        hashlib.sha1(usedforsecurity=False),
        hashlib.sha256(),
        hashlib.blake2b(digest_size=32),
    )
    size_bytes = 0
    waiting = b""
    async for chunk in chunks:
        if waiting:
            async with asyncio.TaskGroup() as group:
                for one in hashes:
                    group.create_task(asyncio.to_thread(one.update, waiting))
        size_bytes += len(chunk)
        waiting = chunk
    await asyncio.to_thread(lambda: [one.update(waiting) for one in hashes])
    md5, sha1, sha256, blake2b_256 = (one.hexdigest() for one in hashes)
    return Digests(md5=md5, sha1=sha1, sha256=sha256, blake2b_256=blake2b_256), size_bytes
