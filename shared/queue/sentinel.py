"""Redis behind Sentinels: who wants a connection asks them first which server is the master now.

`redis+sentinel://user:password@one:26379,two:26379/mymaster/0`, or `rediss+sentinel://` where Redis and the Sentinels
speak TLS. User and password are Redis' own; those of the Sentinels are `?sentinel_username=` and `sentinel_password=`.
All other options are those of a plain URL.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
_DEFAULT_PORT = 26379
_ASK_SECONDS = 0.4
"""How long one of them may take to answer, before the next is asked: all of it is part of one call's time."""
_OF_SENTINELS = {"sentinel_username": "username", "sentinel_password": "password"}
_NOT_OF_SENTINELS = frozenset({"connection_class", "db", "username", "password"})


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What such a URL says.

    Args:
        addresses: of the Sentinels.
        service: what they call the master.
        master_url: a plain URL with all that holds for connections to the master, and no host.
        credentials: for the Sentinels themselves.
    """

    addresses: tuple[tuple[str, int], ...]
    service: str
    master_url: str = field(repr=False)
    credentials: dict[str, str] = field(repr=False)


def parse_sentinel_url(url: str) -> SentinelUrl:
    """Take a URL apart.

    Raises:
        ValueError: it names no Sentinels, or no master.
    """
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not service or not hosts or (database and not database.isdigit()):
        raise ValueError
    addresses = tuple(_address(host) for host in hosts.split(","))
    query = parse_qsl(parts.query)
    options = urlencode([(name, value) for name, value in query if name not in _OF_SENTINELS])
    return SentinelUrl(
        addresses=addresses,
        service=unquote(service),
        master_url=f"{parts.scheme.partition('+')[0]}://{user}{at}/{database}?{options}",
        credentials={_OF_SENTINELS[name]: value for name, value in query if name in _OF_SENTINELS},
    )


def sentinel_pool(url: SentinelUrl, options: dict[str, Any]) -> ConnectionPool:
    """Return a pool of connections to whichever server is the master when they are made.

    Args:
        options: what a plain pool would get.
    """
    is_secure = options.get("connection_class") is SSLConnection
    to_sentinels = {name: value for name, value in options.items() if name not in _NOT_OF_SENTINELS}
    sentinels = Sentinels(
        url.addresses, SSLConnection if is_secure else Connection, {**to_sentinels, **url.credentials}
    )
    to_master = {
        **options,
        "connection_class": SentinelManagedSSLConnection if is_secure else SentinelManagedConnection,
    }
    # redis-py has no types there.
    pool: ConnectionPool = SentinelConnectionPool(url.service, sentinels, **to_master)  # type: ignore[no-untyped-call]
    return pool


class Sentinels:
    """Finds the master, and asks first who answered last. Each question has a connection of its own.

    redis-py's own would wait for one that hangs until the whole call has failed, and so would the next call.
    """

    def __init__(
        self, addresses: tuple[tuple[str, int], ...], connection_class: type[Connection], options: dict[str, Any]
    ) -> None:
        self._addresses = list(addresses)
        self._connection_class = connection_class
        self._options = options

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return where the master is. The pool calls this by its name.

        Raises:
            RedisConnectionError: none of them knows.
        """
        for address in tuple(self._addresses):
            with suppress(RedisError, OSError):
                async with asyncio.timeout(_ASK_SECONDS):
                    found = await self._ask(address, service_name)
                if found is not None:
                    return found
            self._addresses.remove(address)
            self._addresses.append(address)
        # Not what each of them said: its representation might show how it was reached.
        raise RedisConnectionError("no Sentinel knows a master")

    async def _ask(self, address: tuple[str, int], service_name: str) -> tuple[str, int] | None:
        host, port = address
        pool = ConnectionPool(connection_class=self._connection_class, **{**self._options, "host": host, "port": port})
        async with Redis.from_pool(pool) as sentinel:
            masters = await sentinel.sentinel_masters()  # type: ignore[no-untyped-call]  # Nor there.
        state = masters.get(service_name)
        if state is None or not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            return None
        return state["ip"], state["port"]


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError
    return parts.hostname, parts.port or _DEFAULT_PORT
