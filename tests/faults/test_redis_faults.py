"""Redis holds hints: lost, frozen, away or restarted, it costs seconds and nothing else."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.faults.ledger import Upload
from tests.faults.registry import REDIS, WORKER, FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import pause, wheel
from tests.redis_server import RedisServer, redis_server
from tests.waiting import wait_for

__all__ = ["redis_server"]  # a fixture of its own module

_CLIENTS = 4
_MOST_SECONDS_AFTER_REDIS = 10.0
"""From Redis's return until everything that was taken meanwhile can be installed. Source: issue 6, "Shown by"."""
_QUICK = {"UPLOAD_WAIT_SECONDS": "2"}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_what_is_taken_while_redis_is_away_is_installable_soon_after_it_is_back(
    tmp_path: Path, fault_report: FaultReport, fault: str
) -> None:
    async with faulty_registry(tmp_path / "var", _QUICK) as registry:
        away = _frozen(registry) if fault == "frozen" else _held_back(registry)
        await _work_without_redis(registry, away, f"Redis {fault}", fault_report, away_seconds=5)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_a_redis_that_is_away_for_a_minute_is_found_again_as_soon_as_it_is_back(
    tmp_path: Path, fault_report: FaultReport, redis_server: RedisServer
) -> None:
    @asynccontextmanager
    async def away() -> AsyncIterator[None]:
        await redis_server.kill()
        yield
        await redis_server.start()

    async with faulty_registry(tmp_path / "var", {**_QUICK, "REDIS_URL": redis_server.url}) as registry:
        await _work_without_redis(registry, away(), "Redis of one's own away", fault_report, away_seconds=60)


async def _work_without_redis(
    registry: FaultyRegistry,
    away: AbstractAsyncContextManager[None],
    fault: str,
    fault_report: FaultReport,
    *,
    away_seconds: float,
) -> None:
    deleted = wheel("deleted", "1.0")
    await registry.owner.publish(deleted)
    taken: list[Upload] = []
    async with away:
        away_until = time.monotonic() + away_seconds
        await registry.owner.delete_package("deleted", "1.0", [deleted.file_name])
        while time.monotonic() < away_until or len(taken) < 3:
            upload = wheel("taken", f"1.{len(taken)}")
            assert await registry.owner.publish(upload) == 202
            taken.append(upload)
            await pause(away_seconds / 10)
    back_at = time.monotonic()

    for upload in taken:
        await registry.owner.wait_until_installable(upload)
    recovery_seconds = time.monotonic() - back_at
    await registry.owner.wait_until_destroyed(deleted.file_name, registry.directory)

    await registry.conclude(
        fault_report, f"{fault} for {away_seconds:g} s", runs=1, longest_recovery_seconds=recovery_seconds
    )
    assert recovery_seconds < _MOST_SECONDS_AFTER_REDIS


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_a_redis_that_loses_all_its_data_loses_no_upload_and_no_delete(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    async with faulty_registry(tmp_path / "var", _QUICK) as registry:
        doomed = [wheel("doomed", f"1.{number}") for number in range(4)]
        for upload in doomed:
            await registry.owner.publish(upload)
        (worker,) = registry.larder.pids(WORKER)
        with _stopped(worker):  # So that every hint lies in Redis.
            waiting = [wheel("waiting", f"1.{number}") for number in range(4)]
            async with asyncio.TaskGroup() as group:
                for upload in waiting:
                    group.create_task(registry.owner.publish(upload))
                for upload in doomed:
                    group.create_task(registry.owner.delete_package("doomed", upload.version, [upload.file_name]))
            async with _held_back(registry):
                shutil.rmtree(registry.larder.data_dir / "redis")
        back_at = time.monotonic()

        for upload in waiting:
            await registry.owner.wait_until_installable(upload)
        for upload in doomed:
            await registry.owner.wait_until_destroyed(upload.file_name, registry.directory)

        recovery_seconds = time.monotonic() - back_at
        await registry.conclude(
            fault_report, "Redis lost with all its data", runs=1, longest_recovery_seconds=recovery_seconds
        )


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_a_redis_that_is_restarted_under_load_loses_nothing(
    tmp_path: Path, fault_report: FaultReport, chance: Random
) -> None:
    restarts = 5
    async with faulty_registry(tmp_path / "var", _QUICK) as registry:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(_CLIENTS):
                group.create_task(_work_until(stop, registry, f"restarted-{number}"))
            try:
                for _ in range(restarts):
                    (pid,) = await asyncio.to_thread(_pids, registry, REDIS)
                    os.kill(pid, signal.SIGTERM)
                    await asyncio.to_thread(_wait_for_another, registry, pid)
                    await pause(chance.uniform(0.5, 2.0))
            finally:
                stop.set()

        await registry.conclude(fault_report, "Redis restarted under load", runs=restarts)


async def _work_until(stop: asyncio.Event, registry: FaultyRegistry, name: str) -> None:
    """Publish versions one after the other, and delete every other one again."""
    number = 0
    while not stop.is_set():
        number += 1
        upload = wheel(name, f"1.{number}")
        await registry.owner.publish(upload)
        await registry.owner.wait_until_installable(upload)
        if number % 2:
            await registry.owner.delete_package(name, upload.version, [upload.file_name])


@asynccontextmanager
async def _frozen(registry: FaultyRegistry) -> AsyncIterator[None]:
    """Let Redis take connections and answer nothing while the block runs."""
    (pid,) = registry.larder.pids(REDIS)
    with _stopped(pid):
        yield


@asynccontextmanager
async def _held_back(registry: FaultyRegistry) -> AsyncIterator[None]:
    """Kill Redis, and let nobody start it again while the block runs: the supervisor stands still."""
    (pid,) = registry.larder.pids(REDIS)
    with _stopped(registry.larder.process.pid):
        os.kill(pid, signal.SIGKILL)
        yield
    await asyncio.to_thread(_wait_for_another, registry, pid)


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _pids(registry: FaultyRegistry, title: str) -> list[int]:
    return wait_for(lambda: registry.larder.pids(title), what=f"there is a {title}", timeout_seconds=120)


def _wait_for_another(registry: FaultyRegistry, pid: int) -> None:
    wait_for(lambda: set(_pids(registry, REDIS)) - {pid}, what="Redis is back", timeout_seconds=120)
