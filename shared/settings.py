"""The settings of a process: read once, from `LARDER_*` environment variables, and checked before anything starts.

Each setting is one row of `_VARIABLES`: its variable, how it is read, and its default. README's table lists the same
rows; a test compares the two.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from shared.errors import SettingsInvalid
from shared.fips import is_openssl_in_fips_mode
from shared.limits import Limits
from shared.models import UploadChecks

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

PREFIX = "LARDER_"
_GIB = 1024**3
_URL_TEXT = re.compile(r"[!#-;=?-\[\]_a-z~]+")


class LogFormat(StrEnum):
    """How log lines are written."""

    JSON = "json"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decided.

    Args:
        host: address to listen on.
        port: TCP port to listen on; 0 takes a free one.
        data_dir: where everything lives that no other URL places elsewhere; absolute.
        external_url: how clients reach the registry, without a trailing slash; None: from each request's Host.
        database_url: `sqlite:///<absolute path>` or `postgresql://...`.
        database_connections: how many transactions one process has under way in PostgreSQL.
        database_wait_seconds: how long one waits for its turn, and then for a lock; a statement may take twice as long.
        blob_url: `file:///<absolute path>` or `s3://bucket/prefix?endpoint_url=...`.
        blob_redirect_bytes: from which size on a download is sent to the blob store itself, where that can be; None:
            every file is streamed.
        redis_url: None: an embedded server (only `larder serve` can start one).
        root_token: the administrator's token; None: made at first start and kept in `root_token_file`.
        api_processes: how many API processes `larder serve` starts.
        max_file_size_bytes: the largest distribution that is taken.
        upload_wait_seconds: how long an upload waits for its verdict, before the addition for its size.
        upload_max_seconds: how long an upload may take in all.
        forward_url: the upstream simple index for names that never existed here; None: nothing is forwarded.
        trusted_proxies: peers whose X-Forwarded-* headers are believed.
        auth_failures_per_minute: failed authentications that one client address may make.
        is_fips: MD5 is neither taken nor computed nor shown, and every upload brings its SHA-256.
        limits: how much clients, uploads and archives may ask for.
        scrub_bytes_per_second: how fast each worker reads stored files again; 0: never.
        scrub_interval_seconds: after which a file is due to be read again.
        drain_seconds: for how long an API process that is to stop still takes connections, while it says that it is not
            ready.
        worker_metrics_port: where a worker shows its metrics; None: nowhere.
        cache_bytes: about how much each API process may remember of what it has answered; 0: nothing.
        keeps_ready_answers: a part of that is for whole answers, given to who sends the same bytes again.
    """

    host: str
    port: int
    data_dir: Path
    external_url: str | None
    database_url: str = field(repr=False)
    blob_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    root_token: str | None = field(repr=False)
    api_processes: int
    max_file_size_bytes: int
    upload_wait_seconds: float
    upload_max_seconds: float
    forward_url: str | None
    trusted_proxies: tuple[IpNetwork, ...]
    auth_failures_per_minute: int
    upload_checks: UploadChecks
    allow_guests_to_pull: bool
    is_fips: bool
    scrub_bytes_per_second: int
    scrub_interval_seconds: float
    log_format: LogFormat
    drain_seconds: float
    worker_metrics_port: int | None
    cache_bytes: int
    keeps_ready_answers: bool
    blob_redirect_bytes: int | None
    database_connections: int
    database_wait_seconds: float
    limits: Limits = field(default_factory=Limits)

    @property
    def root_token_file(self) -> Path:
        """Return where the administrator's generated token is kept, mode 0600."""
        return self.data_dir / "root-token"

    @property
    def ready_answer_bytes(self) -> int:
        """Return how much of `cache_bytes` is for answers that are ready; 0: none are kept."""
        return self.cache_bytes // 4 if self.keeps_ready_answers else 0

    def upload_wait_for(self, size_bytes: int) -> float:
        """Return for how many seconds an upload of this size waits for its verdict."""
        return min(self.upload_wait_seconds + size_bytes / (50 * 1024**2), max(self.upload_wait_seconds, 120.0))


@dataclass(frozen=True, slots=True)
class _Variable:
    """One LARDER_* variable: the field it fills, how its text is read, what holds when it is unset."""

    field: str
    read: Callable[[str], Any]
    default: Callable[[Path], Any]


@dataclass(frozen=True, slots=True)
class _LimitVariable:
    """One LARDER_* variable that moves a limit: the field of `Limits` it fills, and how its text is read."""

    field: str
    read: Callable[[str], Any]


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("takes a non-empty text")
    return text


