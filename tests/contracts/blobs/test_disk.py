"""What only a store on a disk can do wrong: modes, symbolic links, directories, threads."""

import asyncio
import os
import stat
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.blobs.directories import DayDirectories
from shared.blobs.local import LocalBlobStore, open_local_blob_store
from shared.blobs.threads import Threads
from shared.blobs.unfinished import NamelessFile, PartFile, best_unfinished
from shared.errors import BlobMissing, BlobStoreUnavailable
from shared.ports.blob_store import BlobStore
from tests.contracts.blobs.backends import DiskPremises
from tests.contracts.blobs.drive import MIB, NEXT_DAY, NOON, content_of, keys_of, new_key, put, some_bytes

_DAY = "2026/03/04"


class CountingExecutor(ThreadPoolExecutor):
    """Threads that count how often somebody hands them something."""

    def __init__(self) -> None:
        super().__init__(max_workers=4)
        self.calls = 0

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        return super().submit(*args, **kwargs)


async def test_files_are_the_owners_alone(store: BlobStore, disk: DiskPremises) -> None:
    key = new_key()
    disk.expected = {key}
    await put(store, key, b"abc")

    modes = {str(path.relative_to(disk.root)): stat.S_IMODE(path.stat().st_mode) for path in disk.root.rglob("*")}

    assert modes == {"2026": 0o700, "2026/03": 0o700, _DAY: 0o700, key: 0o600}
    assert stat.S_IMODE(disk.root.stat().st_mode) == 0o700


async def test_a_missing_root_is_made_with_what_is_missing_above_it(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"

    async with open_local_blob_store(root) as store:
        await put(store, new_key(), b"abc")

    assert root.is_dir()


async def test_a_root_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BlobStoreUnavailable):
        async with open_local_blob_store(tmp_path / "file" / "blobs"):
            pass


async def test_a_root_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    key = new_key()

    async with open_local_blob_store(tmp_path / "link") as store:
        await put(store, key, b"abc")
        assert await content_of(store, key) == b"abc"


@pytest.mark.parametrize("level", ["2026", "2026/03", _DAY])
async def test_a_directory_that_is_a_symbolic_link_is_not_followed(
    store: BlobStore, disk: DiskPremises, tmp_path: Path, level: str
) -> None:
    key = new_key()
    outside = tmp_path / "outside"
    hidden = outside / key.removeprefix(f"{level}/")
    hidden.parent.mkdir(parents=True)
    hidden.write_bytes(b"secret")
    part = hidden.with_name(f"{hidden.name}.part")
    part.write_bytes(b"secret")
    link = disk.root / level
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)

    with pytest.raises(BlobMissing):
        await content_of(store, key)
    with pytest.raises(BlobMissing):
        await store.locate(key)
    with pytest.raises(BlobStoreUnavailable):
        await put(store, new_key(), b"abc")
    await store.delete(key)
    assert await keys_of(store) == []
    assert await store.sweep_unfinished(before=NEXT_DAY) == 0
    assert {path.name for path in hidden.parent.iterdir()} == {hidden.name, part.name}


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
async def test_what_is_no_regular_file_is_no_blob(
    store: BlobStore, disk: DiskPremises, tmp_path: Path, kind: str
) -> None:
    key = new_key()
    path = disk.root / key
    path.parent.mkdir(parents=True)
    match kind:
        case "link":
            (tmp_path / "secret").write_bytes(b"secret")
            path.symlink_to(tmp_path / "secret")
        case "directory":
            path.mkdir()
        case _:
            os.mkfifo(path)

    with pytest.raises(BlobMissing):
        await content_of(store, key)
    with pytest.raises(BlobMissing):
        await store.locate(key)
    assert await keys_of(store) == []
    disk.expected = disk.pieces()


async def test_foreign_files_are_neither_listed_nor_swept(store: BlobStore, disk: DiskPremises) -> None:
    key = new_key()
    await put(store, key, b"abc")
    foreign = {"README", "2026/notes", "2026/03/x", f"{_DAY}/.part", f"{_DAY}/x.part", f"{_DAY}/{key[11:]}.bak"}
    foreign |= {"2026/13/01/x", "2026/02/30/x", f"2026/03/05/{key[11:]}", "20260/01/01/x", "lost+found/x"}
    for name in foreign:
        (disk.root / name).parent.mkdir(parents=True, exist_ok=True)
        (disk.root / name).touch()

    assert await keys_of(store, NEXT_DAY + timedelta(days=5)) == [key]
    assert await store.sweep_unfinished(before=NEXT_DAY + timedelta(days=5)) == 0
    disk.expected = {key, *foreign}


async def test_the_sweep_removes_empty_directories_of_days_long_past(store: BlobStore, disk: DiskPremises) -> None:
    kept, gone = new_key(), new_key(NOON - timedelta(days=40))
    disk.expected = {kept}
    await put(store, gone, b"")
    await put(store, kept, b"")
    await store.delete(gone)
    assert (disk.root / gone).parent.is_dir(), "a writer may be at work there"

    await store.sweep_unfinished(before=NEXT_DAY)
    assert (disk.root / gone).parent.is_dir(), "it was touched a moment ago"
    long_ago = time.time() - 3 * 24 * 60 * 60
    os.utime((disk.root / gone).parent, (long_ago, long_ago))
    await store.sweep_unfinished(before=NEXT_DAY)

    assert [path.name for path in disk.root.iterdir()] == ["2026"]
    assert [path.name for path in (disk.root / "2026").iterdir()] == ["03"]


async def test_a_day_whose_directory_was_removed_takes_blobs_again(store: BlobStore, disk: DiskPremises) -> None:
    first, second = new_key(), new_key()
    await put(store, first, b"")
    await store.delete(first)
    async with store.create(second) as writer:
        await writer.write(some_bytes(2 * MIB))
        if disk.left_by_a_killed_writer == 0:
            (disk.root / _DAY).rmdir()
        await writer.commit()

    disk.expected = {second}
    assert len(await content_of(store, second)) == 2 * MIB


@pytest.mark.parametrize(("size_bytes", "calls"), [(0, 1), (10, 1), (64 * 1024, 1), (MIB - 1, 1)])
async def test_a_small_upload_costs_one_call_in_a_thread(disk: DiskPremises, size_bytes: int, calls: int) -> None:
    executor = CountingExecutor()
    directories = DayDirectories(disk.root)
    await asyncio.to_thread(directories.open)
    store = LocalBlobStore(disk.root, directories, unfinished=disk.unfinished, threads=Threads(executor))
    key = new_key()
    disk.expected = {key}

    await put(store, key, some_bytes(size_bytes))

    assert executor.calls == calls
    directories.close()
    executor.shutdown()


async def test_an_upload_that_sent_little_and_went_away_costs_no_call_in_a_thread(disk: DiskPremises) -> None:
    executor = CountingExecutor()
    store = LocalBlobStore(disk.root, DayDirectories(disk.root), unfinished=disk.unfinished, threads=Threads(executor))

    async with store.create(new_key()) as writer:
        await writer.write(b"abc")

    assert executor.calls == 0
    executor.shutdown()


def test_the_best_file_is_nameless_where_the_system_has_such(tmp_path: Path) -> None:
    directories = DayDirectories(tmp_path)
    directories.open()

    best = best_unfinished(directories)

    directories.close()
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except (AttributeError, OSError):
        assert best is PartFile
    else:
        assert best is NamelessFile
