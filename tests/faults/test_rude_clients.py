"""Clients that never come to an end, or lie, or vanish: each is told off or cut off, and nothing of it stays."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.api.conftest import bare_registry, redis_server, settings, sqlite_template
from tests.api.raw_http import (
    BOUNDARY,
    END,
    FORM_TYPE,
    RawConnection,
    connected,
    exchange,
    head,
    part,
    upload_target,
)
from tests.api.registry import NOTHING, Registry
from tests.distributions import build_wheel
from tests.waiting import eventually

__all__ = ["bare_registry", "redis_server", "settings", "sqlite_template"]

_MIB = 1024 * 1024
_MOST_BYTES = 64 * _MIB
"""A client that could send so much was not stopped."""
LIVENESS = head("GET", "/-/liveness", token=None)
FIELDS = part("name", b"pkg") + part("version", b"1.0")
FILE_BEGINS = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="pkg-1.0.tar.gz"\r\n\r\n'.encode()
)
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_STALL_SECONDS": "1", "LARDER_UPLOAD_WAIT_SECONDS": "0"}


@asynccontextmanager
async def nothing_stays(registry: Registry) -> AsyncIterator[None]:
    """Fail when the block leaves a blob, a row, a request, a task or an open file behind."""
    # What is opened once and kept is not of this client.
    assert (await exchange(registry, _upload_head(registry, Content_Length="1") + b"x"))[0] == 400
    await eventually(lambda: _is_idle(registry), what="the first request has ended", timeout_seconds=60)
    tasks, files = asyncio.all_tasks(), _open_files()
    yield

    async def is_as_before() -> bool:
        return not (asyncio.all_tasks() - tasks) and _open_files() <= files and await registry.traces() == NOTHING

    await eventually(is_as_before, what="nothing stays of the client", timeout_seconds=60)
    assert registry.blobs_held_open() == 0
    assert (await exchange(registry, LIVENESS))[0] == 200


async def pour(registry: Registry, beginning: bytes, piece: bytes) -> tuple[int, bytes]:
    """Send the beginning, then one piece after the other until there is an answer, and return that."""
    async with connected(registry) as connection:
        answering = asyncio.create_task(connection.answer())
        sent = 0
        with suppress(ConnectionError):
            await connection.send(beginning)
            while not answering.done():
                assert sent < _MOST_BYTES, "nobody stops this client"
                await connection.send(piece)
                sent += len(piece)
                await asyncio.sleep(0)
        return await answering


def _upload_head(registry: Registry, **headers: str) -> bytes:
    return head("POST", upload_target(registry), Content_Type=FORM_TYPE, **headers)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def test_a_hundred_thousand_parts(bare_registry: Registry) -> None:
    body = part("classifiers", b"x") * 100_000
    async with nothing_stays(bare_registry):
        request = _upload_head(bare_registry, Content_Length=str(len(body)))
        async with connected(bare_registry) as connection:
            await connection.send(request + body)
            assert await connection.answer() == (400, b'{"error":"the form has more than 5000 parts"}')


@pytest.mark.parametrize(
    ("beginning", "piece", "error"),
    [
        (b"", CHUNK, "the body does not begin with the boundary that its Content-Type names"),
        (_chunk(f"--{BOUNDARY}\r\n".encode()), _chunk(b"X-A: b\r\n"), "the head of a part is longer than 16384 bytes"),
        (
            _chunk(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'.encode()),
            CHUNK,
            "the head of a part is longer than 16384 bytes",
        ),
        (
            _chunk(FIELDS + part("description", b"")[:-2]),
            CHUNK,
            "the form holds more than 8388608 bytes besides the file",
        ),
        (
            _chunk(FIELDS + part("gpg_signature", b"", file_name="a.asc")[:-2]),
            CHUNK,
            "the form holds more than 8388608 bytes besides the file",
        ),
        (_chunk(FIELDS + END), CHUNK, "the body goes on after its closing boundary"),
    ],
    ids=["preamble", "lines of a head", "field name", "field", "other file", "epilogue"],
)
@pytest.mark.slow
async def test_a_form_without_end(bare_registry: Registry, beginning: bytes, piece: bytes, error: str) -> None:
    async with nothing_stays(bare_registry):
        request = _upload_head(bare_registry, Transfer_Encoding="chunked")
        answer = await pour(bare_registry, request + beginning, piece)
        assert answer == (400, f'{{"error":"{error}"}}'.encode())


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (b"GET /", b"a" * 1000),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 10),
        (b"GET / HTTP/1.1\r\nA: ", b"b" * 1000),
        (b"GET / HTTP/1.1\r\n", b"a" * 1000),
    ],
    ids=["target", "lines", "value", "name"],
)
async def test_a_head_without_end(bare_registry: Registry, beginning: bytes, piece: bytes) -> None:
    async with nothing_stays(bare_registry):
        answer = await pour(bare_registry, beginning, piece)
        assert answer == (431, b'{"error":"431 Request Header Fields Too Large"}')


@pytest.mark.slow
async def test_no_end_behind_a_chunked_body(bare_registry: Registry) -> None:
    async with nothing_stays(bare_registry):
        request = _upload_head(bare_registry, Transfer_Encoding="chunked") + _chunk(FIELDS) + b"0\r\n"
        status, _ = await pour(bare_registry, request, b"A: b\r\n")
        assert status in (400, 408, 431)


@pytest.mark.slow
async def test_a_chunk_that_is_described_without_end_is_no_progress(bare_registry: Registry) -> None:
    async with nothing_stays(bare_registry), connected(bare_registry) as connection:
        request = _upload_head(bare_registry, Transfer_Encoding="chunked")
        await connection.send(request + _chunk(FIELDS) + b"10;a=")
        answering = asyncio.create_task(connection.answer())
        while not answering.done():
            await connection.send(b"a" * 1000)
            await asyncio.wait([answering], timeout=0.01)
        assert (await answering)[0] in (400, 408)


@pytest.mark.slow
async def test_a_stranger_who_sends_without_end_is_cut_off(bare_registry: Registry) -> None:
    async with nothing_stays(bare_registry), connected(bare_registry) as connection:
        request = head(
            "POST", upload_target(bare_registry), token=None, Content_Type=FORM_TYPE, Transfer_Encoding="chunked"
        )
        await connection.send(request + CHUNK)
        assert (await connection.answer())[0] == 401
        # It goes on, but slowly: what it sends is thrown away for a while.
        assert await connection.reader.read() == b""


@pytest.mark.slow
async def test_a_body_that_nobody_asked_for_is_not_read_for_long(bare_registry: Registry) -> None:
    async with nothing_stays(bare_registry), connected(bare_registry) as connection:
        await connection.send(head("GET", "/-/liveness", token=None, Transfer_Encoding="chunked"))
        assert (await connection.answer())[0] == 200
        with suppress(ConnectionError):
            async with asyncio.timeout(60):
                while not connection.reader.at_eof():
                    await connection.send(CHUNK)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.01):
                            await connection.reader.read(1)


async def test_a_body_shorter_than_told_is_waited_for_within_the_stall_limit(bare_registry: Registry) -> None:
    content = part("content", build_wheel("pkg", "1.0"), file_name="pkg-1.0-py3-none-any.whl")
    body = FIELDS + content + END
    async with nothing_stays(bare_registry), connected(bare_registry) as connection:
        await connection.send(_upload_head(bare_registry, Content_Length=str(len(body) + 1)) + body)
        assert await connection.answer() == (408, b'{"message":"408 Request Timeout"}')


async def test_a_body_longer_than_told_is_cut_where_it_was_told_to_end(bare_registry: Registry) -> None:
    body = FIELDS + FILE_BEGINS + b"x" * 1000
    async with nothing_stays(bare_registry), connected(bare_registry) as connection:
        # What follows the end could be a next request; it is none.
        await connection.send(_upload_head(bare_registry, Content_Length=str(len(body) - 500)) + body)
        assert (await connection.answer())[0] == 400
        assert await connection.reader.read() == b""


@pytest.mark.parametrize("ending", ["closed", "reset"])
async def test_a_client_that_vanishes_in_the_middle_of_an_upload(bare_registry: Registry, ending: str) -> None:
    async with nothing_stays(bare_registry):
        for _ in range(3):
            async with connected(bare_registry) as connection:
                request = _upload_head(bare_registry, Content_Length=str(10 * _MIB))
                await connection.send(request + FIELDS + FILE_BEGINS + b"x" * (3 * _MIB))
                await eventually(lambda: _is_writing(bare_registry), what="the upload has begun", timeout_seconds=60)
                if ending == "reset":
                    _reset(connection)


def _reset(connection: RawConnection) -> None:
    """Have the connection end as when the client's machine has forgotten it."""
    found = connection.writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()


def _open_files() -> int:
    """Return how many files this process holds open, but for those of the database, which has a pool of its own."""
    found = 0
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += "sqlite3" not in handle.readlink().name
    return found


async def _is_idle(registry: Registry) -> bool:
    return registry.lifecycle.requests_under_way == 0


async def _is_writing(registry: Registry) -> bool:
    return registry.blobs_held_open() == 1
