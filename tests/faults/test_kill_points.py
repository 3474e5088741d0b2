"""kill -9 at every step of upload, processing and delete: of the process that takes it, of Redis, and of everything.

Each strike switches one point on, begins the story that the point lies in, and waits until the process that passes the
point has killed its victim there. The client of the story goes on trying; the supervisor brings back what it can, and
where the supervisor itself was killed, another one is started on the same directory. At the end everything is compared.

At every point the process that passes it is killed. Redis, and everything at once, are killed at some points of each
kind, which FAULT_SEED chooses. On PostgreSQL and S3 some points of each kind are enough.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from shared.usecases.sweep import MOST_ATTEMPTS
from tests.engines import EMBEDDED
from tests.faults.registry import REDIS, WORKER, FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.switches import POINTS
from tests.faults.workload import broken_wheel, sdist, wheel
from tests.waiting import wait_for

_FIRE_SECONDS = 180.0
_MOST_KILLS = MOST_ATTEMPTS - 1
"""So often the worker is killed before all stories have to end: each kill may use up an attempt of every file."""
_OF_A_KIND = 2
"""At so many points of each kind Redis is killed, and everything."""
_MOST_SECONDS_AFTER_A_KILL = 40.0
"""A lease lasts 15 seconds, a worker that died again and again is back after 5, and a busy machine takes its time."""
_LONGEST_HEALING_SECONDS = 150.0
_HEALTHY_DELAYS = 20
"""What has lived for so many times its last pause is started again at once when it dies."""
Story = Callable[[FaultyRegistry, str], Awaitable[None]]
Plans = dict[str, tuple["Victim", list["Strike"]]]


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
    version = 0
    # On a busy machine the verdict may come after the answer, and then nothing is withdrawn.
    while await registry.owner.publish_refused(broken_wheel(name, f"1.{version}")) == 202:
        version += 1


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
        is_by_worker: it is the worker that passes there. Killed, it leaves a claim on its job behind, or a lease, for
            whose end the story waits.
        is_for_all: everything may be killed there, too; at other points that would leave the same behind.
    """

    story: Story
    points: tuple[str, ...]
    is_by_worker: bool = False
    is_for_all: bool = False

    @property
    def kind(self) -> str:
        """Return what it has in common with the like of it: the story, and which process passes there."""
        return f"{self.story.__name__} {self.is_by_worker}"

    @property
    def name(self) -> str:
        """Return the name of the package that the story is about."""
        words = f"{self.story.__name__} {self.points}"
        return "-".join(re.findall("[a-z]+", words))


@dataclass(slots=True)
class _Struck:
    """What befell one registry, in the time of `time.time()`.

    Args:
        at: when something was killed.
        ended_at: when a story came to its end all the same.
    """

    at: list[float] = field(default_factory=list)
    ended_at: list[float] = field(default_factory=list)

    @property
    def longest_recovery_seconds(self) -> float:
        """Return the longest time from the last kill that a story has seen to its end."""
        return max(end - max(at for at in self.at if at <= end) for end in self.ended_at)


def _strikes(story: Story, *, api: str = "", worker: str = "", for_all: str = "") -> list[Strike]:
    """Return strikes at both sides of the seams of a story.

    Args:
        api, worker: the seams that they pass.
        for_all: points.
    """
    return [
        Strike(story, (point,), is_by_worker=is_by_worker, is_for_all=point in for_all.split())
        for seams, is_by_worker in ((api, False), (worker, True))
        for seam in seams.split()
        for point in (f"{seam}:before", f"{seam}:after")
    ]


_UPLOADS = [
    *_strikes(
        _upload,
        api="blob.write blob.commit blob.link admit.commit enqueue.process upload",
        worker="process lease.commit examine verdict.commit announce",
        for_all="blob.write:after blob.link:before blob.link:after admit.commit:before admit.commit:after"
        " enqueue.process:after upload:after lease.commit:after verdict.commit:before verdict.commit:after",
    ),
    *_strikes(
        _upload_broken, api="withdraw.commit blob.delete", for_all="withdraw.commit:before withdraw.commit:after"
    ),
    *_strikes(_upload_again, api="blob.delete"),
    Strike(
        _upload,
        ("lease.commit:after", "next_attempt.commit:before", "next_attempt.commit:after"),
        is_by_worker=True,
    ),
]
_DELETES = [
    *_strikes(
        _delete_package,
        api="delete_package delete_package.commit enqueue.destroy",
        worker="destroy blob.delete remove_file_row remove_package_row destroy.commit",
        for_all="delete_package.commit:before delete_package.commit:after delete_package:after blob.delete:before"
        " blob.delete:after destroy.commit:before destroy.commit:after",
    ),
    *_strikes(_delete_file, api="delete_file delete_file.commit", worker="remove_file_row remove_package_row"),
]
_STRIKES = _UPLOADS + _DELETES


def test_every_point_is_struck() -> None:
    assert {point for strike in _STRIKES for point in strike.points} == POINTS


@pytest.mark.slow
@pytest.mark.scaled
@pytest.mark.alone
@pytest.mark.timeout(1500)
async def test_a_kill_at_any_step_loses_doubles_and_leaks_nothing(
    tmp_path: Path, fault_report: FaultReport, chance: Random, pytestconfig: pytest.Config
) -> None:
    is_embedded = pytestconfig.getoption("engines") == EMBEDDED
    plans = _all_plans(chance) if is_embedded else _short_plans(chance)
    async with asyncio.TaskGroup() as group:
        for name, (victim, strikes) in plans.items():
            shuffled = chance.sample(strikes, k=len(strikes))
            group.create_task(_strike_all(tmp_path / name, victim, shuffled, fault_report))


