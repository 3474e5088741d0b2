"""What an API process that was told to stop still does for those who are with it."""

import asyncio
import socket

import pytest

from shared.settings import Settings
from tests.api.raw_http import END, FORM_TYPE, RawConnection, connected, head, part, upload_target
from tests.api.registry import Registry, running_registry
from tests.distributions import build_wheel
from tests.waiting import eventually

FORM = (
    part("name", b"pkg")
    + part("version", b"1.0")
    + part("content", build_wheel("pkg", "1.0"), file_name="pkg-1.0-py3-none-any.whl")
    + END
)


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_GRACE_SECONDS": "2", "LARDER_UPLOAD_WAIT_SECONDS": "60"}


async def test_an_upload_that_waits_for_its_verdict_is_told_that_it_is_safe(settings: Settings) -> None:
    async with asyncio.timeout(50):
        async with running_registry(settings) as registry:
            waiting = asyncio.create_task(_upload(registry))
            await eventually(lambda: _has_row(registry), what="the file has a row", timeout_seconds=60)
        assert await waiting == (202, b'{"message":"202 Accepted"}')


@pytest.mark.slow
async def test_a_kept_connection_is_answered_once_more_and_then_ended(settings: Settings) -> None:
    ask = head("GET", "/-/liveness", token=None)
    async with running_registry(settings) as registry, connected(registry) as kept, connected(registry) as uploading:
        await _begin(uploading, registry)
        await kept.send(ask)
        assert (await kept.answer())[0] == 200
        registry.lifecycle.drain()
        await kept.send(ask)
        assert (await kept.answer())[0] == 200
        assert b"\r\nConnection: close\r\n" in kept.heads[-1]
        assert await kept.reader.read() == b""


@pytest.mark.slow
class TestWithTime:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_GRACE_SECONDS": "20"}

    async def test_an_answer_that_is_being_taken_is_sent_to_its_last_byte(self, settings: Settings) -> None:
        stop = asyncio.Event()
        ports: asyncio.Queue[Registry] = asyncio.Queue()

        async def run_until_stopped() -> None:
            async with running_registry(settings) as registry:
                await ports.put(registry)
                await stop.wait()

        running = asyncio.create_task(run_until_stopped())
        registry = await ports.get()
        client = socket.create_connection(("127.0.0.1", registry.port))
        # So many answers that no buffer holds them: one of them is being sent, and its handler is done.
        await asyncio.to_thread(client.sendall, head("GET", "/api/v4/openapi.json") * 100)
        await eventually(lambda: _is_held_up(registry), what="the client takes no more", timeout_seconds=60)
        stop.set()
        await asyncio.wait([running], timeout=3)
        assert not running.done()
        answers = await asyncio.to_thread(_read_all, client)
        await running
        # Every one of them is whole.
        while answers:
            first, _, answers = answers.partition(b"\r\n\r\n")
            assert first.startswith(b"HTTP/1.1 200 ")
            length = int(first.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            assert len(answers) >= length
            answers = answers[length:]


def _read_all(client: socket.socket) -> bytes:
    content = bytearray()
    with client:
        while chunk := client.recv(1024 * 1024):
            content += chunk
    return bytes(content)


async def _is_held_up(registry: Registry) -> bool:
    begun = registry.lifecycle.requests_begun
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.3)
    return registry.lifecycle.requests_under_way == 1 and registry.lifecycle.requests_begun == begun


async def _upload(registry: Registry) -> tuple[int, bytes]:
    async with connected(registry) as connection:
        await _begin(connection, registry)
        await connection.send(FORM)
        async with asyncio.timeout(40):
            first = await connection.reader.readuntil(b"\r\n\r\n")
            length = int(first.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            return int(first.split()[1]), await connection.reader.readexactly(length)


async def _begin(connection: RawConnection, registry: Registry) -> None:
    told = {"Content_Type": FORM_TYPE, "Content_Length": str(len(FORM)), "Expect": "100-continue"}
    await connection.send(head("POST", upload_target(registry), **told))
    async with asyncio.timeout(60):
        await connection.reader.readuntil(b"\r\n\r\n")


async def _has_row(registry: Registry) -> bool:
    return (await registry.traces())["package_files"] == 1
