"""A Redis that outlives its master: two real servers and a real Sentinel that promotes the second."""

import asyncio
import hashlib
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.ports import free_port
from tests.redis_server import RedisServer, new_redis_server, redis_binary
from tests.waiting import eventually

PASSWORD, SENTINEL_PASSWORD = "pw of/the@redis", "pw of the:sentinels"
_OPERATOR = "pw-of-the-sentinels-and-replicas"
_PATIENCE_SECONDS = 60.0
_USERS = (
    "user larder on #{digest} ~* &* +@all -@scripting -@dangerous +info",
    f"user operator on >{_OPERATOR} ~* &* +@all",
    "masteruser operator",
    f"masterauth {_OPERATOR}",
    "repl-diskless-sync-delay 0",
)
"""The user `default` of these servers needs no password, so `larder` shows whether the one in the URL is used."""


@dataclass(frozen=True, slots=True)
class SentinelRedis:
    """A master, its replica, and who watches them."""

    master: RedisServer
    replica: RedisServer
    sentinel_port: int

    @property
    def url(self) -> str:
        """Return what LARDER_REDIS_URL says: with a first Sentinel that is not there."""
        hosts = f"127.0.0.1:1,127.0.0.1:{self.sentinel_port}"
        password, of_sentinel = "pw%20of%2Fthe%40redis", "pw%20of%20the%3Asentinels"
        return f"redis+sentinel://larder:{password}@{hosts}/larder-master/0?sentinel_password={of_sentinel}"

    async def promoted(self) -> None:
        """Return when the Sentinel tells that the replica is the master."""
        await eventually(self._is_promoted, what="the replica is promoted", timeout_seconds=_PATIENCE_SECONDS)

    async def _is_promoted(self) -> bool:
        async with Redis(port=self.sentinel_port, password=SENTINEL_PASSWORD) as sentinel:
            masters = await sentinel.sentinel_masters()  # type: ignore[no-untyped-call]
        return f":{masters['larder-master']['port']}" in self.replica.tcp_url


@asynccontextmanager
async def sentinel_redis() -> AsyncIterator[SentinelRedis]:
    """Run all of it until the block ends; it is whole when the block begins."""
    master_port, replica_port, sentinel_port = free_port(), free_port(), free_port()
    users = tuple(line.format(digest=_digest(PASSWORD)) for line in _USERS)
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(new_redis_server(port=master_port, options=users))
        replica = await stack.enter_async_context(
            new_redis_server(port=replica_port, options=(*users, f"replicaof 127.0.0.1 {master_port}"))
        )
        await master.start()
        await replica.start()
        await stack.enter_async_context(_sentinel(sentinel_port, master_port))
        found = SentinelRedis(master, replica, sentinel_port)
        await eventually(lambda: _is_whole(found), what="the Sentinel knows both", timeout_seconds=_PATIENCE_SECONDS)
        yield found


async def _is_whole(redis: SentinelRedis) -> bool:
    try:
        async with Redis(port=redis.sentinel_port, password=SENTINEL_PASSWORD) as sentinel:
            replicas = await sentinel.sentinel_slaves("larder-master")  # type: ignore[no-untyped-call]
    except RedisError:
        return False
    return any(one["master-link-status"] == "ok" for one in replicas)


@asynccontextmanager
async def _sentinel(port: int, master_port: int) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory(prefix="larder-sentinel-") as name:
        configuration, log = Path(name) / "sentinel.conf", Path(name) / "log"
        configuration.write_text(_configuration(port, master_port, name), encoding="utf-8")
        binary = await asyncio.to_thread(redis_binary)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [binary, configuration, "--sentinel"], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            yield
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)


def _configuration(port: int, master_port: int, directory: str) -> str:
    return "\n".join(
        (
            "bind 127.0.0.1",
            f"port {port}",
            f"dir {directory}",
            f'requirepass "{SENTINEL_PASSWORD}"',
            f"sentinel monitor larder-master 127.0.0.1 {master_port} 1",
            "sentinel auth-user larder-master operator",
            f"sentinel auth-pass larder-master {_OPERATOR}",
            "sentinel down-after-milliseconds larder-master 1000",
            "sentinel failover-timeout larder-master 10000",
            "",
        )
    )


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
