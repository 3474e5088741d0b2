"""`larder serve`: a whole registry on one machine, as one supervised tree of processes.

larder serve              holds the data directory and the listening socket, restarts what dies
  redis-server            the queue's hints, behind a private unix socket
  larder worker           verdicts and deletes
  larder api, larder api  one for each processor, all on the one socket
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import structlog

from services.standalone.banner import ready_page
from services.standalone.child import Child, Program, running
from services.standalone.data_dir import clear_metrics, hold_data_dir, require_whole
from services.standalone.errors import StartFailed
from services.standalone.first_start import FirstStart, prepare_database
from services.standalone.listening import listen, reachable_address
from services.standalone.readiness import wait_until_ready
from services.standalone.redis_binary import find_redis_server
from services.standalone.redis_server import EmbeddedRedis
from shared.settings import Settings

log = structlog.get_logger()

_WORKER_SECONDS = 35.0  # it gives its jobs 25 seconds
_AFTER_GRACE_SECONDS = 5.0
_READY_SECONDS = 60.0
_SAME_REQUEST_SECONDS = 1.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Run a registry until SIGTERM, Ctrl-C or the end of the terminal, and stop it in order. Main thread only.

    Args:
        environment: what the settings were read from; the children inherit it.

    Raises (some of them in groups):
        StartFailed: something on this machine stands in the way.
        ChildRefused: a child refuses its settings.
        SchemaUnknown: the database holds a schema that this version does not know.
        MetadataUnavailable: the database does not answer.
    """
    with hold_data_dir(settings.data_dir) as lock_fd, listen(settings.host, settings.port) as listener:
        require_whole(settings.data_dir)
        clear_metrics(settings.data_dir)
        supervisor = _Supervisor(settings, environment, lock_fd=lock_fd, listener=listener)
        asyncio.run(supervisor.run())


class _Supervisor:
    def __init__(
        self, settings: Settings, environment: Mapping[str, str], *, lock_fd: int, listener: socket.socket
    ) -> None:
        self._settings = settings
        self._lock_fd = lock_fd
        self._listener = listener
        self._address = reachable_address(listener)
        self._environment = _for_children(settings, environment, port=self._address.port)
        self._children: list[Child] = []
        self._stop_asked_at: float | None = None
        self._is_stopping = False

    async def run(self) -> None:
        """Serve until a signal says stop."""
        self._catch_signals()
        try:
            async with AsyncExitStack() as stack:
                try:
                    await self._start_in_order(stack)
                    await asyncio.Event().wait()  # until a signal cancels it
                finally:
                    self._is_stopping = True
        except asyncio.CancelledError:
            if self._stop_asked_at is None:
                raise
        log.info("supervisor.stopped")

    async def _start_in_order(self, stack: AsyncExitStack) -> None:
        """Start from the ground up. The stack stops what was started in the reverse order, each step drained."""
        if self._settings.redis_url is None:
            redis = _embedded_redis(self._settings.data_dir)
            stack.callback(redis.remove_socket_dir)
            self._environment["LARDER_REDIS_URL"] = redis.url
            server = self._child(redis.program(environment=self._environment, pass_fds=(self._lock_fd,)))
            await stack.enter_async_context(running(server))
            await redis.wait_until_up(server)
        first_start = await prepare_database(self._settings)
        worker = self._larder("worker", patience_seconds=_WORKER_SECONDS)
        await stack.enter_async_context(running(self._child(worker)))
        patience_seconds = self._settings.drain_seconds + self._settings.limits.grace_seconds + _AFTER_GRACE_SECONDS
        api = self._larder("api", "--fd", str(self._listener.fileno()), patience_seconds=patience_seconds)
        api = replace(api, pass_fds=(*api.pass_fds, self._listener.fileno()))
        await stack.enter_async_context(running(*(self._child(api) for _ in range(self._settings.api_processes))))
        # First of all when it stops: else a client could still connect, and wait for somebody who never comes.
        stack.callback(self._listener.close)
        await self._say_when_ready(first_start)

    async def _say_when_ready(self, first_start: FirstStart) -> None:
        if not await wait_until_ready(self._address, timeout_seconds=_READY_SECONDS):
            raise StartFailed(f"no API process became ready in {_READY_SECONDS:g} seconds; the log above says why")
        url = self._settings.external_url or f"http://{self._address.authority}"
        print(ready_page(self._settings, first_start, url=url), end="", flush=True)

    def _child(self, program: Program) -> Child:
        child = Child(program)
        self._children.append(child)
        return child

    def _larder(self, command: str, *arguments: str, patience_seconds: float) -> Program:
        return Program(
            name=f"larder {command}",
            arguments=(sys.executable, "-m", "services.cli", command, *arguments),
            environment=self._environment,
            pass_fds=(self._lock_fd,),
            patience_seconds=patience_seconds,
        )

    def _catch_signals(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        for number in _STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number, task)

    def _on_signal(self, number: signal.Signals, task: asyncio.Task[None]) -> None:
        now = asyncio.get_running_loop().time()
        if self._stop_asked_at is None:
            self._stop_asked_at = now
            log.info("supervisor.stopping", signal=number.name)
            if not self._is_stopping:  # a stop that is under way is never cancelled
                task.cancel()
        elif now - self._stop_asked_at >= _SAME_REQUEST_SECONDS:  # make and init systems say it twice at once
            log.warning("supervisor.stopping_at_once", signal=number.name)
            for child in self._children:
                child.kill()


def _embedded_redis(data_dir: Path) -> EmbeddedRedis:
    binary = find_redis_server()
    if binary is None:
        raise StartFailed(
            "there is no redis-server or valkey-server: install one, or fetch one with "
            "`python -m services.standalone.redis_binary`, or name a Redis of your own in LARDER_REDIS_URL"
        )
    return EmbeddedRedis(binary, data_dir)


def _for_children(settings: Settings, environment: Mapping[str, str], *, port: int) -> dict[str, str]:
    """Return an environment in which a child reads the same settings, wherever it runs, but not the root token."""
    code = str(Path(__file__).resolve().parents[2])
    return {name: value for name, value in environment.items() if name != "LARDER_ROOT_TOKEN"} | {
        "LARDER_DATA_DIR": str(settings.data_dir),
        "LARDER_PORT": str(port),
        # The same code as here, and nothing that happens to lie in the current directory.
        "PYTHONPATH": os.pathsep.join(filter(None, (code, environment.get("PYTHONPATH")))),
        "PYTHONSAFEPATH": "1",
    }
