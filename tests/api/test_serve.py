"""The process: how it starts, and how it ends without cutting anybody off."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from shared.backends import open_backends
from shared.settings import Settings
from shared.usecases.bootstrap import Bootstrap
from tests.api.raw_http import END, FORM_TYPE, RawConnection, head, part
from tests.api.registry import ROOT_TOKEN
from tests.distributions import build_wheel

FORM = (
    part("name", b"pkg")
    + part("version", b"1.0")
    + part("content", build_wheel("pkg", "1.0"), file_name="pkg-1.0-py3-none-any.whl")
    + END
)
UPLOAD = "/api/v4/projects/1/packages/pypi"


@dataclass(frozen=True, slots=True)
class ApiProcess:
    process: asyncio.subprocess.Process
    port: int

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[RawConnection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield RawConnection(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def next_event(self, name: str) -> None:
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while json.loads(await self.process.stderr.readline())["event"] != name:
                pass


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[ApiProcess]:
    """Run `python -m services.api` on a migrated database with the administrator in it."""
    async with open_backends(settings) as backends:
        await Bootstrap(backends.store)(ROOT_TOKEN)
    environment = {
        "LARDER_DATA_DIR": str(settings.data_dir),
        "LARDER_DATABASE_URL": settings.database_url,
        "LARDER_BLOB_URL": settings.blob_url,
        "LARDER_REDIS_URL": str(settings.redis_url),
        "LARDER_PORT": "0",
        "LARDER_UPLOAD_WAIT_SECONDS": "0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.api",
        env=os.environ | environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while (line := json.loads(await process.stderr.readline()))["event"] != "api.started":
                pass
        yield ApiProcess(process, line["addresses"][0][1])
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_request_that_is_under_way_is_finished_after_sigterm_and_nobody_else_is_let_in(api: ApiProcess) -> None:
    async with api.connected() as uploading, api.connected() as idle:
        await idle.send(head("GET", "/-/liveness"))
        assert (await idle.answer())[0] == 200
        await uploading.send(
            head("POST", UPLOAD, Content_Type=FORM_TYPE, Content_Length=str(len(FORM)), Expect="100-continue")
        )
        assert await uploading.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await uploading.send(FORM[:200])

        api.process.send_signal(signal.SIGTERM)
        await api.next_event("api.draining")
        with pytest.raises(ConnectionRefusedError):
            async with api.connected():
                pass
        await idle.send(head("GET", "/-/readiness"))
        status, body = await idle.answer()
        assert status == 503
        assert b"shutting down" in body
        assert b"\r\nConnection: close\r\n" in idle.heads[-1]

        await uploading.send(FORM[200:])
        assert await uploading.answer() == (202, b'{"message":"202 Accepted"}')
    async with asyncio.timeout(60):
        assert await api.process.wait() == 0


@pytest.mark.slow
async def test_an_idle_process_ends_at_once_on_ctrl_c(api: ApiProcess) -> None:
    async with api.connected() as idle:
        await idle.send(head("GET", "/-/liveness"))
        await idle.answer()
        api.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await api.process.wait() == 0
        assert await idle.reader.read() == b""
