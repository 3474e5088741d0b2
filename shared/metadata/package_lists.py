"""Lists of packages in SQL: first the ids of a page, off an index that has all they are chosen by; then the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select

from shared.metadata.package_reads import FILE_COLUMNS, PACKAGE_COLUMNS, PACKAGE_TYPE
from shared.metadata.package_tables import package_files, package_names, packages
from shared.metadata.paging import holds, read_page
from shared.metadata.pipelines import (
    pipeline_of,
    pipelines_of_files_statement,
    pipelines_statement,
    with_latest_pipeline,
)
from shared.metadata.tenant_reads import project_of, projects_with_ancestors
from shared.metadata.tenant_tables import namespace_ancestors, projects
from shared.metadata.transaction import Transaction
from shared.metadata.types import storable
from shared.metadata.visibility import has_level_in_project, may_list_packages
from shared.metadata.word_index import may_hold
from shared.models import (
    AccessLevel,
    Package,
    PackageFile,
    PackageFileStatus,
    PackageId,
    PackageStatus,
    Pipeline,
    Project,
    ProjectId,
)
from shared.names import NormalizedName, normalize_name
from shared.pages import Cursor, Page, PageRequest, Stretch
from shared.ports.package_lists import (
    GroupSource,
    ListedFile,
    ListedPackage,
    PackageFileOrder,
    PackageFilter,
    PackageOrder,
)
from shared.ports.tenant_lists import Viewer

_FEW_NAMES = 200
"""So many names are looked up one by one; where more hold the words, a list that is read in its order soon has a page
of them."""
_NAME = (package_names.c.project_id, package_names.c.normalized_name)
_SOME_NAMES = 2_000
"""Of so many, a word that is common is in more than those few."""
_ORDER = {
    PackageOrder.CREATED_AT: packages.c.created_at,
    PackageOrder.NAME: packages.c.name,
    PackageOrder.VERSION: packages.c.version,
}
_FILE_ORDER = {
    PackageFileOrder.CREATED_AT: package_files.c.created_at,
    PackageFileOrder.FILE_NAME: package_files.c.file_name,
}


@dataclass(frozen=True, slots=True)
class FewNames:
    """Which names are looked for, and where; not each of them is in each of the projects.

    Args:
        names: in normalized spelling.
    """

    project_ids: frozenset[ProjectId]
    names: frozenset[NormalizedName]


class SqlPackageLists:
    """Implements PackageLists."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def of_project(self, project: Project, wanted: PackageFilter, page: PageRequest) -> Page[ListedPackage]:
        if wanted.words:
            await self._transaction.plan_for_values()
        names = await self._names(package_names.c.project_id == project.id, wanted.words)
        ids = await self._ids(project_packages_statement(project.id, wanted, names), wanted, page)
        return await self._listed(ids, {project.id: project})

    async def of_group(self, source: GroupSource, wanted: PackageFilter, page: PageRequest) -> Page[ListedPackage]:
        await self._transaction.plan_for_values()
        visible = select(projects.c.id).where(*_is_visible(source))
        names = await self._names(package_names.c.project_id.in_(visible), wanted.words)
        ids = await self._ids(group_packages_statement(source, wanted, names), wanted, page)
        return await self._listed(ids, {})

    async def versions(
        self, package: Package, project: Project, *, statuses: frozenset[PackageStatus]
    ) -> tuple[ListedPackage, ...]:
        statement = (
            select(*PACKAGE_COLUMNS)
            .where(
                packages.c.project_id == package.project_id,
                packages.c.package_type == PACKAGE_TYPE,
                packages.c.normalized_name == package.normalized_name,
                packages.c.status.in_(sorted(statuses)),
                packages.c.version != package.version,
            )
            .order_by(packages.c.version, packages.c.id)
        )
        rows = await self._transaction.rows(with_latest_pipeline(statement))
        return tuple(_listed_package(row, project) for row in rows)

    async def files(
        self,
        package_id: PackageId,
        page: PageRequest,
        *,
        status: PackageFileStatus,
        order: PackageFileOrder,
        is_descending: bool,
    ) -> Page[ListedFile]:
        statement = select(*FILE_COLUMNS).where(
            package_files.c.package_id == package_id, package_files.c.status == status
        )
        columns = [_FILE_ORDER.get(order, package_files.c.id), package_files.c.id]
        found = await read_page(
            self._transaction,
            statement,
            _directed(columns, is_descending=is_descending),
            page,
            lambda row: PackageFile(**row._asdict()),
        )
        built = await self._pipelines_of_files(package_id, found.entries)
        entries = tuple(ListedFile(file, tuple(built.get(file.id, ()))) for file in found.entries)
        return Page(entries, found.total, found.has_more)

    async def listed_file(self, file: PackageFile) -> ListedFile:
        built = await self._pipelines_of_files(file.package_id, [file])
        return ListedFile(file, tuple(built.get(file.id, ())))

    async def pipelines(self, package_id: PackageId, *, cursor: Cursor | None, limit: int) -> Stretch[Pipeline]:
        rows = await self._transaction.rows(pipelines_statement(package_id, cursor, limit + 1))
        shown = list(rows[:limit])
        is_backward = cursor is not None and cursor.is_backward
        if is_backward:
            shown.reverse()
        found = tuple(filter(None, map(pipeline_of, shown)))
        has_next = bool(shown) and (is_backward or len(rows) > limit)
        return Stretch(found, Cursor(shown[-1].link_id) if has_next else None)

    async def latest_pipeline(self, package_id: PackageId) -> Pipeline | None:
        found = await self.pipelines(package_id, cursor=None, limit=1)
        return found.entries[0] if found.entries else None

    async def with_level(
        self, project_ids: Iterable[ProjectId], viewer: Viewer, lowest: AccessLevel
    ) -> frozenset[ProjectId]:
        wanted = frozenset(project_ids)
        if viewer.sees_all or not wanted:
            return wanted
        rows = await self._transaction.rows(
            select(projects.c.id).where(projects.c.id.in_(sorted(wanted)), has_level_in_project(viewer, lowest))
        )
        return frozenset(ProjectId(row.id) for row in rows)

    async def _names(self, in_source: ColumnElement[bool], words: Sequence[str]) -> FewNames | None:
        """Return the names of the source that hold the words; None when they are many, or any name will do."""
        if not words:
            return None
        statements = [names_statement(in_source, words)]
        if self._transaction.engine == "postgresql":
            # A word that many names hold is soon found many times; one that few hold is found off its index.
            statements = [some_names_statement(in_source, words), indexed_names_statement(in_source, words)]
        for statement in statements:
            rows = await self._transaction.rows(statement)
            if len(rows) > _FEW_NAMES:
                return None
        return FewNames(frozenset(row.project_id for row in rows), frozenset(row.normalized_name for row in rows))

    async def _ids(self, statement: Select[Any], wanted: PackageFilter, page: PageRequest) -> Page[PackageId]:
        return await read_page(self._transaction, statement, package_order(wanted), page, lambda row: row.id)

    async def _listed(self, ids: Page[PackageId], known: dict[ProjectId, Project]) -> Page[ListedPackage]:
        statement = select(*PACKAGE_COLUMNS).where(packages.c.id.in_(ids.entries))
        rows = await self._transaction.rows(with_latest_pipeline(statement)) if ids.entries else ()
        of_rows = known or await self._projects({row.project_id for row in rows})
        found = {row.id: _listed_package(row, of_rows[row.project_id]) for row in rows}
        return Page(tuple(found[one] for one in ids.entries), ids.total, ids.has_more)

    async def _projects(self, project_ids: set[ProjectId]) -> dict[ProjectId, Project]:
        rows = await self._transaction.rows(
            projects_with_ancestors(projects.c.id.in_(sorted(project_ids)))
            .order_by(None)
            .order_by(projects.c.id, namespace_ancestors.c.distance.desc())
        )
        return {of: project_of(list(same)) for of, same in groupby(rows, lambda row: row.id)}

    async def _pipelines_of_files(
        self, package_id: PackageId, files: Sequence[PackageFile]
    ) -> dict[int, list[Pipeline]]:
        built: dict[int, list[Pipeline]] = {}
        if not files:
            return built
        statement = pipelines_of_files_statement(package_id, [file.id for file in files])
        for row in await self._transaction.rows(statement):
            pipeline = pipeline_of(row)
            if pipeline is not None:
                built.setdefault(row.package_file_id, []).append(pipeline)
        return built


def project_packages_statement(project_id: ProjectId, wanted: PackageFilter, names: FewNames | None) -> Select[Any]:
    """Return the ids of a project's packages."""
    statement = select(packages.c.id).where(packages.c.project_id == project_id, *_conditions(wanted, names))
    return _chosen_first(statement) if _are_few(wanted, names) else statement


def group_packages_statement(source: GroupSource, wanted: PackageFilter, names: FewNames | None) -> Select[Any]:
    """Return the ids of the packages of a group's projects, joined to these."""
    is_of_project = projects.c.id == packages.c.project_id
    statement = select(packages.c.id).join(projects, is_of_project)
    statement = statement.where(*_is_visible(source), *_conditions(wanted, names))
    return _chosen_first(statement).join(projects, is_of_project) if _are_few(wanted, names) else statement


def names_statement(in_source: ColumnElement[bool], words: Sequence[str]) -> Select[Any]:
    """Return names that hold all words, in normalized spelling: no more than it takes to see that they are many."""
    return _holding(select(*_NAME).where(in_source), _NAME[1], words)


def indexed_names_statement(in_source: ColumnElement[bool], words: Sequence[str]) -> Select[Any]:
    """Return the same, off the index of words."""
    return names_statement(in_source, words).where(*may_hold(_NAME[1], _normalized(words)))


def some_names_statement(in_source: ColumnElement[bool], words: Sequence[str]) -> Select[Any]:
    """Return the same of some of the source's names, whichever."""
    some = select(*_NAME).where(in_source).limit(_SOME_NAMES).subquery("some_names")
    return _holding(select(some), some.c.normalized_name, words)


def _holding(names: Select[Any], name: ColumnElement[str], words: Sequence[str]) -> Select[Any]:
    held = (name.contains(word, autoescape=True) for word in _normalized(words))
    return names.where(*held).limit(_FEW_NAMES + 1)


def _normalized(words: Sequence[str]) -> list[str]:
    return [normalize_name(storable(word)) for word in words]


def package_order(wanted: PackageFilter) -> list[ColumnElement[Any]]:
    """Return by what the packages are sorted."""
    if wanted.order is PackageOrder.PROJECT_PATH:
        path = projects.c.path
        return [path.desc() if wanted.is_descending else path.asc(), packages.c.id.desc()]
    columns = [_ORDER.get(wanted.order, packages.c.id), packages.c.id]
    return _directed(columns, is_descending=wanted.is_descending)


def _directed(columns: Sequence[ColumnElement[Any]], *, is_descending: bool) -> list[ColumnElement[Any]]:
    return [column.desc() if is_descending else column.asc() for column in columns]


def _are_few(wanted: PackageFilter, names: FewNames | None) -> bool:
    return names is not None or wanted.version is not None


def _chosen_first(statement: Select[Any]) -> Select[Any]:
    """Return the statement so that its packages are found first, and then sorted.

    SQLite knows nothing of how many rows a condition leaves, and would rather read all packages in their order.
    """
    return select(packages.c.id).where(packages.c.id.in_(statement))


def _conditions(wanted: PackageFilter, names: FewNames | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [packages.c.status.in_(sorted(wanted.statuses))]
    if wanted.version is not None:
        conditions.append(packages.c.version == wanted.version)
    if names is not None:
        conditions += [
            packages.c.package_type == PACKAGE_TYPE,
            packages.c.project_id.in_(sorted(names.project_ids)),
            packages.c.normalized_name.in_(sorted(names.names)),
        ]
    # The spelling may differ from package to package of one name.
    return [*conditions, *(holds(packages.c.name, word) for word in wanted.words)]


def _is_visible(source: GroupSource) -> list[ColumnElement[bool]]:
    below = select(namespace_ancestors.c.namespace_id).where(namespace_ancestors.c.ancestor_id == source.namespace_id)
    return [
        projects.c.doomed_at.is_(None),
        projects.c.namespace_id.in_(below)
        if source.includes_subgroups
        else projects.c.namespace_id == source.namespace_id,
        may_list_packages(source.viewer, source.lowest_level),
    ]


def _listed_package(row: Row[Any], project: Project) -> ListedPackage:
    found = row._mapping
    package = Package(**{column.name: found[column.name] for column in PACKAGE_COLUMNS})
    return ListedPackage(package, project, pipeline_of(row))
