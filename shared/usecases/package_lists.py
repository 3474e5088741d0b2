"""List packages, what is in them and what they came from, to those who were let in.

Source: lib/api/project_packages.rb, group_packages.rb and package_files.rb; contract, Packages 2 to 5 and 9.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from shared.access import may_administer_packages
from shared.errors import NotFound, PackageNotDetailed
from shared.models import (
    AccessLevel,
    Package,
    PackageFileStatus,
    PackageId,
    PackageStatus,
    Pipeline,
    ProjectId,
)
from shared.pages import Cursor, Page, PageRequest, Stretch
from shared.ports.metadata_store import MetadataStore, Reading
from shared.ports.package_lists import (
    GroupSource,
    ListedFile,
    ListedPackage,
    PackageFileOrder,
    PackageFilter,
    PackageOrder,
)
from shared.usecases.admission import pull_rules
from shared.usecases.package_lookup import DISPLAYABLE, find_package
from shared.usecases.seen_pipelines import SeenPipelines, seen_pipelines
from shared.usecases.tenant_admission import viewer_of
from shared.usecases.visits import GroupVisit, Visit

DETAILED = frozenset({PackageStatus.DEFAULT, PackageStatus.DEPRECATED})
"""Statuses of packages of which more is told than a list does."""


class PackageType(StrEnum):
    """The kinds of packages that GitLab knows; all that are here are of one kind."""

    MAVEN = "maven"
    NPM = "npm"
    CONAN = "conan"
    NUGET = "nuget"
    PYPI = "pypi"
    COMPOSER = "composer"
    GENERIC = "generic"
    GOLANG = "golang"
    DEBIAN = "debian"
    RUBYGEMS = "rubygems"
    HELM = "helm"
    TERRAFORM_MODULE = "terraform_module"
    RPM = "rpm"
    ML_MODEL = "ml_model"
    CARGO = "cargo"


@dataclass(frozen=True, slots=True)
class PackageQuery:
    """Which packages a caller wants.

    Args:
        package_type: None: of any kind.
        words: texts that must all stand in the name; none: any name.
        version: None: any.
        status: None: those that are displayable.
    """

    package_type: PackageType | None
    words: tuple[str, ...]
    version: str | None
    status: PackageStatus | None
    order: PackageOrder
    is_descending: bool


@dataclass(frozen=True, slots=True)
class PackageListing:
    """A page of packages.

    Args:
        destroyable: the projects among theirs in which the caller may delete packages.
    """

    page: Page[ListedPackage]
    destroyable: frozenset[ProjectId]


@dataclass(frozen=True, slots=True)
class PackageFileListing:
    """A page of the files of a package."""

    package: Package
    page: Page[ListedFile]


@dataclass(frozen=True, slots=True)
class PackageDetail:
    """A package by itself.

    Args:
        versions: the others of its name, by the text of their versions.
    """

    package: ListedPackage
    versions: tuple[ListedPackage, ...]
    is_destroyable: bool


@dataclass(frozen=True, slots=True)
class ListPackages:
    """List the packages of a project, or of all projects of a group as far as the caller may see them."""

    store: MetadataStore

    async def of_project(self, visit: Visit, query: PackageQuery, page: PageRequest) -> PackageListing:
        """Return a page of the project's packages."""
        if _matches_nothing(query):
            return _NOTHING
        async with self.store.reading() as rows:
            found = await rows.package_lists.of_project(visit.project, _filter(query), page)
            seen = await _seen(rows, visit, (one.pipeline for one in found.entries))
        shown = replace(found, entries=tuple(map(seen.of_package, found.entries)))
        return PackageListing(shown, frozenset({visit.project.id}) if _may_destroy(visit) else frozenset())

    async def of_group(
        self, visit: GroupVisit, query: PackageQuery, page: PageRequest, *, includes_subgroups: bool
    ) -> PackageListing:
        """Return a page of the packages of the group's projects; a registry that is disabled is as good as empty."""
        if _matches_nothing(query):
            return _NOTHING
        source = GroupSource(
            namespace_id=visit.group.id,
            includes_subgroups=includes_subgroups,
            viewer=viewer_of(visit.principal, datetime.now(UTC)),
            lowest_level=pull_rules(visit.settings).lowest_level,
        )
        async with self.store.reading() as rows:
            found = await rows.package_lists.of_group(source, _filter(query), page)
            destroyable = await rows.package_lists.with_level(
                (one.project.id for one in found.entries), source.viewer, AccessLevel.MAINTAINER
            )
            seen = await seen_pipelines(
                rows,
                visit.principal,
                (one.pipeline for one in found.entries),
                read_here=(one.project.id for one in found.entries),
            )
        return PackageListing(replace(found, entries=tuple(map(seen.of_package, found.entries))), destroyable)


@dataclass(frozen=True, slots=True)
class ShowPackage:
    """Show a package with its other versions."""

    store: MetadataStore

    async def __call__(self, visit: Visit, package_id: PackageId) -> PackageDetail:
        """Return the package.

        Raises:
            RecordNotFound: the project has no such package, or none that is displayable.
            PackageNotDetailed: it is in `error`.
        """
        async with self.store.reading() as rows:
            package = await find_package(rows, visit.project.id, package_id)
            if package.status not in DETAILED:
                raise PackageNotDetailed
            pipeline = await rows.package_lists.latest_pipeline(package.id)
            versions = await rows.package_lists.versions(package, visit.project, statuses=DISPLAYABLE)
            seen = await _seen(rows, visit, (pipeline, *(one.pipeline for one in versions)))
        shown = seen.of_package(ListedPackage(package, visit.project, pipeline))
        return PackageDetail(shown, tuple(map(seen.of_package, versions)), _may_destroy(visit))


@dataclass(frozen=True, slots=True)
class ListPackagePipelines:
    """List the pipelines that built a package."""

    store: MetadataStore

    async def __call__(
        self, visit: Visit, package_id: PackageId, *, cursor: Cursor | None, limit: int
    ) -> Stretch[Pipeline]:
        """Return some of them, the latest one first; fewer than there are links where others may not be seen.

        Raises:
            RecordNotFound: the project has no such package, or none that is displayable.
            NotFound: it is in `error`; GitLab puts a sentence where it puts a word elsewhere.
        """
        async with self.store.reading() as rows:
            package = await find_package(rows, visit.project.id, package_id)
            if package.status not in DETAILED:
                raise NotFound("Package not found")
            found = await rows.package_lists.pipelines(package.id, cursor=cursor, limit=limit)
            seen = await _seen(rows, visit, found.entries)
        return replace(found, entries=seen.among(found.entries))


@dataclass(frozen=True, slots=True)
class ListFilesOfPackage:
    """List the files of a package that can be installed."""

    store: MetadataStore

    async def __call__(
        self, visit: Visit, package_id: PackageId, page: PageRequest, *, order: PackageFileOrder, is_descending: bool
    ) -> PackageFileListing:
        """Return a page of them, of a package in `error`, too.

        Raises:
            RecordNotFound: the project has no such package, or none that is displayable.
        """
        async with self.store.reading() as rows:
            package = await find_package(rows, visit.project.id, package_id)
            files = await rows.package_lists.files(
                package.id, page, status=PackageFileStatus.DEFAULT, order=order, is_descending=is_descending
            )
            seen = await _seen(rows, visit, (pipeline for one in files.entries for pipeline in one.pipelines))
        return PackageFileListing(package, replace(files, entries=tuple(map(seen.of_file, files.entries))))


_NOTHING = PackageListing(Page(entries=(), total=0, has_more=False), frozenset())


def _matches_nothing(query: PackageQuery) -> bool:
    return query.package_type not in (None, PackageType.PYPI)


def _filter(query: PackageQuery) -> PackageFilter:
    return PackageFilter(
        statuses=DISPLAYABLE if query.status is None else frozenset({query.status}),
        words=query.words,
        version=query.version,
        order=query.order,
        is_descending=query.is_descending,
    )


def _may_destroy(visit: Visit) -> bool:
    return may_administer_packages(visit.principal, visit.project, visit.level)


async def _seen(rows: Reading, visit: Visit, pipelines: Iterable[Pipeline | None]) -> SeenPipelines:
    return await seen_pipelines(rows, visit.principal, pipelines, read_here=(visit.project.id,))
