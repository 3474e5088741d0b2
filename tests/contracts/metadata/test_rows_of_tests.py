"""What tests do to rows behind the registry's back waits as others do, and lets the loop go on."""

import asyncio

from sqlalchemy import update

from shared.metadata.store import SqlMetadataStore
from shared.metadata.tenant_tables import projects
from tests.contracts.metadata.sample_rows import new_project
from tests.rows import count, everything, execute, nobody_writes

_CHANGE = "UPDATE projects SET description = :text"


async def test_a_change_waits_for_a_transaction_of_the_same_loop(store: SqlMetadataStore, database_url: str) -> None:
    await new_project(store)
    async with asyncio.timeout(60):
        async with store.writing() as rows:
            await rows._transaction.change(update(projects).values(description="in the registry"))
            changing = asyncio.create_task(execute(database_url, _CHANGE, text="behind its back"))
            assert await count(database_url, "projects", where="description = ''") == 1
            await asyncio.wait({changing}, timeout=0.1)
        await changing
    assert [row["description"] for row in (await everything(database_url))["projects"]] == ["behind its back"]


async def test_while_nobody_writes_everybody_reads(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    async with asyncio.timeout(60):
        async with nobody_writes(database_url):
            changing = asyncio.create_task(execute(database_url, _CHANGE, text="late"))
            async with store.reading() as rows:
                assert await rows.tenants.project(project.id) == project
            await asyncio.wait({changing}, timeout=0.1)
            assert not changing.done()
        await changing
