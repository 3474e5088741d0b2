"""Bytes that must be streamed because they are no file on this machine."""

from collections.abc import AsyncGenerator, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.api.presenters.file_response import Representation, plan_response, send
from shared.errors import BlobMissing

CONTENT = bytes(range(256)) * 1000
FILE = Representation(sha256="a" * 64, size_bytes=len(CONTENT), modified_at=None, cache_control="private", headers={})
Stream = Callable[[int, int], AsyncGenerator[bytes, None]]


async def answer(stream: Stream, **headers: str) -> tuple[int, bytes]:
    """Return what a client gets of this stream."""

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await send(request, plan_response(request.method, request.headers, FILE), stream)
        except BlobMissing:
            if request.writer.output_size:
                raise
            return web.Response(status=404)

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client, client.get("/", headers=headers) as response:
        return response.status, await response.read()


async def in_chunks(offset: int, length: int) -> AsyncGenerator[bytes, None]:
    wanted = CONTENT[offset : offset + length]
    for start in range(0, len(wanted), 1000):
        yield wanted[start : start + 1000]


async def test_a_stream_is_sent_whole() -> None:
    assert await answer(in_chunks) == (200, CONTENT)


async def test_only_the_wanted_part_of_a_stream_is_asked_for() -> None:
    assert await answer(in_chunks, Range="bytes=1500-99999") == (206, CONTENT[1500:100_000])


async def test_a_stream_that_is_not_there_can_still_be_told() -> None:
    async def missing(offset: int, length: int) -> AsyncGenerator[bytes, None]:
        if offset < length:
            raise BlobMissing("key")
        yield b""

    assert await answer(missing) == (404, b"")


async def test_a_stream_that_ends_early_is_cut_off_and_not_taken_for_whole() -> None:
    async def short(offset: int, length: int) -> AsyncGenerator[bytes, None]:
        async for chunk in in_chunks(offset, length - 1):
            yield chunk

    with pytest.raises(aiohttp.ClientPayloadError):
        await answer(short)
