"""Migrations: from nothing to this version's schema, whole or not at all."""

import asyncio
import logging
import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, select, text

from shared.errors import MetadataUnavailable, SchemaUnknown
from shared.metadata.engine import open_doors
from shared.metadata.migrate import expected_revision, migrate
from shared.metadata.schema import REVISION
from shared.metadata.store import open_metadata_store
from shared.metadata.tables import instance_settings, metadata
from tests.contracts.metadata.sample_rows import new_project

ROOT = Path(__file__).parents[3]

_DEFINITIONS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'",
    "postgresql": """
        SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT table_name || '.' || column_name,
            concat_ws(' ', data_type, is_nullable, collation_name, is_identity, identity_generation)
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    """,
}


async def run(url: str, work: Any) -> Any:
    """Do work on a connection and commit it."""
    async with open_doors(url, wait_seconds=5) as doors, doors.writer.transaction() as connection:
        result = await connection.run_sync(work)
        await connection.commit()
        return result


def definitions(connection: Connection) -> dict[str, list[str]]:
    """Return what the database says of everything in it; SQLite keeps the order in which it was said."""
    rows = connection.execute(text(_DEFINITIONS[connection.dialect.name]))
    return {
        name: sorted(re.findall(r"[\w']+|[^\s\w']", definition)) for name, definition in rows if "alembic" not in name
    }


async def test_the_scripts_lead_to_the_revision_that_the_code_expects() -> None:
    assert expected_revision() == REVISION


async def test_an_empty_database_gets_the_schema_once(empty_url: str) -> None:
    assert await migrate(empty_url) == (None, REVISION)
    assert await migrate(empty_url) == (REVISION, REVISION)
    async with open_metadata_store(empty_url) as store:
        await store.check_schema()
        await new_project(store)


async def test_the_scripts_make_what_the_tables_say(empty_url: str) -> None:
    await migrate(empty_url)

    def differences(connection: Connection) -> list[Any]:
        # Only PostgreSQL has it, so no table says it; the next test sees that it is there.
        opts = {"compare_type": True, "include_name": lambda name, *_: name != "ix_package_names_trigrams"}
        context = MigrationContext.configure(connection, opts=opts)
        return list(compare_metadata(context, metadata))

    assert await run(empty_url, differences) == []


async def test_the_scripts_make_every_constraint_and_index_as_the_tables_do(empty_url: str, database_url: str) -> None:
    await run(empty_url, metadata.create_all)
    by_tables = await run(empty_url, definitions)
    by_scripts = await run(database_url, definitions)
    assert by_scripts == by_tables
    assert len(by_tables) > 40


async def test_text_sorts_by_code_point(database_url: str, engine: str) -> None:
    words = ["Z", "a", "B", "é", "_", "-", "10", "9", "\uff41", "\U0001d482", "", "a b", "ab"]

    def sort(connection: Connection) -> list[str]:
        now = datetime.now(UTC)
        connection.execute(insert(instance_settings), [{"name": word, "value": 1, "updated_at": now} for word in words])
        return list(connection.execute(select(instance_settings.c.name).order_by(instance_settings.c.name)).scalars())

    assert await run(database_url, sort) == sorted(words)
    if engine == "postgresql":
        # Whatever the database's own collation is: here it may be that of code points by chance.
        collations = text(
            "SELECT DISTINCT collation_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'text'"
        )
        assert await run(database_url, lambda connection: list(connection.execute(collations).scalars())) == ["C"]


@pytest.mark.parametrize("found", ["9999", "0001-of-a-fork"])
async def test_an_unknown_schema_is_refused_and_left_alone(empty_url: str, found: str) -> None:
    await migrate(empty_url)
    renumber = text("UPDATE alembic_version SET version_num = :found").bindparams(found=found)
    await run(empty_url, lambda connection: connection.execute(renumber))
    before = await run(empty_url, definitions)
    with pytest.raises(SchemaUnknown) as refused:
        await migrate(empty_url)
    assert (refused.value.found, refused.value.expected) == (found, REVISION)
    assert await run(empty_url, definitions) == before
    async with open_metadata_store(empty_url) as store:
        with pytest.raises(SchemaUnknown) as refused:
            await store.check_schema()
    assert (refused.value.found, refused.value.expected) == (found, REVISION)


async def test_an_empty_database_is_told_as_one(empty_url: str) -> None:
    async with open_metadata_store(empty_url) as store:
        with pytest.raises(SchemaUnknown) as refused:
            await store.check_schema()
    assert (refused.value.found, refused.value.expected) == (None, REVISION)


async def test_a_database_of_the_first_schema_is_brought_to_this_one_with_its_rows(
    empty_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
        await migrate(empty_url)
    async with open_metadata_store(empty_url) as store:
        project = await new_project(store)
    assert await migrate(empty_url) == ("0001", REVISION)
    assert await run(empty_url, definitions) == await run(database_url, definitions)
    async with open_metadata_store(empty_url) as store, store.reading() as rows:
        assert await rows.tenants.project(project.id) == project


@pytest.mark.slow
async def test_two_who_migrate_at_once_do_it_once(empty_url: str) -> None:
    script = (
        "import asyncio, sys; from shared.metadata.migrate import migrate; print(asyncio.run(migrate(sys.argv[1])))"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            script,
            empty_url,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    outputs = [await process.communicate() for process in processes]
    assert [errors for _, errors in outputs] == [b""] * 3
    assert sorted(output.decode().strip() for output, _ in outputs) == sorted(
        [str((None, REVISION)), *[str((REVISION, REVISION))] * 2]
    )


async def test_a_migration_that_fails_midway_leaves_the_old_schema(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PlannedError(Exception):
        pass

    upgrade = command.upgrade

    def upgrade_and_fail(*arguments: Any) -> None:
        upgrade(*arguments)
        raise PlannedError

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", upgrade_and_fail)
        with pytest.raises(PlannedError):
            await migrate(empty_url)
    assert await run(empty_url, definitions) == {}
    assert await migrate(empty_url) == (None, REVISION)


async def test_a_migration_that_is_killed_midway_leaves_the_old_schema(empty_url: str) -> None:
    script = """
import asyncio, sys
from alembic import command
from shared.metadata.migrate import migrate
upgrade = command.upgrade
def upgrade_and_hang(*arguments):
    upgrade(*arguments)
    print("midway", flush=True)
    sys.stdin.read()
command.upgrade = upgrade_and_hang
asyncio.run(migrate(sys.argv[1]))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, empty_url, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"midway\n"
    with pytest.raises(MetadataUnavailable):
        await migrate(empty_url, wait_seconds=0.2)
    os.kill(process.pid, signal.SIGKILL)
    await process.communicate()
    assert await run(empty_url, definitions) == {}
    assert await migrate(empty_url) == (None, REVISION)


async def test_a_migration_prints_and_logs_nothing(
    empty_url: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await migrate(empty_url)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("alembic")] == []


@pytest.mark.parametrize("url", ["mysql://localhost/x", "sqlite://", "sqlite:///", "nonsense", "postgresql://host", ""])
async def test_another_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"(database|sqlite) URL is") as refused:
        await migrate(url)
    assert "localhost" not in str(refused.value)
    with pytest.raises(ValueError, match=r"(database|sqlite) URL is"):
        async with open_metadata_store(url):
            pass
