"""The lists of packages read no table as a whole, in a registry where most packages are somebody else's."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from shared.metadata.package_tables import package_names, packages
from shared.metadata.store import SqlMetadataStore, SqlReading
from shared.metadata.tenant_tables import projects
from shared.models import AccessLevel, Package, PackageFileStatus, PackageStatus, Project, UserId
from shared.pages import Cursor, PageRequest
from shared.ports.package_lists import GroupSource, PackageFileOrder, PackageFilter, PackageOrder
from shared.ports.tenant_lists import Viewer
from tests.contracts.metadata.plans import Planner, reads_a_whole_table
from tests.contracts.metadata.sample_rows import new_project
from tests.contracts.metadata.test_metadata_plans import ProjectQuery, add_many_tenants, for_project
from tests.stored_packages import FIRST, Stored, store_packages, store_pipeline

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHOWN = frozenset({PackageStatus.DEFAULT, PackageStatus.ERROR, PackageStatus.DEPRECATED})
FIRST_PAGE = PageRequest(1, 20)
LARGE = ("packages", "package_names", "package_files", "newest_links", "projects")
"""Tables that no list may read as a whole; `newest_links` is how a list calls those of one of its packages.

The links themselves are found by their primary key, which PostgreSQL does not care for while they are few.
"""
_OTHERS = 5
"""How many packages each of the other projects has."""


def project_list(order: PackageOrder, **wanted: Any) -> ProjectQuery:
    """List the packages of a project, sorted like this."""
    return lambda rows, project: rows.package_lists.of_project(
        project, PackageFilter(SHOWN, order=order, **wanted), FIRST_PAGE
    )


def group_list(order: PackageOrder, **wanted: Any) -> ProjectQuery:
    """List the packages of the project's group, sorted like this, for somebody."""
    viewer = Viewer(user_id=UserId(7), sees_internal=True, sees_all=False, now=NOW)
    return lambda rows, project: rows.package_lists.of_group(
        GroupSource(project.namespace.id, True, viewer, AccessLevel.REPORTER),
        PackageFilter(SHOWN, order=order, **wanted),
        FIRST_PAGE,
    )


async def _first(rows: SqlReading, project: Project) -> Package:
    page = await rows.package_lists.of_project(project, PackageFilter(SHOWN), PageRequest(1, 1))
    return page.entries[0].package


async def _versions(rows: SqlReading, project: Project) -> None:
    await rows.package_lists.versions(await _first(rows, project), project, statuses=SHOWN)


async def _files(rows: SqlReading, project: Project) -> None:
    of = await _first(rows, project)
    page = await rows.package_lists.files(
        of.id, FIRST_PAGE, status=PackageFileStatus.DEFAULT, order=PackageFileOrder.FILE_NAME, is_descending=False
    )
    assert page.entries, "else the pipelines of files are not looked for"


async def _pipelines(rows: SqlReading, project: Project) -> None:
    of = await _first(rows, project)
    await rows.package_lists.pipelines(of.id, cursor=Cursor(7), limit=20)


QUERIES: dict[str, ProjectQuery] = {
    **{f"by_{order}": project_list(order) for order in PackageOrder if order != PackageOrder.PROJECT_PATH},
    **{f"of_group_by_{order}": group_list(order) for order in PackageOrder},
    "of_a_version": project_list(PackageOrder.CREATED_AT, version="7"),
    "with_a_rare_word": project_list(PackageOrder.CREATED_AT, words=("name-77",)),
    "with_a_common_word": project_list(PackageOrder.CREATED_AT, words=("name",)),
    "of_group_with_a_rare_word": group_list(PackageOrder.CREATED_AT, words=("name-77",)),
    "of_group_with_a_common_word": group_list(PackageOrder.PROJECT_PATH, words=("name",)),
    "versions": _versions,
    "files": _files,
    "pipelines": _pipelines,
}

# Those that are read in their order find a page without reading and sorting all packages of the project.
INDEXES = {
    "by_created_at": "ix_packages_by_created_at",
    "by_name": "ix_packages_by_name",
    "by_version": "ix_packages_by_version",
    "of_a_version": "ix_packages_by_version",
    "with_a_rare_word": "ix_packages_name",
}
# PostgreSQL plans a search for its values, and knows when all that a project has is sorted at once.
INDEXES_OF_SQLITE = {"with_a_common_word": "ix_packages_by_created_at"}


def add_packages_of_others(connection: Connection, project: Project) -> None:
    others = list(connection.execute(select(projects.c.id).where(projects.c.id != project.id)).scalars())
    named = [(of, f"name-{number}") for of in others for number in range(_OTHERS)]
    connection.execute(
        insert(package_names), [{"project_id": of, "normalized_name": name, "status": "active"} for of, name in named]
    )
    connection.execute(
        insert(packages),
        [
            {
                "project_id": of,
                "package_type": "pypi",
                "name": name,
                "normalized_name": name,
                "version": "1",
                "canonical_version": "1",
                "status": PackageStatus.DEFAULT,
                "created_at": FIRST,
                "updated_at": FIRST,
            }
            for of, name in named
        ],
    )


def reads_a_large_table(line: str) -> bool:
    """Say whether a line of a plan does; SQLite scans what it made up itself, too, such as a list of constants."""
    return reads_a_whole_table(line) and re.search(rf"(?:SCAN|Seq Scan on) (?:{'|'.join(LARGE)})\b", line) is not None


async def test_lists_of_packages_use_indexes(
    store: SqlMetadataStore, database_url: str, engine: str, request: pytest.FixtureRequest
) -> None:
    project = await new_project(store)
    own = [Stored(f"name-{number}", "7", files=(("a.whl", PackageFileStatus.DEFAULT),)) for number in range(300)]
    ids = await store_packages(database_url, project, own)
    for number in range(10):
        await store_pipeline(database_url, project, number, of_packages=ids)
    async with store.writing() as rows:
        await rows._transaction.connection.run_sync(add_many_tenants)
        await rows._transaction.connection.run_sync(add_packages_of_others, project)

    planner = Planner(store, engine, request)
    planner.look_at_the_rows()
    plans = {name: await planner.plan_of(for_project(query, project)) for name, query in QUERIES.items()}
    whole = {name: [line for line in plan if reads_a_large_table(line)] for name, plan in plans.items()}
    assert {name: lines for name, lines in whole.items() if lines} == {}
    indexes = INDEXES | (INDEXES_OF_SQLITE if engine == "sqlite" else {})
    assert {name: plans[name] for name, index in indexes.items() if index not in " ".join(plans[name])} == {}
