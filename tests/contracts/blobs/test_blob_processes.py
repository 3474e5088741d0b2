"""Processes that are killed while they write, that run short of room, and that write side by side."""

import shutil
import subprocess
from contextlib import AsyncExitStack

import pytest

from shared.errors import BlobMissing
from shared.ports.blob_store import BlobStore
from tests.contracts.blobs.backends import DiskPremises, Premises
from tests.contracts.blobs.drive import MIB, NEXT_DAY, NOON, content_of, keys_of, some_bytes
from tests.contracts.blobs.processes import child

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_KILLS = 6


async def test_a_process_killed_in_the_middle_of_a_blob_leaves_only_what_the_sweep_removes(
    store: BlobStore, premises: Premises
) -> None:
    async with child("write_and_wait", premises) as writer:
        assert len((await writer.told())["pieces"]) == premises.left_by_a_killed_writer
        await writer.kill()

    assert await keys_of(store) == []
    assert len(premises.pieces()) == premises.left_by_a_killed_writer
    assert await store.sweep_unfinished(before=NOON.date()) == 0
    assert await store.sweep_unfinished(before=NEXT_DAY) == premises.left_by_a_killed_writer
    assert await store.sweep_unfinished(before=NEXT_DAY) == 0
    assert premises.pieces() == set()


async def test_a_blob_outlives_the_process_that_committed_it(store: BlobStore, premises: Premises) -> None:
    async with child("commit_and_wait", premises) as writer:
        key = (await writer.told())["key"]
        await writer.kill()

    premises.expected = {key}
    assert await keys_of(store) == [key]
    assert await content_of(store, key) == some_bytes(3 * MIB)


async def test_whatever_a_killed_process_had_acknowledged_is_there_whole(store: BlobStore, premises: Premises) -> None:
    acknowledged = 0
    for kill in range(_KILLS):
        async with child("write_for_ever", premises) as writer:
            told = [await writer.told() for _ in range(3 + kill)]
            told += await writer.told_before_death()
        committed = {word["committed"]: word["size_bytes"] for word in told if "committed" in word}
        begun = {word["begun"] for word in told if "begun" in word}
        for key, size_bytes in committed.items():
            assert await content_of(store, key) == some_bytes(size_bytes)
        # The last one may have been committed without our hearing of it: then it is an orphan, but a whole one.
        for key in begun - committed.keys():
            try:
                assert len(await content_of(store, key)) >= MIB
            except BlobMissing:
                continue
        acknowledged += len(committed)
        await store.sweep_unfinished(before=NEXT_DAY)
        for key in await keys_of(store):
            await store.delete(key)

    assert acknowledged >= _KILLS
    assert premises.pieces() == set()


async def test_processes_that_make_the_same_day_do_not_hinder_each_other(store: BlobStore, premises: Premises) -> None:
    async with AsyncExitStack() as stack:
        writers = [await stack.enter_async_context(child("write_many", premises)) for _ in range(3)]
        for writer in writers:
            writer.go()
        for writer in writers:
            await writer.told()

    premises.expected = set(await keys_of(store))
    assert len(premises.expected) == 30


async def test_a_large_blob_takes_little_memory(store: BlobStore, premises: Premises) -> None:
    async with child("write_300_mib", premises) as writer:
        told = await writer.told()

    assert told["size_bytes"] == 300 * MIB
    assert told["write_bytes"] < premises.peak_bytes
    assert told["read_bytes"] < premises.peak_bytes
    for key in await keys_of(store):
        await store.delete(key)


async def test_a_blob_beyond_the_file_size_limit_of_the_process_is_storage_full(
    store: BlobStore, disk: DiskPremises
) -> None:
    async with child("write_under_limit", disk) as writer:
        assert await writer.told() == {"error": "StorageFull", "pieces": [], "descriptors": []}
        told = await writer.told()

    disk.expected = {told["key"]}
    assert await keys_of(store) == told["keys"] == [told["key"]]


@pytest.mark.parametrize("verb", ["write_too_much", "write_small_without_room"])
async def test_a_full_disk_is_storage_full_and_keeps_nothing_of_the_blob(disk: DiskPremises, verb: str) -> None:
    async with child(verb, disk, under=_on_a_disk_of_one_mib(disk)) as writer:
        assert await writer.told() == {"error": "StorageFull", "pieces": [], "descriptors": []}
        told = await writer.told()

    assert told["keys"] == [told["key"]], "there was room again for a little blob"


async def test_a_full_disk_fails_the_check(disk: DiskPremises) -> None:
    async with child("check", disk, under=_on_a_disk_of_one_mib(disk)) as checker:
        await checker.told()
        assert await checker.told() == {"error": "StorageFull"}


def _on_a_disk_of_one_mib(disk: DiskPremises) -> tuple[str, ...]:
    """Return a command that gives its command a file system of its own, which goes when that ends."""
    for privileges in (("--mount",), ("--user", "--map-root-user", "--mount")):
        under = ("unshare", *privileges, "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"')
        under = (*under, str(disk.directory))
        if (
            shutil.which("unshare")
            and subprocess.run((*under, "true"), capture_output=True, check=False).returncode == 0
        ):
            return under
    pytest.skip("nothing can be mounted here; the file size limit was tried instead")


def _works(command: tuple[str, ...]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
