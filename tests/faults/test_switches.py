"""The fault points themselves: they are there, they fire once, and production does not have them."""

from pathlib import Path

import pytest

from tests.faults.registry import faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import wheel


@pytest.mark.timeout(180)
async def test_a_point_that_is_switched_on_kills_once_and_nothing_is_lost(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    points = ("admit.commit:after", "verdict.commit:after")
    async with faulty_registry(tmp_path / "var", {"UPLOAD_WAIT_SECONDS": "2"}) as registry:
        killed = []
        for number, point in enumerate(points):
            registry.switches.kill(point)

            await registry.owner.publish(wheel("once", f"1.{number}"))
            killed.append(registry.switches.wait(point, timeout_seconds=60).pid)
            await registry.owner.publish(wheel("once", f"2.{number}"))

        await registry.conclude(fault_report, "API and worker killed once", runs=len(points))
        assert [line["pid"] for line in registry.larder.events("process.died")] == killed
