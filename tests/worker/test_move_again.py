"""Moves that do not come to their end at once: what was stopped, what is in use, what is damaged, what is refused."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from shared.backends import open_store
from shared.errors import StorageFull
from shared.metadata import moves
from shared.models import PackageFile, PackageFileStatus
from shared.ports.moved_rows import RegistryInUse
from shared.settings import Settings
from shared.usecases import blob_copies
from shared.usecases.blob_store_name import BlobStoreForeign, require_own_blob_store
from shared.usecases.destroy import DeletePackageFile, DestroyPackageFile
from shared.usecases.move import FilesLost
from shared.usecases.move_files import FilesTarget, MoveRefused
from tests.registry_contents import blobs_on_disk, but_for_moves
from tests.rows import everything, execute
from tests.worker.conftest import opened_registry
from tests.worker.moving import (
    FILES,
    carry_out,
    doubled,
    elsewhere,
    findings,
    move,
    move_of,
    names_of,
    published,
    ready,
    root_of,
    rows_file,
    settings,
    with_room,
)
from tests.worker.upkeep import Faulty, publish

__all__ = ["published", "settings"]  # fixtures of their own module

pytestmark = [pytest.mark.embedded("says itself what it moves between"), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _nobody_is_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "_PATIENCE_SECONDS", 0.2)


async def _everything(settings: Settings) -> object:
    """Return all that is in a place on this machine."""
    rows = await everything(settings.database_url) if rows_file(settings).exists() else None
    return rows, blobs_on_disk(root_of(settings)), sorted(names_of(settings))


# --- taken up again -------------------------------------------------------------------------------------------------


async def test_a_move_that_was_stopped_copies_only_the_rest(
    settings: Settings, published: list[PackageFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_copies, "_FILES_AT_ONCE", 1)  # So that it is known which have come to their end.
    target, moving = elsewhere(settings, "new"), move_of(settings, elsewhere(settings, "new"))
    rows = await everything(settings.database_url)
    with pytest.raises(ExceptionGroup):
        await carry_out(replace(moving, files_to=FilesTarget(ready, with_room(target, blobs=2))))
    begun = blobs_on_disk(root_of(target))
    assert not rows_file(target).exists()
    piece = root_of(target) / f"{published[2].blob_key}.part"  # As a killed writer leaves it on some file systems.
    piece.parent.mkdir(parents=True, exist_ok=True)
    piece.write_bytes(b"half")

    moved = await carry_out(moving)

    assert moved.files is not None
    assert len(begun) == 2
    assert (moved.files.found_files, moved.files.files) == (2, FILES - 2)
    assert but_for_moves(await everything(target.database_url)) == but_for_moves(rows)
    assert len(blobs_on_disk(root_of(target))) == FILES
    assert await findings(target) == []


@pytest.mark.parametrize("part", [{}, {"rows": False}, {"files": False}], ids=["all", "files", "rows"])
async def test_a_move_that_was_stopped_before_its_last_step_takes_that_one(
    settings: Settings, published: list[PackageFile], part: dict[str, bool]
) -> None:
    target, moving = elsewhere(settings, "new", **part), move_of(settings, elsewhere(settings, "new", **part))
    names = 1 if part.get("files", True) else 0  # Where files go, the store gets one when it is begun.
    full = with_room(target, names=names)
    stopped = (
        replace(moving, files_to=FilesTarget(ready, full)) if moving.files_to else replace(moving, open_blobs=full)
    )
    with pytest.raises(StorageFull):
        await carry_out(stopped)
    before = await everything(target.database_url)

    moved = await carry_out(moving)

    assert not moved.is_over
    assert await everything(target.database_url) == before
    assert await findings(target) == []
    assert (await carry_out(moving)).is_over


async def test_a_registry_that_went_on_after_the_last_step_but_one_is_not_taken_for_moved(
    settings: Settings, published: list[PackageFile]
) -> None:
    target, moving = elsewhere(settings, "new"), move_of(settings, elsewhere(settings, "new"))
    with pytest.raises(StorageFull):
        await carry_out(replace(moving, files_to=FilesTarget(ready, with_room(target, names=1))))
    async with opened_registry(settings) as registry:
        await publish(registry, 9)
    before = await _everything(target)

    with pytest.raises(MoveRefused, match="has changed here since"):
        await carry_out(moving)

    assert await _everything(target) == before


# --- in use ---------------------------------------------------------------------------------------------------------


async def test_a_registry_that_is_in_use_is_not_moved(settings: Settings, published: list[PackageFile]) -> None:
    target = elsewhere(settings, "new")
    async with opened_registry(settings):
        with pytest.raises(RegistryInUse):
            await move(settings, target)

    assert not (settings.data_dir.parent / "new").exists()


async def test_files_are_copied_ahead_while_the_registry_serves_and_the_move_does_the_rest(
    settings: Settings, published: list[PackageFile]
) -> None:
    target, moving = elsewhere(settings, "new"), move_of(settings, elsewhere(settings, "new"))
    async with opened_registry(settings) as registry:
        ahead = await moving.ahead(tell=lambda _: None)
        assert not rows_file(target).exists()
        await publish(registry, 9)
        gone = published[0]
        await DeletePackageFile(registry.backends.store, registry.backends.queue)(
            registry.visit, gone.package_id, file_id=gone.id
        )
        await DestroyPackageFile(registry.backends.store, registry.backends.blobs)(gone.id)
    rows = await everything(settings.database_url)

    moved = await carry_out(moving)

    assert ahead.files is not None
    assert moved.files is not None
    assert (ahead.files.files, ahead.lost) == (FILES, ())
    assert (moved.files.found_files, moved.files.files) == (FILES - 1, 1)
    assert but_for_moves(await everything(target.database_url)) == but_for_moves(rows)
    assert gone.blob_key not in blobs_on_disk(root_of(target))
    assert await findings(target) == []


async def test_a_file_that_is_deleted_under_a_copy_made_ahead_is_none_that_is_lost(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new")
    async with opened_registry(settings) as registry:

        class Deleting(Faulty):
            """A store in which somebody deletes each published file when it is to be read."""

            async def read(self, key: str, **options: int) -> object:
                for file in published:
                    if file.blob_key == key:
                        await DeletePackageFile(registry.backends.store, registry.backends.queue)(
                            registry.visit, file.package_id, file_id=file.id
                        )
                        await DestroyPackageFile(registry.backends.store, registry.backends.blobs)(file.id)
                async for chunk in super().read(key, **options):  # type: ignore[attr-defined]
                    yield chunk

        moving = replace(move_of(settings, target), open_blobs=doubled(settings, Deleting))
        ahead = await moving.ahead(tell=lambda _: None)

    assert ahead.files is not None
    assert (ahead.files.files, ahead.lost) == (FILES - len(published), ())


# --- damaged --------------------------------------------------------------------------------------------------------


def _damage(settings: Settings, missing: PackageFile, rotten: PackageFile) -> None:
    (root_of(settings) / missing.blob_key).unlink()
    path = root_of(settings) / rotten.blob_key
    path.write_bytes(bytes(reversed(path.read_bytes())))


async def test_a_registry_that_has_lost_files_is_not_moved_and_says_which(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new")
    _damage(settings, published[0], published[2])

    with pytest.raises(FilesLost) as refusal:
        await move(settings, target)

    assert [(one.file.id, one.problem) for one in refusal.value.lost] == [
        (published[0].id, "its stored bytes are missing"),
        (published[2].id, "its stored bytes are not those that were received"),
    ]
    assert not rows_file(target).exists()
    assert published[2].blob_key not in blobs_on_disk(root_of(target)), "what is damaged never appears there"


@pytest.mark.parametrize("part", [{}, {"rows": False}], ids=["all", "files"])
async def test_files_that_are_lost_can_be_left_behind_and_are_in_error_then(
    settings: Settings, published: list[PackageFile], part: dict[str, bool]
) -> None:
    target = elsewhere(settings, "new", **part)
    _damage(settings, published[0], published[2])

    moved = await move(settings, target, leaves_lost=True)

    assert [one.file.id for one in moved.lost] == [published[0].id, published[2].id]
    async with open_store(target) as store, store.reading() as rows:
        files = await rows.inventory.files(after=0, limit=10)  # type: ignore[arg-type]  # an id is an id
    states = {file.id: (file.status, file.status_message) for file in files}
    assert states[published[0].id] == (
        PackageFileStatus.ERROR,
        "it was left behind when the registry was moved: its stored bytes are missing",
    )
    assert states[published[1].id] == (PackageFileStatus.DEFAULT, None)
    assert await findings(target) == []


async def test_lost_files_are_in_error_though_the_move_was_stopped_before_its_last_step(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new", rows=False)
    moving = move_of(settings, target)
    _damage(settings, published[0], published[2])
    with pytest.raises(StorageFull):
        await carry_out(replace(moving, files_to=FilesTarget(ready, with_room(target, names=1))), leaves_lost=True)

    await carry_out(moving)

    assert (await carry_out(moving)).is_over
    assert await findings(target) == []


async def test_a_file_that_could_not_be_read_for_a_moment_is_not_judged(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new")
    key = published[1].blob_key
    times = 0

    class Hiccough(Faulty):
        async def read(self, key: str, **options: int) -> object:
            nonlocal times
            if key in self._unreadable:
                times += 1
                self._unreadable = self._unreadable if times == 1 else ()
            async for chunk in super().read(key, **options):  # type: ignore[attr-defined]
                yield chunk

    moving = replace(move_of(settings, target), open_blobs=doubled(settings, lambda blobs: Hiccough(blobs, key)))
    for open_blobs in (moving.open_blobs, doubled(settings, lambda blobs: Faulty(blobs, key))):
        with pytest.raises(MoveRefused, match="try again"):
            await carry_out(replace(moving, open_blobs=open_blobs), leaves_lost=True)

    assert not rows_file(target).exists()
    assert (await move(settings, target)).lost == ()


async def test_a_disk_that_goes_away_midway_does_not_leave_its_files_behind(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new")

    mounted = list(root_of(settings).iterdir())

    class Unmounted(Faulty):
        async def read(self, key: str, **options: int) -> object:
            while mounted:
                entry = mounted.pop()
                await asyncio.to_thread(entry.rename, settings.data_dir / entry.name)
            async for chunk in super().read(key, **options):  # type: ignore[attr-defined]
                yield chunk

    moving = replace(move_of(settings, target), open_blobs=doubled(settings, Unmounted))
    with pytest.raises(BlobStoreForeign):
        await carry_out(moving, leaves_lost=True)

    assert not rows_file(target).exists()


# --- refused --------------------------------------------------------------------------------------------------------


async def test_rows_of_another_registry_are_not_touched(settings: Settings, published: list[PackageFile]) -> None:
    target = elsewhere(settings, "new")
    other = replace(target, data_dir=settings.data_dir.parent / "new")
    other.data_dir.mkdir()
    async with opened_registry(other) as registry:
        await publish(registry, 1)
    before = await _everything(other)

    for there in (target, replace(target, blob_url=settings.blob_url), replace(target, blob_url=f"{target.blob_url}2")):
        with pytest.raises(MoveRefused, match="--to-database` holds something else"):
            await move(settings, there)

    assert await _everything(other) == before
    assert not root_of(replace(target, blob_url=f"{target.blob_url}2")).exists()


async def test_files_of_another_registry_are_not_touched(settings: Settings, published: list[PackageFile]) -> None:
    other = replace(elsewhere(settings, "new"), data_dir=settings.data_dir.parent / "new")
    other.data_dir.mkdir()
    async with opened_registry(other) as registry:
        await publish(registry, 1)
        await require_own_blob_store(registry.backends.store, registry.backends.blobs)
    before = await _everything(other)
    database = elsewhere(settings, "third").database_url

    for there in (replace(other, database_url=database), replace(other, database_url=settings.database_url)):
        with pytest.raises(MoveRefused, match="--to-blobs` holds something else"):
            await move(settings, there)
        with pytest.raises(MoveRefused, match="--to-blobs` holds something else"):
            await move_of(settings, there).ahead(tell=lambda _: None)

    assert await _everything(other) == before
    assert not rows_file(replace(other, database_url=database)).exists()


async def test_what_was_moved_and_goes_on_is_not_touched_by_another_move_of_what_was_left(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new")
    await move(settings, target)
    moved_on = replace(target, data_dir=settings.data_dir.parent / "new")
    async with opened_registry(moved_on) as registry:
        await publish(registry, 7)
    before = await _everything(target)

    with pytest.raises(MoveRefused, match="--to-blobs` holds something else"):
        await move(settings, replace(target, database_url=elsewhere(settings, "third").database_url))

    assert await _everything(target) == before


async def test_rows_that_were_moved_there_before_and_changed_here_since_are_refused(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new")
    await move(settings, target)
    async with opened_registry(settings) as registry:
        await publish(registry, 7)
    before = await _everything(target)

    with pytest.raises(MoveRefused, match="has changed here since"):
        await move(settings, target)

    assert await _everything(target) == before


async def test_a_database_of_a_newer_version_is_refused(settings: Settings, published: list[PackageFile]) -> None:
    target = elsewhere(settings, "new")
    rows_file(target).parent.mkdir()
    await execute(target.database_url, "CREATE TABLE alembic_version (version_num TEXT)")
    await execute(target.database_url, "INSERT INTO alembic_version VALUES ('9999')")
    before = await asyncio.to_thread(rows_file(target).read_bytes)

    with pytest.raises(MoveRefused, match="holds schema 9999"):
        await move(settings, target)

    assert await asyncio.to_thread(rows_file(target).read_bytes) == before
    assert {path.name for path in (settings.data_dir.parent / "new").iterdir()} == {"larder.sqlite3"}


async def test_a_file_without_rows_where_the_database_is_to_be_is_not_replaced(
    settings: Settings, published: list[PackageFile], tmp_path: Path
) -> None:
    target = elsewhere(settings, "new")
    rows_file(target).parent.mkdir()
    rows_file(target).write_bytes(b"")

    with pytest.raises(MoveRefused, match="--to-database` holds something else"):
        await move(settings, target)

    assert rows_file(target).read_bytes() == b""
    assert not root_of(target).exists()
