"""PostgreSQL, S3 or Redis are lost for a while, dead or hanging: what needs them is told so, and all else goes on.

Replicas are left alone meanwhile: whoever was there before is there afterwards, and nothing acknowledged is lost.
"""

import asyncio
import hashlib
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.backends import PostgresqlServer, new_postgresql_server
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.replicas import PROJECT_ID, TOKEN, Part, Replicas, running_replicas
from tests.redis_server import RedisServer, new_redis_server
from tests.registry_client import RegistryClient, open_client
from tests.relay import Relay
from tests.s3_server import S3Server, new_s3_server, s3_credentials
from tests.waiting import eventually

__all__ = ["s3_credentials"]  # a fixture of its own module

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("s3_credentials")]

_PATIENCE_SECONDS = 120
_LONGEST_ANSWER_SECONDS = 60
_LARGE_BYTES = 300 * 1024
_PYPI = f"/api/v4/projects/{PROJECT_ID}/packages/pypi"


@dataclass(slots=True)
class Engines:
    """What the replicas stand on, each part of which the test may lose.

    Args:
        line: to PostgreSQL.
    """

    postgresql: PostgresqlServer
    line: Relay
    s3: S3Server
    redis: RedisServer


@dataclass(slots=True)
class Registry:
    """Replicas, and what was acknowledged.

    Args:
        acknowledged: file name -> content.
    """

    engines: Engines
    replicas: Replicas
    clients: list[RegistryClient]
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    _versions: "count[int]" = field(default_factory=count)

    async def upload(self, *, size_bytes: int = 0) -> "Told":
        """Upload one wheel more, by way of any API process."""
        number = next(self._versions)
        version = f"1.{number}"
        file_name, extra = wheel_file_name("pkg", version), {"data": random.Random(number).randbytes(size_bytes)}
        content, client = build_wheel("pkg", version, extra_files=extra), self.clients[number % len(self.clients)]
        answer = await client.upload(content, file_name=file_name, name="pkg", version=version)
        if answer.status in (201, 202):
            self.acknowledged[file_name] = content
        return Told(answer.status, answer.headers.get("Retry-After"))

    async def told(self, path: str) -> list["Told"]:
        """Return what each API process answers."""

        async def ask(client: RegistryClient) -> Told:
            async with client.session.get(f"{client.url}{path}") as answer:
                await answer.read()
                return Told(answer.status, answer.headers.get("Retry-After"))

        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(ask(client)) for client in self.clients]
        return [answer.result() for answer in answers]

    def file(self, name: str) -> str:
        """Return the path of a file."""
        return f"{_PYPI}/files/{hashlib.sha256(self.acknowledged[name]).hexdigest()}/{name}"

    async def goes_on(self, *paths: str) -> bool:
        """Return whether all are answered by all."""
        for path in paths:
            if {told.status for told in await self.told(path)} != {200}:
                return False
        return True

    async def is_refused(self, path: str) -> bool:
        """Return whether all say that they cannot answer now, and when to come again."""
        return all(told.is_refused for told in await self.told(path))

    async def is_whole(self) -> bool:
        """Return whether all that was acknowledged can be installed by way of each process."""
        for client in self.clients:
            try:
                page = await client.page("pkg")
                shown = {file["filename"]: file["url"] for file in page["files"]} if page else {}
                if not self.acknowledged.keys() <= shown.keys():
                    return False
                for name, content in self.acknowledged.items():
                    assert await client.download(shown[name]) == content, name
            except aiohttp.ClientResponseError as error:
                if error.status != 503:
                    raise
                return False
        return True

    async def takes_uploads(self) -> bool:
        """Return whether one more is published at once."""
        return (await self.upload()).status == 201

    async def part(self, name: str) -> set[str]:
        """Return what readiness tells of a part: {"ok"} where all processes agree that it is."""
        found = set()
        for client in self.clients:
            async with client.session.get(f"{client.url}/-/readiness?all=1") as answer:
                found.add((await answer.json())[f"{name}_check"][0]["status"])
        return found

    @asynccontextmanager
    async def workers_held(self) -> AsyncIterator[None]:
        """Have no worker do anything until the block ends."""
        for worker in self.replicas.workers:
            os.kill(worker.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in self.replicas.workers:
                os.kill(worker.process.pid, signal.SIGCONT)

    async def recovers(self, before: list[Part]) -> None:
        """Return when all is as it was, and more is taken; nobody has been started again."""
        await _until(self.is_whole, "what was acknowledged can be installed")
        await _until(self.takes_uploads, "uploads are published at once")
        await _until(lambda: self.goes_on("/-/readiness"), "all are ready")
        assert [part for part in self.replicas.parts if part.process.poll() is None] == before


@dataclass(frozen=True, slots=True)
class Told:
    """An answer."""

    status: int
    retry_after: str | None

    @property
    def is_refused(self) -> bool:
        """Say whether it tells to come again."""
        return self.status == 503 and self.retry_after is not None and int(self.retry_after) > 0


@asynccontextmanager
async def registry(directory: Path, **settings: str) -> AsyncIterator[Registry]:
    """Run two API processes and a worker on engines of their own, with one file published and one that waits."""
    with new_postgresql_server() as postgresql, new_s3_server() as s3:
        async with new_redis_server() as redis, Relay(lambda: postgresql.socket).listening() as line:
            await redis.start()
            found = {
                "DATABASE_URL": f"postgresql://larder@127.0.0.1:{line.port}/{postgresql.create_database()}",
                "BLOB_URL": s3.blob_url(s3.new_prefix()),
                "REDIS_URL": redis.url,
                "UPLOAD_WAIT_SECONDS": "3",
                **settings,
            }
            async with running_replicas(directory, found, apis=2, workers=1) as replicas:
                one, other = replicas.apis
                async with (
                    open_client(one.url, TOKEN, PROJECT_ID) as first,
                    open_client(other.url, TOKEN, PROJECT_ID) as second,
                ):
                    running = Registry(Engines(postgresql, line, s3, redis), replicas, [first, second])
                    await _until(running.takes_uploads, "the first upload is published")
                    assert (await running.upload(size_bytes=_LARGE_BYTES)).status in (201, 202)
                    await _until(running.is_whole, "all is there")
                    yield running


async def _until(claim: Callable[[], Awaitable[Any]], what: str) -> None:
    await eventually(claim, what=what, timeout_seconds=_PATIENCE_SECONDS)


async def _in_time(answer: Awaitable[Any]) -> Any:
    async with asyncio.timeout(_LONGEST_ANSWER_SECONDS):
        return await answer


async def test_postgresql_is_lost(tmp_path: Path) -> None:
    async with registry(tmp_path) as running:
        engines, before = running.engines, list(running.replicas.parts)
        page, file = f"{_PYPI}/simple/pkg/", running.file(next(iter(running.acknowledged)))

        async def stop() -> None:
            await asyncio.to_thread(engines.postgresql.stop)

        async def start() -> None:
            await asyncio.to_thread(engines.postgresql.start)

        async def fall_silent() -> None:
            engines.line.fall_silent()

        async def speak_again() -> None:
            engines.line.speak_again()

        for lose, bring_back in ((stop, start), (fall_silent, speak_again)):
            async with running.workers_held():
                assert (await running.upload()).status == 202
                await lose()
            async with asyncio.timeout(_LONGEST_ANSWER_SECONDS), asyncio.TaskGroup() as group:
                # The page and the file, though both processes remember them.
                reads = [group.create_task(running.is_refused(path)) for path in (page, file)]
                upload = group.create_task(running.upload())
            assert [read.result() for read in reads] == [True, True]
            assert upload.result().is_refused
            assert await running.goes_on("/-/liveness", "/-/health")
            assert {told.status for told in await running.told("/-/readiness")} == {503}
            assert await running.part("blob_store") == {"ok"}
            await bring_back()
            await running.recovers(before)


async def test_s3_is_lost(tmp_path: Path) -> None:
    async with registry(tmp_path) as running:
        engines, before = running.engines, list(running.replicas.parts)
        page, index = f"{_PYPI}/simple/pkg/", f"{_PYPI}/simple/"
        large = running.file(max(running.acknowledged, key=lambda name: len(running.acknowledged[name])))

        for lose, bring_back in ((engines.s3.kill, engines.s3.start), (engines.s3.freeze, engines.s3.thaw)):
            async with running.workers_held():
                assert (await running.upload()).status == 202
                await asyncio.to_thread(lose)
            assert await running.goes_on(page, index)
            assert await _in_time(running.is_refused(large))
            assert (await _in_time(running.upload())).is_refused
            await _until(lambda: _is_told_away(running, "blob_store"), "it is told that the store is away")
            assert await running.goes_on("/-/readiness", page)
            await asyncio.to_thread(bring_back)
            await running.recovers(before)


async def test_redis_is_lost(tmp_path: Path) -> None:
    async with registry(tmp_path) as running:
        redis, before = running.engines.redis, list(running.replicas.parts)
        everything = (f"{_PYPI}/simple/pkg/", running.file(next(iter(running.acknowledged))), "/-/readiness")

        async def kill() -> None:
            await redis.kill()
            redis.lose_data()

        async def freeze() -> None:
            redis.freeze()

        async def thaw() -> None:
            redis.thaw()

        for lose, bring_back in ((kill, redis.start), (freeze, thaw)):
            await lose()
            assert (await _in_time(running.upload())).status == 202
            assert await running.goes_on(*everything)
            await _until(lambda: _is_told_away(running, "redis"), "it is told that Redis is away")
            assert await running.goes_on(*everything)
            await bring_back()
            await running.recovers(before)


async def _is_told_away(running: Registry, part: str) -> bool:
    return await running.part(part) == {"failed"}
