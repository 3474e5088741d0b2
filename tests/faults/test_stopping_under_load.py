"""SIGTERM while clients are at work: what was begun is finished, whole; nobody else is let in; the exit code is 0."""

import asyncio
import hashlib
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import START_SECONDS, clean_environment, larder_command, running_larder
from tests.redis_server import RedisServer, redis_server
from tests.registry_client import open_client
from tests.waiting import eventually, wait_for

__all__ = ["redis_server"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

_MIB = 1024 * 1024
_EACH = 6
_CONTENT = build_wheel("big", "1.0", extra_files={"big/noise": os.urandom(16 * _MIB)})
_FILE_NAME = wheel_file_name("big", "1.0")
_BOUNDARY = "b0undary"


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be stopped.

    Args:
        process: who gets the signal.
        errors: the log.
        api_processes: how many must say that they drain.
    """

    process: subprocess.Popen[bytes]
    errors: Path
    port: int
    token: str
    project_id: int
    data_dir: Path
    api_processes: int

    @property
    def pypi(self) -> str:
        return f"/api/v4/projects/{self.project_id}/packages/pypi"

    @property
    def download(self) -> str:
        return f"{self.pypi}/files/{hashlib.sha256(_CONTENT).hexdigest()}/{_FILE_NAME}"

    def events(self, name: str) -> list[dict[str, object]]:
        lines = self.errors.read_text(encoding="utf-8").splitlines()
        return [told for line in lines if line.startswith("{") and (told := json.loads(line))["event"] == name]

    def head(self, method: str, target: str, **headers: str) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", "Host: a", f"PRIVATE-TOKEN: {self.token}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    @asynccontextmanager
    async def connected(
        self, *, buffer_bytes: int = 64 * 1024
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        except OSError:
            connection.close()
            raise
        reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@contextmanager
def whole_registry(data_dir: Path, _: RedisServer) -> Iterator[Target]:
    """Run `larder serve`."""
    # From half of the grace on, an upload is told 202: on a busy machine verdicts may take a while.
    with running_larder(data_dir, {"API_PROCESSES": "2", "GRACE_SECONDS": "120"}) as larder:
        port = urlsplit(larder.url).port
        assert port is not None
        asyncio.run(_publish(larder.url, larder.token, larder.project_id))
        yield Target(larder.process, larder.errors, port, larder.token, larder.project_id, data_dir, 2)


@contextmanager
def lone_api(data_dir: Path, redis: RedisServer) -> Iterator[Target]:
    """Run `larder api` alone, on what `larder serve` has left; there is no worker, so uploads are answered 202."""
    with running_larder(data_dir, {"API_PROCESSES": "1"}) as larder:
        token, project_id = larder.token, larder.project_id
        asyncio.run(_publish(larder.url, token, project_id))
        assert larder.stop() == 0
    errors = data_dir.parent / "errors"
    settings = {
        "DATA_DIR": str(data_dir),
        "PORT": "0",
        "REDIS_URL": redis.url,
        "UPLOAD_WAIT_SECONDS": "0",
    }
    with ExitStack() as stack:
        log = stack.enter_context(errors.open("wb"))
        process = subprocess.Popen(larder_command("api"), env=clean_environment(settings), stderr=log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        target = Target(process, errors, 0, token, project_id, data_dir, 1)
        (started,) = wait_for(
            lambda: target.events("api.started"), what="the API has started", timeout_seconds=START_SECONDS
        )
        addresses = started["addresses"]
        assert isinstance(addresses, list)
        yield Target(process, errors, addresses[0][1], token, project_id, data_dir, 1)


async def _publish(url: str, token: str, project_id: int) -> None:
    async with open_client(url, token, project_id) as client:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("name", "big")
        form.add_field("version", "1.0")
        form.add_field("content", io.BytesIO(_CONTENT), filename=_FILE_NAME)
        async with client.session.post(f"{url}/api/v4/projects/{project_id}/packages/pypi", data=form) as answer:
            assert answer.status in (201, 202), await answer.text()
        await eventually(client.names, what="the file is published", timeout_seconds=120)


@pytest.mark.parametrize(("run", "status"), [(whole_registry, 201), (lone_api, 202)])
def test_what_was_begun_is_finished(
    tmp_path: Path,
    redis_server: RedisServer,
    run: Callable[[Path, RedisServer], AbstractContextManager[Target]],
    status: int,
) -> None:
    with run(tmp_path / "var", redis_server) as target:
        asyncio.run(_stop_under_load(target, status))
        assert target.process.wait(120) == 0
        assert not target.events("api.requests_cut_off")
        rows, blobs = _rows_and_blobs(target.data_dir)
    assert rows == blobs
    assert len(rows) == _EACH + 1


async def _stop_under_load(target: Target, status: int) -> None:
    drains = asyncio.Event()
    outcomes: Counter[str] = Counter()  # "begun" among them: uploads and downloads of which some was sent or taken
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(_read_on(target, outcomes))
        uploads = [group.create_task(_upload(target, number, drains, outcomes)) for number in range(_EACH)]
        downloads = [group.create_task(_download(target, drains, outcomes)) for _ in range(_EACH)]
        await eventually(lambda: _all_are_under_way(outcomes), what="all have begun", timeout_seconds=120)
        target.process.send_signal(signal.SIGTERM)
        await eventually(lambda: _all_drain(target), what="all API processes drain", timeout_seconds=120)
        with pytest.raises(ConnectionRefusedError):
            async with target.connected():
                pass
        assert target.process.poll() is None
        drains.set()
    assert [task.result() for task in uploads] == [status] * _EACH
    assert all(task.result() == _CONTENT for task in downloads)
    assert outcomes["whole"] > 0
    assert outcomes["cut"] == 0


async def _upload(target: Target, number: int, drains: asyncio.Event, outcomes: Counter[str]) -> int:
    """Send half of an upload, and the rest when the registry is told to stop; return what it is told."""
    version = f"1.{number}"
    parts = [("name", "pkg"), ("version", version)]
    body = b"".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in parts
    )
    disposition = f'form-data; name="content"; filename="{wheel_file_name("pkg", version)}"'
    body += f"--{_BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
    body += build_wheel("pkg", version) + f"\r\n--{_BOUNDARY}--\r\n".encode()
    async with target.connected() as (reader, writer):
        told = {"Content_Type": f"multipart/form-data; boundary={_BOUNDARY}", "Content_Length": str(len(body))}
        writer.write(target.head("POST", target.pypi, Expect="100-continue", **told))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(body[: len(body) // 2])
        outcomes["begun"] += 1
        await drains.wait()
        writer.write(body[len(body) // 2 :])
        head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split()[1])


async def _download(target: Target, drains: asyncio.Event, outcomes: Counter[str]) -> bytes:
    """Take a little of the large file, and the rest when the registry is told to stop."""
    async with target.connected() as (reader, writer):
        writer.write(target.head("GET", target.download))
        await reader.readuntil(b"\r\n\r\n")
        begun = await reader.readexactly(1000)
        outcomes["begun"] += 1
        await drains.wait()
        return begun + await reader.read(-1)


async def _read_on(target: Target, outcomes: Counter[str]) -> None:
    """Ask again and again, each time on a connection of its own, until nobody is there any more."""
    while True:
        try:
            async with target.connected() as (reader, writer):
                writer.write(target.head("GET", f"{target.pypi}/simple/", Connection="close"))
                answer = await reader.read(-1)
        except ConnectionRefusedError:
            return
        except ConnectionError:
            outcomes["nobody"] += 1
            continue
        if not answer:
            outcomes["nobody"] += 1
            continue
        head, _, body = answer.partition(b"\r\n\r\n")
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":-1")
        is_whole = head.startswith(b"HTTP/1.1 200 ") and len(body) == int(length.partition(b":")[2])
        outcomes["whole" if is_whole else "cut"] += 1


async def _all_are_under_way(outcomes: Counter[str]) -> bool:
    return outcomes["begun"] == 2 * _EACH and outcomes["whole"] > 0


async def _all_drain(target: Target) -> bool:
    return len(target.events("api.draining")) == target.api_processes


def _rows_and_blobs(data_dir: Path) -> tuple[set[str], set[str]]:
    with closing(sqlite3.connect(f"file:{data_dir}/larder.sqlite3?mode=ro", uri=True, timeout=30)) as database:
        rows = {row[0] for row in database.execute("SELECT blob_key FROM package_files")}
    root = data_dir / "blobs"
    return rows, {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
