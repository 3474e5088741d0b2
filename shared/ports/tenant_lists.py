"""The part of the metadata port that lists groups and projects, as far as somebody may see them.

What the viewer may not see is left out by the query itself, so that pages are full and totals tell nothing. The rules
are those of `shared.access`: a test compares the two. Each call takes a constant number of queries.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.models import AccessLevel, Namespace, NamespaceId, Project, ProjectId, UserId, Visibility
from shared.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class Viewer:
    """For whom a list is made.

    Args:
        user_id: None: nobody in particular.
        sees_internal: internal groups and projects are there for this viewer.
        sees_all: everything is; an administrator.
        now: memberships past their expiry at this instant count for nothing.
    """

    user_id: UserId | None
    sees_internal: bool
    sees_all: bool
    now: datetime


class GroupOrder(StrEnum):
    """By what groups are sorted; equal ones by ascending id."""

    NAME = "name"
    PATH = "path"
    ID = "id"
    SIMILARITY = "similarity"
    """As by name: what does not match a search at all is not on the list."""


class ProjectOrder(StrEnum):
    """By what projects are sorted; equal ones by id in the same direction. All times are that of the creation."""

    ID = "id"
    NAME = "name"
    PATH = "path"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    LAST_ACTIVITY_AT = "last_activity_at"
    SIMILARITY = "similarity"
    STAR_COUNT = "star_count"


class GroupReach(StrEnum):
    """Where groups are looked for."""

    EVERYWHERE = "everywhere"
    TOP_LEVEL = "top_level"
    CHILDREN = "children"
    DESCENDANTS = "descendants"


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups are wanted, and in which order.

    Args:
        reach: with `parent_id` where it is CHILDREN or DESCENDANTS.
        search: words that must all stand in the name or the path, whatever the case of ASCII letters; "": any.
        lowest_level: only groups in which the viewer has this level, directly or through what they lie in.
        is_own: only groups that the viewer is a member of, of what they lie in, or of something below them.
        skipped_ids: groups to leave out.
    """

    viewer: Viewer
    reach: GroupReach = GroupReach.EVERYWHERE
    parent_id: NamespaceId | None = None
    search: str = ""
    visibility: Visibility | None = None
    lowest_level: AccessLevel | None = None
    is_own: bool = False
    skipped_ids: tuple[int, ...] = ()
    order: GroupOrder = GroupOrder.NAME
    is_descending: bool = False


class ProjectReach(StrEnum):
    """Where projects are looked for."""

    EVERYWHERE = "everywhere"
    NAMESPACE = "namespace"
    NAMESPACE_AND_BELOW = "namespace_and_below"


@dataclass(frozen=True, slots=True)
class ProjectFilter:
    """Which projects are wanted, and in which order.

    Args:
        reach: with `namespace_id` where it is not EVERYWHERE.
        search: as of groups; the description counts too.
        lowest_level: only projects in which the viewer has this level, directly or through their namespaces.
    """

    viewer: Viewer
    reach: ProjectReach = ProjectReach.EVERYWHERE
    namespace_id: NamespaceId | None = None
    search: str = ""
    visibility: Visibility | None = None
    lowest_level: AccessLevel | None = None
    order: ProjectOrder = ProjectOrder.CREATED_AT
    is_descending: bool = True


@dataclass(frozen=True, slots=True)
class ProjectStanding:
    """A project with the levels of the viewer in it; NO_ACCESS where there is none.

    Args:
        own_level: as a direct member, or as the owner of the personal namespace that it lies in.
        group_level: the highest one in the groups that it lies in.
    """

    project: Project
    own_level: AccessLevel
    group_level: AccessLevel


class TenantLists(Protocol):
    """List groups and projects."""

    async def groups(self, wanted: GroupFilter, page: PageRequest) -> Page[Namespace]:
        """Return a page of the groups that the viewer may see."""
        ...

    async def projects(self, wanted: ProjectFilter, page: PageRequest) -> Page[ProjectStanding]:
        """Return a page of the projects that the viewer may see."""
        ...

    async def standing(self, project: Project, viewer: Viewer) -> ProjectStanding:
        """Return the project with the viewer's levels in it."""
        ...

    async def visible(self, project_ids: Iterable[ProjectId], viewer: Viewer) -> frozenset[ProjectId]:
        """Return those of these projects that the viewer may see."""
        ...

    async def is_member_below(self, group: Namespace, user_id: UserId, *, now: datetime) -> bool:
        """Return whether the user is at least a guest of some project or group below this group."""
        ...
