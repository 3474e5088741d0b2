"""The fault points themselves: they are there, they fire once, and production does not have them."""

from pathlib import Path

from tests.faults.registry import faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import wheel


async def test_a_point_that_is_switched_on_kills_once_and_nothing_is_lost(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    async with faulty_registry(tmp_path / "var") as registry:
        registry.switches.kill("admit.commit:after")

        await registry.owner.publish(wheel("once", "1.0"))
        fired = registry.switches.wait("admit.commit:after", timeout_seconds=1)
        await registry.owner.publish(wheel("once", "1.1"))

        assert [line["pid"] for line in registry.larder.events("process.died")] == [fired.pid]
        findings = await registry.check()
        fault_report.conclude("API killed once", runs=1, ledger=registry.ledger, findings=findings)
