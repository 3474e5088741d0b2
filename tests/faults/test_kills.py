"""kill -9 of every part, over and over, while clients publish: nothing promised is lost, nothing listed is missing."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.faults.registry import API, REDIS, WORKER, FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import pause, wheel
from tests.waiting import eventually

_CLIENTS = 6
_KILLS_EACH = 4
_TITLES = (API, WORKER, REDIS)
_ACCEPTED_PAUSE_SECONDS = 2.0
"""While Redis or the worker is away an upload is told 202 at once; without a pause the backlog would be endless."""
_KILL_PAUSE_SECONDS = (0.0, 0.5)
_UPLOADS_BETWEEN_KILLS = 2


@pytest.mark.slow
@pytest.mark.scaled
@pytest.mark.alone
@pytest.mark.timeout(900)
async def test_killing_any_part_while_clients_publish_loses_and_doubles_nothing(
    tmp_path: Path, fault_report: FaultReport, chance: Random
) -> None:
    plan = [title for title in _TITLES for _ in range(_KILLS_EACH)]
    chance.shuffle(plan)
    # A short wait: an upload whose worker was killed is told 202 and its client goes on, instead of pausing the test.
    async with faulty_registry(tmp_path / "var", {"UPLOAD_WAIT_SECONDS": "2"}) as registry:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(_CLIENTS):
                group.create_task(_publish_until(stop, registry, number))
            try:
                for title in plan:
                    await registry.kill(title, chance.choice)
                    await _some_are_published(registry)
                    await pause(chance.uniform(*_KILL_PAUSE_SECONDS))
            finally:
                stop.set()

        await registry.conclude(fault_report, "API, worker or Redis killed under load", runs=len(plan))


async def _publish_until(stop: asyncio.Event, registry: FaultyRegistry, number: int) -> None:
    version = 0
    while not stop.is_set():
        version += 1
        if await registry.owner.publish(wheel(f"part-{number}", f"1.{version}")) == 202:
            await pause(_ACCEPTED_PAUSE_SECONDS)


async def _some_are_published(registry: FaultyRegistry) -> None:
    goal = registry.ledger.acknowledged + _UPLOADS_BETWEEN_KILLS

    async def is_reached() -> bool:
        return registry.ledger.acknowledged >= goal

    await eventually(is_reached, what="uploads go on", timeout_seconds=120)
