"""The queries that run often use indexes: asked of each engine, with rows enough to make it worth while."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from shared.metadata.access_tables import access_tokens, job_token_allowlist, protection_rules
from shared.metadata.package_tables import (
    package_file_metadata,
    package_files,
    package_names,
    packages,
    project_storage,
)
from shared.metadata.store import SqlMetadataStore, SqlReading
from shared.metadata.tenant_tables import members, namespace_ancestors, namespaces, projects, users
from shared.models import (
    AccessLevel,
    BlobKey,
    NamespaceKind,
    PackageFileId,
    PackageFileStatus,
    PackageId,
    PackageStatus,
    Project,
    ProjectId,
    RegistryAccess,
    TokenId,
    UserId,
    UserState,
    Visibility,
)
from shared.names import NormalizedName
from shared.pages import PageRequest
from shared.ports.namespace_rows import NamespaceFilter
from shared.ports.token_rows import TokenFilter
from shared.principals import TokenKind
from shared.protection import ProtectedPackageType, ProtectionLevel
from shared.status_markers import NameStatus
from tests.contracts.metadata.plans import Planner, Query, reads_a_whole_table
from tests.contracts.metadata.sample_rows import new_project

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_ROWS = 2_000

ProjectQuery = Callable[[SqlReading, Project], Awaitable[object]]

QUERIES: dict[str, ProjectQuery] = {
    "page": lambda rows, project: rows.packages.page(project.id, NormalizedName("name-7")),
    "installable_file": lambda rows, project: rows.packages.installable_file(
        project.id, sha256="7", file_name="7.tar.gz"
    ),
    "marker": lambda rows, project: rows.package_names.marker(project.id, NormalizedName("name-7")),
    "package": lambda rows, _: rows.packages.package(PackageId(7)),
    "file": lambda rows, _: rows.packages.file(PackageFileId(7)),
    "form": lambda rows, _: rows.packages.form(PackageFileId(7)),
    "attestations": lambda rows, _: rows.packages.attestations(PackageFileId(7)),
    "core_metadata": lambda rows, _: rows.packages.core_metadata(PackageFileId(7)),
    "known_blobs": lambda rows, _: rows.packages.known_blobs([BlobKey("7")]),
    "unleased": lambda rows, _: rows.packages.unleased(created_before=NOW, now=NOW, limit=100),
    "lapsed": lambda rows, _: rows.packages.lapsed(now=NOW, lease_seconds=30, limit=100),
    "doomed": lambda rows, _: rows.packages.doomed(doomed_before=NOW, now=NOW, limit=100),
    "used_bytes": lambda rows, project: rows.storage.used_bytes(project.id),
    "due_for_scrub": lambda rows, _: rows.scrub.due(verified_before=NOW, now=NOW, limit=16),
    "files_of_inventory": lambda rows, _: rows.inventory.files(after=PackageFileId(7), limit=100),
    "files_by_blob_of_inventory": lambda rows, _: rows.inventory.files_by_blob(after="2026/11/21/7", limit=100),
    "core_metadata_of_inventory": lambda rows, _: rows.inventory.core_metadata(after=PackageFileId(7), limit=100),
    "by_digest": lambda rows, _: rows.tokens.by_digest("7"),
    "of_user": lambda rows, _: rows.tokens.of_user(UserId(7), name="name-7"),
    "personal": lambda rows, _: rows.tokens.personal(TokenId(7)),
    "personal_page": lambda rows, _: rows.tokens.personal_page(
        TokenFilter(user_id=UserId(7)), PageRequest(1, 20), now=NOW
    ),
    "deploy_token": lambda rows, project: rows.deploy_tokens.one(project, TokenId(7)),
    "deploy_tokens_of_project": lambda rows, project: rows.deploy_tokens.of_source(
        project, PageRequest(1, 20), active_at=NOW
    ),
    "deploy_tokens_of_group": lambda rows, project: rows.deploy_tokens.of_source(
        project.namespace, PageRequest(1, 20), active_at=NOW
    ),
    "by_email": lambda rows, _: rows.users.by_email("name-7"),
    "namespaces_of_user": lambda rows, _: rows.namespaces.page(
        NamespaceFilter(user_id=UserId(7)), PageRequest(1, 20), now=NOW
    ),
    "forwarding_rules": lambda rows, project: rows.forwarding.rules(project.namespace),
    "was_in_project": lambda rows, project: rows.forwarding.was_in_project(project.id, NormalizedName("name-7")),
    "was_below_group": lambda rows, project: rows.forwarding.was_below_group(
        project.namespace.id, NormalizedName("name-7")
    ),
    "project": lambda rows, project: rows.tenants.project(project.id),
    "project_by_path": lambda rows, _: rows.tenants.project_by_path("name-7/app"),
    "namespace_by_path": lambda rows, _: rows.tenants.namespace_by_path("name-7"),
    "user_by_username": lambda rows, _: rows.tenants.user_by_username("name-7"),
    "is_allowed": lambda rows, project: rows.job_tokens.is_allowed(project, into=ProjectId(7)),
    "running": lambda rows, project: rows.job_tokens.running(project, TokenId(7), now=NOW),
    "allowed_projects": lambda rows, project: rows.job_tokens.allowed_projects(project, PageRequest(1, 20)),
    "rules_of_project": lambda rows, project: rows.protection_rules.of_project(project.id),
    "level_in_project": lambda rows, project: rows.tenants.level_in_project(UserId(7), project, now=NOW),
}

# Where not every index will do: a partial one counts only for a query that states its terms. Of several, any does: what
# PostgreSQL takes of two that cost the same hangs on the sample of rows that it counted.
INDEXES = {
    "page": ("ix_packages_name", "ix_packages_of_name"),
    "installable_file": ("ix_package_files_sha256",),
    "unleased": ("ix_package_files_unleased",),
    "lapsed": ("ix_package_files_leased",),
    "doomed": ("ix_package_files_doomed",),
    "due_for_scrub": ("ix_package_files_scrub",),
    "project_by_path": ("uq_projects_full_path_key",),
    "namespace_by_path": ("uq_namespaces_full_path_key",),
}


def ids_of(connection: Connection, table: str) -> list[int]:
    return list(connection.execute(text(f"SELECT id FROM {table} ORDER BY id")).scalars())  # noqa: S608 - our tables


def add_many_tenants(connection: Connection) -> None:
    numbered = [f"name-{number}" for number in range(_ROWS)]
    own = {"visibility": Visibility.PRIVATE, "description": "", "created_at": NOW}
    connection.execute(
        insert(namespaces),
        [
            {
                **own,
                "kind": NamespaceKind.GROUP,
                "name": name,
                "path": name,
                "full_path": name,
                "full_path_key": name,
                "lock_pypi_package_requests_forwarding": False,
            }
            for name in numbered
        ],
    )
    homes = ids_of(connection, "namespaces")[-_ROWS:]
    connection.execute(
        insert(namespace_ancestors), [{"namespace_id": home, "ancestor_id": home, "distance": 0} for home in homes]
    )
    connection.execute(
        insert(projects),
        [
            {
                **own,
                "namespace_id": home,
                "name": "app",
                "path": "app",
                "full_path": f"{name}/app",
                "full_path_key": f"{name}/app",
                "registry_access": RegistryAccess.ENABLED,
                "job_token_scope_enabled": True,
            }
            for home, name in zip(homes, numbered, strict=True)
        ],
    )
    connection.execute(
        insert(protection_rules),
        [
            {
                "project_id": project_id,
                "package_type": ProtectedPackageType.PYPI,
                "package_name_pattern": "*",
                "minimum_access_level_for_push": ProtectionLevel.OWNER,
                "created_at": NOW,
                "updated_at": NOW,
            }
            for project_id in ids_of(connection, "projects")
        ],
    )
    connection.execute(
        insert(project_storage), [{"project_id": one, "bytes": 7} for one in ids_of(connection, "projects")]
    )
    connection.execute(
        insert(users),
        [
            {
                "username": name,
                "username_key": name,
                "name": name,
                "email": name,
                "email_key": name,
                "state": UserState.ACTIVE,
                "is_admin": False,
                "is_external": False,
                "namespace_id": home,
                "created_at": NOW,
            }
            for home, name in zip(homes, numbered, strict=True)
        ],
    )
    connection.execute(
        insert(job_token_allowlist),
        [
            {"project_id": one, "created_at": NOW, "allowed_project_id": None, "allowed_namespace_id": None, **allowed}
            for one, home in zip(ids_of(connection, "projects")[-_ROWS:], homes, strict=True)
            for allowed in ({"allowed_project_id": one}, {"allowed_namespace_id": home})
        ],
    )
    people = ids_of(connection, "users")
    connection.execute(
        insert(members),
        [
            {"namespace_id": home, "user_id": person, "level": AccessLevel.GUEST, "created_at": NOW}
            for home, person in zip(homes, people, strict=True)
        ],
    )
    connection.execute(
        insert(access_tokens),
        [
            {
                "kind": TokenKind.PERSONAL,
                "digest": str(person),
                "name": "laptop",
                "user_id": person,
                "scopes": ["api"],
                "created_at": NOW,
            }
            for person in people
        ],
    )


def add_many_packages(connection: Connection, project: Project, count: int = _ROWS) -> None:
    """Add packages with a file each: of a hundred, one waits, one is leased, one is doomed."""
    at = [NOW - timedelta(seconds=number) for number in range(count)]
    connection.execute(
        insert(packages),
        [
            {
                "project_id": project.id,
                "package_type": "pypi",
                "name": f"name-{number}",
                "normalized_name": f"name-{number}",
                "version": "1",
                "canonical_version": "1",
                "status": PackageStatus.DEFAULT,
                "created_at": at[number],
                "updated_at": at[number],
            }
            for number in range(count)
        ],
    )
    connection.execute(
        insert(package_names),
        [
            {"project_id": project.id, "normalized_name": f"name-{number}", "status": NameStatus.ACTIVE}
            for number in range(count)
        ],
    )
    kinds: dict[int, dict[str, Any]] = {
        1: {"status": PackageFileStatus.PROCESSING},
        2: {"status": PackageFileStatus.PROCESSING, "leased_until": NOW},
        3: {"status": PackageFileStatus.PENDING_DESTRUCTION, "doomed_at": NOW - timedelta(days=1)},
    }
    connection.execute(
        insert(package_files),
        [
            {
                "package_id": package_id,
                "project_id": project.id,
                "blob_key": str(number),
                "file_name": f"{number}.tar.gz",
                "size_bytes": 1,
                "sha256": str(number),
                "attempt": 1,
                "uploader_kind": "user",
                "uploader_id": 1,
                "created_at": at[number],
                "status": PackageFileStatus.DEFAULT,
                "leased_until": None,
                "doomed_at": None,
                **kinds.get(number % 100, {}),
            }
            for number, package_id in enumerate(ids_of(connection, "packages"))
        ],
    )
    connection.execute(
        insert(package_file_metadata),
        [{"file_id": file_id, "form": {"name": ["demo"]}} for file_id in ids_of(connection, "package_files")],
    )


def for_project(query: ProjectQuery, project: Project) -> Query:
    return lambda rows: query(rows, project)


async def test_queries_that_run_often_use_indexes(
    store: SqlMetadataStore, engine: str, request: pytest.FixtureRequest
) -> None:
    project = await new_project(store)
    async with store.writing() as rows:
        await rows._transaction.connection.run_sync(add_many_tenants)
        await rows._transaction.connection.run_sync(add_many_packages, project)

    planner = Planner(store, engine, request)
    planner.look_at_the_rows()
    plans = {name: await planner.plan_of(for_project(query, project)) for name, query in QUERIES.items()}
    assert all(plans.values())
    assert {name: plan for name, plan in plans.items() if any(map(reads_a_whole_table, plan))} == {}
    assert {name: plans[name] for name, usable in INDEXES.items() if not uses_one_of(usable, plans[name])} == {}


def uses_one_of(indexes: tuple[str, ...], plan: list[str]) -> bool:
    return any(index in line for index in indexes for line in plan)
