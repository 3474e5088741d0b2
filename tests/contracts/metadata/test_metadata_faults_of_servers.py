"""PostgreSQL servers that drop their clients, restart, or have no such database."""

import asyncio
import time

import pytest
from sqlalchemy import func, select, text

from shared.errors import MetadataUnavailable
from shared.metadata.migrate import migrate
from shared.metadata.package_tables import packages
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.models import PackageStatus, Project
from shared.ports.metadata_store import AuditEvent
from tests.backends import PostgresqlServer, new_postgresql_server
from tests.contracts.metadata.sample_rows import new_package, new_project, package_of, publish, upload

pytestmark = pytest.mark.slow


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
async def project(store: SqlMetadataStore) -> Project:
    return await new_project(store)


def terminate_clients(server: PostgresqlServer) -> None:
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'larder'")


async def test_connections_that_the_server_drops_while_idle_are_not_noticed(
    postgresql_server: PostgresqlServer, store: SqlMetadataStore, project: Project
) -> None:
    file = await publish(store, project)
    for _ in range(3):
        terminate_clients(postgresql_server)
        assert (await package_of(store, file)).status is PackageStatus.DEFAULT
        terminate_clients(postgresql_server)
        await upload(store, project, f"{time.monotonic_ns()}.tar.gz")


async def test_a_connection_that_is_dropped_midway_undoes_its_transaction(
    postgresql_server: PostgresqlServer, store: SqlMetadataStore, project: Project
) -> None:

    async def dropped_before_a_statement() -> None:
        async with store.writing() as rows:
            await rows.packages.find_or_add(new_package(project.id))
            terminate_clients(postgresql_server)
            await rows.audit(AuditEvent(action="a", actor="b", target="c"))

    async def dropped_before_the_commit() -> None:
        async with store.writing() as rows:
            await rows.packages.find_or_add(new_package(project.id))
            terminate_clients(postgresql_server)

    async def dropped_while_reading() -> None:
        async with store.reading() as rows:
            assert await rows.packages.index(project.id) == ()
            terminate_clients(postgresql_server)
            await rows.packages.index(project.id)

    for is_dropped in (dropped_before_a_statement, dropped_before_the_commit, dropped_while_reading):
        with pytest.raises(MetadataUnavailable):
            await is_dropped()
    async with store.reading() as reader:
        assert await reader._transaction.rows(select(packages.c.id)) == []


async def test_a_server_that_restarts_is_unavailable_and_then_back() -> None:
    with new_postgresql_server() as server:
        url = server.url(server.create_database())
        await migrate(url)
        async with open_metadata_store(url) as store:
            project = await new_project(store)
            file = await publish(store, project)
            await asyncio.to_thread(server.stop)
            with pytest.raises(MetadataUnavailable):
                await store.check_schema()
            with pytest.raises(MetadataUnavailable):
                await upload(store, project, "other.tar.gz")
            with pytest.raises(MetadataUnavailable):
                await migrate(url)
            # On this thread: the server ends with the one that started it.
            server.start()
            assert (await package_of(store, file)).status is PackageStatus.DEFAULT
            await upload(store, project, "other.tar.gz")


async def test_a_database_that_is_not_there_is_unavailable(postgresql_server: PostgresqlServer) -> None:
    async with open_metadata_store(postgresql_server.url("nowhere")) as store:
        with pytest.raises(MetadataUnavailable):
            await store.check_schema()


async def test_an_idle_session_holds_no_transaction(store: SqlMetadataStore, project: Project) -> None:
    await publish(store, project)
    async with store.reading() as rows:
        states = await rows._transaction.rows(
            text(
                "SELECT state FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'larder' AND pid <> pg_backend_pid()"
            )
        )
    assert {row.state for row in states} <= {"idle"}


async def test_sessions_have_limits_and_readers_a_snapshot(database_url: str) -> None:
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_isolation")
    query = select(*(func.current_setting(name) for name in names))
    async with open_metadata_store(database_url, wait_seconds=3) as store:
        async with store.writing() as writer:
            (of_writer,) = await writer._transaction.rows(query)
        async with store.reading() as reader:
            (of_reader,) = await reader._transaction.rows(query)
    assert tuple(of_writer) == ("3s", "6s", "1min", "read committed")
    assert tuple(of_reader) == ("3s", "6s", "1min", "repeatable read")
