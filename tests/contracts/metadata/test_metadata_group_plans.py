"""A group with a thousand projects is looked through by one statement, which uses indexes."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, insert, select

from shared.metadata.access_tables import job_token_allowlist
from shared.metadata.package_tables import package_file_metadata, package_files, package_names, packages
from shared.metadata.store import SqlMetadataStore
from shared.metadata.tenant_tables import projects
from shared.models import (
    AccessLevel,
    NamespaceId,
    PackageFileStatus,
    PackageStatus,
    Project,
    RegistryAccess,
    Visibility,
)
from shared.names import NormalizedName
from shared.ports.pull_sources import GroupPull, OfDeployToken, OfJob, OfMember, OwnProjects
from shared.status_markers import NameStatus
from tests.contracts.metadata.plans import Planner, Query, reads_a_whole_table, statements_of
from tests.contracts.metadata.sample_rows import add_group, add_user, new_project
from tests.contracts.metadata.test_metadata_plans import add_many_tenants

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_GROUPS = 10
_PROJECTS_A_GROUP = 100
_PACKAGES_A_PROJECT = 5


def add_projects(connection: Connection, group_ids: list[NamespaceId]) -> None:
    """Add projects to each group, and to each project packages with a file each."""
    connection.execute(
        insert(projects),
        [
            {
                "namespace_id": group_id,
                "name": f"app-{number}",
                "path": f"app-{number}",
                "full_path": f"{group_id}/app-{number}",
                "full_path_key": f"{group_id}/app-{number}",
                "description": "",
                "visibility": list(Visibility)[number % 3],
                "registry_access": RegistryAccess.ENABLED,
                "job_token_scope_enabled": True,
                "created_at": NOW,
            }
            for group_id in group_ids
            for number in range(_PROJECTS_A_GROUP)
        ],
    )
    project_ids = (
        connection.execute(select(projects.c.id).where(projects.c.namespace_id.in_(group_ids))).scalars().all()
    )
    connection.execute(
        insert(packages),
        [
            {
                "project_id": project_id,
                "package_type": "pypi",
                "name": f"name-{project_id}-{number}",
                "normalized_name": f"name-{project_id}-{number}",
                "version": "1",
                "canonical_version": "1",
                "status": PackageStatus.DEFAULT,
                "created_at": NOW,
                "updated_at": NOW,
            }
            for project_id in project_ids
            for number in range(_PACKAGES_A_PROJECT)
        ],
    )
    connection.execute(
        insert(package_names),
        [
            {"project_id": project_id, "normalized_name": f"name-{project_id}-{number}", "status": NameStatus.ACTIVE}
            for project_id in project_ids
            for number in range(_PACKAGES_A_PROJECT)
        ],
    )
    added = connection.execute(select(packages.c.id, packages.c.project_id)).all()
    connection.execute(
        insert(package_files),
        [
            {
                "package_id": row.id,
                "project_id": row.project_id,
                "blob_key": str(row.id),
                "file_name": f"{row.id}.tar.gz",
                "size_bytes": 1,
                "sha256": str(row.id),
                "attempt": 1,
                "uploader_kind": "user",
                "uploader_id": 1,
                "created_at": NOW,
                "status": PackageFileStatus.DEFAULT,
            }
            for row in added
        ],
    )
    connection.execute(
        insert(package_file_metadata),
        [{"file_id": file_id, "form": {}} for file_id in connection.execute(select(package_files.c.id)).scalars()],
    )


def let_in(connection: Connection, project: Project) -> None:
    """Let the jobs of the project into one half of all projects, and those of its group into the other."""
    connection.execute(
        insert(job_token_allowlist),
        [
            {
                "project_id": project_id,
                "allowed_project_id": project.id if project_id % 2 else None,
                "allowed_namespace_id": None if project_id % 2 else project.namespace.id,
                "created_at": NOW,
            }
            for project_id in connection.execute(select(projects.c.id)).scalars()
        ],
    )


def queries(source: GroupPull) -> dict[str, Query]:
    return {
        "index": lambda rows: rows.packages.index(source),
        "page": lambda rows: rows.packages.page(source, NormalizedName("name-7-1")),
        "installable_file": lambda rows: rows.packages.installable_file(source, sha256="7", file_name="7.tar.gz"),
    }


async def test_a_thousand_projects_are_looked_through_by_one_statement_that_uses_indexes(
    store: SqlMetadataStore, engine: str, request: pytest.FixtureRequest
) -> None:
    of_job = await new_project(store)
    async with store.writing() as rows:
        await rows._transaction.connection.run_sync(add_many_tenants)
        ada = await add_user(rows)
        top = await add_group(rows, "top")
        groups = [await add_group(rows, f"sub-{number}", parent=top) for number in range(_GROUPS)]
        await rows.tenants.add_namespace_member(top, ada.id, level=AccessLevel.GUEST, expires_at=None)
        await rows._transaction.connection.run_sync(add_projects, [group.id for group in groups])
        await rows._transaction.connection.run_sync(let_in, of_job)
    planner = Planner(store, engine, request)
    planner.look_at_the_rows()
    member = OfMember(ada.id, AccessLevel.GUEST, NOW)
    callers: dict[str, OwnProjects | None] = {
        "nobody": None,
        "member": member,
        "job": OfJob(of_job, member),
        "project's token": OfDeployToken(of_job.id, None),
        "group's token": OfDeployToken(None, top.id),
    }
    for caller, own in callers.items():
        source = GroupPull(group_id=top.id, open_visibilities=frozenset({Visibility.PUBLIC}), own=own)
        for name, query in queries(source).items():
            assert len(await statements_of(store, query)) == 1, (caller, name)
            assert not [line for line in await planner.plan_of(query) if reads_a_whole_table(line)], (caller, name)
    async with store.reading() as reader:
        assert len(await reader.packages.index(source)) == _GROUPS * _PROJECTS_A_GROUP * _PACKAGES_A_PROJECT
