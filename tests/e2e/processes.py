"""Real processes for end-to-end tests: a whole `larder serve`, what it started, and how to end any of it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engines import blobs_at, engines_of, settings_of
from tests.waiting import wait_for

SOURCE = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
"""How long a busy machine may take until `larder serve` is ready."""
_STOP_SECONDS = 60.0
_READY = re.compile(r"^Larder is ready: (\S+)$", re.MULTILINE)
_PROJECT = re.compile(r"/projects/(\d+)/packages/pypi/simple/$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Running:
    """A process as `ps` shows it."""

    pid: int
    parent: int
    group: int
    session: int
    title: str


def session_members(session: int) -> list[Running]:
    """Return the processes of a session that are not zombies, oldest first."""
    found = (_look_at(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return sorted((one for one in found if one and one.session == session), key=lambda one: one.pid)


CHILDREN = ["larder api", "larder api", "larder worker", "redis-server"]
"""What a registry with two API processes consists of, beside its supervisor."""


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these LARDER_* settings and no others: `{"PORT": "0"}`.

    A data directory brings the engines of the run with it.
    """
    engines = settings_of(Path(settings["DATA_DIR"])) if "DATA_DIR" in settings else {}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
    told = {f"LARDER_{name}": value for name, value in {**engines, **settings}.items()}
    return inherited | {"PYTHONPATH": str(SOURCE)} | told


def larder_command(*arguments: str) -> list[str]:
    """Return how to call the console command with the interpreter that runs the tests."""
    return [sys.executable, "-P", "-m", "services.cli", *arguments]


def run_larder(command: str, settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the console command to its end."""
    return subprocess.run(
        larder_command(command, *arguments),
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@dataclass(slots=True)
class LarderProcess:
    """One `larder serve` in a session of its own, so that whatever it leaves behind can be found.

    Args:
        process: the supervisor.
        output: what it wrote to stdout.
        errors: what it and its children wrote to stderr.
    """

    process: subprocess.Popen[bytes]
    data_dir: Path
    output: Path
    errors: Path
    settings: Mapping[str, str]

    @property
    def page(self) -> str:
        """Return what it printed."""
        return self.output.read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        """Return where it listens, without a trailing slash."""
        return self._printed(_READY)

    @property
    def project_id(self) -> int:
        """Return the project that it offers to newcomers."""
        return int(self._printed(_PROJECT))

    @property
    def token(self) -> str:
        """Return the administrator's token."""
        return self.settings.get("ROOT_TOKEN") or (self.data_dir / "root-token").read_text(encoding="ascii").strip()

    @property
    def database_url(self) -> str:
        """Return where its rows are."""
        return engines_of(self.data_dir).database_url

    def blobs(self) -> list[str]:
        """Return the names of all its blobs, and of what writers have begun."""
        return blobs_at(engines_of(self.data_dir).blob_url)

    @property
    def log(self) -> list[dict[str, Any]]:
        """Return the log lines, oldest first."""
        lines = self.errors.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines with this event name, oldest first."""
        return [line for line in self.log if line["event"] == name]

    def members(self) -> list[Running]:
        """Return the supervisor and everything that lives below it."""
        return session_members(self.process.pid)

    def pids(self, title: str) -> list[int]:
        """Return the processes with this name, oldest first: "larder api", "larder worker", "redis-server"."""
        return [one.pid for one in self.members() if one.title.startswith(title)]

    def wait_until_ready(self) -> "LarderProcess":
        """Return when it printed its page, all its API processes serve, and its worker works."""
        wait_for(self._is_whole_or_dead, what="larder serve is ready", timeout_seconds=START_SECONDS)
        assert self.process.poll() is None, self.errors.read_text(encoding="utf-8")
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """Kill the supervisor as `kill -9` does, and return when it is gone."""
        self.process.kill()
        self.process.wait(_STOP_SECONDS)

    def end(self) -> None:
        """Leave nothing of it behind, whatever state it is in."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)
        for one in self.members():
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        self.process.wait(_STOP_SECONDS)

    def _is_whole_or_dead(self) -> bool:
        if self.process.poll() is not None:
            return True
        all_serve = len(self.events("api.started")) >= int(self.settings["API_PROCESSES"])
        return all_serve and bool(self.events("worker.started")) and "Stop with Ctrl-C." in self.page

    def _printed(self, pattern: re.Pattern[str]) -> str:
        found = pattern.search(self.page)
        assert found, self.page
        return found.group(1)


def start_larder(
    data_dir: Path,
    settings: Mapping[str, str] | None = None,
    *,
    cwd: Path | None = None,
    command: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> LarderProcess:
    """Start `larder serve` on a free port without waiting for it; whoever calls this calls `end()`.

    Uploads wait for their verdict for as long as a busy machine may need.

    Args:
        environment: more variables than the settings; directories in PYTHONPATH go before our own.
    """
    directory = data_dir.parent
    number = len(list(directory.glob("stdout-*")))
    output, errors = directory / f"stdout-{number}", directory / f"stderr-{number}"
    values = {
        "DATA_DIR": str(data_dir),
        "PORT": "0",
        "API_PROCESSES": "2",
        "UPLOAD_WAIT_SECONDS": "60",
        **(settings or {}),
    }
    with output.open("wb") as stdout, errors.open("wb") as stderr:
        process = subprocess.Popen(
            command or larder_command("serve"),
            env=_joined(clean_environment(values), environment or {}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    return LarderProcess(process, data_dir, output, errors, values)


@contextmanager
def running_larder(
    data_dir: Path, settings: Mapping[str, str] | None = None, *, cwd: Path | None = None
) -> Iterator[LarderProcess]:
    """Run `larder serve` until the block ends; yield it when it is ready."""
    larder = start_larder(data_dir, settings, cwd=cwd)
    try:
        yield larder.wait_until_ready()
    finally:
        larder.end()


def _joined(environment: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (more.get("PYTHONPATH"), environment.get("PYTHONPATH"))))
    return {**environment, **more, "PYTHONPATH": path}


def _look_at(pid: int) -> Running | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\x00", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent, group, session = status.rpartition(")")[2].split()[:4]
    if state in ("Z", "X"):
        return None
    return Running(pid, int(parent), int(group), int(session), title)
