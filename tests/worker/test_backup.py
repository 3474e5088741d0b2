"""Backups: what is in them, that they are there whole or not at all, and what comes back out of them."""

import asyncio
import json
import shutil
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from shared.backends import open_blobs, open_blobs_in, open_store, open_store_in
from shared.errors import DatabaseNotEmpty, LarderError, SchemaUnknown, StorageFull
from shared.models import PackageFile
from shared.ports.blob_store import BlobStore
from shared.settings import Settings, read_settings
from shared.usecases.backup import Backup, HoldLost
from shared.usecases.backup_place import BackupRefused, Manifest, digest_of_file, read_manifest
from shared.usecases.blob_store_name import BlobStoreForeign, bears_another_name
from shared.usecases.check import CheckRegistry
from shared.usecases.destroy import DeletePackageFile
from shared.usecases.findings import CheckReport
from shared.usecases.restore import UNFINISHED, Restore, Restored
from shared.whole_databases import (
    load_snapshot,
    require_empty_database,
    schema_revision,
    settle_snapshot,
    take_snapshot,
)
from tests import rows
from tests.worker.conftest import Registry
from tests.worker.upkeep import Faulty, blob_of, execute, publish, rot, scrub_of, take_the_disk_away

pytestmark = pytest.mark.embedded("files are damaged and taken away on the disk; test_blobs_in_s3.py does so in S3")


def backup_of(registry: Registry, *, blobs: object = None) -> Backup:
    return Backup(
        store=registry.backends.store,
        blobs=blobs or registry.backends.blobs,  # type: ignore[arg-type]  # a double of the port
        token_file=registry.settings.root_token_file,
        holder="the tests",
        version="larder 0",
        schema=schema_revision(),
        take_snapshot=partial(take_snapshot, registry.settings),
        open_snapshot=open_store_in,
        open_copy=open_blobs_in,
    )


async def back_up(registry: Registry, place: Path, *, blobs: object = None) -> Manifest:
    return await backup_of(registry, blobs=blobs)(place, tell=lambda _: None)


def restore_to(data_dir: Path, **more: str) -> tuple[Settings, Restore]:
    settings = read_settings({"LARDER_DATA_DIR": str(data_dir), **more})
    data_dir.mkdir(exist_ok=True)
    return settings, Restore(
        data_dir=data_dir,
        token_file=settings.root_token_file,
        require_empty_database=partial(require_empty_database, settings),
        settle=settle_snapshot,
        load=partial(load_snapshot, settings),
        open_rows=open_store_in,
        open_blobs=lambda root: open_blobs(settings) if root is None else open_blobs_in(root),
    )


async def restore(place: Path, data_dir: Path) -> tuple[Settings, Restored]:
    settings, restoring = restore_to(data_dir)
    return settings, await restoring(place, tell=lambda _: None)


async def check(settings: Settings) -> CheckReport:
    async with open_store(settings) as store, open_blobs(settings) as blobs:
        checking = CheckRegistry(store=store, blobs=blobs, upload_max_seconds=3600, tell=lambda _: None)
        return await checking.by_content()


async def files_in(data_dir: Path) -> dict[str, tuple[str, str]]:
    """Return status and digest of each file row, by file name."""
    found = await rows.execute(
        f"sqlite:///{data_dir}/larder.sqlite3", "SELECT file_name, status, sha256 FROM package_files"
    )
    return {name: (status, sha256) for name, status, sha256 in found}


