"""Whoever forgets to count a change is found by any test in which it happens."""

import pytest

from shared.metadata.store import SqlMetadataStore
from shared.metadata.transaction import Transaction
from tests.contracts.metadata.sample_rows import new_project, publish
from tests.uncounted_writes import uncounted_writes


@pytest.fixture(autouse=True)
def every_change_is_counted() -> None:
    """Take the place of the one that would fail here."""


async def test_what_is_counted_and_what_is_bookkeeping_is_no_finding(store: SqlMetadataStore) -> None:
    with uncounted_writes() as found:
        file = await publish(store, await new_project(store))
        async with store.writing() as rows:
            assert await rows.scrub.note_verified([file.id], at=file.created_at) == 1
            await rows.inventory.name_blob_store("a" * 32)
    assert found == []


async def test_a_change_that_counts_nothing_is_found(store: SqlMetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await new_project(store)
    file = await publish(store, project)
    monkeypatch.setattr(Transaction, "touch", lambda *_: None)
    with uncounted_writes() as found:
        async with store.writing() as rows:
            await rows.packages.lock(file.package_id)
            await rows.packages.yank_file(file.id, reason=None)
        async with store.writing() as rows:
            await rows.settings.decide({"allow_guest_plus_roles_to_pull_packages": False})
        async with store.writing() as rows:
            await rows.tenant_changes.doom_project(project)
    assert found == [["package_files", "packages"], ["instance_settings"], ["projects"]]
