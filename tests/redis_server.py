"""A real Redis server for tests, which they may stop, kill and freeze.

Import the fixtures `redis_server` and `redis_is_given_time` into a conftest.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.standalone.redis_binary import find_redis_server
from shared.queue import arq_queue
from tests.waiting import eventually

_PATIENCE_SECONDS = 60.0


class RedisServer:
    """One server with a private directory; what it wrote survives `kill` and `stop`, and `start` brings it back."""

    def __init__(self, binary: Path, directory: Path, *, port: int, options: tuple[str, ...]) -> None:
        self._binary = binary
        self._directory = directory
        self._port = port
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the URL of its unix socket."""
        return f"unix://{self._directory / 's'}"

    @property
    def tcp_url(self) -> str:
        """Return the URL of its TCP port."""
        assert self._port, "this server was started without a port"
        return f"redis://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    async def start(self) -> None:
        """Start the server and return when it answers."""
        assert self._process is None, "the server is already running"
        self._process = await asyncio.to_thread(self._spawn)
        await eventually(self._answers_or_died, what="Redis answers", timeout_seconds=_PATIENCE_SECONDS)
        if self._process.poll() is not None:
            pytest.fail(f"Redis does not start:\n{self._log_tail()}")

    async def stop(self) -> None:
        """End the server as an operator would."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End the server as a power cut would."""
        await self._end(signal.SIGKILL)

    async def kill_if_running(self) -> None:
        """End the server, whatever the test has done to it."""
        if self._process is not None:
            await self.kill()

    def freeze(self) -> None:
        """Let the server hang: it takes connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def lose_data(self) -> None:
        """Remove what a stopped server has written."""
        assert self._process is None, "the server is running"
        shutil.rmtree(self._directory / "appendonlydir", ignore_errors=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        configuration = self._directory / "redis.conf"
        configuration.write_text(self._configuration(), encoding="utf-8")
        with (self._directory / "redis.log").open("ab") as log:
            return subprocess.Popen(
                [self._binary, configuration], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        assert process is not None, "the server is not running"
        process.send_signal(number)
        await asyncio.to_thread(process.wait, _PATIENCE_SECONDS)
        self._process = None

    async def _answers_or_died(self) -> bool:
        return self._process is None or self._process.poll() is not None or await self._answers()

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_unix_connection(self._directory / "s")
                try:
                    writer.write(b"PING\r\n")
                    answer = await reader.readline()
                finally:
                    writer.close()
                await writer.wait_closed()
        except OSError:
            return False
        return answer == b"+PONG\r\n"  # Not while it is still loading.

    def _configuration(self) -> str:
        return "\n".join(
            (
                "bind 127.0.0.1",
                f"port {self._port}",
                f"unixsocket {self._directory / 's'}",
                "unixsocketperm 700",
                f"dir {self._directory}",
                "daemonize no",
                'logfile ""',
                "appendonly yes",
                "appendfsync everysec",
                'save ""',
                "maxmemory-policy noeviction",
                "user default on nopass ~* &* +@all -@scripting -@dangerous +info",
                *self._options,
                "",
            )
        )

    def _log_tail(self) -> str:
        return (self._directory / "redis.log").read_text(encoding="utf-8", errors="replace")[-2000:]


@asynccontextmanager
async def new_redis_server(*, port: int = 0, options: tuple[str, ...] = ()) -> AsyncIterator[RedisServer]:
    """Make a server that the test starts itself.

    Args:
        port: a TCP port of 127.0.0.1 beside the unix socket, or 0 for none.
        options: more lines of its configuration.
    """
    # Not below tmp_path: the path of a unix socket holds about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="larder-redis-") as directory:
        binary = await asyncio.to_thread(redis_binary)
        server = RedisServer(binary, Path(directory), port=port, options=options)
        try:
            yield server
        finally:
            await server.kill_if_running()


@pytest.fixture(autouse=True)
def redis_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no call from this process fail because the machine is busy: usually one that takes a second is given up."""
    monkeypatch.setattr(arq_queue, "CALL_SECONDS", _PATIENCE_SECONDS / 2)


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    """Give a running server of the test's own."""
    async with new_redis_server() as server:
        await server.start()
        yield server


def redis_binary() -> Path:
    """Return the server's program; without one the test is skipped, or fails where REQUIRE_BACKENDS=1 is set."""
    binary = find_redis_server()
    if binary is not None:
        return binary
    if os.environ.get("REQUIRE_BACKENDS") == "1":
        pytest.fail("there is no Redis server, but REQUIRE_BACKENDS=1 is set")
    pytest.skip("there is no Redis server here")
