"""When one process dies, sleeps or meets another at the same work, somebody finishes it, and only once."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.e2e.processes import clean_environment, larder_command
from tests.faults.registry import FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import Owner, pause, sdist, wheel
from tests.redis_server import RedisServer, redis_server
from tests.waiting import eventually, wait_for

__all__ = ["redis_server"]  # a fixture of its own module
_MOST_SECONDS_AFTER_WORKER = 30.0
"""From the worker's death until what it had in hand can be installed. Source: issue 6, "Shown by"."""
_LAPSE_SECONDS = 120.0
_CLIENTS = 4


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_an_upload_whose_worker_is_killed_is_installable_within_thirty_seconds(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    async with faulty_registry(tmp_path / "var", {"UPLOAD_WAIT_SECONDS": "2"}) as registry:
        upload = wheel("orphaned", "1.0")
        registry.switches.kill("examine:after")

        await registry.owner.publish(upload)
        killed = registry.switches.wait("examine:after", timeout_seconds=_LAPSE_SECONDS)
        await registry.owner.wait_until_installable(upload)

        recovery_seconds = time.time() - killed.at
        await registry.conclude(
            fault_report, "worker killed with an upload in hand", runs=1, longest_recovery_seconds=recovery_seconds
        )
        assert recovery_seconds < _MOST_SECONDS_AFTER_WORKER


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_a_supervisor_that_is_killed_under_load_is_replaced_on_the_same_directory(
    tmp_path: Path, fault_report: FaultReport, chance: Random
) -> None:
    kills = 2
    recoveries: list[float] = []
    async with faulty_registry(tmp_path / "var", {"UPLOAD_WAIT_SECONDS": "2"}) as registry:
        async with _load(registry):
            for _ in range(kills):
                await pause(chance.uniform(0.5, 2.0))
                await registry.kill_supervisor()
                killed_at = time.monotonic()
                await registry.start_again()
                await registry.owner.publish(wheel("after", f"1.{len(recoveries)}"))
                recoveries.append(time.monotonic() - killed_at)

        await registry.conclude(
            fault_report, "supervisor killed under load", runs=kills, longest_recovery_seconds=max(recoveries)
        )


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_worker_that_slept_through_its_lease_changes_nothing_when_it_wakes(
    tmp_path: Path, fault_report: FaultReport, redis_server: RedisServer
) -> None:
    async with faulty_registry(
        tmp_path / "var", {"REDIS_URL": redis_server.url, "UPLOAD_WAIT_SECONDS": "2"}
    ) as registry:
        upload = wheel("slept", "1.0")
        registry.switches.stop("examine:after")
        await registry.owner.publish(upload)
        asleep = registry.switches.wait("examine:after", timeout_seconds=_LAPSE_SECONDS)

        with _another_worker(registry):
            await registry.owner.wait_until_installable(upload, timeout_seconds=_LAPSE_SECONDS)
            registry.switches.go_on(asleep)
            lines = await asyncio.to_thread(
                wait_for,
                lambda: [line for line in registry.larder.events("package_file.accepted") if not line["is_written"]],
                what="the sleeper has found that its verdict no longer counts",
                timeout_seconds=_LAPSE_SECONDS,
            )

        assert [line["attempt"] for line in lines] == [1]
        await registry.conclude(fault_report, "two workers on the same job", runs=1)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_two_workers_sweep_what_a_lost_redis_has_forgotten_once(
    tmp_path: Path, fault_report: FaultReport, redis_server: RedisServer
) -> None:
    losses = 3
    settings = {"REDIS_URL": redis_server.url, "UPLOAD_WAIT_SECONDS": "2"}
    async with faulty_registry(tmp_path / "var", settings) as registry:
        with _another_worker(registry):
            async with _load(registry):
                for _ in range(losses):
                    await _some_more_is_done(registry)
                    await redis_server.kill()
                    redis_server.lose_data()
                    await redis_server.start()
            await registry.conclude(fault_report, "two sweeps at once", runs=losses)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_two_orphan_sweeps_at_once_remove_what_was_cut_and_nothing_else(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    cuts = 3
    async with faulty_registry(tmp_path / "var") as registry:
        for number in range(cuts):
            registry.switches.kill("admit.commit:before")
            await registry.owner.publish(wheel("cut", f"1.{number}"))

        async with asyncio.TaskGroup() as group:
            sweeps = [group.create_task(registry.directory.sweep_orphans()) for _ in range(2)]
            group.create_task(registry.owner.publish(wheel("meanwhile", "1.0")))

        assert sum(sweep.result() for sweep in sweeps) >= cuts
        registry.ledger.cut.clear()  # Nothing explains a blob without a row any more.
        await registry.conclude(fault_report, "two orphan sweeps at once", runs=1)


@asynccontextmanager
async def _load(registry: FaultyRegistry) -> AsyncIterator[None]:
    """Let clients publish and delete while the block runs."""
    stop = asyncio.Event()

    async def work(owner: Owner, name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            both = [wheel(name, f"1.{number}"), sdist(name, f"1.{number}")]
            for upload in both:
                await owner.publish(upload)
            for upload in both:
                await owner.wait_until_installable(upload)
            if number % 2:
                await owner.delete_package(name, f"1.{number}", [upload.file_name for upload in both])

    async with asyncio.TaskGroup() as group:
        for number in range(_CLIENTS):
            group.create_task(work(registry.owner, f"load-{number}"))
        try:
            yield
        finally:
            stop.set()


async def _some_more_is_done(registry: FaultyRegistry) -> None:
    goal = registry.ledger.acknowledged + 2 * _CLIENTS

    async def is_reached() -> bool:
        return registry.ledger.acknowledged >= goal

    await eventually(is_reached, what="the clients go on", timeout_seconds=120)


@contextmanager
def _another_worker(registry: FaultyRegistry) -> Iterator[None]:
    """Run a second worker beside the supervisor's own, without fault points."""
    settings = {"DATA_DIR": str(registry.larder.data_dir), "REDIS_URL": registry.settings["REDIS_URL"]}
    process = subprocess.Popen(
        larder_command("worker"),
        env=clean_environment(settings),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)
