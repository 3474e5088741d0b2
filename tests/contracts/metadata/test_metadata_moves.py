"""A database that stands still for a move, and what rows say of where they came from, on each engine."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.errors import MetadataUnavailable, SchemaUnknown
from shared.metadata import moves
from shared.metadata.migrate import migrate
from shared.metadata.moves import arrive_in_file, hold_still, look_at_rows
from shared.metadata.snapshots import load_snapshot, take_snapshot
from shared.metadata.store import open_metadata_store
from shared.ports.metadata_store import AuditEvent
from shared.ports.moved_rows import Arrival, Mark, RegistryInUse
from tests.contracts.metadata.sample_rows import add_user
from tests.contracts.metadata.test_metadata_migrations import run
from tests.contracts.metadata.test_metadata_snapshots import fill
from tests.rows import everything

_ARRIVAL = Arrival(blob_store_name="2" * 32, came_from="1" * 32, store_was="3" * 32, last_event=1)
_EVENT = AuditEvent(action="backup.restored", actor="system", target="instance")


@pytest.fixture
async def filled_url(database_url: str) -> str:
    """Give a database with rows that nobody has open."""
    async with open_metadata_store(database_url) as store:
        await fill(store)
        async with store.writing() as rows:
            await rows.audit(_EVENT)
    return database_url


@pytest.fixture(autouse=True)
def _nobody_is_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "_PATIENCE_SECONDS", 0.5)


async def test_a_database_that_somebody_else_has_open_does_not_stand_still(filled_url: str) -> None:
    async with open_metadata_store(filled_url) as other:
        async with other.reading() as rows:
            await rows.inventory.count_files()  # It idles from now on, as processes do at night.

        with pytest.raises(RegistryInUse, match="stop all its processes"):
            async with hold_still(filled_url):
                pytest.fail("it is in use")

        async with other.writing() as writing:
            await writing.audit(_EVENT)
    async with hold_still(filled_url) as still:
        assert (await still.mark()).newest_event > 0


async def test_nobody_can_write_while_a_database_stands_still_and_everybody_afterwards(
    filled_url: str, engine: str
) -> None:
    before = await everything(filled_url)
    async with hold_still(filled_url) as still, open_metadata_store(filled_url, wait_seconds=0.2) as other:
        with pytest.raises(MetadataUnavailable):
            async with other.writing() as rows:
                await add_user(rows, "late")
        # SQLite lets nobody in; on PostgreSQL who has come would write as soon as the locks are gone.
        with pytest.raises(RegistryInUse) if engine == "postgresql" else nullcontext():
            await still.require_held()

    assert await everything(filled_url) == before
    async with open_metadata_store(filled_url) as other, other.writing() as rows:
        await add_user(rows, "later")


async def test_a_snapshot_of_a_database_that_stands_still_holds_every_row(filled_url: str, tmp_path: Path) -> None:
    before = await everything(filled_url)

    async with hold_still(filled_url) as still:
        await still.mark()
        await still.take_snapshot(tmp_path / "snapshot")

    assert await everything(f"sqlite:///{tmp_path}/snapshot") == before
    assert (tmp_path / "snapshot").stat().st_mode & 0o777 == 0o600


async def test_rows_say_where_they_came_from(filled_url: str, empty_url: str, tmp_path: Path) -> None:
    assert await look_at_rows(empty_url) is None
    before = await look_at_rows(filled_url)
    assert before is not None
    newest = before.newest_event  # On a server ids are not given again for another test.
    assert before == Mark(blob_store_name=None, arrival=None, newest_event=newest, is_untouched=False)
    await take_snapshot(filled_url, tmp_path / "snapshot")

    await arrive_in_file(tmp_path / "snapshot", _ARRIVAL)
    await load_snapshot(tmp_path / "snapshot", empty_url)

    arrived = Mark(blob_store_name="2" * 32, arrival=_ARRIVAL, newest_event=newest + 1, is_untouched=True)
    assert await look_at_rows(empty_url) == arrived
    assert await look_at_rows(filled_url) == before
    async with open_metadata_store(empty_url) as store, store.writing() as rows:
        await rows.audit(_EVENT)
    later = await look_at_rows(empty_url)
    assert later is not None
    assert (later.newest_event, later.is_untouched) == (newest + 2, False)


async def test_rows_that_stay_say_where_their_files_are(filled_url: str) -> None:
    async with hold_still(filled_url) as still, still.arriving(_ARRIVAL) as rows:
        await rows.audit(_EVENT)

    found = await look_at_rows(filled_url)
    assert found is not None
    assert (found.blob_store_name, found.arrival, found.is_untouched) == ("2" * 32, _ARRIVAL, True)


async def test_a_database_of_a_newer_version_is_refused_though_it_be_empty(empty_url: str) -> None:
    await migrate(empty_url)
    assert await look_at_rows(empty_url) is None

    def to_the_future(connection: object) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))  # type: ignore[attr-defined]

    await run(empty_url, to_the_future)

    with pytest.raises(SchemaUnknown):
        await look_at_rows(empty_url)