def _integer(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if len(text) > 18 or not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
            raise ValueError(f"takes a whole number from {lowest} to {highest}")
        return int(text)

    return read


def _seconds(lowest: float, highest: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not lowest <= value <= highest:
            raise ValueError(f"takes a number of seconds from {lowest:g} to {highest:g}")
        return value

    return read


def _size(text: str) -> int:
    number = text.strip()
    factor = 1
    for suffix, unit in (("KIB", 1024), ("MIB", 1024**2), ("GIB", _GIB), ("TIB", 1024**4)):
        if number.upper().endswith(suffix):
            number, factor = number[: -len(suffix)].strip(), unit
    if len(number) > 18 or not number.isascii() or not number.isdigit() or not 0 < int(number) * factor <= 1024**5:
        raise ValueError("takes a number of bytes greater than 0, or one with KiB, MiB, GiB or TiB behind it")
    return int(number) * factor


def _size_from(lowest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        size = _size(text)
        if size < lowest:
            raise ValueError(f"takes a number of bytes from {lowest}")
        return size

    return read


def _size_or_zero(meaning: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            return 0 if text.strip() == "0" else _size(text)
        except ValueError:
            raise ValueError(
                f"takes a number of bytes, or one with KiB, MiB, GiB or TiB behind it; 0 for {meaning}"
            ) from None

    return read


def _switch(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("takes true or false")
    return words[text.lower()]


def _word(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(text: str) -> StrEnum:
        try:
            return words(text)
        except ValueError:
            raise ValueError("takes one of: " + ", ".join(words)) from None

    return read


def _url(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        problem = "takes a URL that begins with " + " or ".join(f"{scheme}://" for scheme in schemes)
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError:
            raise ValueError(problem) from None
        local = parts.scheme in ("sqlite", "file", "unix")
        if parts.scheme not in schemes or not (parts.path.startswith("/") if local else parts.hostname):
            raise ValueError(problem)
        return text

    return read


def _database_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        [directory] = parse_qs(parts.query).get("host", [""])
        has_socket = parts.scheme == "postgresql" and not parts.hostname and directory.startswith("/")
    except ValueError:
        has_socket = False
    # Where the host would stand, libpq takes nothing, and the directory of a unix socket behind the question mark.
    return text if has_socket else _url("sqlite", "postgresql")(text)


def _redis_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme not in ("redis+sentinel", "rediss+sentinel"):
        return _url("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")(text)
    # Several hosts stand where a URL has one.
    hosts, slash, master = rest.partition("/")
    if not hosts or not slash or not master.strip("/"):
        raise ValueError("takes a URL of Sentinels as redis+sentinel://host1:26379,host2:26379/master/0")
    return text


def _http_url(text: str) -> str:
    url = _url("http", "https")(text)
    if not _URL_TEXT.fullmatch(url):
        # It stands in headers and pages as it is; urlsplit would drop line breaks without a word.
        raise ValueError("takes a URL of ASCII characters only, all others percent-encoded")
    if {"?", "#"} & set(url) or "@" in urlsplit(url).netloc:
        raise ValueError("takes a URL without credentials, query or fragment")
    return url.rstrip("/")


def _token(text: str) -> str:
    if len(text) < 20 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("takes 20 or more printable ASCII characters without spaces")
    return text


def _networks(text: str) -> tuple[IpNetwork, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("takes addresses or networks, separated by commas: 10.0.0.0/8, 192.168.1.7") from None


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_VARIABLES: Mapping[str, _Variable] = {
    "HOST": _Variable("host", _text, lambda _: "127.0.0.1"),
    "PORT": _Variable("port", _integer(0, 65535), lambda _: 8080),
    "DATA_DIR": _Variable("data_dir", lambda text: Path(_text(text)).absolute(), lambda path: path),
    "EXTERNAL_URL": _Variable("external_url", _http_url, lambda _: None),
    "DATABASE_URL": _Variable("database_url", _database_url, lambda path: f"sqlite:///{path}/larder.sqlite3"),
    "DATABASE_CONNECTIONS": _Variable("database_connections", _integer(1, 200), lambda _: 5),
    "DATABASE_WAIT_SECONDS": _Variable("database_wait_seconds", _seconds(0.1, 600), lambda _: 10.0),
    "BLOB_URL": _Variable("blob_url", _url("file", "s3"), lambda path: f"file://{quote(str(path))}/blobs"),
    "BLOB_REDIRECT_BYTES": _Variable("blob_redirect_bytes", _size, lambda _: None),
    "REDIS_URL": _Variable("redis_url", _redis_url, lambda _: None),
    "ROOT_TOKEN": _Variable("root_token", _token, lambda _: None),
    "API_PROCESSES": _Variable("api_processes", _integer(1, 256), lambda _: _processors()),
    "MAX_FILE_SIZE": _Variable("max_file_size_bytes", _size, lambda _: 5 * _GIB),
    "UPLOAD_WAIT_SECONDS": _Variable("upload_wait_seconds", _seconds(0, 3600), lambda _: 10.0),
    "UPLOAD_MAX_SECONDS": _Variable("upload_max_seconds", _seconds(1, 86400), lambda _: 6 * 3600.0),
    "FORWARD_URL": _Variable("forward_url", _http_url, lambda _: None),
    "TRUSTED_PROXIES": _Variable("trusted_proxies", _networks, lambda _: ()),
    "AUTH_FAILURES_PER_MINUTE": _Variable("auth_failures_per_minute", _integer(1, 1_000_000), lambda _: 600),
    "UPLOAD_CHECKS": _Variable("upload_checks", _word(UploadChecks), lambda _: UploadChecks.STRICT),
    "ALLOW_GUESTS_TO_PULL": _Variable("allow_guests_to_pull", _switch, lambda _: True),
    "FIPS": _Variable("is_fips", _switch, lambda _: is_openssl_in_fips_mode()),
    "SCRUB_BYTES_PER_SECOND": _Variable("scrub_bytes_per_second", _size_or_zero("never"), lambda _: 8 * 1024**2),
    "SCRUB_INTERVAL_SECONDS": _Variable(
        "scrub_interval_seconds", _seconds(1, 10 * 365 * 86400), lambda _: 30 * 86400.0
    ),
    "LOG_FORMAT": _Variable("log_format", _word(LogFormat), lambda _: LogFormat.JSON),
    "DRAIN_SECONDS": _Variable("drain_seconds", _seconds(0, 600), lambda _: 0.0),
    "WORKER_METRICS_PORT": _Variable("worker_metrics_port", _integer(0, 65535), lambda _: None),
    "CACHE_BYTES": _Variable("cache_bytes", _size_or_zero("nothing"), lambda _: 64 * 1024**2),
    "READY_ANSWERS": _Variable("keeps_ready_answers", _switch, lambda _: True),
}

_LIMITS: Mapping[str, _LimitVariable] = {
    "STALL_SECONDS": _LimitVariable("stall_seconds", _seconds(0.1, 3600)),
    "IDLE_SECONDS": _LimitVariable("idle_seconds", _seconds(0.1, 3600)),
    "GRACE_SECONDS": _LimitVariable("grace_seconds", _seconds(0, 3600)),
    "MAX_CONNECTIONS": _LimitVariable("max_connections", _integer(1, 1_000_000)),
    "MAX_CONNECTIONS_PER_ADDRESS": _LimitVariable("max_connections_per_address", _integer(1, 1_000_000)),
    "MAX_UPLOADS_PER_PRINCIPAL": _LimitVariable("max_uploads_per_principal", _integer(1, 1_000_000)),
    "PROJECT_QUOTA": _LimitVariable("project_quota_bytes", _size),
    "MAX_FORM_SIZE": _LimitVariable("max_form_bytes", _size_from(64 * 1024)),
    "MAX_FORM_PARTS": _LimitVariable("max_form_parts", _integer(10, 1_000_000)),
    "MAX_HEADER_SIZE": _LimitVariable("max_header_bytes", _integer(1024, 1024**2)),
    "MAX_ARCHIVE_ENTRIES": _LimitVariable("max_archive_entries", _integer(1, 100_000_000)),
    "MAX_ARCHIVE_SIZE": _LimitVariable("max_archive_bytes", _size),
    "MAX_ARCHIVE_RATIO": _LimitVariable("max_archive_ratio", _integer(1, 1_000_000)),
    "INSPECTION_MEMORY": _LimitVariable("inspection_memory_bytes", _size_from(128 * 1024**2)),
    "INSPECTION_SECONDS": _LimitVariable("inspection_seconds", _integer(1, 3600)),
    "INSPECTIONS_AT_ONCE": _LimitVariable("inspections_at_once", _integer(1, 256)),
}

VARIABLE_NAMES = frozenset(PREFIX + name for name in (*_VARIABLES, *_LIMITS))
"""All variables that are understood, with their prefix."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that these environment variables give.

    Raises:
        SettingsInvalid: a LARDER_* variable is unknown, or a value is bad. The value itself is never repeated: it
            may be a secret.
    """
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in VARIABLE_NAMES)
    if unknown:
        raise SettingsInvalid(f"{unknown[0]} is no setting of Larder; README's table lists them all")
    values = _read(environment, _VARIABLES)
    data_dir = values.get("data_dir", Path("var").absolute())
    for variable in _VARIABLES.values():
        if variable.field not in values:
            values[variable.field] = variable.default(data_dir)
    return Settings(**values, limits=Limits(**_read(environment, _LIMITS)))


def _read(environment: Mapping[str, str], variables: Mapping[str, _Variable | _LimitVariable]) -> dict[str, Any]:
    """Return field -> value of those variables that are set."""
    values = {}
    for name, variable in variables.items():
        text = environment.get(PREFIX + name)
        if text is None:
            continue
        try:
            values[variable.field] = variable.read(text)
        except ValueError as error:
            raise SettingsInvalid(f"{PREFIX}{name} {error}") from None
    return values
