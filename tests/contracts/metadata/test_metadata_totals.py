"""What the whole registry holds."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.metadata.store import SqlMetadataStore
from shared.models import PackageFileStatus, PackageStatus
from shared.ports.totals_rows import RegistryTotals
from tests.contracts.metadata.sample_rows import doom, new_project, publish, refuse, upload

_SIZE = 7
"""What each sample file holds."""


async def totals(store: SqlMetadataStore) -> RegistryTotals:
    async with store.reading() as rows:
        return await rows.totals.registry()


async def test_an_empty_registry_holds_nothing(store: SqlMetadataStore) -> None:
    assert await totals(store) == RegistryTotals({}, {}, 0, None, None)


@pytest.mark.slow
async def test_packages_files_and_bytes_of_all_projects_are_counted(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    await publish(store, project, "published.tar.gz")
    await publish(store, other)
    waiting = await upload(store, project, "waiting.tar.gz")
    await refuse(store, await upload(store, project, "refused.tar.gz"))
    doomed = await publish(store, other, "doomed.tar.gz", version="9.0")
    await doom(store, doomed)

    found = await totals(store)

    assert found.files == {
        PackageFileStatus.DEFAULT: 2,
        PackageFileStatus.PROCESSING: 1,
        PackageFileStatus.ERROR: 1,
        PackageFileStatus.PENDING_DESTRUCTION: 1,
    }
    assert found.packages == {PackageStatus.DEFAULT: 2, PackageStatus.PENDING_DESTRUCTION: 1}
    assert found.stored_bytes == 4 * _SIZE
    assert found.waiting_since == waiting.created_at
    assert found.doomed_since is not None
    assert abs(found.doomed_since - datetime.now(UTC)) < timedelta(minutes=5)
