"""What uploads, verdicts, deletes, sweeps and scrubs send uses indexes: asked of each engine, among many rows."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import pytest

from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.models import PackageFile, PackageFileStatus, PackageStatus, Project
from shared.ports.metadata_store import AuditEvent
from shared.status_markers import NameStatus, StatusMarker
from tests.contracts.metadata.plans import Planner, statements_of_writing
from tests.contracts.metadata.sample_rows import (
    DIGESTS,
    doom,
    lease,
    lease_end,
    new_file,
    new_package,
    new_project,
    publish,
    refuse,
    upload,
)
from tests.contracts.metadata.test_metadata_package_list_plans import reads_a_large_table
from tests.contracts.metadata.test_metadata_plans import add_many_packages, add_many_tenants

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_PACKAGES = 20_000
_SHOWN = frozenset({PackageStatus.DEFAULT})

Bring = Callable[[SqlMetadataStore, Project, str], Awaitable[PackageFile]]
"""Brings a file, of a package of this name, to where a change finds it."""


async def _published(store: SqlMetadataStore, project: Project, name: str) -> PackageFile:
    return await publish(store, project, name=name)


async def _waiting(store: SqlMetadataStore, project: Project, name: str) -> PackageFile:
    return await upload(store, project, name=name)


async def _leased(store: SqlMetadataStore, project: Project, name: str) -> PackageFile:
    return await lease(store, await upload(store, project, name=name), until=lease_end())


async def _refused(store: SqlMetadataStore, project: Project, name: str) -> PackageFile:
    file = await upload(store, project, name=name)
    await refuse(store, file)
    return file


async def _doomed(store: SqlMetadataStore, project: Project, name: str) -> PackageFile:
    file = await publish(store, project, name=name)
    await doom(store, file)
    return file


async def _first_upload(rows: SqlWriting, file: PackageFile) -> None:
    package, is_new = await rows.packages.find_or_add(new_package(file.project_id, "first"))
    await rows.package_names.hold(file.project_id, package.normalized_name)
    assert is_new
    await rows.packages.files_named(package.id, file.file_name)
    await rows.packages.add_file(new_file(package), quota_bytes=1 << 40)
    await rows.audit(AuditEvent(action="a", actor="b", target="c", project_id=file.project_id))


async def _further_upload(rows: SqlWriting, file: PackageFile) -> None:
    package = await rows.packages.lock(file.package_id)
    assert package is not None
    package, is_new = await rows.packages.find_or_add(new_package(file.project_id, package.name))
    assert not is_new
    await rows.packages.add_file(new_file(package, "further.tar.gz"))


async def _accept(rows: SqlWriting, file: PackageFile) -> None:
    await rows.packages.lock(file.package_id)
    assert await rows.packages.accept_file(file.id, attempt=1, digests=DIGESTS, metadata=None)


async def _refuse(rows: SqlWriting, file: PackageFile) -> None:
    await rows.packages.lock(file.package_id)
    assert await rows.packages.refuse_file(file.id, attempt=1, reason="it is broken")


async def _give_to_next(rows: SqlWriting, file: PackageFile) -> None:
    assert file.leased_until is not None
    assert await rows.packages.renew_lease(file.id, attempt=1, until=file.leased_until)
    assert await rows.packages.note_promise(file.id)
    assert await rows.packages.next_attempt(file.id, attempt=1, leased_until=file.leased_until)


async def _withdraw(rows: SqlWriting, file: PackageFile) -> None:
    await rows.packages.lock(file.package_id)
    assert await rows.packages.withdraw_file(file.id)
    assert await rows.packages.remove_package_if_empty(file.package_id)


async def _delete_package(rows: SqlWriting, file: PackageFile) -> None:
    await rows.packages.lock(file.package_id)
    assert await rows.packages.doom_package(file.package_id, source=_SHOWN) == (file.id,)


async def _delete_file(rows: SqlWriting, file: PackageFile) -> None:
    await rows.packages.lock(file.package_id)
    assert await rows.packages.doom_file(file.id, source=frozenset({PackageFileStatus.DEFAULT}))


async def _destroy(rows: SqlWriting, file: PackageFile) -> None:
    await rows.packages.lock(file.package_id)
    assert await rows.packages.postpone_destruction(file.id, reason="it could not be removed")
    assert await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)
    assert await rows.packages.remove_package_if_empty(file.package_id)


async def _sweep(rows: SqlWriting, file: PackageFile) -> None:
    assert file.status is PackageFileStatus.DEFAULT, "it was before it was doomed"
    await rows.packages.remove_doomed_empty_packages(limit=500)
    await rows.tenant_changes.doom_stranded_packages(limit=500)


async def _scrub(rows: SqlWriting, file: PackageFile) -> None:
    due = await rows.scrub.due(verified_before=NOW, now=NOW, limit=16)
    assert len(due) == 16
    ids = [one.id for one in due]
    assert await rows.scrub.take_due(ids, verified_before=NOW, now=NOW, until=NOW + timedelta(minutes=5))
    assert await rows.scrub.note_verified(ids, at=NOW)
    assert await rows.scrub.put_off(file.id, until=NOW)
    await rows.packages.lock(file.package_id)
    assert await rows.scrub.damage_file(file.id, reason="it has rotted", source=frozenset({PackageFileStatus.DEFAULT}))


async def _mark(rows: SqlWriting, file: PackageFile) -> None:
    package = await rows.packages.lock(file.package_id)
    assert package is not None
    assert await rows.packages.change_status(package.id, status=PackageStatus.HIDDEN, source=_SHOWN)
    assert await rows.packages.yank_file(file.id, reason=None)
    assert await rows.packages.unyank_file(file.id)
    await rows.packages.note_downloads({package.id: NOW}, grain=timedelta(minutes=1))
    marker = StatusMarker(NameStatus.ARCHIVED, None)
    assert await rows.package_names.mark(file.project_id, package.normalized_name, marker=marker)


class Change(Protocol):
    """Something that is done with a file."""

    def __call__(self, rows: SqlWriting, file: PackageFile) -> Awaitable[object]: ...


CHANGES: dict[str, tuple[Bring, Change]] = {
    "first upload": (_published, _first_upload),
    "further upload": (_published, _further_upload),
    "accept": (_leased, _accept),
    "refuse": (_leased, _refuse),
    "take": (_waiting, lambda rows, file: rows.packages.take_lease(file.id, attempt=1, until=lease_end())),
    "release": (_leased, lambda rows, file: rows.packages.release_lease(file.id, attempt=1)),
    "give to next": (_leased, _give_to_next),
    "withdraw": (_refused, _withdraw),
    "delete package": (_published, _delete_package),
    "delete file": (_published, _delete_file),
    "destroy": (_doomed, _destroy),
    "sweep": (_doomed, _sweep),
    "scrub": (_published, _scrub),
    "mark": (_published, _mark),
}


async def test_changes_use_indexes(store: SqlMetadataStore, engine: str, request: pytest.FixtureRequest) -> None:
    many, project = await new_project(store, "many"), await new_project(store)
    async with store.writing() as rows:
        await rows._transaction.connection.run_sync(add_many_tenants)
        await rows._transaction.connection.run_sync(add_many_packages, many, _PACKAGES)
    statements = {}
    for number, (name, (bring, change)) in enumerate(CHANGES.items()):
        file = await bring(store, project, f"of-{number}")
        statements[name] = await statements_of_writing(store, partial(change, file=file))

    planner = Planner(store, engine, request)
    planner.look_at_the_rows()
    plans = {name: await planner.plan_of_statements(sent) for name, sent in statements.items()}
    assert all(plans.values())
    whole = {name: [line for line in plan if reads_a_large_table(line)] for name, plan in plans.items()}
    assert {name: lines for name, lines in whole.items() if lines} == {}
