"""The embedded Redis: a real server behind a private unix socket, which only the processes of one `larder` talk to.

It holds hints, never the truth: what it loses costs time and nothing else.
"""

import asyncio
import os
import re
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import structlog

from services.standalone.child import Child, Program
from services.standalone.errors import StartFailed

log = structlog.get_logger()

_LONGEST_SOCKET_PATH_BYTES = 100  # sun_path holds 108 on Linux, 104 elsewhere
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+@-]+")  # arq does not unquote the path of a unix:// URL
_ACCEPTS = "Ready to accept connections"
_COMPLAINT_ABOUT_FILES = re.compile(r" # .*(append.?only|aof|rdb|loading db)", re.IGNORECASE)  # "#": a warning
_LOG_TAIL_LINES = 12
_PATIENCE_SECONDS = 10.0
_START_SECONDS = 30.0
_POLL_SECONDS = 0.01
_PING_SECONDS = 1.0
_DEATHS_BEFORE_GIVING_UP = 3


class EmbeddedRedis:
    """Where one embedded server lives, and how it is set up.

    Args:
        binary: a redis-server or valkey-server.
        data_dir: its files are in `redis/` below.
    """

    def __init__(self, binary: Path, data_dir: Path) -> None:
        self._binary = binary
        self._directory = data_dir / "redis"
        self._socket = _socket_path(self._directory)
        self._log = self._directory / "redis.log"

    @property
    def url(self) -> str:
        """Return the URL for LARDER_REDIS_URL."""
        return f"unix://{self._socket}"

    def program(self, *, environment: Mapping[str, str], pass_fds: tuple[int, ...]) -> Program:
        """Return what starts the server."""
        return Program(
            name="redis-server",
            # Redis makes its title for `ps` from this first word.
            arguments=("redis-server", str(self._directory / "redis.conf")),
            executable=self._binary,
            environment={name: value for name, value in environment.items() if not name.startswith("LARDER_")},
            pass_fds=pass_fds,
            patience_seconds=_PATIENCE_SECONDS,
            output=self._log,
            before_start=self._prepare,
        )

    def remove_socket_dir(self) -> None:
        """Leave nothing outside the data directory behind; call it when the server is gone."""
        if self._socket.parent != self._directory:
            with suppress(OSError):
                self._socket.unlink(missing_ok=True)
                self._socket.parent.rmdir()

    async def wait_until_up(self, child: Child) -> None:
        """Return when the server answers.

        Raises:
            StartFailed: it dies again and again, or does not answer in 30 seconds.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not await self._answers():
            if child.deaths >= _DEATHS_BEFORE_GIVING_UP or time.monotonic() >= deadline:
                tail = "\n".join(self._last_run().splitlines()[-_LOG_TAIL_LINES:])
                raise StartFailed(
                    f"the embedded Redis ({self._binary}) does not start; the end of {self._log}:\n{tail}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._socket)
                try:
                    writer.write(b"PING\r\n")
                    answer = await reader.readline()
                finally:
                    writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            return False
        return answer == b"+PONG\r\n"  # and not -LOADING

    def _prepare(self) -> None:
        for directory in (self._directory, self._socket.parent):
            directory.mkdir(mode=0o700, exist_ok=True)
            directory.chmod(0o700)
        self._set_unreadable_hints_aside()
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.1"))
        (self._directory / "redis.conf").write_text(self._configuration(), encoding="utf-8")

    def _configuration(self) -> str:
        # Scripting is off: nothing needs it, and it was Redis's weak side more than once.
        return "\n".join(
            (
                "port 0",
                f"unixsocket {_quoted(self._socket)}",
                "unixsocketperm 700",
                f"dir {_quoted(self._directory)}",
                "daemonize no",
                'proc-title-template "redis-server {unixsocket}"',  # and not the whole path of the binary
                'logfile ""',
                "databases 1",
                "appendonly yes",
                "appendfsync everysec",
                "aof-load-truncated yes",
                'save ""',
                "maxmemory-policy noeviction",
                "user default on nopass ~* &* +@all -@scripting -@dangerous +info",
                "",
            )
        )

    def _set_unreadable_hints_aside(self) -> None:
        """Let the server start empty when the last one ended because of its own files."""
        last_run = self._last_run()
        if _ACCEPTS in last_run or not _COMPLAINT_ABOUT_FILES.search(last_run):
            return
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        for name in ("appendonlydir", "appendonly.aof"):
            path = self._directory / name
            if path.exists():
                aside = path.with_name(f"{name}.unreadable-{stamp}")
                path.rename(aside)
                log.error("redis.unreadable_files_set_aside", moved_to=str(aside), lost="hints only; no upload")

    def _last_run(self) -> str:
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""


def _socket_path(directory: Path) -> Path:
    """Return where the socket goes: beside the files, or, when that path is too long, in a directory of its own."""
    path = directory / "redis.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(str(path)):
        return path
    # The same directory at each start, so that a killed supervisor leaves no litter behind.
    name = f"larder-{os.getuid()}-{sha256(os.fsencode(directory)).hexdigest()[:16]}"
    private = Path("/tmp") / name  # noqa: S108 - checked below
    try:
        private.mkdir(mode=0o700, exist_ok=True)
        state = private.lstat()
        is_ours = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid()
    except OSError:
        is_ours = False
    if not is_ours:  # somebody else took the name
        private = Path(tempfile.mkdtemp(prefix="larder-", dir="/tmp"))  # mode 0700
    return private / "redis.sock"


def _quoted(path: Path) -> str:
    """Return the path as a word of Redis's configuration file."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
