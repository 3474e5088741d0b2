"""The order of syncs, and what happens when one fails, seen and planted by a tracer."""

import re
from pathlib import Path

import pytest

from tests.backends import tracer
from tests.contracts.blobs.backends import DiskPremises
from tests.contracts.blobs.processes import child

pytestmark = pytest.mark.slow

_CALL = re.compile(r"(fsync|linkat)\((.*)\) = 0")
_ANGLED = re.compile(r"<([^>]*)>")


def _tracer(*options: str) -> tuple[str, ...]:
    return (tracer(), "-f", "-y", "-qq", *options)


async def test_a_commit_syncs_the_file_then_shows_it_then_syncs_every_directory_above_it(
    disk: DiskPremises, tmp_path: Path
) -> None:
    log = tmp_path / "trace"
    disk.root.mkdir()
    under = _tracer("-e", "trace=fsync,linkat", "-o", str(log))

    async with child("commit_and_wait", disk, under=under) as writer:
        key = (await writer.told())["key"]

    disk.expected = {key}
    root = str(disk.root)
    told = []
    for line in log.read_text(encoding="utf-8").splitlines():
        if (call := _CALL.search(line)) is not None:
            where = _ANGLED.findall(call[2])
            told.append((call[1], where[-1].removeprefix(root).strip("/")))
    file, *rest = told
    assert file[0] == "fsync"
    assert file[1].startswith("2026/03/04/")
    assert rest == [
        ("linkat", "2026/03/04"),
        ("fsync", "2026/03/04"),
        ("fsync", "2026/03"),
        ("fsync", "2026"),
        ("fsync", ""),
    ]


@pytest.mark.parametrize("failing_sync", [1, 2, 3])
async def test_a_sync_that_fails_fails_the_commit_for_good(disk: DiskPremises, failing_sync: int) -> None:
    disk.root.mkdir()
    under = _tracer("-e", "trace=fsync", "-e", f"inject=fsync:error=EIO:when={failing_sync}", "-o", "/dev/null")

    async with child("fail_to_sync", disk, under=under) as writer:
        told = await writer.told()

    first, second = told["errors"]
    assert first == second == "BlobStoreUnavailable OSError(5, 'Input/output error')"
    assert told["pieces"] == []
    assert told["descriptors"] == []
