"""A PostgreSQL database is brought up while processes of the version before go on writing."""

import asyncio

import pytest
from alembic import command
from sqlalchemy import text

from shared.errors import MetadataUnavailable
from shared.metadata.migrate import migrate
from shared.metadata.schema import REVISION
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from tests.backends import PostgresqlServer
from tests.contracts.metadata.sample_rows import new_project, upload
from tests.contracts.metadata.test_metadata_migrations import definitions, run
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_BEFORE = "0005"


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
async def old_url(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the URL of a database that nobody has brought up yet."""
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, _BEFORE))
        await migrate(empty_url)
    return empty_url


async def test_uploads_go_on_while_an_index_is_built(old_url: str, database_url: str) -> None:
    async with open_metadata_store(old_url) as store, asyncio.TaskGroup() as group:
        project = await new_project(store)
        # An index that is built beside writers waits for those who began before; so it is still at work.
        async with store.reading() as rows:
            await rows.tenants.project(project.id)
            migrating = group.create_task(migrate(old_url))
            await eventually(lambda: _is_being_indexed(store), what="an index is being built", timeout_seconds=30)
            await upload(store, project)
            with pytest.raises(MetadataUnavailable):
                await migrate(old_url, wait_seconds=0.2)
    assert migrating.result() == (_BEFORE, REVISION)
    assert await run(old_url, definitions) == await run(database_url, definitions)


async def test_what_was_left_half_built_is_built_anew(
    old_url: str, database_url: str, postgresql_server: PostgresqlServer
) -> None:
    async with open_metadata_store(old_url) as store:
        project = await new_project(store)
        for name in ("one", "two"):
            await upload(store, project, name=name)
    name = old_url.partition("@/")[2].partition("?")[0]
    with pytest.raises(pytest.fail.Exception, match="could not create unique index"):
        postgresql_server.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY ix_packages_created_at ON packages (package_type)", database=name
        )

    await migrate(old_url)

    assert await run(old_url, definitions) == await run(database_url, definitions)


async def test_a_migration_may_take_longer_than_statements_of_the_role(
    empty_url: str, postgresql_server: PostgresqlServer
) -> None:
    name = empty_url.partition("@/")[2].partition("?")[0]
    postgresql_server.execute(f'ALTER DATABASE "{name}" SET statement_timeout = 1')
    assert await migrate(empty_url) == (None, REVISION)


async def test_no_more_than_so_many_transactions_are_under_way(database_url: str) -> None:
    async with open_metadata_store(database_url, wait_seconds=0.2, connections=1) as store:
        async with store.reading():
            with pytest.raises(MetadataUnavailable):
                await store.check_schema()
        await store.check_schema()


async def _is_being_indexed(store: SqlMetadataStore) -> bool:
    async with store.reading() as rows:
        found = await rows._transaction.rows(
            text(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
            )
        )
    return bool(found)
