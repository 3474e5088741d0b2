"""A wall clock that is set a day forward or back while the registry works: nothing is lost, and everything goes on."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.faults.clocks import a_clock
from tests.faults.registry import FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_DAY = timedelta(days=1)
_SETTINGS = {"UPLOAD_WAIT_SECONDS": "2"}


@pytest.mark.parametrize("by", [_DAY, -_DAY], ids=["forward", "back"])
async def test_a_clock_that_jumps_loses_nothing_and_stops_nothing(
    tmp_path: Path, fault_report: FaultReport, by: timedelta
) -> None:
    with a_clock(tmp_path / "clock") as clock:
        async with faulty_registry(tmp_path / "var", _SETTINGS, clock.environment) as registry:
            owner = registry.owner
            kept, doomed, waiting, midway = (wheel(name, "1.0") for name in ("kept", "doomed", "waiting", "midway"))
            for upload in (kept, doomed):
                await owner.publish(upload)
            # One file waits for its worker, one is taken and its worker stands still, one upload is under way.
            registry.switches.stop("process:before")
            assert await owner.publish(waiting) == 202
            worker = await asyncio.to_thread(registry.switches.wait, "process:before", timeout_seconds=60)
            await owner.delete_package("doomed", "1.0", [doomed.file_name])
            registry.switches.stop("blob.commit:before")
            publishing = asyncio.create_task(owner.publish(midway))
            api = await asyncio.to_thread(registry.switches.wait, "blob.commit:before", timeout_seconds=60)

            clock.jump(by)
            jumped_at = time.monotonic()
            for stopped in (worker, api):
                registry.switches.go_on(stopped)

            await publishing
            await owner.publish(wheel("after", "1.0"))
            for upload in (waiting, midway, wheel("after", "1.0")):
                await owner.wait_until_installable(upload)
            await owner.wait_until_destroyed(doomed.file_name, registry.directory)
            seconds = time.monotonic() - jumped_at
            clock.jump(-by)
            await owner.publish(wheel("right-again", "1.0"))
            await owner.wait_until_installable(wheel("right-again", "1.0"))

            findings = await registry.check()
            direction = "forward" if by > timedelta(0) else "back"
            fault_report.conclude(
                f"clock set a day {direction}, and right again",
                runs=2,
                ledger=registry.ledger,
                findings=findings,
                longest_recovery_seconds=seconds,
            )
