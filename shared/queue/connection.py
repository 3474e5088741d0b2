"""Where Redis is, what its keys are called, and how a client of it is set up.

No URL, client or settings object is ever logged: arq's and redis-py's own representations show the password.
"""

import socket
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError

from shared.errors import SettingsInvalid
from shared.queue import sentinel
from shared.queue.serialization import job_deserializer, job_serializer

QUEUE_NAME = "larder:jobs"
VERDICTS_CHANNEL = "larder:verdicts"
JOBS_CHANNEL = "larder:jobs-came"
WORKER_SEEN_KEY = "larder:worker-seen"
WORKER_SEEN_MS = 15_000
TURN_KEY_PREFIX = "larder:turn:"

PROCESS_FUNCTION = "process_package_file"
DESTROY_FUNCTION = "destroy_package_file"

LONGEST_JOB_SECONDS = 3600
"""How long one job may run; a worker's claim on it lasts ten seconds longer (arq's own addition)."""
FRESH_CLAIM_SECONDS = 15
"""A claim that is younger belongs to a worker that is about to begin."""

CALL_SECONDS = 1.0
"""How long one call may take in all, waiting for a free connection included."""

_SCHEMES = ("redis://", "rediss://", "unix://", *sentinel.SCHEMES)
_WRONG_URL = "LARDER_REDIS_URL takes redis://, rediss://, unix:///path or redis+sentinel://host1,host2/master"
_LONGEST_SILENCE_SECONDS = 15


def new_client(redis_url: str) -> Redis:
    """Return a client that connects when it is first used, and again whenever the connection is lost.

    Its calls wait without an end: whoever makes one bounds it.

    Args:
        redis_url: `redis://`, `rediss://` or `unix:///path`, with user, password and database as redis-py reads them,
            or as of `sentinel`.

    Raises:
        SettingsInvalid: the URL is not that of a Redis.
    """
    return Redis(connection_pool=_new_pool(redis_url))


def new_worker_client(redis_url: str) -> ArqRedis:
    """Return such a client for arq's worker.

    Raises:
        SettingsInvalid: the URL is not that of a Redis.
    """
    return ArqRedis(
        _new_pool(redis_url),
        job_serializer=job_serializer,
        job_deserializer=job_deserializer,
        default_queue_name=QUEUE_NAME,
    )


def _new_pool(redis_url: str) -> ConnectionPool:
    if not redis_url.startswith(_SCHEMES):
        raise SettingsInvalid(_WRONG_URL)
    try:
        of_sentinels = sentinel.parse_sentinel_url(redis_url) if redis_url.startswith(sentinel.SCHEMES) else None
        options = _options(redis_url if of_sentinels is None else of_sentinels.master_url)
    except ValueError:
        # The parser's own message may quote a piece of the password, so it is neither repeated nor chained.
        raise SettingsInvalid(_WRONG_URL) from None
    pool = ConnectionPool(**options) if of_sentinels is None else sentinel.sentinel_pool(of_sentinels, options)
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types there.
    except (TypeError, RedisError):
        raise SettingsInvalid("LARDER_REDIS_URL has an option that Redis connections do not know") from None
    return pool


def _options(plain_url: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(parse_url(plain_url))
    connection_class = options.get("connection_class")
    if connection_class is UnixDomainSocketConnection:
        if not options.get("path"):
            raise ValueError
    else:
        options |= _KEEPALIVE
    if connection_class is SSLConnection:
        options.setdefault("ssl_check_hostname", True)
    # No `socket_timeout`: with it redis-py writes under `asyncio.wait_for`, which up to Python 3.11 loses a
    # cancellation that comes as the write ends. What was cancelled then goes on for ever.
    return options | {"socket_connect_timeout": CALL_SECONDS, "socket_timeout": None}


def _keepalive_options() -> dict[int, int]:
    """Return by which options of a socket the kernel finds out that a machine is gone without a word."""
    wanted = {
        "TCP_KEEPIDLE": _LONGEST_SILENCE_SECONDS // 3,
        "TCP_KEEPINTVL": _LONGEST_SILENCE_SECONDS // 3,
        "TCP_KEEPCNT": 2,
        "TCP_USER_TIMEOUT": _LONGEST_SILENCE_SECONDS * 1000,
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


_KEEPALIVE = {"socket_keepalive": True, "socket_keepalive_options": _keepalive_options()}
