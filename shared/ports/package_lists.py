"""The part of the metadata port that lists packages, their files and the pipelines that they came from.

Each call takes a constant number of queries, however many packages, projects or links there are. What the viewer of a
group may not see is left out by the query itself. The rules are those of `shared.access`: a test compares the two.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.models import (
    AccessLevel,
    NamespaceId,
    Package,
    PackageFile,
    PackageFileStatus,
    PackageId,
    PackageStatus,
    Pipeline,
    Project,
    ProjectId,
)
from shared.pages import Cursor, Page, PageRequest, Stretch
from shared.ports.tenant_lists import Viewer


class PackageOrder(StrEnum):
    """By what packages are sorted; equal ones by id in the same direction, and by descending id below PROJECT_PATH."""

    CREATED_AT = "created_at"
    NAME = "name"
    VERSION = "version"
    """As text, and not by what versions mean."""
    TYPE = "type"
    """All are of one type."""
    PROJECT_PATH = "project_path"
    """The last segment of the project's path."""


class PackageFileOrder(StrEnum):
    """By what package files are sorted; equal ones by id in the same direction."""

    ID = "id"
    CREATED_AT = "created_at"
    FILE_NAME = "file_name"


@dataclass(frozen=True, slots=True)
class PackageFilter:
    """Which packages are wanted, and in which order.

    Args:
        words: texts that must all stand in the name, whatever the case of letters; none: any name.
        version: as it was first spelt; None: any.
    """

    statuses: frozenset[PackageStatus]
    words: tuple[str, ...] = ()
    version: str | None = None
    order: PackageOrder = PackageOrder.CREATED_AT
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class GroupSource:
    """The projects of a group whose packages somebody may see.

    Args:
        lowest_level: the level that the viewer needs in projects that are not open to everybody of the viewer's kind.
    """

    namespace_id: NamespaceId
    includes_subgroups: bool
    viewer: Viewer
    lowest_level: AccessLevel


@dataclass(frozen=True, slots=True)
class ListedPackage:
    """A package with what stands beside it in a list.

    Args:
        pipeline: the last one that built it, or None when no pipeline did.
    """

    package: Package
    project: Project
    pipeline: Pipeline | None


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A package file with the pipelines that built it, the first one first."""

    file: PackageFile
    pipelines: tuple[Pipeline, ...]


class PackageLists(Protocol):
    """List packages."""

    async def of_project(self, project: Project, wanted: PackageFilter, page: PageRequest) -> Page[ListedPackage]:
        """Return a page of the project's packages."""
        ...

    async def of_group(self, source: GroupSource, wanted: PackageFilter, page: PageRequest) -> Page[ListedPackage]:
        """Return a page of the packages of a group's projects.

        Projects whose registry is disabled are as good as empty.
        """
        ...

    async def versions(
        self, package: Package, project: Project, *, statuses: frozenset[PackageStatus]
    ) -> tuple[ListedPackage, ...]:
        """Return the other packages of this name in the project, by the text of their versions."""
        ...

    async def files(
        self,
        package_id: PackageId,
        page: PageRequest,
        *,
        status: PackageFileStatus,
        order: PackageFileOrder,
        is_descending: bool,
    ) -> Page[ListedFile]:
        """Return a page of the package's files in this status."""
        ...

    async def listed_file(self, file: PackageFile) -> ListedFile:
        """Return the file as `files` would."""
        ...

    async def pipelines(self, package_id: PackageId, *, cursor: Cursor | None, limit: int) -> Stretch[Pipeline]:
        """Return the pipelines that built the package, the latest one first.

        Args:
            cursor: names the link between the package and a pipeline; None: from the first one on.
        """
        ...

    async def latest_pipeline(self, package_id: PackageId) -> Pipeline | None:
        """Return the last pipeline that built the package, or None when no pipeline did."""
        ...

    async def with_level(
        self, project_ids: Iterable[ProjectId], viewer: Viewer, lowest: AccessLevel
    ) -> frozenset[ProjectId]:
        """Return those of the projects in which the viewer has this level; for who sees everything, all of them."""
        ...
