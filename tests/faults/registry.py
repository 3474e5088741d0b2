"""A registry that a fault test may break: real processes with fault points, a client, a ledger and a checker.

    async with faulty_registry(tmp_path / "var") as registry:
        registry.switches.kill("admit.commit:after")
        await registry.owner.publish(wheel("name", "1.0"))
        await registry.conclude(fault_report, "the API killed", runs=1)

To add a fault: put what breaks things beside this (a disk that fills, a clock that jumps), start the registry with the
settings or the environment that it needs, let `Owner` and `Reader` of `workload.py` work meanwhile, and `conclude`.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.processes import LarderProcess, start_larder
from tests.faults.checker import QUIET_SECONDS, Checker, Findings
from tests.faults.client import FaultClient, open_fault_client
from tests.faults.data_directory import DataDirectory
from tests.faults.ledger import Ledger
from tests.faults.report import FaultReport
from tests.faults.switches import Switches
from tests.faults.workload import Owner, Reader
from tests.ports import free_port
from tests.waiting import wait_for

API, WORKER, REDIS = "larder api", "larder worker", "redis-server"
_RESTART_SECONDS = 90.0


@dataclass(slots=True)
class FaultyRegistry:
    """A running registry on one data directory and one port, whatever becomes of its processes.

    Args:
        larder: its present supervisor; another one after a restart.
        settings: what it is started with: {"UPLOAD_WAIT_SECONDS": "2"}.
        environment: more variables, for what a test puts into its processes.
    """

    larder: LarderProcess
    client: FaultClient
    switches: Switches
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def directory(self) -> DataDirectory:
        """Return its data directory."""
        return DataDirectory(self.larder.data_dir)

    @property
    def owner(self) -> Owner:
        """Return a client that publishes, deletes and yanks; let each have names of its own."""
        return Owner(self.client, self.ledger)

    @property
    def reader(self) -> Reader:
        """Return a client that reads."""
        return Reader(self.client, self.ledger)

    async def kill(self, title: str, choose: Callable[[list[int]], int] = min, *, of: int = 1) -> int:
        """SIGKILL a process of this name and return its pid.

        Args:
            choose: one of those that there are; by default the oldest.
            of: as soon as there are so many.
        """

        def kill_one() -> int | None:
            pids = self.larder.pids(title)
            with suppress(ProcessLookupError):
                if len(pids) >= of:
                    pid = choose(pids)
                    os.kill(pid, signal.SIGKILL)
                    return pid
            return None

        killed = await asyncio.to_thread(
            wait_for, kill_one, what=f"there are {of} {title}", timeout_seconds=_RESTART_SECONDS
        )
        assert killed is not None
        return killed

    async def kill_supervisor(self) -> None:
        """SIGKILL `larder serve` itself."""
        await asyncio.to_thread(self.larder.kill)

    async def start_again(self) -> None:
        """Start `larder serve` on the same data directory, when the one before is gone, and wait until it is ready."""
        await asyncio.to_thread(self.larder.process.wait, _RESTART_SECONDS)
        self.larder = start_larder(self.larder.data_dir, self.settings, environment=self.environment)
        await asyncio.to_thread(self.larder.wait_until_ready)

    def end(self) -> None:
        """Leave none of its processes behind."""
        self.larder.end()

    async def conclude(
        self, report: FaultReport, fault: str, *, runs: int, longest_recovery_seconds: float | None = None
    ) -> None:
        """Check it, write the row of the fault, and fail when anything was found.

        Raises:
            AssertionError: something was; the message says what.
        """
        findings = await self.check()
        report.conclude(
            fault, runs=runs, ledger=self.ledger, findings=findings, longest_recovery_seconds=longest_recovery_seconds
        )

    async def check(self, *, quiet_seconds: float = QUIET_SECONDS) -> Findings:
        """Wait until it is quiet, and compare it with the ledger."""
        api_processes = int(self.larder.settings["API_PROCESSES"])
        await asyncio.to_thread(
            wait_for,
            lambda: len(self.larder.pids(API)) == api_processes,
            what="all API processes run",
            timeout_seconds=_RESTART_SECONDS,
        )
        checker = Checker(self.ledger, self.client, self.directory, self.larder.pids(API))
        return await checker(quiet_seconds=quiet_seconds)


@asynccontextmanager
async def faulty_registry(
    data_dir: Path, settings: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[FaultyRegistry]:
    """Run a registry with fault points until the block ends; yield it when it is ready."""
    switches = Switches(data_dir.parent / f"{data_dir.name}-switches")
    values = {"PORT": str(free_port()), "UPLOAD_WAIT_SECONDS": "10", **(settings or {})}
    more = {**switches.environment, **(environment or {})}
    larder = start_larder(data_dir, values, environment=more)
    async with AsyncExitStack() as stack:
        stack.callback(larder.end)
        await asyncio.to_thread(larder.wait_until_ready)
        client = await stack.enter_async_context(open_fault_client(larder.url, larder.token, larder.project_id))
        registry = FaultyRegistry(larder, client, switches, values, more)
        stack.callback(registry.end)
        yield registry
