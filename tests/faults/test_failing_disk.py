"""A disk whose syncs fail, or that takes no writes any more: nothing is acknowledged that is not safe, reads go on."""

import time
from pathlib import Path

import pytest

from tests.e2e.processes import run_larder
from tests.faults.disks import small_disk
from tests.faults.ledger import Upload
from tests.faults.registry import API, WORKER, FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.tracing import failing_calls
from tests.faults.turned_away import is_turned_away, reads_go_on
from tests.faults.workload import wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_SYNCS = ("fsync", "fdatasync")
_CHANGES = ("pwrite64", "ftruncate", "fallocate", "mkdirat", "linkat", "unlinkat", "renameat", "renameat2")
"""Calls by which a registry changes what lies on its disk, and nothing else."""


async def test_what_cannot_be_synced_is_not_acknowledged_and_leaves_nothing(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    async with faulty_registry(tmp_path / "var", {"UPLOAD_WAIT_SECONDS": "2"}) as registry:
        kept, first, second = (wheel(name, "1.0") for name in ("kept", "first", "second"))
        await registry.owner.publish(kept)

        with failing_calls(_writers(registry), _SYNCS, "EIO"):
            await is_turned_away(registry, first, status=503)
            # The same bytes once more, now that the kernel has forgotten what it could not write.
            await is_turned_away(registry, first, status=503)
            await reads_go_on(registry, kept)
        seconds = await _goes_on(registry, first)

        wal = registry.directory.database.with_name("larder.sqlite3-wal")
        with failing_calls(_writers(registry), _SYNCS, "EIO", path=wal):
            # The row may be there or not: nobody is told that it is, and its bytes stay until that is known.
            assert await registry.owner.send(second) is None
            await reads_go_on(registry, kept, first)
        seconds = max(seconds, await _goes_on(registry, second))

        await registry.conclude(
            fault_report, "EIO on fsync, of files and of SQLite", runs=3, longest_recovery_seconds=seconds
        )


async def test_a_disk_that_becomes_read_only_serves_reads_and_takes_no_writes(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    async with faulty_registry(tmp_path / "var", {"UPLOAD_WAIT_SECONDS": "2"}) as registry:
        kept, upload = wheel("kept", "1.0"), wheel("upload", "1.0")
        await registry.owner.publish(kept)
        package_id = await registry.client.package_id("kept", "1.0")
        assert package_id is not None

        with failing_calls(_writers(registry), _CHANGES, "EROFS"):
            await is_turned_away(registry, upload, status=503)
            assert await registry.client.delete_package(package_id) == 503
            await reads_go_on(registry, kept)
        seconds = await _goes_on(registry, upload)

        await registry.conclude(
            fault_report, "disk read-only under a registry", runs=1, longest_recovery_seconds=seconds
        )


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_start_on_a_read_only_disk_says_so_in_one_line(tmp_path: Path, command: str) -> None:
    settings = {"DATA_DIR": str(tmp_path / "var"), "PORT": "0"}
    with small_disk(tmp_path / "var", 16 * 1024 * 1024) as disk:
        assert run_larder("migrate", settings).returncode == 0
        disk.make_read_only()

        refused = run_larder(command, settings)

    assert refused.returncode == 1
    assert refused.stderr == (
        f"larder: the data directory {disk.path} cannot be used: Read-only file system; "
        "name another one in LARDER_DATA_DIR\n"
    )


def _writers(registry: FaultyRegistry) -> list[int]:
    return [*registry.larder.pids(API), *registry.larder.pids(WORKER)]


async def _goes_on(registry: FaultyRegistry, upload: Upload) -> float:
    """Publish this, and return how many seconds it took until it can be installed."""
    began_at = time.monotonic()
    await registry.owner.publish(upload)
    await registry.owner.wait_until_installable(upload)
    return time.monotonic() - began_at
