"""The embedded Redis: what it lets arq do, what it forbids, and how it comes back from damaged files."""

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from arq import Retry, create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker, func
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, WatchError

from services.standalone.child import Child, running
from services.standalone.errors import StartFailed
from services.standalone.redis_server import EmbeddedRedis
from tests.redis_server import redis_binary

pytestmark = pytest.mark.slow


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "var"
    directory.mkdir(mode=0o700)
    return directory


@asynccontextmanager
async def _embedded(data_dir: Path) -> AsyncIterator[EmbeddedRedis]:
    redis = EmbeddedRedis(redis_binary(), data_dir)
    child = Child(redis.program(environment=dict(os.environ), pass_fds=()))
    async with asyncio.timeout(120), running(child):
        await redis.wait_until_up(child)
        yield redis
    redis.remove_socket_dir()


@asynccontextmanager
async def _client(redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis.url) as client:
        yield client


# --- what it is for -------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # by arq's own Worker.close
async def test_arq_enqueues_runs_and_retries_jobs_on_it(data_dir: Path) -> None:
    ran: list[str] = []

    async def flaky(ctx: dict[str, Any], word: str) -> str:
        ran.append(f"{word} {ctx['job_try']}")
        if ctx["job_try"] == 1:
            raise Retry(defer=0)
        return word.upper()

    async with _embedded(data_dir) as redis:
        settings = RedisSettings.from_dsn(redis.url)
        pool: ArqRedis = await create_pool(settings)
        worker = Worker(
            functions=[func(flaky, name="flaky")],
            redis_settings=settings,
            poll_delay=0.01,
            health_check_interval=1,
            handle_signals=False,
            burst=True,
        )
        job = await pool.enqueue_job("flaky", "hello", _job_id="flaky:1")
        assert job is not None
        assert await pool.enqueue_job("flaky", "hello", _job_id="flaky:1") is None
        await worker.async_run()
        assert await job.result(timeout=60, poll_delay=0.01) == "HELLO"
        await worker.close()
        await pool.aclose()

    assert ran == ["hello 1", "hello 2"]


async def test_messages_transactions_and_info_work_for_its_only_user(data_dir: Path) -> None:
    async with _embedded(data_dir) as redis, _client(redis) as client, client.pubsub() as ears:
        await ears.subscribe("file:7")
        assert (await ears.get_message(timeout=60))["type"] == "subscribe"
        await client.publish("file:7", "default")
        assert (await ears.get_message(timeout=60))["data"] == b"default"

        async with client.pipeline(transaction=True) as pipeline:
            await pipeline.watch("key")
            await client.set("key", "meanwhile")
            pipeline.multi()  # type: ignore[no-untyped-call]  # redis-py has no types for it
            pipeline.set("key", "too late")
            with pytest.raises(WatchError):
                await pipeline.execute()

        assert (await client.info("server"))["redis_mode"] == "standalone"


