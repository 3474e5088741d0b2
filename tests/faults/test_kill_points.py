"""kill -9 at every step of upload, processing and delete: of the process that takes it, of Redis, and of everything.

Each strike switches one point on, begins the story that the point lies in, and waits until the process that passes the
point has killed its victim there. The client of the story goes on trying; the supervisor brings back what it can, and
where the supervisor itself was killed, another one is started on the same directory. At the end everything is compared.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.faults.registry import REDIS, FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.switches import POINTS
from tests.faults.workload import broken_wheel, sdist, wheel
from tests.waiting import wait_for

_FIRE_SECONDS = 90.0
Story = Callable[[FaultyRegistry, str], Awaitable[None]]


class Victim(StrEnum):
    """What is killed at a point, as the table of faults names it."""

    ITSELF = "the process that takes the step killed"
    REDIS = "Redis killed"
    SUPERVISOR = "supervisor killed, and all with it"


async def _upload(registry: FaultyRegistry, name: str) -> None:
    upload = wheel(name, "1.0")
    await registry.owner.publish(upload)
    await registry.owner.wait_until_installable(upload)


async def _upload_again(registry: FaultyRegistry, name: str) -> None:
    await registry.owner.publish(wheel(name, "1.0"))
    await _upload(registry, name)


async def _upload_broken(registry: FaultyRegistry, name: str) -> None:
    await registry.owner.publish_refused(broken_wheel(name, "1.0"))


async def _delete_package(registry: FaultyRegistry, name: str) -> None:
    upload = wheel(name, "1.0")
    await registry.owner.publish(upload)
    await registry.owner.wait_until_installable(upload)
    await registry.owner.delete_package(name, "1.0", [upload.file_name])
    await registry.owner.wait_until_destroyed(upload.file_name, registry.directory)


async def _delete_file(registry: FaultyRegistry, name: str) -> None:
    kept, deleted = wheel(name, "1.0"), sdist(name, "1.0")
    for upload in (kept, deleted):
        await registry.owner.publish(upload)
        await registry.owner.wait_until_installable(upload)
    await registry.owner.delete_file(name, "1.0", deleted.file_name)
    await registry.owner.wait_until_destroyed(deleted.file_name, registry.directory)


@dataclass(frozen=True, slots=True)
class Strike:
    """A story, and points that it comes by.

    Args:
        points: where the victim is killed, once at each, in this order.
        keeps_lease: a worker that is killed there leaves a lease behind, which must lapse.
        is_for_all: everything is killed there, too; at other points that would leave the same behind.
    """

    story: Story
    points: tuple[str, ...]
    keeps_lease: bool = False
    is_for_all: bool = False

    @property
    def name(self) -> str:
        """Return the name of the package that the story is about."""
        words = f"{self.story.__name__} {self.points}"
        return "-".join(re.findall("[a-z]+", words))


@dataclass(slots=True)
class _Struck:
    """When a story was last struck, and when it came to its end all the same; in the time of `time.time()`."""

    at: float = 0.0
    ended_at: float = 0.0


def _strikes(story: Story, *seams: str, keep_lease: str = "", for_all: str = "") -> list[Strike]:
    """Return strikes at both sides of the seams of a story; the words of the other arguments are points."""
    points = [f"{seam}:{side}" for seam in seams for side in ("before", "after")]
    return [
        Strike(story, (point,), keeps_lease=point in keep_lease.split(), is_for_all=point in for_all.split())
        for point in points
    ]


_STRIKES = [
    *_strikes(
        _upload,
        *("blob.write", "blob.commit", "blob.link", "admit.commit", "enqueue.process", "upload"),
        *("process", "lease.commit", "examine", "verdict.commit", "announce"),
        keep_lease="lease.commit:after examine:before examine:after verdict.commit:before",
        for_all="blob.write:after blob.link:before blob.link:after admit.commit:before admit.commit:after"
        " enqueue.process:after upload:after lease.commit:after verdict.commit:before verdict.commit:after",
    ),
    *_strikes(_upload_broken, "withdraw.commit", "blob.delete", for_all="withdraw.commit:before withdraw.commit:after"),
    *_strikes(_upload_again, "blob.delete"),
    *_strikes(
        _delete_package,
        *("delete_package", "delete_package.commit", "enqueue.destroy"),
        *("destroy", "blob.delete", "remove_file_row", "remove_package_row", "destroy.commit"),
        for_all="delete_package.commit:before delete_package.commit:after delete_package:after blob.delete:before"
        " blob.delete:after destroy.commit:before destroy.commit:after",
    ),
    *_strikes(_delete_file, "delete_file", "delete_file.commit", "remove_file_row", "remove_package_row"),
    Strike(
        _upload,
        ("lease.commit:after", "next_attempt.commit:before", "next_attempt.commit:after"),
        keeps_lease=True,
    ),
]


def test_every_point_is_struck() -> None:
    assert {point for strike in _STRIKES for point in strike.points} == POINTS


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1500)
async def test_a_kill_at_any_step_loses_doubles_and_leaks_nothing(
    tmp_path: Path, fault_report: FaultReport, chance: Random
) -> None:
    plans = {
        Victim.ITSELF: _STRIKES,
        Victim.REDIS: [strike for strike in _STRIKES if len(strike.points) == 1],
        Victim.SUPERVISOR: [strike for strike in _STRIKES if strike.is_for_all],
    }
    async with asyncio.TaskGroup() as group:
        for victim, strikes in plans.items():
            shuffled = chance.sample(strikes, k=len(strikes))
            group.create_task(_strike_all(tmp_path / victim.name, victim, shuffled, fault_report))


async def _strike_all(directory: Path, victim: Victim, strikes: Sequence[Strike], fault_report: FaultReport) -> None:
    directory.mkdir()
    struck: list[_Struck] = []
    async with faulty_registry(directory / "var") as registry:
        waiting = [strike for strike in strikes if strike.keeps_lease and victim is not Victim.REDIS]
        for strike in [strike for strike in strikes if strike not in waiting]:
            async with asyncio.TaskGroup() as stories:
                await _strike(registry, victim, strike, stories, struck)
        async with asyncio.TaskGroup() as stories:
            # They wait for their leases together. The one with several points is the last to begin.
            for strike in sorted(waiting, key=lambda strike: len(strike.points)):
                await _strike(registry, victim, strike, stories, struck)
        findings = await registry.check()
        fault_report.conclude(
            f"{victim} at a step",
            runs=sum(len(strike.points) for strike in strikes),
            ledger=registry.ledger,
            findings=findings,
            longest_recovery_seconds=max(one.ended_at - one.at for one in struck),
        )


async def _strike(
    registry: FaultyRegistry, victim: Victim, strike: Strike, stories: asyncio.TaskGroup, struck: list[_Struck]
) -> None:
    """Begin the story, and return when the victim was killed at each point of the strike."""
    one = _Struck()
    struck.append(one)

    async def tell() -> None:
        await strike.story(registry, strike.name)
        one.ended_at = time.time()

    registry.switches.kill(strike.points[0], other=_pid_of(victim, registry))
    stories.create_task(tell())
    for point, following in pairwise((*strike.points, None)):
        assert point is not None
        fired = await asyncio.to_thread(registry.switches.wait, point, timeout_seconds=_FIRE_SECONDS)
        one.at = fired.at
        if following is not None:
            registry.switches.kill(following, other=_pid_of(victim, registry))
    if victim is Victim.SUPERVISOR:
        await registry.start_again()


def _pid_of(victim: Victim, registry: FaultyRegistry) -> int | None:
    match victim:
        case Victim.ITSELF:
            return None
        case Victim.REDIS:
            return wait_for(
                lambda: next(iter(registry.larder.pids(REDIS)), None), what="there is a Redis", timeout_seconds=60
            )
        case Victim.SUPERVISOR:
            return registry.larder.process.pid
