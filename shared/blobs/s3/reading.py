"""A blob that is streamed from S3: the next piece is fetched while one is used, and a cut stream is taken up again."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from shared.blobs.s3.calls import TRANSPORT_ERRORS, Refusal, unavailable
from shared.blobs.s3.place import Place
from shared.blobs.threads import outlast
from shared.errors import BlobMissing, BlobStoreUnavailable
from shared.models import BlobKey

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody
    from types_aiobotocore_s3.type_defs import GetObjectOutputTypeDef

READ_BYTES = 1024 * 1024
_MOST_CUTS = 3
"""How often a stream may be cut that has brought nothing since the cut before."""
_EXPECTED = frozenset({"NoSuchKey", "InvalidRange", "PreconditionFailed"})


async def read_blob(place: Place, key: BlobKey, *, offset: int, length: int | None) -> AsyncGenerator[bytes, None]:
    """Stream a blob as the port's `read` says."""
    end = None if length is None else offset + length
    if end == offset:
        if await place.size(place.prefix + key) is None:
            raise BlobMissing(key)
        return
    etag: str | None = None
    cuts = 0
    while True:
        found = await _open(place, key, offset, end, etag)
        if found is None:
            return
        etag = found["ETag"]
        end = offset + found["ContentLength"]
        stream = _Stream(found["Body"], end - offset)
        try:
            while chunk := await stream.next_chunk():
                offset += len(chunk)
                cuts = 0
                yield chunk
            return
        except (*TRANSPORT_ERRORS, BotoCoreError) as error:
            cuts += 1
            if cuts > _MOST_CUTS:
                raise unavailable(error) from error
        finally:
            await stream.close()


async def _open(
    place: Place, key: BlobKey, offset: int, end: int | None, etag: str | None
) -> "GetObjectOutputTypeDef | None":
    """Return the head of the answer; None when no byte follows the offset.

    Args:
        etag: what the beginning of the stream had.
    """
    wanted: dict[str, str] = {}
    if offset or end is not None:
        wanted["Range"] = f"bytes={offset}-{'' if end is None else end - 1}"
    if etag is not None:
        wanted["IfMatch"] = etag
    try:
        found = await place.call(
            lambda: place.client.get_object(Bucket=place.bucket, Key=place.prefix + key, **wanted),  # type: ignore[arg-type]  # mypy takes any key for any argument
            expected=_EXPECTED,
        )
    except Refusal as refusal:
        match refusal.code:
            case "NoSuchKey":
                raise BlobMissing(key) from refusal
            case "InvalidRange":
                return None
            case _:
                raise BlobStoreUnavailable("the blob has changed while it was read") from refusal
    if wanted.get("Range") and not found.get("ContentRange"):
        found["Body"].close()
        raise BlobStoreUnavailable("the store does not answer with the range that was asked for")
    return found


class _Stream:
    """The body of one answer. `close` must follow, whatever happens."""

    def __init__(self, body: "StreamingBody", size_bytes: int) -> None:
        self._body = body
        self._remaining = size_bytes
        self._fetching: asyncio.Task[bytes] | None = None

    async def next_chunk(self) -> bytes:
        """Return the next bytes, none at the end."""
        fetching = self._fetching or asyncio.create_task(self._fetch())
        self._fetching = fetching
        await asyncio.wait({fetching})
        chunk = fetching.result()
        self._fetching = asyncio.create_task(self._fetch()) if self._remaining else None
        return chunk

    async def close(self) -> None:
        """Give the connection back, or close it when not all was read."""
        self._body.close()
        if self._fetching is not None:
            self._fetching.cancel()
            await outlast(self._fetching)
            if not self._fetching.cancelled():
                self._fetching.exception()  # Nobody wants it any more.

    async def _fetch(self) -> bytes:
        pieces = []
        wanted = min(self._remaining, READ_BYTES)
        while wanted:
            piece = await self._body.read(wanted)
            if not piece:
                raise ConnectionResetError("the stream ended early")
            pieces.append(piece)
            wanted -= len(piece)
            self._remaining -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
