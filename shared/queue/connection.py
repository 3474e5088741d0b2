"""Where Redis is, what its keys are called, and how a client of it is set up.

No URL, client or settings object is ever logged: arq's and redis-py's own representations show the password.
"""

from typing import Any

from arq.connections import RedisSettings
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError

from shared.errors import SettingsInvalid

QUEUE_NAME = "larder:jobs"
VERDICTS_CHANNEL = "larder:verdicts"
JOBS_CHANNEL = "larder:jobs-came"
WORKER_SEEN_KEY = "larder:worker-seen"
WORKER_SEEN_MS = 15_000

PROCESS_FUNCTION = "process_package_file"
DESTROY_FUNCTION = "destroy_package_file"

LONGEST_JOB_SECONDS = 3600
"""How long one job may run; a worker's claim on it lasts ten seconds longer (arq's own addition)."""
FRESH_CLAIM_SECONDS = 15
"""A claim that is younger belongs to a worker that is about to begin."""

CALL_SECONDS = 1.0
"""How long one call may take in all, waiting for a free connection included."""

_SCHEMES = ("redis://", "rediss://", "unix://")
_WRONG_URL = "LARDER_REDIS_URL takes redis://, rediss:// or unix:///path"
_DEFAULT_PORT = 6379


def redis_settings(redis_url: str) -> RedisSettings:
    """Return what arq's worker needs to connect.

    Args:
        redis_url: `redis://`, `rediss://` or `unix:///path`, with user, password and database as redis-py reads them.

    Raises:
        SettingsInvalid: it is none of these.
    """
    options = _options(redis_url)
    return RedisSettings(
        host=options.get("host", "localhost"),
        port=options.get("port", _DEFAULT_PORT),
        unix_socket_path=options.get("path"),
        database=options.get("db", 0),
        username=options.get("username"),
        password=options.get("password"),
        ssl=options.get("connection_class") is SSLConnection,
        ssl_keyfile=options.get("ssl_keyfile"),
        ssl_certfile=options.get("ssl_certfile"),
        ssl_cert_reqs=options.get("ssl_cert_reqs", "required"),
        ssl_ca_certs=options.get("ssl_ca_certs"),
        ssl_check_hostname=options.get("ssl_check_hostname", False),
    )


def new_client(redis_url: str) -> Redis:
    """Return a client that connects when it is first used, and again whenever the connection is lost.

    Its calls wait without an end: whoever makes one bounds it.

    Raises:
        SettingsInvalid: the URL is not that of a Redis.
    """
    options = _options(redis_url)
    # No `socket_timeout`: with it redis-py writes under `asyncio.wait_for`, which up to Python 3.11 loses a
    # cancellation that comes as the write ends. What was cancelled then goes on for ever.
    options |= {"socket_connect_timeout": CALL_SECONDS, "socket_timeout": None}
    pool = ConnectionPool(**options)
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types there.
    except (TypeError, RedisError):
        raise SettingsInvalid("LARDER_REDIS_URL has an option that Redis connections do not know") from None
    return Redis(connection_pool=pool)


def _options(redis_url: str) -> dict[str, Any]:
    try:
        options: dict[str, Any] = dict(parse_url(redis_url))
    except ValueError:
        # The parser's own message may quote a piece of the password, so it is neither repeated nor chained.
        raise SettingsInvalid(_WRONG_URL) from None
    if not redis_url.startswith(_SCHEMES):
        raise SettingsInvalid(_WRONG_URL)
    connection_class = options.get("connection_class")
    if connection_class is UnixDomainSocketConnection and not options.get("path"):
        raise SettingsInvalid(_WRONG_URL)
    if connection_class is SSLConnection:
        options.setdefault("ssl_check_hostname", True)
    return options
