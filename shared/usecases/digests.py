"""Compute the digests of a blob in one pass over its bytes, off the event loop."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

from shared.models import Digests


async def digest_stream(chunks: AsyncIterator[bytes], *, is_fips: bool) -> tuple[Digests, int]:
    """Return the digests of the stream, and its length in bytes.

    The digests of one chunk are computed side by side in threads: hashlib lets go of the interpreter lock. The last
    chunk, which of a small file is all there is, costs one thread and not four.

    Args:
        is_fips: there is no MD5.
    """
    md5 = None if is_fips else hashlib.md5(usedforsecurity=False)
    sha1 = hashlib.sha1(usedforsecurity=False)
    sha256 = hashlib.sha256()
    blake2b_256 = hashlib.blake2b(digest_size=32)
    hashes = [one for one in (md5, sha1, sha256, blake2b_256) if one is not None]
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
    digests = Digests(
        md5=None if md5 is None else md5.hexdigest(),
        sha1=sha1.hexdigest(),
        sha256=sha256.hexdigest(),
        blake2b_256=blake2b_256.hexdigest(),
    )
    return digests, size_bytes