@pytest.mark.parametrize(
    "command",
    [
        ("EVAL", "return 1", "0"),
        ("FUNCTION", "LIST"),
        ("CONFIG", "GET", "dir"),
        ("FLUSHALL",),
        ("SHUTDOWN", "NOSAVE"),
        ("MODULE", "LIST"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("SAVE",),
        ("ACL", "LIST"),
    ],
    ids=lambda command: command[0],
)
async def test_scripting_and_dangerous_commands_are_forbidden(data_dir: Path, command: tuple[str, ...]) -> None:
    async with _embedded(data_dir) as redis, _client(redis) as client:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types for it


async def test_it_listens_on_a_private_unix_socket_and_nowhere_else(data_dir: Path) -> None:
    async with _embedded(data_dir) as redis, _client(redis) as client:
        assert (await client.info("server"))["tcp_port"] == 0
        socket_path = Path(redis.url.removeprefix("unix://"))

        assert stat.S_IMODE(socket_path.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
        assert socket_path.parent.stat().st_uid == os.getuid()


@pytest.mark.parametrize("name", ["long " * 30, "with space", "perc%20ent", 'quo"te', "back\\slash", "ünï", "a#b?c"])
async def test_any_data_directory_will_do(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name
    data_dir.mkdir(mode=0o700)

    async with _embedded(data_dir) as redis, _client(redis) as client:
        assert await client.ping()
        assert len(os.fsencode(redis.url)) < 108
        assert (data_dir / "redis" / "appendonlydir").is_dir() or (data_dir / "redis" / "appendonly.aof").is_file()


# --- what it keeps --------------------------------------------------------------------------------------------------


async def test_what_it_was_told_is_there_after_a_restart(data_dir: Path) -> None:
    async with _embedded(data_dir) as redis, _client(redis) as client:
        await client.set("hint", "kept")

    async with _embedded(data_dir) as redis, _client(redis) as client:
        assert await client.get("hint") == b"kept"


def _append(text: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("ab") as file:
            file.write(text)

    return damage


def _cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3)


async def test_a_log_that_was_cut_off_by_a_power_loss_is_read_as_far_as_it_goes(data_dir: Path) -> None:
    await _fill(data_dir)
    (increments,) = data_dir.rglob("*.incr.aof")
    _cut_off(increments)

    async with _embedded(data_dir) as redis, _client(redis) as client:
        assert await client.get("hint-0") == b"kept"
    assert _set_aside(data_dir) == []


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("*.incr.aof", _append(b"\x00" * 4096)),
        ("*.incr.aof", _append(b"junk")),
        ("*.base.rdb", lambda path: path.write_bytes(b"junk, and no database at all")),
        ("*.base.rdb", _cut_off),
        ("*.base.rdb", lambda path: path.unlink()),
        ("*.manifest", lambda path: path.write_bytes(b"junk\n")),
        ("*.manifest", lambda path: path.write_bytes(b"")),
    ],
    ids=["zeros", "junk behind", "other bytes", "base cut off", "base gone", "other manifest", "no manifest"],
)
async def test_files_that_it_cannot_read_are_set_aside_and_it_starts_empty(
    data_dir: Path, pattern: str, damage: Callable[[Path], object]
) -> None:
    await _fill(data_dir)
    (path,) = data_dir.rglob(pattern)
    damage(path)

    async with _embedded(data_dir) as redis, _client(redis) as client:
        assert await client.get("hint-0") is None
        await client.set("hint", "new")
    async with _embedded(data_dir) as redis, _client(redis) as client:
        assert await client.get("hint") == b"new"

    assert len(_set_aside(data_dir)) == 1


async def test_a_server_that_cannot_start_is_told_with_the_end_of_its_log(data_dir: Path, tmp_path: Path) -> None:
    binary = tmp_path / "redis-server"
    binary.write_text("#!/bin/sh\necho 'cannot find libredis.so.1' >&2\nexit 127\n", encoding="utf-8")
    binary.chmod(0o700)
    redis = EmbeddedRedis(binary, data_dir)
    child = Child(redis.program(environment=dict(os.environ), pass_fds=()))

    with pytest.raises(ExceptionGroup) as failure:
        async with asyncio.timeout(120), running(child):
            await redis.wait_until_up(child)

    (error,) = failure.value.exceptions
    assert isinstance(error, StartFailed)
    assert error.problem == (
        f"the embedded Redis ({binary}) does not start; the end of {data_dir}/redis/redis.log:\n"
        "cannot find libredis.so.1"
    )


async def _fill(data_dir: Path) -> None:
    async with _embedded(data_dir) as redis, _client(redis) as client:
        for number in range(50):
            await client.set(f"hint-{number}", "kept")
    if not list(data_dir.rglob("*.incr.aof")):
        shutil.rmtree(data_dir / "redis")
        pytest.skip("this server writes one append-only file without a base")


def _set_aside(data_dir: Path) -> list[str]:
    return [path.name for path in (data_dir / "redis").iterdir() if ".unreadable-" in path.name]
