"""The bucket of a store as its writers, readers and listings use it."""

import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.blobs.s3.calls import CALL_SECONDS, Calls, Refusal
from shared.blobs.s3.location import S3Location
from shared.errors import BlobStoreUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

_PIECE_BYTES = 256 * 1024
_LEAST_BYTES_PER_SECOND = 128 * 1024
_NOT_THERE = frozenset({"NoSuchKey", "NotFound", "404"})
"""What a HEAD may be told, whose answer has no body to say more."""
_NO_SUCH_KEY = frozenset({"NoSuchKey"})
"""What the store itself says; a bare 404 may come from whatever stands in front of it."""
_TAKEN = frozenset({"PreconditionFailed"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is neither complete nor aborted.

    Args:
        name: the key of S3, which begins with the prefix.
    """

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the store has taken."""

    number: int
    etag: str
    sha256: bytes


class RewindableBody:
    """Bytes that are sent piece by piece, so that no copy of them lies in the connection, and again when need be.

    botocore asks for what a file can do; aiohttp takes the pieces.
    """

    def __init__(self, content: bytes | bytearray) -> None:
        self._content = memoryview(content)
        self._position = 0

    def __len__(self) -> int:
        return len(self._content)

    def read(self, size: int = -1) -> bytes:
        end = len(self._content) if size < 0 else self._position + size
        piece = bytes(self._content[self._position : end])
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, len(self._content))[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for start in range(0, len(self._content), _PIECE_BYTES):
            yield self._content[start : start + _PIECE_BYTES]


class Place:
    """A bucket and a prefix in it, asked through calls with limits.

    Every method raises StorageFull or BlobStoreUnavailable when it fails.
    """

    def __init__(self, client: "S3Client", location: S3Location) -> None:
        self.client = client
        self.bucket = location.bucket
        self.prefix = location.prefix
        self.call = Calls()

    async def put(self, name: str, content: bytes | bytearray, *, sha256: bytes) -> bool:
        """Put an object where none is yet, checked by its digest on arrival; return False when there is one.

        An earlier attempt of the same call, whose answer was lost, counts as this one.
        """
        checksum = _text(sha256)
        try:
            await self.call(
                lambda: self.client.put_object(
                    Bucket=self.bucket,
                    Key=name,
                    Body=RewindableBody(content),  # type: ignore[arg-type]  # what botocore asks of a body, it has
                    ChecksumSHA256=checksum,
                    IfNoneMatch="*",
                ),
                seconds=_seconds_for(len(content)),
                expected=_TAKEN,
            )
        except Refusal as refusal:
            return refusal.attempt > 1 and await self._holds(name, len(content), checksum)
        return True

    async def overwrite(self, name: str, content: bytes) -> None:
        """Put a small object that is no blob."""
        checksum = _text(hashlib.sha256(content).digest())
        await self.call(
            lambda: self.client.put_object(Bucket=self.bucket, Key=name, Body=content, ChecksumSHA256=checksum)
        )

    async def size(self, name: str) -> int | None:
        """Return the size of an object in bytes, or None when there is none.

        A HEAD that finds nothing does not tell whether there is a bucket, so a GET is asked.
        """
        try:
            found = await self.call(lambda: self.client.head_object(Bucket=self.bucket, Key=name), expected=_NOT_THERE)
        except Refusal:
            try:
                again = await self.call(
                    lambda: self.client.get_object(Bucket=self.bucket, Key=name), expected=_NO_SUCH_KEY
                )
            except Refusal:
                return None
            again["Body"].close()
            return again["ContentLength"]
        return found["ContentLength"]

    async def presigned(
        self, name: str, *, content_type: str, content_disposition: str, cache_control: str, seconds: int
    ) -> str:
        """Return a URL from which whoever has it may GET the object until it expires."""
        return await self.call(
            lambda: self.client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.bucket,
                    "Key": name,
                    "ResponseContentType": content_type,
                    "ResponseContentDisposition": content_disposition,
                    "ResponseCacheControl": cache_control,
                },
                ExpiresIn=seconds,
            )
        )

    async def delete(self, name: str) -> None:
        """Remove an object; that it is not there is no error."""
        try:
            await self.call(lambda: self.client.delete_object(Bucket=self.bucket, Key=name), expected=_NO_SUCH_KEY)
        except Refusal:
            return

    async def names(self, below: str = "") -> AsyncGenerator[str, None]:
        """Yield the names of the objects whose name begins with the prefix and `below`, without the prefix, sorted."""
        beyond: dict[str, str] = {}
        while True:
            page = await self.call(
                lambda beyond=beyond: self.client.list_objects_v2(  # type: ignore[misc]  # mypy cannot infer defaults
                    Bucket=self.bucket, Prefix=self.prefix + below, **beyond
                )
            )
            found = [entry["Key"].removeprefix(self.prefix) for entry in page.get("Contents", [])]
            for name in found:
                yield name
            if not found or not page["IsTruncated"]:
                return
            # By name and not by the page's own token, so that it does not matter what is removed meanwhile.
            beyond = {"StartAfter": self.prefix + found[-1]}

    async def uploads(self, below: str = "") -> AsyncGenerator[Upload, None]:
        """Yield the unfinished multipart uploads of names that begin with the prefix and `below`."""
        beyond: dict[str, str] = {}
        while True:
            page = await self.call(
                lambda beyond=beyond: self.client.list_multipart_uploads(  # type: ignore[misc]  # likewise
                    Bucket=self.bucket, Prefix=self.prefix + below, **beyond
                )
            )
            for entry in page.get("Uploads", []):
                yield Upload(name=entry["Key"], id=entry["UploadId"])
            if not page.get("IsTruncated"):
                return
            beyond = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    async def begin_upload(self, name: str) -> Upload:
        """Begin a multipart upload whose parts are checked by their digests."""
        # A repetition may begin a second one: whoever gives up removes all that its name has, and the sweep does later.
        begun = await self.call(
            lambda: self.client.create_multipart_upload(Bucket=self.bucket, Key=name, ChecksumAlgorithm="SHA256")
        )
        return Upload(name=name, id=begun["UploadId"])

    async def send_part(self, upload: Upload, content: bytearray, *, number: int, sha256: bytes) -> Part:
        """Send one part; the store compares it with its digest."""
        sent = await self.call(
            lambda: self.client.upload_part(
                Bucket=self.bucket,
                Key=upload.name,
                UploadId=upload.id,
                PartNumber=number,
                Body=RewindableBody(content),  # type: ignore[arg-type]  # as above
                ChecksumSHA256=_text(sha256),
            ),
            seconds=_seconds_for(len(content)),
        )
        return Part(number=number, etag=sent["ETag"], sha256=sha256)

    async def complete_upload(self, upload: Upload, parts: list[Part], *, size_bytes: int) -> bool:
        """Make an object of the parts, where none is yet; return False when there is one.

        An earlier attempt of the same call, whose answer was lost, counts as this one.
        """
        whole = hashlib.sha256(b"".join(part.sha256 for part in parts)).digest()
        checksum = f"{_text(whole)}-{len(parts)}"
        try:
            done = await self.call(
                lambda: self.client.complete_multipart_upload(
                    Bucket=self.bucket,
                    Key=upload.name,
                    UploadId=upload.id,
                    IfNoneMatch="*",
                    MultipartUpload={
                        "Parts": [
                            {"PartNumber": part.number, "ETag": part.etag, "ChecksumSHA256": _text(part.sha256)}
                            for part in parts
                        ]
                    },
                ),
                seconds=4 * CALL_SECONDS,
                expected=_TAKEN | {"NoSuchUpload"},
            )
        except Refusal as refusal:
            if refusal.attempt > 1 and await self._holds(upload.name, size_bytes, checksum):
                return True
            if refusal.code == "NoSuchUpload":
                raise BlobStoreUnavailable("the store has lost a multipart upload") from refusal
            return False
        if done.get("ChecksumSHA256", checksum) != checksum:
            raise BlobStoreUnavailable("the store has put other parts together than those that were sent")
        return True

    async def abort_upload(self, upload: Upload) -> None:
        """Remove the parts of an upload; that they are gone is no error."""
        try:
            await self.call(
                lambda: self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload.name, UploadId=upload.id),
                expected=_NO_SUCH_KEY | {"NoSuchUpload"},
            )
        except Refusal:
            return

    async def _holds(self, name: str, size_bytes: int, checksum: str) -> bool:
        """Say whether an object is what an attempt of ours was to put there."""
        try:
            found = await self.call(
                lambda: self.client.head_object(Bucket=self.bucket, Key=name, ChecksumMode="ENABLED"),
                expected=_NOT_THERE,
            )
        except Refusal:
            return False
        return (found["ContentLength"], found.get("ChecksumSHA256", checksum)) == (size_bytes, checksum)


def _seconds_for(size_bytes: int) -> float:
    return CALL_SECONDS + size_bytes / _LEAST_BYTES_PER_SECOND


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
