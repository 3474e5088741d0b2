"""API processes and workers that run apart on one database, blob store and Redis, and what stands before them.

async with running_replicas(tmp_path, settings, apis=3, workers=2) as replicas:
    async with Service(replicas).listening() as service:
        ...  # clients ask service.url
"""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.processes import START_SECONDS, clean_environment, larder_command, run_larder
from tests.ports import free_port
from tests.relay import Relay, Target
from tests.waiting import eventually

TOKEN = "configured-token-of-the-operator"
PROJECT_ID = 1
"""The one that `larder migrate` makes for newcomers."""
_STOP_SECONDS = 120.0
_PROBE_SECONDS, _PROBE_FAILURES, _PROBE_PATIENCE_SECONDS = 0.5, 2, 2.0
_PROPAGATION_SECONDS = 0.5
DRAIN_SECONDS = 6.0
"""Longer than all of these together, as the manifests have it too."""


@dataclass(slots=True)
class Part:
    """One `larder api` or `larder worker`.

    Args:
        log_path: what it wrote.
    """

    command: str
    port: int
    log_path: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Return where an API process listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Return what it wrote so far."""
        return self.log_path.read_text("utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines with this event name, oldest first."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line["event"] == name]

    async def is_up(self) -> bool:
        """Return whether it does its work; fail when it has ended."""
        assert self.process.poll() is None, self.log
        if self.command == "worker":
            return bool(await asyncio.to_thread(self.events, "worker.started"))
        return await is_ready(self.url)

    async def stop(self) -> int:
        """Tell it to stop, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, _STOP_SECONDS)

    def kill(self) -> None:
        """Leave nothing of it behind."""
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Replicas:
    """All parts that run, and those that did.

    Args:
        settings: what all of them are started with.
    """

    directory: Path
    settings: Mapping[str, str]
    parts: list[Part] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    @property
    def apis(self) -> list[Part]:
        """Return the API processes that run, oldest first."""
        return self._running("api")

    @property
    def workers(self) -> list[Part]:
        """Return the workers that run, oldest first."""
        return self._running("worker")

    async def start(self, command: str) -> Part:
        """Start one more, and return when it is ready."""
        part = await asyncio.to_thread(self._spawn, command)
        await eventually(part.is_up, what=f"larder {command} is up", timeout_seconds=START_SECONDS)
        return part

    def _running(self, command: str) -> list[Part]:
        return [part for part in self.parts if part.command == command and part.process.poll() is None]

    def _spawn(self, command: str) -> Part:
        number, port = next(self._numbers), free_port()
        data_dir, log_path = self.directory / f"data-{number}", self.directory / f"{command}-{number}.log"
        data_dir.mkdir()  # As in a pod, nothing of it is shared.
        settings = {**self.settings, "DATA_DIR": str(data_dir), "PORT": str(port)}
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                larder_command(command), env=clean_environment(settings), stdin=subprocess.DEVNULL, stderr=log
            )
        part = Part(command, port, log_path, process)
        self.parts.append(part)
        return part


@asynccontextmanager
async def running_replicas(
    directory: Path, settings: Mapping[str, str], *, apis: int, workers: int
) -> AsyncIterator[Replicas]:
    """Migrate the database, start so many of each, and yield them when all are ready.

    Args:
        settings: by which they find database, blob store and Redis: {"REDIS_URL": "redis://..."}.
    """
    replicas = Replicas(directory, settings)
    migration = {**settings, "ROOT_TOKEN": TOKEN, "DATA_DIR": str(directory / "migration")}
    migrated = await asyncio.to_thread(run_larder, "migrate", migration)
    assert migrated.returncode == 0, migrated.stderr
    try:
        async with asyncio.TaskGroup() as starts:
            for command in ("worker",) * workers + ("api",) * apis:
                starts.create_task(replicas.start(command))
        yield replicas
    finally:
        for part in replicas.parts:
            await asyncio.to_thread(part.kill)


class Service:
    """What a Service of Kubernetes does: new connections go to replicas that were ready when they were asked last.

    It learns late, as the real one does: of two probes in a row that fail, and then the word has to get around.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._relay = Relay(self._choose)
        self._failures: dict[int, int] = {}
        self._endpoints: list[int] = []
        self._turns = count()
        self._is_over = asyncio.Event()

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"http://127.0.0.1:{self._relay.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Service"]:
        """Take connections until the block ends; when it begins, somebody is ready."""
        async with self._relay.listening(), asyncio.TaskGroup() as group:
            group.create_task(self._keep_probing())
            try:
                await eventually(self._has_endpoints, what="a replica is ready", timeout_seconds=START_SECONDS)
                yield self
            finally:
                self._is_over.set()

    async def wait_for(self, part: Part) -> None:
        """Return when connections go to this process, too."""

        async def is_in_rotation() -> bool:
            return part.port in self._endpoints

        await eventually(is_in_rotation, what="the new replica is in the rotation", timeout_seconds=START_SECONDS)

    def _choose(self) -> Target | None:
        endpoints = self._endpoints
        return ("127.0.0.1", endpoints[next(self._turns) % len(endpoints)]) if endpoints else None

    async def _has_endpoints(self) -> bool:
        return bool(self._endpoints)

    async def _keep_probing(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_over.is_set():
            # All that were ever started: those that have ended fail their probes.
            parts = [part for part in self._replicas.parts if part.command == "api"]
            async with asyncio.TaskGroup() as group:
                probes = {part.port: group.create_task(is_ready(part.url)) for part in parts}
            for port, probe in probes.items():
                self._failures[port] = 0 if probe.result() else self._failures.get(port, _PROBE_FAILURES) + 1
            ready = [port for port in probes if self._failures[port] < _PROBE_FAILURES]
            loop.call_later(_PROPAGATION_SECONDS, self._endpoints.__setitem__, slice(None), ready)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self._is_over.wait()


async def is_ready(url: str) -> bool:
    """Ask a process for its readiness as a probe does: on a connection of its own, and not for long."""
    with suppress(aiohttp.ClientError, TimeoutError):
        timeout = aiohttp.ClientTimeout(total=_PROBE_PATIENCE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/-/readiness") as answer:
            return answer.status == 200
    return False
