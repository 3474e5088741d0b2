"""A wall clock that is set a day forward or back while the registry works: nothing is lost, and everything goes on."""

import asyncio
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.faults.clocks import Clock, a_clock
from tests.faults.ledger import Upload
from tests.faults.orphan_sweep import sweep_in_processes
from tests.faults.registry import FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_DAY = timedelta(days=1)
_SETTINGS = {"UPLOAD_WAIT_SECONDS": "1", "UPLOAD_MAX_SECONDS": "600"}


@pytest.mark.parametrize("by", [_DAY, -_DAY], ids=["forward", "back"])
async def test_a_clock_that_jumps_loses_nothing_and_stops_nothing(
    tmp_path: Path, fault_report: FaultReport, by: timedelta
) -> None:
    with a_clock(tmp_path / "clock") as clock:
        async with faulty_registry(tmp_path / "var", _SETTINGS, clock.environment) as registry:
            seconds = await _jump_amid_work(registry, clock, by, name="there")
            await _jump_amid_work(registry, clock, -by, name="and-back")

            await registry.conclude(
                fault_report,
                f"clock set a day {'forward' if by > timedelta(0) else 'back'}, and right again",
                runs=2,
                longest_recovery_seconds=seconds,
            )


async def _jump_amid_work(registry: FaultyRegistry, clock: Clock, by: timedelta, *, name: str) -> float:
    """Set the clock while a file is queued, one is being looked at, one is on its way, and one is to be destroyed.

    Returns:
        How many seconds it took until everything was done.
    """
    owner = registry.owner
    kept, doomed, midway = (wheel(f"{name}-{part}", "1.0") for part in ("kept", "doomed", "midway"))
    taken, queued = wheel(f"{name}-taken", "1.0"), wheel(f"{name}-queued", "1.0")
    for upload in (kept, doomed):
        await owner.publish(upload)
    registry.switches.stop("examine:before")
    assert await owner.publish(taken) == 202
    worker = await asyncio.to_thread(registry.switches.wait, "examine:before", timeout_seconds=60)
    assert await owner.publish(queued) == 202
    await owner.delete_package(doomed.name, "1.0", [doomed.file_name])
    registry.switches.stop("blob.commit:after")
    publishing = asyncio.create_task(owner.publish(midway))
    api = await asyncio.to_thread(registry.switches.wait, "blob.commit:after", timeout_seconds=60)

    clock.jump(by)
    jumped_at = time.monotonic()
    await asyncio.to_thread(sweep_in_processes, registry, 2)
    for stopped in (worker, api):
        registry.switches.go_on(stopped)

    await publishing
    after = wheel(f"{name}-after", "1.0")
    await owner.publish(after)
    for upload in (kept, taken, queued, midway, after):
        await owner.wait_until_installable(upload)
        await _is_not_from_the_future(registry, clock, upload)
    await owner.wait_until_destroyed(doomed.file_name, registry.directory)
    return time.monotonic() - jumped_at


async def _is_not_from_the_future(registry: FaultyRegistry, clock: Clock, upload: Upload) -> None:
    """Download a file: its date must be one that a client's cache understands."""
    (link,) = await registry.client.links(upload.name)
    async with registry.client.registry.session.get(link.url) as answer:
        assert parsedate_to_datetime(answer.headers["Last-Modified"]) <= clock.now
