"""Two workers on one data directory: one verdict for each file, whoever of them stands still meanwhile."""

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.e2e.processes import START_SECONDS, larder_command, start_larder
from tests.faults.orphan_sweep import sweep_in_processes
from tests.faults.registry import FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import wheel
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_FILES = 12
_SETTINGS = {"UPLOAD_WAIT_SECONDS": "1", "UPLOAD_MAX_SECONDS": "600"}


async def test_two_workers_on_the_same_jobs_give_one_verdict_for_each_file(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    async with faulty_registry(tmp_path / "var", _SETTINGS) as registry, _a_second_worker(registry):
        owner = registry.owner
        waiting = wheel("waiting", "1.0")
        # Before its lease is taken, so that the other's sweep must find the file. test_takeovers.py stops one later.
        registry.switches.stop("process:before")
        await owner.publish(waiting)
        stopped = await asyncio.to_thread(registry.switches.wait, "process:before", timeout_seconds=60)
        stopped_at = time.monotonic()
        await owner.wait_until_installable(waiting)
        seconds = time.monotonic() - stopped_at
        registry.switches.go_on(stopped)  # It finds that the file is no longer its own.

        many = [wheel("many", f"1.{number}") for number in range(_FILES)]
        async with asyncio.TaskGroup() as group:
            for upload in many:
                group.create_task(owner.publish(upload))
        for upload in many[: _FILES // 2]:
            await owner.wait_until_installable(upload)
            await owner.delete_package("many", upload.version, [upload.file_name])
        await asyncio.to_thread(sweep_in_processes, registry, 2)

        findings = await registry.check()
        findings.doubled += await asyncio.to_thread(_judged_twice, registry)
        fault_report.conclude(
            "two workers, two sweeps at once",
            runs=1,
            ledger=registry.ledger,
            findings=findings,
            longest_recovery_seconds=seconds,
        )


@asynccontextmanager
async def _a_second_worker(registry: FaultyRegistry) -> AsyncIterator[None]:
    """Run another `larder worker` on the same data directory, Redis and fault points until the block ends."""
    configuration = (registry.directory.path / "redis" / "redis.conf").read_text(encoding="utf-8")
    (socket,) = re.findall(r'^unixsocket "(.*)"$', configuration, re.MULTILINE)
    worker = start_larder(
        registry.directory.path,
        {**registry.larder.settings, "REDIS_URL": f"unix://{socket}"},
        command=larder_command("worker"),
        environment=registry.environment,
    )
    try:
        await asyncio.to_thread(
            wait_for,
            lambda: worker.process.poll() is not None or worker.events("worker.started"),
            what="there is a second worker",
            timeout_seconds=START_SECONDS,
        )
        yield
        assert await asyncio.to_thread(worker.stop) == 0
    finally:
        worker.end()


def _judged_twice(registry: FaultyRegistry) -> list[str]:
    """Return which files have got more than one verdict; each of them is an event."""
    uri = f"file:{registry.directory.database}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=30)) as database:
        found = database.execute(
            "SELECT target FROM audit_events WHERE action IN ('package_file.accepted', 'package_file.refused')"
            " GROUP BY target HAVING count(*) > 1"
        ).fetchall()
    return [f"{target} was judged twice" for (target,) in found]
