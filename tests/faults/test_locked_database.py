"""A database that somebody else holds: writes wait, bounded, then are sent away for a moment; reads go on."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.faults.registry import faulty_registry
from tests.faults.report import FaultReport
from tests.faults.turned_away import is_told_to_come_back, reads_go_on
from tests.faults.workload import pause, wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_SHORT_SECONDS = 3.0
_LONGEST_WAIT_SECONDS = 60.0
"""Of a client, on a busy machine. In the code: ten seconds for a connection, and ten for the lock."""


async def test_writes_wait_for_a_database_that_another_holds_and_are_told_when_it_takes_too_long(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    async with faulty_registry(tmp_path / "var") as registry:
        kept = wheel("kept", "1.0")
        await registry.owner.publish(kept)
        patient = [wheel("patient", f"1.{number}") for number in range(4)]
        turned_away = [wheel("turned-away", f"1.{number}") for number in range(4)]

        async with asyncio.TaskGroup() as group, _held(registry.directory.database):
            waiting = [group.create_task(registry.owner.send(upload)) for upload in patient]
            await pause(_SHORT_SECONDS)
            assert not any(one.done() for one in waiting)
        assert {one.result() for one in waiting} <= {201, 202}

        async with (
            _held(registry.directory.database),
            asyncio.timeout(_LONGEST_WAIT_SECONDS),
            asyncio.TaskGroup() as group,
        ):
            for upload in turned_away:
                group.create_task(is_told_to_come_back(registry, upload, status=503))
            group.create_task(reads_go_on(registry, kept))
        let_go_at = time.monotonic()

        for upload in [*patient, *turned_away]:
            await registry.owner.publish(upload)
            await registry.owner.wait_until_installable(upload)
        seconds = time.monotonic() - let_go_at
        await registry.conclude(
            fault_report, "database locked by another process", runs=2, longest_recovery_seconds=seconds
        )


@asynccontextmanager
async def _held(database: Path) -> AsyncIterator[None]:
    """Hold the database as a backup or a migration does that somebody runs beside the registry."""
    with closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield
