"""One process that the supervisor keeps alive: started again whenever it dies, until it is told to stop."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from services.standalone.errors import ChildRefused

log = structlog.get_logger()

BAD_SETTINGS = 2
"""The exit code that says: another start would change nothing."""

_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 5.0
"""A lease, a sweep, this and the start of a worker are less than the thirty seconds in which an upload is promised."""
_HEALTHY_AFTER_SECONDS = 60.0
_HEALTHY_DELAYS = 20  # so many times its last delay is long enough too: something from outside has killed it
_REFUSALS = 5
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to start, and how long it may take to stop.

    Args:
        name: how `ps` and the log name it.
        executable: the file that is run; None: the first argument names it.
        environment: the whole environment of the process.
        pass_fds: file descriptors that it inherits under the same numbers.
        patience_seconds: from SIGTERM to SIGKILL.
        output: the file that takes its stdout and stderr; None: it shares those of the supervisor.
        before_start: called before each start, also before one that follows a death.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    pass_fds: tuple[int, ...]
    patience_seconds: float
    executable: Path | None = None
    output: Path | None = None
    before_start: Callable[[], None] = _nothing


class Child:
    """A program that runs; every start of it is logged, and so is every death."""

    def __init__(self, program: Program) -> None:
        self.deaths = 0
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Start it, and keep it running in a task of this group.

        Raises (in the group):
            ChildRefused: it said five times in a row that its settings are bad.
        """
        self._keeping = tasks.create_task(self._keep_running(), name=self._program.name)

    async def stop(self) -> None:
        """Send SIGTERM and wait; SIGKILL what is left when the patience is over. It is not started again."""
        self._stopping.set()
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._program.patience_seconds):
                await self._gone()
        except TimeoutError:
            log.warning("process.killed", child=self._program.name, after_seconds=self._program.patience_seconds)
            self.kill()
            await self._gone()

    def kill(self) -> None:
        """Send SIGKILL to it and to all that it started. It is not started again."""
        self._stopping.set()
        self._kill_group()

    async def _keep_running(self) -> None:
        delay_seconds: float | None = None
        refusals = 0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            exit_code = await self._run_once()
            if self._stopping.is_set():
                return
            self.deaths += 1
            lived_seconds = time.monotonic() - started_at
            refusals = refusals + 1 if exit_code == BAD_SETTINGS and lived_seconds < _HEALTHY_AFTER_SECONDS else 0
            if refusals == _REFUSALS:
                raise ChildRefused(self._program.name)
            delay_seconds = delay_before_restart(delay_seconds, lived_seconds=lived_seconds)
            log.warning("process.restarting", child=self._program.name, delay_seconds=delay_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_seconds):
                    await self._stopping.wait()

    async def _run_once(self) -> int | None:
        """Start it and return its exit code when it is gone; None when it could not even be started."""
        name = self._program.name
        try:
            self._process = await self._spawn()
        except OSError as error:
            log.error("process.unstartable", child=name, error=str(error))  # noqa: TRY400 - the line says it all
            return None
        log.info("process.started", child=name, pid=self._process.pid)
        if self._stopping.is_set():
            self._send(signal.SIGTERM)
        exit_code = await self._process.wait()
        self._kill_group()
        if self._stopping.is_set():
            log.info("process.stopped", child=name, pid=self._process.pid, **_cause(exit_code))
        else:
            log.error("process.died", child=name, pid=self._process.pid, **_cause(exit_code))
        return exit_code

    async def _spawn(self) -> asyncio.subprocess.Process:
        program = self._program
        program.before_start()
        with ExitStack() as stack:
            output = stack.enter_context(program.output.open("ab")) if program.output else None
            return await asyncio.create_subprocess_exec(
                *program.arguments,
                executable=program.executable,
                env=program.environment,
                pass_fds=program.pass_fds,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # Ctrl-C reaches the foreground group only: the supervisor tells the others in order
                preexec_fn=_die_with(os.getpid()),
            )

    async def _gone(self) -> None:
        if self._keeping is not None:
            await asyncio.wait({self._keeping})
        if self._process is not None:
            await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _kill_group(self) -> None:
        """SIGKILL the process, and what it started and left behind."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


@asynccontextmanager
async def running(*children: Child) -> AsyncIterator[None]:
    """Keep the children running while the block runs; then stop them, all at the same time."""
    async with asyncio.TaskGroup() as tasks:
        for child in children:
            child.begin(tasks)
        try:
            yield
        finally:
            async with asyncio.TaskGroup() as stops:
                for child in children:
                    stops.create_task(child.stop())


def delay_before_restart(last_delay_seconds: float | None, *, lived_seconds: float) -> float:
    """Return how long to wait before a dead process is started again: ever longer, unless it had been healthy."""
    if last_delay_seconds is None or lived_seconds >= min(_HEALTHY_AFTER_SECONDS, _HEALTHY_DELAYS * last_delay_seconds):
        return _FIRST_DELAY_SECONDS
    return min(last_delay_seconds * 2, _LONGEST_DELAY_SECONDS)


def _die_with(supervisor: int) -> Callable[[], None]:
    """Return what a child does between fork and exec so that it never outlives the supervisor, even after kill -9.

    The signal comes when the *thread* that forked ends: start children from the main thread only.
    """
    if sys.platform != "linux":
        return _nothing
    prctl = ctypes.CDLL(None).prctl

    def die_with_supervisor() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # it died before prctl, and nobody would tell
            os.kill(os.getpid(), signal.SIGKILL)

    return die_with_supervisor


def _cause(exit_code: int) -> dict[str, int | str]:
    if exit_code >= 0:
        return {"exit_code": exit_code}
    try:
        return {"signal": signal.Signals(-exit_code).name}
    except ValueError:
        return {"signal": str(-exit_code)}