def blobs_in(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class _Broken(AbstractAsyncContextManager[BlobStore]):
    """A blob store that cannot be opened."""

    async def __aenter__(self) -> BlobStore:
        raise StorageFull

    async def __aexit__(self, *_: object) -> None: ...


@pytest.fixture
async def published(registry: Registry) -> list[PackageFile]:
    """Three files that are published, one that waits, and a token."""
    files = await publish(registry, 0, 1, 2)
    await registry.upload(b"whatever", file_name="pkg-2.0.tar.gz", version="2.0")
    registry.settings.root_token_file.write_text("glpat-of-the-administrator\n")
    return files


async def test_a_backup_comes_back_byte_for_byte(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    place, data_dir = tmp_path / "backup", tmp_path / "restored"

    manifest = await back_up(registry, place)
    settings, restored = await restore(place, data_dir)

    assert manifest == restored.manifest
    assert (manifest.files, manifest.incomplete, restored.files, restored.lost) == (4, (), 4, ())
    assert blobs_in(data_dir / "blobs") == blobs_in(registry.settings.data_dir / "blobs")
    assert await files_in(data_dir) == await files_in(registry.settings.data_dir)
    assert settings.root_token_file.read_text() == registry.settings.root_token_file.read_text()
    assert {path.name for path in data_dir.iterdir()} == {"blobs", "larder.sqlite3", "root-token"}
    assert (await check(settings)).findings == []
    report = CheckRegistry(
        store=registry.backends.store, blobs=registry.backends.blobs, upload_max_seconds=3600, tell=lambda _: None
    )
    assert (await report.by_size()).findings == [], "and the registry itself goes on as before"


@pytest.mark.slow
async def test_a_backup_is_its_owners_alone(registry: Registry, published: list[PackageFile], tmp_path: Path) -> None:
    place = tmp_path / "backup"

    await back_up(registry, place)

    assert place.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in place.rglob("*")} == {0}


async def test_what_is_deleted_while_a_backup_is_made_is_in_it_and_goes_afterwards(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    victim = published[-1]
    delete = DeletePackageFile(registry.backends.store, registry.backends.queue)
    has_begun = False

    class Deleting(Faulty):
        async def read(self, key: str, **options: int) -> object:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                await delete(registry.visit, victim.package_id, file_id=victim.id)
                async with registry.backends.store.reading() as rows:
                    assert await rows.holds.is_destruction_held(now=datetime.now(UTC))
            async for chunk in super().read(key, **options):  # type: ignore[attr-defined]
                yield chunk

    await back_up(registry, tmp_path / "backup", blobs=Deleting(registry.backends.blobs))
    _, restored = await restore(tmp_path / "backup", tmp_path / "restored")

    assert restored.files == 4
    assert (await files_in(tmp_path / "restored"))[victim.file_name] == ("default", victim.sha256)
    async with registry.backends.store.reading() as rows:
        assert not await rows.holds.is_destruction_held(now=datetime.now(UTC))


@pytest.mark.slow
async def test_files_that_were_lost_before_are_named_and_come_back_in_error(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    missing, rotten, unreadable = published
    blob_of(registry, missing).unlink()
    rot(registry, rotten)

    manifest = await back_up(registry, tmp_path / "backup", blobs=Faulty(registry.backends.blobs, unreadable.blob_key))
    settings, restored = await restore(tmp_path / "backup", tmp_path / "restored")

    assert manifest.files == 1
    assert [(one.file_id, one.problem) for one in manifest.incomplete] == [
        (missing.id, "its stored bytes are missing"),
        (rotten.id, "its stored bytes are not those that were received"),
        (unreadable.id, "its stored bytes cannot be read: Input/output error"),
    ]
    assert [lost.file.id for lost in restored.lost] == [1, 2, 3]
    assert {status for status, _ in (await files_in(tmp_path / "restored")).values()} == {"error", "processing"}
    assert (await check(settings)).findings == []


@pytest.mark.slow
async def test_a_blob_that_rotted_in_the_backup_is_noticed(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    (tmp_path / "backup" / "blobs" / published[0].blob_key).write_bytes(b"rotten")

    _, restored = await restore(tmp_path / "backup", tmp_path / "restored")

    assert [lost.file.id for lost in restored.lost] == [published[0].id]


@pytest.mark.slow
async def test_a_database_that_rotted_in_the_backup_is_not_restored(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    with (tmp_path / "backup" / "larder.sqlite3").open("ab") as file:
        file.write(b"x")

    with pytest.raises(BackupRefused, match="is damaged"):
        await restore(tmp_path / "backup", tmp_path / "restored")

    assert list((tmp_path / "restored").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "directory", "dangling"])
async def test_a_place_that_is_taken_is_refused(registry: Registry, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "backup"
    match kind:
        case "file":
            place.write_bytes(b"")
        case "directory":
            place.mkdir()
            (place / "something").write_bytes(b"")
        case _:
            place.symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(BackupRefused, match="is there already"):
        await back_up(registry, place)

    assert sorted(path for path in tmp_path.rglob("*") if ".name-" not in path.name) == before


@pytest.mark.slow
async def test_two_backups_to_one_place_do_not_meet(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    results = await asyncio.gather(
        back_up(registry, tmp_path / "backup"), back_up(registry, tmp_path / "backup"), return_exceptions=True
    )

    assert [type(result) for result in results if isinstance(result, LarderError)] == [BackupRefused]
    assert (await asyncio.to_thread(read_manifest, tmp_path / "backup")).files == 4


@pytest.mark.slow
async def test_what_a_killed_backup_left_is_cleared_by_the_next(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    part = tmp_path / ".backup.part"
    part.mkdir()
    (part / "larder.sqlite3").write_bytes(b"half")

    await back_up(registry, tmp_path / "backup")

    assert not part.exists()
    assert (await asyncio.to_thread(read_manifest, tmp_path / "backup")).files == 4


@pytest.mark.slow
async def test_a_backup_that_is_stopped_leaves_nothing_and_holds_nothing(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    has_begun = asyncio.Event()

    class Stuck(Faulty):
        async def read(self, key: str, **options: int) -> object:
            has_begun.set()
            await asyncio.Event().wait()
            yield b""

    backing_up = asyncio.create_task(back_up(registry, tmp_path / "backup", blobs=Stuck(registry.backends.blobs)))
    await has_begun.wait()
    backing_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await backing_up

    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == []
    async with registry.backends.store.reading() as rows:
        assert not await rows.holds.is_destruction_held(now=datetime.now(UTC))


@pytest.mark.slow
async def test_a_backup_whose_hold_was_lost_is_none(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    class Slow(Faulty):
        async def read(self, key: str, **options: int) -> object:
            await execute(registry, "UPDATE destruction_holds SET expires_at = placed_at")
            async for chunk in super().read(key, **options):  # type: ignore[attr-defined]
                yield chunk

    with pytest.raises(HoldLost):
        await back_up(registry, tmp_path / "backup", blobs=Slow(registry.backends.blobs))

    assert not (tmp_path / "backup").exists()


@pytest.mark.slow
async def test_a_store_whose_disk_is_away_is_not_backed_up(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await scrub_of(registry)()
    take_the_disk_away(registry)

    with pytest.raises(BlobStoreForeign):
        await back_up(registry, tmp_path / "backup")

    assert not (tmp_path / "backup").exists()


@pytest.mark.slow
async def test_a_directory_that_is_not_empty_is_not_restored_into(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    await restore(tmp_path / "backup", tmp_path / "restored")
    before = blobs_in(tmp_path / "restored")

    with pytest.raises(BackupRefused, match="is not empty"):
        await restore(tmp_path / "backup", tmp_path / "restored")

    assert blobs_in(tmp_path / "restored") == before


@pytest.mark.slow
async def test_a_restore_that_fails_leaves_the_directory_empty(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    _, restoring = restore_to(tmp_path / "restored")

    async def full(_: Path) -> None:
        raise StorageFull

    for field, failing in (("load", full), ("settle", full), ("open_blobs", lambda _: _Broken())):
        broken = replace(restoring, **{field: failing})  # type: ignore[arg-type]  # one field at a time
        with pytest.raises(StorageFull):
            await broken(tmp_path / "backup", tell=lambda _: None)
        assert list((tmp_path / "restored").iterdir()) == []


@pytest.mark.slow
async def test_what_a_killed_restore_left_is_cleared_by_the_next(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    data_dir = tmp_path / "restored"
    shutil.copytree(tmp_path / "backup" / "blobs", data_dir / "blobs")
    (data_dir / UNFINISHED).write_bytes(b"")

    settings, _ = await restore(tmp_path / "backup", data_dir)

    assert not (data_dir / UNFINISHED).exists()
    assert (await check(settings)).findings == []


@pytest.mark.slow
async def test_what_is_no_backup_or_of_another_time_is_refused(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    with pytest.raises(BackupRefused, match="is no backup"):
        await restore(tmp_path, tmp_path / "restored")
    manifest = tmp_path / "backup" / "manifest.json"
    told = json.loads(manifest.read_bytes())

    manifest.write_text(json.dumps(told | {"format": 2}))
    with pytest.raises(BackupRefused, match="format 2"):
        await restore(tmp_path / "backup", tmp_path / "restored")

    assert list((tmp_path / "restored").iterdir()) == []


@pytest.mark.slow
async def test_a_backup_of_a_newer_version_is_refused_and_leaves_nothing(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    await rows.execute(f"sqlite:///{tmp_path}/backup/larder.sqlite3", "UPDATE alembic_version SET version_num = '9999'")
    manifest = tmp_path / "backup" / "manifest.json"
    told = json.loads(manifest.read_bytes())
    digest = await asyncio.to_thread(digest_of_file, tmp_path / "backup" / "larder.sqlite3")
    manifest.write_text(json.dumps(told | {"database_sha256": digest}))

    with pytest.raises(SchemaUnknown):
        await restore(tmp_path / "backup", tmp_path / "restored")

    assert list((tmp_path / "restored").iterdir()) == []


@pytest.mark.slow
async def test_a_database_that_is_there_is_not_replaced(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    settings = read_settings(
        {"LARDER_DATA_DIR": str(tmp_path / "restored"), "LARDER_DATABASE_URL": registry.settings.database_url}
    )
    _, restoring = restore_to(tmp_path / "restored")
    elsewhere = replace(restoring, require_empty_database=partial(require_empty_database, settings))

    with pytest.raises(DatabaseNotEmpty):
        await elsewhere(tmp_path / "backup", tell=lambda _: None)

    assert await files_in(registry.settings.data_dir)
    assert list((tmp_path / "restored").iterdir()) == [], "and no mark by which it would be an unfinished one"


@pytest.mark.slow
async def test_a_restored_registry_does_not_take_the_store_of_the_other_for_its_own(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    await back_up(registry, tmp_path / "backup")
    settings, _ = await restore(tmp_path / "backup", tmp_path / "restored")

    async with open_store(settings) as store, open_blobs(settings) as own:
        assert not await bears_another_name(store, own)
        assert await bears_another_name(store, registry.backends.blobs)


@pytest.mark.slow
async def test_a_backup_in_the_directory_that_it_is_to_be_restored_into_is_left_alone(
    registry: Registry, published: list[PackageFile], tmp_path: Path
) -> None:
    place = tmp_path / "restored" / "backup"
    place.parent.mkdir()
    await back_up(registry, place)
    (place.parent / UNFINISHED).write_bytes(b"")
    before = blobs_in(place)

    with pytest.raises(BackupRefused, match="lies in the directory"):
        await restore(place, tmp_path / "restored")

    assert blobs_in(place) == before
