"""Clients that take or send next to nothing, hold connections, or are cut off: others do not notice, nothing stays."""

import asyncio
import hashlib
import io
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess, running_larder
from tests.faults.workload import pause
from tests.registry_client import RegistryClient, open_client
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_MIB = 1024 * 1024
_STALL_SECONDS = 4.0
"""Longer than a busy machine keeps a client waiting that does go on."""
_MOST_CONNECTIONS = 300
_CONTENT = build_wheel("big", "1.0", extra_files={"big/noise": os.urandom(16 * _MIB)})
_FILE_NAME = wheel_file_name("big", "1.0")


@dataclass(frozen=True, slots=True)
class Served:
    """A registry with one API process and one large file."""

    larder: LarderProcess
    target: str

    @property
    def port(self) -> int:
        port = urlsplit(self.larder.url).port
        assert port is not None
        return port

    @property
    def pid(self) -> int:
        (pid,) = self.larder.pids("larder api")
        return pid

    def head(self, method: str = "GET", target: str | None = None, **headers: str) -> bytes:
        lines = [f"{method} {target or self.target} HTTP/1.1", "Host: a", f"PRIVATE-TOKEN: {self.larder.token}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    @property
    def pypi(self) -> str:
        return f"/api/v4/projects/{self.larder.project_id}/packages/pypi"

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def memory_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def blobs(self) -> list[Path]:
        return [path for path in (self.larder.data_dir / "blobs").rglob("*") if path.is_file()]

    @asynccontextmanager
    async def connected(
        self, *, buffer_bytes: int | None = None
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a connection; `buffer_bytes` is what the client's machine takes without the client."""
        connection = socket.socket()
        if buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    settings = {
        "API_PROCESSES": "1",
        "STALL_SECONDS": str(_STALL_SECONDS),
        "MAX_CONNECTIONS": str(_MOST_CONNECTIONS),
        "MAX_CONNECTIONS_PER_ADDRESS": str(_MOST_CONNECTIONS),
    }
    with running_larder(tmp_path_factory.mktemp("slow") / "var", settings) as running:
        yield running


@pytest.fixture
async def client(larder: LarderProcess) -> AsyncIterator[RegistryClient]:
    async with open_client(larder.url, larder.token, larder.project_id) as opened:
        yield opened


@pytest.fixture
async def served(larder: LarderProcess, client: RegistryClient) -> AsyncIterator[Served]:
    """Give the registry, and fail when a test leaves a file open, or a blob."""
    digest = hashlib.sha256(_CONTENT).hexdigest()
    target = f"/api/v4/projects/{larder.project_id}/packages/pypi/files/{digest}/{_FILE_NAME}"
    served = Served(larder, target)
    if not await _is_served(client, served):
        await _publish(client, served)
    await eventually(lambda: _is_served(client, served), what="the file is published", timeout_seconds=60)
    await eventually(lambda: _has_one_blob(served), what="only its blob is there", timeout_seconds=60)
    before = served.open_files()
    yield served

    async def is_as_before() -> bool:
        # One more is the client of the fixture, which keeps its connection.
        return served.open_files() <= before + 1 and len(served.blobs()) == 1

    await eventually(is_as_before, what="nothing stays of the clients", timeout_seconds=60)
    assert await client.download(f"{larder.url}{served.target}") == _CONTENT


async def _publish(client: RegistryClient, served: Served) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("name", "big")
    form.add_field("version", "1.0")
    form.add_field("content", io.BytesIO(_CONTENT), filename=_FILE_NAME)
    async with client.session.post(f"{served.larder.url}{served.pypi}", data=form) as answer:
        assert answer.status in (201, 202), await answer.text()


async def _is_served(client: RegistryClient, served: Served) -> bool:
    async with client.session.head(f"{served.larder.url}{served.target}") as answer:
        return answer.status == 200


async def _has_one_blob(served: Served) -> bool:
    return len(served.blobs()) == 1


async def test_a_client_that_sends_a_byte_now_and_then_is_told_off(served: Served) -> None:
    begins = (
        served.head("POST", served.pypi, Content_Type="multipart/form-data; boundary=b", Content_Length="100000")
        + b'--b\r\nContent-Disposition: form-data; name="content"; filename="a.whl"\r\n\r\n'
    )
    async with served.connected() as (reader, writer):
        writer.write(begins)
        answering = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        while not answering.done():
            writer.write(b"x")
            await asyncio.wait([answering], timeout=_STALL_SECONDS / 4)
        assert (await answering).startswith(b"HTTP/1.1 408 ")


async def test_a_reader_that_stops_holds_no_memory_and_is_cut_off(served: Served) -> None:
    before = served.memory_bytes()
    async with AsyncExitStack() as stack:
        files = served.open_files()
        stalled = [await stack.enter_async_context(served.connected(buffer_bytes=64 * 1024)) for _ in range(10)]
        for reader, writer in stalled:
            writer.write(served.head())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a ReadTransport, too
        await eventually(lambda: _holds_fewer(served, files + 1), what="all of them are cut off", timeout_seconds=60)
        assert served.memory_bytes() - before < len(_CONTENT)
        for reader, writer in stalled:
            writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
            assert len(await _read_all(reader)) < len(_CONTENT)


async def test_a_reader_that_is_slow_but_goes_on_gets_all(served: Served) -> None:
    began_at = asyncio.get_running_loop().time()
    async with served.connected(buffer_bytes=64 * 1024) as (reader, writer):
        writer.write(served.head())
        await reader.readuntil(b"\r\n\r\n")
        content = bytearray()
        while len(content) < len(_CONTENT):
            content += await reader.readexactly(min(3 * _MIB, len(_CONTENT) - len(content)))
            await pause(_STALL_SECONDS / 5)
    assert content == _CONTENT
    assert asyncio.get_running_loop().time() - began_at > _STALL_SECONDS


async def test_a_page_that_nobody_takes_is_given_up(served: Served, client: RegistryClient) -> None:
    async with AsyncExitStack() as stack:
        files = served.open_files()
        connections = [await stack.enter_async_context(served.connected(buffer_bytes=4096)) for _ in range(3)]
        await eventually(lambda: _holds_more(served, files + 2), what="all are let in", timeout_seconds=60)
        for _, writer in connections:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a ReadTransport, too
            # So many answers that no buffer holds them.
            writer.write(served.head(target="/api/v4/openapi.json") * 100)
        await eventually(lambda: _holds_fewer(served, files + 1), what="all of them are cut off", timeout_seconds=60)
    assert await client.names() == ["big"]


@pytest.mark.parametrize("ending", ["closed", "reset"])
async def test_a_client_that_vanishes_in_the_middle_of_a_download(served: Served, ending: str) -> None:
    for _ in range(10):
        async with served.connected() as (reader, writer):
            writer.write(served.head())
            await reader.readexactly(100_000)
            if ending == "reset":
                _reset(writer)


async def test_a_download_that_is_cut_a_hundred_times_is_resumed_to_the_right_bytes(served: Served) -> None:
    content = bytearray()
    etag = ""
    step = len(_CONTENT) // 100
    for number in range(101):
        told = {"Range": f"bytes={len(content)}-", "If_Range": etag} if content else {}
        async with served.connected() as (reader, writer):
            writer.write(served.head(**told))
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 206 " if content else "http/1.1 200 ")
            if content:
                assert f"\r\ncontent-range: bytes {len(content)}-{len(_CONTENT) - 1}/{len(_CONTENT)}\r\n" in head
            etag = head.partition("\r\netag: ")[2].partition("\r\n")[0]
            content += await reader.readexactly(min(step, len(_CONTENT) - len(content)))
            if number % 2:
                _reset(writer)
    assert content == _CONTENT


async def test_one_that_resumes_another_file_gets_the_whole_of_this_one(served: Served) -> None:
    async with served.connected() as (reader, writer):
        writer.write(served.head(Range="bytes=1000-", If_Range='"another"'))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(len(_CONTENT)) == _CONTENT


async def test_500_idle_connections_keep_nobody_out(served: Served, client: RegistryClient) -> None:
    async with AsyncExitStack() as stack:
        for number in range(500):
            _, writer = await stack.enter_async_context(served.connected())
            # Some say nothing at all, some begin to.
            writer.write(b"" if number % 2 else b"GET / HTTP/1.1\r\nHost:")
        assert served.open_files() < 2 * _MOST_CONNECTIONS
        assert await client.download(f"{served.larder.url}{served.target}") == _CONTENT
        for number in range(20):
            async with served.connected() as (reader, writer):
                writer.write(served.head(target="/-/liveness"))
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 "), number


async def _holds_fewer(served: Served, files: int) -> bool:
    return served.open_files() < files


async def _holds_more(served: Served, files: int) -> bool:
    return served.open_files() > files


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    content = bytearray()
    with suppress(ConnectionError):
        while chunk := await reader.read(_MIB):
            content += chunk
    return bytes(content)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection end as when the client's machine has forgotten it."""
    found = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
