"""What readiness is told, and how Redis is named."""

import time
import traceback

import pytest

from shared.errors import SettingsInvalid
from shared.models import PackageFileId
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue, QueueBacklog, QueueState
from shared.queue.arq_queue import open_arq_queue
from shared.queue.connection import new_client
from shared.queue.serialization import job_deserializer, job_serializer
from tests.contracts.queue.workers import redis_of, until
from tests.redis_server import RedisServer, new_redis_server

_LONGEST_CALL_SECONDS = 5.0
_AWAY = QueueState(reachable=False, worker_seen=False)


async def test_redis_without_workers_is_reachable(queue: JobQueue) -> None:
    assert await queue.state() == QueueState(reachable=True, worker_seen=False)


async def test_a_worker_is_seen_by_every_process_when_it_has_beaten_its_heart(
    queue: JobQueue, other_queue: JobQueue
) -> None:
    await other_queue.beat("worker-1")

    assert await queue.state() == QueueState(reachable=True, worker_seen=True)


async def test_a_heartbeat_lasts_fifteen_seconds_from_the_last_one(queue: JobQueue, redis_server: RedisServer) -> None:
    async with redis_of(redis_server) as redis:
        await queue.beat("worker-1")
        await redis.pexpire("larder:worker-seen", 5000)
        await queue.beat("worker-2")

        assert 5_000 < await redis.pttl("larder:worker-seen") <= 15_000
        await redis.delete("larder:worker-seen")
    assert await queue.state() == QueueState(reachable=True, worker_seen=False)


async def test_a_dead_redis_is_told_at_once_and_a_new_one_is_found(queue: JobQueue, redis_server: RedisServer) -> None:
    await queue.beat("worker-1")
    await redis_server.kill()

    began = time.monotonic()
    assert await queue.state() == _AWAY
    await queue.beat("worker-1")
    assert time.monotonic() - began < _LONGEST_CALL_SECONDS

    redis_server.lose_data()
    await redis_server.start()
    assert await queue.state() == QueueState(reachable=True, worker_seen=False)
    await queue.beat("worker-1")
    assert await queue.state() == QueueState(reachable=True, worker_seen=True)


@pytest.mark.usefixtures("redis_is_given_a_second")
async def test_a_redis_that_hangs_is_away(queue: JobQueue, redis_server: RedisServer) -> None:
    redis_server.freeze()

    began = time.monotonic()
    assert await queue.state() == _AWAY
    assert time.monotonic() - began < _LONGEST_CALL_SECONDS

    redis_server.thaw()

    async def is_reachable() -> bool:
        return (await queue.state()).reachable

    await until(is_reachable)


async def test_a_redis_that_never_was_is_away() -> None:
    async with new_redis_server() as server, open_arq_queue(server.url) as queue:
        assert await queue.state() == _AWAY
        await queue.beat("worker-1")


async def test_a_wrong_password_is_away_and_is_not_told(
    redis_server: RedisServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with open_arq_queue(f"{redis_server.url}?password=hunter22&username=nobody") as queue:
        assert await queue.state() == _AWAY

    told = capsys.readouterr()
    assert "hunter22" not in told.out + told.err + caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://:hunter22@localhost",
        "unix://",
        "redis://:hun/ter22@localhost",
        "redis://localhost:port",
        "redis://localhost?db=x",
        "redis://localhost?no_such_option=hunter22",
    ],
)
async def test_a_url_that_is_not_that_of_a_redis_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        async with open_arq_queue(url):
            pass

    assert "LARDER_REDIS_URL" in caught.value.problem
    assert "ter22" not in "".join(traceback.format_exception(caught.value))
    assert "'hun'" not in "".join(traceback.format_exception(caught.value))


def test_a_url_says_how_redis_is_reached() -> None:
    tcp = new_client("redis://user:p%40ss@redis.example:6380/3").connection_pool.connection_kwargs
    secure = new_client("rediss://redis.example?ssl_ca_certs=/etc/ca.pem").connection_pool.connection_kwargs
    unix = new_client("unix:///run/a%20b/redis.sock?db=2").connection_pool.connection_kwargs

    assert (tcp["host"], tcp["port"], tcp["db"]) == ("redis.example", 6380, 3)
    assert (tcp["username"], tcp["password"]) == ("user", "p@ss")
    assert (secure["ssl_ca_certs"], secure["ssl_check_hostname"]) == ("/etc/ca.pem", True)
    assert (unix["path"], unix["db"]) == ("/run/a b/redis.sock", 2)


def test_a_job_survives_serialization() -> None:
    job: dict[str, object] = {"t": None, "f": "process_package_file", "a": [7, 2], "k": {}, "et": 1}

    assert job_deserializer(job_serializer(job)) == job


def test_an_exception_in_a_result_is_written_as_text() -> None:
    assert job_deserializer(job_serializer({"r": KeyError("x")})) == {"r": "KeyError('x')"}


@pytest.mark.parametrize("raw", [b"[]", b"\x80\x04N.", b"{"])
def test_what_is_not_a_json_object_is_no_job(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        job_deserializer(raw)


async def test_what_waits_is_counted_with_its_age(queue: JobQueue, redis_server: RedisServer) -> None:
    assert await queue.backlog() == QueueBacklog(jobs=0, oldest_seconds=0.0)
    await queue.enqueue(DestroyPackageFileJob(PackageFileId(1)))
    await queue.enqueue(DestroyPackageFileJob(PackageFileId(2)))
    async with redis_of(redis_server) as redis:
        await redis.zincrby("larder:jobs", -90_000, "destroy:2")

    waits = await queue.backlog()

    assert waits is not None
    assert waits.jobs == 2
    assert 90 <= waits.oldest_seconds < 120
    await redis_server.kill()
    assert await queue.backlog() is None
