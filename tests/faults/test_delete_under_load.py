"""Deleting while others list, download and publish the same versions again: the deleted is gone, the rest is whole."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from tests.faults.ledger import Upload
from tests.faults.registry import FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import wheel

_PACKAGES = 120
_NAMES = 10
_DELETERS = _LISTERS = _DOWNLOADERS = 4
_UPLOADERS = 8
_SETTINGS = {"UPLOAD_WAIT_SECONDS": "60"}


@dataclass(slots=True)
class _Story:
    """What is still to be deleted, and when the 204 for a package had come, in the time of `time.monotonic()`."""

    waiting: list[Upload]
    gone_at: dict[int, float] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return len(self.gone_at) == _PACKAGES


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_a_delete_is_final_for_all_and_harms_nothing_else(
    tmp_path: Path, fault_report: FaultReport, chance: Random
) -> None:
    uploads = [wheel(f"load-{number % _NAMES}", f"1.{number // _NAMES}") for number in range(_PACKAGES)]
    async with faulty_registry(tmp_path / "var", _SETTINGS) as registry:
        await _publish_all(registry, list(uploads))
        story = _Story(waiting=chance.sample(uploads, k=_PACKAGES))
        async with asyncio.TaskGroup() as group:
            for _ in range(_DELETERS):
                group.create_task(_delete(story, registry))
            for _ in range(_LISTERS):
                group.create_task(_list(story, registry))
            for _ in range(_DOWNLOADERS):
                group.create_task(_install(story, registry, Random(chance.getrandbits(64))))

        await _list_once(story, registry)
        await registry.conclude(fault_report, "deletes under load", runs=_PACKAGES)


async def _publish_all(registry: FaultyRegistry, waiting: list[Upload]) -> None:
    async def publish() -> None:
        while waiting:
            await _publish(registry, waiting.pop())

    async with asyncio.TaskGroup() as group:
        for _ in range(_UPLOADERS):
            group.create_task(publish())


async def _publish(registry: FaultyRegistry, upload: Upload) -> None:
    """Upload the file, and return when it is there, so that its package can be deleted at once."""
    if await registry.owner.publish(upload) == 202:
        await registry.owner.wait_until_installable(upload)


async def _delete(story: _Story, registry: FaultyRegistry) -> None:
    """Delete packages one by one; publish every other one again at once, with other bytes."""
    while story.waiting:
        one = story.waiting.pop()
        package_id = await registry.owner.delete_package(one.name, one.version, [one.file_name])
        story.gone_at[package_id] = time.monotonic()
        if package_id % 2:
            await _publish(registry, wheel(one.name, one.version, content=b"again"))


async def _list(story: _Story, registry: FaultyRegistry) -> None:
    while not story.is_over:
        await _list_once(story, registry)


async def _list_once(story: _Story, registry: FaultyRegistry) -> None:
    """Ask for the list, which may not show what was gone before it was asked for."""
    asked_at = time.monotonic()
    shown = [one["id"] for one in await registry.client.packages()]
    registry.ledger.wrong += [
        f"package {one} is listed" for one in shown if story.gone_at.get(one, asked_at) < asked_at
    ]


async def _install(story: _Story, registry: FaultyRegistry, chance: Random) -> None:
    while not story.is_over:
        await registry.reader.install(f"load-{chance.randrange(_NAMES)}")
