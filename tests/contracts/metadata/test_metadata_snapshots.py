"""All rows as of one instant, out of each engine and into each."""

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.errors import DatabaseNotEmpty, SchemaUnknown
from shared.metadata.snapshots import load_snapshot, require_empty, settle_snapshot, take_snapshot
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.models import CoreMetadata, PackageFileStatus
from tests.contracts.metadata.sample_rows import (
    accept,
    add_group,
    add_project,
    add_user,
    doom,
    file_as_it_is,
    lease,
    new_project,
    publish,
    upload,
)
from tests.contracts.metadata.test_metadata_migrations import run
from tests.rows import everything

_RAW = b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n"


async def fill(store: SqlMetadataStore) -> None:
    """Add a bit of everything that two engines could store differently."""
    async with store.writing() as rows:
        await add_user(rows)
        parent = await add_group(rows, "above")
        await add_project(rows, await add_group(rows, "below", parent=parent), "inner")
        await rows.settings.decide({"pypi_max_file_size": 7})
    project = await new_project(store)
    file = await upload(store, project, requires_python=">=3.11")
    await accept(store, file, metadata=CoreMetadata(raw=_RAW, name="demo", version="1.0", requires_python=">=3.11"))
    await lease(store, await upload(store, project, "b.whl"))
    await doom(store, await publish(store, project, "c.whl", name="c"))


async def test_a_snapshot_holds_every_row_and_comes_back_as_it_was(
    store: SqlMetadataStore, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    await fill(store)
    before = await everything(database_url)
    snapshot = tmp_path / "snapshot.sqlite3"

    await take_snapshot(database_url, snapshot)

    assert await everything(f"sqlite:///{snapshot}") == before
    assert stat.S_IMODE(snapshot.stat().st_mode) == 0o600
    await load_snapshot(snapshot, empty_url)
    assert await everything(empty_url) == before
    assert sum(map(bool, before.values())) > 8


async def test_ids_go_on_where_they_had_come_to(
    store: SqlMetadataStore, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    project = await new_project(store)
    async with store.writing() as rows:  # An id that is gone must not come back, either.
        gone = await rows.holds.hold_destruction("x", now=datetime.now(UTC), until=datetime.now(UTC))
        await rows.holds.lift_hold(gone)
    file = await publish(store, project)
    await take_snapshot(database_url, tmp_path / "snapshot")
    await load_snapshot(tmp_path / "snapshot", empty_url)

    async with open_metadata_store(empty_url) as restored:
        found = await upload(restored, project, "later.whl", name="later")
        async with restored.writing() as rows:
            hold = await rows.holds.hold_destruction("y", now=datetime.now(UTC), until=datetime.now(UTC))

    assert (found.id, found.package_id) == (file.id + 1, file.package_id + 1)
    assert hold == gone + 1


async def test_a_snapshot_is_of_one_instant_while_others_write(
    store: SqlMetadataStore, database_url: str, tmp_path: Path
) -> None:
    project = await new_project(store)
    stop = asyncio.Event()

    async def keep_writing() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await publish(store, project, f"{number}.whl", name=f"n{number}")

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_writing())
        for number in range(3):
            await take_snapshot(database_url, tmp_path / f"snapshot-{number}")
        stop.set()

    for number in range(3):
        async with open_metadata_store(f"sqlite:///{tmp_path}/snapshot-{number}") as snapshot:
            assert await snapshot.faults(is_thorough=True) == ()


async def test_what_only_its_own_time_had_is_ended_in_a_settled_snapshot(
    store: SqlMetadataStore, database_url: str, tmp_path: Path
) -> None:
    project = await new_project(store)
    processing = await lease(store, await upload(store, project, "a.whl"))
    doomed = await publish(store, project, "b.whl", name="b")
    await doom(store, doomed)
    now = datetime.now(UTC)
    async with store.writing() as rows:
        await rows.holds.hold_destruction("backup", now=now, until=now + timedelta(minutes=1))
    path = tmp_path / "snapshot"
    await take_snapshot(database_url, path)

    await settle_snapshot(path)

    async with open_metadata_store(f"sqlite:///{path}") as settled:
        async with settled.reading() as rows:
            assert not await rows.holds.is_destruction_held(now=now)
            assert await rows.packages.doomed(doomed_before=now, now=now, limit=10) == ()
        found = await file_as_it_is(settled, processing)
    assert (found.status, found.leased_until) == (PackageFileStatus.PROCESSING, None)


async def test_a_snapshot_of_a_newer_version_is_refused(
    store: SqlMetadataStore, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "snapshot"
    await take_snapshot(database_url, path)
    await run(
        f"sqlite:///{path}",
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")),
    )

    with pytest.raises(SchemaUnknown):
        await settle_snapshot(path)


async def test_nothing_is_put_in_the_place_of_a_database_that_holds_something(
    store: SqlMetadataStore, database_url: str, tmp_path: Path
) -> None:
    async with store.writing() as rows:
        await add_user(rows)
    path = tmp_path / "snapshot"
    await take_snapshot(database_url, path)
    before = await everything(database_url)

    with pytest.raises(DatabaseNotEmpty):
        await require_empty(database_url)
    with pytest.raises(DatabaseNotEmpty):
        await load_snapshot(path, database_url)

    assert await everything(database_url) == before


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
async def test_nothing_is_put_beside_what_another_database_has_left(
    store: SqlMetadataStore, database_url: str, tmp_path: Path, ending: str
) -> None:
    await take_snapshot(database_url, tmp_path / "snapshot")
    place = tmp_path / "place" / "larder.sqlite3"
    place.parent.mkdir()
    Path(f"{place}{ending}").write_bytes(b"of another one")

    with pytest.raises(DatabaseNotEmpty):
        await require_empty(f"sqlite:///{place}")
    with pytest.raises(DatabaseNotEmpty):
        await load_snapshot(tmp_path / "snapshot", f"sqlite:///{place}")

    assert [path.name for path in place.parent.iterdir()] == [f"larder.sqlite3{ending}"]


async def test_a_database_that_is_not_there_is_empty(empty_url: str) -> None:
    await require_empty(empty_url)
