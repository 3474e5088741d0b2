"""A server that is measured: how it is started and stopped, where its pages are, and how it is published to."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from benchmarks.corpus import Wheel
from benchmarks.processes import title, with_descendants
from tests.e2e.processes import session_members
from tests.e2e.resident_memory import rss_bytes

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.005
_LOG_CHARACTERS = 3_000


@dataclass(frozen=True, slots=True)
class Publication:
    """How a wheel is given to a server.

    Args:
        before: of the body, ahead of the wheel's bytes.
        after: likewise, behind them.
        page: what shows the wheel when it is installable: a page with its name, or the wheel itself.
    """

    wheel: Wheel
    method: str
    url: str
    headers: Mapping[str, str]
    before: bytes
    after: bytes
    page: str


@dataclass(slots=True)
class Server:
    """One that serves the corpus on loopback.

    Args:
        index: URL of its simple index, with a trailing slash.
        launch: starts it without waiting.
        log: what it says.
        headers: go with every request.
        publication: None when it takes no uploads.
        measured: which of its processes memory is told of, by the beginning of their titles; all, unless told.
        elsewhere: processes that work for it without being its children.
        html, json: what stands behind a page's URL where the form is not negotiated.
    """

    name: str
    index: str
    launch: Callable[[], subprocess.Popen[bytes]]
    log: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    publication: Callable[[Wheel], Publication] | None = None
    measured: tuple[str, ...] = ("",)
    elsewhere: Callable[[], list[int]] = list
    html: str = ""
    json: str = ""
    _process: subprocess.Popen[bytes] | None = None

    def start_within(self, stack: ExitStack, page: str | None = None) -> None:
        """Start it until the stack ends."""
        stack.callback(self.stop)
        self.start(page)

    def start(self, page: str | None = None) -> float:
        """Start it; return after how many seconds it gave the first good answer.

        Args:
            page: URL of what it is asked for; its index, unless told.
        """
        started_at = time.perf_counter()
        self._process = self.launch()
        request = Request(page or self.index, headers=dict(self.headers))  # noqa: S310 - on loopback
        while time.perf_counter() - started_at < _START_SECONDS:
            if self._process.poll() is not None:
                break
            with suppress(URLError, HTTPError, OSError), urlopen(request, timeout=_START_SECONDS) as answer:  # noqa: S310
                answer.read()
                return time.perf_counter() - started_at
            time.sleep(_LOOK_SECONDS)
        told = self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:]
        raise SystemExit(f"{self.name} does not start:\n{told}")

    def stop(self) -> None:
        """End it and all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        for one in session_members(process.pid):
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)

    def pids(self) -> list[int]:
        """Return the processes that do its work."""
        assert self._process is not None
        return with_descendants([self._process.pid, *self.elsewhere()])

    def measured_pids(self, titles: tuple[str, ...] | None = None) -> list[int]:
        """Return those of its processes that memory is told of, or those of them with such titles if it has any."""
        pids = [pid for pid in self.pids() if title(pid).startswith(self.measured)]
        return [pid for pid in pids if titles and title(pid).startswith(titles)] or pids

    def largest_bytes(self, titles: tuple[str, ...] | None = None) -> int:
        """Return the resident size of the largest of these."""
        return max(rss_bytes(pid) for pid in self.measured_pids(titles))


def spawn(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that no Ctrl-C reaches it before its turn."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
