"""Whatever breaks between the queue and Redis: a job that was accepted is there, and what is not there was refused."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from shared.errors import QueueUnavailable
from shared.models import PackageFileId
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue
from shared.queue.arq_queue import open_arq_queue
from tests.contracts.queue.workers import redis_of, until
from tests.redis_server import RedisServer, new_redis_server

pytestmark = pytest.mark.slow

_JOBS = 400


class Cutter:
    """Stands between a queue and its Redis, and cuts the connection on which it sees a word.

    Args:
        cuts: how often it does so; after that it lets everything pass.
    """

    def __init__(self, target: str, word: bytes, cuts: int) -> None:
        self._target = target
        self._word = word
        self.cuts = cuts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        onward_reader, onward_writer = await asyncio.open_unix_connection(self._target)
        carrying = {
            asyncio.create_task(self._carry(reader, onward_writer)),
            asyncio.create_task(self._carry(onward_reader, writer)),
        }
        await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, onward_writer):
            end.close()
        await asyncio.wait(carrying)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                if self._word in data and self.cuts > 0:
                    self.cuts -= 1
                    return
                target.write(data)
                await target.drain()


@asynccontextmanager
async def cut(server: RedisServer, word: bytes, *, cuts: int) -> AsyncIterator[str]:
    """Give the URL of a cutter before the server."""
    with tempfile.TemporaryDirectory(prefix="larder-cut-") as directory:
        path = Path(directory) / "s"
        cutter = Cutter(server.url.removeprefix("unix://"), word, cuts)
        listener = await asyncio.start_unix_server(cutter.serve, path)
        async with listener:
            yield f"unix://{path}"
        assert cutter.cuts == 0 or cuts > 100, "there was nothing to cut"


async def queued(server: RedisServer) -> set[bytes]:
    """Return the ids of the jobs that Redis holds."""
    async with redis_of(server) as redis:
        return set(await redis.zrange("larder:jobs", 0, -1))


@pytest.mark.parametrize("word", [b"MULTI", b"QUEUED"])
async def test_a_job_is_queued_though_the_connection_was_cut_once(redis_server: RedisServer, word: bytes) -> None:
    async with cut(redis_server, word, cuts=1) as url, open_arq_queue(url) as queue:
        await queue.enqueue(DestroyPackageFileJob(PackageFileId(7)))

    assert await queued(redis_server) == {b"destroy:7"}


async def test_a_job_that_does_not_get_through_is_refused(redis_server: RedisServer) -> None:
    async with cut(redis_server, b"MULTI", cuts=1000) as url, open_arq_queue(url) as queue:
        with pytest.raises(QueueUnavailable):
            await queue.enqueue(DestroyPackageFileJob(PackageFileId(7)))

    assert await queued(redis_server) == set()


async def test_a_job_whose_acceptance_does_not_get_through_is_refused_though_it_is_there(
    redis_server: RedisServer,
) -> None:
    async with cut(redis_server, b"QUEUED", cuts=1000) as url, open_arq_queue(url) as queue:
        with pytest.raises(QueueUnavailable):
            await queue.enqueue(DestroyPackageFileJob(PackageFileId(7)))

    assert await queued(redis_server) == {b"destroy:7"}


async def test_every_accepted_job_is_there_after_redis_was_killed_under_load(
    queue: JobQueue, redis_server: RedisServer
) -> None:
    accepted: set[bytes] = set()

    async def enqueue(number: int) -> None:
        with suppress(QueueUnavailable):
            await queue.enqueue(DestroyPackageFileJob(PackageFileId(number)))
            accepted.add(f"destroy:{number}".encode())

    async def accepted_some() -> bool:
        return len(accepted) >= 20

    async with asyncio.TaskGroup() as tasks:
        for number in range(_JOBS):
            tasks.create_task(enqueue(number))
        await until(accepted_some)
        await redis_server.kill()
    await redis_server.start()

    assert 20 <= len(accepted) < _JOBS
    assert accepted <= await queued(redis_server)


async def test_a_redis_without_room_refuses_jobs_and_is_reachable() -> None:
    async with new_redis_server(options=("maxmemory 1",)) as server:
        await server.start()
        async with open_arq_queue(server.url) as queue:
            with pytest.raises(QueueUnavailable):
                await queue.enqueue(DestroyPackageFileJob(PackageFileId(7)))
            await queue.beat("worker-1")
            assert (await queue.state()).reachable