def _all_plans(chance: Random) -> Plans:
    """Return all, each on a registry of its own, so that those who wait for their turn do not wait for each other."""
    return {
        "uploading": (Victim.ITSELF, [strike for strike in _UPLOADS if not strike.is_by_worker]),
        "deleting": (Victim.ITSELF, [strike for strike in _DELETES if not strike.is_by_worker]),
        "processing": (Victim.ITSELF, [strike for strike in _UPLOADS if strike.is_by_worker]),
        "destroying": (Victim.ITSELF, [strike for strike in _DELETES if strike.is_by_worker]),
        "redis": (Victim.REDIS, _some_of_each_kind([one for one in _STRIKES if len(one.points) == 1], chance)),
        "all": (Victim.SUPERVISOR, _some_of_each_kind([one for one in _STRIKES if one.is_for_all], chance)),
    }


def _short_plans(chance: Random) -> Plans:
    """Return some for engines on which not every step has to be tried: what may break there are writes and commits."""
    strikes = _some_of_each_kind(_STRIKES, chance)
    return {
        "by API": (Victim.ITSELF, [strike for strike in strikes if not strike.is_by_worker]),
        "by worker": (Victim.ITSELF, [strike for strike in strikes if strike.is_by_worker]),
    }


def _some_of_each_kind(strikes: Sequence[Strike], chance: Random) -> list[Strike]:
    kinds: dict[str, list[Strike]] = defaultdict(list)
    for strike in strikes:
        kinds[strike.kind].append(strike)
    return [one for alike in kinds.values() for one in chance.sample(alike, k=min(_OF_A_KIND, len(alike)))]


def _groups(strikes: Sequence[Strike]) -> list[list[Strike]]:
    """Return the strikes in groups of no more kills than every file survives."""
    groups: list[list[Strike]] = [[]]
    for strike in strikes:
        if sum(len(one.points) for one in (*groups[-1], strike)) > _MOST_KILLS:
            groups.append([])
        groups[-1].append(strike)
    return groups


async def _strike_all(directory: Path, victim: Victim, strikes: Sequence[Strike], fault_report: FaultReport) -> None:
    directory.mkdir()
    struck = _Struck()
    api_processes = 2 if any(not strike.is_by_worker for strike in strikes) else 1
    async with faulty_registry(directory / "var", {"API_PROCESSES": str(api_processes)}) as registry:
        # These wait for claims and leases, and do so together.
        waiting = [strike for strike in strikes if strike.is_by_worker and victim is not Victim.REDIS]
        for strike in [strike for strike in strikes if strike not in waiting]:
            if victim is Victim.REDIS:
                await _until_healthy(registry, REDIS, WORKER)
            async with asyncio.TaskGroup() as stories:
                await _strike(registry, victim, strike, stories, struck)
        for together in _groups(waiting):
            async with asyncio.TaskGroup() as stories:
                for strike in together:
                    await _until_healthy(registry, WORKER)
                    await _strike(registry, victim, strike, stories, struck)
        await registry.conclude(
            fault_report,
            f"{victim} at a step",
            runs=sum(len(strike.points) for strike in strikes),
            longest_recovery_seconds=struck.longest_recovery_seconds,
        )
        assert victim is not Victim.ITSELF or struck.longest_recovery_seconds < _MOST_SECONDS_AFTER_A_KILL


async def _strike(
    registry: FaultyRegistry, victim: Victim, strike: Strike, stories: asyncio.TaskGroup, struck: _Struck
) -> None:
    """Begin the story, and return when the victim was killed at each point of the strike."""

    async def tell() -> None:
        await strike.story(registry, strike.name)
        struck.ended_at.append(time.time())

    registry.switches.kill(strike.points[0], other=_pid_of(victim, registry))
    stories.create_task(tell())
    for point, following in pairwise((*strike.points, None)):
        assert point is not None
        fired = await asyncio.to_thread(registry.switches.wait, point, timeout_seconds=_FIRE_SECONDS)
        struck.at.append(fired.at)
        if following is not None:
            registry.switches.kill(following, other=_pid_of(victim, registry))
    if victim is Victim.SUPERVISOR:
        await registry.start_again()


async def _until_healthy(registry: FaultyRegistry, *titles: str) -> None:
    """Return when the supervisor would start these again at once; else the next strike would only wait for them."""

    def are_healthy() -> bool:
        return all(_is_healthy(registry, title) for title in titles)

    await asyncio.to_thread(
        wait_for, are_healthy, what=f"{titles} live long enough", timeout_seconds=_LONGEST_HEALING_SECONDS
    )


def _is_healthy(registry: FaultyRegistry, title: str) -> bool:
    last = {line["event"]: line for line in registry.larder.log if line.get("child") == title}
    if "process.restarting" not in last:
        return True
    started_at = datetime.fromisoformat(last["process.started"]["timestamp"])
    lived_seconds = (datetime.now(UTC) - started_at).total_seconds()
    return bool(lived_seconds > _HEALTHY_DELAYS * last["process.restarting"]["delay_seconds"])


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
