"""A disk without room: uploads are told so and leave nothing, reads go on, and with room again everything does."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.faults.disks import small_disk
from tests.faults.ledger import Upload
from tests.faults.registry import API, FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.turned_away import is_turned_away, reads_go_on
from tests.faults.workload import wheel
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_MIB = 1024 * 1024
_DISK_BYTES = 24 * _MIB


async def test_uploads_are_turned_away_while_the_disk_is_full_and_taken_when_there_is_room(
    tmp_path: Path, fault_report: FaultReport, chance: Random
) -> None:
    with small_disk(tmp_path / "disk", _DISK_BYTES) as disk:
        # Beside the data directory lies the log, which finds no room either.
        async with faulty_registry(disk.path / "var") as registry:
            kept = wheel("kept", "1.0")
            small, large = wheel("small", "1.0"), wheel("large", "1.0", content=chance.randbytes(3 * _MIB))
            await registry.owner.publish(kept)
            apis = registry.larder.pids(API)
            disk.fill()

            for upload in (small, large):
                await is_turned_away(registry, upload, status=507)
            await reads_go_on(registry, kept)

            disk.make_room()
            seconds = await _publish_all(registry, small, large)
            assert registry.larder.pids(API) == apis
            await registry.conclude(fault_report, "disk full during upload", runs=2, longest_recovery_seconds=seconds)


async def test_an_upload_whose_row_finds_no_room_leaves_no_blob(tmp_path: Path, fault_report: FaultReport) -> None:
    with small_disk(tmp_path / "var", _DISK_BYTES) as disk:
        async with faulty_registry(disk.path) as registry:
            kept, upload = wheel("kept", "1.0"), wheel("rowless", "1.0")
            await registry.owner.publish(kept)
            registry.switches.stop("blob.commit:after")

            turned_away = asyncio.create_task(is_turned_away(registry, upload, status=507))
            stopped = await asyncio.to_thread(registry.switches.wait, "blob.commit:after", timeout_seconds=60)
            disk.fill()
            registry.switches.go_on(stopped)
            await turned_away
            await reads_go_on(registry, kept)

            disk.make_room()
            seconds = await _publish_all(registry, upload)
            await registry.conclude(
                fault_report, "disk full in a commit of SQLite", runs=1, longest_recovery_seconds=seconds
            )


async def test_a_file_whose_verdict_finds_no_room_is_published_when_there_is_some(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    with small_disk(tmp_path / "var", _DISK_BYTES) as disk:
        async with faulty_registry(disk.path, {"UPLOAD_WAIT_SECONDS": "2"}) as registry:
            upload = wheel("accepted", "1.0")
            registry.switches.stop("examine:before")

            publishing = asyncio.create_task(registry.owner.publish(upload))
            stopped = await asyncio.to_thread(registry.switches.wait, "examine:before", timeout_seconds=60)
            disk.fill()
            registry.switches.go_on(stopped)
            assert await publishing == 202
            await asyncio.to_thread(
                wait_for,
                lambda: "StorageFull" in registry.larder.errors.read_text(encoding="utf-8"),
                what="the worker has found no room",
                timeout_seconds=60,
            )

            disk.make_room()
            made_room_at = time.monotonic()
            await registry.owner.wait_until_installable(upload)
            seconds = time.monotonic() - made_room_at
            await registry.conclude(
                fault_report, "disk full during processing", runs=1, longest_recovery_seconds=seconds
            )


async def test_a_log_that_only_grows_while_somebody_reads_fills_the_disk_and_that_is_all(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    with small_disk(tmp_path / "var", _DISK_BYTES) as disk:
        async with faulty_registry(disk.path) as registry:
            kept = wheel("kept", "1.0")
            await registry.owner.publish(kept)
            disk.fill(leave_bytes=_MIB)
            with closing(sqlite3.connect(registry.directory.database, isolation_level=None)) as reader:
                # As a long backup does: the write-ahead log cannot begin anew before it has ended.
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM packages").fetchone()
                published = await _publish_until_full(registry)
                await reads_go_on(registry, kept)
                disk.grow(2 * _DISK_BYTES)
                seconds = await _publish_all(registry, wheel("grown", "1.0"))
                for upload in published:
                    await registry.owner.wait_until_installable(upload)
            disk.make_room()

            await registry.conclude(
                fault_report, "disk full as SQLite's log grows", runs=1, longest_recovery_seconds=seconds
            )


async def _publish_until_full(registry: FaultyRegistry) -> list[Upload]:
    """Publish files until one is turned away for want of room; return the others."""
    published: list[Upload] = []
    while True:
        upload = wheel("growing", f"1.{len(published)}")
        if await registry.owner.send(upload) is None:
            await is_turned_away(registry, upload, status=507)
            return published
        published.append(upload)


async def _publish_all(registry: FaultyRegistry, *uploads: Upload) -> float:
    """Publish these, and return how many seconds it took until all of them can be installed."""
    began_at = time.monotonic()
    for upload in uploads:
        await registry.owner.publish(upload)
        await registry.owner.wait_until_installable(upload)
    return time.monotonic() - began_at
