"""The S3 store: each blob is an object `<prefix>/YYYY/MM/DD/<uuid7>` of one bucket."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import date
from functools import cache

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.loaders import Loader, create_loader

from shared.blob_keys import check_blob_key, started_at
from shared.blobs.naming import NAME_PREFIX, check_name, is_name
from shared.blobs.s3.location import S3Location
from shared.blobs.s3.place import Place, Upload
from shared.blobs.s3.reading import read_blob
from shared.blobs.s3.writer import PART_BYTES, S3BlobWriter
from shared.errors import BlobMissing
from shared.models import BlobKey
from shared.ports.blob_store import BlobWriter, LinkHeaders, LocalBlob

_TRIAL_NAME = ".check"
_CONNECTIONS = 1024
"""Each download that is streamed has one for as long as its client takes."""
_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 20.0
_REGION_OF_OTHERS = "us-east-1"
"""What stores that are not AWS's take, unless they say otherwise."""


class S3BlobStore:
    """Blobs in a bucket. Use `open_s3_blob_store`."""

    def __init__(self, place: Place, *, part_bytes: int) -> None:
        self._place = place
        self._part_bytes = part_bytes

    def create(self, key: BlobKey) -> AbstractAsyncContextManager[BlobWriter]:
        return self._writing(check_blob_key(key))

    def read(self, key: BlobKey, *, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length cannot be negative")
        return read_blob(self._place, check_blob_key(key), offset=offset, length=length)

    async def locate(self, key: BlobKey) -> LocalBlob | None:
        await self.size_of(key)
        return None

    async def size_of(self, key: BlobKey) -> int:
        size_bytes = await self._place.size(self._place.prefix + check_blob_key(key))
        if size_bytes is None:
            raise BlobMissing(key)
        return size_bytes

    async def link(self, key: BlobKey, headers: LinkHeaders, *, seconds: int) -> str | None:
        return await self._place.presigned(
            self._place.prefix + check_blob_key(key),
            content_type=headers.content_type,
            content_disposition=headers.content_disposition,
            cache_control=headers.cache_control,
            seconds=seconds,
        )

    async def delete(self, key: BlobKey) -> None:
        await self._place.delete(self._place.prefix + check_blob_key(key))

    async def keys(self, *, before: date) -> AsyncGenerator[BlobKey, None]:
        async with aclosing(self._place.names()) as names:
            async for name in names:
                if not _is_key(name):
                    continue
                if started_at(name).date() >= before:
                    return  # They come sorted, and so by day.
                yield BlobKey(name)

    async def sweep_unfinished(self, *, before: date) -> int:
        removed = 0
        async with aclosing(self._unfinished(before)) as uploads:
            async for upload in uploads:
                await self._place.abort_upload(upload)
                removed += 1
        return removed

    async def unfinished(self, *, before: date) -> AsyncGenerator[BlobKey, None]:
        async with aclosing(self._unfinished(before)) as uploads:
            async for upload in uploads:
                yield BlobKey(upload.name.removeprefix(self._place.prefix))

    async def name(self) -> str | None:
        found = await self._names()
        return found[0] if len(found) == 1 else None

    async def give_name(self, name: str) -> None:
        check_name(name)
        for other in await self._names():
            if other != name:
                await self._place.delete(self._place.prefix + NAME_PREFIX + other)
        await self._place.overwrite(self._place.prefix + NAME_PREFIX + name, b"")

    async def check(self) -> None:
        # One fixed name: what a killed process leaves, the next check removes.
        await self._place.overwrite(self._place.prefix + _TRIAL_NAME, b"trial")
        await self._place.delete(self._place.prefix + _TRIAL_NAME)

    @asynccontextmanager
    async def _writing(self, key: BlobKey) -> AsyncIterator[BlobWriter]:
        writer = S3BlobWriter(key, self._place, part_bytes=self._part_bytes)
        try:
            yield writer
        finally:
            await writer.close()

    async def _unfinished(self, before: date) -> AsyncGenerator[Upload, None]:
        async with aclosing(self._place.uploads()) as uploads:
            async for upload in uploads:
                name = upload.name.removeprefix(self._place.prefix)
                if _is_key(name) and started_at(name).date() < before:
                    yield upload

    async def _names(self) -> list[str]:
        async with aclosing(self._place.names(NAME_PREFIX)) as names:
            found = [name.removeprefix(NAME_PREFIX) async for name in names]
        return [name for name in found if is_name(name)]


@asynccontextmanager
async def open_s3_blob_store(location: S3Location, *, part_bytes: int = PART_BYTES) -> AsyncIterator[S3BlobStore]:
    """Open the store; whether it answers, the first call tells.

    Args:
        part_bytes: how large the parts of multipart uploads are; S3 takes none below 5 MiB.
    """
    session = get_session()
    session.register_component("data_loader", _descriptions())
    region = location.region or session.get_config_variable("region") or _REGION_OF_OTHERS
    config = AioConfig(
        signature_version="s3v4",
        max_pool_connections=_CONNECTIONS,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_SILENCE_SECONDS,
        # `Calls` tries again, within its budget.
        retries={"total_max_attempts": 1, "mode": "standard"},
        # What is sent is checked by the digest beside it, which is signed; to hash it once more would hold up the loop.
        s3={"addressing_style": location.addressing_style, "payload_signing_enabled": False},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with session.create_client(
        "s3", region_name=region, endpoint_url=location.endpoint_url, config=config
    ) as client:
        yield S3BlobStore(Place(client, location), part_bytes=part_bytes)


@cache
def _descriptions() -> Loader:
    """Return what botocore has read of its own files, which takes half a second: every store of a process needs it."""
    return create_loader()


def _is_key(name: str) -> bool:
    try:
        check_blob_key(name)
    except ValueError:
        return False
    return True
